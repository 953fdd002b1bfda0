package main

// What is printed: for a person in lines, with colours and cut to the width only
// where a terminal shows them; with --json for a program, the same everywhere.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"neoapi/internal/login"
)

// onTerminal tells whether standard output is a terminal, and one that obeys.
func (t *terminal) onTerminal() bool {
	f, ok := t.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// The colours there are.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours a text, unless nobody would see it or nobody wants it (no-color.org).
func (t *terminal) paint(colour, text string) string {
	if !t.onTerminal() || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// lines returns where the lines of a table go: what a terminal has no room for is
// cut off, so that a row stays a row. A file or another program gets all of it.
func (t *terminal) lines() io.Writer {
	f, ok := t.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return t.out
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 2 {
		return t.out
	}
	return &cutter{w: t.out, width: width}
}

// A cutter cuts lines to a width.
type cutter struct {
	w     io.Writer
	width int
	rest  []byte // of a line that has not ended
}

func (c *cutter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, rest, ended := bytes.Cut(c.rest, []byte("\n"))
		if !ended {
			return len(p), nil
		}
		if utf8.RuneCount(line) > c.width {
			line = append([]byte(string([]rune(string(line))[:c.width-1])), "…"...)
		}
		if _, err := fmt.Fprintf(c.w, "%s\n", line); err != nil {
			return 0, err
		}
		c.rest = rest
	}
}

// shownTime is a time as people are shown it: in India, where the market is, and
// said so. Programs get RFC 3339 in UTC.
func shownTime(at time.Time) string { return at.In(login.IST).Format("2006-01-02 15:04:05 MST") }

// named says of a login that a text advises for which profile or file it is, so
// that it can be pasted.
func (t *terminal) named(text string) string {
	return strings.NewReplacer(
		"run "+t.login, "run "+t.login, // it is named already
		"run neo login", "run "+t.login, "neo login opens", t.login+" opens",
	).Replace(text)
}

// tell prints what was done: a sentence for a person, or an object for a program.
func (t *terminal) tell(asJSON bool, object any, sentence string) error {
	if asJSON {
		return t.json(object)
	}
	_, err := fmt.Fprintln(t.out, printable(sentence))
	return err
}

// json prints an object on one line.
func (t *terminal) json(object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.out, printable(string(text)))
	return err
}

package main

// What is printed: for a person in lines, with colours and cut to the width only
// where a terminal shows them; with --json for a program, the same everywhere.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
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
	if width := t.width(); width > 0 {
		return &cutter{w: t.out, width: width}
	}
	return t.out
}

// width is how many columns the terminal has, 0 if standard output is none.
func (t *terminal) width() int {
	f, ok := t.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 2 {
		return 0
	}
	return width
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

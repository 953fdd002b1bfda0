package main

// Output: lines for people, with colours and cut to the width only on a terminal;
// JSON for programs with --json, the same everywhere.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"neoapi/internal/login"
	"neoapi/internal/logqueue"
)

// onTerminal reports whether standard output is a terminal that understands escape sequences.
func (t *terminal) onTerminal() bool {
	f, ok := under(t.out).(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// The colours used.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours a text on a terminal, unless colours are unwanted (no-color.org).
func (t *terminal) paint(colour, text string) string {
	if !t.onTerminal() || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// lines returns the writer for the lines of a table. On a terminal, lines are cut to
// its width, so that a row stays one line; a file or another program gets whole
// lines.
func (t *terminal) lines() io.Writer {
	if width := width(t.out); width > 0 {
		return &cutter{w: t.out, width: width}
	}
	return t.out
}

// width returns the number of columns of a terminal, or 0 for anything else.
func width(w io.Writer) int {
	f, ok := under(w).(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 2 {
		return 0
	}
	return columns
}

// wrap breaks lines between words where a terminal would break them anywhere.
// Continuation lines are indented. A word too long for any line stays whole, so that
// it can be copied.
func wrap(text string, width, indent int) string {
	if width <= 0 {
		return text
	}
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		begin := len(line) - len(strings.TrimLeft(line, " "))
		now, column := line[:begin], begin
		for i, word := range strings.Split(line[begin:], " ") {
			size := utf8.RuneCountInString(word)
			switch {
			case i > 0 && column+1+size > width && column > begin:
				lines = append(lines, strings.TrimRight(now, " "))
				now, column, begin = strings.Repeat(" ", indent), indent, indent
			case i > 0:
				now += " "
				column++
			}
			now += word
			column += size
		}
		lines = append(lines, now)
	}
	return strings.Join(lines, "\n")
}

// A cutter cuts lines to a width.
type cutter struct {
	w     io.Writer
	width int
	rest  []byte // of an unfinished line
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

// shownTime formats a time for people: in India, where the market is, with the zone.
// Programs get RFC 3339 in UTC.
func shownTime(at time.Time) string { return at.In(login.IST).Format("2006-01-02 15:04:05 MST") }

// queue makes a service write to its terminal through queues: it must not wait for who
// reads its output.
func (t *terminal) queue() {
	out, problems := logqueue.New(t.out), logqueue.New(t.err)
	t.out, t.err, t.queues = out, problems, []*logqueue.Queue{out, problems}
}

// under returns what a writer writes to, if that is a queue.
func under(w io.Writer) io.Writer {
	if q, ok := w.(*logqueue.Queue); ok {
		return q.Writer()
	}
	return w
}

// lastLines is how long the end of a service may wait for who reads its output.
const lastLines = time.Second

// flush writes what is queued.
func (t *terminal) flush() {
	var all sync.WaitGroup
	for _, q := range t.queues {
		all.Go(func() { q.Flush(lastLines) })
	}
	all.Wait()
}

// logger returns a log on standard error.
func (t *terminal) logger(format func(io.Writer) slog.Handler) *slog.Logger {
	if q, ok := t.err.(*logqueue.Queue); ok {
		return slog.New(q.Handler(format))
	}
	return slog.New(format(t.err))
}

// logTimes returns the options of a log whose times are in a zone.
func logTimes(zone *time.Location) *slog.HandlerOptions {
	return &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			a.Value = slog.TimeValue(a.Value.Time().In(zone))
		}
		return a
	}}
}

// named adds the profile or file to a login command in a text, so that it can be
// pasted.
func (t *terminal) named(text string) string {
	return strings.NewReplacer(
		"run "+t.login, "run "+t.login, // already named
		"run neo login", "run "+t.login, "neo login opens", t.login+" opens",
	).Replace(text)
}

// tell prints what was done: a sentence for a person, or an object for a program.
func (t *terminal) tell(asJSON bool, object any, sentence string) error {
	if asJSON {
		return t.json(object)
	}
	_, err := fmt.Fprintln(t.out, wrap(printable(sentence), width(t.out), 0))
	return err
}

// json prints an object on one line.
func (t *terminal) json(object any) error { return writeJSON(t.out, object) }

func writeJSON(w io.Writer, object any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, printable(string(text)))
	return err
}

// writeRow writes a row of a table. Its cells are untrusted.
func writeRow(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
}

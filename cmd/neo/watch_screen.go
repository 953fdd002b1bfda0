package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"neoapi/feed"
)

// What a terminal is told when a live table begins and ends: to show another screen,
// without a cursor and without breaking lines, and then the one that was there before.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// redraw is how long a table stays as it is before it is drawn again: faster nobody reads.
const redraw = 200 * time.Millisecond

// screen draws the table until the feed ends, or the context. Whatever ends it, the
// terminal is left as it was.
func (w *watch[T]) screen(ctx context.Context, updates func(context.Context) iter.Seq2[feed.Update, error], thing func(feed.Update) (T, bool)) (err error) {
	f := under(w.t.out).(*os.File)
	signals, stop := screenSignals()
	defer stop()
	if _, err := io.WriteString(f, enterScreen); err != nil {
		return err
	}
	defer func() {
		_, left := io.WriteString(f, leaveScreen)
		err = errors.Join(err, left)
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type told struct {
		feed.Update
		err error
	}
	news := make(chan told)
	go func() {
		defer close(news)
		for u, err := range updates(ctx) {
			select {
			case news <- told{u, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	var due <-chan time.Time
	again := time.NewTicker(5 * redraw) // whether it is connected may change without news
	defer again.Stop()
	if err := w.draw(f); err != nil {
		return err
	}
	for {
		select {
		case n, ok := <-news:
			switch {
			case ctx.Err() != nil: // Ctrl-C
				return nil
			case !ok:
				return nil
			case n.err != nil:
				return ofFeed(n.err)
			}
			w.came = true
			if x, ok := thing(n.Update); ok {
				w.put(x)
			} else {
				w.tell(n.Update)
			}
			if due == nil {
				due = time.After(redraw)
			}
		case <-due:
			due = nil
			if err := w.draw(f); err != nil {
				return err
			}
		case <-again.C:
			if err := w.draw(f); err != nil {
				return err
			}
		case s := <-signals:
			if err := w.signalled(f, s); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// signalled does what a signal asks for: another size, or to make room for the shell.
func (w *watch[T]) signalled(f *os.File, s os.Signal) error {
	switch {
	case isQuit(s):
		return stopped{s}
	case isSuspend(s):
		if _, err := io.WriteString(f, leaveScreen); err != nil {
			return err
		}
		suspend()
		if _, err := io.WriteString(f, enterScreen); err != nil {
			return err
		}
	default: // another size: what was too wide before need not be
		w.widths = nil
	}
	return w.draw(f)
}

// draw draws the table, from the upper left corner. It is one write, so that the terminal
// shows no half of it.
func (w *watch[T]) draw(f *os.File) error {
	columns, height, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 || height < 1 {
		columns, height = 80, 24
	}
	text := append([]string{w.head(columns)}, w.body(columns)...)
	if len(text) > height {
		more := len(text) - height + 1
		text = append(text[:height-1], cutTo(fmt.Sprintf("and %d more lines", more), columns))
	}
	_, err = io.WriteString(f, "\x1b[H"+strings.Join(text, "\x1b[K\n")+"\x1b[K\x1b[J")
	return err
}

// head is the first line: what this is, and whether it is up to date.
func (w *watch[T]) head(columns int) string {
	colour := green
	if w.lost != nil || !w.connected() {
		colour = red
	}
	what := printable(w.what) + ": " // the service says whose it is
	state := cutTo(w.state(), columns-utf8.RuneCountInString(what))
	if state == "" {
		return cutTo(what, columns)
	}
	return what + w.t.paint(colour, state)
}

// cutTo cuts a text to so many columns.
func cutTo(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	if utf8.RuneCountInString(text) > columns {
		return string([]rune(text)[:columns-1]) + "…"
	}
	return text
}

// body is the table.
func (w *watch[T]) body(columns int) (text []string) {
	things := w.things
	if w.newestFirst {
		things = nil
		for i := len(w.things) - 1; i >= 0; i-- {
			things = append(things, w.things[i])
		}
	}
	if w.lines != nil {
		text, w.widths = w.lines(w.t, things, w.widths, columns)
	} else {
		text, w.widths = steady(w.t, w.columns, things, w.widths, columns)
	}
	return text
}

// steady returns the lines of a table whose columns become no narrower than they were, and
// how wide they are.
func steady[T any](t *terminal, columns []column[T], things []T, before []int, room int) (text []string, widths []int) {
	var headed []column[T]
	for _, c := range columns {
		if c.head != "" {
			headed = append(headed, c)
		}
	}
	rows, widths := cells(headed, things)
	for i := range before {
		widths[i] = max(widths[i], before[i])
	}
	return layOut(t, headed, rows, append([]int(nil), widths...), room), widths
}

// depthLines is steady for quotes with their books.
func depthLines(t *terminal, quotes []feed.Quote, before []int, room int) (text []string, widths []int) {
	return steady(t, depthColumns, depthRows(quotes), before, room)
}

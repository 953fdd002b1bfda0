package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"pgregory.net/rapid"

	"neoapi/feed"
	"neoapi/trade"
)

// A line is broken between words only, none is lost, and none is longer than the
// terminal is wide unless one word is.
func TestWrap_breaksBetweenWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zé…/:.]{1,30}`), 1, 30).Draw(t, "words")
		width, indent := rapid.IntRange(20, 100).Draw(t, "width"), rapid.IntRange(0, 10).Draw(t, "indent")
		got := wrap(strings.Join(words, " "), width, indent)
		if !slices.Equal(strings.Fields(got), words) {
			t.Fatalf("%q became %q", words, got)
		}
		for i, line := range strings.Split(got, "\n") {
			if i > 0 && len(line)-len(strings.TrimLeft(line, " ")) != indent {
				t.Fatalf("%q is not indented by %d", line, indent)
			}
			if utf8.RuneCountInString(line) > width && len(strings.Fields(line)) > 1 {
				t.Fatalf("%q is wider than %d", line, width)
			}
		}
	})
	for text, want := range map[string]string{
		"one two":                  "one two",
		"one two three":            "one two\n  three",
		"a\nb c d e f g":           "a\nb c d e f\n  g",
		"http://a.very/long/one b": "http://a.very/long/one\n  b",
	} {
		if got := wrap(text, 10, 2); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := wrap("one two three", 0, 2); got != "one two three" {
		t.Errorf("no terminal: %q", got)
	}
}

// Every command that prints a result takes --json.
func TestCommands_printJSON(t *testing.T) {
	own := []string{
		"serve",          // its log is JSON
		"exec",           // its output is a program's
		"record",         // its output is a recording
		"completion",     // a script
		"help",           // for people
		"account export", // JSON, or CSV with --all
	}
	seen := 0
	for _, command := range grammar(t).Leaves(false) {
		takes := slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == "json" })
		if takes == slices.Contains(own, command.Path()) {
			t.Errorf("neo %s: --json: %v", command.Path(), takes)
		}
		seen++
	}
	if seen < 30 {
		t.Errorf("%d commands", seen)
	}
}

func TestWatch_headHasNothingThatMovesTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\a\u009b31m\r\n"
	w := watch[feed.Quote]{t: &terminal{out: io.Discard}, what: "Orders of " + evil, columns: quoteColumns, key: func(q feed.Quote) string { return q.Instrument.Token }}
	w.put(feed.Quote{Instrument: trade.Instrument{Symbol: evil, Segment: trade.Segment(evil)}})
	for _, u := range []feed.Update{
		feed.Missing{Instruments: []trade.Instrument{{Symbol: evil}}}, feed.Gap{}, feed.Lost{Err: errors.New(evil)},
	} {
		w.came = true
		w.tell(u)
		for _, line := range append([]string{w.head(200), w.state()}, w.body(200)...) {
			if strings.ContainsAny(line, "\x1b\a\r\n\u009b") {
				t.Errorf("%T: %q", u, line)
			}
		}
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"neoapi"
)

// A failure is an error as --json prints it on standard error, in one line.
type failure struct {
	Error      string   `json:"error"`
	Problems   []string `json:"problems,omitempty"` // one by one, if there are several
	ExitCode   int      `json:"exitCode"`
	Category   string   `json:"category,omitempty"` // these are the service's, or the client's
	Code       string   `json:"code,omitempty"`
	Status     int      `json:"status,omitempty"`
	Hint       string   `json:"hint,omitempty"`
	Retry      string   `json:"retry,omitempty"`
	RetryAfter float64  `json:"retryAfterSeconds,omitempty"`
	RequestID  string   `json:"requestId,omitempty"`
}

// fail says what went wrong: in words that fit the terminal, or for a program.
func (t *terminal) fail(err error, code int, asJSON bool) {
	said := t.named(inFlags(err))
	if !asJSON {
		t.note(said)
		return
	}
	f := failure{Error: said, ExitCode: code}
	if problems := strings.Split(said, "\n"); len(problems) > 1 {
		f.Problems = problems
	}
	var e *neoapi.Error
	if errors.As(err, &e) {
		f.Category, f.Code, f.Status, f.RequestID = string(e.Category), e.Code, e.Status, e.RequestID
		f.Hint, f.Retry, f.RetryAfter = t.named(shellHint(e)), string(e.Retry), e.RetryAfter.Seconds()
	}
	line, err := json.Marshal(f)
	if err != nil { // our own type: cannot happen
		panic(err)
	}
	_, _ = fmt.Fprintln(t.err, printable(string(line)))
}

// note tells a person something on standard error, in this program's name.
func (t *terminal) note(text string) {
	_, _ = fmt.Fprintln(t.err, wrap("neo: "+strings.ReplaceAll(printableLines(text), "\n", "\n     "), width(t.err), 5))
}

// asJSON reports whether a command was asked for JSON.
func asJSON(parsed *kong.Context) bool {
	if parsed == nil || parsed.Selected() == nil {
		return false
	}
	for _, flag := range parsed.Selected().Flags {
		if flag.Name == "json" {
			wanted, _ := parsed.FlagValue(flag).(bool)
			return wanted
		}
	}
	return false
}

// askedJSON is asJSON for a command line that could not be read to its end.
func askedJSON(parsed *kong.Context, args []string) bool {
	if parsed == nil || parsed.Selected() == nil {
		return false
	}
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") &&
		slices.ContainsFunc(parsed.Selected().Flags, func(f *kong.Flag) bool { return f.Name == "json" })
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"neoapi"
	"neoapi/trade"
)

// A failure is an error as --json prints it on standard error, in one line.
type failure struct {
	Error      string   `json:"error"`
	Problems   []string `json:"problems,omitempty"` // if there are several
	ExitCode   int      `json:"exitCode"`
	Category   string   `json:"category,omitempty"` // from here on those of the service or the client
	Code       string   `json:"code,omitempty"`
	Status     int      `json:"status,omitempty"`
	Hint       string   `json:"hint,omitempty"`
	Retry      string   `json:"retry,omitempty"`
	RetryAfter float64  `json:"retryAfterSeconds,omitempty"`
	RequestID  string   `json:"requestId,omitempty"`
}

// fail prints a failure, wrapped to fit the terminal, or as JSON.
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
	if errors.Is(err, trade.ErrNotPlaced) || errors.Is(err, trade.ErrUnchanged) { // somebody has looked already
		f.Hint, f.Retry = "", string(neoapi.RetrySame)
	}
	line, err := json.Marshal(f)
	if err != nil { // cannot happen: our own type
		panic(err)
	}
	_, _ = fmt.Fprintln(t.err, printable(string(line)))
}

// warn prints what a person should know of something that goes on all the same.
func (t *terminal) warn(asJSON bool, text string) {
	if !asJSON {
		t.note(text)
		return
	}
	_ = writeJSON(t.err, map[string]string{"warning": text}) // as good as can be
}

// note prints a message on standard error, prefixed with this program's name.
func (t *terminal) note(text string) {
	_, _ = fmt.Fprintln(t.err, wrap("neo: "+strings.ReplaceAll(printableLines(text), "\n", "\n     "), width(t.err), 5))
}

// asJSON reports whether JSON output was requested.
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

// askedJSON is asJSON for a command line that could not be fully parsed.
func askedJSON(parsed *kong.Context, args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	if !slices.Contains(args, "--json") {
		return false
	}
	node := parsed.Selected()
	if node == nil || len(node.Children) > 0 { // no command was found that could refuse it
		return true
	}
	return slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == "json" })
}

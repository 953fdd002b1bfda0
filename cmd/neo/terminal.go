package main

// The rules of the terminal: secrets are prompted for without echo and on standard
// error, so that standard output has only results; there are no prompts if standard
// input is not a terminal, and the error then names the flag or variable with which a
// script gives the answer.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"

	"neoapi/internal/paste"
)

// interactive reports whether a person sits at standard input.
func (t *terminal) interactive() bool {
	f, ok := t.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// pasted removes the markers of bracketed paste, if the shell has left that on.
var pasted = strings.NewReplacer("\x1b[200~", "", "\x1b[201~", "")

// askSecret asks a person for a secret without echo.
func (t *terminal) askSecret(ctx context.Context, prompt string) (string, error) {
	f, ok := t.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errors.New("standard input is not a terminal")
	}
	fd := int(f.Fd())
	echoing, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprint(t.err, prompt)
	defer func() { _, _ = fmt.Fprintln(t.err) }()
	type answer struct {
		secret []byte
		err    error
	}
	given := make(chan answer, 1)
	go func() {
		secret, err := readHidden(fd)
		given <- answer{secret, err}
	}()
	quit := make(chan os.Signal, 1) // Ctrl-\, which would end the program with echo off
	signal.Notify(quit, syscall.SIGQUIT)
	defer signal.Stop(quit)
	select {
	case a := <-given:
		switch {
		case errors.Is(a.err, io.EOF):
			return "", usage(errors.New("nothing was entered"))
		case a.err != nil:
			return "", a.err
		}
		return paste.Line([]byte(pasted.Replace(string(a.secret))))
	case <-ctx.Done(): // the reader stays blocked; the program is about to end
		return "", errors.Join(ctx.Err(), term.Restore(fd, echoing))
	case s := <-quit:
		return "", errors.Join(stopped{s}, term.Restore(fd, echoing))
	}
}

// A secret is one that a command needs, and where it may come from.
type secret struct {
	what     string // its name in prompts
	file     string // "-" is standard input, one line
	variable string // of the environment
	orGive   string // how a script can give it
}

// consumerSecret is the secret of the consumer that logs in.
func consumerSecret(file string) secret {
	return secret{"consumer secret", file, "NEO_CONSUMER_SECRET", "--consumer-secret-file or NEO_CONSUMER_SECRET"}
}

// secret returns a secret from its file, or from the environment, or from a person.
func (t *terminal) secret(ctx context.Context, s secret) (string, error) {
	if s.file != "" {
		return t.readLine(s.what, s.file)
	}
	if value, err := s.fromEnvironment(); err != nil || value != "" {
		return value, err
	}
	if err := t.lacks(s); err != nil {
		return "", err
	}
	value, err := t.askSecret(ctx, strings.ToUpper(s.what[:1])+s.what[1:]+": ")
	if err == nil && value == "" {
		err = usage(fmt.Errorf("the %s is missing", s.what))
	}
	return value, err
}

func (s secret) fromEnvironment() (string, error) {
	if s.variable == "" {
		return "", nil
	}
	return paste.Line([]byte(os.Getenv(s.variable)))
}

// lacks returns an error if a secret is not given and there is nobody to ask for it.
func (t *terminal) lacks(s secret) error {
	value, err := s.fromEnvironment()
	if s.file != "" || value != "" || err != nil || t.interactive() {
		return nil
	}
	return usage(fmt.Errorf("the %s is missing: standard input is not a terminal; give %s", s.what, s.orGive))
}

// readLine returns the first line of a file, without a byte-order mark; "-" is
// standard input, from which each call takes the next line.
func (t *terminal) readLine(what, file string) (string, error) {
	var text []byte
	var err error
	place := "the first line of its file"
	if file == "-" {
		place = "its line of standard input"
		text, err = t.nextLine()
	} else {
		text, err = os.ReadFile(file)
	}
	switch {
	case file == "-" && errors.Is(err, io.EOF):
		return "", usage(fmt.Errorf("standard input has no line for the %s", what))
	case err != nil:
		return "", usage(fmt.Errorf("the %s cannot be read: %w", what, err))
	}
	line, err := paste.Line(text)
	switch {
	case err != nil:
		return "", usage(fmt.Errorf("the file with the %s %w", what, err))
	case line == "":
		return "", usage(fmt.Errorf("the %s is missing: %s is empty", what, place))
	}
	return line, nil
}

// printable escapes what a terminal would interpret or hide, because text from a
// service or a store is not trusted. JSON stays equivalent.
func printable(s string) string {
	var b strings.Builder
	before := rune(0)
	for i, r := range s {
		joined := paste.Joins(before, r)
		before = r
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)): // not UTF-8
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case joined, paste.Visible(r):
			b.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	return b.String()
}

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// nextLine reads one line of standard input.
func (t *terminal) nextLine() ([]byte, error) {
	r, ok := t.in.(*bufio.Reader)
	if !ok {
		r = bufio.NewReader(t.in)
		t.in = r
	}
	line, err := r.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, err
}

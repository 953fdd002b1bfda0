package feed

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"neoapi"
)

// What a feed ends with, or refuses. Every other error of a feed is of one of the four kinds
// below, which errors.As tells apart; [ErrNoFeed] and [ErrSessionEnded] are in one.
var (
	ErrNoFeed       = errors.New("the session names no such feed: log in by TOTP and MPIN with the consumer key, whose sessions have one")
	ErrSessionEnded = errors.New("the session has ended, and there is no other one: open a new feed after the next login")
	ErrTooMany      = errors.New("too many instruments: unsubscribe some first")
	ErrSlow         = errors.New("the program reads too slowly, and orders would have to be dropped: read in a goroutine of its own, and work elsewhere")
	ErrClosed       = errors.New("the feed is closed") // by Close, or by the end of its context
)

// A ConnectionError is a failure of the network, or of the service: the feed connects
// again by itself.
type ConnectionError struct{ Err error }

// Error returns what happened to the connection.
func (e *ConnectionError) Error() string { return "feed: connection: " + text(e.Err) }

// Unwrap returns the cause.
func (e *ConnectionError) Unwrap() error { return e.Err }

// A ProtocolError is something that the service sent and that cannot be understood.
type ProtocolError struct{ Err error }

// Error returns what cannot be understood.
func (e *ProtocolError) Error() string { return "feed: protocol: " + text(e.Err) }

// Unwrap returns the cause.
func (e *ProtocolError) Unwrap() error { return e.Err }

// A SessionError is the service's word that it does not take a session any more, or the
// failure to get another one.
type SessionError struct {
	Err error

	doubtful bool // the refusal may have another reason: a call of the trade API decides
	final    bool // there is no other session, or none that names the feed
}

// Error returns what became of the session.
func (e *SessionError) Error() string { return "feed: session: " + text(e.Err) }

// Unwrap returns the cause.
func (e *SessionError) Unwrap() error { return e.Err }

// A ProgramError is a panic of the program's callback, or the end of its goroutine by
// [runtime.Goexit].
type ProgramError struct {
	Value any // what it panicked with
	Stack []byte
}

// Error returns what the callback panicked with.
func (e *ProgramError) Error() string {
	return fmt.Sprintf("feed: program: the callback failed: %v", e.Value)
}

// Unwrap returns what the callback panicked with, if that is an error.
func (e *ProgramError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// bare returns what an error of the four kinds holds, so that another kind can say it: an
// error is of one kind.
func bare(err error) error {
	if e, ok := errors.AsType[*ConnectionError](err); ok && e.Err != nil {
		return e.Err
	}
	if e, ok := errors.AsType[*ProtocolError](err); ok && e.Err != nil {
		return e.Err
	}
	if e, ok := errors.AsType[*SessionError](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}

func text(err error) string {
	if err == nil {
		return "unknown"
	}
	return err.Error()
}

// maxText is how much of what a service says an error keeps, in runes.
const maxText = 200

// clean makes a text of the service fit for an error or a log: one line, shortened,
// without the session's secrets.
func clean(said string, s neoapi.Session) string {
	said = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(said, "\uFFFD"))
	for _, secret := range []string{s.Token, s.SID, s.RID} { // also one with something between its letters
		if secret != "" {
			said = strings.ReplaceAll(said, secret, "[redacted]")
		}
	}
	if runes := []rune(said); len(runes) > maxText {
		said = string(runes[:maxText]) + "…"
	}
	return strings.Join(strings.Fields(said), " ")
}

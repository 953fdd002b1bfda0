package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"neoapi"
	"neoapi/internal/private"
	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/sqlite"
	"neoapi/trade"
)

// The exit codes, which scripts may rely on. exitCodes explains them.
const (
	exitDone          = 0
	exitFailed        = 1
	exitUsage         = 2
	exitRefused       = 3
	exitLater         = 4
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the signal's number
)

// exitCodes is the table that neo help exit-codes prints and docs/exit-codes.md
// explains. A test causes each of them.
var exitCodes = []struct {
	code  int
	name  string
	means string
}{
	{exitDone, "0", "done"},
	{exitFailed, "1", "failed: anything else, such as a full disk or a fault of the service"},
	{exitUsage, "2", "wrong use: a flag, an argument, a file or the configuration"},
	{exitRefused, "3", "refused: credentials, code, session, lock, address; lines of an import"},
	{exitLater, "4", "may work later: rate limit, network, database, OMS, service unavailable"},
	{exitNotExecutable, "126", "neo exec, neo sandbox: the program cannot be executed"},
	{exitNotFound, "127", "neo exec, neo sandbox: there is no such program"},
	{exitSignal, "128+N", "ended by signal N, or the program was: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP"},
}

// aboutExitCodes is the table as text.
func aboutExitCodes() string {
	var b strings.Builder
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "%-5s  %s\n", row.name, row.means)
	}
	return b.String() + `
neo exec and neo sandbox -- CMD end with the exit code of the program they ran.
Ctrl-C is the normal end of neo serve, neo sandbox, neo audit --follow, neo watch, neo
record and neo session --watch: exit code 0.
`
}

// A usageError is a mistake in flags, arguments or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes an error exit with exitUsage; a nil error stays nil.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// A laterError is a failure that may be over when the same is tried again.
type laterError struct{ error }

func (e laterError) Unwrap() error { return e.error }

// ofStore marks an error of a store as one that may be over later, if it may.
func ofStore(err error) error {
	_, held := errors.AsType[*store.HeldError](err)
	if held || postgres.Down(err) || sqlite.Busy(err) {
		return laterError{err}
	}
	return err
}

// ofFile marks an error as wrong use if a named file caused it: it is missing, exists
// already, or must not be used.
func ofFile(err error) error {
	_, refused := errors.AsType[private.Refused](err)
	if refused || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrPermission) {
		return usage(err)
	}
	return err
}

// An exitError is the exit code of a program that was run. Nothing is printed,
// because the program has reported its own failure.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// A notRun is a program that could not be started, with the exit code that shells use
// for that.
type notRun struct {
	error
	code int
}

func (e notRun) Unwrap() error { return e.error }

// A stopped is the cause of a context ended by a signal.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return s.signal.String() }

// code returns the exit code of a program ended by the signal.
func (s stopped) code() int {
	n, _ := s.signal.(syscall.Signal)
	return exitSignal + int(n)
}

// untilSignal returns a context that the first signal ends; the second ends the
// program at once. A signal that the program was told to ignore, as by nohup, stays
// ignored.
func untilSignal(ctx context.Context) (until context.Context, stop func()) {
	until, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(stopped{s})
		case <-until.Done():
		}
	}()
	return until, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// exitCode returns the exit code of a command that failed.
func exitCode(ctx context.Context, err error) int {
	var (
		ran   exitError
		never notRun
		by    stopped
		later laterError
		wrong usageError
		e     *neoapi.Error
	)
	switch {
	case errors.As(err, &ran):
		return int(ran)
	case errors.As(err, &never):
		return never.code
	case errors.As(err, &by), errors.As(context.Cause(ctx), &by):
		return by.code()
	case errors.As(err, &later), errors.Is(err, context.DeadlineExceeded):
		return exitLater
	case errors.As(err, &wrong), errors.Is(err, trade.ErrInvalid), errors.Is(err, trade.ErrNotFound), errors.Is(err, trade.ErrNotOffered):
		return exitUsage
	case errors.Is(err, trade.ErrUnknown):
		return exitLater
	case errors.Is(err, trade.ErrNotPlaced), errors.Is(err, trade.ErrUnchanged): // known to have done nothing
		return exitFailed
	case errors.Is(err, trade.ErrRejected), errors.Is(err, trade.ErrAddress), errors.Is(err, trade.ErrEnded):
		return exitRefused
	case !errors.As(err, &e):
		return exitFailed
	}
	if e.Category == neoapi.ErrInvalidInput && e.Retry == neoapi.RetryNewCode { // a code that was used: the next one will do
		return exitLater
	}
	if code, known := codeOf[e.Category]; known {
		return code
	}
	return exitFailed
}

// codeOf is the exit code of a failure of the client.
var codeOf = map[neoapi.Category]int{
	neoapi.ErrInvalidInput: exitUsage,

	neoapi.ErrAccessToken:      exitRefused,
	neoapi.ErrWrongCredentials: exitRefused,
	neoapi.ErrWrongOTP:         exitRefused,
	neoapi.ErrWrongMPIN:        exitRefused,
	neoapi.ErrSessionEnded:     exitRefused,
	neoapi.ErrWrongToken:       exitRefused,
	neoapi.ErrLocked:           exitRefused,
	neoapi.ErrIPNotAllowed:     exitRefused,

	neoapi.ErrRateLimited: exitLater,
	neoapi.ErrNetwork:     exitLater,
	neoapi.ErrUnavailable: exitLater,
	neoapi.ErrOMSDown:     exitLater,
	neoapi.ErrTimeout:     exitLater,

	neoapi.ErrOTPNotSent:  exitFailed, // the MPIN still works
	neoapi.ErrInternal:    exitFailed,
	neoapi.ErrBadAnswer:   exitFailed,
	neoapi.ErrNotLoggedIn: exitFailed,
	neoapi.ErrStore:       exitFailed,
	neoapi.ErrCallback:    exitFailed,
}

// silent reports whether a failure needs no message: a program that was run has
// reported its own, and Ctrl-C needs none. What was sent to an exchange may have been
// carried out, which nobody else would say.
func silent(ctx context.Context, err error) bool {
	if errors.Is(err, trade.ErrUnknown) || errors.Is(err, trade.ErrNotPlaced) || errors.Is(err, trade.ErrUnchanged) {
		return false
	}
	var ran exitError
	var by stopped
	return errors.As(err, &ran) || errors.As(err, &by) || ctx.Err() != nil && errors.Is(err, context.Canceled)
}

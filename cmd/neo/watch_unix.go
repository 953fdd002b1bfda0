//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// screenSignals returns the signals that concern who draws on a terminal.
func screenSignals() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGQUIT)
	if !signal.Ignored(syscall.SIGTSTP) { // a shell without job control
		signal.Notify(signals, syscall.SIGTSTP)
	}
	return signals, func() { signal.Stop(signals) }
}

func isQuit(s os.Signal) bool    { return s == syscall.SIGQUIT }
func isSuspend(s os.Signal) bool { return s == syscall.SIGTSTP }

// suspend stops the program as Ctrl-Z does, and returns when it goes on. The signal then
// goes to signals again.
func suspend(signals chan os.Signal) {
	on := make(chan os.Signal, 1)
	signal.Notify(on, syscall.SIGCONT)
	defer signal.Stop(on)
	signal.Reset(syscall.SIGTSTP)
	defer signal.Notify(signals, syscall.SIGTSTP)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTSTP); err == nil {
		select {
		case <-on:
		case <-time.After(time.Second): // nobody could make it go on, and so it was not stopped
		}
	}
}

// unread returns a context that ends also when nobody reads what is written to a pipe any
// more, by the signal that the next write would cause.
func unread(ctx context.Context, w io.Writer) context.Context {
	f, ok := under(w).(*os.File)
	if !ok {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for ctx.Err() == nil {
			at := []unix.PollFd{{Fd: int32(f.Fd())}}
			if n, err := unix.Poll(at, 500); n > 0 && err == nil {
				cancel(stopped{syscall.SIGPIPE})
			}
		}
		cancel(nil)
	}()
	return ctx
}

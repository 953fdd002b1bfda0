//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

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

// suspend stops the program as Ctrl-Z does, and returns when it goes on: at once where
// there is no shell that could make it go on.
func suspend() {
	ours, err := unix.Getsid(0)
	if shell, parent := unix.Getsid(os.Getppid()); err != nil || parent != nil || ours != shell {
		return
	}
	on := make(chan os.Signal, 1)
	signal.Notify(on, syscall.SIGCONT)
	defer signal.Stop(on)
	// Go keeps SIGTSTP from stopping a program that was told of it once.
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err == nil {
		<-on
	}
}

// unread returns a context that ends also when nobody reads what is written to a pipe any
// more, by the signal that the next write would cause.
func unread(ctx context.Context, w io.Writer) context.Context {
	f, ok := under(w).(*os.File)
	if !ok {
		return ctx
	}
	if info, err := f.Stat(); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
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

//go:build !unix

package main

import (
	"context"
	"io"
	"os"
)

// screenSignals returns the signals that concern who draws on a terminal: there are none.
func screenSignals() (signals chan os.Signal, stop func()) { return nil, func() {} }

func isQuit(os.Signal) bool    { return false }
func isSuspend(os.Signal) bool { return false }
func suspend()                 {}

// unread returns the context: only a write finds out that nobody reads a pipe any more.
func unread(ctx context.Context, _ io.Writer) context.Context { return ctx }

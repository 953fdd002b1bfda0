//go:build !unix

package main

import (
	"os"
	"syscall"
)

// passedOn are the signals that a program gets that we run; the others reach it by
// themselves.
var passedOn = []os.Signal{os.Interrupt, syscall.SIGTERM}

func ofTerminal(s os.Signal) bool { return s == os.Interrupt }

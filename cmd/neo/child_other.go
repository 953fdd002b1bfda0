//go:build !unix

package main

import (
	"os"
	"syscall"
)

// passedOn are the signals passed on to the program; others reach it without us.
var passedOn = []os.Signal{os.Interrupt, syscall.SIGTERM}

func ofTerminal(s os.Signal) bool { return s == os.Interrupt }

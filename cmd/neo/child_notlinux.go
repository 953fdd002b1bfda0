//go:build !linux

package main

import (
	"os"
	"os/exec"
)

// endsWithUs does nothing: only Linux ends a program whose parent is killed.
func endsWithUs(*exec.Cmd) {}

// A stopper does nothing: here SIGTSTP is not passed on. From a terminal it reaches the
// program and us by itself.
type stopper struct{}

// passes reports whether a signal is to be passed on to the program.
func (*stopper) passes(s os.Signal, _ int) bool { return !ofTerminal(s) }

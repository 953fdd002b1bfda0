//go:build !linux

package main

import (
	"os"
	"os/exec"
)

// endsWithUs does nothing: only Linux ends a program whose parent is killed.
func endsWithUs(*exec.Cmd) {}

// A stopper does nothing: here SIGTSTP is not passed on. A terminal sends it to the
// program and to us.
type stopper struct{}

// passes reports whether to pass a signal on to the program.
func (*stopper) passes(s os.Signal, _ int) bool { return !ofTerminal(s) }

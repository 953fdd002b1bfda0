//go:build !unix

package main

import "golang.org/x/term"

// readHidden reads a line from a terminal without echo, and without its line end.
func readHidden(fd int) ([]byte, error) { return term.ReadPassword(fd) }

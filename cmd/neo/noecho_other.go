//go:build !unix

package main

import "golang.org/x/term"

// readHidden reads a line of a terminal without echo, and without its end.
func readHidden(fd int) ([]byte, error) { return term.ReadPassword(fd) }

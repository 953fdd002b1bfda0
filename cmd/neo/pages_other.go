//go:build !linux

package main

// readSinglePages does nothing elsewhere.
func readSinglePages() {}

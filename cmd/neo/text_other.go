//go:build !linux

package main

// dropText does nothing: how much of a program is in memory is the system's choice.
func dropText() {}

//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles returns how many files this process may have open: Go has raised the
// limit as far as it may be raised without being root.
func openFiles() (limit int, known bool) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	return int(min(uint64(l.Cur), math.MaxInt32)), true
}

//go:build unix

package adminapi

import "syscall"

// narrow makes files that this process makes its user's alone, until restore is called.
func narrow() (restore func()) {
	was := syscall.Umask(0o077)
	return func() { syscall.Umask(was) }
}

//go:build unix

package adminapi

import "syscall"

// narrow makes new files of this process accessible only to its user, until restore is called.
func narrow() (restore func()) {
	was := syscall.Umask(0o077)
	return func() { syscall.Umask(was) }
}

package private

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

const (
	failImmediately = 1
	exclusive       = 2
	lockViolation   = syscall.Errno(33)
)

// try takes the lock, or returns nil if it is held. It locks a byte far beyond the
// file's end, so that the file can be read and written. The system releases it when
// the holder's file is closed, however the process ends.
func try(at string) (unlock func(), err error) {
	f, err := os.OpenFile(at, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := checkFile(f, at); err != nil {
		f.Close()
		return nil, err
	}
	where := syscall.Overlapped{OffsetHigh: 1}
	ok, _, err := lockFileEx.Call(f.Fd(), exclusive|failImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&where)))
	if ok == 0 {
		f.Close()
		if errors.Is(err, lockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING) {
			err = nil
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}

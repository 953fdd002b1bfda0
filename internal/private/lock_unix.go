//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package private

import (
	"errors"
	"os"
	"syscall"
)

// try takes the lock, or returns nil if it is held. The system releases it when the
// holder's file is closed, however the process ends.
func try(at string) (unlock func(), err error) {
	f, err := os.OpenFile(at, os.O_RDWR|os.O_CREATE|careful, 0o600)
	if err != nil {
		return nil, err
	}
	if err = checkFile(f, at); err == nil {
		err = flock(f)
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, err
	}
	// The file may have been removed meanwhile: then others lock a new one.
	held, err := f.Stat()
	if now, gone := os.Stat(at); err != nil || gone != nil || !os.SameFile(held, now) {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

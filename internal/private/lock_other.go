//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package private

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// stale is the age at which a lock's holder is considered crashed.
const stale = time.Minute

// try takes the lock, or returns nil if it is held. Without system locks, the process
// that created the file holds it, and touches it while it lives.
func try(at string) (unlock func(), err error) {
	at += ".held"
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if info, err := os.Stat(at); err == nil && time.Since(info.ModTime()) > stale {
			os.Remove(at)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f.Close()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(stale / 4):
				os.Chtimes(at, time.Time{}, time.Now())
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); os.Remove(at) }), nil
}

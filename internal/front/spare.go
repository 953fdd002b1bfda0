package front

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// noMore reports whether a connection could not be accepted because the process, or the
// system, has no file descriptor or no memory for it.
func noMore(err error) bool {
	for _, lack := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// Spares is how many connections a listener made by [Spare] accepts beyond the limit of
// open files: as many descriptors are reserved.
const Spares = 8

// Spare returns a listener that accepts [Spares] connections even when the process has
// no file descriptor left, so that an operator can still ask what is wrong.
func Spare(l net.Listener) net.Listener {
	s := &spare{Listener: l}
	s.refill()
	return s
}

type spare struct {
	net.Listener
	mu    sync.Mutex
	files []*os.File // open for nothing but to be closed
}

// refill reserves descriptors, as far as there are any.
func (s *spare) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.files) < Spares {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		s.files = append(s.files, f)
	}
}

// release gives up one reserved descriptor, and reports whether there was one.
func (s *spare) release() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.files) - 1
	if last < 0 {
		return false
	}
	_ = s.files[last].Close()
	s.files = s.files[:last]
	return true
}

// Accept implements [net.Listener].
func (s *spare) Accept() (net.Conn, error) {
	s.refill()
	for {
		c, err := s.Listener.Accept()
		if err == nil || !noMore(err) || !s.release() {
			return c, err
		}
	}
}

// Close implements [net.Listener].
func (s *spare) Close() error {
	for s.release() {
	}
	return s.Listener.Close()
}

// SetDeadline sets the time by which Accept returns.
func (s *spare) SetDeadline(t time.Time) error {
	l, ok := s.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return errors.ErrUnsupported
	}
	return l.SetDeadline(t)
}

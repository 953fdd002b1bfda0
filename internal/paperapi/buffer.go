package paperapi

import (
	"io"
	"io/fs"
	"sync"
)

// Buffers of reports are used again: one of a few hundred orders is half a megabyte.
var buffers sync.Pool

const (
	leastBuffer = 64 << 10
	mostBuffer  = 4 << 20
)

// newBuffer returns an empty buffer for a report.
func newBuffer() []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, leastBuffer)
}

// An answer is the body of an answer. The end of a session closes it while somebody else
// reads it.
type answer struct {
	mu     sync.Mutex
	text   []byte
	read   int
	reused bool // Close gives the text back
	closed bool
}

// newAnswer returns a body. A text that others have too is shared.
func newAnswer(text []byte, shared bool) *answer {
	return &answer{text: text, reused: !shared && cap(text) >= leastBuffer && cap(text) <= mostBuffer}
}

// Read implements [io.Reader].
func (a *answer) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return 0, fs.ErrClosed
	case a.read == len(a.text):
		return 0, io.EOF
	}
	n := copy(b, a.text[a.read:])
	a.read += n
	return n, nil
}

// Close implements [io.Closer].
func (a *answer) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reused && !a.closed {
		text := a.text
		buffers.Put(&text)
	}
	a.closed = true
	return nil
}

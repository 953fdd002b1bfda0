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

	more func() ([]byte, error) // of a long one: returns the next piece in the text's place, none at the end
	done func()                 // of a long one: Close calls it
}

// newAnswer returns a body. A text that others have too is shared.
func newAnswer(text []byte, shared bool) *answer { return &answer{text: text, reused: !shared} }

// Read implements [io.Reader].
func (a *answer) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return 0, fs.ErrClosed
	}
	if a.read == len(a.text) && a.more != nil {
		text, err := a.more()
		if err != nil {
			return 0, err
		}
		if len(text) > 0 {
			a.text, a.read = text, 0
		}
	}
	if a.read == len(a.text) {
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
	if a.closed {
		return nil
	}
	a.closed = true
	if text := a.text; a.reused && cap(text) >= leastBuffer && cap(text) <= mostBuffer {
		buffers.Put(&text)
	}
	if a.done != nil {
		a.done()
	}
	return nil
}

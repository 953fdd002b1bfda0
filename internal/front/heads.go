package front

import "sync"

// heads watches the request heads on one HTTP/1 connection for things that net/http
// accepts silently but other servers may read differently: folded header lines and
// lines that end without CR. It does not measure bodies itself: what follows a head
// is set aside until the handler reports the body's length as net/http read it. A
// chunked body has no known length; the connection ends with its answer.
type heads struct {
	mu      sync.Mutex // net/http reads one byte ahead while a handler runs
	stopped bool
	ended   bool   // the head is over and its request not answered yet
	rest    []byte // what was read after it
	body    int64  // bytes of the body still to be skipped
	lines   int    // of this head so far
	size    int    // of this head so far
	length  int    // of this line so far
	last    byte   // of this line so far
	odd     bool   // this head is badly framed
}

// read records bytes received. It returns how much of a head has come that is not
// complete.
func (h *heads) read(b []byte) (bytes, lines int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.scan(b)
	if h.ended || h.stopped {
		return 0, 0
	}
	return h.size, h.lines
}

// crowded reports whether an incomplete head has too many lines.
func (h *heads) crowded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.ended && h.lines > maxLines
}

func (h *heads) scan(b []byte) {
	if h.stopped {
		return
	}
	if skip := min(h.body, int64(len(b))); skip > 0 {
		h.body -= skip
		b = b[skip:]
	}
	for i, c := range b {
		if h.ended {
			h.rest = append(h.rest, b[i:]...)
			return
		}
		h.size++
		switch {
		case c != '\n':
			if h.length == 0 && h.lines > 0 && (c == ' ' || c == '\t') {
				h.odd = true // folded: it continues the line before
			}
			h.length, h.last = h.length+1, c
			continue
		case h.last != '\r':
			h.odd = true
		}
		empty := h.length == 0 || h.length == 1 && h.last == '\r'
		if !empty {
			h.lines++
		}
		h.ended = empty && h.lines > 0 // empty lines before a head mean nothing
		h.length, h.last = 0, 0
	}
}

// answer begins the next head after a body of this length, and reports whether the
// head before it was framed as it must be.
func (h *heads) answer(length int64) (well bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	well = !h.odd
	if length < 0 {
		h.stopped = true
	}
	rest := h.rest
	h.rest, h.body = nil, length
	h.ended, h.lines, h.size, h.odd = false, 0, 0, false
	h.scan(rest)
	return well
}

// unanswered reports whether there is a head without an answer.
func (h *heads) unanswered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}

// stop ends the watching.
func (h *heads) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped, h.rest = true, nil
}

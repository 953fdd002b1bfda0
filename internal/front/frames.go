package front

import "encoding/binary"

// preface is the beginning of an HTTP/2 connection.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// The frames of HTTP/2 that open and end requests (RFC 9113, section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameContinuation = 9

	endsStream  = 1 // flag of DATA and HEADERS
	endsHeaders = 4 // flag of HEADERS and CONTINUATION
)

// A frame is the head of a frame of HTTP/2.
type frame struct {
	length      int // of what follows
	kind, flags byte
	stream      uint32
}

func (f frame) ends() bool {
	return f.kind == frameReset || f.flags&endsStream != 0 && (f.kind == frameData || f.kind == frameHeaders)
}

// frames finds the frames in one direction of an HTTP/2 connection, however the bytes
// are split.
type frames struct {
	head [9]byte
	n    int // of head, so far
	skip int // bytes before the next head
}

// each calls f for each frame whose head ends in b.
func (s *frames) each(b []byte, f func(frame)) {
	for len(b) > 0 {
		if skip := min(s.skip, len(b)); skip > 0 {
			s.skip -= skip
			b = b[skip:]
			continue
		}
		n := copy(s.head[s.n:], b)
		s.n += n
		b = b[n:]
		if s.n < len(s.head) {
			return
		}
		length := int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
		s.n, s.skip = 0, length
		f(frame{length, s.head[3], s.head[4], binary.BigEndian.Uint32(s.head[5:]) &^ (1 << 31)})
	}
}

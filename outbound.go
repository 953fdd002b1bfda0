package neoapi

import (
	"errors"
	"io"
	"sync/atomic"
)

// An outbound is the body of a request that must not go out twice. It notes whether
// anybody asked for it: a transport does so once it has a connection, so the service
// cannot have acted on a request whose body was never read.
type outbound struct {
	io.ReadCloser
	state atomic.Int32 // one of the following
}

const (
	bodyUntouched = iota
	bodyRead
	bodyShut
)

var errShut = errors.New("the request was given up before it was sent")

func (b *outbound) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyUntouched, bodyRead) && b.state.Load() == bodyShut {
		return 0, errShut
	}
	return b.ReadCloser.Read(p)
}

// shut makes sure that the body is not read from now on, and reports true, unless it was
// read before.
func (b *outbound) shut() bool { return b.state.CompareAndSwap(bodyUntouched, bodyShut) }

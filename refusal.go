package neoapi

import (
	"bytes"
	"io"
	"net/http"

	"neoapi/internal/wire"
)

// glance is the longest answer, in bytes, that is looked at for what it says of
// the session.
const glance = 4 << 10

// refusal reads an answer that can say that the session or the access token is
// refused, and puts back what it read. It returns nil for all others.
func (t *caller) refusal(op string, resp *http.Response) *Error {
	short := resp.ContentLength > 0 && resp.ContentLength <= glance
	if !t.mayRefuse(resp, short) {
		return nil
	}
	start := peek(resp, short)
	if len(start) > glance || resp.StatusCode/100 == 2 && !names(start) {
		return nil // a failure is short
	}
	top := toObject(start)
	if top == nil {
		return nil // a page says nothing about the session
	}
	_, fail := decode(op, resp.StatusCode, start)
	if fail == nil || fail.Category != ErrSessionEnded && fail.Category != ErrAccessToken {
		return nil
	}
	if known, _ := wire.Lookup(fail.Code); known.Category == "" && !tradeForbids(resp.StatusCode, top) {
		return nil
	}
	return fail
}

// mayRefuse reports whether an answer is looked at for what it says of the session.
func (t *caller) mayRefuse(resp *http.Response, short bool) bool {
	refused := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	return refused || t.renews && resp.StatusCode/100 == 2 && (short || t.whole) // a failure that travels as a 200
}

// tradeForbids reports whether an answer without a code is the trade API's own 403. Any
// other status alone may mean the address or the account.
func tradeForbids(status int, top object) bool {
	return status == http.StatusForbidden && (top["stat"] != nil || top["stCode"] != nil)
}

// peek returns the beginning of an answer's body, which is put back. A short body is
// read in one piece, as most are.
func peek(resp *http.Response, short bool) (start []byte) {
	var err error
	rest := io.Reader(resp.Body)
	if short {
		start = make([]byte, resp.ContentLength)
		var n int
		n, err = io.ReadFull(resp.Body, start)
		start = start[:n]
	} else {
		start, err = io.ReadAll(io.LimitReader(resp.Body, glance+1))
	}
	if err != nil {
		rest = broken{err}
	}
	resp.Body = &putBack{start, rest, resp.Body}
	return start
}

// names reports whether an answer has one of the codes with which the session or
// the access token is refused.
func names(answer []byte) bool {
	for _, f := range []wire.Failure{wire.BadSession, wire.HeaderMissing, wire.WrongSecret, wire.BadAccess, wire.NoAccess} {
		if bytes.Contains(answer, []byte(f.Code)) {
			return true
		}
	}
	return false
}

// A putBack is a body whose beginning was read and is read again.
type putBack struct {
	start []byte
	rest  io.Reader
	io.Closer
}

func (b *putBack) Read(p []byte) (int, error) {
	if len(b.start) == 0 {
		return b.rest.Read(p)
	}
	n := copy(p, b.start)
	b.start = b.start[n:]
	return n, nil
}

// broken is a body whose reading failed.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

package neoapi

import (
	"bytes"
	"io"
	"net/http"

	"neoapi/internal/wire"
)

// glance is the longest answer, in bytes, that is checked for a refusal of the
// session.
const glance = 4 << 10

// refusal returns the failure of an answer that refuses the session or the access
// token, and nil for all others. It puts back what it reads.
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
	if top.none() {
		return nil // a web page does not mean that the session ended
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

// mayRefuse reports whether an answer is checked for a refusal of the session.
func (t *caller) mayRefuse(resp *http.Response, short bool) bool {
	if resp.ContentLength > glance {
		return false // a failure is short
	}
	refused := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	return refused || t.renews && resp.StatusCode/100 == 2 && (short || t.whole) // a failure sent as a 200
}

// tradeForbids reports whether an answer without a code is the trade API's own 403.
// Other statuses alone may be about the address or the account.
func tradeForbids(status int, top object) bool {
	return status == http.StatusForbidden && (top.at("stat") != nil || top.at("stCode") != nil)
}

// peek returns the beginning of an answer's body and puts it back. A short body, as
// most are, is read whole.
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

// names reports whether an answer contains one of the codes that refuse the session
// or the access token.
func names(answer []byte) bool {
	for _, f := range []wire.Failure{wire.BadSession, wire.HeaderMissing, wire.WrongSecret, wire.BadAccess, wire.NoAccess} {
		if bytes.Contains(answer, []byte(f.Code)) {
			return true
		}
	}
	return false
}

// A putBack is a body whose beginning was read and put back.
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

// broken is a body that failed to be read.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

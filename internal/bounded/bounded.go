// Package bounded limits what a hostile HTTP server can do to its caller: every answer
// ends with the call's context, and its head is small. Readers limit bodies themselves.
// It imports only the standard library.
package bounded

import (
	"errors"
	"net/http"
	"sync"
)

// maxHead limits an answer's head, together with all informational answers before it.
// The default of net/http is 10 MB, which takes 25 times as much memory if its lines
// are short.
const maxHead = 64 << 10

// ErrSwitched is returned for an answer 101 Switching Protocols to a request that asked
// for no other protocol.
var ErrSwitched = errors.New("the server switched to another protocol (101) without being asked")

// What an HTTP/2 server may send ahead of the reader, and in one frame. net/http's
// default is 4 MB for each answer and a gigabyte for each connection.
const (
	maxAhead     = 256 << 10
	maxAheadConn = 1 << 20
	maxFrame     = 64 << 10
)

// Limited returns a copy of a transport that refuses large heads and buffers little.
func Limited(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.MaxResponseHeaderBytes = maxHead
	h2 := http.HTTP2Config{}
	if t.HTTP2 != nil {
		h2 = *t.HTTP2
	}
	h2.MaxReceiveBufferPerStream, h2.MaxReceiveBufferPerConnection, h2.MaxReadFrameSize = maxAhead, maxAheadConn, maxFrame
	t.HTTP2 = &h2
	return t
}

// New returns a [Limited] copy of [http.DefaultTransport] that does not decompress, so a
// reader's limit is on what is received: compressed, an endless answer may be empty. Wrap
// it in [Transport].
func New() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced it
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t = Limited(t)
	t.DisableCompression = true
	return t
}

// shared is the Limited copy of http.DefaultTransport, whose connections all share.
var shared struct {
	sync.Mutex
	of, copy *http.Transport
}

// Default returns a [Limited] copy of [http.DefaultTransport], the same each time, or that
// itself if the program has replaced it by a round tripper of another kind. Wrap it in
// [Transport].
func Default() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.of != t {
		shared.of, shared.copy = t, Limited(t)
	}
	return shared.copy
}

// Transport returns a transport that sends by base, and returns [ErrSwitched] for an
// answer 101 to a request without an Upgrade header. The body of such an answer is the
// connection itself, which ignores the context, so reading it might never end.
func Transport(base http.RoundTripper) http.RoundTripper { return transport{base} }

type transport struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols && r.Header.Get("Upgrade") == "" {
		_ = resp.Body.Close()
		return nil, ErrSwitched
	}
	return resp, err
}

// CloseIdleConnections makes [http.Client.CloseIdleConnections] work.
func (t transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

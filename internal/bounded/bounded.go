// Package bounded is for calling HTTP servers that may do anything: what it makes
// ends an answer with the call's context and keeps its head small. How much of a body
// is read is its reader's business. It needs nothing but the standard library.
package bounded

import (
	"errors"
	"net/http"
)

// maxHead is how large an answer's head may be, and all informational answers before
// it together. The limit of net/http, 10 MB, takes 25 times as much memory when
// it is full of short lines.
const maxHead = 64 << 10

// ErrSwitched is what a call gets that asked for no other protocol and is answered
// 101 Switching Protocols.
var ErrSwitched = errors.New("the server switched to another protocol (101), which nobody asked for")

// New returns a copy of [http.DefaultTransport] that takes no large head. Use it
// within [Transport].
func New() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has put something in its place
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t = t.Clone()
	t.MaxResponseHeaderBytes = maxHead
	return t
}

// Transport returns a transport that sends what base sends and refuses an answer 101 to a
// request without the header Upgrade, with [ErrSwitched]: the body of such an answer
// is the connection itself, which knows no context, so that reading it may never end.
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

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

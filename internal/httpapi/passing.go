package httpapi

import (
	"net/http"
	"strings"
)

// passing are the client's headers that are passed to the trade API, besides those of a
// WebSocket. All others are dropped: servers trust dozens of headers for who sends a call,
// from where, by which method and for which path, and here the client has set them.
// docs/security.md and the configurations in deploy/ have the same list.
var passing = func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.FieldsSeq(`
		Accept Accept-Charset Accept-Encoding Accept-Language Cache-Control Pragma Range Prefer Priority
		If-Match If-None-Match If-Modified-Since If-Unmodified-Since If-Range Last-Event-Id
		Content-Type Content-Encoding Content-Language Content-Disposition Content-Range Content-Md5 Content-Digest Repr-Digest Digest
		Cookie Date Origin Referer User-Agent Expect Te Access-Control-Request-Method Access-Control-Request-Headers
		Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-Dest Sec-Fetch-User X-Requested-With
		Neo-Fin-Key X-Client-Id X-Request-Id X-Correlation-Id Idempotency-Key X-Idempotency-Key
		Traceparent Tracestate Baggage
	`) {
		names[name] = true
	}
	return names
}()

// ofWebSocket are the headers by which a connection becomes a WebSocket.
var ofWebSocket = []string{"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"}

// keepPassing removes headers that are not passed to the trade API. A connection can
// be upgraded only to a WebSocket: with HTTP/2 in it (h2c) further calls would be
// unchecked.
func keepPassing(h http.Header) {
	socket := http.Header{}
	if strings.EqualFold(h.Get("Upgrade"), "websocket") {
		for _, name := range ofWebSocket {
			if values, ok := h[name]; ok {
				socket[name] = values
			}
		}
	}
	for name := range h {
		if !passing[name] && socket[name] == nil {
			delete(h, name)
		}
	}
}

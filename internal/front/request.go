package front

import (
	"crypto/tls"
	"net"
	"net/http"
)

// handled passes requests to a handler, except badly framed ones.
func (d *door) handled(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := connOf(r)
		wellFramed, bytes := c.headRead(r)
		if !wellFramed { // as for requests that net/http cannot read, since its headers are ambiguous
			w.Header().Set("Connection", "close")
			Send(w, r, Answer{Status: errFraming.Status, Body: d.refused(errFraming)})
			return
		}
		defer c.answered(bytes)
		h.ServeHTTP(w, r)
	})
}

// RequestRead reports that the request has been read as far as it will be before it is
// processed: until the answer, its client does not keep the server waiting.
func RequestRead(r *http.Request) { connOf(r).requestRead() }

// Ending reports whether the server is shutting down.
func Ending(r *http.Request) bool { return connOf(r).ending() }

// LastOnConnection reports whether a request's connection must end with the answer. It
// may have had a Transfer-Encoding together with a length, or in HTTP/1.0, which
// net/http does not reveal: then what follows is ambiguous (security.md H5).
func LastOnConnection(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) || Ending(r)
}

// Hijacked reports whether a request's connection is no longer HTTP, for example
// because it became a WebSocket.
func Hijacked(r *http.Request) bool {
	c := connOf(r)
	return c != nil && c.hijacked.Load()
}

// TLS returns the TLS state of a request's connection, or nil. [http.Request.TLS] is nil
// for all.
func TLS(r *http.Request) *tls.ConnectionState {
	if c := connOf(r); c != nil {
		if secure, ok := c.Conn.(*tls.Conn); ok {
			state := secure.ConnectionState()
			return &state
		}
	}
	return nil
}

// Unix returns the Unix socket's connection that a request came by, or nil.
func Unix(r *http.Request) *net.UnixConn {
	if c := connOf(r); c != nil {
		if local, ok := c.raw.(*net.UnixConn); ok {
			return local
		}
	}
	return nil
}

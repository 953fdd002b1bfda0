// Package front is what comes before the handlers of an API: the listener and its
// limits, TLS, reading bodies and sending answers. It knows only HTTP: its user
// defines the bodies of refusals.
//
// Start with [Server]; door.go and held.go limit connections and memory, answer.go sends
// answers.
package front

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"
)

// A Server serves requests of a listener. Its handler calls [RequestRead] once for each.
type Server struct {
	Handler http.Handler
	Refused func(*Refusal) any // the body, sent as JSON, for requests refused before the handler sees them
	Log     *slog.Logger
	Now     func() time.Time // for the header Date; nil: time.Now
	TLS     *tls.Config      // nil: plain HTTP. HTTP/2 is spoken if its NextProtos have h2
	Limits
}

// Limits limit what clients may use of a server. The zero value of each field means
// its default.
type Limits struct {
	Connections int           // at once; default 2,048
	HeadTime    time.Duration // for a TLS handshake and the first head, and for each further head; default 5 seconds
	ReadTime    time.Duration // for a whole request; default 15 seconds

	// Linger is how long an idle connection stays open once the server is shutting down,
	// so that the client's next request is not lost; the default is not at all.
	Linger time.Duration

	// NotAccepted, if not nil, is called for each try to accept a connection for which
	// there is no file descriptor.
	NotAccepted func()

	// Held, if not nil, is called with the approximate memory held for all clients, in
	// bytes, every second and whenever it has changed by some megabytes.
	Held func(bytes int)
}

// WriteTimeout is the time from the end of a request's head to the end of its answer,
// unless a handler sets another deadline.
const WriteTimeout = 30 * time.Second

const (
	connections  = 2048
	headTime     = 5 * time.Second
	readTime     = 15 * time.Second
	idleTimeout  = 90 * time.Second
	drainTimeout = 20 * time.Second
	maxHeader    = 16 << 10      // of a request's whole head
	maxFields    = 256           // headers of a request
	maxLines     = maxFields + 2 // of a head in HTTP/1: and the first, and Host

	// HTTP/2, for each connection.
	maxStreams   = 32 // requests at once
	maxFrame     = 16 << 10
	streamWindow = 32 << 10 // how much of one body may be sent before it is read,
	connWindow   = 64 << 10 // and of all bodies together
)

// Serve answers requests until the context is done. Then it accepts no more
// connections, each answer is the last on its connection, and running requests may
// finish, for at most 20 seconds. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	d := newDoor(l, cmp.Or(s.Connections, connections), s.Log)
	if s.Now != nil {
		d.now = s.Now
	}
	d.refused, d.notAccepted = s.Refused, s.NotAccepted
	d.headTime, d.readTime = cmp.Or(s.HeadTime, headTime), cmp.Or(s.ReadTime, readTime)
	server := &http.Server{
		Handler:           d.timed(d.handled(s.Handler)),
		ReadHeaderTimeout: d.headTime,
		IdleTimeout:       -1,                // the door enforces this and the other timeouts: see overdue.go
		MaxHeaderBytes:    maxHeader * 3 / 2, // beyond it net/http answers, in HTTP/2 not as JSON
		Protocols:         &http.Protocols{},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connWindow,
			WriteByteTimeout:              WriteTimeout,
		},
		// OPTIONS * is answered like any other unknown path.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // clients' protocol errors
		ConnState:                    d.state,
	}
	server.Protocols.SetHTTP1(true)
	if d.tls = s.TLS; s.TLS != nil {
		// The door does TLS itself: net/http sees the decrypted content, in which HTTP/2
		// looks unencrypted.
		d.http2 = slices.Contains(s.TLS.NextProtos, "h2")
		server.Protocols.SetUnencryptedHTTP2(d.http2)
	}
	// Requests in progress are not cancelled with the context.
	server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}

	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go d.watch(watching)
	if s.Held != nil {
		go d.report(watching, s.Held)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(d) }()
	var err error
	select {
	case err = <-stopped:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	d.end()
	if err = <-stopped; errors.Is(err, net.ErrClosed) {
		err = nil
	}
	// net/http drops a partly read request on Shutdown, so first every client that may
	// be sending one gets an answer.
	d.settle(s.Linger)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if derr := server.Shutdown(drain); derr != nil {
		err = errors.Join(err, derr, server.Close())
	}
	return err
}

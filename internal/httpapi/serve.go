package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"neoapi/internal/wire"
)

// The server's patience. The write timeout leaves room for the longest wait for
// a code in the sandbox.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = maxWait + 15*time.Second
	idleTimeout       = 90 * time.Second
	maxHeader         = 16 << 10
	drainTimeout      = 20 * time.Second
)

// Serve answers requests on a listener until the context ends; then it lets the
// requests that are under way finish, for 20 seconds at most. It closes the
// listener.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// OPTIONS * is answered like any other unknown path.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong on the wire
	}
	// The context's end does not end the requests that are under way.
	server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }

	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(&listener{l}) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if serr := <-stopped; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	if err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// A listener makes connections that speak the protocol even where net/http
// answers by itself, before any handler runs (bar H2).
type listener struct{ net.Listener }

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{c}, nil
}

// A conn replaces the plain-text answers of net/http to requests that it cannot
// read. It writes each of them in one piece, with these headers and in this
// order, which no answer of a handler has; or, for an unknown Expect, without a
// body.
type conn struct{ net.Conn }

// CloseWrite lets net/http end its side first, so that a client that is still
// sending reads the answer before the connection is reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var (
	ownHeaders        = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	expectationFailed = []byte("HTTP/1.1 417 ")
)

func (c *conn) Write(b []byte) (int, error) {
	line, _, found := bytes.Cut(b, ownHeaders)
	if found && (bytes.ContainsAny(line, "\r\n") || !bytes.HasPrefix(line, []byte("HTTP/1."))) {
		found = false
	}
	if !found && !bytes.HasPrefix(b, expectationFailed) {
		return c.Conn.Write(b)
	}
	status, detail := http.StatusBadRequest, "the request is not well-formed HTTP"
	switch {
	case bytes.HasPrefix(b, expectationFailed):
		status, detail = http.StatusExpectationFailed, "the Expect header asks for something unknown"
	case bytes.Contains(line, []byte(" 431")):
		status, detail = http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the headers are larger than %d bytes", maxHeader)
	case bytes.Contains(line, []byte(" 501")):
		status, detail = http.StatusNotImplemented, "the Transfer-Encoding is not supported: send the body plainly or chunked"
	case bytes.Contains(line, []byte(" 505")):
		status, detail = http.StatusHTTPVersionNotSupported, "this service speaks HTTP/1.1"
	}
	body, err := json.Marshal(wire.Failed{Error: []wire.Problem{{Code: wire.BadInput.Code, Message: detail}}})
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	return len(b), err
}

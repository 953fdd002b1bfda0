package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 2 * time.Second

	// Shorter than existing servers wait for the next request on a connection (5 s and
	// more), so that a call is seldom sent on one that is being closed.
	upstreamIdle  = 4 * time.Second
	upstreamLook  = 5 * time.Second
	upstreamConns = 256      // kept for the next call
	upstreamHead  = 64 << 10 // of an answer's head
)

// A Gateway forwards calls to the trade API behind the service, after their sessions
// were checked, with a signed identity in place of their credentials. Create one with
// [NewGateway], and run [Gateway.Run] while it is used.
type Gateway struct {
	target  *url.URL
	dial    dialFunc // nil: the trade API is in this process
	public  func(path string) bool
	serves  func(path string) (methods string, ok bool)
	proxy   httputil.ReverseProxy
	streams streams
	trouble atomic.Pointer[error] // why the trade API could not be reached last time
}

// An Upstream is where trade calls go.
type Upstream struct {
	URL string // such as https://trade.example.com

	// Transport answers calls in place of the server at URL, which may then be "": a trade
	// API in this process. An answer with status 101 has an [io.ReadWriteCloser] for its
	// body. The end of a session closes the bodies of its running answers, whose reads must
	// then fail. nil means the network.
	Transport http.RoundTripper

	// Public reports whether a path needs no credentials at all. nil: none does.
	Public func(path string) bool

	// Serves reports whether the trade API has something at a path, and for which methods.
	// nil: it decides itself.
	Serves func(path string) (methods string, ok bool)
}

// inProcess is the address used for a trade API in this process.
const inProcess = "http://trade-api.internal"

// NewGateway returns a gateway to a trade API. It does not connect yet.
func NewGateway(to Upstream, log *slog.Logger) (*Gateway, error) {
	address := to.URL
	if address == "" && to.Transport != nil {
		address = inProcess
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(address, "?#") {
		return nil, errors.New("trade API: must be an address such as https://trade.example.com, without user, query or fragment")
	}
	g := &Gateway{target: u, public: to.Public, serves: to.Serves}
	if to.Transport == nil {
		to.Transport = g.network()
	}
	g.proxy = httputil.ReverseProxy{
		Rewrite: g.rewrite, ModifyResponse: g.answered, ErrorHandler: g.failed, Transport: to.Transport,
		BufferPool: &buffers{}, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return g, nil
}

// network returns the transport to a trade API elsewhere.
func (g *Gateway) network() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
	t := &http.Transport{
		DialContext:            notSent(dialer.DialContext),
		DialTLSContext:         notSent(withTimeout(secure.DialContext)),
		DisableCompression:     true, // an answer goes through as it is
		MaxIdleConns:           upstreamConns,
		MaxIdleConnsPerHost:    upstreamConns,
		IdleConnTimeout:        upstreamIdle,
		MaxResponseHeaderBytes: upstreamHead,
		Protocols:              &http.Protocols{},
	}
	t.Protocols.SetHTTP1(true)
	if g.dial = t.DialContext; g.target.Scheme == "https" {
		g.dial = t.DialTLSContext
	}
	return t
}

// errNotSent is a failure before any byte of a call was sent.
type errNotSent struct{ error }

func (e errNotSent) Unwrap() error { return e.error }

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// notSent marks the errors of a dial.
func notSent(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, errNotSent{err}
		}
		return c, nil
	}
}

// withTimeout bounds a dial and the handshake after it.
func withTimeout(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
		defer cancel()
		return dial(ctx, network, address)
	}
}

// Health returns why the trade API could not be reached at the last check, which is
// at most some seconds old, or nil.
func (g *Gateway) Health() error {
	if err := g.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// watch checks a trade API elsewhere periodically until the context is done, and logs
// each change: only trade calls fail without it.
func (g *Gateway) watch(ctx context.Context, log *slog.Logger) {
	for {
		err := g.reach(ctx)
		was := g.Health()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			g.trouble.Store(&err)
		default:
			g.trouble.Store(nil)
		}
		switch {
		case err != nil && was == nil:
			log.WarnContext(ctx, "trade calls fail", "cause", err)
		case err == nil && was != nil:
			log.InfoContext(ctx, "the trade API can be reached again")
		}
		select {
		case <-time.After(upstreamLook):
		case <-ctx.Done():
			return
		}
	}
}

// reach connects to the trade API and returns why that fails. It sends no request.
func (g *Gateway) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
	defer cancel()
	port := g.target.Port()
	if port == "" {
		port = g.target.Scheme // a service name works like a port number
	}
	c, err := g.dial(ctx, "tcp", net.JoinHostPort(g.target.Hostname(), port))
	if err != nil {
		return fmt.Errorf("the trade API at %s cannot be reached: %w", g.target, err)
	}
	return c.Close()
}

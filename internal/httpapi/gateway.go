package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/wire"
)

const (
	answerTimeout = 20 * time.Second // from a call's head to the head of the trade API's answer
	renewWriting  = 5 * time.Second  // how often an answer that goes on gets its time to be written anew
	upstreamRetry = 2 * time.Second  // what callers are told to wait when the trade API is down
	maxInformed   = 16               // informational answers (1xx) to one call
)

// Run ends streams whose session has ended, within a second, and watches over the
// trade API, until the context ends; then it ends the streams that would stay.
func (g *Gateway) Run(ctx context.Context, svc *login.Service, log *slog.Logger) {
	var looks sync.WaitGroup
	if g.dial != nil {
		looks.Go(func() { g.watch(ctx, log) })
	}
	defer looks.Wait()
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.streams.check(ctx, svc)
		case <-ctx.Done():
			g.streams.end()
			return
		}
	}
}

// Wait returns when no stream is under way. Call it after Run, when no more calls
// come.
func (g *Gateway) Wait() { g.streams.busy.Wait() }

// ownPrefixes are where the service's own addresses are; what has none of them is
// the trade API's.
var ownPrefixes = []string{"/oauth2/", "/login/", "/api/1.0/login/", "/api/1.0/logout", "/apim/login/", "/algo-user/", "/5config/", "/sandbox/", "/.well-known/", "/auth/"}

// ownPaths are the service's own addresses beside them.
var ownPaths = map[string]bool{"/auth": true, "/livez": true, "/readyz": true, "/metrics": true}

// isOwnPath reports whether an address is the service's own, whatever is there.
func isOwnPath(path string) bool {
	for _, prefix := range ownPrefixes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return ownPaths[path] || !strings.HasPrefix(path, "/")
}

// climbs tells whether a path has segments that lead up: servers read them
// differently. Some take a backslash for a slash, and what follows a semicolon for a
// parameter of the segment.
func climbs(path string) bool {
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}

// passing is an endpoint whose requests go to the trade API.
func (a *api) passing(op wire.Op, need access) endpoint {
	return endpoint{op: op, passes: true, style: styleTrade, handle: a.recognised(need, a.admitted)}
}

// admitted is an endpoint's work before a call goes to the trade API: it judges
// the session and has its identity signed.
func (a *api) admitted(c *call) (front.Answer, error) {
	switch {
	case climbs(c.URL.Path):
		return front.Answer{}, &front.Refusal{Status: http.StatusBadRequest, Detail: "the path must not have segments of dots"}
	case c.ContentLength > wire.MaxTradeBody:
		return front.Answer{}, front.TooLarge(wire.MaxTradeBody)
	}
	var err error
	if c.session, err = a.tradeSession(c); err != nil {
		return front.Answer{}, err
	}
	c.secure = strings.EqualFold(c.Header.Get("X-Forwarded-Proto"), "https") && a.Proxies.sent(c.Request)
	c.identity, err = a.login.Identity(c.session)
	return front.Answer{}, err
}

// A passage is a call on its way to the trade API, and its answer on the way back.
type passage struct {
	http.ResponseWriter
	call    *call
	cancel  context.CancelCauseFunc
	slow    *time.Timer
	status  int   // of the answer, 0 before it has begun
	size    int64 // of its body so far
	inform  int   // informational answers before it
	renewed time.Time
	end     error // why there is no answer, or why it ended too early
	control *http.ResponseController

	bodyErr atomic.Pointer[error] // why the call's body could not be read
}

type passageKey struct{}

func passageOf(r *http.Request) *passage { return r.Context().Value(passageKey{}).(*passage) }

var (
	errSlow     = errors.New("no answer within " + answerTimeout.String())
	errTooEarly = errors.New("the trade API ended its answer before it was complete")
	errInformed = errors.New("the trade API gives informational answers without end")
	errSwitched = errors.New("the trade API switches to a protocol that nobody asked for")
)

// forward is how a call ends that the trade API answers. The answer goes back as it
// comes; if there is none, the service says why. One that breaks off ends its connection.
func (a *api) forward(w http.ResponseWriter, c *call) outcome {
	if _, err := a.work(w, c); err != nil {
		return a.refuse(w, c, err)
	}
	p := a.TradeAPI.pass(w, c)
	if p.status == 0 {
		return a.refuse(w, c, p.end)
	}
	return outcome{status: p.status, size: int(p.size), err: p.end, cut: p.end != nil}
}

// pass passes a call on, and the answer back. If there is none, it has written nothing.
func (g *Gateway) pass(w http.ResponseWriter, c *call) *passage {
	ctx, cancel := context.WithCancelCause(c.Context())
	p := &passage{ResponseWriter: w, call: c, cancel: cancel, control: http.NewResponseController(w)}
	p.slow = time.AfterFunc(answerTimeout, func() { cancel(errSlow) })
	defer func() {
		p.slow.Stop()
		g.streams.remove(p)
		if x := recover(); x == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			if p.end = context.Cause(ctx); p.end == nil {
				p.end = errTooEarly
			}
		} else if x != nil {
			p.end = unexpected(x)
		}
		cancel(nil)
	}()
	r := c.WithContext(context.WithValue(ctx, passageKey{}, p))
	if r.ContentLength != 0 {
		r.Body = &callBody{http.MaxBytesReader(w, r.Body, wire.MaxTradeBody), p}
	}
	g.proxy.ServeHTTP(p, r)
	return p
}

// rewrite makes the trade API's request out of the client's: of its headers only what
// is known to be harmless, and beside them what the service knows of the call.
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	p := passageOf(pr.In)
	pr.SetURL(g.target)
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery // as it is: nobody here reads it
	h := pr.Out.Header
	keepPassing(h)
	scheme := "http"
	if front.TLS(pr.In) != nil || p.call.secure {
		scheme = "https"
	}
	pr.Out.Trailer = nil // a name that the client announces could be one of these
	set := func(name, value string) { h[name] = []string{value} }
	set(wire.HeaderIdentity, p.call.identity)
	set(wire.HeaderRequestID, p.call.requestID)
	set("X-Forwarded-For", p.call.caller.Address)
	set("X-Forwarded-Host", pr.In.Host)
	set("X-Forwarded-Proto", scheme)
	// net/http sends a call with one of these again when a connection breaks, orders
	// too. It looks for them in this spelling only.
	for _, name := range []string{wire.HeaderIdempotencyKey, "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// answered looks at the head of an answer before it goes to the client.
func (g *Gateway) answered(resp *http.Response) error {
	p := passageOf(resp.Request)
	if !p.slow.Stop() {
		return errSlow
	}
	switches := resp.StatusCode == http.StatusSwitchingProtocols
	if switches {
		if !strings.EqualFold(resp.Header.Get("Upgrade"), resp.Request.Header.Get("Upgrade")) {
			return errSwitched // here, or the connection would stay open
		}
		resp.ContentLength = 0 // of its own; if it is unknown, [http.Response.Write] adds Connection: close
	}
	stays := switches || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	if stays || resp.ContentLength < 0 || resp.ContentLength > streamSize {
		if err := g.streams.add(p, stays); err != nil {
			return err
		}
		if body := resp.Body; g.dial == nil { // over the network the context ends it
			context.AfterFunc(resp.Request.Context(), func() { _ = body.Close() })
		}
	}
	p.status = resp.StatusCode
	h := p.Header() // which an informational answer has cleared
	h.Set(wire.HeaderRequestID, p.call.requestID)
	if len(resp.Header["Cache-Control"]) == 0 {
		// Nobody's orders belong into a cache, and a cache may take a call without
		// Authorization for anybody's.
		resp.Header["Cache-Control"] = []string{"no-store"}
	}
	if len(resp.Header["Date"]) == 0 {
		front.SetDate(resp.Header, p.call.Request)
	}
	resp.Header.Del(wire.HeaderRequestID) // it is the same, and is there already
	resp.Header.Del(wire.HeaderIdentity)  // it is between the two of us
	if !switches && front.LastOnConnection(p.call.Request) {
		h.Set("Connection", "close")
	}
	p.writes()
	return nil
}

// failed keeps why there is no answer. A 503 says that the call was not sent, a 504
// that nobody knows.
func (g *Gateway) failed(_ http.ResponseWriter, r *http.Request, err error) {
	p := passageOf(r)
	if front.Hijacked(r) {
		return // it was on its way already
	}
	p.status = 0
	p.Header().Set(wire.HeaderRequestID, p.call.requestID)
	ctx := r.Context()
	var broken *login.Error
	bodyErr := p.bodyErr.Load()
	switch {
	case errors.As(err, &broken):
		p.end = broken
	case bodyErr != nil:
		p.end = front.BodyError(*bodyErr)
	case errors.Is(context.Cause(ctx), errSlow) || errors.Is(err, errSlow):
		p.end = &login.Error{Kind: login.KindUpstreamTimeout, Detail: "the trade API did not answer in time: check before you send it again", Err: errSlow}
	case errors.As(err, new(errNotSent)) && !timeout(err):
		p.end = &login.Error{Kind: login.KindUpstreamDown, Detail: "the trade API is not available, and the call was not sent", RetryAfter: upstreamRetry, Err: err}
	case errors.As(err, new(errNotSent)):
		p.end = &login.Error{Kind: login.KindUpstreamTimeout, Detail: "the trade API is unreachable, and the call was not sent", Err: err}
	default:
		p.end = &login.Error{Kind: login.KindUpstreamTimeout, Detail: "the trade API gave no answer that can be read: check before you send it again", Err: unquoted(err)}
	}
}

// unquoted returns an error for the log without what it quotes of an answer.
func unquoted(err error) error {
	var network *net.OpError
	switch {
	case errors.As(err, &network):
		return network
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection ended before the answer")
	case errors.Is(err, errInformed), errors.Is(err, errSwitched):
		return err
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return errors.New("the answer is no HTTP")
}

func timeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// callBody is the body of a call that goes to the trade API.
type callBody struct {
	io.ReadCloser
	p *passage
}

func (b *callBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	if err != nil && !errors.Is(err, io.EOF) {
		b.p.bodyErr.Store(&err)
	}
	return n, err
}

// writes gives the answer its time to be written. In HTTP/2 a deadline would end a
// stream that has nothing to say for as long.
func (p *passage) writes() {
	now := time.Now()
	if p.call.ProtoMajor != 1 || now.Sub(p.renewed) < renewWriting {
		return
	}
	p.renewed = now
	_ = p.control.SetWriteDeadline(now.Add(front.WriteTimeout))
}

// Unwrap is for [http.ResponseController].
func (p *passage) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. Informational answers are passed on too,
// and net/http bounds each of them but not how many there are.
func (p *passage) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		if p.inform++; p.inform > maxInformed {
			p.cancel(errInformed)
			return
		}
	}
	p.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (p *passage) Write(b []byte) (int, error) {
	p.writes()
	n, err := p.ResponseWriter.Write(b)
	p.size += int64(n)
	return n, err
}

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

// Put implements [httputil.BufferPool].
func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

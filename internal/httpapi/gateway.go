package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
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
	renewWriting  = 5 * time.Second  // how often the write deadline of a continuing answer is renewed
	upstreamRetry = 2 * time.Second  // the Retry-After when the trade API is down
	maxInformed   = 16               // informational answers (1xx) to one call
)

// Run ends streams whose session has ended, within a second, and monitors the trade
// API until the context is done; then it ends the streams that stay open.
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

// Wait waits until there are no more streams. Call it after Run, when there are no
// more calls.
func (g *Gateway) Wait() { g.streams.busy.Wait() }

// ownPrefixes are the prefixes of the service's own paths; all other paths belong to
// the trade API.
var ownPrefixes = []string{"/oauth2/", "/login/", "/api/1.0/login/", "/api/1.0/logout", "/apim/login/", "/algo-user/", "/5config/", "/sandbox/", "/.well-known/", "/auth/"}

// ownPaths are the service's further paths.
var ownPaths = map[string]bool{"/auth": true, "/livez": true, "/readyz": true, "/metrics": true}

// isOwnPath reports whether a path is the service's own, whether or not it exists.
func isOwnPath(path string) bool {
	for _, prefix := range ownPrefixes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return ownPaths[path] || !strings.HasPrefix(path, "/")
}

// climbs reports whether a path has segments that lead up, which servers read
// differently. Some treat a backslash as a slash, and what follows a semicolon as a
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

// admitted is an endpoint's work before a call goes to the trade API: it checks the
// session and gets its signed identity.
func (a *api) admitted(c *call) (front.Answer, error) {
	err := a.passable(c)
	if err == nil {
		c.session, err = a.tradeSession(c)
	}
	if err != nil {
		return front.Answer{}, err
	}
	c.identity, err = a.login.Identity(c.session)
	return front.Answer{}, err
}

// market is the endpoint of a call that needs no session: a consumer may ask for market
// data at a rate of its own. With a session and without Authorization it is a trade call.
func (a *api) market(op wire.Op, rate int) endpoint {
	return endpoint{op: op, passes: true, style: styleTrade, handle: func(c *call) (front.Answer, error) {
		if len(c.Header["Authorization"]) == 0 && c.Header.Get(wire.HeaderSID) != "" {
			return a.admitted(c)
		}
		c.caller.Lane = login.Lane{Name: string(op), Rate: rate}
		err := a.recognise(c, accessBearerOrKey)
		if err == nil {
			err = a.passable(c)
		}
		if err == nil {
			c.identity, err = a.login.ConsumerIdentity(c.consumer)
		}
		return front.Answer{}, err
	}}
}

// public is the endpoint of a file that everybody may have.
func (a *api) public() endpoint {
	return endpoint{op: "scrip_file", passes: true, style: styleTrade, handle: func(c *call) (front.Answer, error) {
		return front.Answer{}, a.passable(c)
	}}
}

// passable refuses a call that no trade API should get.
func (a *api) passable(c *call) error {
	switch {
	case climbs(c.URL.Path):
		return &front.Refusal{Status: http.StatusBadRequest, Detail: "the path must not have segments of dots"}
	case c.ContentLength > wire.MaxTradeBody:
		return front.TooLarge(wire.MaxTradeBody)
	}
	c.secure = strings.EqualFold(c.Header.Get("X-Forwarded-Proto"), "https") && a.Proxies.sent(c.Request)
	return nil
}

// A passage is a call on its way to the trade API, and its answer on the way back.
type passage struct {
	http.ResponseWriter
	call    *call
	cancel  context.CancelCauseFunc
	slow    *time.Timer
	status  int   // of the answer, 0 before it has begun
	size    int64 // of its body so far
	inform  int   // number of informational answers before it
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
	errInformed = errors.New("the trade API gave more than " + strconv.Itoa(maxInformed) + " informational answers (1xx)")
	errSwitched = errors.New("the trade API switched to a protocol that the client did not ask for")
)

// forward ends a call with the trade API's answer. The answer is passed back unchanged;
// if there is none, the service answers why. If it breaks off, the connection is closed.
func (a *api) forward(w http.ResponseWriter, c *call) outcome {
	if _, err := a.work(w, c); err != nil {
		return a.refuse(w, c, err)
	}
	c.passed = true
	if fault := a.faultOf(c); fault != nil {
		var o outcome
		o.status, o.size, o.cut = fault(w, c.Request, func() front.Answer { return a.passed(c) })
		return o
	}
	p := a.TradeAPI.pass(w, c)
	if p.status == 0 {
		return a.refuse(w, c, p.end)
	}
	return outcome{status: p.status, size: int(p.size), err: p.end, cut: p.end != nil}
}

// faultOf takes the fault of a call, if faults are made here. They can depend on the
// call's body.
func (a *api) faultOf(c *call) func(http.ResponseWriter, *http.Request, func() front.Answer) (status, size int, cut bool) {
	if a.Fault == nil {
		return nil
	}
	var body []byte
	if c.ContentLength > 0 && c.ContentLength <= wire.MaxBody {
		var err error
		if body, err = io.ReadAll(c.Body); err != nil {
			return nil // the trade API's side says so
		}
		c.Body = io.NopCloser(bytes.NewReader(body))
	}
	return a.Fault(string(c.operation()), true, c.session.UCC, body)
}

// passed passes a call on and returns the answer, for a fault that affects only that.
func (a *api) passed(c *call) front.Answer {
	kept := keeper{header: http.Header{}}
	p := a.TradeAPI.pass(&kept, c)
	if p.status == 0 {
		return failure(c.endpoint, p.end)
	}
	contentType := kept.header.Get("Content-Type")
	kept.header.Del("Content-Length")
	return front.Answer{Status: p.status, Body: front.Raw{Type: contentType, Text: kept.body.Bytes()}, Header: kept.header}
}

// A keeper keeps an answer instead of sending it.
type keeper struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (k *keeper) Header() http.Header { return k.header }

// Write implements [http.ResponseWriter].
func (k *keeper) Write(b []byte) (int, error) { return k.body.Write(b) }

// WriteHeader implements [http.ResponseWriter].
func (k *keeper) WriteHeader(int) {}

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

// rewrite makes the trade API's request from the client's, with only those headers
// known to be harmless, and adds what the service knows about the call.
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	p := passageOf(pr.In)
	pr.SetURL(g.target)
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery // unchanged: it is not read here
	h := pr.Out.Header
	keepPassing(h)
	scheme := "http"
	if front.TLS(pr.In) != nil || p.call.secure {
		scheme = "https"
	}
	pr.Out.Trailer = nil // the client could announce one of these
	set := func(name, value string) { h[name] = []string{value} }
	if p.call.identity != "" {
		set(wire.HeaderIdentity, p.call.identity)
	}
	set(wire.HeaderRequestID, p.call.requestID)
	set("X-Forwarded-For", p.call.caller.Address)
	set("X-Forwarded-Host", pr.In.Host)
	set("X-Forwarded-Proto", scheme)
	// net/http resends a call with one of these, even an order, when a connection
	// breaks. It checks for this spelling only.
	for _, name := range []string{wire.HeaderIdempotencyKey, "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// answered checks the head of an answer before it goes to the client.
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
		resp.ContentLength = 0 // of the body; if it is unknown, [http.Response.Write] adds Connection: close
	}
	stays := switches || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	switch {
	case p.call.session.SID == "" && stays:
		return errSwitched // a stream ends with its session, and here is none
	case p.call.session.SID == "":
	case stays || resp.ContentLength < 0 || resp.ContentLength > streamSize:
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
		// Orders do not belong in a cache, and a cache may treat a call without
		// Authorization as public.
		resp.Header["Cache-Control"] = []string{"no-store"}
	}
	if len(resp.Header["Date"]) == 0 {
		front.SetDate(resp.Header, p.call.Request)
	}
	resp.Header.Del(wire.HeaderRequestID) // the same one, which is set already
	resp.Header.Del(wire.HeaderIdentity)  // only for the trade API
	if !switches && front.LastOnConnection(p.call.Request) {
		h.Set("Connection", "close")
	}
	p.writes()
	return nil
}

// failed records why there is no answer. A 503 means that the call was not sent, a
// 504 that this is not known.
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

// unquoted returns an error for the log without text quoted from an answer.
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
	return errors.New("the answer is not HTTP")
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

// writes renews the answer's write deadline. In HTTP/2 a deadline would end a stream
// that is silent for as long.
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

// WriteHeader implements [http.ResponseWriter]. It passes on informational answers too:
// net/http limits the size of each, but not their number.
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

// buffers are the buffers for copying answers.
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

// Package httpapi is the protocol's HTTP side: it decodes a request into a value
// of package login, calls one method, and renders the result or the error. No
// rule lives here.
//
// Start with [New]; the operations are in operations.go, one function each.
package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/courier"
	"neoapi/internal/login"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// Config is what the HTTP side needs beside the service.
type Config struct {
	PublicURL string         // the address clients reach this service at; "" if not known
	Books     bool           // answer trade calls with empty books; otherwise they answer 503
	Inbox     *courier.Inbox // served below /sandbox/otp/; nil: no sandbox paths
	Faults    *Faults        // served at /sandbox/faults; nil: none
	Demo      *Demo          // the sandbox's page at /, with one account; nil: none
	Proxies   Proxies        // whose word is taken for a request's origin
	TradeAPI  *Gateway       // where trade calls go; nil: nowhere
	Log       *slog.Logger

	// Now is the service's clock, for the header Date; nil means time.Now.
	Now func() time.Time

	// Begin is told of each request whose head and body have come, by its operation's
	// name, and end of its answer; the context is that of the work in between. nil:
	// nobody is told.
	Begin func(r *http.Request, op string) (ctx context.Context, end func(status int, took time.Duration))
}

// An api is the handler that New returns.
type api struct {
	Config
	login     *login.Service
	endpoints map[string]endpoint // by path: no patterns, and so no redirects (bar H3)
}

// An endpoint is what one path answers.
type endpoint struct {
	op     wire.Op
	method string
	style  style
	wait   time.Duration // how long it may wait for something beside its work
	cache  string        // the header Cache-Control of its successes; "" for no-store
	passes bool          // after handle the request goes to the trade API, its body unread; any method may
	handle func(*call) (answer, error)
}

// A style is the shape of an endpoint's failures.
type style int

const (
	session style = iota // {"error":[{code,message}]}
	oauth                // RFC 6749
	trade                // the trade API's, with the session shape beside it
)

// A call is one request on its way through.
type call struct {
	*http.Request
	ctx      context.Context // ends when the stores have been waited for too long (bar R1)
	op       wire.Op         // for the log
	body     []byte          // all of it
	consumer login.Consumer
	caller   login.Caller
	answers  http.Header      // of the answer
	now      func() time.Time // the service's clock

	// Of a call that goes to the trade API.
	session  login.Session
	identity string // signed
	secure   bool   // a trusted proxy says that it came by TLS
}

// Context returns the context that calls of package login get.
func (c *call) Context() context.Context { return c.ctx }

// An answer is a status and a body, which is rendered as JSON unless it is plain text.
type answer struct {
	status int
	body   any
}

// plain is a body of plain text.
type plain string

// New returns the handler of a service. It answers every failure in the
// protocol's shape, panics included, and sends no redirect.
func New(svc *login.Service, cfg Config) http.Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &api{Config: cfg, login: svc, endpoints: map[string]endpoint{}}
	for _, r := range wire.Routes {
		a.endpoints[r.Path] = a.endpoint(r)
	}
	if a.TradeAPI == nil {
		for _, r := range tradewire.Routes() {
			a.endpoints[r.Path] = endpoint{op: r.Op, method: r.Method, style: trade, handle: a.recognised(tradeNeed(r.Path), a.book)}
		}
	}
	a.addHealth()
	for _, r := range wire.Standards {
		a.endpoints[r.Path] = a.standard(r)
	}
	return a
}

// ServeHTTP implements [http.Handler].
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{Request: r, caller: login.Caller{Address: a.Proxies.address(r), RequestID: given(r)}, now: a.Now}
	shown := c.caller.RequestID
	if shown == "" {
		shown = uuid.NewString()
	}
	h := w.Header()
	c.answers = h
	conn := connOf(r)
	wellFramed, bytes := conn.begins(r)
	if !wellFramed { // like all that net/http cannot read: nobody knows what its headers are
		preset(h, "")
		h.Set("Connection", "close")
		a.send(w, r, a.failure(h, endpoint{}, errFraming))
		return
	}
	preset(h, shown)
	ep, err := a.take(w, c)
	conn.works()
	defer conn.rests(bytes)
	ended := func(int, time.Duration) {}
	if a.Begin != nil {
		var ctx context.Context
		ctx, ended = a.Begin(r, cmp.Or(opOf(ep, r), "unknown"))
		c.Request = r.WithContext(ctx)
	}
	var ans answer
	if err == nil {
		if fault := a.Faults.next(opOf(ep, r)); fault != "" {
			status, size := a.fail(w, c, ep, fault, func() (answer, error) { return a.answer(w, c, ep) })
			took := time.Since(start)
			ended(status, took)
			a.log(c, ep, status, size, shown, took, nil)
			return
		}
		ans, err = a.answer(w, c, ep)
		if err == nil && ep.passes {
			err = a.TradeAPI.forward(w, c, shown, func(p *passage) {
				took := time.Since(start)
				ended(p.status, took)
				a.log(c, ep, p.status, int(p.size), shown, took, nil)
				a.logBroken(p)
			})
			if err == nil {
				return
			}
		}
	}
	if err != nil {
		if ans = a.failure(h, ep, err); ep.op == opAuth {
			tellRefusal(h, ans)
		}
	} else if ep.cache != "" {
		h.Set("Cache-Control", ep.cache)
	}
	if c.lastOnConnection() {
		h.Set("Connection", "close")
	}
	size := a.send(w, r, ans)
	took := time.Since(start)
	ended(ans.status, took)
	a.log(c, ep, ans.status, size, shown, took, err)
}

// preset puts into an answer what all of the service's own have.
func preset(h http.Header, requestID string) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if requestID != "" {
		h.Set(wire.HeaderRequestID, requestID)
	}
}

// lastOnConnection tells whether the connection must end with the answer.
func (c *call) lastOnConnection() bool {
	// An encoding may have come with a length beside it, or in HTTP/1.0, which
	// net/http does not show: what follows could be anything (bar H5).
	return len(c.TransferEncoding) > 0 || !c.ProtoAtLeast(1, 1) || connOf(c.Request).ending()
}

// take finds the endpoint of a request and reads its body, before anything else
// is looked at: a client that sends slowly spends its own time and not the
// service's.
func (a *api) take(w http.ResponseWriter, c *call) (endpoint, error) {
	ep, err := a.route(c.Request)
	size, fields := headSize(c.Request)
	switch {
	case size > maxHeader || fields > maxFields:
		err = errHeaders
	case err == nil && !ep.passes:
		c.body, err = read(w, c.Request)
	}
	return ep, err
}

// route finds the endpoint of a request and checks its method.
func (a *api) route(r *http.Request) (endpoint, error) {
	ep, ok := a.find(r.URL.Path)
	if !ok {
		return ep, &httpError{status: http.StatusNotFound, detail: a.nothing(r.URL.Path)}
	}
	allowed := ep.method
	switch {
	case ep.passes && r.Method == http.MethodTrace: // its answer would show what only the trade API is to see
		allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	case ep.passes || allowed == anyMethod:
		return ep, nil
	}
	if allowed == http.MethodGet {
		allowed = "GET, HEAD"
	}
	if !slices.Contains(strings.Split(allowed, ", "), r.Method) {
		return ep, &httpError{status: http.StatusMethodNotAllowed, detail: "this path takes " + allowed, allow: allowed}
	}
	return ep, nil
}

// nothing says why a path leads nowhere.
func (a *api) nothing(path string) string {
	const nothing = "there is nothing at this path"
	switch {
	case path == "/" || own(path) || a.TradeAPI != nil:
		return nothing
	case a.Inbox != nil:
		return nothing + ": orders cannot be placed here, because there is no trade API behind this sandbox"
	}
	return nothing + ": there is no trade API behind this service"
}

// answer runs the endpoint. A panic becomes an error, so that it is answered and
// logged like any other fault.
func (a *api) answer(w http.ResponseWriter, c *call, ep endpoint) (ans answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &login.Error{Kind: login.KindInternal, Detail: "an unexpected fault of the service", Err: fmt.Errorf("panic: %v\n%s", p, stack())}
		}
	}()
	var cancel context.CancelFunc
	c.ctx, cancel = login.WithPatience(c.Request.Context())
	defer cancel()
	if ep.wait > 0 {
		c.ctx = c.Request.Context()
		if c.ProtoMajor == 1 {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(ep.wait + writeTimeout)) // a connection that has gone has no deadline
		}
	}
	return ep.handle(c)
}

// stack returns the functions that are under way, the innermost first. Go's own
// print of a stack shows what lies there too, which can be a piece of a secret (bar
// L1).
func stack() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}

func (a *api) find(path string) (endpoint, bool) {
	if ep, ok := a.endpoints[path]; ok {
		return ep, true
	}
	if ep, ok := a.sandbox(path); ok {
		return ep, true
	}
	if path == authPath || strings.HasPrefix(path, authPath+"/") {
		return a.authEndpoint(path), true
	}
	if a.TradeAPI != nil && !own(path) {
		return a.passing(cmp.Or(tradewire.OpOf(path), "trade"), tradeNeed(path)), true
	}
	return endpoint{}, false
}

// setDate puts the service's time into an answer, where net/http would put the
// machine's: clients judge their own clock by it.
func setDate(h http.Header, now time.Time) { h["Date"] = []string{now.UTC().Format(http.TimeFormat)} }

// send writes an answer and returns its size.
func (a *api) send(w http.ResponseWriter, r *http.Request, ans answer) int {
	h := w.Header()
	setDate(h, a.Now())
	var body []byte
	switch text := ans.body.(type) {
	case plain:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(text)
	case page:
		h.Set("Content-Type", "text/html; charset=utf-8")
		body = text
	default:
		h.Set("Content-Type", "application/json")
		var err error
		if body, err = json.Marshal(ans.body); err != nil { // our own types: cannot happen
			panic(err)
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(ans.status)
	if r.Method == http.MethodHead {
		return 0
	}
	n, _ := w.Write(body) // a client that has gone away has nobody to tell
	return n
}

// polls are what programs ask all day long, package verify twice a second each. While
// the answer is good, a line of the log would tell nothing.
var polls = []wire.Op{wire.OpRevocations, "livez", "readyz"}

// log writes one line for each request. It holds no query string, no header and
// no body: those are where secrets travel (bar L1). The cause of each 5xx stands
// here and nowhere else.
func (a *api) log(c *call, ep endpoint, status, size int, requestID string, took time.Duration, err error) {
	if !a.Log.Enabled(c.Request.Context(), slog.LevelError) {
		return
	}
	level := slog.LevelInfo
	if status < 400 && slices.Contains(polls, ep.op) {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("op", string(cmp.Or(c.op, ep.op, "unknown"))), slog.String("method", method(c.Request)), slog.Int("status", status), slog.Int("size", size),
		slog.Duration("took", took), slog.String("address", c.caller.Address), slog.String("request_id", requestID),
	}
	if c.consumer.Key != "" {
		attrs = append(attrs, slog.String("consumer", c.consumer.Key))
	}
	switch {
	case c.Request.Context().Err() != nil:
		attrs = append(attrs, slog.Bool("client_gone", true))
	case status >= 500 && err != nil:
		var e *login.Error
		if !errors.As(err, &e) || e.Kind != login.KindNotConfigured && (e.Kind != login.KindOTPNotSent || e.Err != nil) {
			level = slog.LevelError // the rest is what this service was not given, which its operator knows
		}
		attrs = append(attrs, slog.String("cause", err.Error()))
	}
	a.Log.LogAttrs(context.WithoutCancel(c.Request.Context()), level, "request", attrs...)
}

// logBroken tells of an answer of the trade API that ended too early by itself.
func (a *api) logBroken(p *passage) {
	if p.broke && p.why == nil {
		a.Log.LogAttrs(context.Background(), slog.LevelWarn, "the trade API's answer broke off", slog.String("request_id", p.shown))
	}
}

// method is a request's method for the log; one that nobody knows could be
// anything, a secret that slipped by a place too.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "unknown"
}

// given is the request id that the client sent, or "" if it sent none that can
// be used: up to 128 printable ASCII characters.
func given(r *http.Request) string {
	for _, name := range []string{wire.HeaderRequestID, wire.HeaderIdempotencyKey} {
		id := r.Header.Get(name)
		printable := !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' })
		if id != "" && len(id) <= 128 && printable {
			return id
		}
	}
	return ""
}

// headSize is the size of a request's head as HTTP/1.1 writes it, and how many fields
// it has.
func headSize(r *http.Request) (size, fields int) {
	size = len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		fields += len(values)
		for _, v := range values {
			size += len(name) + len(": \r\n") + len(v)
		}
	}
	return size, fields
}

// read reads a request's body up to the limit.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > wire.MaxBody {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, &httpError{status: http.StatusBadRequest, detail: "the body ended before it was complete"}
	}
	return body, nil
}

// Package httpapi is the protocol's HTTP side: it decodes a request into a value of
// package login, calls one method, and renders the result or the error. It contains
// no rules.
//
// Start with [New]; the operations are in operations.go, one function each.
package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// Config is what the HTTP side needs besides the service.
type Config struct {
	PublicURL string   // the address clients reach this service at; "" if not known
	Proxies   Proxies  // trusted to report a request's origin
	TradeAPI  *Gateway // where trade calls go; nil for nowhere
	Feeds     *Feeds   // nil without live feeds
	Log       *slog.Logger

	// Page, if not nil, returns the further page at a path, as in a sandbox.
	Page func(path string) (Page, bool)

	// Fault returns the deliberate fault for the next answer of an operation, as in a
	// sandbox, or nil for none. trade reports whether the operation is one of the trade API;
	// if so, account and body are whose call it is and what it says, where that is known.
	// The fault is called with a function that carries out the operation, and returns the
	// answer's status and size, and whether it was cut short.
	Fault func(op string, trade bool, account string, body []byte) func(w http.ResponseWriter, r *http.Request, do func() front.Answer) (status, size int, cut bool)

	// Turned, if not nil, is told of each call to the trade API that the service refused, and
	// of the answer. account is whose call it is, "" if that is not known.
	Turned func(op, account, requestID string, r *http.Request, status int, body any)

	// Begin, if not nil, is called with the operation's name when a request's head and
	// body have been read, and end when it has been answered; ctx is the context in
	// between.
	Begin func(r *http.Request, op string) (ctx context.Context, end func(status int, took time.Duration))
}

// A Page is the answer of a path that is not part of the protocol.
type Page struct {
	Op      string
	Methods string
	Wait    time.Duration // how long it may wait besides its work
	Handle  func(r *http.Request) (front.Answer, error)
}

// An api is the handler that New returns.
type api struct {
	Config
	login     *login.Service
	endpoints map[string]endpoint // by path: no patterns, and so no redirects (security.md H3)
	busy      front.Answer        // to a login that finds the queue full
}

// An endpoint is what one path answers.
type endpoint struct {
	op     wire.Op
	method string
	style  style
	wait   time.Duration // how long it may wait besides its work
	cache  string        // the header Cache-Control of its successes; "" for no-store
	feed   bool          // the connection becomes a live feed
	passes bool          // after handle the request goes to the trade API, its body unread; any method may
	handle func(*call) (front.Answer, error)
}

// A style is the shape of an endpoint's failures.
type style int

const (
	styleSession style = iota // {"error":[{code,message}]}
	styleOAuth                // RFC 6749
	styleTrade                // the trade API's, together with the session protocol's
	styleGen3                 // generation 3's documented one, together with the session protocol's
)

// A call is one request being processed.
type call struct {
	*http.Request
	endpoint
	stores context.Context // done when waiting for the stores has taken too long (security.md R1)

	requestID string
	body      []byte // all of it
	consumer  login.Consumer
	admitted  bool // the consumer's rate has counted it
	caller    login.Caller

	// Of a call that goes to the trade API.
	session  login.Session
	identity string // signed
	secure   bool   // a trusted proxy reports that it came by TLS
	passed   bool   // it was let through

	ended func(status int, took time.Duration) // for metrics
}

// An outcome is how a call ended.
type outcome struct {
	status int   // 0 if there was no answer
	size   int   // of the body
	err    error // why it failed
	cut    bool  // the answer was not sent completely, so its connection is cut too
}

// New returns the handler of a service. It answers every failure in the
// protocol's shape, panics included, and sends no redirect.
func New(svc *login.Service, cfg Config) http.Handler {
	a := &api{Config: cfg, login: svc, endpoints: map[string]endpoint{}, busy: plain(failure(endpoint{}, login.Busy()))}
	for _, r := range wire.Routes {
		a.endpoints[r.Path] = a.endpoint(r)
	}
	if a.TradeAPI == nil {
		for _, r := range tradewire.Routes() {
			a.endpoints[r.Path] = endpoint{op: r.Op, method: r.Method, style: styleTrade, handle: a.recognised(tradeNeed(r.Path), a.noTradeAPI)}
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
	c := &call{Request: r, requestID: sentRequestID(r)}
	c.caller = login.Caller{Address: a.Proxies.address(r), RequestID: c.requestID}
	if c.requestID == "" {
		c.requestID = uuid.NewString()
	}
	w.Header().Set(wire.HeaderRequestID, c.requestID)
	err := a.take(w, c)
	front.RequestRead(r)
	c.ended = func(int, time.Duration) {}
	if a.Begin != nil {
		var ctx context.Context
		ctx, c.ended = a.Begin(r, string(cmp.Or(c.operation(), "unknown")))
		c.Request = r.WithContext(ctx)
	}
	o := a.serve(w, c, start, err)
	took := time.Since(start)
	c.ended(o.status, took)
	a.log(c, o, took)
	if o.cut {
		panic(http.ErrAbortHandler)
	}
}

// serve answers a call, or fails it if it was already found to be wrong.
func (a *api) serve(w http.ResponseWriter, c *call, start time.Time, err error) outcome {
	if err != nil {
		return a.refuse(w, c, err)
	}
	if c.feed {
		return a.serveFeed(w, c, start)
	}
	if c.passes {
		return a.forward(w, c)
	}
	if a.Fault != nil {
		if fault := a.Fault(string(c.operation()), c.style == styleTrade, "", nil); fault != nil {
			var o outcome
			o.status, o.size, o.cut = fault(w, c.Request, func() front.Answer {
				var ans front.Answer
				if ans, o.err = a.work(w, c); o.err != nil {
					ans = failure(c.endpoint, o.err)
				}
				return ans
			})
			return o
		}
	}
	return a.answer(w, c)
}

// take finds the endpoint of a request and reads its body before it checks anything
// else, so that a client that sends slowly uses up its own time and not the
// service's.
func (a *api) take(w http.ResponseWriter, c *call) error {
	err := a.route(c)
	if herr := front.CheckHead(c.Request); herr != nil {
		return herr
	}
	if err == nil && !c.passes {
		c.body, err = front.ReadBody(w, c.Request, wire.MaxBody)
	}
	return err
}

// route finds the endpoint of a request and checks its method.
func (a *api) route(c *call) (err error) {
	var found bool
	if c.endpoint, found = a.feed(c.Request); !found {
		c.endpoint, found = a.find(c.URL.Path)
	}
	if !found {
		return &front.Refusal{Status: http.StatusNotFound, Detail: a.nothing(c.URL.Path)}
	}
	allowed := c.method
	switch {
	case c.passes && c.Method == http.MethodTrace: // its answer would show headers meant only for the trade API
		allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	case c.passes && allowed == "" || allowed == anyMethod:
		return nil
	}
	if allowed == http.MethodGet {
		allowed = "GET, HEAD"
	}
	if !slices.Contains(strings.Split(allowed, ", "), c.Method) {
		return &front.Refusal{Status: http.StatusMethodNotAllowed, Detail: "this path takes " + allowed, Allow: allowed}
	}
	return nil
}

// nothing returns the error for an unknown path.
func (a *api) nothing(path string) string {
	const nothing = "there is nothing at this path"
	if path == "/" || isOwnPath(path) || a.TradeAPI != nil {
		return nothing
	}
	return nothing + ": there is no trade API behind this service"
}

// passes reports whether a path is the trade API's, and for which methods: "" if it
// decides that itself.
func (a *api) passes(path string) (methods string, ok bool) {
	switch {
	case a.TradeAPI == nil || isOwnPath(path):
		return "", false
	case a.TradeAPI.serves == nil:
		return "", true
	}
	return a.TradeAPI.serves(path)
}

func (a *api) find(path string) (endpoint, bool) {
	if ep, ok := a.endpoints[path]; ok {
		return ep, true
	}
	if a.Page != nil {
		if p, ok := a.Page(path); ok {
			return endpoint{op: wire.Op(p.Op), method: p.Methods, wait: p.Wait, handle: func(c *call) (front.Answer, error) {
				c.Body = io.NopCloser(bytes.NewReader(c.body))
				return p.Handle(c.Request)
			}}, true
		}
	}
	if path == authPath || strings.HasPrefix(path, authPath+"/") {
		return a.authEndpoint(path), true
	}
	if methods, ok := a.passes(path); ok {
		if a.TradeAPI.public != nil && a.TradeAPI.public(path) {
			return a.public(), true
		}
		ep := a.passing(cmp.Or(tradewire.OpOf(path), "trade"), tradeNeed(path))
		if op, rate := tradewire.OpenTo(path); op != "" {
			ep = a.market(op, rate)
		}
		ep.method = methods
		return ep, true
	}
	return endpoint{}, false
}

// operation names the operation of a call as faults and metrics do.
func (c *call) operation() wire.Op {
	if c.op != wire.OpValidate {
		return c.op
	}
	if len(c.Header.Values(wire.HeaderSID)) == 0 && len(c.Header.Values(wire.HeaderAuth)) == 0 {
		return "login"
	}
	return "session_2fa"
}

// answer ends a call that this service answers.
func (a *api) answer(w http.ResponseWriter, c *call) outcome {
	ans, err := a.work(w, c)
	if err != nil {
		return a.refuse(w, c, err)
	}
	return outcome{status: ans.Status, size: front.Send(w, c.Request, ans)}
}

// refuse ends a call that failed.
func (a *api) refuse(w http.ResponseWriter, c *call, err error) outcome {
	ans := a.busy
	if err != login.Busy() { // that very one, which Full returns
		ans = failure(c.endpoint, err)
	}
	if a.Turned != nil && !c.passed && a.tradeCall(c) {
		a.Turned(string(cmp.Or(c.op, "unknown")), c.session.UCC, c.requestID, c.Request, ans.Status, ans.Body)
	}
	return outcome{status: ans.Status, size: front.Send(w, c.Request, ans), err: err}
}

// tradeCall reports whether a call is meant for the trade API, also if that has nothing at its
// path.
func (a *api) tradeCall(c *call) bool {
	return c.passes || a.TradeAPI != nil && c.handle == nil && !isOwnPath(c.URL.Path)
}

// work does a call's work. A panic becomes an error, so that it is answered and
// logged like any other fault.
func (a *api) work(w http.ResponseWriter, c *call) (ans front.Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = unexpected(p)
		}
		if c.admitted && c.Context().Err() == nil && unserved(err) {
			a.login.Unserved(c.consumer, c.caller.Lane)
		}
	}()
	if err = a.full(c); err != nil {
		return ans, err
	}
	var cancel context.CancelFunc
	c.stores, cancel = login.WithPatience(c.Context())
	defer cancel()
	if c.wait > 0 {
		c.stores = c.Context()
		if c.ProtoMajor == 1 {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.wait + front.WriteTimeout)) // fails if the connection has gone
		}
	}
	if ans, err = c.handle(c); c.cache != "" && err == nil {
		ans.Header = http.Header{"Cache-Control": {c.cache}}
	}
	return ans, err
}

// unserved reports whether an error is the service's own and not an answer to what was
// asked.
func unserved(err error) bool {
	var e *login.Error
	return errors.As(err, &e) && slices.Contains([]login.Kind{login.KindInternal, login.KindUnavailable, login.KindOMSDown, login.KindOMSTimeout}, e.Kind)
}

// unexpected returns the error of a panic. Call it in the deferred function that recovers.
func unexpected(p any) error {
	return &login.Error{Kind: login.KindInternal, Detail: "an unexpected fault of the service", Err: front.Panicked(p)}
}

// polls are operations that programs call all day, package verify twice a second.
// Successful ones are not worth a log line.
var polls = []wire.Op{wire.OpRevocations, "livez", "readyz"}

// log writes one line for each request. It contains no query string, header or body,
// where secrets travel (security.md L1). The cause of each 5xx is logged here and
// nowhere else.
func (a *api) log(c *call, o outcome, took time.Duration) {
	ctx := c.Context()
	if !a.Log.Enabled(ctx, slog.LevelError) {
		return
	}
	level := slog.LevelInfo
	if o.status < 400 && slices.Contains(polls, c.op) {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("op", string(cmp.Or(c.op, "unknown"))), slog.String("method", method(c.Request)), slog.Int("status", o.status), slog.Int("size", o.size),
		slog.Duration("took", took), slog.String("address", c.caller.Address), slog.String("request_id", c.requestID),
	}
	if c.consumer.Key != "" {
		attrs = append(attrs, slog.String("consumer", c.consumer.Key))
	}
	var e *login.Error
	known := errors.As(o.err, &e)
	switch {
	case ctx.Err() != nil:
		attrs = append(attrs, slog.Bool("client_gone", true))
	case o.err != nil && (o.status >= 500 || known && e.Kind == login.KindInternal):
		if !known || e.Kind != login.KindNotConfigured && (e.Kind != login.KindOTPNotSent || e.Err != nil) {
			level = slog.LevelError // the rest is what this service lacks by configuration, which its operator knows
		}
		attrs = append(attrs, slog.String("cause", o.err.Error()))
	}
	a.Log.LogAttrs(context.WithoutCancel(ctx), level, "request", attrs...)
	if errors.Is(o.err, errTooEarly) {
		a.Log.LogAttrs(context.WithoutCancel(ctx), slog.LevelWarn, "the trade API's answer broke off", slog.String("request_id", c.requestID))
	}
}

// method returns a request's method for the log. An unknown one is not logged: it
// could be anything, even a misplaced secret.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "unknown"
}

// sentRequestID returns the request id that the client sent, or "" if it sent no valid
// one: up to 128 printable ASCII characters.
func sentRequestID(r *http.Request) string {
	for _, name := range []string{wire.HeaderRequestID, wire.HeaderIdempotencyKey} {
		id := r.Header.Get(name)
		printable := !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' })
		if id != "" && len(id) <= 128 && printable {
			return id
		}
	}
	return ""
}

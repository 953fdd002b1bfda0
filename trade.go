package neoapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"neoapi/internal/wire"
)

// opCall is the step of a trade call whose address is not in wire.Routes.
const opCall = "call"

// steps are the operations that lead to a session and end it; all others are
// calls with one.
var steps = map[string]bool{
	opAccessToken: true, opLogin: true, opOTP: true, opSession2FA: true, opTOTPLogin: true, opTOTPValidate: true, opLogout: true,
}

// calls is the operation of each address that is called with a session.
var calls = func() map[string]string {
	m := map[string]string{}
	for _, r := range wire.Routes {
		switch r.Op {
		case wire.OpPositions, wire.OpOrders, wire.OpTrades, wire.OpLimits, wire.OpHoldings, wire.OpClientIP:
			m[r.Path] = string(r.Op)
		}
	}
	return m
}()

// sessions is where a call's session comes from: the client's current one, or a
// [Keeper].
type sessions interface {
	Session(context.Context) (Session, error)
	Ended(Session)
}

// A CallOption changes how [Client.HTTPClient] and [Client.Do] call.
type CallOption func(*caller)

// WithKeeper takes the session from k at each call. A client on which [Client.Keep]
// was called does so by itself, with that [Keeper]; others take their current
// session. If the service says that the session has ended, k is told and asked for
// another, once a call. The call is then sent again if it is a GET or HEAD without a
// body; all others, such as orders, fail with [ErrSessionEnded], which says that they
// were not sent again.
func WithKeeper(k interface {
	Session(context.Context) (Session, error)
	Ended(Session)
}) CallOption {
	return func(t *caller) { t.sessions, t.renews = k, true }
}

// Rate allows n requests in any second, up to 1,000, for this http.Client or call
// alone, whatever others send; 0 means no limit. They count all the same in what
// the [Client] and all others of its consumer share: see Config.Rate. Those over the
// limit wait, as long as their context lets them.
func Rate(n int) CallOption { return func(t *caller) { t.rate = newRate(n) } }

// HTTPClient returns an http.Client for calls of the trade API. To each request
// it adds what the session's generation needs (docs/protocol.md): Authorization,
// Sid, Auth, neo-fin-key and the parameter sId, or Sid and Auth alone (with the
// consumer key for some addresses) for a session that was opened by TOTP and a
// consumer key. A URL without a host, such as
// "/quick/user/orders", is meant at the session's service.
//
// It sends to the session's own host and to no other: the one the session was
// opened at or, for a session of generation 3, the one that its BaseURL names, if
// that belongs to the same service. It follows no redirect. It keeps to the
// consumer's rate, see Config.Rate. A GET or HEAD without a body that is answered 429 or
// 503 with a Retry-After of up to ten seconds is sent again after that time, once;
// nothing else is. See [Client.Keep] for sessions that end.
//
// An answer comes as the service gave it, whatever its status; [Client.Do] reads
// them. What HTTPClient itself refuses, and what gets no answer, is an [*Error]
// within the *url.Error of net/http.
func (c *Client) HTTPClient(opts ...CallOption) *http.Client {
	hc := *c.http // its CheckRedirect follows none
	hc.Transport = c.caller(opts)
	return &hc
}

func (c *Client) caller(opts []CallOption) *caller {
	t := &caller{client: c, base: c.http.Transport, rate: c.rate, sessions: current{c}}
	if k := c.keeper.Load(); k != nil {
		t.sessions, t.renews = k, true
	}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

// current is the client's current session.
type current struct{ c *Client }

func (o current) Session(context.Context) (Session, error) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if o.c.trade == nil {
		return Session{}, &Error{Op: opCall, Category: ErrNotLoggedIn, Message: "there is no trade session: log in first", Retry: RetryLoginAgain}
	}
	return *o.c.trade, nil
}

func (current) Ended(Session) {}

// A caller is the RoundTripper of [Client.HTTPClient].
type caller struct {
	client   *Client
	base     http.RoundTripper
	rate     *rate
	sessions sessions
	renews   bool      // sessions has another one when one has ended
	whole    bool      // answers are looked at whatever their length; for Do, which reads them anyway
	sent     *[]string // the secrets that went out, for Do
}

// String returns a fixed text: it leads to the client's secrets.
func (*caller) String() string { return "neoapi.Client's transport" }

// Format prints [caller.String] for every verb.
func (t *caller) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// patience is the longest Retry-After that a call waits for.
const patience = 10 * time.Second

// RoundTrip sends one call.
func (t *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.call(r)
	if err != nil && r.Body != nil {
		r.Body.Close() // net/http has done so already for what was sent; twice does no harm
	}
	if resp != nil {
		resp.Request = r // not the one with the credentials
	}
	return resp, err
}

func (t *caller) call(r *http.Request) (*http.Response, error) {
	c, op, ctx := t.client, opCall, r.Context()
	if known, ok := calls[r.URL.Path]; ok {
		op = known
	}
	repeatable := (r.Method == "" || r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody)
	var waited, renewed bool
	for {
		s, err := t.sessions.Session(ctx)
		if err != nil {
			return nil, err
		}
		out, err := c.equip(r, op, s)
		if err != nil {
			return nil, err
		}
		own, shared, err := t.admitted(ctx)
		if err != nil {
			return nil, c.unsent(ctx, op, err)
		}
		resp, err := t.send(r, out, op)
		if err != nil {
			return nil, err
		}
		t.answered(own, shared)
		if repeatable && !waited && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
			wait := retryAfter(resp.Header.Get("Retry-After"), c.now())
			deadline, bounded := ctx.Deadline()
			if wait > 0 && wait <= patience && !(bounded && time.Until(deadline) <= wait) {
				waited = true
				drop(resp)
				if err := c.pause(ctx, c.now(), wait); err != nil {
					return nil, c.unsent(ctx, op, err)
				}
				continue
			}
		}
		fail := t.refusal(op, resp)
		switch {
		case fail == nil:
			if o := c.renewed.Load(); o != nil && o.token == s.Token {
				c.renewed.CompareAndSwap(o, nil)
			}
			return resp, nil
		case renewed:
			return resp, nil
		case fail.Category == ErrAccessToken:
			if !c.forgetAccess(credentials(out)[0]) || !repeatable {
				return resp, nil
			}
		case !t.renews || c.justOpened(s):
			return resp, nil
		default:
			t.sessions.Ended(s)
			next, err := t.sessions.Session(ctx)
			if err == nil {
				c.renewed.Store(&renewal{next.Token, c.now()})
			}
			if repeatable && err != nil {
				drop(resp)
				return nil, err
			}
			if !repeatable {
				drop(resp)
				return nil, c.notRepeated(fail, out, resp, err)
			}
		}
		renewed = true
		drop(resp)
	}
}

// admitted returns when a call may go out, with its tickets in the window of its own
// rate, if it has one, and in the one that all of the consumer share.
func (t *caller) admitted(ctx context.Context) (own, shared int64, err error) {
	c := t.client
	if t.rate == c.rate {
		shared, err = c.rate.wait(ctx, c)
		return 0, shared, err
	}
	if t.rate != nil {
		if own, err = t.rate.wait(ctx, c); err != nil {
			return 0, 0, err
		}
	}
	shared, _ = c.rate.window.take(c, 0)
	return own, shared, ctx.Err()
}

func (t *caller) answered(own, shared int64) {
	if own != 0 {
		t.rate.window.answered(own)
	}
	t.client.rate.window.answered(shared)
}

// A renewal is a session that was opened because another had ended, and that has
// not been accepted yet.
type renewal struct {
	token string
	at    time.Time
}

// justOpened reports whether s was opened less than a minute ago because the one
// before had ended, and has never been accepted. Another would be no better: each
// call would log in.
func (c *Client) justOpened(s Session) bool {
	o := c.renewed.Load()
	return o != nil && o.token == s.Token && c.now().Sub(o.at) < time.Minute
}

// notRepeated is the error for a call that may not be sent again with the new
// session, if there is one.
func (c *Client) notRepeated(fail *Error, out *http.Request, resp *http.Response, err error) *Error {
	fail.RequestID, fail.Err = out.Header.Get(wire.HeaderRequestID), err
	c.clean(fail, resp.Header, credentials(out))
	fail.Retry = RetryCheckFirst
	fail.Message = "the session had ended; a new one is open, and the call was not sent again"
	fail.Hint = "see that nothing was done, and send it"
	if err != nil {
		fail.Retry, fail.Hint = RetryLoginAgain, ""
		fail.Message = "the session had ended, and no new session could be opened: " + tidy(err.Error(), credentials(out))
		if e, ok := errors.AsType[*Error](err); ok {
			fail.Message, fail.Hint = "the session had ended, and no new session could be opened: "+string(e.Category), e.Hint
		}
	}
	return fail
}

// credentials returns the secrets in a request: the access token, or the bare
// consumer key, and the trade token.
func credentials(out *http.Request) []string {
	authorization := out.Header.Get("Authorization")
	if _, access, ok := strings.Cut(authorization, " "); ok {
		authorization = access
	}
	return []string{authorization, out.Header.Get(wire.HeaderAuth)}
}

// drop is for an answer that nobody reads: a short one leaves its connection usable.
func drop(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, glance)
	resp.Body.Close()
}

// headers are what a session's calls carry, kept from one call to the next.
type headers struct {
	token, sid, home, access, kType, baseURL string // what they were made of

	base                                       *url.URL // scheme, host and path of the service
	authorization, auth, sidHeader, fin, agent []string // nil for those that are not sent
	key                                        []string // the bare consumer key, which generation 3 sends to some addresses
	query                                      string   // sId, or ""
}

// headersOf returns what calls with s carry.
func (c *Client) headersOf(ctx context.Context, s Session) (*headers, error) {
	totp := s.KType != "" // generation 1 does not say
	bare := totp && c.key != ""
	access := ""
	if !bare {
		token, ok := c.freshAccess()
		if !ok {
			header, err := c.bearer(ctx)
			if err != nil {
				return nil, err
			}
			token = strings.TrimPrefix(header, "Bearer ")
		}
		access = token
	}
	h := c.headers.Load()
	if h != nil && h.token == s.Token && h.sid == s.SID && h.home == s.HSServerID && h.access == access && h.kType == s.KType && h.baseURL == s.BaseURL {
		return h, nil
	}
	if problem := unfit(s.Token, s.SID); problem != "" {
		return nil, invalid(opCall, "the session cannot be used: "+strings.TrimPrefix(problem, "the answer has "))
	}
	if s.Environment != "" && s.Environment != c.place {
		return nil, invalid(opCall, "the session belongs to "+s.Environment+", not to "+c.place+": log in there")
	}
	h = &headers{
		token: s.Token, sid: s.SID, home: s.HSServerID, access: access, kType: s.KType, baseURL: s.BaseURL,
		auth: []string{s.Token}, sidHeader: []string{s.SID}, agent: []string{c.userAgent}, key: []string{c.key},
	}
	base := c.at.gen1
	if totp {
		base = c.at.totp
	}
	h.base, _ = url.Parse(base) // New has read it
	if bare {
		if u, ok := sibling(h.base, s.BaseURL); ok {
			h.base = u
		}
	} else {
		h.authorization, h.fin = []string{"Bearer " + access}, []string{wire.FinKey}
		if s.HSServerID != "" {
			h.query = "sId=" + url.QueryEscape(s.HSServerID)
		}
	}
	c.headers.Store(h)
	return h, nil
}

// sibling returns the base URL that a session names, if it belongs to the same
// service as the one the session was opened at: the same host, another host of the
// original service, or this machine for this machine; never http for https.
func sibling(opened *url.URL, named string) (*url.URL, bool) {
	u, err := url.Parse(named)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Scheme != opened.Scheme {
		return nil, false
	}
	const original = ".kotaksecurities.com"
	from, to := strings.ToLower(opened.Hostname()), strings.ToLower(u.Hostname())
	if from == to || strings.HasSuffix(from, original) && strings.HasSuffix(to, original) && u.Port() == "" || loopback(from) && loopback(to) {
		u.Path = strings.TrimRight(u.Path, "/")
		return u, true
	}
	return nil, false
}

// equip returns r with what s needs, or refuses it.
func (c *Client) equip(r *http.Request, op string, s Session) (*http.Request, error) {
	h, err := c.headersOf(r.Context(), s)
	if err != nil {
		return nil, err
	}
	out := r.WithContext(r.Context()) // a copy
	u := *r.URL
	out.URL = &u
	switch {
	case u.Opaque == "" && u.Scheme == "" && u.Host == "":
		u.Scheme, u.Host = h.base.Scheme, h.base.Host
		if h.base.Path != "" || !strings.HasPrefix(u.Path, "/") {
			u = *h.base.JoinPath(u.EscapedPath())
			u.RawQuery = r.URL.RawQuery
		}
	case u.Opaque != "" || u.Scheme != h.base.Scheme || !sameHost(&u, h.base):
		return nil, invalid(op, "nothing was sent: the request is for "+u.Host+", and the session is for "+h.base.Host+" alone")
	}
	if out.Host != "" && out.Host != r.URL.Host {
		return nil, invalid(op, "nothing was sent: the request has a Host of its own")
	}
	out.Host = ""
	if h.query != "" && !strings.Contains(u.RawQuery, "sId=") {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += h.query
	}

	out.Header = make(http.Header, len(r.Header)+6)
	for name, values := range r.Header {
		out.Header[name] = values
	}
	out.Header[wire.HeaderSID], out.Header[wire.HeaderAuth] = h.sidHeader, h.auth
	if h.authorization != nil {
		out.Header["Authorization"], out.Header[wire.HeaderFinKey] = h.authorization, h.fin
	} else if op == string(wire.OpClientIP) || strings.Contains(u.Path, "/script-details/") { // quotes and instruments, as the field's clients ask for them
		out.Header["Authorization"] = h.key
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = h.agent
	}
	if out.Header[wire.HeaderRequestID] == nil {
		out.Header[wire.HeaderRequestID] = []string{newRequestID()}
	}
	out.GetBody = nil // or net/http could send it again by itself
	if (r.Body == nil || r.Body == http.NoBody) && r.Method != "" && r.Method != http.MethodGet && r.Method != http.MethodHead {
		out.Body = io.NopCloser(eof{}) // as it would a POST without a body that has an Idempotency-Key
	}
	return out, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// sameHost reports whether two URLs of the same scheme lead to the same host and port.
func sameHost(a, b *url.URL) bool {
	if strings.EqualFold(a.Host, b.Host) {
		return true
	}
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return u.Port()
		case u.Scheme == "https":
			return "443"
		}
		return "80"
	}
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// send sends out, which was made of r, once.
func (t *caller) send(r, out *http.Request, op string) (*http.Response, error) {
	c := t.client
	ctx, done := out.Context(), func(error) {}
	if c.observe != nil {
		ctx, done = c.observe(ctx, op)
		out = out.WithContext(ctx)
	}
	if t.sent != nil {
		*t.sent = credentials(out)
	}
	x, logs := exchange{op: op, sent: out}, c.logs(ctx)
	if logs {
		x.began, x.body, x.secrets = c.now(), beginning(r), credentials(out)
	}
	resp, err := t.base.RoundTrip(out)
	id := out.Header.Get(wire.HeaderRequestID)
	if err != nil {
		fail := c.noAnswer(ctx, op, id, err, credentials(out))
		c.advise(fail, circumstances{method: out.Method})
		if logs {
			x.fail = fail
			c.logExchange(ctx, x)
		}
		done(fail)
		return nil, fail
	}
	if logs {
		x.resp = resp
		resp.Body = &watched{ReadCloser: resp.Body, ended: func(start []byte) {
			x.answer = start
			c.logExchange(ctx, x)
		}}
	}
	if resp.StatusCode >= 300 {
		done(&Error{Op: op, Status: resp.StatusCode, Category: categorise(op, resp.StatusCode, ""), RequestID: id})
	} else {
		done(nil)
	}
	return resp, nil
}

// beginning returns the first part of a request's body, if it can be read without
// taking it away.
func beginning(r *http.Request) []byte {
	if r.GetBody == nil {
		return nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil
	}
	defer body.Close()
	start, _ := io.ReadAll(io.LimitReader(body, maxText))
	return start
}

// glance is the longest answer, in bytes, that is looked at for what it says of
// the session.
const glance = 4 << 10

// refusal reads an answer that can say that the session or the access token is
// refused, and puts back what it read. It returns nil for all others.
func (t *caller) refusal(op string, resp *http.Response) *Error {
	short := resp.ContentLength > 0 && resp.ContentLength <= glance
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
	case t.renews && resp.StatusCode/100 == 2 && (short || t.whole): // a failure that travels as a 200
	default:
		return nil
	}
	var start []byte
	var err error
	rest := io.Reader(resp.Body)
	if short { // as most are: read it in one piece
		start = make([]byte, resp.ContentLength)
		var n int
		n, err = io.ReadFull(resp.Body, start)
		start = start[:n]
	} else {
		start, err = io.ReadAll(io.LimitReader(resp.Body, glance+1))
	}
	if err != nil {
		rest = broken{err}
	}
	resp.Body = &putBack{start, rest, resp.Body}
	if len(start) > glance || resp.StatusCode/100 == 2 && !names(start) {
		return nil // a failure is short
	}
	top := toObject(start)
	if top == nil {
		return nil // a page says nothing about the session
	}
	_, fail := decode(op, resp.StatusCode, start)
	if fail == nil || fail.Category != ErrSessionEnded && fail.Category != ErrAccessToken {
		return nil
	}
	// A status alone may mean the address or the account. Believed is a code, or
	// the trade API's own 403.
	known, _ := wire.Lookup(fail.Code)
	if known.Category == "" && !(resp.StatusCode == http.StatusForbidden && (top["stat"] != nil || top["stCode"] != nil)) {
		return nil
	}
	return fail
}

// names reports whether an answer has one of the codes with which the session or
// the access token is refused.
func names(answer []byte) bool {
	for _, f := range []wire.Failure{wire.BadSession, wire.HeaderMissing, wire.WrongSecret, wire.BadAccess, wire.NoAccess} {
		if bytes.Contains(answer, []byte(f.Code)) {
			return true
		}
	}
	return false
}

// A putBack is a body whose beginning was read and is read again.
type putBack struct {
	start []byte
	rest  io.Reader
	io.Closer
}

func (b *putBack) Read(p []byte) (int, error) {
	if len(b.start) == 0 {
		return b.rest.Read(p)
	}
	n := copy(p, b.start)
	b.start = b.start[n:]
	return n, nil
}

// broken is a body whose reading failed.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// unsent is the error for a call that was given up before it was sent.
func (c *Client) unsent(ctx context.Context, op string, err error) *Error {
	fail := c.noAnswer(ctx, op, "", err, nil)
	fail.Message = "given up while waiting for the rate limit or Retry-After: " + fail.Message
	fail.Retry = RetrySame
	return fail
}

// maxBook is how much of a trade call's answer Do reads, in bytes. A day's order
// book of a busy program has some megabytes.
const maxBook = 32 << 20

// Do calls the trade API and decodes its answer into what into points to: the
// answer's data, or all of it where there is no data. It goes the way of
// [Client.HTTPClient]. path is an address below the service's base URL, such as
// "/quick/user/orders"; form is the body of a POST, or the query of a GET or HEAD,
// and may be nil, as may into. Where the trade API wants JSON, it is in the field
// jData of the form.
//
// Every failure is an [*Error], whatever its shape. An empty report (code 5203) is
// no failure: into stays as it is.
func (c *Client) Do(ctx context.Context, method, path string, form url.Values, into any, opts ...CallOption) error {
	op := opCall
	if known, ok := calls[path]; ok {
		op = known
	}
	var body io.Reader
	if len(form) > 0 {
		if method == http.MethodGet || method == http.MethodHead {
			separator := "?"
			if strings.Contains(path, "?") {
				separator = "&"
			}
			path += separator + form.Encode()
		} else {
			body = strings.NewReader(form.Encode())
		}
	}
	if c.http.Timeout > 0 { // here and not in the http.Client, which would hide our error in a text
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.http.Timeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return &Error{Op: op, Category: ErrInvalidInput, Message: tidy(err.Error(), nil), Err: seal(err, nil), Retry: RetryNever}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	id := newRequestID()
	req.Header.Set(wire.HeaderRequestID, id)

	var secrets []string
	t := c.caller(opts)
	t.whole, t.sent = true, &secrets
	hc := *c.http
	hc.Transport, hc.Timeout = t, 0
	began := c.now()
	resp, err := hc.Do(req)
	about := circumstances{method: method, bareKey: len(secrets) > 0 && in(secrets[0], "", c.key)}
	if err != nil {
		if fail, ok := errors.AsType[*Error](err); ok {
			return fail
		}
		fail := c.noAnswer(ctx, op, id, err, secrets)
		c.advise(fail, about)
		return fail
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBook+1))
	if err != nil && resp.StatusCode/100 == 2 {
		fail := c.noAnswer(ctx, op, id, err, secrets)
		c.advise(fail, about)
		return fail
	}

	data := bytes.TrimSpace(answer)
	var fail *Error
	if err == nil && resp.StatusCode/100 == 2 && len(data) > 0 && len(data) <= maxBook && data[0] == '[' {
		fail = unmarshal(op, resp.StatusCode, data, into) // a list, such as quotes are
	} else {
		fail = judge(op, resp, answer, err, maxBook, func(o object) string {
			if d := o["data"]; len(d) > 0 && string(d) != "null" {
				data = d
			} else if whole, err := json.Marshal(o); err == nil { // without its wrapping, if it was encoded twice
				data = whole
			}
			if bad := unmarshal(op, resp.StatusCode, data, into); bad != nil {
				return bad.Message
			}
			return ""
		})
	}
	if fail == nil || fail.Code == wire.NoData.Code {
		return nil
	}
	fail.RequestID, fail.Err = id, seal(err, secrets)
	c.clean(fail, resp.Header, secrets)
	about.page, about.skew = isPage(answer), skew(resp, began, c.now())
	c.advise(fail, about)
	return fail
}

// unmarshal decodes data into what into points to, if that is not nil.
func unmarshal(op string, status int, data []byte, into any) *Error {
	if into == nil {
		return nil
	}
	var inner string
	if json.Unmarshal(data, &inner) == nil && len(inner) > 0 && strings.ContainsAny(inner[:1], "{[") {
		data = []byte(inner) // encoded twice
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &Error{Op: op, Status: status, Category: ErrBadAnswer, Message: fmt.Sprintf("the answer does not fit into %T: %v", into, err)}
	}
	return nil
}

// A Book is a report of the trade API: one row for each position, order, trade or
// holding. The names are the service's. Numbers are json.Number, so that none
// loses a digit.
type Book []map[string]any

// UnmarshalJSON reads a list of rows, or one row.
func (b *Book) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '{' {
		row := map[string]any{}
		err := d.Decode(&row)
		*b = Book{row}
		return err
	}
	return d.Decode((*[]map[string]any)(b))
}

// Positions returns the day's positions.
func (c *Client) Positions(ctx context.Context, opts ...CallOption) (Book, error) {
	return c.report(ctx, wire.OpPositions, opts)
}

// Orders returns the day's order book.
func (c *Client) Orders(ctx context.Context, opts ...CallOption) (Book, error) {
	return c.report(ctx, wire.OpOrders, opts)
}

// Trades returns the day's trade book.
func (c *Client) Trades(ctx context.Context, opts ...CallOption) (Book, error) {
	return c.report(ctx, wire.OpTrades, opts)
}

// Holdings returns what the account holds.
func (c *Client) Holdings(ctx context.Context, opts ...CallOption) (Book, error) {
	return c.report(ctx, wire.OpHoldings, opts)
}

// Limits returns the account's limits over all segments, exchanges and products,
// in one row.
func (c *Client) Limits(ctx context.Context, opts ...CallOption) (Book, error) {
	return c.report(ctx, wire.OpLimits, opts)
}

// report calls op at the address of the session's generation.
func (c *Client) report(ctx context.Context, op wire.Op, opts []CallOption) (Book, error) {
	s, err := c.caller(opts).sessions.Session(ctx)
	if err != nil {
		return nil, err
	}
	family := c.at.families & (wire.Gen1UAT | wire.Gen1PROD)
	if s.KType != "" {
		family = c.at.families & (wire.Gen2 | wire.Gen3)
	}
	method, form := http.MethodGet, url.Values(nil)
	if op == wire.OpLimits {
		method, form = http.MethodPost, url.Values{"jData": {`{"seg":"ALL","exch":"ALL","prod":"ALL"}`}}
	}
	var book Book
	err = c.Do(ctx, method, wire.Path(op, family), form, &book, opts...)
	return book, err
}

// ClientIP returns the address that the service sees this program come from: the
// one to register where only static addresses may trade.
func (c *Client) ClientIP(ctx context.Context, opts ...CallOption) (netip.Addr, error) {
	var seen []wire.ObservedIP
	if err := c.Do(ctx, http.MethodGet, wire.Path(wire.OpClientIP, wire.Gen3), nil, &seen, opts...); err != nil {
		return netip.Addr{}, err
	}
	if len(seen) > 0 {
		if addr, err := netip.ParseAddr(seen[0].IP); err == nil {
			return addr, nil
		}
	}
	return netip.Addr{}, &Error{Op: string(wire.OpClientIP), Status: http.StatusOK, Category: ErrBadAnswer, Message: "the answer has no address", Retry: RetryLater}
}

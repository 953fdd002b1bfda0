package neoapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// opCall is the step of a trade call without an operation of its own.
const opCall = "call"

// steps are the operations that open and end a session; all others use one.
var steps = map[string]bool{
	opAccessToken: true, opLogin: true, opOTP: true, opSession2FA: true, opTOTPLogin: true, opTOTPValidate: true, opLogout: true,
}

// A SessionSource supplies the session of calls. A [Keeper] is one. It must be safe
// for concurrent use.
type SessionSource interface {
	// Session returns a session that, as far as the source knows, has not ended. The
	// call returns its errors unchanged.
	Session(context.Context) (Session, error)
	// Ended reports to the source that the service has refused one of its sessions as
	// ended. The next Session returns another one, or an error.
	Ended(Session)
}

// A CallOption changes how [Client.HTTPClient] and [Client.Do] make calls.
type CallOption func(*caller)

// WithKeeper makes each call use the session of a [Keeper], or another source. A
// client on which [Client.Keep] was called uses that [Keeper] anyway; other clients
// use their current session. If the service says that the session has ended, the
// source is asked for another one, once a call. The call is then sent again if it is
// a GET or HEAD without a body; any other call, such as an order, fails with
// [ErrSessionEnded] and is not sent again.
func WithKeeper(source SessionSource) CallOption {
	return func(t *caller) { t.sessions, t.renews = source, true }
}

// HTTPClient returns an http.Client for trade calls. To each request it adds what the
// session's generation requires (docs/protocol.md): Authorization, Sid, Auth,
// neo-fin-key and the parameter sId, or only Sid and Auth (with the consumer key on
// some calls) for a session that was opened by TOTP and a consumer key. A URL without
// a host, such as "/quick/user/orders", is a neutral path: it is sent to the
// session's service, with the prefix of the session's generation.
//
// It sends only to the session's own host: the one the session was opened at or, for a
// session of generation 3, the one in its BaseURL, if that belongs to the same service.
// It follows no redirect. It keeps within the consumer's rate, see Config.Rate. A GET or
// HEAD without a body that is answered 429 or 503 with a Retry-After of up to ten
// seconds is sent again after that time, once; nothing else is. See [Client.Keep] for
// sessions that end.
//
// Answers are returned as the service sent them, whatever their status; [Client.Do]
// interprets them. If HTTPClient itself refuses a request, or there is no answer, the
// *url.Error of net/http wraps an [*Error]. The http.Client is safe for concurrent
// use.
func (c *Client) HTTPClient(opts ...CallOption) *http.Client {
	hc := *c.http // its CheckRedirect refuses redirects
	hc.Transport = c.caller(opts)
	return &hc
}

func (c *Client) caller(opts []CallOption) *caller {
	t := &caller{client: c, base: c.http.Transport, rate: c.rate, sessions: current{c}}
	if k := c.keeper.Load(); k != nil {
		t.sessions, t.renews = k, true
	}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

// Sessions returns where the client's calls get their session now: from its [Keeper] or,
// if it has none, its current session. A live feed, which outlives calls, uses it.
func (c *Client) Sessions() SessionSource {
	if k := c.keeper.Load(); k != nil {
		return k
	}
	return current{c}
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
	sessions SessionSource
	renews   bool          // whether sessions supplies another one when one has ended
	op       string        // the call's, if it is Do's
	whole    bool          // check answers of any length; for Do, which reads them anyway
	sent     *[]string     // the secrets that were sent, for Do
	keyAlone bool          // see [KeyAlone]
	line     int           // of the rate: ordinary or urgent
	answer   time.Duration // how long to wait for an answer, 0 for as long as the context says
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
		r.Body.Close() // net/http has already closed it for a request that was sent; closing twice is harmless
	}
	if resp != nil {
		resp.Request = r // not the one with the credentials
	}
	return resp, err
}

package neoapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// opCall is the step of a trade call whose address is not in wire.Routes.
const opCall = "call"

// steps are the operations that lead to a session and end it; all others are
// calls with one.
var steps = map[string]bool{
	opAccessToken: true, opLogin: true, opOTP: true, opSession2FA: true, opTOTPLogin: true, opTOTPValidate: true, opLogout: true,
}

// A SessionSource is where calls have their session from. A [Keeper] is one.
type SessionSource interface {
	// Session returns a session that is good as far as the source knows. Its errors
	// are returned by the call as they are.
	Session(context.Context) (Session, error)
	// Ended tells the source that the service has refused a session that it gave, as
	// one that has ended. The next Session returns another, or an error.
	Ended(Session)
}

// A CallOption changes how [Client.HTTPClient] and [Client.Do] call.
type CallOption func(*caller)

// WithKeeper takes the session from a [Keeper], or another source, at each call. A
// client on which [Client.Keep] was called does so by itself, with that [Keeper];
// others take their current session. If the service says that the session has ended,
// the source is told and asked for another, once a call. The call is then sent again
// if it is a GET or HEAD without a body; all others, such as orders, fail with
// [ErrSessionEnded], which says that they were not sent again.
func WithKeeper(source SessionSource) CallOption {
	return func(t *caller) { t.sessions, t.renews = source, true }
}

// HTTPClient returns an http.Client for calls of the trade API. To each request
// it adds what the session's generation needs (docs/protocol.md): Authorization,
// Sid, Auth, neo-fin-key and the parameter sId, or Sid and Auth alone (with the
// consumer key for some addresses) for a session that was opened by TOTP and a
// consumer key. A URL without a host, such as
// "/quick/user/orders", is a neutral path: it is meant at the session's service, and
// gets the prefix of the session's generation.
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
	sessions SessionSource
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

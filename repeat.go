package neoapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"neoapi/internal/wire"
)

// A call is one trade call, which may be sent several times.
type call struct {
	*caller
	request    *http.Request
	op         string
	repeatable bool          // sending it again changes nothing: a GET or HEAD without a body
	session    Session       // the session it was last sent with
	out        *http.Request // the request as it was last sent
	own        *rate         // its own, nil if it has none
	waited     bool          // for a Retry-After
	renewed    bool          // whether its session or access token was replaced
}

// repeatable reports whether sending a request again changes nothing.
func repeatable(r *http.Request) bool {
	return (r.Method == "" || r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody)
}

func (t *caller) call(r *http.Request) (*http.Response, error) {
	a := &call{
		caller: t, request: r, op: t.op,
		repeatable: repeatable(r),
	}
	if a.op == "" {
		a.op = opOf(r.URL.Path)
	}
	if u := r.URL; u.Opaque == "" && u.Scheme == "" && u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return nil, invalid(a.op, "nothing was sent: the path must begin with /, such as /quick/user/orders")
	}
	for {
		resp, err := a.send()
		if err != nil {
			return nil, err
		}
		again, err := a.again(resp)
		if err != nil {
			return nil, err
		}
		if !again {
			return resp, nil
		}
	}
}

// send sends the call once, with the current session and at the consumer's rate.
func (a *call) send() (resp *http.Response, err error) {
	c, ctx := a.client, a.request.Context()
	if err := a.prepare(ctx); err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e == err && e.Sent { // a login, not this call
			copied := *e
			copied.Sent = false
			return nil, &copied
		}
		return nil, err
	}
	own, shared, err := a.admitted(ctx)
	if err != nil {
		return nil, c.unsent(ctx, a.op, err)
	}
	secrets := c.credentials(a.out)
	if a.sent != nil {
		*a.sent = secrets
	}
	x := c.begin(a.op, a.out, secrets)
	if a.out.Body != nil && !a.repeatable {
		x.out = &outbound{ReadCloser: a.out.Body}
		x.sent.Body = x.out
	}
	if x.logs {
		x.body = beginning(a.request)
	}
	end := a.bound(&x)
	if resp, err = a.base.RoundTrip(x.sent); err != nil {
		fail := x.noAnswer(err)
		x.end(fail)
		end()
		return nil, fail
	}
	if a.answer > 0 {
		resp.Body = &timed{resp.Body, end}
	}
	a.answered(own, shared)
	x.passOn(resp)
	return resp, nil
}

// AnswerWithin limits how long an answer is waited for, its last byte included. The time
// begins when the call is sent: neither a login nor the wait for a turn in the rate, which
// only the context bounds, is part of it.
func AnswerWithin(d time.Duration) CallOption { return func(t *caller) { t.answer = d } }

// bound puts the limit of [AnswerWithin] on an exchange. The function that it returns
// releases it.
func (a *call) bound(x *exchange) (end func()) {
	if a.answer <= 0 {
		return func() {}
	}
	ctx, end := context.WithTimeout(x.sent.Context(), a.answer)
	x.sent = x.sent.WithContext(ctx)
	return end
}

// A timed is the body of an answer that has a limit of its own.
type timed struct {
	io.ReadCloser
	end func()
}

func (b *timed) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// prepare makes the request as it goes out: with the session, or with the consumer key
// alone.
func (a *call) prepare(ctx context.Context) (err error) {
	if a.keyAlone {
		a.out, err = a.client.equipKeyAlone(a.request, a.op)
		return err
	}
	if a.session, err = a.sessions.Session(ctx); err != nil {
		return err
	}
	own, request := a.caller.op != "", a.request
	if own && a.out != nil { // the transport may still read the headers that it got
		request = a.request.WithContext(ctx)
		request.Header = a.request.Header.Clone()
		delete(request.Header, "Authorization")
		delete(request.Header, wire.HeaderFinKey)
	}
	a.out, err = a.client.equip(request, a.op, a.session, own)
	return err
}

// again reports whether to send the call again after an answer. If so, or if it
// returns an error, it has dropped the answer.
func (a *call) again(resp *http.Response) (bool, error) {
	c, ctx := a.client, a.request.Context()
	if wait := a.worthAWait(resp); wait > 0 {
		a.waited = true
		drop(resp)
		if err := c.pause(ctx, c.now(), wait); err != nil {
			return false, c.unsent(ctx, a.op, err)
		}
		return true, nil
	}
	if a.keyAlone {
		return false, nil
	}
	fail := a.refusal(a.op, resp)
	switch {
	case fail == nil:
		if o := c.renewed.Load(); o != nil && o.token == a.session.Token {
			c.renewed.CompareAndSwap(o, nil)
		}
		return false, nil
	case a.renewed:
		return false, nil
	case fail.Category == ErrAccessToken:
		if !c.forgetAccess(c.credentials(a.out)[0]) || !a.repeatable {
			return false, nil
		}
	case !a.renews || c.justOpened(a.session):
		return false, nil
	default:
		if err := a.renew(fail, resp); err != nil {
			drop(resp)
			return false, err
		}
	}
	a.renewed = true
	drop(resp)
	return true, nil
}

// worthAWait returns how long to wait before sending the call again, once, because
// the service is too busy now, or 0 not to.
func (a *call) worthAWait(resp *http.Response) time.Duration {
	if !a.repeatable || a.waited || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	wait := retryAfter(resp.Header.Get("Retry-After"), a.client.now())
	deadline, bounded := a.request.Context().Deadline()
	if wait > patience || bounded && time.Until(deadline) <= wait {
		return 0
	}
	return wait
}

// renew gets another session from the source in place of the one that an answer
// refused. Its error is the call's, also if there is a new session but the call must
// not be sent again.
func (a *call) renew(fail *Error, resp *http.Response) error {
	c := a.client
	a.sessions.Ended(a.session)
	next, err := a.sessions.Session(a.request.Context())
	if err == nil {
		c.renewed.Store(&renewal{next.Token, c.now()})
	}
	if !a.repeatable {
		return c.notRepeated(fail, a.out, resp, err)
	}
	return err
}

// admitted returns when a call may go out, with its tickets in the window of its own
// rate, if it has one, and in the consumer's shared window.
func (a *call) admitted(ctx context.Context) (own, shared int64, err error) {
	c := a.client
	if a.rate == c.rate && !a.keyAlone {
		shared, err = c.rate.wait(ctx, c, a.line)
		return 0, shared, err
	}
	if a.own = a.rate; a.rate == c.rate {
		a.own = c.rateAlone(a.request.URL.Path)
	}
	if a.own != nil {
		if own, err = a.own.wait(ctx, c, a.line); err != nil {
			return 0, 0, err
		}
	}
	if !a.keyAlone {
		shared, _ = c.rate.window.take(c, 0)
	}
	return own, shared, ctx.Err()
}

func (a *call) answered(own, shared int64) {
	if own != 0 {
		a.own.window.answered(own)
	}
	if shared != 0 {
		a.client.rate.window.answered(shared)
	}
}

// A renewal is a session that was opened because another had ended, and that the
// service has not accepted yet.
type renewal struct {
	token string
	at    time.Time
}

// justOpened reports whether s was opened less than a minute ago to replace an ended
// session, and was never accepted. Opening another would not help: each call would
// log in.
func (c *Client) justOpened(s Session) bool {
	o := c.renewed.Load()
	return o != nil && o.token == s.Token && c.now().Sub(o.at) < time.Minute
}

// notRepeated returns the error for a call that must not be sent again, whether or
// not there is a new session.
func (c *Client) notRepeated(fail *Error, out *http.Request, resp *http.Response, err error) *Error {
	fail.RequestID, fail.Err, fail.Sent = out.Header.Get(wire.HeaderRequestID), err, true
	c.clean(fail, resp.Header, c.credentials(out))
	fail.Retry = RetryCheckFirst
	fail.Message = "the session had ended; a new one is open, and the call was not sent again"
	fail.Hint = "check that nothing was done, then send it"
	if err != nil {
		fail.Retry, fail.Hint = RetryLoginAgain, ""
		fail.Message = "the session had ended, and no new session could be opened: " + tidy(err.Error(), c.credentials(out))
		if e, ok := errors.AsType[*Error](err); ok {
			fail.Message, fail.Hint = "the session had ended, and no new session could be opened: "+string(e.Category), e.Hint
		}
	}
	return fail
}

// drop discards an answer; reading a short one keeps its connection usable.
func drop(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, glance)
	resp.Body.Close()
}

// unsent returns the error for a call that was given up before it was sent.
func (c *Client) unsent(ctx context.Context, op string, err error) *Error {
	fail := c.noAnswer(ctx, op, "", err, nil)
	fail.Message = "given up while waiting for the rate limit or Retry-After: " + fail.Message
	fail.Retry = RetrySame
	return fail
}

package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/credential"
)

// A Message is a one-time code on its way to a person.
type Message struct {
	ID      string // the same however often the message is sent
	SID     string // the login that the code is for
	Account Account
	Code    credential.Secret
	Now     time.Time // when it is sent, by the service's clock
	Expires time.Time
}

// An OTPRequest asks for a one-time code. The protocol's clients name only the
// account; a SID, which our own client sends, says exactly which login is meant.
type OTPRequest struct {
	Consumer Consumer
	Account  string // the sub of the view token
	SID      string // optional
	Caller   Caller
}

// OTPTerms are what a person should know about a code that was sent.
type OTPTerms struct {
	Digits int
	Life   time.Duration
	Resend time.Duration
}

// SendOTP puts a new code into an open view session and sends it. The request carries
// no token, so it can name any user: a code is made only for an open login of this
// consumer, and the answer is the same without one (security.md P5). Refusals:
// KindTooSoon, KindOTPNotSent, KindUnavailable.
func (s *Service) SendOTP(ctx context.Context, r OTPRequest) (OTPTerms, error) {
	terms := OTPTerms{s.opt.OTPDigits, otpLife, otpResend}
	o := &sending{Service: s, event: Event{
		Time: s.Now(), Action: "otp", Factor: OTP, Consumer: r.Consumer.Key,
		Address: r.Caller.Address, RequestID: r.Caller.RequestID,
	}}
	var err error
	s.payFirst(ctx, r.Account)
	o.view, err = s.viewForOTP(ctx, r, o.event.Time)
	if err == nil {
		o.event.Account, o.event.UCC, o.event.SID = o.view.Account, o.view.UCC, o.view.SID
	}
	if s.Courier == nil { // the only thing that matters: the answer is the same for everyone
		return terms, o.end(ctx, "no courier", &Error{Kind: KindOTPNotSent, Detail: "this service cannot send one-time codes: use the MPIN as second factor, or log in with TOTP"})
	}
	if errors.Is(err, ErrNotFound) {
		return terms, o.end(ctx, "no open login", nil)
	}
	if err != nil {
		return terms, StoreFault(err)
	}
	if err := o.due(ctx); err != nil {
		return terms, err
	}
	account, err := s.Directory.Account(ctx, Identifier{ByID, credential.Secret(o.view.Account)})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return terms, StoreFault(err)
	}
	if err == nil {
		err = s.Courier.Ready(account)
	}
	if err != nil { // no courier can deliver it: no code is made
		return terms, o.end(ctx, "not delivered", undelivered(err))
	}
	now := o.event.Time
	m := Message{uuid.NewString(), o.view.SID, account, credential.NewOTP(s.opt.OTPDigits), now, now.Add(otpLife)}
	hash := s.otpHash(o.view.SID, m.Code)
	stored, err := o.put(ctx, m, hash)
	if !stored {
		return terms, err
	}
	return terms, o.deliver(ctx, m, hash)
}

// A sending is one call of [Service.SendOTP].
type sending struct {
	*Service
	view  Session
	event Event
}

// end records how a request for a code ended, and returns its refusal.
func (o *sending) end(ctx context.Context, outcome string, refusal error) error {
	o.event.Outcome = outcome
	_ = o.record(ctx, o.event)
	return refusal
}

func (o *sending) tooSoon(ctx context.Context, wait time.Duration) error {
	return o.end(ctx, "asked again too soon", &Error{Kind: KindTooSoon, Detail: "a code was sent just now: wait before asking for another", RetryAfter: wait})
}

// due refuses a code that the login may not have, or must wait for.
func (o *sending) due(ctx context.Context) error {
	now := o.event.Time
	if o.view.Sends >= maxSends {
		return o.end(ctx, "too many codes for this login",
			&Error{Kind: KindTooSoon, Detail: fmt.Sprintf("this login has had its %d codes: log in again", maxSends), RetryAfter: o.view.Expires.Sub(now)})
	}
	// A code that was sent in the future was sent before the clock was set back.
	if wait := o.view.LastSend.Add(otpResend).Sub(now); o.view.Sends > 0 && wait > 0 && wait <= otpResend+clockSkew {
		return o.tooSoon(ctx, wait)
	}
	return nil
}

// put stores a code in the view session, or reports that it did not, with the refusal
// if there is one.
func (o *sending) put(ctx context.Context, m Message, hash []byte) (stored bool, err error) {
	code := NewOTP{SID: o.view.SID, Sends: o.view.Sends, Hash: hash, Expires: m.Expires, Now: m.Now, PerHour: o.opt.OTPPerHour}
	if o.Outbox {
		code.Job = o.codeJob(m, o.event)
	}
	drop := true // until it is known what was stored
	defer func() {
		if drop {
			o.after(ctx, o.drop(hash), o.view.Account)
		}
	}()
	wait, err := o.Sessions.SetOTP(ctx, code)
	drop = false
	switch {
	case errors.Is(err, ErrNotFound): // ended meanwhile
		return false, o.end(ctx, "no open login", nil)
	case errors.Is(err, ErrClaimed): // another request for this login got there first
		return false, o.tooSoon(ctx, otpResend)
	case errors.Is(err, ErrTooMany):
		return false, o.end(ctx, "too many codes this hour", &Error{Kind: KindTooSoon, Detail: "this account has had too many codes: wait, or use the MPIN", RetryAfter: wait})
	case err != nil: // stored or not: this code will never be sent
		drop = true
		return false, StoreFault(err)
	}
	return true, nil
}

// deliver passes a stored code to the courier, or leaves it to the outbox.
func (o *sending) deliver(ctx context.Context, m Message, hash []byte) error {
	if o.Outbox {
		err := o.end(ctx, "queued", nil)
		o.outbox.wake()
		return err
	}
	sent := false
	defer func() {
		if !sent { // before the answer, so that a client that asks again at once does not have to wait
			o.atOnce(ctx, o.drop(hash), o.view.Account)
		}
	}()
	var err error
	unhurried(ctx, func() { err = o.Courier.Send(ctx, m) })
	if err != nil {
		return o.end(ctx, "not delivered", undelivered(err))
	}
	sent = true
	return o.end(ctx, "ok", nil)
}

// drop takes back a code that was not delivered.
func (o *sending) drop(hash []byte) func(ctx context.Context) error {
	return func(ctx context.Context) error { return o.Sessions.DropOTP(ctx, o.view.SID, hash) }
}

// undelivered returns the client's error for a code that could not be delivered.
func undelivered(err error) *Error {
	return &Error{Kind: KindOTPNotSent, Detail: "the code could not be delivered: ask again, or use the MPIN", Err: err}
}

// viewForOTP returns the view session that a request for a code is about.
func (s *Service) viewForOTP(ctx context.Context, r OTPRequest, now time.Time) (Session, error) {
	if r.SID == "" {
		// Two concurrent logins get a code each; a repeated request gets a code for the
		// newest login, not for an abandoned one.
		return s.Sessions.PendingView(ctx, r.Account, r.Consumer, now.Add(-otpResend), now)
	}
	view, err := s.Sessions.Session(ctx, r.SID)
	if err != nil {
		return view, err
	}
	if view.Kind != View || view.Account != r.Account || view.Consumer != r.Consumer.Key || view.Incarnation != r.Consumer.Incarnation || !now.Before(view.Expires) {
		return view, ErrNotFound
	}
	return view, nil
}

// otpHash is the keyed hash under which a code is stored, bound to its login.
func (s *Service) otpHash(sid string, code credential.Secret) []byte {
	return s.Vault.MAC(credential.PurposeOTP, sid, string(code))
}

// Live reports whether a code that was sent can still complete its login: it is
// the login's current one, unexpired, unused, and has tries left.
func (s *Service) Live(ctx context.Context, m Message) (bool, error) {
	view, err := s.Sessions.Session(ctx, m.SID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	now := s.Now()
	live := view.Kind == View && view.Tries < maxTries && now.Before(view.Expires) && now.Before(view.OTPExpires) &&
		credential.Equal(view.OTP, s.otpHash(m.SID, m.Code))
	return live, err
}

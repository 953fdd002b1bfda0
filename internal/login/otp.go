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
	ID      string // one message, however often it is sent
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

// OTPTerms are what a person should know of a code that was sent.
type OTPTerms struct {
	Digits int
	Life   time.Duration
	Resend time.Duration
}

// SendOTP puts a new code into an open view session and sends it. The request
// carries no token, so it can name anybody: a code is made only for a login that
// this consumer has open, and the answer is the same without one (bar P5).
// Refusals: KindTooSoon, KindOTPNotSent, KindUnavailable.
func (s *Service) SendOTP(ctx context.Context, r OTPRequest) (OTPTerms, error) {
	terms := OTPTerms{s.opt.OTPDigits, otpLife, otpResend}
	now := s.Now()
	event := Event{
		Time: now, Action: "otp", Factor: OTP, Consumer: r.Consumer.Key,
		Address: r.Caller.Address, RequestID: r.Caller.RequestID,
	}
	view, err := s.viewForOTP(ctx, r, now)
	if err == nil {
		event.Account, event.UCC, event.SID = view.Account, view.UCC, view.SID
	}
	if s.Courier == nil { // which is all that matters: the same is answered whoever asks
		event.Outcome = "no courier"
		_ = s.record(ctx, event)
		return terms, &Error{Kind: KindOTPNotSent, Detail: "this service cannot send one-time codes: use the MPIN as second factor, or log in with TOTP"}
	}
	if errors.Is(err, ErrNotFound) {
		event.Outcome = "no open login"
		_ = s.record(ctx, event)
		return terms, nil
	}
	if err != nil {
		return terms, storeFault(err)
	}
	if view.Sends >= maxSends {
		event.Outcome = "too many codes for this login"
		_ = s.record(ctx, event)
		wait := view.Expires.Sub(now)
		return terms, &Error{Kind: KindTooSoon, Detail: fmt.Sprintf("this login has had its %d codes: log in again", maxSends), RetryAfter: wait}
	}
	tooSoon := func(wait time.Duration) error {
		event.Outcome = "asked again too soon"
		_ = s.record(ctx, event)
		return &Error{Kind: KindTooSoon, Detail: "a code was sent just now: wait before asking for another", RetryAfter: wait}
	}
	// A code that was sent in the future was sent before the clock was set back.
	if wait := view.LastSend.Add(otpResend).Sub(now); view.Sends > 0 && wait > 0 && wait <= otpResend+clockSkew {
		return terms, tooSoon(wait)
	}

	account, err := s.Directory.Account(ctx, Identifier{ByID, credential.Secret(view.Account)})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return terms, storeFault(err)
	}
	if err == nil {
		err = s.Courier.Ready(account)
	}
	if err != nil { // nobody can carry it: no code is made
		event.Outcome = "not delivered"
		_ = s.record(ctx, event)
		return terms, undelivered(err)
	}
	m := Message{uuid.NewString(), view.SID, account, credential.NewOTP(s.opt.OTPDigits), now, now.Add(otpLife)}
	hash := s.otpHash(view.SID, m.Code)
	code := NewOTP{SID: view.SID, Sends: view.Sends, Hash: hash, Expires: m.Expires, Now: now, PerHour: s.opt.OTPPerHour}
	if s.Outbox {
		code.Job = s.codeJob(m, event)
	}
	wait, err := s.Sessions.SetOTP(ctx, code)
	switch {
	case errors.Is(err, ErrNotFound): // ended meanwhile
		event.Outcome = "no open login"
		_ = s.record(ctx, event)
		return terms, nil
	case errors.Is(err, ErrClaimed): // another request for this login got there first
		return terms, tooSoon(otpResend)
	case errors.Is(err, ErrTooMany):
		event.Outcome = "too many codes this hour"
		_ = s.record(ctx, event)
		return terms, &Error{Kind: KindTooSoon, Detail: "this account has had too many codes: wait, or use the MPIN", RetryAfter: wait}
	case err != nil: // stored or not: nobody will ever know this code
		s.after(ctx, func(ctx context.Context) error { return s.Sessions.DropOTP(ctx, view.SID, hash) })
		return terms, storeFault(err)
	}

	if s.Outbox {
		event.Outcome = "queued"
		_ = s.record(ctx, event)
		s.outbox.wake()
		return terms, nil
	}
	unhurried(ctx, func() { err = s.Courier.Send(ctx, m) })
	if err != nil {
		event.Outcome = "not delivered"
		// Before the answer: whoever asks again at once must not be told to wait.
		ctx, cancel := toTheEnd(ctx)
		defer cancel()
		if derr := s.Sessions.DropOTP(ctx, view.SID, hash); derr != nil {
			s.Log.WarnContext(ctx, "undelivered code not taken back", "sid", view.SID, "cause", derr)
		}
		_ = s.record(ctx, event)
		return terms, undelivered(err)
	}
	event.Outcome = "ok"
	_ = s.record(ctx, event)
	return terms, nil
}

// undelivered is what the client is told of a code that did not arrive.
func undelivered(err error) *Error {
	return &Error{Kind: KindOTPNotSent, Detail: "the code could not be delivered: ask again, or use the MPIN", Err: err}
}

// viewForOTP returns the view session that a request for a code means.
func (s *Service) viewForOTP(ctx context.Context, r OTPRequest, now time.Time) (Session, error) {
	if r.SID == "" {
		// Two logins at once get a code each; a code that is asked for again goes to
		// the newest login, not to one that was given up.
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

// Live tells whether a code that was sent can still complete its login: it is
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

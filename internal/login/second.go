package login

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/claims"
	"neoapi/internal/credential"
)

// A SecondFactor is the second proof for an open view session.
type SecondFactor struct {
	Consumer Consumer
	SID      string     // header Sid
	Auth     string     // header Auth: the view token
	ID       Identifier // optional: the user named in the body; must be the view's account
	Code     credential.Secret
	MPINOnly bool // the operation takes no OTP (MPIN validate)
	Caller   Caller
}

// SecondFactor judges a second factor and turns the view session into a trade
// session, in the order claim, judge, OMS, complete (docs/design.md), and in one
// transaction where the code and the OMS allow it. It returns the token only once the
// session is stored. Refusals: KindMissing, KindSession, KindTokenKind, KindCredentials,
// KindLocked, KindTooSoon (another try is being judged), KindOMSDown, KindOMSTimeout,
// KindUnavailable. After the last four the same code still works.
func (s *Service) SecondFactor(ctx context.Context, f SecondFactor) (Opened, error) {
	says, err := s.view(ctx, f.SID, f.Auth)
	if err != nil {
		var refused *Error
		if errors.As(err, &refused) && refused.Kind != KindMissing && refused.Kind != KindUnavailable {
			return Opened{}, s.refuse(ctx, s.secondEvent(f, Account{}, "token refused"), refused)
		}
		return Opened{}, err
	}
	claim := Claim{
		SID: f.SID, Account: says.Sub, Consumer: f.Consumer.Key, Incarnation: f.Consumer.Incarnation, ViewID: says.Jti,
		ID: uuid.NewString(), Now: s.Now(), Lease: s.opt.OMSTimeout + claimGrace, MaxTries: maxTries,
		RepeatFor: repeatFor,
	}
	if f.Caller.RequestID != "" {
		claim.Repeat = s.Vault.MAC(credential.PurposeRepeat, f.SID, f.Caller.RequestID, string(f.Code))
	}
	claim.Redeem = s.redemption(f, says, claim)
	if claim.Redeem != nil { // it may complete the session, which must not be half done if the client disconnects
		var done context.CancelFunc
		ctx, done = toTheEnd(ctx)
		defer done()
	}
	s.payFirst(ctx, says.Sub)
	answered := false
	defer func() {
		if !answered { // a panic
			s.refundUnknown(ctx, s.secondEvent(f, Account{ID: says.Sub}, "not judged"), claim)
		}
	}()
	view, account, err := s.Sessions.Claim(ctx, claim)
	answered = true
	if err != nil {
		return Opened{}, s.notClaimed(ctx, f, says, claim, err)
	}
	if account.ID == "" { // removed: the session has outlived it and must not be completed
		return Opened{}, s.refuse(ctx, s.secondEvent(f, Account{}, "no such account"), badSession())
	}
	if claim.Redeems(view) {
		s.logged(ctx, claim.Redeem.Event)
		return s.opened(ctx, account, view)
	}
	if view.Kind == Trade { // a repeat of the request that completed it
		if !s.hashed(f.ID).names(account) {
			return Opened{}, s.refuse(ctx, s.secondEvent(f, account, "no such view session"), badSession())
		}
		if err := s.record(ctx, s.secondEvent(f, account, "repeated")); err != nil {
			return Opened{}, StoreFault(err)
		}
		return s.opened(ctx, account, view)
	}
	// The try is counted and the claim is ours: from here on the sequence runs to its
	// end even if the client disconnects, so that nothing stays half done.
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	a := &attempt{Service: s, second: f, account: account, view: view, claim: claim}
	defer a.end(ctx)
	return a.complete(ctx)
}

// redemption returns what the claim does if the code is the one-time code, so that the
// whole second factor takes one transaction. It returns nil if the code must be an MPIN
// or the OMS has to be asked, which needs a claim.
func (s *Service) redemption(f SecondFactor, says claims.View, c Claim) *Redemption {
	if f.MPINOnly || !s.OMS.Here() {
		return nil
	}
	trade := s.tradeOf(Session{
		SID: c.SID, Account: c.Account, UCC: says.UCC, Consumer: c.Consumer, Incarnation: c.Incarnation, ViewID: c.ViewID,
	}, c)
	trade.Home = s.OMS.Home(says.UCC)
	return &Redemption{ID: s.hashed(f.ID), OTP: s.otpHash(c.SID, f.Code), Trade: trade, Event: s.secondEvent(f, Account{ID: says.Sub, UCC: says.UCC}, "ok")}
}

// tradeOf returns the trade session that a view session becomes now, without its home
// server.
func (s *Service) tradeOf(view Session, c Claim) Session {
	now := s.Now()
	return Session{
		SID: view.SID, RID: uuid.NewString(), Kind: Trade,
		Account: view.Account, UCC: view.UCC, Consumer: view.Consumer, Incarnation: view.Incarnation, First: view.First,
		ViewID: view.ViewID, TradeID: claims.TradeID(view.SID), KeyID: s.keys.ring().Active(),
		Issued: now, Expires: s.tradeEnd(now), Repeat: c.Repeat, Remote: s.OMS.Remote(),
	}
}

// notClaimed records a failed claim in the audit trail and returns the caller's error.
func (s *Service) notClaimed(ctx context.Context, f SecondFactor, says claims.View, claim Claim, err error) error {
	if errors.Is(err, ErrOvertaken) {
		s.logged(ctx, claim.Redeem.Event.Overtaken())
		return badSession()
	}
	account := Account{ID: says.Sub, UCC: says.UCC}
	outcome, refusal := claimRefused(err)
	if outcome == "" { // the store did not say whether it was taken
		outcome = "not judged"
		if claim.Redeem != nil { // nor whether it completed the session: if it did, a repeat of the request gets it
			outcome = "not stored"
		}
		s.refundUnknown(ctx, s.secondEvent(f, Account{ID: says.Sub}, outcome), claim) // no UCC: the account may have been erased
		return refusal
	}
	// If the account was removed since the first factor, the event does not name it: an
	// erased person's name must not return to the trail. The login's event has the same
	// sid.
	switch _, err := s.Directory.Account(ctx, Identifier{ByID, credential.Secret(says.Sub)}); {
	case errors.Is(err, ErrNotFound):
		account, outcome, refusal = Account{}, "no such account", badSession()
	case err != nil:
		return StoreFault(err)
	}
	return s.refuse(ctx, s.secondEvent(f, account, outcome), refusal)
}

// claimRefused returns the audit trail's outcome and the caller's error for a refused
// claim. The outcome of a store fault is empty.
func claimRefused(err error) (outcome string, refusal *Error) {
	var locked *LockedError
	switch {
	case errors.Is(err, ErrNotFound):
		return "no such view session", badSession()
	case errors.Is(err, ErrClaimed):
		return "another code is being judged", &Error{Kind: KindTooSoon, Detail: "another code for this login is being checked: wait for its answer", RetryAfter: time.Second}
	case errors.As(err, &locked):
		return "locked", &Error{Kind: KindLocked, Detail: "too many wrong codes: wait, or have the service's operator unlock the account", RetryAfter: locked.Wait}
	case errors.Is(err, ErrTriesUsed):
		return "tries used up", &Error{Kind: KindCredentials, Detail: "too many wrong tries: ask for a new code, or log in again"}
	}
	return "", StoreFault(err)
}

// An attempt is a second factor whose claim is held.
type attempt struct {
	*Service
	second  SecondFactor
	account Account
	view    Session
	claim   Claim

	compared bool // with the one-time code, and different: from then on the try counts
	ended    bool // the claim is given back, or is to count
}

// end gives the claim back after the answer if a panic has left it held. Nothing was
// judged then, or the code was right, unless it was compared and different.
func (a *attempt) end(ctx context.Context) {
	if !a.ended && !a.compared {
		a.refundLater(ctx, a.event("not judged"), a.claim)
	}
}

// complete is steps 2 to 5: judge, open the session at the OMS, store it.
func (a *attempt) complete(ctx context.Context) (Opened, error) {
	factor, err := a.judge(ctx)
	if err != nil {
		return Opened{}, err
	}
	trade := a.tradeOf(a.view, a.claim)
	var outcome string
	if trade.Home, outcome, err = a.openOMS(ctx, trade); err != nil {
		a.refund(ctx, outcome)
		return Opened{}, err
	}
	event := a.event("ok")
	event.Factor = factor
	if err := a.store(ctx, trade, event); err != nil {
		return Opened{}, err
	}
	return a.opened(ctx, a.account, trade)
}

func (a *attempt) event(outcome string) Event { return a.secondEvent(a.second, a.account, outcome) }

// refund gives the claim back before the answer, so that an immediate retry finds it
// free.
func (a *attempt) refund(ctx context.Context, outcome string) {
	event := a.event(outcome)
	err := a.Sessions.Refund(ctx, a.second.SID, a.claim.ID, event)
	a.ended = true
	if err != nil && !errors.Is(err, ErrClaimLost) {
		a.refundLater(ctx, event, a.claim)
		return
	}
	a.logged(ctx, event)
}

// fail ends the claim as a failed try. If the store fails the try stays open, and
// counts as failed when its lease runs out.
func (a *attempt) fail(ctx context.Context, outcome string, refusal error) error {
	a.ended = true
	event := a.event(outcome)
	if err := a.Sessions.Fail(ctx, a.second.SID, a.claim.ID, event); err != nil && !errors.Is(err, ErrClaimLost) {
		return StoreFault(err)
	}
	a.logged(ctx, event)
	return refusal
}

// judge returns the factor that the code proves, or a refusal once it has ended the
// claim.
func (a *attempt) judge(ctx context.Context) (Factor, error) {
	if !a.hashed(a.second.ID).names(a.account) { // it costs a try, so that a view token's holder cannot probe for names
		return "", a.fail(ctx, "another account's identifier", &Error{Kind: KindCredentials, Detail: "the identifier is not the one that logged in"})
	}
	mpinOnly := a.second.MPINOnly
	factor, err := a.verify(ctx)
	switch {
	case err != nil && a.compared: // a guess at the OTP is not free because the rest failed
		return "", a.fail(ctx, "not judged", err)
	case errors.Is(err, ErrLocked) && (mpinOnly || !a.view.Undelivered):
		a.refund(ctx, "locked")
		return "", err
	case errors.Is(err, ErrLocked): // perhaps meant as the OTP that never came
		a.refund(ctx, "code not delivered")
		return "", neverCame()
	case err != nil:
		a.refund(ctx, "not judged")
		return "", err
	}
	if factor != "" && !a.account.Disabled {
		return factor, nil
	}
	if factor == "" && a.view.Undelivered && !mpinOnly { // no OTP can be right: the owner has none
		if a.mayBeMPIN(a.second, a.account, a.view) { // judged as one, so it counts
			return "", a.fail(ctx, "wrong code", neverCame())
		}
		a.refund(ctx, "code not delivered")
		return "", neverCame()
	}
	return "", a.fail(ctx, "wrong code", &Error{Kind: KindCredentials, Detail: wrongCode(a.view, mpinOnly)})
}

// store completes the claim with the trade session, or ends it with the refusal.
func (a *attempt) store(ctx context.Context, trade Session, event Event) error {
	switch err := a.Sessions.Complete(ctx, a.claim.ID, trade, event); {
	case errors.Is(err, ErrOvertaken):
		a.ended = true
		a.logged(ctx, event.Overtaken())
		a.closings.wake()
		return badSession()
	case errors.Is(err, ErrClaimLost):
		a.refund(ctx, "ended meanwhile")
		a.closeLater(ctx, trade)
		return badSession()
	case err != nil: // stored or not: if it was, a repeat of the request gets the session
		a.ended = true
		a.refundLater(ctx, a.event("not stored"), a.claim)
		return StoreFault(err)
	}
	a.ended = true
	a.logged(ctx, event)
	return nil
}

// openOMS opens a session at the OMS, which has its own time limit. If that fails,
// outcome is for the audit trail. A request that timed out before it could ask, because
// this process stalled, says nothing about the OMS.
func (s *Service) openOMS(ctx context.Context, trade Session) (home, outcome string, err error) {
	var timedOut bool
	unhurried(ctx, func() {
		ctx, cancel := context.WithTimeout(ctx, s.opt.OMSTimeout)
		defer cancel()
		home, err = s.OMS.Open(ctx, OMSSession{SID: trade.SID, UCC: trade.UCC, Consumer: trade.Consumer, Expires: trade.Expires})
		timedOut = ctx.Err() != nil
	})
	switch {
	case err == nil:
		return home, "", nil
	case ctx.Err() != nil:
		return "", "not judged", StoreFault(ctx.Err())
	case timedOut || errors.Is(err, context.DeadlineExceeded):
		return "", "OMS timeout", &Error{Kind: KindOMSTimeout, Detail: "the OMS did not answer in time: the same code still works", Err: err}
	}
	return "", "OMS down", &Error{Kind: KindOMSDown, Detail: "not able to communicate with the OMS: the same code still works", Err: err}
}

// refundLater gives a claim back after the answer if it is held.
func (s *Service) refundLater(ctx context.Context, e Event, c Claim) {
	s.after(ctx, func(ctx context.Context) error { return s.leave(ctx, e, c, s.Sessions.Refund) }, c.Account)
}

// refundUnknown is refundLater for a claim of which it is not known whether it was taken. If
// it was, and the code was compared with the one-time code, it counts as a failed try:
// guesses are not free because their answer is lost.
func (s *Service) refundUnknown(ctx context.Context, e Event, c Claim) {
	s.after(ctx, func(ctx context.Context) error {
		if c.Redeem != nil {
			x, err := s.Sessions.Session(ctx, c.SID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if x.ClaimID == c.ID && len(x.OTP) > 0 && c.Now.Before(x.OTPExpires) { // otherwise it has redeemed the code
				e := e
				e.Outcome = "wrong code"
				return s.leave(ctx, e, c, s.Sessions.Fail)
			}
		}
		return s.leave(ctx, e, c, s.Sessions.Refund)
	}, c.Account)
}

// leave ends a claim with its event.
func (s *Service) leave(ctx context.Context, e Event, c Claim, end func(ctx context.Context, sid, claim string, e Event) error) error {
	err := end(ctx, c.SID, c.ID, e)
	if err == nil || errors.Is(err, ErrClaimLost) {
		s.logged(ctx, e)
	}
	return err
}

// hashed returns an identifier with a PAN replaced by its keyed hash.
func (s *Service) hashed(id Identifier) Identifier {
	if id.Kind == ByPAN {
		id.Value = credential.Secret(s.Vault.MAC(credential.PurposePAN, string(id.Value)))
	}
	return id
}

// names reports whether an identifier is empty or names the account. A PAN must be its
// keyed hash.
func (id Identifier) names(a Account) bool {
	v := string(id.Value)
	switch id.Kind {
	case "":
		return true
	case ByID, ByUserID: // clients send the view token's sub; people know the user id and the UCC
		return v == a.ID || v == a.UserID || v == a.UCC
	case ByMobile:
		return v == a.Mobile
	case ByPAN:
		return credential.Equal([]byte(v), a.PANIndex)
	}
	return v == a.UCC
}

// verify returns the factor that the code proves, or "" if it proves none. It judges the
// code as any factor outstanding: generation 1 sends a six-digit OTP as mpin, and an MPIN
// as otp. It never accepts the first factor again.
func (a *attempt) verify(ctx context.Context) (factor Factor, err error) {
	f, view := a.second, a.view
	live := !f.MPINOnly && a.Now().Before(view.OTPExpires) && len(view.OTP) > 0
	// A claim that could have redeemed the code has compared it.
	a.compared = live && a.claim.Redeem != nil
	mpin := a.mayBeMPIN(f, a.account, view)
	if mpin { // otherwise a full queue refuses before anything is compared
		leave, err := a.Service.second.enter()
		if err != nil {
			return "", err
		}
		defer leave()
	}
	if live {
		if credential.Equal(a.otpHash(view.SID, f.Code), view.OTP) {
			a.compared = false
			return OTP, nil
		}
		a.compared = true
	}
	if !mpin {
		return "", nil
	}
	err = a.Service.second.turn(ctx, func() error {
		if err := a.mpinAllowed(ctx, a.account, a.claim, a.compared); err != nil {
			return err
		}
		good, upgrade, err := a.verifyHash(ctx, a.account, MPIN, f.Code)
		if good {
			factor = MPIN
			if !a.account.Disabled {
				upgrade()
			}
		}
		return err
	})
	if a.compared && errors.Is(err, ErrLocked) { // perhaps meant as the OTP, which it is not
		err = nil
	}
	if factor == MPIN {
		a.compared = false // it is right after all
	}
	return factor, err
}

// mayBeMPIN reports whether a code is judged as the MPIN if it is not the OTP.
func (s *Service) mayBeMPIN(f SecondFactor, account Account, view Session) bool {
	return len(f.Code) == MPINDigits && view.First != MPIN && account.MPINHash != ""
}

// neverCame is the answer to a code for a login whose last code was not delivered.
func neverCame() *Error {
	return &Error{Kind: KindOTPNotSent, Detail: "the last code could not be delivered: ask for a new one, or use the MPIN"}
}

// mpinAllowed counts a try of the MPIN, which has one counter as first and as second
// factor (security.md T3). The try is settled together with the claim. A code that may
// have been meant as the OTP counts only as a second factor: mistyped OTPs must not lock
// the MPIN. A locked MPIN is not judged.
func (s *Service) mpinAllowed(ctx context.Context, account Account, claim Claim, ambiguous bool) error {
	var err error
	if ambiguous {
		var state AccountState
		if state, err = s.Allowances.State(ctx, account.ID); err == nil {
			err = state.Locked(MPIN, claim.Now)
		}
	} else {
		err = s.Allowances.Try(ctx, Try{Account: account.ID, Factor: MPIN, ID: claim.ID, Now: claim.Now, Lease: claim.Lease})
	}
	var locked *LockedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &locked):
		return &Error{Kind: KindLocked, Detail: "the MPIN is locked after too many wrong tries: wait, or log in with a one-time code", RetryAfter: locked.Wait, Err: err}
	case errors.Is(err, ErrClaimed):
		return &Error{Kind: KindTooSoon, Detail: "other tries of this MPIN are being checked: wait a moment", RetryAfter: time.Second, Err: err}
	}
	return StoreFault(err)
}

// wrongCode returns advice about a refused code. It depends only on the view session,
// which its owner knows.
func wrongCode(view Session, mpinOnly bool) string {
	switch {
	case mpinOnly && view.Tries >= maxTries:
		return "this MPIN is wrong, and it was the last try: log in again"
	case mpinOnly:
		return "this MPIN is wrong"
	case view.Tries >= maxTries:
		return "the code is wrong, and it was the last try: ask for a new code, or log in again"
	case view.First == MPIN:
		return "the code is wrong or has expired: after a login by MPIN the second factor is the one-time code"
	}
	return "the code is wrong or has expired"
}

// tradeEnd returns when a trade session that starts now ends.
func (s *Service) tradeEnd(now time.Time) time.Time {
	if s.opt.DayEnds {
		return s.opt.Days.End(now, time.Second)
	}
	return now.Truncate(time.Second).Add(s.opt.SessionTTL)
}

// secondEvent returns the audit trail's event for a second factor.
func (s *Service) secondEvent(f SecondFactor, a Account, outcome string) Event {
	factor := OTP
	if f.MPINOnly {
		factor = MPIN
	}
	return Event{
		Time: s.Now(), Action: "second factor", Outcome: outcome, Account: a.ID, UCC: a.UCC, Factor: factor, Consumer: f.Consumer.Key,
		SID: WellFormedSID(f.SID), Address: f.Caller.Address, RequestID: f.Caller.RequestID,
	}
}

// WellFormedSID returns a client's sid if it is well formed, and otherwise "": anything
// else, such as a token in the wrong header, must stay out of the audit trail and the
// log (security.md L1, L3).
func WellFormedSID(sid string) string {
	if len(sid) != len(uuid.UUID{}.String()) || uuid.Validate(sid) != nil {
		return ""
	}
	return sid
}

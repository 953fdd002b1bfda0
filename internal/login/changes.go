package login

import (
	"crypto/subtle"
	"maps"
	"slices"
	"time"

	"neoapi/internal/credential"
)

// The changes that the Sessions port promises, as pure rules over the records.
// A store loads the records, applies the rule and saves them in one transaction;
// no store has rules of its own.

// totpRemembered is how many used TOTP steps are remembered one by one, and totpAhead
// is how many steps the last one may be ahead of the clock before the clock counts as
// set back: the allowed drift of one step, and the skew of another process.
const (
	totpRemembered = 16
	totpAhead      = 4
)

// UseTOTPStep marks a step as used, or returns ErrStepUsed (security.md O3). No step before the
// last one works, unless the clock has been set back since that one was used: then all steps
// work except those remembered as used.
func (a *AccountState) UseTOTPStep(step int64, now time.Time) error {
	setBack := a.TOTPStep > credential.TOTPStep(now)+totpAhead
	if step == a.TOTPStep || slices.Contains(a.TOTPUsed, step) || step < a.TOTPStep && !setBack {
		return ErrStepUsed
	}
	a.TOTPUsed = append(slices.Clone(a.TOTPUsed[max(0, len(a.TOTPUsed)-totpRemembered+1):]), step)
	a.TOTPStep = step
	return nil
}

// The locks (security.md T1): after lockAfter failures in a row the factor is locked for
// lockFirst, and twice as long after each further one, up to lockLongest. After
// lockForGood only an operator opens it again.
const (
	lockAfter   = 10
	lockFirst   = time.Minute
	lockLongest = 24 * time.Hour
	lockForGood = 100
)

// clockSkew is how far the clocks of two processes may differ, and a clock may be set
// back, before times written by another clock count as wrong. It is the skew that a
// token's verifier allows (security.md J3).
const clockSkew = time.Minute

// leaseLongest is the longest lease of a try in a record: one that ends later was
// given before the clock was set back.
const leaseLongest = 2 * time.Minute

// lockLength returns how long a factor is locked after so many failures.
func lockLength(failures int) time.Duration {
	over := failures - lockAfter
	if over < 0 {
		return 0
	}
	return min(lockFirst<<min(over, 20), lockLongest)
}

// ForGood reports whether only an operator can unlock the factor.
func (x Failures) ForGood() bool { return x.Count >= lockForGood }

// Locked returns a LockedError if no try of a factor is accepted at now.
func (a *AccountState) Locked(f Factor, now time.Time) error {
	x := a.Failures[f]
	switch {
	case x.ForGood():
		return &LockedError{lockLongest}
	case now.Before(x.Until):
		return &LockedError{x.Until.Sub(now)}
	}
	return nil
}

// Try is the rule of [Allowances.Try]. Only as many tries may be open at once as can
// all fail without exceeding the lock's count; once that is reached, one at a time. A
// try that was not ended counts as failed once its lease has expired. A refused try
// is recorded too, without a lease, until it is ended or the next one comes, so that
// a locked account costs the same write as any other and timing does not reveal it
// (security.md P5).
func (a *AccountState) Try(t Try) error {
	a.Lapse(t.Factor, t.Now)
	x := a.Failures[t.Factor]
	err := a.Locked(t.Factor, t.Now)
	if err == nil && len(x.Open) >= max(1, lockAfter-x.Count) {
		err = ErrClaimed
	}
	if x.Open == nil {
		x.Open = map[string]time.Time{}
	}
	x.Open[t.ID] = time.Time{}
	if err == nil {
		x.Open[t.ID] = t.Now.Add(t.Lease)
	}
	a.keep(t.Factor, x)
	return err
}

// Lapse counts tries of a factor with an expired lease as failed, and forgets refused
// ones.
func (a *AccountState) Lapse(f Factor, now time.Time) {
	a.mendClock(f, now)
	x := a.Failures[f]
	x.Open = maps.Clone(x.Open)
	for id, lease := range x.Open {
		switch {
		case lease.IsZero():
			delete(x.Open, id)
		case !now.Before(lease):
			x.fail(id, lease)
		}
	}
	a.keep(f, x)
}

// mendClock shortens a lock and leases that end later than they could if the clock
// had not been set back since they were written, and reports whether there were any.
// A lock then lasts no longer than its length from now on, however far the clock was
// set back.
func (a *AccountState) mendClock(f Factor, now time.Time) (mended bool) {
	x := a.Failures[f]
	if most := now.Add(lockLength(x.Count)); x.Until.After(most.Add(clockSkew)) {
		x.Until, mended = most, true
	}
	for id, lease := range x.Open {
		if lease.After(now.Add(leaseLongest)) {
			x.Open, mended = maps.Clone(x.Open), true
			x.Open[id] = now.Add(leaseLongest)
		}
	}
	if mended {
		a.keep(f, x)
	}
	return mended
}

// EndTry ends an open try: either it failed, or it does not count.
func (a *AccountState) EndTry(f Factor, id string, failed bool, now time.Time) {
	x := a.Failures[f]
	lease, open := x.Open[id]
	if !open {
		return
	}
	x.Open = maps.Clone(x.Open)
	if failed && !lease.IsZero() {
		x.fail(id, now)
	} else {
		delete(x.Open, id)
	}
	a.keep(f, x)
}

// Good ends a successful try and forgets the failures of its factor. Other open tries
// stay open. The other factors keep their failures (security.md T4).
func (a *AccountState) Good(f Factor, id string) {
	open := maps.Clone(a.Failures[f].Open)
	delete(open, id)
	a.keep(f, Failures{Open: open})
}

// keep stores the failures of a factor, if there are any.
func (a *AccountState) keep(f Factor, x Failures) {
	if x.Count == 0 && len(x.Open) == 0 {
		delete(a.Failures, f)
		return
	}
	if a.Failures == nil {
		a.Failures = map[Factor]Failures{}
	}
	a.Failures[f] = x
}

// fail counts an open try as failed.
func (x *Failures) fail(id string, now time.Time) {
	delete(x.Open, id)
	x.Count++
	if length := lockLength(x.Count); length > 0 {
		x.Until = now.Add(length)
	}
}

// PutOTP is the rule of [Sessions.SetOTP].
func (x *Session) PutOTP(a *AccountState, o NewOTP) (wait time.Duration, err error) {
	if x.Kind != View || !o.Now.Before(x.Expires) {
		return 0, ErrNotFound
	}
	if x.Sends != o.Sends {
		return 0, ErrClaimed
	}
	// The limit applies to any hour, not to hours of the clock: as many of the last
	// sends are remembered as the limit needs. One that is more than an hour ahead was
	// sent before the clock was set back.
	a.Sent = slices.DeleteFunc(a.Sent, func(t time.Time) bool { return o.Now.Sub(t).Abs() >= time.Hour })
	if len(a.Sent) >= o.PerHour {
		return a.Sent[len(a.Sent)-o.PerHour].Add(time.Hour).Sub(o.Now), ErrTooMany
	}
	a.Sent = append(a.Sent, o.Now)
	x.Sends++
	x.TriesBefore, x.Tries = x.Tries, 0
	x.OTP, x.OTPExpires, x.LastSend, x.Undelivered = o.Hash, o.Expires, o.Now, false
	return 0, nil
}

// TakeBackOTP is the rule of [Sessions.DropOTP]. It returns false if the code is
// not the current one.
func (x *Session) TakeBackOTP(a *AccountState, otp []byte) bool {
	if x.Kind != View || !credential.Equal(x.OTP, otp) {
		return false
	}
	if i := slices.IndexFunc(a.Sent, x.LastSend.Equal); i >= 0 {
		a.Sent = slices.Delete(a.Sent, i, i+1)
	}
	x.OTP, x.OTPExpires, x.LastSend, x.Undelivered = nil, time.Time{}, time.Time{}, true
	x.Sends = max(0, x.Sends-1)
	// A code that never arrived gives no fresh tries: a failing courier must not allow
	// more guesses.
	x.Tries, x.TriesBefore = x.Tries+x.TriesBefore, 0
	return true
}

// TakeClaim is the rule of [Sessions.Claim]. changed reports that the session and its
// account's state must be saved, which is possible even with an error.
func (x *Session) TakeClaim(a *AccountState, c Claim) (changed bool, err error) {
	if x.Account != c.Account || x.Consumer != c.Consumer || x.Incarnation != c.Incarnation || !c.Now.Before(x.Expires) ||
		subtle.ConstantTimeCompare([]byte(x.ViewID), []byte(c.ViewID)) != 1 {
		return false, ErrNotFound
	}
	if x.Kind == Trade {
		return x.repeatClaim(c)
	}
	// A lease that ends later than one given now was given before the clock was set back.
	if x.ClaimID != "" && c.Now.Before(x.ClaimUntil) && x.ClaimUntil.Before(c.Now.Add(c.Lease+clockSkew)) {
		return false, ErrClaimed
	}
	for _, f := range []Factor{OTP, MPIN} {
		changed = a.mendClock(f, c.Now) || changed
	}
	if err := a.Locked(OTP, c.Now); err != nil {
		return changed, err
	}
	if x.Tries >= c.MaxTries {
		return changed, ErrTriesUsed
	}
	if err := a.Try(Try{Account: c.Account, Factor: OTP, ID: c.ID, Now: c.Now, Lease: c.Lease}); err != nil {
		return changed, err
	}
	x.Tries++
	x.ClaimID, x.ClaimUntil = c.ID, c.Now.Add(c.Lease)
	if c.Redeem != nil && x.proves(c.Redeem.OTP, c.Now) {
		return true, x.Become(a, c.ID, c.Redeem.Trade)
	}
	return true, nil
}

// proves reports whether a keyed hash is that of the session's code, which has not
// expired at now.
func (x *Session) proves(otp []byte, now time.Time) bool {
	return len(x.OTP) > 0 && now.Before(x.OTPExpires) && credential.Equal(otp, x.OTP)
}

// Redeems reports whether a claim has turned its view session into x.
func (c Claim) Redeems(x Session) bool {
	return c.Redeem != nil && x.Kind == Trade && x.RID == c.Redeem.Trade.RID
}

// By returns the claim as it is judged for an account: one that is disabled, not there,
// or not the one that c.Redeem names redeems nothing.
func (c Claim) By(a Account) Claim {
	if c.Redeem != nil && (a.Disabled || a.ID == "" || !c.Redeem.ID.names(a)) {
		c.Redeem = nil
	}
	return c
}

// Overtaken returns the event of a second factor that was good, and of whose consumer
// nothing is left.
func (e Event) Overtaken() Event {
	e.Outcome = "consumer removed meanwhile"
	return e
}

// repeatClaim judges a claim of a session that is complete. Its tries are
// bounded too: a repeat must not become a way to guess the code that was used.
func (x *Session) repeatClaim(c Claim) (changed bool, err error) {
	if c.Now.Sub(x.Completed).Abs() > c.RepeatFor || len(x.Repeat) == 0 || x.Tries >= c.MaxTries {
		return false, ErrNotFound
	}
	if !credential.Equal(x.Repeat, c.Repeat) {
		x.Tries++
		return true, ErrNotFound
	}
	return false, nil
}

// LeaveClaim is the rule of [Sessions.Fail] and, with refund, of
// [Sessions.Refund], for the session. It returns ErrClaimLost if the claim is not
// held. The account's tries end with [AccountState.LeaveClaim] all the same.
func (x *Session) LeaveClaim(claim string, refund bool) error {
	if x.Kind != View || claim == "" || x.ClaimID != claim {
		return ErrClaimLost
	}
	x.ClaimID, x.ClaimUntil = "", time.Time{}
	if refund {
		x.Tries = max(0, x.Tries-1)
	}
	return nil
}

// LeaveClaim ends the tries that a claim has opened: that of the second factor,
// and that of the MPIN if the code was judged as one.
func (a *AccountState) LeaveClaim(claim string, refund bool, now time.Time) {
	a.EndTry(OTP, claim, !refund, now)
	a.EndTry(MPIN, claim, !refund, now)
}

// Become is the rule of [Sessions.Complete].
func (x *Session) Become(a *AccountState, claim string, t Session) error {
	if err := x.LeaveClaim(claim, false); err != nil {
		return err
	}
	a.Good(OTP, claim)
	if _, proven := a.Failures[MPIN].Open[claim]; proven {
		a.Good(MPIN, claim)
	}
	t.First, t.Completed = x.First, t.Issued
	*x = t
	return nil
}

// Open is the rule of [Sessions.OpenView] for the account's state.
func (a *AccountState) Open(v Session, totpStep int64, try string) error {
	if totpStep > 0 {
		if err := a.UseTOTPStep(totpStep, v.Issued); err != nil {
			return err
		}
	}
	a.Good(v.First, try)
	return nil
}

// TryOpen is the rule of [Sessions.TryView] for the account's state, which is saved even
// if it returns an error.
func (a *AccountState) TryOpen(t Try, v Session, totpStep int64) error {
	if err := a.Try(t); err != nil {
		return err
	}
	return a.Open(v, totpStep, t.ID)
}

package login

import (
	"crypto/subtle"
	"slices"
	"time"

	"neoapi/internal/credential"
)

// The changes that the Sessions port promises, as pure rules over the records.
// A store loads the records, applies the rule and saves them in one transaction;
// no store has rules of its own.

// UseTOTPStep marks a step as used, or returns ErrStepUsed (bar O3).
func (a *AccountState) UseTOTPStep(step int64) error {
	if step <= a.TOTPStep {
		return ErrStepUsed
	}
	a.TOTPStep = step
	return nil
}

// The locks (bar T1): after lockAfter failures in a row the factor is locked for
// lockFirst, and twice as long after each further one, up to lockLongest. After
// lockForGood only an operator opens it again.
const (
	lockAfter   = 10
	lockFirst   = time.Minute
	lockLongest = 24 * time.Hour
	lockForGood = 100
)

// Locked returns a LockedError if no try of a factor is taken at now.
func (a *AccountState) Locked(f Factor, now time.Time) error {
	x := a.Failures[f]
	switch {
	case x.Count >= lockForGood:
		return &LockedError{lockLongest}
	case now.Before(x.Until):
		return &LockedError{x.Until.Sub(now)}
	}
	return nil
}

// CountTry counts a failed try, or returns a LockedError.
func (a *AccountState) CountTry(f Factor, now time.Time) error {
	if err := a.Locked(f, now); err != nil {
		return err
	}
	x := a.Failures[f]
	x.Count++
	if over := x.Count - lockAfter; over >= 0 {
		x.Until = now.Add(min(lockFirst<<min(over, 20), lockLongest))
	}
	if a.Failures == nil {
		a.Failures = map[Factor]Failures{}
	}
	a.Failures[f] = x
	return nil
}

// Good forgets the failures of a factor after a good try. It returns false if
// there were none. The other factors keep theirs (bar T4).
func (a *AccountState) Good(f Factor) bool {
	_, any := a.Failures[f]
	delete(a.Failures, f)
	return any
}

// PutOTP is the rule of [Sessions.SetOTP].
func (x *Session) PutOTP(a *AccountState, o NewOTP) (wait time.Duration, err error) {
	if x.Kind != View || !o.Now.Before(x.Expires) {
		return 0, ErrNotFound
	}
	if x.Sends != o.Sends {
		return 0, ErrClaimed
	}
	// Every hour counts, not those of the clock: the last sends are remembered one
	// by one, as many as the limit needs.
	a.Sent = slices.DeleteFunc(a.Sent, func(t time.Time) bool { return o.Now.Sub(t) >= time.Hour })
	if len(a.Sent) >= o.PerHour {
		return a.Sent[len(a.Sent)-o.PerHour].Add(time.Hour).Sub(o.Now), ErrTooMany
	}
	a.Sent = append(a.Sent, o.Now)
	x.Sends++
	x.TriesBefore, x.Tries = x.Tries, 0
	x.OTP, x.OTPExpires, x.LastSend = o.Hash, o.Expires, o.Now
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
	x.OTP, x.OTPExpires, x.LastSend = nil, time.Time{}, time.Time{}
	x.Sends = max(0, x.Sends-1)
	// A code that never arrived gives no fresh tries: a failing courier must not
	// become a way to guess on.
	x.Tries, x.TriesBefore = x.Tries+x.TriesBefore, 0
	return true
}

// TakeClaim is the rule of [Sessions.Claim]. changed tells that the record must
// be saved, which can be so beside an error.
func (x *Session) TakeClaim(c Claim) (changed bool, err error) {
	if x.Account != c.Account || x.Consumer != c.Consumer || !c.Now.Before(x.Expires) ||
		subtle.ConstantTimeCompare([]byte(x.ViewID), []byte(c.ViewID)) != 1 {
		return false, ErrNotFound
	}
	if x.Kind == Trade {
		return x.repeatClaim(c)
	}
	if x.ClaimID != "" && c.Now.Before(x.ClaimUntil) {
		return false, ErrClaimed
	}
	if x.Tries >= c.MaxTries {
		return false, ErrTriesUsed
	}
	x.Tries++
	x.ClaimID, x.ClaimUntil = c.ID, c.Now.Add(c.Lease)
	return true, nil
}

// repeatClaim judges a claim of a session that is complete. Its tries are
// bounded too: a repeat must not become a way to guess the code that was used.
func (x *Session) repeatClaim(c Claim) (changed bool, err error) {
	if c.Now.Sub(x.Completed) > c.RepeatFor || len(x.Repeat) == 0 || x.Tries >= c.MaxTries {
		return false, ErrNotFound
	}
	if !credential.Equal(x.Repeat, c.Repeat) {
		x.Tries++
		return true, ErrNotFound
	}
	return false, nil
}

// LeaveClaim gives a claim back; refund takes its try back too. It returns
// ErrClaimLost if the claim is not held.
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

// Become is the rule of [Sessions.Complete].
func (x *Session) Become(claim string, t Session) error {
	if err := x.LeaveClaim(claim, false); err != nil {
		return err
	}
	t.Completed = t.Issued
	*x = t
	return nil
}

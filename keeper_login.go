package neoapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// obtain returns the store's session, if it can be used, or a fresh one.
func (k *Keeper) obtain(ctx context.Context) (s Session, fresh bool, err error) {
	defer func() { k.given = nil }()
	store := k.cfg.Store
	if store == nil {
		s, err = k.login(ctx)
		return s, true, err
	}
	if shared, ok := store.(RateStore); ok {
		if err := k.c.ShareRate(shared); err != nil {
			k.cfg.Log.WarnContext(ctx, "the consumer's rate is not shared with other processes", "cause", err)
		}
	}
	unlock, err := store.Lock(ctx)
	if err != nil {
		return Session{}, false, k.storeFailed(ctx, err)
	}
	defer unlock()
	saved, kin, err := k.saved(ctx)
	if err != nil {
		return Session{}, false, err
	}
	if kin == own && k.good(saved) {
		k.learn(saved)
		k.c.adopt(saved)
		k.cfg.Log.InfoContext(ctx, "using the saved session", "ucc", saved.UCC, "ends", saved.Ends())
		return saved, false, nil
	}
	if w, ok := store.(WritableStore); ok { // before a code is spent
		if err := w.Writable(ctx); err != nil {
			return Session{}, false, k.storeFailed(ctx, err)
		}
	}
	if s, err = k.login(ctx); err != nil {
		return Session{}, false, err
	}
	if err = k.save(ctx, s); err != nil {
		return Session{}, false, err
	}
	return s, true, nil
}

// good reports whether a saved session can still be used, if it is the right one.
func (k *Keeper) good(s Session) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.Token != "" && !k.refused[s.Token] && !s.ended(k.c.now())
}

// load returns the saved session, without a token if there is none. foreign is the
// error that makes it unusable for this client, whichever account it belongs to.
func (k *Keeper) load(ctx context.Context) (s Session, foreign, err error) {
	s, err = k.cfg.Store.Load(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return Session{}, nil, nil
	case err != nil:
		return Session{}, nil, k.storeFailed(ctx, err)
	case s.Environment == "" || s.Consumer == "":
		return s, k.c.Restore(s), nil // returns what is missing
	}
	return s, k.c.belongs("restore", s), nil
}

// saved returns the saved session, without a token if there is none, and whose it is.
// A session of another account is an error.
func (k *Keeper) saved(ctx context.Context) (Session, kinship, error) {
	s, foreign, err := k.load(ctx)
	if err = cmp.Or(err, foreign); err != nil || s.Token == "" {
		return Session{}, unknown, err
	}
	kin := k.known().owns(s)
	if kin == unknown && k.good(s) {
		if err := k.identify(ctx, s); err != nil {
			return Session{}, unknown, err
		}
		kin = k.known().owns(s)
	}
	if kin == stranger {
		return Session{}, kin, notOurs(s)
	}
	return s, kin, nil
}

// notOurs is the error for a saved session of another account.
func notOurs(s Session) error {
	return invalid(opKeep, "the saved session belongs to "+s.named()+", and this login to another account: give each account its own store, or remove that session")
}

// known returns the keeper's account, as far as it is known.
func (k *Keeper) known() identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.who
}

// learn makes the account of s the keeper's, if it has none yet.
func (k *Keeper) learn(s Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.who.ucc == "" {
		k.who.ucc = upper(s.UCC)
	}
}

// identify calls Credentials or TOTP if that can show whose a saved session is.
func (k *Keeper) identify(ctx context.Context, s Session) error {
	who := k.known()
	switch l := k.cfg.Login; {
	case l.Credentials != nil && s.Owner != "":
		answer, err := ask(ctx, "Credentials", l.Credentials)
		if err != nil {
			return err
		}
		k.given = &answer
		named := answer.identity()
		who.kind, who.name = named.kind, named.name
	case l.TOTP != nil && who.ucc == "":
		answer, err := ask(ctx, "TOTP", l.TOTP)
		if err != nil {
			return err
		}
		if answer.UCC != "" {
			who = byUCC(answer.UCC)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.who = who
	return nil
}

// save puts a fresh session into the store, replacing the one there now, unless that
// belongs to another account: neo login does not wait for a keeper with a slow login.
func (k *Keeper) save(ctx context.Context, s Session) error {
	ctx = context.WithoutCancel(ctx) // the code is spent: a session that cannot be saved is still worth having
	const failed = "logged in, but the session was not saved: other processes will log in too"
	saved, foreign, err := k.load(ctx)
	if err != nil {
		k.cfg.Log.ErrorContext(ctx, failed, "cause", err)
		return nil
	}
	kin := own
	if saved.Token != "" {
		kin = k.known().owns(saved)
	}
	switch {
	case foreign != nil:
		k.end(ctx, s)
		return foreign
	case kin == stranger:
		k.end(ctx, s)
		return notOurs(saved)
	case kin == unknown && k.good(saved):
		k.cfg.Log.WarnContext(ctx, "logged in, but the session was not saved: the saved one is still valid and may belong to another account")
		return nil
	}
	if err := k.cfg.Store.Save(ctx, s); err != nil {
		k.cfg.Log.ErrorContext(ctx, failed, "cause", err)
	}
	return nil
}

// end ends a session that must not be used.
func (k *Keeper) end(ctx context.Context, s Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := k.c.logout(ctx, s); err != nil {
		k.cfg.Log.WarnContext(ctx, "an unused session could not be ended", "ends", s.Ends(), "cause", err)
	}
	k.c.forgetSession(s)
}

// storeFailed makes an *Error of an error of a store, which may be the user's own type.
func (k *Keeper) storeFailed(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if ctx.Err() != nil {
		return stopped(ctx, opKeep)
	}
	return &Error{Op: opKeep, Category: ErrStore, Message: tidy(err.Error(), nil), Err: err, Retry: RetryLater}
}

// login logs in once, unless it must wait or has had MaxTries refusals, and records
// the outcome for the next time.
func (k *Keeper) login(ctx context.Context) (Session, error) {
	now := k.c.now()
	k.mu.Lock()
	if rest := k.rest(); k.until.Sub(now) > rest { // the clock was ahead then, and was set back
		k.until = now.Add(rest)
	}
	tries, until, last := k.tries, k.until, k.last
	k.mu.Unlock()
	if last != nil && (tries >= k.cfg.MaxTries || now.Before(until)) {
		e, _ := errors.AsType[*Error](last)
		again := *e
		again.RetryAfter = max(0, until.Sub(now))
		switch {
		case tries >= k.cfg.MaxTries:
			again.Message += fmt.Sprintf("; %d logins in a row were refused: the keeper stops trying until Reset", tries)
			again.Retry = RetryNever
		case !definitive(e) || e.Category == ErrCallback:
			again.Retry = RetryLater
		}
		return Session{}, &again
	}

	s, sent, err := k.attempt(ctx)
	if err == nil {
		err = k.check(ctx, s)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.tries, k.pause, k.until, k.last = 0, 0, time.Time{}, nil
		clear(k.refused)
		k.c.adopt(s) // or a concurrent login is the current one
		k.cfg.Log.InfoContext(ctx, "logged in", "ucc", s.UCC, "ends", s.Ends())
		return s, nil
	}
	if !sent {
		return Session{}, err
	}
	if definitive(err) && !errors.Is(err, ErrCallback) {
		k.tries++
	}
	k.pause = min(max(2*k.pause, 5*time.Second), 5*time.Minute)
	k.last = err
	k.until = k.c.now().Add(k.rest())
	k.cfg.Log.WarnContext(ctx, "login failed", "cause", err, "refused in a row", k.tries, "next not before", k.until)
	return Session{}, err
}

// rest returns how long the next login waits after the last failure.
func (k *Keeper) rest() time.Duration {
	if e, ok := errors.AsType[*Error](k.last); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return k.pause
}

// check returns what is wrong with a new session, which is then ended.
func (k *Keeper) check(ctx context.Context, s Session) error {
	switch {
	case s.ended(k.c.now()):
		return &Error{Op: opKeep, Category: ErrSessionEnded, Message: "the new session ended already, at " + s.Ends().In(ist).Format("2006-01-02 15:04:05 MST") + ": is this machine's clock right?", Retry: RetryNever}
	case k.known().owns(s) == stranger:
		k.end(ctx, s)
		return invalid(opKeep, "the login belongs to "+s.named()+", and the keeper to another account: a keeper keeps the session of one account, Login.UCC or that of its first login")
	}
	k.learn(s)
	return nil
}

// attempt goes through the steps of one login, independently of a login pending on
// the client. sent reports whether the service may have seen a secret. The error is
// an *Error.
func (k *Keeper) attempt(ctx context.Context) (s Session, sent bool, err error) {
	l := k.cfg.Login
	if l.Credentials == nil {
		return k.attemptTOTP(ctx)
	}
	var who Credentials
	if k.given != nil {
		who = *k.given
	} else if who, err = ask(ctx, "Credentials", l.Credentials); err != nil {
		return Session{}, false, err
	}
	var code string
	if l.MPIN != nil {
		who.NoOTP = true
		if code, err = k.mpin(ctx); err != nil {
			return Session{}, false, err
		}
	}
	v, err := k.c.login(ctx, who)
	if err != nil {
		return Session{}, true, err
	}
	if l.MPIN == nil {
		if code, err = ask(ctx, "OTP", l.OTP); err != nil {
			return Session{}, true, err
		}
	}
	s, err = k.c.session2FA(ctx, v, code)
	if e, ok := errors.AsType[*Error](err); ok && l.MPIN != nil && e.Category == ErrWrongOTP {
		e.Hint = wrongMPIN // known here, though the protocol does not say it
	}
	return s, true, err
}

// mpin asks for the MPIN, before anything is sent: an MPIN of the wrong form must not
// cost a code or a try.
func (k *Keeper) mpin(ctx context.Context) (string, error) {
	mpin, err := ask(ctx, "MPIN", k.cfg.Login.MPIN)
	if err != nil {
		return "", err
	}
	mpin, problem := sixDigits("MPIN", mpin)
	if problem != "" {
		return "", invalid(opKeep, "Login.MPIN: "+problem)
	}
	return mpin, nil
}

func (k *Keeper) attemptTOTP(ctx context.Context) (s Session, sent bool, err error) {
	l := k.cfg.Login
	t := TOTP{Mobile: l.Mobile, UCC: l.UCC}
	var seed []byte
	if l.TOTPSeed != nil {
		text, err := ask(ctx, "TOTPSeed", l.TOTPSeed)
		if err != nil {
			return Session{}, false, err
		}
		if seed = parseSeed(text); seed == nil {
			return Session{}, false, invalid(opKeep, "Login.TOTPSeed: the seed "+seedProblem(text))
		}
	}
	mpin, err := k.mpin(ctx)
	if err != nil {
		return Session{}, false, err
	}
	// A function for tests, on a clock for tests, may have the next code already.
	early := seed == nil && k.c.virtual && k.code != ""
	if early {
		if t, err = ask(ctx, "TOTP", l.TOTP); err != nil {
			return Session{}, false, err
		}
	}
	step := totpStep(k.c.now())
	if !early || t.Code == k.code {
		if step, err = k.nextStep(ctx, seed != nil); err != nil {
			return Session{}, false, err
		}
		if seed == nil {
			if t, err = ask(ctx, "TOTP", l.TOTP); err != nil {
				return Session{}, false, err
			}
		}
	}
	if seed != nil {
		t.Code = totpCode(seed, step)
	}
	if t.Code == k.code {
		return Session{}, false, invalid(opKeep, "Login.TOTP returned the code that was used last time")
	}
	if err := k.useStep(ctx, t, step); err != nil { // before it is sent, in case the process ends between
		return Session{}, false, err
	}
	v, err := k.c.loginTOTP(ctx, t)
	if err != nil {
		return Session{}, true, err
	}
	s, err = k.c.validateMPIN(ctx, v, mpin)
	return s, true, err
}

// nextStep waits for a TOTP step whose code was not used, by this process or, if the
// store records it, by another, and returns it. Services take the code of the step
// after the present one, too: with a clock for tests and a seed that saves the wait.
func (k *Keeper) nextStep(ctx context.Context, seed bool) (int64, error) {
	last := k.step
	if store, ok := k.cfg.Store.(StepStore); ok {
		step, err := store.LastStep(ctx, k.known().ucc)
		if err != nil {
			return 0, k.storeFailed(ctx, err)
		}
		last = max(last, step)
	}
	early := int64(0) // how many steps early a code may be used
	if seed && k.c.virtual {
		early = 1
	}
	for {
		now := k.c.now()
		switch step := totpStep(now); {
		case step > last || step < last-1: // the clock was set back: let the service decide
			return step, nil
		case step+early > last:
			return last + 1, nil
		}
		k.cfg.Log.InfoContext(ctx, "waiting for the next TOTP code: this one has been used")
		if err := k.sleep(ctx, now, time.Unix((last+1-early)*totpPeriod, 0).Sub(now)); err != nil {
			return 0, err
		}
	}
}

func (k *Keeper) useStep(ctx context.Context, t TOTP, step int64) error {
	k.step, k.code = step, t.Code
	if store, ok := k.cfg.Store.(StepStore); ok {
		if err := store.SaveStep(ctx, byUCC(t.UCC).ucc, step); err != nil {
			return k.storeFailed(ctx, err)
		}
	}
	return nil
}

// ask calls one of the user's functions.
func ask[T any](ctx context.Context, name string, f func(context.Context) (T, error)) (answer T, err error) {
	if ctx.Err() != nil {
		return answer, stopped(ctx, opKeep)
	}
	answer, err = f(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = stopped(ctx, opKeep)
	default:
		err = &Error{Op: opKeep, Category: ErrCallback, Message: "Login." + name + ": " + tidy(err.Error(), nil), Err: err, Retry: RetrySame}
	}
	return answer, err
}

// sleep waits until d after now, by the client's clock.
func (k *Keeper) sleep(ctx context.Context, now time.Time, d time.Duration) error {
	if k.c.pause(ctx, now, d) != nil {
		return stopped(ctx, opKeep)
	}
	return nil
}

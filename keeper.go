package neoapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"neoapi/internal/paste"
)

// A Login says how to log in without anybody calling the steps. Each function is
// called only when its answer is needed: for a login, or, without a UCC, to know
// whether a saved session is the account's own. There are two ways, of which exactly
// one is configured:
//
//   - password: Credentials, and one of OTP and MPIN;
//   - TOTP: one of TOTP and TOTPSeed, and MPIN.
//
// A function that waits for a person should return when its context is over.
type Login struct {
	Credentials func(context.Context) (Credentials, error) // the first factor; with MPIN, no one-time code is asked for
	OTP         func(context.Context) (string, error)      // the one-time code that the service has just sent
	MPIN        func(context.Context) (string, error)      // the six digits, as second factor; asked for first of all

	TOTP     func(context.Context) (TOTP, error)   // the first factor, with the code that the authenticator shows now
	TOTPSeed func(context.Context) (string, error) // the authenticator's seed (base32, or an otpauth address), for the keeper to make the code
	Mobile   string                                // with TOTPSeed: as in TOTP

	// UCC is whose login this is. TOTPSeed needs it. With Credentials or TOTP it is
	// worth giving if there is a store: a saved session is then known by it for the
	// account's own, and else only by asking Credentials or TOTP who logs in. A
	// session of another UCC is refused.
	UCC string
}

// String returns a fixed text.
func (Login) String() string { return "neoapi.Login{[redacted]}" }

// Format prints [Login.String] for every verb.
func (l Login) Format(f fmt.State, _ rune) { io.WriteString(f, l.String()) }

// MarshalText returns [Login.String].
func (l Login) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// problems names everything that is wrong with the login.
func (l Login) problems() (found []string) {
	wrong := func(is bool, problem string) {
		if is {
			found = append(found, "Login: "+problem)
		}
	}
	password, totp := l.Credentials != nil, l.TOTP != nil || l.TOTPSeed != nil
	wrong(password == totp, "give Credentials, or one of TOTP and TOTPSeed")
	wrong(password && !totp && (l.OTP == nil) == (l.MPIN == nil), "with Credentials, give one of OTP and MPIN")
	wrong(totp && !password && l.MPIN == nil, "with TOTP, give MPIN")
	wrong(totp && l.OTP != nil, "OTP is of no use with TOTP")
	wrong(l.TOTP != nil && l.TOTPSeed != nil, "give TOTP or TOTPSeed, not both")
	if l.TOTPSeed != nil {
		_, problem := mobileNumber(l.Mobile)
		wrong(problem != "", "Mobile: "+problem)
	} else {
		wrong(l.Mobile != "", "Mobile belongs to TOTPSeed; elsewhere your function gives it")
	}
	if _, err := paste.UCC(l.UCC); err != nil {
		wrong(l.UCC != "" || l.TOTPSeed != nil, "the UCC "+err.Error())
	}
	return found
}

// A KeepConfig describes a [Keeper].
type KeepConfig struct {
	Login Login

	// Store keeps the session between runs and shares it between processes; nil
	// keeps it in memory. Each account needs one of its own: a session of another
	// account, such as neo login may have put there meanwhile, is neither used nor
	// replaced, and Session returns ErrInvalidInput.
	Store SessionStore

	// MaxTries is how many logins in a row may be refused before the keeper tries
	// no more until Reset, so that a wrong password does not lock the account;
	// 0 means 3.
	MaxTries int

	// OnLogin is called with each session that this keeper has logged in, before
	// Session returns it.
	OnLogin func(Session)

	// Run calls OnExpiring when a session has Lead left (0 means 5 minutes), and
	// OnExpired when its end has come.
	Lead       time.Duration
	OnExpiring func(Session)
	OnExpired  func(Session)

	// RenewAt tells Run, once for each session, when to log in again; nil, or a
	// time that is not in the future, means when the session has ended. See Daily.
	RenewAt func(now time.Time, s Session) time.Time

	// Log receives what the keeper does, without secrets; nil means nowhere.
	Log *slog.Logger
}

// Daily is a [KeepConfig.RenewAt] for every day at a time in India:
// Daily(8, 45) is half an hour before the market opens. A session that ends in
// the night stays ended until then, unless somebody asks for one.
func Daily(hour, minute int) func(now time.Time, s Session) time.Time {
	return func(now time.Time, _ Session) time.Time {
		year, month, day := now.In(ist).Date()
		at := time.Date(year, month, day, hour, minute, 0, 0, ist)
		if !at.After(now) {
			at = time.Date(year, month, day+1, hour, minute, 0, 0, ist)
		}
		return at
	}
}

// A Keeper stays logged in: it has a session that can be used, and logs in when
// it has none. Its client's calls take their session from it. Leave logging in to it:
// who calls [Client.Login] beside it gets in its way. Its methods are safe for
// concurrent use. It prints without secrets.
//
// However many goroutines want a session, and however many processes share a
// store, they make one login. One call of Session makes at most one: after a
// failure, a refusal too, the error is returned, and the next login waits as long as
// the service said, or 5 seconds, doubled with each failure to 5 minutes; calls that
// come before get the same error again, and the service is not asked. What the
// service has refused counts towards MaxTries. What failed before anything was
// sent, such as your function for the password, neither counts nor waits.
//
// A keeper is one account's: that of Login.UCC, or that of its first session. A saved
// session is used if it has the account's UCC or, where that is not known, was opened
// by the same mobile number, user id or PAN as Credentials give. One of another
// account is [ErrInvalidInput] and stays as it is. Where nobody can tell, as with a
// file of a version that did not write down who logged in, the keeper logs in, and
// replaces the saved session if it turns out to be the same account's, or at its end.
type Keeper struct {
	c    *Client
	cfg  KeepConfig
	held atomic.Pointer[held]

	mu      sync.Mutex // guards what follows; never held while waiting
	who     identity   // whose the keeper is, as far as it knows
	flight  *flight    // the login under way, or nil
	refused map[string]bool
	tries   int           // logins refused in a row
	pause   time.Duration // how long the last failure without a verdict had the next login wait
	until   time.Time     // no login before
	last    error         // the last login's failure, nil if it succeeded

	// Of these the flight's goroutine alone takes care.
	step  int64        // the last TOTP step used
	code  string       // and its code, long spent
	given *Credentials // what Credentials has answered already
}

// held is the session that Session returns until it ends.
type held struct {
	Session
	ends time.Time
}

// A flight is one login, or one look into the store, that many callers wait for.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int  // guarded by Keeper.mu
	dropped bool // nobody waits any more: it has been cancelled
	session Session
	err     error // both are set before done is closed
}

// Keep makes a keeper for the client, from which the client's calls take their
// session from now on: [Client.HTTPClient], [Client.Do] and the reports, as with
// [WithKeeper]. A later Keep takes the place of an earlier one in this. It does not
// use the network or the store. A configuration that cannot work is refused with one
// [ErrInvalidInput] that names every problem.
func (c *Client) Keep(cfg KeepConfig) (*Keeper, error) {
	problems := cfg.Login.problems()
	if cfg.MaxTries < 0 {
		problems = append(problems, "MaxTries is negative")
	}
	if cfg.Lead < 0 {
		problems = append(problems, "Lead is negative")
	}
	if len(problems) > 0 {
		return nil, invalid(opKeep, problems...)
	}
	if cfg.MaxTries == 0 {
		cfg.MaxTries = 3
	}
	if cfg.Lead == 0 {
		cfg.Lead = 5 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{c: c, cfg: cfg, refused: map[string]bool{}}
	if cfg.Login.UCC != "" {
		k.who = byUCC(cfg.Login.UCC)
	}
	c.keeper.Store(k)
	return k, nil
}

const opKeep = "keep"

// String returns the environment that the keeper's client talks to.
func (k *Keeper) String() string { return "neoapi.Keeper{Environment: " + k.c.env.host() + "}" }

// Format prints [Keeper.String] for every verb.
func (k *Keeper) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalText returns [Keeper.String].
func (k *Keeper) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Session returns a session that has not ended: the one at hand, the store's, or
// that of a new login. With one at hand it takes some nanoseconds and waits for
// nobody. The session becomes the client's current one. Do not change its
// Caches, which all callers share.
//
// Usual categories: those of the login's steps; [ErrInvalidInput] for a saved
// session that is corrupt or belongs to something else; [ErrStore];
// [ErrCallback]; [ErrNetwork] if ctx was over first.
func (k *Keeper) Session(ctx context.Context) (Session, error) {
	if h := k.held.Load(); h != nil && k.c.now().Before(h.ends) {
		return h.Session, nil
	}
	return k.wait(ctx, "")
}

// Ended tells the keeper that the service has refused s before its time: the
// next Session does not return it.
func (k *Keeper) Ended(s Session) {
	k.mu.Lock()
	k.refused[s.Token] = true
	k.mu.Unlock()
	if h := k.held.Load(); h != nil && h.Token == s.Token {
		k.held.CompareAndSwap(h, nil)
	}
}

// Reset lets the keeper log in again at once, after MaxTries refusals or while
// it waits: somebody has set right what was wrong.
func (k *Keeper) Reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries, k.pause, k.until, k.last = 0, 0, time.Time{}, nil
}

// noExpiry is the end assumed for a session without a known expiry.
var noExpiry = time.Unix(1<<40, 0)

// wait returns a session other than the one whose token is given, joining the
// flight that is under way or starting one.
func (k *Keeper) wait(ctx context.Context, other string) (Session, error) {
	for {
		if ctx.Err() != nil {
			return Session{}, stopped(ctx, opKeep)
		}
		k.mu.Lock()
		if h := k.held.Load(); h != nil && h.Token != other && k.c.now().Before(h.ends) {
			k.mu.Unlock()
			return h.Session, nil
		}
		f := k.flight
		if f == nil {
			// The login is not the first caller's alone: it ends early only if nobody waits any more.
			flying, cancel := context.WithCancel(context.WithoutCancel(ctx))
			f = &flight{done: make(chan struct{}), cancel: cancel}
			k.flight = f
			go k.fly(flying, f)
		}
		joined := !f.dropped
		if joined {
			f.waiting++
		}
		k.mu.Unlock()

		select {
		case <-f.done:
			if joined {
				return f.session, f.err
			}
		case <-ctx.Done():
			k.mu.Lock()
			if joined {
				f.waiting--
			}
			if f.waiting == 0 {
				f.dropped = true
				f.cancel()
			}
			k.mu.Unlock()
			return Session{}, stopped(ctx, opKeep)
		}
	}
}

func (k *Keeper) fly(ctx context.Context, f *flight) {
	f.err = &Error{Op: opKeep, Category: ErrCallback, Message: "a function of the login ended its goroutine", Retry: RetrySame}
	defer func() { // also if a function of the user's calls runtime.Goexit
		f.cancel()
		k.mu.Lock()
		k.flight = nil
		k.mu.Unlock()
		close(f.done)
	}()
	s, fresh, err := k.obtain(ctx)
	if err == nil {
		h := &held{s, s.Ends()}
		if h.ends.IsZero() {
			h.ends = noExpiry
		}
		k.held.Store(h)
		if fresh && k.cfg.OnLogin != nil {
			k.cfg.OnLogin(s)
		}
	}
	f.session, f.err = s, err
}

// Run keeps the session alive in the background until ctx is over or a login
// fails, and returns why. It makes sure of a session at once, calls OnExpiring
// and OnExpired, and logs in again at RenewAt, or when the session has ended.
//
// It does not go on after a failed login, because only the program can know
// whether to: call Run again to do so.
func (k *Keeper) Run(ctx context.Context) error {
	var w vigil
	for {
		if ctx.Err() != nil {
			return stopped(ctx, opKeep)
		}
		// Somebody who asked for a session, or said that it has ended, may have changed it.
		h := k.held.Load()
		if h == nil {
			if _, err := k.Session(ctx); err != nil {
				return err
			}
			continue
		}
		now := k.c.now()
		if h.Token != w.session.Token {
			w = vigil{session: h.Session, ends: h.ends, due: k.renewal(now, h)}
		}
		k.tell(&w, now)
		if !now.Before(w.due) {
			k.mu.Lock()
			k.refused[w.session.Token] = true // if it still is in the store
			k.mu.Unlock()
			if _, err := k.wait(ctx, w.session.Token); err != nil {
				return err
			}
			continue
		}
		// A machine that slept, or whose clock was set, is noticed within the half minute.
		if err := k.sleep(ctx, now, min(w.next(k.cfg.Lead).Sub(now), 30*time.Second)); err != nil {
			return err
		}
	}
}

// A vigil is what [Keeper.Run] knows of the session that it watches.
type vigil struct {
	session       Session
	ends, due     time.Time // when it ends, and when to renew it
	warned, ended bool      // OnExpiring and OnExpired have had their turn
}

// next returns when something is to be done next.
func (w *vigil) next(lead time.Duration) time.Time {
	next := w.due
	if !w.ended {
		next = earlier(next, w.ends)
	}
	if !w.warned {
		next = earlier(next, w.ends.Add(-lead))
	}
	return next
}

// renewal returns when to renew a session.
func (k *Keeper) renewal(now time.Time, h *held) time.Time {
	if k.cfg.RenewAt != nil {
		if at := k.cfg.RenewAt(now, h.Session); at.After(now) {
			return at
		}
	}
	return h.ends
}

// tell calls OnExpiring and OnExpired when it is time.
func (k *Keeper) tell(w *vigil, now time.Time) {
	if w.ended {
		return
	}
	if !w.warned && !now.Before(w.ends.Add(-k.cfg.Lead)) {
		w.warned = true
		if k.cfg.OnExpiring != nil && now.Before(w.ends) {
			k.cfg.OnExpiring(w.session)
		}
	}
	if !now.Before(w.ends) {
		w.ended = true
		if k.cfg.OnExpired != nil {
			k.cfg.OnExpired(w.session)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

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

// A Login tells a [Keeper] how to log in by itself. Each function is called only when
// its result is needed: for a login or, without a UCC, to find out whether a saved
// session belongs to the account. Configure exactly one of two ways:
//
//   - password: Credentials, and one of OTP and MPIN;
//   - TOTP: one of TOTP and TOTPSeed, and MPIN.
//
// A function that waits for a person should return when its context is done. If a
// function returns an error, the login fails with [ErrCallback].
type Login struct {
	Credentials func(context.Context) (Credentials, error) // the first factor; with MPIN, no one-time code is asked for
	OTP         func(context.Context) (string, error)      // the one-time code that the service has just sent
	MPIN        func(context.Context) (string, error)      // the six digits, as second factor; called first

	TOTP     func(context.Context) (TOTP, error)   // the first factor, with the code that the authenticator shows now
	TOTPSeed func(context.Context) (string, error) // the authenticator's seed (base32, or an otpauth address), for the keeper to make the code
	Mobile   string                                // with TOTPSeed: as in TOTP

	// UCC is the account's unique client code. TOTPSeed requires it. With Credentials or
	// TOTP it is useful if there is a store: without it, only calling Credentials or
	// TOTP shows whether a saved session belongs to the account. A session of another
	// UCC is refused.
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
	wrong(totp && l.OTP != nil, "OTP cannot be combined with TOTP")
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

	// Store keeps the session between runs and shares it between processes; nil keeps it
	// in memory. Each account needs its own store: a session of another account, such as
	// one that neo login has saved there, is neither used nor replaced, and Session
	// returns ErrInvalidInput.
	Store SessionStore

	// MaxTries is the number of logins in a row that may be refused before the keeper
	// stops trying until Reset, so that a wrong password does not lock the account; 0
	// means 3.
	MaxTries int

	// OnLogin is called with each session that this keeper has logged in, before
	// Session returns it.
	OnLogin func(Session)

	// Run calls OnExpiring when a session has Lead left (0 means 5 minutes), and
	// OnExpired when it has ended.
	Lead       time.Duration
	OnExpiring func(Session)
	OnExpired  func(Session)

	// RenewAt returns when Run should log in again; it is called once for each session.
	// nil, or a time that is not in the future, means when the session has ended. See
	// Daily.
	RenewAt func(now time.Time, s Session) time.Time

	// Log receives what the keeper does, without secrets; nil means that nothing is logged.
	Log *slog.Logger
}

// Daily returns a [KeepConfig.RenewAt] that renews every day at a time in India:
// Daily(8, 45) is half an hour before the market opens. A session that ends at night
// is not replaced before then unless Session is called.
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

// A Keeper stays logged in: it logs in when it has no usable session. Its client's
// calls use its session. Do not call [Client.Login] on the same client yourself; that
// interferes with the keeper. Its methods are safe for concurrent use. It prints
// without secrets.
//
// All goroutines that want a session, and all processes that share a store, cause one
// login between them. A call of Session makes at most one login. After a failure the
// next login waits as long as the service said, or else 5 seconds, doubled with each
// failure up to 5 minutes; calls before then get the same error without asking the
// service. Logins that the service refused count towards MaxTries. A failure before
// anything was sent, such as that of your function for the password, neither counts
// nor waits.
//
// A keeper serves one account: that of Login.UCC, or that of its first session. A
// saved session is used if it has the account's UCC or, if that is not known, was
// opened with the mobile number, user id or PAN that Credentials returns. A session
// of another account is left as it is, and the error is [ErrInvalidInput]. If it is
// not known whose the saved session is, as with files of versions that did not record
// it, the keeper logs in, and replaces the saved session if it turns out to be the
// same account's or has ended.
type Keeper struct {
	c    *Client
	cfg  KeepConfig
	held atomic.Pointer[held]

	mu      sync.Mutex // guards what follows; never held while waiting
	who     identity   // the keeper's account, as far as it is known
	flight  *flight    // the login under way, or nil
	refused map[string]bool
	tries   int           // logins refused in a row
	pause   time.Duration // how long to wait after the last failure that was not a refusal
	until   time.Time     // no login before this
	last    error         // the last login's failure, nil if it succeeded

	// Only the flight's goroutine uses these.
	step  int64        // the last TOTP step used
	code  string       // and its code, long spent
	given *Credentials // what Credentials has returned
}

// held is the session that Session returns until it ends.
type held struct {
	Session
	ends time.Time
}

// A flight is one login, or one read of the store, that several callers wait for.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int  // guarded by Keeper.mu
	dropped bool // no caller waits any more: it has been cancelled
	session Session
	err     error // both are set before done is closed
}

// Keep returns a keeper for the client. From now on the client's calls,
// [Client.HTTPClient], [Client.Do] and package trade, use the keeper's session, as
// with [WithKeeper]; a later Keep replaces the keeper. It does not use the network or
// the store. For an invalid configuration it returns an [ErrInvalidInput] that names
// every problem.
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

// Session returns a session that has not ended: the one in memory, the store's, or a
// new one. With one in memory it takes nanoseconds and does not block. The session
// becomes the client's current one. Do not modify its Caches, which all callers
// share.
//
// Usual categories: those of the login's steps; [ErrInvalidInput] for a saved session
// that is corrupt or belongs to something else; [ErrStore]; [ErrCallback];
// [ErrNetwork] if ctx was done first.
func (k *Keeper) Session(ctx context.Context) (Session, error) {
	if h := k.held.Load(); h != nil && k.c.now().Before(h.ends) {
		return h.Session, nil
	}
	return k.wait(ctx, "")
}

// Ended reports to the keeper that the service has refused s before its expiry:
// Session does not return it again.
func (k *Keeper) Ended(s Session) {
	k.mu.Lock()
	k.refused[s.Token] = true
	k.mu.Unlock()
	if h := k.held.Load(); h != nil && h.Token == s.Token {
		k.held.CompareAndSwap(h, nil)
	}
}

// Reset lets the keeper log in again at once, after MaxTries refusals or while it
// waits. Call it when the cause of the failures has been corrected.
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
			// The login is shared: it is cancelled only if no caller waits any more.
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

// Run keeps the session alive until ctx is done or a login fails, and returns the
// reason. It obtains a session at once, calls OnExpiring and OnExpired, and logs in
// again at RenewAt, or when the session has ended.
//
// Run does not continue after a failed login, because only the program can decide
// that; to continue, call it again.
func (k *Keeper) Run(ctx context.Context) error {
	var w vigil
	for {
		if ctx.Err() != nil {
			return stopped(ctx, opKeep)
		}
		// A call of Session or Ended may have changed it.
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
			k.refused[w.session.Token] = true // in case it is still in the store
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

// A vigil is what [Keeper.Run] knows about the session that it watches.
type vigil struct {
	session       Session
	ends, due     time.Time // when it ends, and when to renew it
	warned, ended bool      // whether OnExpiring and OnExpired were called
}

// next returns the time of the next action.
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

// tell calls OnExpiring and OnExpired when they are due.
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

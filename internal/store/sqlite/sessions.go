package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

const sessionColumns = `sid, rid, kind, account, ucc, consumer, first, view_id, trade_id, key_id, home, issued, expires,
	tries, tries_before, sends, otp, otp_expires, last_send, claim, claim_until, completed, repeat,
	undelivered, remote, incarnation`

const selectSession = `SELECT ` + sessionColumns + ` FROM sessions WHERE sid = ?`

func scanSession(r *row) (login.Session, error) {
	return login.Session{
		SID: r.text(), RID: r.text(), Kind: login.SessionKind(r.text()), Account: r.text(), UCC: r.text(), Consumer: r.text(),
		First: login.Factor(r.text()), ViewID: r.text(), TradeID: r.text(), KeyID: r.text(), Home: r.text(),
		Issued: r.time(), Expires: r.time(), Tries: int(r.int()), TriesBefore: int(r.int()), Sends: int(r.int()),
		OTP: r.bytes(), OTPExpires: r.time(), LastSend: r.time(), ClaimID: r.text(), ClaimUntil: r.time(),
		Completed: r.time(), Repeat: r.bytes(), Undelivered: r.bool(), Remote: r.bool(), Incarnation: r.text(),
	}, nil
}

// oneSession returns the first session of a query, or login.ErrNotFound.
func oneSession(c *sqlite.Conn, query string, args ...any) (x login.Session, err error) {
	err = one(c, func(r *row) (err error) { x, err = scanSession(r); return err }, query, args...)
	return x, err
}

// change loads a session, applies f and saves it, in the transaction that is
// open. If f returns an error the session is not saved.
func change(c *sqlite.Conn, sid string, f func(x *login.Session) error) error {
	x, err := oneSession(c, selectSession, sid)
	if err != nil {
		return err
	}
	if err := f(&x); err != nil {
		return err
	}
	// What never changes in a session's life (sid, account, UCC, consumer and its
	// incarnation, first factor, view id) is not written again.
	return exec(c, `UPDATE sessions SET rid = ?, kind = ?, trade_id = ?, key_id = ?, home = ?, issued = ?, expires = ?,
		tries = ?, tries_before = ?, sends = ?, otp = ?, otp_expires = ?, last_send = ?, claim = ?, claim_until = ?, completed = ?, repeat = ?,
		undelivered = ?, remote = ? WHERE sid = ?`,
		x.RID, string(x.Kind), x.TradeID, x.KeyID, x.Home, x.Issued, x.Expires, x.Tries, x.TriesBefore, x.Sends,
		x.OTP, x.OTPExpires, x.LastSend, x.ClaimID, x.ClaimUntil, x.Completed, x.Repeat, x.Undelivered, x.Remote, sid)
}

// state loads an account's state, an empty one if there is none.
func state(c *sqlite.Conn, account string) (login.AccountState, error) {
	a := login.AccountState{Account: account}
	err := one(c, func(r *row) error {
		a.TOTPStep = r.int()
		for sent := r.bytes(); len(sent) >= 8; sent = sent[8:] {
			a.Sent = append(a.Sent, fromMillis(int64(binary.BigEndian.Uint64(sent))))
		}
		var err error
		a.Failures, err = login.ParseFailures(r.text())
		for used := r.bytes(); len(used) >= 8; used = used[8:] {
			a.TOTPUsed = append(a.TOTPUsed, int64(binary.BigEndian.Uint64(used)))
		}
		return err
	}, `SELECT totp_step, sent, failures, totp_used FROM account_states WHERE account = ?`, account)
	if errors.Is(err, login.ErrNotFound) {
		err = nil
	}
	return a, err
}

// changeState loads an account's state, applies f and saves it, in the
// transaction that is open. If f returns an error, or leaves the state as it was,
// nothing is saved: a code that is right at the first try changes nothing here.
func changeState(c *sqlite.Conn, account string, f func(a *login.AccountState) error) error {
	a, err := state(c, account)
	if err != nil {
		return err
	}
	before := stored(a)
	if err := f(&a); err != nil {
		return err
	}
	x := stored(a)
	if x.step == before.step && x.failures == before.failures && bytes.Equal(x.sent, before.sent) && bytes.Equal(x.used, before.used) {
		return nil
	}
	return exec(c, `INSERT INTO account_states (account, totp_step, sent, failures, totp_used) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (account) DO UPDATE SET totp_step = excluded.totp_step, sent = excluded.sent, failures = excluded.failures,
			totp_used = excluded.totp_used`,
		account, x.step, x.sent, x.failures, x.used)
}

// A storedState is an account's state as it is in its columns.
type storedState struct {
	step       int64
	sent, used []byte
	failures   string
}

func stored(a login.AccountState) storedState {
	x := storedState{step: a.TOTPStep, failures: login.FormatFailures(a.Failures)}
	for _, t := range a.Sent {
		x.sent = binary.BigEndian.AppendUint64(x.sent, uint64(millis(t)))
	}
	for _, step := range a.TOTPUsed {
		x.used = binary.BigEndian.AppendUint64(x.used, uint64(step))
	}
	return x
}

// changeBoth is change for a rule that changes the account's state too.
func changeBoth(c *sqlite.Conn, sid string, f func(x *login.Session, a *login.AccountState) error) error {
	return change(c, sid, func(x *login.Session) error {
		return changeState(c, x.Account, func(a *login.AccountState) error { return f(x, a) })
	})
}

// State implements [login.Allowances].
func (s *Store) State(ctx context.Context, account string) (a login.AccountState, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) (err error) {
		a, err = state(c, account)
		return err
	})
	return a, err
}

// Try implements [login.Allowances]. A locked account costs a write like any other
// (security.md P5).
func (s *Store) Try(ctx context.Context, t login.Try) error {
	var refused error
	err := s.update(ctx, func(c *sqlite.Conn) error {
		return changeState(c, t.Account, func(a *login.AccountState) error { refused = a.Try(t); return nil })
	})
	if err == nil {
		err = refused
	}
	return err
}

// EndTry implements [login.Allowances].
func (s *Store) EndTry(ctx context.Context, t login.Try, failed bool, e login.Event) error {
	return s.update(ctx, func(c *sqlite.Conn) error {
		err := changeState(c, t.Account, func(a *login.AccountState) error {
			a.EndTry(t.Factor, t.ID, failed, e.Time)
			return nil
		})
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// Unlock implements [login.Allowances].
func (s *Store) Unlock(ctx context.Context, account string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		err := changeState(c, account, func(a *login.AccountState) error { a.Failures = nil; return nil })
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// OpenView implements [login.Sessions].
func (s *Store) OpenView(ctx context.Context, x login.Session, totpStep int64, try string, e login.Event) error {
	return s.update(ctx, func(c *sqlite.Conn) error {
		err := changeState(c, x.Account, func(a *login.AccountState) error { return a.Open(x, totpStep, try) })
		if err != nil {
			return err
		}
		err = addSession(c, x)
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// TryView implements [login.Sessions]. One transaction at a time writes, so that a change
// of the account comes before this one, which reads its version, or after it, and ends the
// session.
func (s *Store) TryView(ctx context.Context, t login.Try, x login.Session, totpStep int64, e login.Event) (version int64, err error) {
	version = -1
	var refused error
	err = s.update(ctx, func(c *sqlite.Conn) error {
		err := changeState(c, t.Account, func(a *login.AccountState) error { refused = a.TryOpen(t, x, totpStep); return nil })
		if err != nil || refused != nil {
			return err
		}
		if err := addSession(c, x); err != nil {
			return err
		}
		err = each(c, func(r *row) error { version = r.int(); return nil }, `SELECT version FROM accounts WHERE id = ?`, t.Account)
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
	if err == nil {
		err = refused
	}
	return version, err
}

// addSession stores a session in the transaction that is open.
func addSession(c *sqlite.Conn, x login.Session) error {
	return exec(c, `INSERT INTO sessions (`+sessionColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		x.SID, x.RID, string(x.Kind), x.Account, x.UCC, x.Consumer, string(x.First), x.ViewID, x.TradeID, x.KeyID, x.Home,
		x.Issued, x.Expires, x.Tries, x.TriesBefore, x.Sends, x.OTP, x.OTPExpires, x.LastSend,
		x.ClaimID, x.ClaimUntil, x.Completed, x.Repeat, x.Undelivered, x.Remote, x.Incarnation)
}

// Session implements [login.Sessions].
func (s *Store) Session(ctx context.Context, sid string) (x login.Session, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) (err error) {
		x, err = oneSession(c, selectSession, sid)
		return err
	})
	return x, err
}

// ofToken finds a session by the id of its current token.
const ofToken = `(kind = 'trade' AND trade_id = ? OR kind = 'view' AND view_id = ?)`

// SessionOf implements [login.Sessions].
func (s *Store) SessionOf(ctx context.Context, account, tokenID string) (x login.Session, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) (err error) {
		x, err = oneSession(c, `SELECT `+sessionColumns+` FROM sessions WHERE account = ? AND `+ofToken, account, tokenID, tokenID)
		return err
	})
	return x, err
}

// PendingView implements [login.Sessions].
func (s *Store) PendingView(ctx context.Context, account string, consumer login.Consumer, fresh, now time.Time) (x login.Session, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) (err error) {
		x, err = oneSession(c, `SELECT `+sessionColumns+` FROM sessions
			WHERE account = ? AND consumer = ? AND incarnation = ? AND kind = 'view' AND expires > ?
			ORDER BY (otp IS NOT NULL AND otp_expires > ?) OR issued <= ?, n DESC LIMIT 1`,
			account, consumer.Key, consumer.Incarnation, now, now, fresh)
		return err
	})
	return x, err
}

// SetOTP implements [login.Sessions].
func (s *Store) SetOTP(ctx context.Context, o login.NewOTP) (wait time.Duration, err error) {
	err = s.update(ctx, func(c *sqlite.Conn) error {
		err := changeBoth(c, o.SID, func(x *login.Session, a *login.AccountState) (err error) {
			wait, err = x.PutOTP(a, o)
			return err
		})
		if err != nil || o.Job == nil {
			return err
		}
		return addJob(c, *o.Job)
	})
	return wait, err
}

// DropOTP implements [login.Sessions].
func (s *Store) DropOTP(ctx context.Context, sid string, otp []byte) error {
	return s.update(ctx, func(c *sqlite.Conn) error { return dropOTP(c, sid, otp) })
}

// dropOTP takes a code back in the transaction that is open.
func dropOTP(c *sqlite.Conn, sid string, otp []byte) error {
	err := changeBoth(c, sid, func(x *login.Session, a *login.AccountState) error {
		if !x.TakeBackOTP(a, otp) {
			return login.ErrNotFound
		}
		return nil
	})
	if errors.Is(err, login.ErrNotFound) { // replaced or ended meanwhile: nothing to take back
		return nil
	}
	return err
}

// errUnchanged ends a transaction that has nothing to save.
var errUnchanged = errors.New("unchanged")

// Claim implements [login.Sessions].
func (s *Store) Claim(ctx context.Context, claim login.Claim) (login.Session, login.Account, error) {
	var claimed login.Session
	var account login.Account
	var refused error
	err := s.update(ctx, func(c *sqlite.Conn) error {
		err := changeBoth(c, claim.SID, func(x *login.Session, a *login.AccountState) (err error) {
			if account, err = oneAccount(c, "id", x.Account); err != nil && !errors.Is(err, login.ErrNotFound) {
				return err
			}
			var changed bool
			changed, refused = x.TakeClaim(a, claim.By(account))
			claimed = *x
			if !changed {
				return errUnchanged
			}
			return nil
		})
		if err == nil && claim.Redeems(claimed) {
			refused, err = complete(c, claimed, claim.Redeem.Event)
		}
		return err
	})
	switch {
	case err != nil && !errors.Is(err, errUnchanged): // checked before a refusal, which can count a try
		return login.Session{}, login.Account{}, err
	case refused != nil:
		return login.Session{}, login.Account{}, s.ended(refused)
	}
	return claimed, account, nil
}

// complete stores, in the open transaction, the event of a view session that has become
// the trade session t. If t's consumer was removed it ends t, and overtaken is the error
// to return after the commit.
func complete(c *sqlite.Conn, t login.Session, e login.Event) (overtaken, err error) {
	err = one(c, func(*row) error { return nil }, `SELECT 1 FROM consumers WHERE key = ? AND incarnation = ?`, t.Consumer, t.Incarnation)
	if errors.Is(err, login.ErrNotFound) {
		overtaken, e = login.ErrOvertaken, e.Overtaken()
		if err = addClosings(c, `sid = ?`, t.SID); err == nil {
			err = exec(c, `DELETE FROM sessions WHERE sid = ?`, t.SID)
		}
	}
	if err != nil {
		return nil, err
	}
	return overtaken, addEvent(c, e)
}

// ended returns a refusal, after flushing to disk what it may have ended.
func (s *Store) ended(refused error) error {
	if errors.Is(refused, login.ErrOvertaken) {
		if err := s.log.flush(); err != nil {
			return err
		}
	}
	return refused
}

// Fail implements [login.Sessions].
func (s *Store) Fail(ctx context.Context, sid, claim string, e login.Event) error {
	return s.leave(ctx, sid, claim, false, e)
}

// Refund implements [login.Sessions].
func (s *Store) Refund(ctx context.Context, sid, claim string, e login.Event) error {
	return s.leave(ctx, sid, claim, true, e)
}

// leave gives a claim back. It ends the account's tries and stores the event even if the
// claim was no longer held.
func (s *Store) leave(ctx context.Context, sid, claim string, refund bool, e login.Event) error {
	var lost bool
	err := s.update(ctx, func(c *sqlite.Conn) error {
		err := change(c, sid, func(x *login.Session) error { return x.LeaveClaim(claim, refund) })
		lost = errors.Is(err, login.ErrClaimLost) || errors.Is(err, login.ErrNotFound)
		if err != nil && !lost {
			return err
		}
		err = changeState(c, e.Account, func(a *login.AccountState) error { a.LeaveClaim(claim, refund, e.Time); return nil })
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
	if err == nil && lost {
		return login.ErrClaimLost
	}
	return err
}

// Complete implements [login.Sessions].
func (s *Store) Complete(ctx context.Context, claim string, t login.Session, e login.Event) error {
	var overtaken error
	err := s.update(ctx, func(c *sqlite.Conn) error {
		err := changeBoth(c, t.SID, func(x *login.Session, a *login.AccountState) error { return x.Become(a, claim, t) })
		if err == nil {
			overtaken, err = complete(c, t, e)
		}
		return err
	})
	switch {
	case errors.Is(err, login.ErrNotFound): // the session was ended meanwhile
		return login.ErrClaimLost
	case err != nil:
		return err
	}
	return s.ended(overtaken)
}

// KeyInUse implements [login.Keys]. Like Sweep it reads beside those who write.
func (s *Store) KeyInUse(ctx context.Context, key string, now time.Time) (bool, error) {
	found, err := list(ctx, s, func(r *row) (int64, error) { return r.int(), nil },
		`SELECT n FROM sessions WHERE key_id = ? AND expires > ? LIMIT 1`, key, now)
	return len(found) > 0, err
}

// End implements [login.Sessions].
func (s *Store) End(ctx context.Context, sid, tokenID string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		const this = `sid = ? AND ` + ofToken
		if err := addClosings(c, this, sid, tokenID, tokenID); err != nil {
			return err
		}
		if err := exec(c, `DELETE FROM sessions WHERE `+this, sid, tokenID, tokenID); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// SessionsOf implements [login.Sessions].
func (s *Store) SessionsOf(ctx context.Context, account string, now time.Time) ([]login.Session, error) {
	return list(ctx, s, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE account = ? AND expires > ? ORDER BY issued, n`, account, now)
}

// Revoke implements [login.Sessions].
func (s *Store) Revoke(ctx context.Context, account, sid string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		const these = `account = ? AND ? IN ('', sid)`
		if err := addClosings(c, these, account, sid); err != nil {
			return err
		}
		if err := exec(c, `DELETE FROM sessions WHERE `+these, account, sid); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

// endAccount removes an account's sessions in the transaction that is open.
func endAccount(c *sqlite.Conn, account string) error {
	if err := addClosings(c, `account = ?`, account); err != nil {
		return err
	}
	return exec(c, `DELETE FROM sessions WHERE account = ?`, account)
}

// Revocations implements [login.Sessions]. A trigger puts them there.
func (s *Store) Revocations(ctx context.Context, after int64, since time.Time, n int) (all []login.Revocation, last int64, err error) {
	scan := func(r *row) (login.Revocation, error) {
		return login.Revocation{Seq: r.int(), TokenID: r.text(), Expires: r.time()}, nil
	}
	// First the highest: what is added meanwhile is above it.
	err = s.view(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *row) error { last = r.int(); return nil }, `SELECT coalesce(max(seq), 0) FROM revocations`)
	})
	if err == nil {
		all, err = list(ctx, s, scan, `SELECT seq, token_id, expires FROM revocations WHERE seq > ? AND expires > ? ORDER BY seq LIMIT ?`, after, since, n)
	}
	return all, last, err
}

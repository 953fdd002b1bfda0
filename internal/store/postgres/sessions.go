package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/login"
)

const sessionColumns = `sid, rid, kind, account, ucc, consumer, first, view_id, trade_id, key_id, home, issued, expires,
	tries, tries_before, sends, otp, otp_expires, last_send, claim, claim_until, completed, repeat,
	undelivered, remote, incarnation`

func columnsOfSession(x *login.Session) []any {
	return []any{
		&x.SID, &x.RID, &x.Kind, &x.Account, &x.UCC, &x.Consumer, &x.First, &x.ViewID, &x.TradeID, &x.KeyID, &x.Home,
		when{&x.Issued}, when{&x.Expires}, &x.Tries, &x.TriesBefore, &x.Sends, &x.OTP, when{&x.OTPExpires}, when{&x.LastSend},
		&x.ClaimID, when{&x.ClaimUntil}, when{&x.Completed}, &x.Repeat, &x.Undelivered, &x.Remote, &x.Incarnation,
	}
}

// loaded is what an operation changes: what is counted for an account and, for
// most, one of its sessions.
type loaded struct {
	version int64
	state   login.AccountState
	session login.Session
}

const stateColumns = `version, totp_step, sent, failures, totp_used`

// load runs a query for one row of stateColumns and more, or returns
// login.ErrNotFound.
func (l *loaded) load(ctx context.Context, c *conn, more []any, query string, key string) error {
	return l.scan(func(into []any) error { return one(ctx, c, into, query, key) }, more)
}

// scan reads a row of stateColumns and more.
func (l *loaded) scan(read func(into []any) error, more []any) error {
	var failures string
	err := read(append([]any{&l.version, &l.state.TOTPStep, &l.state.Sent, &failures, &l.state.TOTPUsed}, more...))
	if err == nil {
		l.state.Failures, err = login.ParseFailures(failures)
	}
	for i, sent := range l.state.Sent {
		l.state.Sent[i] = sent.UTC()
	}
	return err
}

// loadState loads what is counted for an account: nothing, at version 0, if there
// is no row.
func loadState(ctx context.Context, c *conn, account string) (*loaded, error) {
	l := &loaded{state: login.AccountState{Account: account}}
	err := l.load(ctx, c, nil, `SELECT `+stateColumns+` FROM account_states WHERE account = $1`, account)
	if errors.Is(err, login.ErrNotFound) {
		err = nil
	}
	return l, err
}

// loadSession loads a session and what is counted for its account, or returns
// login.ErrNotFound.
func loadSession(ctx context.Context, c *conn, sid string) (*loaded, error) {
	var l loaded
	err := l.load(ctx, c, columnsOfSession(&l.session), selectSession, sid)
	l.state.Account = l.session.Account
	return &l, err
}

// loadClaim is loadSession with the session's account, which is empty if missing.
func loadClaim(ctx context.Context, c *conn, sid string) (*loaded, login.Account, error) {
	var l loaded
	var a login.Account
	err := c.run(ctx, func(r pgx.BatchResults) error {
		err := l.scan(func(into []any) error { return r.QueryRow().Scan(into...) }, columnsOfSession(&l.session))
		if err == nil {
			if err = r.QueryRow().Scan(columnsOfAccount(&a)...); errors.Is(err, pgx.ErrNoRows) {
				a, err = login.Account{}, nil
			}
		}
		return err
	}, statement{selectSession, []any{sid}},
		statement{`SELECT ` + accountColumns + ` FROM accounts WHERE id = (SELECT account FROM sessions WHERE sid = $1)`, []any{sid}})
	err = scanned(err, c)
	l.state.Account = l.session.Account
	return &l, a, err
}

const selectSession = `SELECT ` + stateColumns + `, ` + sessionColumns + ` FROM sessions JOIN account_states USING (account) WHERE sid = $1`

// The parts of a statement that saves what was loaded. The first one raises the
// version if it still is the one that was loaded; the others do nothing if it
// did nothing. Their arguments are in this order.
const (
	raise = `WITH saved AS (
		INSERT INTO account_states (account, version, totp_step, sent, failures, totp_used) VALUES ($1, $2 + 1, $3, $4, $5, $6)
		ON CONFLICT (account) DO UPDATE SET version = excluded.version, totp_step = excluded.totp_step,
			sent = excluded.sent, failures = excluded.failures, totp_used = excluded.totp_used
		WHERE account_states.version = $2`
	saveState = raise + ` RETURNING 1)`
	// saveTrade also saves nothing if the consumer was removed: see standing.
	saveTrade = raise + ` AND EXISTS (SELECT FROM consumers WHERE key = $38 AND incarnation = $39) RETURNING 1)`
	// What never changes in a session's life (sid, account, UCC, consumer and its
	// incarnation, first factor, view id) is not written again.
	saveSession = `, session AS (
		UPDATE sessions SET rid = $7, kind = $8, trade_id = $9, key_id = $10, home = $11, issued = $12, expires = $13,
			tries = $14, tries_before = $15, sends = $16, otp = $17, otp_expires = $18, last_send = $19,
			claim = $20, claim_until = $21, completed = $22, repeat = $23, undelivered = $24, remote = $25
		FROM saved WHERE sid = $26)`
	saveDone = ` SELECT FROM saved`
)

var (
	saveNewSession = `, session AS (INSERT INTO sessions (` + sessionColumns + `) SELECT ` + marks(7, 26) + ` FROM saved)`
	saveEventAt    = func(first int) string {
		return `, event AS (INSERT INTO events (` + eventColumns + `) SELECT ` + eventMarks(first) + ` FROM saved)`
	}

	saveSessionOnly   = saveState + saveSession + saveDone
	saveSessionEvent  = saveState + saveSession + saveEventAt(27) + saveDone
	saveTradeEvent    = saveTrade + saveSession + saveEventAt(27) + saveDone
	saveNewView       = saveState + saveNewSession + saveEventAt(33) + saveDone
	saveStateOnly     = saveState + saveDone
	saveStateAndEvent = saveState + saveEventAt(7) + saveDone
)

// save saves what was loaded and changed with one of the statements above, or
// returns errRace if somebody has changed it meanwhile.
func (l *loaded) save(ctx context.Context, c *conn, query string, more ...any) error {
	return changeOne(ctx, c, query, l.args(more...)...)
}

// args are the arguments of saveState and more.
func (l *loaded) args(more ...any) []any {
	return append([]any{l.state.Account, l.version, l.state.TOTPStep, l.state.Sent, login.FormatFailures(l.state.Failures), l.state.TOTPUsed}, more...)
}

// changes are the arguments of saveSession.
func (l *loaded) changes() []any {
	x := &l.session
	return []any{
		x.RID, string(x.Kind), x.TradeID, x.KeyID, x.Home, when{&x.Issued}, when{&x.Expires}, x.Tries, x.TriesBefore, x.Sends,
		some(x.OTP), when{&x.OTPExpires}, when{&x.LastSend}, x.ClaimID, when{&x.ClaimUntil}, when{&x.Completed}, some(x.Repeat),
		x.Undelivered, x.Remote, x.SID,
	}
}

// State implements [login.Allowances].
func (s *Store) State(ctx context.Context, account string) (a login.AccountState, err error) {
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadState(ctx, c, account)
		a = l.state
		return err
	})
	return a, err
}

// changeState loads what is counted for an account, applies f and saves it, with
// an event if there is one.
func (s *Store) changeState(ctx context.Context, account string, e *login.Event, f func(a *login.AccountState)) error {
	return s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadState(ctx, c, account)
		if err != nil {
			return err
		}
		f(&l.state)
		if e == nil {
			return l.save(ctx, c, saveStateOnly)
		}
		return l.save(ctx, c, saveStateAndEvent, eventArgs(e)...)
	})
}

// Try implements [login.Allowances]. A locked account costs a write like any other
// (security.md P5).
func (s *Store) Try(ctx context.Context, t login.Try) error {
	var refused error
	err := s.changeState(ctx, t.Account, nil, func(a *login.AccountState) { refused = a.Try(t) })
	if err == nil {
		err = refused
	}
	return err
}

// EndTry implements [login.Allowances].
func (s *Store) EndTry(ctx context.Context, t login.Try, failed bool, e login.Event) error {
	return s.changeState(ctx, t.Account, &e, func(a *login.AccountState) { a.EndTry(t.Factor, t.ID, failed, e.Time) })
}

// Unlock implements [login.Allowances].
func (s *Store) Unlock(ctx context.Context, account string, e login.Event) error {
	return s.changeState(ctx, account, &e, func(a *login.AccountState) { a.Failures = nil })
}

// OpenView implements [login.Sessions].
func (s *Store) OpenView(ctx context.Context, x login.Session, totpStep int64, try string, e login.Event) error {
	return s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadState(ctx, c, x.Account)
		if err != nil {
			return err
		}
		if err := l.state.Open(x, totpStep, try); err != nil {
			return err
		}
		return l.saveNew(ctx, c, x, e)
	})
}

// saveNew saves the state with a new view session and its event.
func (l *loaded) saveNew(ctx context.Context, c *conn, x login.Session, e login.Event) error {
	return l.save(ctx, c, saveNewView, append([]any{
		x.SID, x.RID, string(x.Kind), x.Account, x.UCC, x.Consumer, string(x.First), x.ViewID, x.TradeID, x.KeyID, x.Home,
		when{&x.Issued}, when{&x.Expires}, x.Tries, x.TriesBefore, x.Sends, some(x.OTP), when{&x.OTPExpires}, when{&x.LastSend},
		x.ClaimID, when{&x.ClaimUntil}, when{&x.Completed}, some(x.Repeat), x.Undelivered, x.Remote, x.Incarnation,
	}, eventArgs(&e)...)...)
}

// TryView implements [login.Sessions]. It reads the account's version after its
// transaction: a change before it is seen, and one after it ends the session.
func (s *Store) TryView(ctx context.Context, t login.Try, x login.Session, totpStep int64, e login.Event) (version int64, err error) {
	var refused error
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadState(ctx, c, t.Account)
		if err != nil {
			return err
		}
		if refused = l.state.TryOpen(t, x, totpStep); refused != nil {
			return l.save(ctx, c, saveStateOnly)
		}
		return l.saveNew(ctx, c, x, e)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return -1, err
	}
	if err = s.read(ctx, []any{&version}, `SELECT version FROM accounts WHERE id = $1`, t.Account); errors.Is(err, login.ErrNotFound) {
		return -1, nil
	}
	return version, err
}

// Session implements [login.Sessions].
func (s *Store) Session(ctx context.Context, sid string) (x login.Session, err error) {
	err = s.read(ctx, columnsOfSession(&x), `SELECT `+sessionColumns+` FROM sessions WHERE sid = $1`, sid)
	return x, err
}

// SessionOf implements [login.Sessions].
func (s *Store) SessionOf(ctx context.Context, account, tokenID string) (x login.Session, err error) {
	err = s.read(ctx, columnsOfSession(&x), `SELECT `+sessionColumns+` FROM sessions
		WHERE account = $1 AND (kind = 'trade' AND trade_id = $2 OR kind = 'view' AND view_id = $2)`, account, tokenID)
	return x, err
}

// PendingView implements [login.Sessions].
func (s *Store) PendingView(ctx context.Context, account string, consumer login.Consumer, fresh, now time.Time) (x login.Session, err error) {
	err = s.read(ctx, columnsOfSession(&x), `SELECT `+sessionColumns+` FROM sessions
		WHERE account = $1 AND consumer = $2 AND incarnation = $5 AND kind = 'view' AND expires > $3
		ORDER BY (otp IS NOT NULL AND otp_expires > $3) OR issued <= $4, n DESC LIMIT 1`,
		account, consumer.Key, now, fresh, consumer.Incarnation)
	return x, err
}

// change loads a session with what is counted for its account, applies f, and
// saves both, with an event if there is one. If f returns an error, nothing is
// saved.
func (s *Store) change(ctx context.Context, sid string, e *login.Event, f func(l *loaded) error) error {
	return s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadSession(ctx, c, sid)
		if err != nil {
			return err
		}
		if err := f(l); err != nil {
			return err
		}
		return l.saveBoth(ctx, c, e)
	})
}

func (l *loaded) saveBoth(ctx context.Context, c *conn, e *login.Event) error {
	if e == nil {
		return l.save(ctx, c, saveSessionOnly, l.changes()...)
	}
	return l.save(ctx, c, saveSessionEvent, append(l.changes(), eventArgs(e)...)...)
}

// saveTrade saves a session that has become a trade session, with its event. If its
// consumer was removed, it saves and ends the session at once and returns
// login.ErrOvertaken.
func (l *loaded) saveTrade(ctx context.Context, c *conn, e login.Event) error {
	x := &l.session
	saved, err := inOne(ctx, c,
		statement{`SELECT pg_advisory_xact_lock_shared($1)`, []any{standing}},
		statement{saveTradeEvent, l.args(slices.Concat(l.changes(), eventArgs(&e), []any{x.Consumer, x.Incarnation})...)})
	if err != nil || saved[1] > 0 {
		return err
	}
	var stands bool
	err = one(ctx, c, []any{&stands}, `SELECT EXISTS (SELECT FROM consumers WHERE key = $1 AND incarnation = $2)`, x.Consumer, x.Incarnation)
	if err != nil {
		return err
	}
	if stands {
		return errRace
	}
	e = e.Overtaken()
	const this = `sid = $1 AND kind = 'trade' AND trade_id = $2`
	saved, err = inOne(ctx, c,
		statement{saveSessionEvent, l.args(append(l.changes(), eventArgs(&e)...)...)},
		closings(this, x.SID, x.TradeID),
		statement{`DELETE FROM sessions WHERE ` + this, []any{x.SID, x.TradeID}})
	switch {
	case err != nil:
		return err
	case saved[0] == 0:
		return errRace
	}
	return login.ErrOvertaken
}

// SetOTP implements [login.Sessions].
func (s *Store) SetOTP(ctx context.Context, o login.NewOTP) (wait time.Duration, err error) {
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadSession(ctx, c, o.SID)
		if err != nil {
			return err
		}
		if wait, err = l.session.PutOTP(&l.state, o); err != nil {
			return err
		}
		if o.Job == nil {
			return l.saveBoth(ctx, c, nil)
		}
		return l.save(ctx, c, saveSessionJob, append(l.changes(), jobArgs(o.Job)...)...)
	})
	return wait, err
}

// DropOTP implements [login.Sessions].
func (s *Store) DropOTP(ctx context.Context, sid string, otp []byte) error {
	err := s.change(ctx, sid, nil, func(l *loaded) error {
		if !l.session.TakeBackOTP(&l.state, otp) {
			return login.ErrNotFound
		}
		return nil
	})
	if errors.Is(err, login.ErrNotFound) { // replaced or ended meanwhile: nothing to take back
		return nil
	}
	return err
}

// Claim implements [login.Sessions].
func (s *Store) Claim(ctx context.Context, claim login.Claim) (login.Session, login.Account, error) {
	var claimed login.Session
	var account login.Account
	var refused error
	err := s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, a, err := loadClaim(ctx, c, claim.SID)
		if err != nil {
			return err
		}
		var changed bool
		changed, refused = l.session.TakeClaim(&l.state, claim.By(a))
		claimed, account = l.session, a
		switch {
		case !changed:
			return nil
		case claim.Redeems(claimed):
			return l.saveTrade(ctx, c, claim.Redeem.Event)
		}
		return l.saveBoth(ctx, c, nil)
	})
	if err == nil { // a refusal can count a try
		err = refused
	}
	if err != nil {
		return login.Session{}, login.Account{}, err
	}
	return claimed, account, nil
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
	err := s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadSession(ctx, c, sid)
		if err != nil && !errors.Is(err, login.ErrNotFound) {
			return err
		}
		lost = err != nil || l.session.Account != e.Account || l.session.LeaveClaim(claim, refund) != nil
		if lost {
			if l, err = loadState(ctx, c, e.Account); err != nil {
				return err
			}
		}
		l.state.LeaveClaim(claim, refund, e.Time)
		if lost {
			return l.save(ctx, c, saveStateAndEvent, eventArgs(&e)...)
		}
		return l.saveBoth(ctx, c, &e)
	})
	if err == nil && lost {
		return login.ErrClaimLost
	}
	return err
}

// Complete implements [login.Sessions].
func (s *Store) Complete(ctx context.Context, claim string, t login.Session, e login.Event) error {
	err := s.do(ctx, within, func(ctx context.Context, c *conn) error {
		l, err := loadSession(ctx, c, t.SID)
		if err != nil {
			return err
		}
		if err := l.session.Become(&l.state, claim, t); err != nil {
			return err
		}
		return l.saveTrade(ctx, c, e)
	})
	if errors.Is(err, login.ErrNotFound) { // the session was ended meanwhile
		return login.ErrClaimLost
	}
	return err
}

// hold raises an account's version: until the transaction ends nobody else changes
// the account's sessions, and what was loaded of them before is not saved.
func hold(account string) statement {
	return statement{`INSERT INTO account_states (account, version, totp_step, failures) VALUES ($1, 1, 0, '')
		ON CONFLICT (account) DO UPDATE SET version = account_states.version + 1`, []any{account}}
}

// KeyInUse implements [login.Keys].
func (s *Store) KeyInUse(ctx context.Context, key string, now time.Time) (used bool, err error) {
	err = s.do(ctx, withinMany, func(ctx context.Context, c *conn) error {
		return one(ctx, c, []any{&used}, `SELECT EXISTS (SELECT FROM sessions WHERE key_id = $1 AND expires > $2)`, key, now)
	})
	return used, err
}

// End implements [login.Sessions].
func (s *Store) End(ctx context.Context, sid, tokenID string, e login.Event) error {
	return s.mustChange(ctx,
		statement{`UPDATE account_states SET version = version + 1 WHERE account = (SELECT account FROM sessions WHERE sid = $1)`, []any{sid}},
		closings(`sid = $1 AND kind = 'trade' AND trade_id = $2`, sid, tokenID),
		recordIf(`DELETE FROM sessions WHERE sid = $1 AND (kind = 'trade' AND trade_id = $2 OR kind = 'view' AND view_id = $2)`, e, sid, tokenID))
}

// SessionsOf implements [login.Sessions].
func (s *Store) SessionsOf(ctx context.Context, account string, now time.Time) ([]login.Session, error) {
	return list(ctx, s, columnsOfSession,
		`SELECT `+sessionColumns+` FROM sessions WHERE account = $1 AND expires > $2 ORDER BY issued, n`, account, now)
}

// Revoke implements [login.Sessions].
func (s *Store) Revoke(ctx context.Context, account, sid string, e login.Event) error {
	return s.mustChange(ctx, hold(account), closings(`account = $1 AND $2 IN ('', sid)`, account, sid), statement{
		`WITH ended AS (DELETE FROM sessions WHERE account = $1 AND ($2 = '' OR sid = $2) RETURNING 1)
		INSERT INTO events (` + eventColumns + `) SELECT ` + eventMarks(3) + ` WHERE EXISTS (SELECT FROM ended)`,
		append([]any{account, sid}, eventArgs(&e)...),
	})
}

// Revocations implements [login.Sessions]. A trigger puts them there.
func (s *Store) Revocations(ctx context.Context, after int64, since time.Time, n int) (all []login.Revocation, last int64, err error) {
	columns := func(x *login.Revocation) []any { return []any{&x.Seq, &x.TokenID, when{&x.Expires}} }
	// First the highest: what is added meanwhile is above it.
	if err := s.read(ctx, []any{&last}, `SELECT coalesce(max(seq), 0) FROM revocations`); err != nil {
		return nil, 0, err
	}
	all, err = list(ctx, s, columns, `SELECT seq, token_id, expires FROM revocations WHERE seq > $1 AND expires > $2 ORDER BY seq LIMIT $3`, after, since, n)
	return all, last, err
}

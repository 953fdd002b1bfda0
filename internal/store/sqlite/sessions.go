package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"neoapi/internal/login"
)

const sessionColumns = `sid, rid, kind, account, ucc, consumer, first, view_id, trade_id, key_id, home, issued, expires,
	tries, sends, otp, otp_expires, last_send, claim, claim_until, completed, repeat`

// statements are the queries of a request's path, prepared once.
type statements struct {
	account                                            map[login.IdentifierKind]*sql.Stmt
	addAccount, addEvent                               *sql.Stmt
	session, sessionForChange, addSession, saveSession *sql.Stmt
	state, saveState                                   *sql.Stmt
}

func (s *Store) prepare(ctx context.Context) error {
	var err error
	stmt := func(db *sql.DB, query string) *sql.Stmt {
		if err != nil {
			return nil
		}
		var p *sql.Stmt
		p, err = db.PrepareContext(ctx, query)
		return p
	}
	s.stmts = statements{
		account:    map[login.IdentifierKind]*sql.Stmt{},
		addAccount: stmt(s.write, `INSERT INTO accounts (`+accountColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		addEvent: stmt(s.write, `INSERT INTO events (time, action, outcome, account, ucc, factor, consumer, sid, address, request_id)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		session:          stmt(s.read, `SELECT `+sessionColumns+` FROM sessions WHERE sid = ?`),
		sessionForChange: stmt(s.write, `SELECT `+sessionColumns+` FROM sessions WHERE sid = ?`),
		addSession: stmt(s.write, `INSERT INTO sessions (`+sessionColumns+`)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		// What never changes in a session's life (sid, account, UCC, consumer, first factor, view id) is not written again.
		saveSession: stmt(s.write, `UPDATE sessions SET rid = ?, kind = ?, trade_id = ?, key_id = ?, home = ?, issued = ?, expires = ?,
			tries = ?, sends = ?, otp = ?, otp_expires = ?, last_send = ?, claim = ?, claim_until = ?, completed = ?, repeat = ? WHERE sid = ?`),
		state: stmt(s.write, `SELECT totp_step, otp_hour, otp_count FROM account_states WHERE account = ?`),
		saveState: stmt(s.write, `INSERT INTO account_states (account, totp_step, otp_hour, otp_count) VALUES (?, ?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET totp_step = excluded.totp_step, otp_hour = excluded.otp_hour, otp_count = excluded.otp_count`),
	}
	for kind, column := range accountColumn {
		s.stmts.account[kind] = stmt(s.read, `SELECT `+accountColumns+` FROM accounts WHERE `+column+` = ?`)
	}
	return err
}

func scanSession(row scanner) (login.Session, error) {
	var x login.Session
	var issued, expires, otpExpires, lastSend, claimUntil, completed int64
	err := row.Scan(&x.SID, &x.RID, &x.Kind, &x.Account, &x.UCC, &x.Consumer, &x.First, &x.ViewID, &x.TradeID, &x.KeyID, &x.Home,
		&issued, &expires, &x.Tries, &x.Sends, &x.OTP, &otpExpires, &lastSend, &x.ClaimID, &claimUntil, &completed, &x.Repeat)
	if err != nil {
		return login.Session{}, notFound(err)
	}
	x.Issued, x.Expires, x.OTPExpires = fromMillis(issued), fromMillis(expires), fromMillis(otpExpires)
	x.LastSend, x.ClaimUntil, x.Completed = fromMillis(lastSend), fromMillis(claimUntil), fromMillis(completed)
	return x, nil
}

// change loads a session, applies f and saves it, in the transaction tx. If f
// returns an error the session is not saved.
func (s *Store) change(ctx context.Context, tx *sql.Tx, sid string, f func(x *login.Session) error) error {
	x, err := scanSession(tx.StmtContext(ctx, s.stmts.sessionForChange).QueryRowContext(ctx, sid))
	if err != nil {
		return err
	}
	if err := f(&x); err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.stmts.saveSession).ExecContext(ctx, x.RID, string(x.Kind), x.TradeID, x.KeyID, x.Home,
		millis(x.Issued), millis(x.Expires), x.Tries, x.Sends, x.OTP, millis(x.OTPExpires), millis(x.LastSend),
		x.ClaimID, millis(x.ClaimUntil), millis(x.Completed), x.Repeat, sid)
	return err
}

// changeState loads an account's state, an empty one if there is none, applies
// f and saves it, in the transaction tx.
func (s *Store) changeState(ctx context.Context, tx *sql.Tx, account string, f func(a *login.AccountState) error) error {
	a := login.AccountState{Account: account}
	var hour int64
	err := tx.StmtContext(ctx, s.stmts.state).QueryRowContext(ctx, account).Scan(&a.TOTPStep, &hour, &a.OTPCount)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	a.OTPHour = fromMillis(hour)
	if err := f(&a); err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, s.stmts.saveState).ExecContext(ctx, account, a.TOTPStep, millis(a.OTPHour), a.OTPCount)
	return err
}

// OpenView implements [login.Sessions].
func (s *Store) OpenView(ctx context.Context, x login.Session, totpStep int64, e login.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if totpStep > 0 {
			err := s.changeState(ctx, tx, x.Account, func(a *login.AccountState) error { return a.UseTOTPStep(totpStep) })
			if err != nil {
				return err
			}
		}
		_, err := tx.StmtContext(ctx, s.stmts.addSession).ExecContext(ctx,
			x.SID, x.RID, string(x.Kind), x.Account, x.UCC, x.Consumer, string(x.First), x.ViewID, x.TradeID, x.KeyID, x.Home,
			millis(x.Issued), millis(x.Expires), x.Tries, x.Sends, x.OTP, millis(x.OTPExpires), millis(x.LastSend),
			x.ClaimID, millis(x.ClaimUntil), millis(x.Completed), x.Repeat)
		if err != nil {
			return err
		}
		return s.addEvent(ctx, tx, e)
	})
}

// Session implements [login.Sessions].
func (s *Store) Session(ctx context.Context, sid string) (login.Session, error) {
	return scanSession(s.stmts.session.QueryRowContext(ctx, sid))
}

// PendingView implements [login.Sessions].
func (s *Store) PendingView(ctx context.Context, account, consumer string, now time.Time) (login.Session, error) {
	ms := millis(now)
	return scanSession(s.read.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions
		WHERE account = ? AND consumer = ? AND kind = 'view' AND expires > ?
		ORDER BY otp IS NOT NULL AND otp_expires > ?, issued DESC, n DESC LIMIT 1`, account, consumer, ms, ms))
}

// SetOTP implements [login.Sessions].
func (s *Store) SetOTP(ctx context.Context, o login.NewOTP) (wait time.Duration, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		return s.change(ctx, tx, o.SID, func(x *login.Session) error {
			return s.changeState(ctx, tx, x.Account, func(a *login.AccountState) (err error) {
				wait, err = x.PutOTP(a, o)
				return err
			})
		})
	})
	return wait, err
}

// DropOTP implements [login.Sessions].
func (s *Store) DropOTP(ctx context.Context, sid string, otp []byte) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		return s.change(ctx, tx, sid, func(x *login.Session) error {
			return s.changeState(ctx, tx, x.Account, func(a *login.AccountState) error {
				if !x.TakeBackOTP(a, otp) {
					return login.ErrNotFound
				}
				return nil
			})
		})
	})
	if errors.Is(err, login.ErrNotFound) { // replaced or ended meanwhile: nothing to take back
		return nil
	}
	return err
}

// Claim implements [login.Sessions].
func (s *Store) Claim(ctx context.Context, c login.Claim) (login.Session, error) {
	var claimed login.Session
	var refused error
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		return s.change(ctx, tx, c.SID, func(x *login.Session) error {
			var changed bool
			changed, refused = x.TakeClaim(c)
			claimed = *x
			if !changed {
				return errUnchanged
			}
			return nil
		})
	})
	switch {
	case err != nil && !errors.Is(err, errUnchanged):
		return login.Session{}, err // even a refusal that counts a try is not told before the try is stored
	case refused != nil:
		return login.Session{}, refused
	}
	return claimed, nil
}

// errUnchanged ends a transaction that has nothing to save.
var errUnchanged = errors.New("unchanged")

// Fail implements [login.Sessions].
func (s *Store) Fail(ctx context.Context, sid, claim string, e login.Event) error {
	return s.leave(ctx, sid, claim, false, e)
}

// Refund implements [login.Sessions].
func (s *Store) Refund(ctx context.Context, sid, claim string, e login.Event) error {
	return s.leave(ctx, sid, claim, true, e)
}

// leave gives a claim back and stores the event, which is true whether or not
// the claim still was held.
func (s *Store) leave(ctx context.Context, sid, claim string, refund bool, e login.Event) error {
	var lost bool
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		err := s.change(ctx, tx, sid, func(x *login.Session) error { return x.LeaveClaim(claim, refund) })
		lost = errors.Is(err, login.ErrClaimLost) || errors.Is(err, login.ErrNotFound)
		if err != nil && !lost {
			return err
		}
		return s.addEvent(ctx, tx, e)
	})
	if err == nil && lost {
		return login.ErrClaimLost
	}
	return err
}

// Complete implements [login.Sessions].
func (s *Store) Complete(ctx context.Context, claim string, t login.Session, e login.Event) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		if err := s.change(ctx, tx, t.SID, func(x *login.Session) error { return x.Become(claim, t) }); err != nil {
			return err
		}
		return s.addEvent(ctx, tx, e)
	})
	if errors.Is(err, login.ErrNotFound) { // the session was ended meanwhile
		return login.ErrClaimLost
	}
	return err
}

// End implements [login.Sessions].
func (s *Store) End(ctx context.Context, sid, tokenID string, e login.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE sid = ? AND kind = 'trade' AND trade_id = ?`, sid, tokenID)
		if err != nil {
			return err
		}
		if err := mustAffect(result); err != nil {
			return err
		}
		return s.addEvent(ctx, tx, e)
	})
}

// EndAccount implements [login.Sessions].
func (s *Store) EndAccount(ctx context.Context, account string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE account = ?`, account); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM account_states WHERE account = ?`, account)
		return err
	})
}

// Sweep implements [login.Sessions].
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	result, err := s.write.ExecContext(ctx,
		`DELETE FROM sessions WHERE n IN (SELECT n FROM sessions WHERE expires <= ? ORDER BY expires LIMIT ?)`, millis(now), n)
	if err != nil {
		return 0, err
	}
	removed, err := result.RowsAffected()
	return int(removed), err
}

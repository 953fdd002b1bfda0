package postgres

import (
	"context"
	"time"

	"neoapi/internal/login"
)

// Sweep implements [login.Jobs]. What somebody else is changing is left for
// the next time.
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (removed int, err error) {
	const (
		sessions = `WITH expired AS (SELECT sid, account FROM sessions WHERE expires <= $1 LIMIT $2),
			free AS (SELECT account FROM account_states WHERE account IN (SELECT account FROM expired) FOR UPDATE SKIP LOCKED),
			held AS (UPDATE account_states SET version = version + 1 FROM free WHERE account_states.account = free.account RETURNING free.account)
			DELETE FROM sessions USING expired, held
			WHERE sessions.sid = expired.sid AND expired.account = held.account AND sessions.expires <= $1`
		// What the trigger has written of them: they ended by themselves. The trigger's
		// lock is held, so theirs are the highest numbers.
		untold = `DELETE FROM revocations
			WHERE seq > (SELECT coalesce(max(seq), 0) FROM revocations) - $1 AND xmin = pg_current_xact_id()::xid`
		allowances  = `DELETE FROM allowances WHERE key IN (SELECT key FROM allowances WHERE whole <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`
		revocations = `DELETE FROM revocations WHERE expires <= $1`
	)
	for _, all := range [][]statement{
		{{sessions, []any{now, n}}, {untold, []any{n}}},
		{{allowances, []any{now, n}}},
	} {
		changed, err := s.sweep(ctx, all)
		removed += changed
		if err != nil {
			return removed, err
		}
	}
	_, err = s.sweep(ctx, []statement{{revocations, []any{now.Add(-login.RevocationKept)}}})
	return removed, err
}

// sweep runs statements in one transaction and returns how many rows the first one
// has changed.
func (s *Store) sweep(ctx context.Context, all []statement) (changed int, err error) {
	err = s.do(ctx, withinMany, func(ctx context.Context, c *conn) error {
		rows, err := inOne(ctx, c, all...)
		if err == nil {
			changed = int(rows[0])
		}
		return err
	})
	return changed, err
}

// DropExpired implements [login.Jobs].
func (s *Store) DropExpired(ctx context.Context, now time.Time) error {
	return s.do(ctx, withinMany, func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, `WITH held AS (
				UPDATE account_states SET version = version + 1
				WHERE account IN (SELECT account FROM sessions WHERE kind = 'view' AND otp_expires <= $1) RETURNING account)
			UPDATE sessions SET otp = NULL, otp_expires = NULL FROM held
			WHERE sessions.account = held.account AND kind = 'view' AND otp_expires <= $1`, now)
		return err
	})
}

// Count implements [login.Jobs].
func (s *Store) Count(ctx context.Context, now time.Time) (views, trades int, err error) {
	err = s.do(ctx, withinMany, func(ctx context.Context, c *conn) error {
		return one(ctx, c, []any{&views, &trades},
			`SELECT count(*) FILTER (WHERE kind = $2), count(*) FILTER (WHERE kind <> $2) FROM sessions WHERE expires > $1`, now, string(login.View))
	})
	return views, trades, err
}

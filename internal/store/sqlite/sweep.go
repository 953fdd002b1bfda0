package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

// Sweep implements [login.Jobs]. It looks through the sessions on a
// connection that reads, where it is in nobody's way: an index on their end would
// cost every login two more pages.
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (removed int, err error) {
	id := func(r *row) (int64, error) { return r.int(), nil }
	expired, err := list(ctx, s, id, `SELECT n FROM sessions WHERE expires <= ? LIMIT ?`, now, n)
	if err != nil {
		return 0, err
	}
	key := func(r *row) (string, error) { return r.text(), nil }
	whole, err := list(ctx, s, key, `SELECT key FROM allowances WHERE whole <= ? LIMIT ?`, now, n)
	if err != nil {
		return 0, err
	}
	old := now.Add(-login.RevocationKept)
	revoked, err := list(ctx, s, id, `SELECT seq FROM revocations WHERE expires <= ? LIMIT 1`, old)
	if err != nil || len(expired)+len(whole)+len(revoked) == 0 {
		return 0, err
	}
	err = s.update(ctx, func(c *sqlite.Conn) error {
		removed = 0
		var last int64
		if err := one(c, func(r *row) error { last = r.int(); return nil }, `SELECT coalesce(max(seq), 0) FROM revocations`); err != nil {
			return err
		}
		for _, id := range expired {
			// A view session may have become a trade session meanwhile.
			if err := exec(c, `DELETE FROM sessions WHERE n = ? AND expires <= ?`, id, now); err != nil {
				return err
			}
			removed += c.Changes()
		}
		for _, key := range whole {
			if err := exec(c, `DELETE FROM allowances WHERE key = ? AND whole <= ?`, key, now); err != nil {
				return err
			}
			removed += c.Changes()
		}
		// What the trigger has written of these: they ended by themselves.
		return exec(c, `DELETE FROM revocations WHERE seq > ? OR expires <= ?`, last, old)
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// DropExpired implements [login.Jobs].
func (s *Store) DropExpired(ctx context.Context, now time.Time) error {
	return s.update(ctx, func(c *sqlite.Conn) error {
		return exec(c, `UPDATE sessions SET otp = NULL, otp_expires = ? WHERE kind = 'view' AND otp IS NOT NULL AND otp_expires <= ?`, time.Time{}, now)
	})
}

// Count implements [login.Jobs].
func (s *Store) Count(ctx context.Context, now time.Time) (views, trades int, err error) {
	err = s.scan(ctx, func(c *sqlite.Conn) error {
		return each(c, func(r *row) error {
			if kind, n := r.text(), int(r.int()); login.SessionKind(kind) == login.View {
				views = n
			} else {
				trades = n
			}
			return nil
		}, `SELECT kind, count(*) FROM sessions WHERE expires > ? GROUP BY kind`, now)
	})
	return views, trades, err
}

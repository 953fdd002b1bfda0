package sqlite

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/limit"
	"neoapi/internal/login"
)

// allowance returns the state of an allowance; a full one if there is none.
func allowance(c *sqlite.Conn, key string) (x limit.State, err error) {
	err = one(c, func(r *row) error { x.Whole = r.time(); return nil }, `SELECT whole FROM allowances WHERE key = ?`, key)
	if errors.Is(err, login.ErrNotFound) {
		err = nil
	}
	return x, err
}

// setAllowance stores the state of an allowance.
func setAllowance(c *sqlite.Conn, key string, whole time.Time) error {
	return exec(c, `INSERT INTO allowances (key, whole) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET whole = excluded.whole`, key, whole)
}

// Charge implements [login.Allowances].
func (s *Store) Charge(ctx context.Context, charge login.Charge) (wait time.Duration, err error) {
	mark, taken, _ := charge.Mark()
	err = s.update(ctx, func(c *sqlite.Conn) error {
		known, err := allowance(c, mark)
		if err != nil {
			return err
		}
		if !known.Whole.IsZero() {
			return login.ErrClaimLost
		}
		x, err := allowance(c, charge.Key)
		if err != nil {
			return err
		}
		if x, wait = limit.Take(x, charge.Rate, 1, charge.Now); wait > 0 {
			return errUnchanged
		}
		return errors.Join(setAllowance(c, mark, taken), setAllowance(c, charge.Key, x.Whole))
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return wait, err
}

// GiveBack implements [login.Allowances].
func (s *Store) GiveBack(ctx context.Context, charge login.Charge, now time.Time) error {
	mark, taken, given := charge.Mark()
	return s.update(ctx, func(c *sqlite.Conn) error {
		known, err := allowance(c, mark)
		if err != nil {
			return err
		}
		if known.Whole.Equal(taken) {
			x, err := allowance(c, charge.Key)
			if err != nil {
				return err
			}
			x, _ = limit.Take(x, charge.Rate, -1, now)
			return errors.Join(setAllowance(c, charge.Key, x.Whole), exec(c, `DELETE FROM allowances WHERE key = ?`, mark))
		}
		return setAllowance(c, mark, given) // in case the charge is under way
	})
}

// Take implements [login.Allowances].
func (s *Store) Take(ctx context.Context, key string, r limit.Rate, n int, now time.Time) (wait time.Duration, err error) {
	if n == 0 {
		err = s.view(ctx, func(c *sqlite.Conn) error {
			x, err := allowance(c, key)
			_, wait = limit.Take(x, r, 0, now)
			return err
		})
		return wait, err
	}
	err = s.update(ctx, func(c *sqlite.Conn) error {
		x, err := allowance(c, key)
		if err != nil {
			return err
		}
		if x, wait = limit.Take(x, r, n, now); wait > 0 {
			return errUnchanged
		}
		return setAllowance(c, key, x.Whole)
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return wait, err
}

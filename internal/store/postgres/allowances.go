package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"neoapi/internal/limit"
	"neoapi/internal/login"
)

// allowance returns the state of an allowance; a full one if there is none.
func allowance(ctx context.Context, c *conn, key string) (x limit.State, err error) {
	err = one(ctx, c, []any{when{&x.Whole}}, `SELECT whole FROM allowances WHERE key = $1`, key)
	if errors.Is(err, login.ErrNotFound) {
		err = nil
	}
	return x, err
}

// charged returns the state of a charge's allowance and that of its mark.
func charged(ctx context.Context, c *conn, key, mark string) (x, known limit.State, err error) {
	err = one(ctx, c, []any{when{&x.Whole}, when{&known.Whole}},
		`SELECT (SELECT whole FROM allowances WHERE key = $1), (SELECT whole FROM allowances WHERE key = $2)`, key, mark)
	return x, known, err
}

// Charge implements [login.Allowances]. Its only statement stores the charge and its mark, or
// neither.
func (s *Store) Charge(ctx context.Context, charge login.Charge) (wait time.Duration, err error) {
	mark, taken, _ := charge.Mark()
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		x, known, err := charged(ctx, c, charge.Key, mark)
		if err != nil {
			return err
		}
		if !known.Whole.IsZero() {
			return login.ErrClaimLost
		}
		before := x.Whole
		if x, wait = limit.Take(x, charge.Rate, 1, charge.Now); wait > 0 {
			return nil
		}
		err = changeOne(ctx, c, `WITH taken AS (
				INSERT INTO allowances (key, whole) VALUES ($1, $2)
				ON CONFLICT (key) DO UPDATE SET whole = excluded.whole WHERE allowances.whole = $3 RETURNING key)
			INSERT INTO allowances (key, whole) SELECT $4, $5 FROM taken`, charge.Key, when{&x.Whole}, when{&before}, mark, taken)
		var db *pgconn.PgError
		if errors.As(err, &db) && db.Code == "23505" { // given back just now
			return errRace
		}
		return err
	})
	return wait, err
}

// GiveBack implements [login.Allowances].
func (s *Store) GiveBack(ctx context.Context, charge login.Charge, now time.Time) error {
	mark, taken, given := charge.Mark()
	return s.do(ctx, within, func(ctx context.Context, c *conn) error {
		x, known, err := charged(ctx, c, charge.Key, mark)
		switch {
		case err != nil:
			return err
		case known.Whole.IsZero(): // in case the charge is under way: if it comes first, this waits for it and inserts nothing
			return changeOne(ctx, c, `INSERT INTO allowances (key, whole) VALUES ($1, $2) ON CONFLICT DO NOTHING`, mark, given)
		case !known.Whole.Equal(taken):
			return nil
		}
		if x.Whole.IsZero() { // swept, because it is full
			return changeOne(ctx, c, `DELETE FROM allowances WHERE key = $1`, mark)
		}
		before := x.Whole
		x, _ = limit.Take(x, charge.Rate, -1, now)
		return changeOne(ctx, c, `WITH given AS (UPDATE allowances SET whole = $2 WHERE key = $1 AND whole = $3 RETURNING key)
			DELETE FROM allowances WHERE key = $4 AND EXISTS (SELECT FROM given)`, charge.Key, when{&x.Whole}, when{&before}, mark)
	})
}

// Take implements [login.Allowances].
func (s *Store) Take(ctx context.Context, key string, r limit.Rate, n int, now time.Time) (wait time.Duration, err error) {
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		x, err := allowance(ctx, c, key)
		if err != nil {
			return err
		}
		before := x.Whole
		if x, wait = limit.Take(x, r, n, now); wait > 0 || n == 0 {
			return nil
		}
		return changeOne(ctx, c, `INSERT INTO allowances (key, whole) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET whole = excluded.whole WHERE allowances.whole = $3`, key, when{&x.Whole}, when{&before})
	})
	return wait, err
}

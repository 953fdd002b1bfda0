package sqlite

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

// SampleAccounts implements [login.Directory]. Ids are random: the account after a
// random one is a random account.
func (s *Store) SampleAccounts(ctx context.Context, n int) (all []login.Account, err error) {
	err = s.scan(ctx, func(c *sqlite.Conn) error {
		after := ""
		for range n {
			err := one(c, func(r *row) error {
				a, err := scanAccount(r)
				all = append(all, a)
				return err
			}, `SELECT `+accountColumns+` FROM accounts WHERE id >= ? ORDER BY id LIMIT 1`, after)
			if err != nil && !errors.Is(err, login.ErrNotFound) {
				return err
			}
			if len(all) == 0 { // the first one, at least
				return nil
			}
			after = uuid.NewString()
		}
		return ctx.Err()
	})
	return all, err
}

// EraseAccount implements [login.Operations]. What it deletes is overwritten.
func (s *Store) EraseAccount(ctx context.Context, account string, e login.Event) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		if err := exec(c, `PRAGMA secure_delete = ON`); err != nil {
			return err
		}
		if err := exec(c, `DELETE FROM accounts WHERE id = ?`, account); err != nil {
			return err
		}
		if err := mustChange(c); err != nil {
			return err
		}
		if err := endAccount(c, account); err != nil {
			return err
		}
		for _, query := range []string{`DELETE FROM account_states WHERE account = ?`, `DELETE FROM jobs WHERE account = ? AND kind <> 'close'`} {
			if err := exec(c, query, account); err != nil {
				return err
			}
		}
		return addEvent(c, e)
	})
}

// ForgetEvents implements [login.Operations].
func (s *Store) ForgetEvents(ctx context.Context, ucc, pseudonym string, after int64, n int) (last int64, changed int, err error) {
	err = s.updateNow(ctx, func(c *sqlite.Conn) error {
		err := one(c, func(r *row) error { last = r.int(); return nil },
			`SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM events WHERE seq > ? ORDER BY seq LIMIT ?)`, after, n)
		if err != nil || last == 0 {
			return err
		}
		err = exec(c, `UPDATE events SET ucc = ?, account = '', address = '', request_id = '' WHERE seq > ? AND seq <= ? AND ucc = ?`,
			pseudonym, after, last, ucc)
		changed = c.Changes()
		return err
	})
	return last, changed, err
}

func (s *Store) imported(c *sqlite.Conn, file string) (x login.Import, err error) {
	err = one(c, func(r *row) error {
		x = login.Import{File: file, Offset: r.int(), Line: r.int(), Added: r.int(), Rejected: r.int(), Report: r.int()}
		return nil
	}, `SELECT offset, line, added, rejected, report FROM imports WHERE file = ?`, file)
	if errors.Is(err, login.ErrNotFound) {
		err = nil
	}
	return x, err
}

// Import implements [login.Operations].
func (s *Store) Import(ctx context.Context, file string) (x login.Import, err error) {
	err = s.view(ctx, func(c *sqlite.Conn) (err error) { x, err = s.imported(c, file); return err })
	return x, err
}

// A process that imports keeps more of the database in memory, and more of its log on
// disk: each account goes into five indexes, most of them in random order.
var importing = []string{"PRAGMA cache_size = -262144", "PRAGMA wal_autocheckpoint = 25000"} // KiB; pages

// accountOf returns the account with a UCC, nil if there is none.
func accountOf(c *sqlite.Conn, ucc string) (found *login.Account, err error) {
	err = one(c, func(r *row) error {
		a, err := scanAccount(r)
		found = &a
		return err
	}, `SELECT `+accountColumns+` FROM accounts WHERE ucc = ?`, ucc)
	if errors.Is(err, login.ErrNotFound) {
		return nil, nil
	}
	return found, err
}

// AddAccounts implements [login.Operations].
func (s *Store) AddAccounts(ctx context.Context, from login.Import, all []login.Account, done func(taken []error) (login.Import, login.Event, error)) error {
	return s.updateNow(ctx, func(c *sqlite.Conn) error {
		for _, pragma := range importing {
			if err := exec(c, pragma); err != nil {
				return err
			}
		}
		now, err := s.imported(c, from.File)
		if err != nil {
			return err
		}
		if now.Offset != from.Offset {
			return login.ErrClaimed
		}
		taken := make([]error, len(all))
		for i, a := range all {
			taken[i] = addAccount(c, a)
			var exists *login.ExistsError
			switch {
			case errors.As(taken[i], &exists):
				if exists.There, err = accountOf(c, a.UCC); err != nil {
					return err
				}
			case taken[i] != nil:
				return taken[i]
			}
		}
		to, e, err := done(taken)
		if err != nil {
			return err
		}
		err = exec(c, `INSERT INTO imports (file, offset, line, added, rejected, report) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (file) DO UPDATE SET offset = excluded.offset, line = excluded.line, added = excluded.added,
				rejected = excluded.rejected, report = excluded.report`,
			from.File, to.Offset, to.Line, to.Added, to.Rejected, to.Report)
		if err != nil {
			return err
		}
		return addEvent(c, e)
	})
}

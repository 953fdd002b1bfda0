package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

// Rehearse implements [login.Jobs]. What it inserts is undone before the transaction
// commits; the one row that stays makes the log grow. Then it reads a record of each
// table on a connection that has nothing cached by then, because the log has changed:
// what is damaged in the file shows only there.
func (s *Store) Rehearse(ctx context.Context, now time.Time) error {
	nobody := uuid.NewString()
	err := s.update(ctx, func(c *sqlite.Conn) error {
		if err := exec(c, `SAVEPOINT rehearsal`); err != nil {
			return err
		}
		for _, table := range []struct {
			name string
			add  func() error
		}{
			{"sessions", func() error {
				return addSession(c, login.Session{SID: nobody, Kind: login.View, Account: nobody, Incarnation: nobody, Issued: now, Expires: now})
			}},
			{"account_states", func() error {
				return changeState(c, nobody, func(a *login.AccountState) error { a.TOTPStep = 1; return nil })
			}},
			{"jobs", func() error { return addJob(c, login.Job{ID: nobody, Created: now, Expires: now}) }},
			{"events", func() error { return addEvent(c, login.Event{Time: now}) }},
		} {
			if err := table.add(); err != nil {
				return fmt.Errorf("%s: %w", table.name, err)
			}
		}
		for _, query := range []string{`ROLLBACK TO rehearsal`, `RELEASE rehearsal`} {
			if err := exec(c, query); err != nil {
				return err
			}
		}
		return exec(c, `INSERT INTO allowances (key, whole) VALUES (?, ?)`, "health "+nobody, now)
	})
	if err != nil {
		return err
	}
	return s.scan(ctx, func(c *sqlite.Conn) error {
		for _, x := range rehearsed {
			if err := each(c, func(*row) error { return nil }, `SELECT * FROM `+x.table+` ORDER BY `+x.order+` LIMIT 1`); err != nil {
				return fmt.Errorf("%s: %w", x.table, err)
			}
		}
		return each(c, func(*row) error { return nil },
			`SELECT * FROM accounts WHERE rowid >= (SELECT abs(random()) % (max(rowid) + 1) FROM accounts) LIMIT 1`)
	})
}

// rehearsed are the orders in which a rehearsal reads tables: one for each index that a
// login uses, so that all of them are read from the top to a leaf.
var rehearsed = []struct{ table, order string }{
	{"accounts", "id"}, {"accounts", "ucc"}, {"accounts", "user_id"}, {"accounts", "mobile"}, {"accounts", "pan_index"},
	{"consumers", "key"}, {"signing_keys", "n DESC"}, {"events", "seq DESC"}, {"account_states", "account"},
	{"sessions", "n DESC"}, {"sessions", "sid"}, {"sessions", "account"},
	{"allowances", "key"}, {"allowances", "whole"}, {"jobs", "id"}, {"jobs", "kind, due"},
}

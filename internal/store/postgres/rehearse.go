package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"neoapi/internal/login"
)

// rehearsing is how long a rehearsal may take. Its statements set their own timeout for
// locks, so that a locked table costs no connection.
const rehearsing = 800 * time.Millisecond

// Rehearse implements [login.Jobs]. What it inserts is rolled back, so only the right
// to insert is needed, and nobody can see or wait for it. It changes and deletes no row:
// where a WHERE finds none, rights and locks are still checked. Last, one row is
// committed, which also needs the server's log and, where there is one, the synchronous
// standby.
func (s *Store) Rehearse(ctx context.Context, now time.Time) error {
	return s.do(ctx, rehearsing, func(ctx context.Context, c *conn) error {
		if err := c.begin(ctx); err != nil {
			return err
		}
		err := rehearse(ctx, c.pg, now)
		if _, rerr := c.pg.Exec(ctx, "ROLLBACK"); err == nil {
			err = rerr
		}
		if err != nil {
			return err
		}
		_, err = c.exec(ctx, `INSERT INTO allowances (key, whole) VALUES ($1, $2)`, "health "+uuid.NewString(), now)
		return about("allowances", err)
	})
}

// rehearse runs the statements of a rehearsal in one round trip, in a transaction that
// the caller has begun and has to roll back.
func rehearse(ctx context.Context, c *pgx.Conn, now time.Time) error {
	nobody := uuid.NewString()
	v := login.Session{SID: nobody, Kind: login.View, Account: nobody, Incarnation: nobody, Issued: now, Expires: now}
	session := columnsOfSession(&v)
	// A number that nobody will look for and that leaves no gap in the trail's.
	event := append([]any{-int64(uuid.New().ID()) - 1}, eventArgs(&login.Event{Time: now})...)
	job := jobArgs(&login.Job{ID: nobody, Created: now, Expires: now})
	all := []struct {
		what string
		statement
	}{
		{"", statement{`SET LOCAL lock_timeout = '600ms'`, nil}},
		{"consumers", statement{`SELECT FROM consumers WHERE key = $1`, []any{nobody}}},
		{"accounts", statement{`SELECT FROM accounts WHERE id = $1`, []any{nobody}}},
		{"allowances", statement{`INSERT INTO allowances (key, whole) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET whole = excluded.whole`, []any{nobody, now}}},
		{"account_states", statement{`INSERT INTO account_states (account, version, totp_step, sent, failures, totp_used) VALUES ($1, 1, 0, NULL, '', NULL)
			ON CONFLICT (account) DO UPDATE SET version = excluded.version WHERE account_states.version = 0`, []any{nobody}}},
		{"sessions", statement{`INSERT INTO sessions (` + sessionColumns + `) VALUES (` + marks(1, len(session)) + `)`, session}},
		{"sessions", statement{`UPDATE sessions SET claim = '' WHERE sid = $1 AND claim <> ''`, []any{nobody}}},
		{"sessions", statement{selectSession, []any{nobody}}},
		{"events", statement{`INSERT INTO events (seq, ` + eventColumns + `) OVERRIDING SYSTEM VALUE VALUES (` + marks(1, len(event)) + `)`, event}},
		{"jobs", statement{`INSERT INTO jobs (` + jobColumns + `) VALUES (` + marks(1, len(job)) + `)`, job}},
		{"jobs", statement{`UPDATE jobs SET claim = '' WHERE id = $1 AND claim <> ''`, []any{nobody}}},
		{"jobs", statement{`DELETE FROM jobs WHERE id = $1 AND claim <> ''`, []any{nobody}}},
		{"the end of a login", statement{`SELECT pg_advisory_xact_lock_shared($1)`, []any{standing}}},
		// A small row often finds room in a page that is there, also when the disk is full.
		// A temporary file never does: this one has less than a megabyte, and is gone at
		// once.
		{"", statement{`SET LOCAL work_mem = '64kB'`, nil}},
		{"", statement{`SET LOCAL temp_tablespaces = ''`, nil}},
		{"the disk", statement{`SELECT count(*) FROM generate_series(1, 10000)`, nil}},
	}
	var b pgx.Batch
	for _, x := range all {
		b.Queue(x.query, x.args...)
	}
	results := c.SendBatch(ctx, &b)
	for _, x := range all {
		_, err := results.Exec()
		if err == nil {
			continue
		}
		_ = results.Close() // which has the same error
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "53400" { // the role may make no temporary file of this size
			return nil
		}
		return about(x.what, err)
	}
	return results.Close()
}

// about adds to an error what it is about.
func about(what string, err error) error {
	if err == nil || what == "" {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

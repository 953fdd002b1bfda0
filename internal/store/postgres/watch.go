package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"neoapi/internal/store"
)

// A watch looks on while a store is opened, and says what that waits for.
type watch struct {
	ctx  context.Context
	s    *Store
	wait store.Waiting
	from time.Time
	stop func()

	mu  sync.Mutex
	pid int    // of the session that waits for locks; 0 while there is none
	by  string // what was waited for at the last look
}

// watch begins to look on. Call stop in the end.
func (s *Store) watch(ctx context.Context, wait store.Waiting) *watch {
	looking, cancel := context.WithCancel(ctx)
	w := &watch{ctx: ctx, s: s, wait: wait, from: time.Now()}
	var done sync.WaitGroup
	w.stop = func() { cancel(); done.Wait() }
	done.Go(func() {
		said := false
		for pause := min(store.NotifyAfter, wait.Limit/2); ; {
			select {
			case <-looking.Done():
				return
			case <-time.After(pause):
			}
			pause = store.NotifyAfter
			if left := store.NotifyAfter - time.Since(w.from); left > 0 {
				pause = left
			}
			by := w.look(looking)
			if by == "" || looking.Err() != nil {
				continue
			}
			w.mu.Lock()
			w.by = by
			w.mu.Unlock()
			if !said && time.Since(w.from) >= store.NotifyAfter {
				wait.Notify(by)
				said = true
			}
		}
	})
	return w
}

// waitsAs says which session waits for locks from now on.
func (w *watch) waitsAs(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pid = pid
}

// look returns what is waited for, or "" if nothing is.
func (w *watch) look(ctx context.Context) string {
	w.mu.Lock()
	pid := w.pid
	w.mu.Unlock()
	if pid == 0 {
		if why := w.s.room.why(); why != nil {
			return fmt.Sprintf("a connection (%v)", why)
		}
		return "a connection to the database"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var all []string
	other, err := w.s.pool.Acquire(ctx)
	if err == nil {
		defer other.Release()
		all, err = blocking(ctx, w.s.conn(other), pid)
	}
	if err != nil {
		return fmt.Sprintf("a lock, and who has it cannot be seen (%v)", err)
	}
	return strings.Join(all, ", and ")
}

// blocking returns who has the locks that a session waits for. Of other users' sessions
// not all is shown to everybody.
func blocking(ctx context.Context, c *conn, pid int) ([]string, error) {
	return collect(ctx, c, func(row pgx.CollectableRow) (string, error) {
		var pid int
		var user, application, address, state *string
		var since *time.Time
		err := row.Scan(&pid, &user, &application, &address, &state, &since)
		var b strings.Builder
		fmt.Fprintf(&b, "the lock of PostgreSQL's process %d", pid)
		for _, x := range []struct {
			name  string
			value *string
		}{{"application", application}, {"user", user}, {"address", address}, {"state", state}} {
			if x.value != nil && *x.value != "" {
				fmt.Fprintf(&b, ", %s %q", x.name, *x.value)
			}
		}
		if since != nil {
			fmt.Fprintf(&b, ", since %s", since.UTC().Format(time.RFC3339))
		}
		return b.String(), err
	}, `SELECT pid, usename::text, application_name, host(client_addr), state, coalesce(xact_start, state_change, backend_start)
		FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids($1::int)) ORDER BY pid`, pid)
}

// gaveUp returns the error of a start: if it is that of waiting for too long, with what
// was waited for.
func (w *watch) gaveUp(err error) error {
	var refused *pgconn.PgError
	locked := errors.As(err, &refused) && refused.Code == "55P03" // lock_not_available
	late := time.Since(w.from) >= w.wait.Limit && errors.Is(err, context.DeadlineExceeded)
	if err == nil || w.ctx.Err() != nil || !locked && !late {
		if ended := w.ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) {
			err = fmt.Errorf("%w: %w", ended, err)
		}
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	by := w.by
	if by == "" {
		by = "another process"
	}
	return &store.HeldError{For: w.wait.Limit, By: by, Err: err}
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// How a server's connections are shared when there are too few. Whoever has the last
// one knows it, and after turn gives one back and leaves it for pause: others try to
// get one more often than that. Every look, each process sees whether it should too.
const (
	turn  = 200 * time.Millisecond
	pause = 80 * time.Millisecond
	again = 40 * time.Millisecond // at most, between two tries
	look  = 500 * time.Millisecond
)

// left is how many further connections the server has for this role, as far as it
// shows.
const left = `(SELECT least(
		CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit - count(*) FILTER (WHERE a.usesysid = r.oid) END,
		CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit - count(*) FILTER (WHERE a.datid = d.oid) END,
		current_setting('max_connections')::int - count(*) - CASE WHEN r.rolsuper THEN 0 ELSE
			current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0) END)
	FROM pg_roles r, pg_database d, pg_stat_activity a
	WHERE r.rolname = session_user AND d.datname = current_database() AND a.usesysid IS NOT NULL
		AND coalesce(a.backend_type, 'client backend') = 'client backend'
	GROUP BY r.oid, r.rolconnlimit, r.rolsuper, d.oid, d.datconnlimit)`

// isFull reports whether a connection was refused because there are too many.
func isFull(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "53300" || // too_many_connections, of the server, the database or the role
		refused.Code == "08P01" && strings.HasPrefix(refused.Message, "no more connections allowed")) // of PgBouncer
}

// A room is how many operations may have a connection at once: as many as the pool may
// have or, if the server has refused one, as many as there are. The others wait in
// order.
type room struct {
	mu      sync.Mutex
	most    int
	limit   int
	inside  int
	queue   []chan struct{}
	lending bool  // one is about to be given back
	refusal error // the last one
}

// enter waits for room.
func (r *room) enter(ctx context.Context, first bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	if r.inside < r.limit && (first || len(r.queue) == 0) {
		r.inside++
		r.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	if first {
		r.queue = slices.Insert(r.queue, 0, mine)
	} else {
		r.queue = append(r.queue, mine)
	}
	r.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.queue, mine); i >= 0 {
		r.queue = slices.Delete(r.queue, i, i+1)
	} else { // it was let in meanwhile
		r.inside--
		r.admit()
	}
	return ctx.Err()
}

// admit lets those in for whom there is room.
func (r *room) admit() {
	for r.inside < r.limit && len(r.queue) > 0 {
		close(r.queue[0])
		r.queue = r.queue[1:]
		r.inside++
	}
}

// leave makes room for the next.
func (r *room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
	r.admit()
}

// resize sets how many may have a connection.
func (r *room) resize(limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = min(max(limit, 1), r.most)
	r.admit()
}

// refused is called inside, by an operation for which there was no connection. It
// waits until it may try again: for one of the pool's or, if that has none, a moment.
func (r *room) refused(ctx context.Context, have int, err error) error {
	r.mu.Lock()
	r.refusal = err
	r.limit = min(max(have, 1), r.most)
	if r.inside > r.limit {
		r.inside--
		r.mu.Unlock()
		return r.enter(ctx, true)
	}
	r.mu.Unlock()
	select {
	case <-time.After(again/4 + rand.N(again*3/4)):
		return nil
	case <-ctx.Done():
		r.leave()
		return ctx.Err()
	}
}

// why returns why the last connection was refused.
func (r *room) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusal
}

// have returns how many connections the pool has.
func (s *Store) have() int {
	stat := s.pool.Stat()
	return int(stat.AcquiredConns() + stat.IdleConns())
}

// learn takes note of how many further connections the server has.
func (s *Store) learn(left int) {
	if left > 0 {
		s.room.resize(s.have() + left)
		return
	}
	r := &s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lending || s.life.Err() != nil {
		return
	}
	r.lending = true
	s.living.Go(func() { s.lend(1 - left) })
}

// lend gives connections back to the server after a turn, so many that one is free, and
// leaves that to others for a while.
func (s *Store) lend(n int) {
	defer func() {
		s.room.mu.Lock()
		s.room.lending = false
		s.room.mu.Unlock()
	}()
	if !s.sleep(turn) {
		return
	}
	s.room.resize(s.have())
	if s.have() == 0 || s.room.enter(s.life, true) != nil {
		return
	}
	defer s.room.leave()
	for range min(n, s.have()) {
		c, err := s.pool.Acquire(s.life)
		if err != nil {
			return
		}
		_ = c.Conn().Close(s.life)
		c.Release()
	}
	s.sleep(pause)
}

// sleep waits, and reports whether the store is still open.
func (s *Store) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.life.Done():
		return false
	}
}

// lookAround learns every while how many connections the server has for others.
func (s *Store) lookAround() {
	for s.sleep(look) {
		switch {
		case s.pooler.Load(): // which does not say
			s.room.mu.Lock()
			limit := s.room.limit
			s.room.mu.Unlock()
			s.room.resize(limit + 1)
		case s.have() > 0:
			var n int
			if err := s.read(s.life, []any{&n}, `SELECT `+left); err == nil {
				s.learn(n)
			}
		}
	}
}

// acquire takes a connection from the pool. If the server has none for it, it waits for
// one of the pool's own, or until the server has one.
func (s *Store) acquire(ctx context.Context) (*held, error) {
	if err := s.room.enter(ctx, false); err != nil {
		if why := s.room.why(); why != nil {
			err = fmt.Errorf("%w: %w", err, why)
		}
		return nil, err
	}
	for {
		c, err := s.connect(ctx)
		if err == nil {
			return &held{s, c, s.conn(c)}, nil
		}
		if !isFull(err) {
			s.room.leave()
			return nil, err
		}
		have := s.have()
		if have > 0 {
			s.learn(0)
		}
		if ended := s.room.refused(ctx, have, err); ended != nil {
			return nil, fmt.Errorf("%w: %w", ended, err)
		}
	}
}

// Package postgres is the store for several machines: all ports of package login
// in one PostgreSQL database.
//
// It owns its SQL and its migrations and no rule: what a change means is in
// package login. An operation loads the records in one round trip, applies the
// rule, and saves them in a second one if nobody has changed them meanwhile; if
// somebody has, it begins again. So it holds no lock while it thinks, a process
// that is stopped in the middle is in nobody's way, and every operation is one
// transaction of one round trip: it happened or it did not. When the connection
// breaks in that round trip nobody can tell which; then the caller gets an error,
// and nothing is sent again.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// How long an operation may take, waiting for a connection included, whatever its
// context allows: on a record or two, and on many.
const (
	within     = 1500 * time.Millisecond
	withinMany = 10 * time.Second
)

// lateness is how long an operation whose context has ended may still take until
// its connection is given up. Most end by themselves before, and the connection
// is kept.
const lateness = 50 * time.Millisecond

// A Store is an open database. It implements [store.Store].
type Store struct {
	pool     *pgxpool.Pool
	room     room         // for its connections
	leaving  atomic.Int64 // connections that are closing outside the pool
	pooler   atomic.Bool  // whether a pooler is before the server
	settings statement    // of each transaction then

	life   context.Context // of the store, for what it does by itself
	end    context.CancelFunc
	living sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open opens the database that a URL such as postgres://neo@db.example.com/neo
// names, and brings it to the current schema: of several processes that start at
// once, one does so and the others wait, as wait says. Close it when done.
//
// The server's certificate is verified unless the URL's sslmode or PGSSLMODE says
// otherwise. The password comes from PGPASSWORD, PGPASSFILE or the URL. Up to 16
// connections are open, or as many as the URL's pool_max_conns says.
func Open(ctx context.Context, url string, wait ...store.Waiting) (*Store, error) {
	return open(ctx, url, store.Of(wait), (*Store).migrate)
}

// OpenToRead is Open for the methods that only read: it does not bring the database to
// the current schema.
func OpenToRead(ctx context.Context, url string, wait ...store.Waiting) (*Store, error) {
	return open(ctx, url, store.Of(wait), (*Store).reach)
}

// open opens a database with which begin does what has to be done first.
func open(ctx context.Context, url string, wait store.Waiting, begin func(s *Store, ctx context.Context, wait store.Waiting) error) (*Store, error) {
	cfg, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL %w", err)
	}
	cfg.ConnConfig.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: c.Conn(), DeadlineDelay: lateness}
	}
	s := &Store{room: room{most: int(cfg.MaxConns), limit: int(cfg.MaxConns)}}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.attach(cfg)
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := begin(s, ctx, wait); err != nil {
		_ = s.Close()
		if advice := hint(err, cfg.ConnConfig.Password != ""); advice != "" {
			return nil, fmt.Errorf("database: %w; %s", err, advice)
		}
		return nil, fmt.Errorf("database: %w", err)
	}
	s.living.Go(s.lookAround)
	return s, nil
}

// Connections returns how many connections a process opens to the database that a URL
// names, at most.
func Connections(url string) (int, error) {
	cfg, err := parse(url)
	if err != nil {
		return 0, fmt.Errorf("the database URL %w", err)
	}
	return int(cfg.MaxConns), nil
}

// Made reports whether the database has the store's tables.
func (s *Store) Made(ctx context.Context) (made bool, err error) {
	err = s.read(ctx, []any{&made}, `SELECT to_regclass('settled') IS NOT NULL`)
	return made, err
}

// Close closes the store. It waits for the calls that are under way.
func (s *Store) Close() error {
	s.end()
	s.living.Wait()
	s.pool.Close()
	return nil
}

// Advisory locks.
const (
	migrating = 7_366_010_000 // one process migrates at a time
	revoking  = 7_366_010_001 // tokens are revoked one transaction at a time: the trigger on sessions takes it too
	removing  = 7_366_010_002 // signing keys are removed one at a time
	// standing is shared by completions of sessions, and taken exclusively by the removal
	// of a consumer, so that one of them sees what the other did. A separate statement
	// takes it, so that later statements see everything done before.
	standing = 7_366_010_003
)

// do runs f on a connection. It runs it again if somebody else's change came
// first, or if the connection turned out to be dead before anything was changed.
func (s *Store) do(ctx context.Context, limit time.Duration, f func(ctx context.Context, c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for connections := 1; ; connections++ {
		err := s.once(ctx, f)
		var read *readError
		dead := pgconn.SafeToRetry(err) || errors.As(err, &read)
		if !dead || ctx.Err() != nil || connections > int(s.pool.Config().MaxConns) { // all of them may have died at once
			return err
		}
	}
}

func (s *Store) once(ctx context.Context, f func(ctx context.Context, c *conn) error) error {
	c, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer c.release()
	for {
		err := f(ctx, c.conn)
		if err != nil && ctx.Err() != nil && c.pg.IsClosed() {
			// The server fell silent on this connection. Others that were open then may have
			// too, and each would be found out by a request that waits: all are given up.
			s.pool.Reset()
		}
		var db *pgconn.PgError
		conflict := errors.As(err, &db) && (db.Code == "40001" || db.Code == "40P01") // rolled back: serialization, deadlock
		if !conflict && !errors.Is(err, errRace) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// errRace says that the records have been changed since they were loaded:
// nothing was saved.
var errRace = errors.New("changed meanwhile")

// A readError is a connection that broke while something was read, or before anything
// was done: the same may be done again on another one.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// one runs a query for one row, or returns login.ErrNotFound.
func one(ctx context.Context, c *conn, into []any, query string, args ...any) error {
	if c.pooled != nil {
		err := c.run(ctx, func(r pgx.BatchResults) error { return r.QueryRow().Scan(into...) }, statement{query, args})
		return scanned(err, c)
	}
	return scanned(c.pg.QueryRow(ctx, query, asText(args)...).Scan(into...), c)
}

// scanned returns the error of reading one row as one does.
func scanned(err error, c *conn) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return login.ErrNotFound
	case err != nil && c.pg.IsClosed():
		return &readError{err}
	}
	return err
}

// changeOne runs a statement that changes a row, or none and then returns errRace.
func changeOne(ctx context.Context, c *conn, query string, args ...any) error {
	changed, err := c.exec(ctx, query, args...)
	if err == nil && changed == 0 {
		err = errRace
	}
	return err
}

// read runs a query for one row as an operation of its own.
func (s *Store) read(ctx context.Context, into []any, query string, args ...any) error {
	return s.do(ctx, within, func(ctx context.Context, c *conn) error { return one(ctx, c, into, query, args...) })
}

// list collects the rows of a query. scan returns where the columns of a row go.
func list[T any](ctx context.Context, s *Store, columns func(*T) []any, query string, args ...any) (all []T, err error) {
	err = s.do(ctx, withinMany, func(ctx context.Context, c *conn) error {
		args := args
		if c.pooled == nil { // planned for these arguments, not once for all
			args = append([]any{pgx.QueryExecModeExec}, args...)
		}
		all, err = collect(ctx, c, func(row pgx.CollectableRow) (x T, err error) { return x, row.Scan(columns(&x)...) }, query, args...)
		if err != nil && c.pg.IsClosed() {
			return &readError{err}
		}
		return err
	})
	return all, err
}

// A statement is one of several that make a transaction.
type statement struct {
	query string
	args  []any
}

// write runs statements in one transaction, and returns how many rows the last one
// has changed.
func (s *Store) write(ctx context.Context, all ...statement) (changed int64, err error) {
	err = s.do(ctx, within, func(ctx context.Context, c *conn) error {
		rows, err := inOne(ctx, c, all...)
		if err == nil {
			changed = rows[len(rows)-1]
		}
		return err
	})
	return changed, err
}

// inOne runs statements in one transaction, and returns how many rows each has
// changed.
func inOne(ctx context.Context, c *conn, all ...statement) (changed []int64, err error) {
	err = c.run(ctx, func(r pgx.BatchResults) error {
		for range all {
			tag, err := r.Exec()
			if err != nil {
				return err
			}
			changed = append(changed, tag.RowsAffected())
		}
		return nil
	}, all...)
	return changed, err
}

// mustChange is write for a last statement that changes one row, or none and
// then returns login.ErrNotFound.
func (s *Store) mustChange(ctx context.Context, all ...statement) error {
	changed, err := s.write(ctx, all...)
	if err == nil && changed == 0 {
		err = login.ErrNotFound
	}
	return err
}

// exists turns a violated UNIQUE constraint into the ExistsError of the
// constraint's field.
func exists(err error, fields map[string]string) error {
	var db *pgconn.PgError
	if errors.As(err, &db) && db.Code == "23505" && fields[db.ConstraintName] != "" {
		return &login.ExistsError{Field: fields[db.ConstraintName]}
	}
	return err
}

// when is a time in a column where NULL is the zero time.
type when struct{ *time.Time }

// TimestamptzValue implements [pgtype.TimestamptzValuer].
func (w when) TimestamptzValue() (pgtype.Timestamptz, error) {
	return pgtype.Timestamptz{Time: *w.Time, Valid: !w.IsZero()}, nil
}

// ScanTimestamptz implements [pgtype.TimestamptzScanner].
func (w when) ScanTimestamptz(v pgtype.Timestamptz) error {
	*w.Time = time.Time{}
	if v.Valid {
		*w.Time = v.Time.UTC()
	}
	return nil
}

// networks are in a column as their text.
type networks struct{ *login.Networks }

// ScanText implements [pgtype.TextScanner].
func (n networks) ScanText(v pgtype.Text) (err error) {
	*n.Networks, err = login.ParseNetworks(v.String)
	return err
}

// some returns b, or nil for NULL if it is empty: then it is equal to no other
// under UNIQUE.
func some(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// asText makes the strings among arguments into what PostgreSQL takes for text.
// What arrives from outside may hold other bytes; they are replaced, and so found
// nowhere.
func asText(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok && (!utf8.ValidString(text) || strings.Contains(text, "\x00")) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return args
}

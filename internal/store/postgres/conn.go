package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A conn is a connection for the time of one operation. Behind a pooler, such as
// PgBouncer in transaction mode, two transactions of one connection may be of two
// sessions of the server. Nothing of a session is relied on there: what is set is set
// in each transaction, and no statement stays prepared.
type conn struct {
	pg     *pgx.Conn
	pooled *statement // the settings of each transaction behind a pooler, nil without one
}

// begin is how each transaction of several round trips begins.
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`

// begin begins a transaction with its settings.
func (c *conn) begin(ctx context.Context) error {
	var b pgx.Batch
	b.Queue(begin)
	if c.pooled != nil {
		b.Queue(c.pooled.query, c.pooled.args...)
	}
	err := c.ended(ctx, c.pg.SendBatch(ctx, &b).Close())
	var db *pgconn.PgError
	if err != nil && c.pg.IsClosed() || errors.As(err, &db) && db.Code == "57014" { // by the role's statement_timeout, which still holds
		return &readError{err}
	}
	return err
}

// ended rolls back a transaction that is still open because of an error, and returns
// the error. Otherwise the pool would give up the connection.
func (c *conn) ended(ctx context.Context, err error) error {
	if err != nil && !c.pg.IsClosed() && c.pg.PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateness)
		defer cancel()
		_, _ = c.pg.Exec(ctx, "ROLLBACK")
	}
	return err
}

// run runs statements in one transaction: in one round trip, or, behind a pooler, in
// two. read reads their results.
func (c *conn) run(ctx context.Context, read func(r pgx.BatchResults) error, all ...statement) error {
	if c.pooled != nil {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	var b pgx.Batch
	for _, x := range all {
		b.Queue(x.query, asText(x.args)...)
	}
	if c.pooled != nil {
		b.Queue("COMMIT")
	}
	results := c.pg.SendBatch(ctx, &b)
	err := read(results)
	// Without a pooler the transaction ends here.
	if cerr := results.Close(); err == nil {
		err = cerr
	}
	return c.ended(ctx, err)
}

// transaction runs f in a transaction of several round trips.
func (c *conn) transaction(ctx context.Context, f func(tx *pgx.Conn) error) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	return c.inside(ctx, f)
}

// inside runs f in the transaction that was begun, and ends it.
func (c *conn) inside(ctx context.Context, f func(tx *pgx.Conn) error) error {
	err := f(c.pg)
	if err == nil {
		var tag pgconn.CommandTag
		if tag, err = c.pg.Exec(ctx, "COMMIT"); err == nil && tag.String() == "ROLLBACK" {
			err = pgx.ErrTxCommitRollback
		}
	}
	return c.ended(ctx, err)
}

// exec runs a statement and returns how many rows it has changed.
func (c *conn) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	if c.pooled != nil {
		rows, err := inOne(ctx, c, statement{query, args})
		if err != nil {
			return 0, err
		}
		return rows[0], nil
	}
	tag, err := c.pg.Exec(ctx, query, asText(args)...)
	return tag.RowsAffected(), err
}

// collect runs a query and collects its rows with scan.
func collect[T any](ctx context.Context, c *conn, scan func(row pgx.CollectableRow) (T, error), query string, args ...any) (all []T, err error) {
	if c.pooled != nil {
		err = c.run(ctx, func(r pgx.BatchResults) error {
			rows, err := r.Query()
			if err == nil {
				all, err = pgx.CollectRows(rows, scan)
			}
			return err
		}, statement{query, args})
		return all, err
	}
	rows, err := c.pg.Query(ctx, query, asText(args)...)
	if err == nil {
		all, err = pgx.CollectRows(rows, scan)
	}
	return all, err
}

// errPooler says that a connection that was made as one to the server itself is one to
// a pooler.
var errPooler = errors.New("there is a pooler before the server")

// errOptions says that a pooler does not pass on what the address contains.
var errOptions = errors.New("there is a pooler before the server, which does not pass on options: write each setting into the URL by its name")

// isPooler reports whether a connection could not be made because a pooler is before
// the server, which takes fewer settings.
func isPooler(err error) bool {
	var refused *pgconn.PgError
	return errors.Is(err, errPooler) ||
		errors.As(err, &refused) && refused.Code == "08P01" && strings.Contains(refused.Message, "startup parameter")
}

// attach makes the pool's connections what the store needs.
func (s *Store) attach(cfg *pgxpool.Config) {
	s.settings = ofTransaction(cfg.ConnConfig.RuntimeParams)
	cfg.BeforeConnect = func(_ context.Context, cfg *pgx.ConnConfig) error {
		if s.pooler.Load() {
			cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
			for name := range cfg.RuntimeParams {
				if !passes(name) {
					delete(cfg.RuntimeParams, name)
				}
			}
		}
		return nil
	}
	corrected := corrected(cfg.ConnConfig.RuntimeParams, false)
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		if s.pooler.Load() {
			return nil
		}
		var own bool
		var n int
		err := c.QueryRow(ctx, fmt.Sprintf(`SELECT pg_backend_pid() = %[1]d, CASE pg_backend_pid() WHEN %[1]d THEN `, c.PgConn().PID())+corrected+` END, `+left,
			pgx.QueryExecModeSimpleProtocol).Scan(&own, nil, &n)
		switch {
		case err != nil:
			return err
		case !own: // a pooler's, which has taken the settings, and perhaps ignored them
			return errPooler
		case n <= 0:
			s.learn(n)
		}
		return nil
	}
}

// connect takes a connection from the pool, which may make one.
func (s *Store) connect(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := s.pool.Acquire(ctx)
	if isPooler(err) { // others may have found out meanwhile
		if has(s.pool.Config().ConnConfig.RuntimeParams, "options") {
			return nil, errOptions
		}
		s.pooler.Store(true)
		c, err = s.pool.Acquire(ctx)
	}
	return c, err
}

// A held is a connection that must be released to the pool.
type held struct {
	s    *Store
	pool *pgxpool.Conn
	*conn
}

// release gives the connection back. One that was given up leaves the pool at once:
// closing it takes 15 seconds if the server has fallen silent, and in its place in the
// pool nothing could be asked meanwhile, also when the server is back.
func (h *held) release() {
	defer h.s.room.leave()
	if !h.pg.IsClosed() || h.s.leaving.Load() >= int64(h.s.room.most) {
		h.pool.Release()
		return
	}
	h.s.leaving.Add(1)
	gone := h.pool.Hijack().PgConn().CleanupDone()
	go func() {
		<-gone
		h.s.leaving.Add(-1)
	}()
}

func (s *Store) conn(c *pgxpool.Conn) *conn {
	if s.pooler.Load() {
		return &conn{c.Conn(), &s.settings}
	}
	return &conn{c.Conn(), nil}
}

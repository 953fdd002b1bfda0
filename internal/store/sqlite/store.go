// Package sqlite is the embedded store: all ports of package login in one file.
//
// It owns its SQL and its migrations but no rules: what a change means is in package
// login, and each method here loads, applies and saves in one transaction. One
// connection writes, several read.
//
// What was acknowledged survives kill -9 (security.md R2). The flush of the write-ahead
// log protects against power cuts: changes that end or remove something, and an
// operator's, are on disk before they are acknowledged; logins and their tries within 50
// ms (flush.go).
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
	"neoapi/internal/owner"
	"neoapi/internal/store"
)

// readers is how many connections read at the same time as the one that writes.
const readers = 4

// busyTimeout is how long opening and reading wait for another process, which happens
// while that one recovers the log. Writing waits until its context is done, in steps
// of busyStep.
const (
	busyTimeout = 5 * time.Second
	busyStep    = 2 * time.Millisecond
)

// A Store is an open database file. It implements [store.Store].
type Store struct {
	writer chan *sqlite.Conn // the one connection that writes, when it is free
	reader chan *sqlite.Conn
	log    *flusher
	place  *place // nil if it is only read
	path   string
	wait   store.Waiting // for other processes, of each change whose context does not end before
}

var _ store.Store = (*Store)(nil)

// Open opens the database file at path, creating it readable by its owner only,
// and brings it to the current schema. If another process has it, it waits as wait
// says. Close it when done.
func Open(ctx context.Context, path string, wait ...store.Waiting) (*Store, error) {
	s, err := open(ctx, path, store.Of(wait))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, wait store.Waiting) (*Store, error) {
	var said sync.Once
	notify := wait.Notify
	wait.Notify = func(what string) { said.Do(func() { notify(what) }) }
	path, err := filepath.Abs(path) // SQLite gives some relative names, and paths with two slashes, a meaning of its own
	if err != nil {
		return nil, err
	}
	if err := owner.Create(path); err != nil {
		return nil, err
	}
	place, err := keep(path)
	if err != nil {
		return nil, err
	}
	s := &Store{writer: make(chan *sqlite.Conn, 1), reader: make(chan *sqlite.Conn, readers), place: place, path: path, wait: wait}
	if err := migrate(ctx, path, wait); err != nil {
		return nil, errors.Join(owner.Explain(err, path+"-wal", path+"-shm"), s.Close())
	}
	for range readers {
		if err := connect(ctx, path, s.reader, "PRAGMA query_only = 1"); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := connect(ctx, path, s.writer, "PRAGMA synchronous = NORMAL"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	writer := <-s.writer
	writer.SetBusyTimeout(0) // begin waits itself, with the caller's context
	s.writer <- writer
	if s.log, err = newFlusher(path + "-wal"); err != nil { // the connections above keep the log in place
		return nil, errors.Join(err, s.Close())
	}
	if err := place.opened(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenToRead opens the database file at path for the methods that only read. It
// creates and changes no file, and does not migrate the schema. Close the store when
// done.
func OpenToRead(ctx context.Context, path string) (*Store, error) {
	s := &Store{reader: make(chan *sqlite.Conn, 1)}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err == nil {
		flags, name := sqlite.OpenReadOnly, path
		if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) { // it is not open anywhere: SQLite would create a log
			flags, name = flags|sqlite.OpenURI, "file:"+(&url.URL{Path: path}).EscapedPath()+"?immutable=1"
		}
		err = connectAs(ctx, name, flags, s.reader, "PRAGMA query_only = 1")
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, owner.Explain(err, path, path+"-wal", path+"-shm"))
	}
	return s, nil
}

// Made reports whether the database has tables: a file that is empty has none.
func (s *Store) Made(ctx context.Context) (made bool, err error) {
	err = s.scan(ctx, func(c *sqlite.Conn) error {
		return each(c, func(*row) error { made = true; return nil }, `SELECT 1 FROM sqlite_schema WHERE name = 'settled'`)
	})
	return made, err
}

// connect opens one connection into a pool.
func connect(ctx context.Context, path string, pool chan *sqlite.Conn, pragma string) error {
	return connectAs(ctx, path, sqlite.OpenReadWrite, pool, pragma)
}

func connectAs(ctx context.Context, path string, flags sqlite.OpenFlags, pool chan *sqlite.Conn, pragma string) error {
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return err
	}
	c.SetBusyTimeout(busyTimeout)
	// The second statement reads the file, which makes SQLite open the log.
	for _, query := range []string{pragma, "SELECT count(*) FROM sqlite_schema"} {
		if err := exec(c, query); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	pool <- c
	return ctx.Err()
}

// Close closes the store. It waits for the calls that are under way. The connections to
// files that were replaced stay open until the process ends: closing them would write to
// what is there now.
func (s *Store) Close() error {
	var errs []error
	var all []*sqlite.Conn
	for _, pool := range []chan *sqlite.Conn{s.reader, s.writer} {
		n := cap(pool)
		if s.log == nil { // opening failed: not all connections exist
			n = len(pool)
		}
		for range n {
			all = append(all, <-pool)
		}
	}
	if s.log != nil { // before the connections: the last of them removes the log
		errs = append(errs, s.log.Close())
	}
	if s.usable() != nil {
		return errors.Join(errs...)
	}
	for _, c := range all {
		errs = append(errs, c.Close())
	}
	if s.place != nil {
		errs = append(errs, s.place.close())
	}
	return errors.Join(errs...)
}

// take takes a connection out of a pool, to which it must be returned.
func take(ctx context.Context, pool chan *sqlite.Conn) (*sqlite.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-pool:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// view runs f, which reads a record or two, on the writing connection if that is
// free: its cache still has what it wrote.
func (s *Store) view(ctx context.Context, f func(c *sqlite.Conn) error) error {
	if err := errors.Join(ctx.Err(), s.usable()); err != nil {
		return err
	}
	select {
	case c := <-s.writer:
		defer func() { s.writer <- c }()
		return f(c)
	default:
		return s.scan(ctx, f)
	}
}

// scan runs f on a connection that only reads.
func (s *Store) scan(ctx context.Context, f func(c *sqlite.Conn) error) error {
	c, err := take(ctx, s.reader)
	if err != nil {
		return err
	}
	defer func() { s.reader <- c }()
	if err := s.usable(); err != nil {
		return err
	}
	return f(c)
}

// updateNow is update for a change that must be on disk before its outcome is
// reported. After a failed flush the change may or may not be stored, and the caller
// must not act on it.
func (s *Store) updateNow(ctx context.Context, f func(c *sqlite.Conn) error) error {
	if err := s.update(ctx, f); err != nil {
		return err
	}
	return s.log.flush()
}

// update runs f in one write transaction. If f fails nothing of it is stored.
func (s *Store) update(ctx context.Context, f func(c *sqlite.Conn) error) error {
	if err := s.log.failed(); err != nil {
		return err
	}
	c, err := take(ctx, s.writer)
	if err != nil {
		return err
	}
	defer func() { s.writer <- c }()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.begin(ctx, c); err != nil {
		return errors.Join(err, s.place.look()) // which may say why
	}
	if err = f(c); err == nil {
		err = ctx.Err() // the last chance to stop with nothing stored
	}
	if err == nil {
		err = s.place.look()
	}
	if err == nil {
		err = exec(c, "COMMIT")
	}
	if err == nil {
		s.log.written()
		return nil
	}
	if !c.AutocommitEnabled() {
		err = errors.Join(err, exec(c, "ROLLBACK"))
	}
	if s.usable() != nil {
		err = errors.Join(err, s.salvage(c))
	}
	return err
}

// begin begins a write transaction. It waits for other processes until the context is
// done, or as long as opening the store may.
func (s *Store) begin(ctx context.Context, c *sqlite.Conn) error {
	limited, cancel := context.WithTimeout(ctx, s.wait.Limit)
	defer cancel()
	by := "another process that has locked " + s.path
	for began := time.Now(); ; {
		err := exec(c, "BEGIN IMMEDIATE")
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return err
		}
		select {
		case <-time.After(busyStep):
		case <-limited.Done():
			return gaveUp(ctx, errors.Join(limited.Err(), err), s.wait, by)
		}
		if time.Since(began) > store.NotifyAfter {
			s.wait.Notify(by)
		}
	}
}

// exec runs a statement that returns no rows. Statements are prepared once for
// each connection.
func exec(c *sqlite.Conn, query string, args ...any) error {
	stmt, err := c.Prepare(query)
	if err != nil {
		return err
	}
	bind(stmt, args)
	for more := true; more && err == nil; {
		more, err = stmt.Step()
	}
	return errors.Join(err, stmt.Reset())
}

// one runs a query and calls scan for its first row; without one it returns
// login.ErrNotFound.
func one(c *sqlite.Conn, scan func(r *row) error, query string, args ...any) error {
	found := false
	err := each(c, func(r *row) error {
		found = true
		return scan(r)
	}, query, args...)
	if err == nil && !found {
		err = login.ErrNotFound
	}
	return err
}

// each runs a query and calls scan for each row.
func each(c *sqlite.Conn, scan func(r *row) error, query string, args ...any) error {
	stmt, err := c.Prepare(query)
	if err != nil {
		return err
	}
	bind(stmt, args)
	for {
		var more bool
		if more, err = stmt.Step(); !more || err != nil {
			break
		}
		if err = scan(&row{stmt, 0}); err != nil {
			break
		}
	}
	return errors.Join(err, stmt.Reset())
}

// bind sets the parameters of a statement. An empty []byte is NULL, so that it is
// equal to no other under UNIQUE; a time is stored in milliseconds.
func bind(stmt *sqlite.Stmt, args []any) {
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			stmt.BindText(i+1, v)
		case []byte:
			if len(v) == 0 {
				stmt.BindNull(i + 1)
			} else {
				stmt.BindBytes(i+1, v)
			}
		case int:
			stmt.BindInt64(i+1, int64(v))
		case int64:
			stmt.BindInt64(i+1, v)
		case bool:
			stmt.BindBool(i+1, v)
		case time.Time:
			stmt.BindInt64(i+1, millis(v))
		default:
			panic(fmt.Sprintf("sqlite: cannot bind a %T", arg))
		}
	}
}

// A row reads the columns of a result from left to right.
type row struct {
	stmt *sqlite.Stmt
	next int
}

func (r *row) column() int {
	r.next++
	return r.next - 1
}

func (r *row) text() string    { return r.stmt.ColumnText(r.column()) }
func (r *row) int() int64      { return r.stmt.ColumnInt64(r.column()) }
func (r *row) bool() bool      { return r.stmt.ColumnInt64(r.column()) != 0 }
func (r *row) time() time.Time { return fromMillis(r.stmt.ColumnInt64(r.column())) }

func (r *row) bytes() []byte {
	i := r.column()
	n := r.stmt.ColumnLen(i)
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	r.stmt.ColumnBytes(i, b)
	return b
}

// exists turns a violated UNIQUE constraint into the ExistsError of the
// column's field.
func exists(err error, fields map[string]string) error {
	switch sqlite.ErrCode(err) {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey:
		for column, field := range fields {
			if strings.HasSuffix(err.Error(), column) {
				return &login.ExistsError{Field: field}
			}
		}
	}
	return err
}

// mustChange returns login.ErrNotFound if the last statement changed no row.
func mustChange(c *sqlite.Conn) error {
	if c.Changes() == 0 {
		return login.ErrNotFound
	}
	return nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

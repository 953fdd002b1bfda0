// Package sqlite is the embedded store: both ports of package login in one file.
//
// It owns its SQL and its migrations and no rule: what a change means is in
// package login, and each method here loads, applies and saves in one
// transaction. One connection writes, several read; the write-ahead log is
// flushed to disk at every commit, so what was acknowledged survives kill -9 and
// a power cut (bar R2).
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/rogpeppe/go-internal/lockedfile"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"neoapi/internal/login"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many connections read at the same time as the one that writes.
const readers = 4

// busyTimeout is how long a write waits for another process, such as neo
// account beside neo serve, before it fails.
const busyTimeout = 2 * time.Second

// A Store is an open database file. It implements [login.Accounts] and
// [login.Sessions] and is safe for concurrent use, by several processes too.
type Store struct {
	write *sql.DB // one connection: writers wait here, with their contexts, and not in SQLite
	read  *sql.DB
	stmts statements
}

var (
	_ login.Accounts = (*Store)(nil)
	_ login.Sessions = (*Store)(nil)
)

// Open opens the database file at path, creating it readable by its owner only,
// and brings it to the current schema. Close it when done.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	s := &Store{}
	if s.write, err = sql.Open("sqlite", dsn(path, "immediate")); err != nil {
		return nil, err
	}
	if s.read, err = sql.Open("sqlite", dsn(path, "deferred", "query_only(1)")); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.write.SetMaxOpenConns(1)
	s.write.SetMaxIdleConns(1)
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if err := migrate(ctx, s.write, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the store. It waits for the calls that are under way.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func dsn(path, txlock string, pragmas ...string) string {
	pragmas = append([]string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), // first: the others may have to wait
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"cache_size(-2000)",
	}, pragmas...)
	q := url.Values{"_pragma": pragmas, "_txlock": {txlock}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// migrate runs the migrations under a lock file: of several processes that start
// at once, one migrates and the others wait.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return err
	}
	defer unlock()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// inTx runs f in one write transaction. If f fails nothing of it is stored.
func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the error that says a transaction was rolled back already,
// as it is when its context ended.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// exists turns a violated UNIQUE constraint of table into the ErrExists of the
// column's field.
func exists(err error, table string, fields map[string]string) error {
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
		for column, field := range fields {
			if strings.Contains(e.Error(), table+"."+column+" ") || strings.HasSuffix(e.Error(), table+"."+column) {
				return login.Exists(field)
			}
		}
	}
	return err
}

// notFound turns an empty result into login.ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return login.ErrNotFound
	}
	return err
}

// mustAffect returns login.ErrNotFound if a statement changed no row.
func mustAffect(result sql.Result) error {
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return login.ErrNotFound
	}
	return err
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

package httpapi_test

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// What can happen to a service's data behind its back, in either store.

// accidents opens a service's database to run SQL on it. A transaction of it lets
// nobody else write.
func accidents(t *testing.T, dir string) (run func(query string), postgres bool) {
	t.Helper()
	if address := place(t, dir).Database; address != "" {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return func(query string) {
			t.Helper()
			if _, err := conn.Exec(t.Context(), query); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		}, true
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.Join(dir, "neo.db")}).EscapedPath()+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}, false
}

// statement runs one statement.
func statement(t *testing.T, dir, query string) {
	t.Helper()
	run, _ := accidents(t, dir)
	run(query)
}

// breaks makes a change of a table, such as INSERT ON events, fail until the
// returned function is called; only those changes that a condition says, if there
// is one.
func breaks(t *testing.T, dir, change, when string) (mend func()) {
	t.Helper()
	run, postgres := accidents(t, dir)
	if when != "" {
		when = " WHEN (" + when + ")"
	}
	if !postgres {
		run(`CREATE TRIGGER broken BEFORE ` + change + when + ` BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END`)
		return func() { run(`DROP TRIGGER broken`) }
	}
	run(`CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken on purpose'; END $$`)
	run(`CREATE TRIGGER broken BEFORE ` + change + ` FOR EACH ROW` + when + ` EXECUTE FUNCTION broken()`)
	return func() { run(`DROP FUNCTION broken CASCADE`) }
}

// writersWait lets nobody write for a moment, in which f sends requests.
func writersWait(t *testing.T, dir string, f func()) {
	t.Helper()
	run, postgres := accidents(t, dir)
	if postgres {
		run(`BEGIN`)
		run(`LOCK TABLE events, sessions, account_states IN EXCLUSIVE MODE`)
	} else {
		run(`BEGIN IMMEDIATE`)
	}
	f()
	time.Sleep(300 * time.Millisecond) // they are on their way to the store
	run(`ROLLBACK`)
}

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver that goose migrates through

	"neoapi/internal/login"
	"neoapi/internal/store"
	"neoapi/internal/store/sqlite"
	"neoapi/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	// One store, emptied for each test: to open a file takes longer than most of them.
	path := filepath.Join(t.TempDir(), "neo.db")
	s, beside := openAt(t, path), raw(t, path)
	var empty string
	err := beside.QueryRowContext(t.Context(), `SELECT group_concat('DELETE FROM "' || name || '"', ';') FROM sqlite_schema
		WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`).Scan(&empty)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		if _, err := beside.ExecContext(t.Context(), "PRAGMA synchronous = OFF; BEGIN; "+empty+"; COMMIT"); err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// openAt opens the database at path and closes it when the test is over.
func openAt(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// raw opens the database at path beside the store.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func record(t *testing.T, s store.Store, name string) {
	t.Helper()
	if err := s.Record(t.Context(), login.Event{Time: time.Now(), Action: name}); err != nil {
		t.Fatalf("record %s: %v", name, err)
	}
}

func actions(t *testing.T, s store.Store) []string {
	t.Helper()
	events, err := s.Events(t.Context(), login.EventQuery{N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range events {
		names = append(names, e.Action)
	}
	return names
}

func TestFiles_areReadableByTheirOwnerOnly(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "neo.db")
	s := openAt(t, path)
	record(t, s, "event")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("neo.db%s has mode %o, want 600", suffix, mode)
		}
	}
}

func TestOpen_takesAnyPath(t *testing.T) {
	for _, name := range []string{
		"with space.db", "what?.db", "100%.db", "%41.db", "a#b.db", "a?mode=memory", "a&b=c;d.db", "a+b.db", "naïve-नियो.db", `a'"b.db`,
		"a:b.db", ":memory:", "file:x.db", "folder with ?/neo.db",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			works(t, path, path)
		})
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"neo.db", ":memory:", "file:x.db", "a:b?.db"} {
		t.Run("relative "+name, func(t *testing.T) { works(t, name, "./"+name) })
	}
	t.Run("a path that begins with two slashes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "neo.db")
		works(t, "/"+path, path)
	})
}

// works opens a database and looks for its file and the log beside it.
func works(t *testing.T, name, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), name)
	if err != nil {
		t.Errorf("open %s: %v", name, err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	record(t, s, "event")
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err != nil || info.Size() == 0 {
			t.Errorf("nothing is stored at %s%s (%v)", path, suffix, err)
		}
	}
}

func TestOpen_namesThePathThatItCannotOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noDatabase := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{noDatabase, dir, filepath.Join(dir, "missing", "neo.db"), filepath.Join(noDatabase, "neo.db")} {
		s, err := sqlite.Open(t.Context(), path)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s was opened", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("error %q does not name %s", err, path)
		}
	}
	if content, err := os.ReadFile(noDatabase); err != nil || !strings.HasPrefix(string(content), "this is no database\n") {
		t.Errorf("the file that is no database was changed (%v)", err)
	}
}

func TestOpen_honoursItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "neo.db"))
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
}

func TestClose_leavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	noDatabase := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s, err := sqlite.Open(t.Context(), filepath.Join(dir, "neo.db"))
		if err != nil {
			t.Fatal(err)
		}
		record(t, s, "event")
		actions(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = s.Session(ctx, "sid")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), noDatabase); err == nil {
			t.Fatal("opened what is no database")
		}
	}
	goleak.VerifyNone(t, before)
}

// Another process may hold the database for long, as a backup does. A caller
// does not wait longer than its context allows (security.md R1), and reads do not wait.
func TestCall_waitingForAnotherProcessEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	s := openAt(t, path)
	record(t, s, "before")
	conn, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}

	if got := actions(t, s); len(got) != 1 { // it is read though nobody can get the lock
		t.Errorf("got events %v, want one", got)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			err := s.Record(ctx, login.Event{Time: begin, Action: "refused"})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v, want that of the context", err)
			}
			if waited := time.Since(begin); waited > 5*time.Second { // SQLite itself would wait for ten
				t.Errorf("a call with 100 ms to live waited %v", waited)
			}
		})
	}
	wg.Wait()

	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	record(t, s, "after")
	if got := actions(t, s); strings.Join(got, " ") != "before after" {
		t.Errorf("got events %v, want those before and after", got)
	}
}

func TestMigrations_letTwoVersionsRunAtOnce(t *testing.T) {
	t.Parallel()
	storetest.OnlyAdds(t, os.DirFS("."), "00001_start.sql", "00002_throttle.sql")
}

func TestMigrations_keepDataOfTheVersionBeforeWorking(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	before, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err == nil {
		_, err = before.UpTo(t.Context(), 5)
	}
	if err != nil {
		t.Fatal(err)
	}
	storetest.Upgrade(t, func(statement string) {
		t.Helper()
		if _, err := db.Exec(strings.Replace(statement, "'name', ''", "'name', x''", 1)); err != nil {
			t.Fatal(err)
		}
	}, func(x time.Time) string { return fmt.Sprint(x.UnixMilli()) },
		`INSERT INTO account_states (account, totp_step, failures) VALUES ('account-1', 7, '')`,
		func() store.Store { return openAt(t, path) })
}

// Versions before this one migrate with goose: they find nothing to do, and what they
// make is what this one makes.
func TestMigrations_areThoseOfGoose(t *testing.T) {
	t.Parallel()
	ours, theirs := filepath.Join(t.TempDir(), "neo.db"), filepath.Join(t.TempDir(), "neo.db")
	openAt(t, ours)
	schema := func(path string, made int) (text string) {
		t.Helper()
		db := raw(t, path)
		p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := p.Up(t.Context())
		if err != nil || len(results) != made {
			t.Errorf("goose made %d migrations, %v, want %d", len(results), err, made)
		}
		const all = `SELECT group_concat(sql, ';' || char(10)) FROM (SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'goose_%' ORDER BY name)`
		if err := db.QueryRowContext(t.Context(), all).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := schema(ours, 0), schema(theirs, len(files)); a != b || a == "" {
		t.Errorf("made here:\n%s\nby goose:\n%s", a, b)
	}
}

package sqlite_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	zombie "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"neoapi/internal/login"
	"neoapi/internal/store/sqlite"
)

// rehearsing is when rehearsals happen.
var rehearsing = time.Date(2026, time.March, 2, 9, 15, 0, 0, time.UTC)

// used makes a database in which much is stored and nothing is in the log any more, and
// returns where each table and index of it begins.
func used(t *testing.T) (path string, roots map[string]int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "neo.db")
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		sid := fmt.Sprint("sid-", i)
		if err := s.OpenView(t.Context(), viewOf(sid), totpStep, "", eventOf(sid, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := zombie.OpenConn(path, zombie.OpenReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	roots = map[string]int64{}
	err = sqlitex.ExecuteTransient(c, `SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0`, &sqlitex.ExecOptions{
		ResultFunc: func(row *zombie.Stmt) error { roots[row.ColumnText(0)] = row.ColumnInt64(1); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return path, roots
}

// A database whose file is damaged while the store has it open, and has read what is
// damaged before, fails the rehearsal wherever a login looks.
func TestRehearse_findsWhatIsDamagedInTheFile(t *testing.T) {
	t.Parallel()
	_, roots := used(t)
	if len(roots) < 20 {
		t.Fatalf("tables and indexes: %v", roots)
	}
	for name := range roots {
		for _, notOfLogins := range []string{"goose", "sqlite_sequence", "settled", "imports", "revocations", "events_time", "autoindex_signing_keys"} {
			if strings.Contains(name, notOfLogins) {
				delete(roots, name)
			}
		}
	}
	var failed atomic.Int64
	t.Cleanup(func() {
		if failed.Load() < 8 {
			t.Errorf("the rehearsal failed for %d pages of %d", failed.Load(), len(roots))
		}
	})
	for name, page := range roots {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := used(t)
			s := openAt(t, path)
			if err := s.Rehearse(t.Context(), rehearsing); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := damage(path, page); err != nil {
				t.Fatal(err)
			}
			if s.Rehearse(t.Context(), rehearsing) != nil {
				failed.Add(1)
				return
			}
			// What it wrote itself is whole in the log, whatever the file has.
			var verdict string
			if err := raw(t, path).QueryRowContext(t.Context(), "PRAGMA integrity_check(1)").Scan(&verdict); err != nil || verdict != "ok" {
				t.Errorf("the rehearsal succeeds, and the database is damaged: %s, %v", verdict, err)
			}
		})
	}
}

// damage overwrites a page of a database file with what is no page.
func damage(path string, page int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	const size = 4096
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, size), (page-1)*size)
	return err
}

// A rehearsal leaves nothing that anybody could find, and what it leaves is swept.
func TestRehearse_leavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	s, beside := openAt(t, path), raw(t, path)
	count := func() (all string) {
		t.Helper()
		for _, table := range []string{"sessions", "account_states", "jobs", "events", "allowances"} {
			var n int
			if err := beside.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprint(table, " ", n, " ")
		}
		return all
	}
	before := count()
	for range 3 {
		if err := s.Rehearse(t.Context(), rehearsing); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(); got != strings.Replace(before, "allowances 0", "allowances 3", 1) {
		t.Errorf("got %s", got)
	}
	if n, err := s.Sweep(t.Context(), rehearsing.Add(time.Second), 100); n != 3 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if got := count(); got != before {
		t.Errorf("got %s, before it was %s", got, before)
	}
	if err := s.Record(t.Context(), login.Event{Action: "first"}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Events(t.Context(), login.EventQuery{N: 10}); err != nil || len(all) != 1 || all[0].Seq != 1 {
		t.Errorf("the trail has a gap: %v, %v", all, err)
	}
}

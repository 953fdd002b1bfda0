package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store/sqlite"
)

// What may become of the files of a database while it is in use, and what is then found
// at its path by who starts again: all that was acknowledged (kept), the copy that was
// put there, or nothing.
var displaced = []struct {
	name  string
	do    func(dir, copied string) error
	found string // actions at the path
	moved string // where the database is then, with all that was acknowledged
}{
	{"the directory is removed", func(dir, _ string) error { return os.RemoveAll(dir) }, "", ""},
	{"the directory is moved away", func(dir, _ string) error { return os.Rename(dir, dir+".old") }, "", "../data.old/neo.db"},
	{"the directory is replaced", func(dir, copied string) error {
		return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700), os.Rename(copied, filepath.Join(dir, "neo.db")))
	}, "copied", "../data.old/neo.db"},
	{"the file is removed", func(dir, _ string) error { return os.Remove(filepath.Join(dir, "neo.db")) }, "", ""},
	{"the file is moved away", func(dir, _ string) error {
		return os.Rename(filepath.Join(dir, "neo.db"), filepath.Join(dir, "old.db"))
	}, "", "old.db"},
	{"a copy is moved to its place", func(dir, copied string) error { return os.Rename(copied, filepath.Join(dir, "neo.db")) }, "copied", ""},
	{"a copy is moved to its place, as the documents say", func(dir, copied string) error {
		return errors.Join(os.Remove(filepath.Join(dir, "neo.db-wal")), os.Remove(filepath.Join(dir, "neo.db-shm")), os.Rename(copied, filepath.Join(dir, "neo.db")))
	}, "copied", ""},
	{"a copy is written over it", overwrite, "copied", ""},
	{"a copy is written over it, as the documents say", func(dir, copied string) error {
		return errors.Join(os.Remove(filepath.Join(dir, "neo.db-wal")), os.Remove(filepath.Join(dir, "neo.db-shm")), overwrite(dir, copied))
	}, "copied", ""},
	{"it is cut short", func(dir, _ string) error { return os.Truncate(filepath.Join(dir, "neo.db"), 0) }, "", ""},
	{"its log is removed", func(dir, _ string) error { return os.Remove(filepath.Join(dir, "neo.db-wal")) }, "copied kept", ""},
	{"its log is cut short", func(dir, _ string) error { return os.Truncate(filepath.Join(dir, "neo.db-wal"), 0) }, "", ""},
	{"its log loses its end", func(dir, _ string) error {
		log := filepath.Join(dir, "neo.db-wal")
		info, err := os.Stat(log)
		if err != nil {
			return err
		}
		return os.Truncate(log, info.Size()-1)
	}, "", ""},
	{"another log is written over it", func(dir, _ string) error {
		log := filepath.Join(dir, "neo.db-wal")
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		text[16]++ // the salt
		return os.WriteFile(log, text, 0o600)
	}, "", ""},
	{"the log's index is cut short", func(dir, _ string) error { return os.Truncate(filepath.Join(dir, "neo.db-shm"), 0) }, "copied kept", ""},
	{"the log's index is removed", func(dir, _ string) error { return os.Remove(filepath.Join(dir, "neo.db-shm")) }, "copied kept", ""},
}

func overwrite(dir, copied string) error {
	text, err := os.ReadFile(copied)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "neo.db"), text, 0o600)
}

// A database whose files are removed, replaced or overwritten while it is in use
// acknowledges nothing more, whether a look or a change notices it first. What was
// acknowledged before is in the database that it was stored in, if that is anywhere, and
// what was put in its place stays as it is.
func TestFiles_thatAreNoLongerTheStoresOwnAreLeftAlone(t *testing.T) {
	t.Parallel()
	for _, c := range displaced {
		for _, first := range []string{"look", "change"} {
			t.Run(c.name+", "+first, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "data")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				path, copied := filepath.Join(dir, "neo.db"), filepath.Join(dir, "..", "copy.db")
				s, err := sqlite.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				record(t, s, "copied")
				if err := sqlite.Backup(t.Context(), path, copied); err != nil {
					t.Fatal(err)
				}
				record(t, s, "kept")
				if err := s.Look(t.Context()); err != nil {
					t.Fatalf("at first: %v", err)
				}
				before, err := os.ReadFile(copied)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.do(dir, copied); err != nil {
					t.Fatal(err)
				}
				if first == "look" {
					if err := s.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "while it was in use") {
						t.Errorf("a look: %v", err)
					}
				}
				if err := s.Record(t.Context(), login.Event{Action: "lost"}); err == nil || !strings.Contains(err.Error(), "restart the service") {
					t.Errorf("a change: %v", err)
				}
				if _, err := s.LastEvent(t.Context()); err == nil {
					t.Error("it can still be read")
				}
				if now, err := os.ReadFile(path); c.found == "copied" && (err != nil || !bytes.Equal(now, before)) {
					t.Errorf("the copy has changed: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if c.found != "" {
					if got := actionsIn(t, path); got != c.found {
						t.Errorf("after a restart there is %q, want %q", got, c.found)
					}
				}
				if c.moved != "" {
					if got := actionsIn(t, filepath.Join(dir, c.moved)); got != "copied kept" {
						t.Errorf("what was moved away has %q", got)
					}
				}
			})
		}
	}
}

// actionsIn returns the actions in a database, as another process reads them: this one
// has files open that are not there any more.
func actionsIn(t *testing.T, path string) string {
	t.Helper()
	out, err := processes.Command(t.Context(), "actions", path).Output()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// printActions prints the actions in a database.
func printActions(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	events, err := s.Events(context.Background(), login.EventQuery{N: 1000})
	for _, e := range events {
		fmt.Print(e.Action, " ")
	}
	return errors.Join(err, s.Close())
}

// What others may do to the files is no reason to stop: changes and checkpoints of
// another process, a copy, and what leaves the content as it is.
func TestFiles_thatAreInUseElsewhereStayTheStoresOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	s, beside := openAt(t, path), raw(t, path)
	good := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := s.Look(t.Context()); err != nil {
			t.Fatalf("after %s: %v", what, err)
		}
		record(t, s, what)
	}
	for i := range 20 {
		// Each makes the file grow, so that its header changes.
		_, err := beside.ExecContext(t.Context(), `CREATE TABLE IF NOT EXISTS more (x); INSERT INTO more VALUES (randomblob(100000))`)
		good("a change of another process", err)
		_, err = beside.ExecContext(t.Context(), `PRAGMA wal_checkpoint(`+[]string{"PASSIVE", "TRUNCATE"}[i%2]+`)`)
		good("a checkpoint of another process", err)
	}
	good("a copy", sqlite.Backup(t.Context(), path, path+".copy"))
	good("another time of the file", os.Chtimes(path, time.Time{}, time.Unix(1_800_000_000, 0)))
	good("other rights", os.Chmod(path, 0o640))
	good("a link", os.Link(path, path+".link"))
	for i := range 300 { // so much that the store copies its log by itself
		record(t, s, fmt.Sprint("more ", i, strings.Repeat("x", 20_000)))
	}
	good("its own checkpoints", nil)
	good("processes that come and go", errors.Join(processes.Command(t.Context(), "open", path).Run(), processes.Command(t.Context(), "open", path).Run()))
}

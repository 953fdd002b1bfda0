//go:build linux

package faults

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Nothing can be written, because another process keeps the file locked or there
// is no room: what writes is answered by 503 in time, what only reads goes on, and
// afterwards everything works again without a restart (security.md R1, R4).
func TestSQLite_fullOrLockedIsAnsweredWith503(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		begin func(t *testing.T, s *service) (end func())
	}{
		{"locked", lockFile},
		{"full", noRoom},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startSandbox(t, "", inTrial)
			x := startTrial(t, s)
			end := c.begin(t, s)
			x.tryAll()
			x.crowd(t, 12)
			x.tryAll()
			x.onlyReads(t, 2)
			if a := s.call("ready", "GET", "/readyz", nil); !a.unavailable() {
				t.Errorf("whether it is ready: %v", a)
			}
			end()
			x.judge(t)
			within(t, noisy(recoverWithin), "being ready again", func() bool { return s.call("ready", "GET", "/readyz", nil).good() })
		})
	}
}

// lockFile holds the lock of who writes to the service's file.
func lockFile(t *testing.T, s *service) (end func()) {
	t.Helper()
	c, err := sqlite.OpenConn(filepath.Join(s.dir, "neo.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	within(t, noisy(recoverWithin), "a lock of the file", func() bool {
		return sqlitex.ExecuteTransient(c, "BEGIN IMMEDIATE", nil) == nil
	})
	return func() {
		if err := sqlitex.ExecuteTransient(c, "ROLLBACK", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// noRoom takes from the process the right to let any file grow or to write to one
// past its first byte, which SQLite is told as it is told of a full disk: by the
// write that fails.
func noRoom(t *testing.T, s *service) (end func()) {
	t.Helper()
	limit := func(room uint64) {
		x := unix.Rlimit{Cur: room, Max: math.MaxUint64}
		if err := unix.Prlimit(s.pid(), unix.RLIMIT_FSIZE, &x, nil); err != nil {
			t.Fatal(os.NewSyscallError("prlimit", err))
		}
	}
	limit(1)
	return func() { limit(math.MaxUint64) }
}

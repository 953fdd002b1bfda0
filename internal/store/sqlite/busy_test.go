package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	driver "zombiezen.com/go/sqlite"

	"neoapi/internal/login"
	"neoapi/internal/store"
	"neoapi/internal/store/sqlite"
)

// A database that another process keeps to itself may be free later; one that is
// broken or cannot be written is not busy.
func TestBusy_isADatabaseThatAnotherProcessKeeps(t *testing.T) {
	t.Parallel() // it waits for the other process as long as a service does
	path := filepath.Join(t.TempDir(), "neo.db")
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := driver.OpenConn(path, driver.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, query := range []string{"PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"} {
		stmt, err := other.Prepare(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stmt.Step(); err != nil {
			t.Fatal(err)
		}
		if err := stmt.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sqlite.Open(t.Context(), path, store.Waiting{Limit: time.Second}); !sqlite.Busy(err) {
		t.Errorf("not busy: %v", err)
	}
	for _, err := range []error{nil, errors.New("x"), syscall.ENOSPC} {
		if sqlite.Busy(err) {
			t.Errorf("busy: %v", err)
		}
	}
}

func TestOpen_saysWhomItWaitsForAndGivesUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 2)
	wait := store.Waiting{Limit: 3 * time.Second, Notify: func(what string) { said <- what }}
	_, err = sqlite.Open(t.Context(), path, wait)
	if held := (*store.HeldError)(nil); !errors.As(err, &held) || !strings.Contains(err.Error(), path+".lock") {
		t.Errorf("got error %v, want one that names the lock", err)
	}
	if len(said) != 1 || !strings.Contains(<-said, path+".lock") {
		t.Error("it has not said once what it waits for")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.Open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	unlock()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A database that is open and that another process writes to for too long is waited for
// no longer, by whatever changes it, than a start waits.
func TestChange_saysWhomItWaitsForAndGivesUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	said := make(chan string, 2)
	s, err := sqlite.Open(t.Context(), path, store.Waiting{Limit: store.NotifyAfter + 300*time.Millisecond, Notify: func(what string) { said <- what }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	other, err := raw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), `BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err = s.Record(t.Context(), login.Event{Action: "late"})
		if held := (*store.HeldError)(nil); !errors.As(err, &held) || !strings.Contains(err.Error(), path) || !sqlite.Busy(err) {
			t.Errorf("got error %v, want one that names the file", err)
		}
	}
	if len(said) != 1 || !strings.Contains(<-said, path) {
		t.Error("it has not said once what it waits for")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Record(ctx, login.Event{Action: "late"}); errors.As(err, new(*store.HeldError)) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want that of the context", err)
	}
	if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), login.Event{Action: "then"}); err != nil {
		t.Error(err)
	}
}

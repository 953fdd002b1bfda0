package sqlite_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	driver "zombiezen.com/go/sqlite"

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
	if _, err := sqlite.Open(t.Context(), path); !sqlite.Busy(err) {
		t.Errorf("not busy: %v", err)
	}
	for _, err := range []error{nil, errors.New("x"), syscall.ENOSPC} {
		if sqlite.Busy(err) {
			t.Errorf("busy: %v", err)
		}
	}
}

package sqlite

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"neoapi/internal/login"
)

// A kill cannot show what a power cut would lose; what the store flushes can.
func openForFlush(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "neo.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, path
}

func unflushed(s *Store) uint64 {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.last.Load() - s.log.synced
}

func TestFlush_isOfTheLogThatIsWritten(t *testing.T) {
	t.Parallel()
	s, path := openForFlush(t)
	if err := s.Record(t.Context(), login.Event{Action: "here"}); err != nil {
		t.Fatal(err)
	}
	flushed, err := s.log.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(flushed, log) || log.Size() == 0 {
		t.Errorf("the log has %d bytes and is the flushed file: %t", log.Size(), os.SameFile(flushed, log))
	}
	err = s.scan(t.Context(), func(c *sqlite.Conn) error { return exec(c, "DELETE FROM events") })
	if err == nil {
		t.Error("a connection that only reads has written")
	}
	var mode string
	err = s.scan(t.Context(), func(c *sqlite.Conn) error {
		return one(c, func(r *row) error { mode = r.text(); return nil }, "PRAGMA journal_mode")
	})
	if err != nil || mode != "wal" {
		t.Errorf("the journal is %q, %v", mode, err)
	}
}

func TestFlush_ofWhatEndsSomethingComesBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	s, _ := openForFlush(t)
	ctx, now := t.Context(), time.Now()
	view := login.Session{SID: "sid", Kind: login.View, Account: "a", Consumer: "c", Incarnation: "i", ViewID: "v", Issued: now, Expires: now.Add(time.Hour)}
	claim := login.Claim{SID: "sid", Account: "a", Consumer: "c", Incarnation: "i", ViewID: "v", ID: "claim", Now: now, Lease: time.Second, MaxTries: 3}
	done := view
	done.Kind, done.TradeID = login.Trade, "t"
	account := login.Account{ID: "a", UCC: "U", UserID: "u", Mobile: "m"}
	for _, step := range []struct {
		name string
		now  bool
		do   func() error
	}{
		{"AddAccount", true, func() error { return s.AddAccount(ctx, account, login.Event{}) }},
		{"SetHash", true, func() error { return s.SetHash(ctx, "a", login.Password, "", "hash") }},
		{"AddConsumer", true, func() error {
			return s.AddConsumer(ctx, login.Consumer{Key: "c", Incarnation: "i", SecretHash: []byte("h")}, login.Event{})
		}},
		{"AddFirstSigningKey", true, func() error { return s.AddFirstSigningKey(ctx, login.SigningKey{ID: "k", Sealed: []byte("s")}) }},
		{"OpenView", false, func() error { return s.OpenView(ctx, view, 1, "", login.Event{}) }},
		{"Claim", false, func() error { _, _, err := s.Claim(ctx, claim); return err }},
		{"Complete", false, func() error { return s.Complete(ctx, "claim", done, login.Event{}) }},
		{"End", true, func() error { return s.End(ctx, "sid", "t", login.Event{}) }},
		{"Record", false, func() error { return s.Record(ctx, login.Event{}) }},
		{"OpenView", false, func() error { return s.OpenView(ctx, view, 0, "", login.Event{}) }},
		{"Revoke", true, func() error { return s.Revoke(ctx, "a", "", login.Event{}) }},
		{"RemoveAccount", true, func() error { return s.RemoveAccount(ctx, "a", login.Event{}) }},
		{"RemoveConsumer", true, func() error { return s.RemoveConsumer(ctx, "c", login.Event{}) }},
	} {
		before := s.log.last.Load()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if s.log.last.Load() == before {
			t.Errorf("%s wrote nothing", step.name)
		}
		if left := unflushed(s); step.now && left != 0 {
			t.Errorf("%s leaves %d transactions unflushed", step.name, left)
		}
	}
}

func TestFlush_ofTheRestComesSoon(t *testing.T) {
	t.Parallel()
	s, _ := openForFlush(t)
	if err := s.Record(t.Context(), login.Event{}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); unflushed(s) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody flushes")
		}
	}
}

func TestClose_flushesWhatIsLeft(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "neo.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), login.Event{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := unflushed(s); left != 0 {
		t.Errorf("%d transactions are not flushed", left)
	}
}

func TestFlush_coversAllCallersAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := openForFlush(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := s.Unlock(t.Context(), "nobody", login.Event{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left := unflushed(s); left != 0 || s.log.last.Load() != 50 {
		t.Errorf("of %d transactions %d are not flushed", s.log.last.Load(), left)
	}
}

func TestFlush_failureStopsFurtherChanges(t *testing.T) {
	t.Parallel()
	s, _ := openForFlush(t)
	if err := s.log.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(t.Context(), "nobody", login.Event{}); err == nil {
		t.Error("a change was acknowledged that is not on disk")
	}
	if err := s.Record(t.Context(), login.Event{}); err == nil {
		t.Error("a change was taken after a failed flush")
	}
}

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

func TestTheFileThatIsFlushedIsTheLogThatIsWritten(t *testing.T) {
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
	err = s.view(t.Context(), func(c *sqlite.Conn) error { return exec(c, "DELETE FROM events") })
	if err == nil {
		t.Error("a connection that only reads has written")
	}
	var mode string
	err = s.view(t.Context(), func(c *sqlite.Conn) error {
		return one(c, func(r *row) error { mode = r.text(); return nil }, "PRAGMA journal_mode")
	})
	if err != nil || mode != "wal" {
		t.Errorf("the journal is %q, %v", mode, err)
	}
}

func TestWhatACallerIsToldOfIsFlushedFirst(t *testing.T) {
	s, _ := openForFlush(t)
	ctx, now := t.Context(), time.Now()
	view := login.Session{SID: "sid", Kind: login.View, Account: "a", Consumer: "c", ViewID: "v", Issued: now, Expires: now.Add(time.Hour)}
	claim := login.Claim{SID: "sid", Account: "a", Consumer: "c", ViewID: "v", ID: "claim", Now: now, Lease: time.Second, MaxTries: 3, RepeatFor: time.Minute}
	done := view
	done.Kind, done.TradeID, done.Repeat = login.Trade, "t", []byte("repeat")
	for _, step := range []struct {
		name string
		do   func() error
		left uint64
	}{
		{"OpenView", func() error { return s.OpenView(ctx, view, 1, login.Event{}) }, 0},
		{"SetOTP", func() error {
			_, err := s.SetOTP(ctx, login.NewOTP{SID: "sid", Hash: []byte("h"), Now: now, Expires: now.Add(time.Hour), PerHour: 9})
			return err
		}, 0},
		{"Claim, which is flushed with what follows it", func() error { _, err := s.Claim(ctx, claim); return err }, 1},
		{"Fail", func() error { return s.Fail(ctx, "sid", "claim", login.Event{}) }, 0},
		{"Claim again", func() error { _, err := s.Claim(ctx, claim); return err }, 1},
		{"Complete", func() error { return s.Complete(ctx, "claim", done, login.Event{}) }, 0},
		{"a wrong repeat, which counts a try", func() error {
			wrong := claim
			wrong.Repeat = []byte("guess")
			if _, err := s.Claim(ctx, wrong); err != login.ErrNotFound {
				t.Errorf("a wrong repeat gives %v", err)
			}
			return nil
		}, 0},
		{"End", func() error { return s.End(ctx, "sid", "t", login.Event{}) }, 0},
		{"Record", func() error { return s.Record(ctx, login.Event{}) }, 0},
	} {
		before := s.log.last.Load()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if s.log.last.Load() == before {
			t.Errorf("%s wrote nothing", step.name)
		}
		if left := unflushed(s); left != step.left {
			t.Errorf("%s leaves %d transactions unflushed, want %d", step.name, left, step.left)
		}
	}
}

func TestCallersAtOnceAreAllFlushed(t *testing.T) {
	s, _ := openForFlush(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := s.Record(t.Context(), login.Event{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left := unflushed(s); left != 0 || s.log.last.Load() != 50 {
		t.Errorf("of %d transactions %d are not flushed", s.log.last.Load(), left)
	}
}

func TestALogThatCannotBeFlushedFailsEveryChangeFromThenOn(t *testing.T) {
	s, _ := openForFlush(t)
	if err := s.log.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Record(t.Context(), login.Event{}); err == nil {
			t.Error("a change was acknowledged that is not on disk")
		}
	}
}

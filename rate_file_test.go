package neoapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/private"
)

// allowed returns how many of 40 tries at one moment a window lets out at ten a second.
// Before each, the rate file is spoilt; every second request is answered.
func allowed(t *testing.T, w *window, spoil func(i int)) (n int) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { // the clock stands
		for i := range 40 {
			spoil(i)
			ticket, left := w.take(&Client{}, 10)
			if left > 0 {
				continue
			}
			if n++; i%2 == 0 {
				w.answered(ticket)
			}
		}
	})
	return n
}

// Whatever becomes of the file that processes share, a process counts its own requests.
func TestRate_holdsWhateverBecomesOfTheSharedFile(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"nothing happens": func(string) error { return nil },
		"it is removed": func(path string) error {
			if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		},
		"it is emptied":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"it is old":         func(path string) error { return os.WriteFile(path, []byte{0, 0, 0, 0, 0, 0, 0, 1}, 0o600) },
		"it is cut short":   func(path string) error { return os.WriteFile(path, []byte{0, 0, 0}, 0o600) },
		"others may see it": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o666)) },
		"a directory is in its place": func(path string) error {
			return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700))
		},
		"its directory is removed": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		for _, files := range []int{1, 2} {
			w := &window{}
			var paths []string
			for i := range files {
				paths = append(paths, filepath.Join(t.TempDir(), "rates", "rate-"+string(rune('a'+i))))
				w.join(paths[i])
			}
			if n := allowed(t, w, func(i int) {
				if i == 0 { // there is something to spoil from the second on
					return
				}
				must.Do(t, spoil(paths[i%files]))
			}); n != 10 {
				t.Errorf("%s, %d files: %d requests in no time, want 10", name, files, n)
			}
		}
	}
}

// What others have sent is known from before, where the file has lost it.
func TestRate_knowsOthersRequestsThatTheFileHasLost(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		path := filepath.Join(t.TempDir(), "rate")
		mine, theirs := &window{}, &window{} // each stands for a process
		mine.join(path)
		theirs.join(path)
		synctest.Test(t, func(t *testing.T) {
			for range 9 {
				theirs.take(&Client{}, 10)
			}
			mine.take(&Client{}, 10) // sees them
			must.Do(t, lose(path))
			if _, left := mine.take(&Client{}, 10); left == 0 {
				t.Errorf("%s: an eleventh request goes out", name)
			}
			if _, left := theirs.take(&Client{}, 10); left == 0 {
				t.Errorf("%s: an eleventh request of the other process goes out", name)
			}
		})
	}
}

// A request counts once, also where another process has seen it on its way.
func TestRate_countsARequestOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rate")
	mine, theirs := &window{}, &window{}
	mine.join(path)
	theirs.join(path)
	synctest.Test(t, func(t *testing.T) {
		for i := range 5 {
			one, wait := mine.take(&Client{}, 10)
			two, waitToo := theirs.take(&Client{}, 10)
			if wait > 0 || waitToo > 0 {
				t.Fatalf("request %d of each has to wait", i+1)
			}
			mine.answered(one)
			theirs.answered(two)
		}
		if _, wait := mine.take(&Client{}, 10); wait == 0 {
			t.Error("an eleventh goes out")
		}
	})
}

// A directory that has several names is one: nobody waits for a file that he holds
// himself.
func TestRate_knowsAFileByAllItsNames(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	must.Do(t, errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, link), os.Symlink(real, filepath.Join(real, "again"))))
	there := filepath.Join(real, "rate-there")
	must.Do(t, errors.Join(os.WriteFile(there, nil, 0o600), os.Symlink(there, filepath.Join(dir, "rate-there"))))
	for name, paths := range map[string][]string{
		"a link to the directory":       {filepath.Join(real, "rate"), filepath.Join(link, "rate")},
		"the link first":                {filepath.Join(link, "rate-2"), filepath.Join(real, "rate-2")},
		"a link above":                  {filepath.Join(real, "new", "rate"), filepath.Join(link, "new", "rate")},
		"two links":                     {filepath.Join(real, "again", "again", "rate-3"), filepath.Join(link, "again", "rate-3")},
		"a link to the file":            {there, filepath.Join(dir, "rate-there")},
		"a directory that is not there": {filepath.Join(real, "a", "b", "rate"), filepath.Join(real, "a", "b", "..", "b", "rate")},
	} {
		w := &window{}
		for _, path := range paths {
			w.join(path)
		}
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			for range 3 {
				ticket, _ := w.take(&Client{}, 0)
				w.answered(ticket)
			}
			if d := time.Since(began); d > 0 {
				t.Errorf("%s: three requests waited %v for themselves", name, d)
			}
			other := &window{}
			other.join(paths[0])
			if other.take(&Client{}, 0); len(other.sent) != 4 {
				t.Errorf("%s: %d requests are known to others, want 3 and their own", name, len(other.sent))
			}
		})
	}
}

// Who holds the file for long, as a process does that was stopped, keeps others waiting
// for less than a second, however many requests they have, and no longer than their contexts let them.
func TestRate_waitsForAFileForAMomentOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rate")
	lockedByAnother(t, path)
	w := &window{}
	w.join(path)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := (&rate{10, w}).wait(ctx, &Client{}, ordinary)
		if d := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || d > 20*time.Millisecond {
			t.Errorf("after %v: %v, with 10 ms of patience", d, err)
		}
		for range 9 {
			ticket := must.Get((&rate{10, w}).wait(t.Context(), &Client{}, ordinary))(t)
			w.answered(ticket)
		}
		if d := time.Since(began); d >= time.Second {
			t.Errorf("ten requests took %v", d)
		}
	})
}

// lockedByAnother locks a rate file as another process would, for the rest of the test.
func lockedByAnother(t *testing.T, path string) {
	t.Helper()
	inside, done, out := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(out)
		_ = private.LockFile{Path: path}.Change(context.Background(), func(old []byte) []byte { close(inside); <-done; return old })
	}()
	<-inside
	t.Cleanup(func() { close(done); <-out })
}

package neoapi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
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
				if err := spoil(paths[i%files]); err != nil {
					t.Fatal(err)
				}
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
			if err := lose(path); err != nil {
				t.Fatal(err)
			}
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

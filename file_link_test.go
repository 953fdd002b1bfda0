package neoapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"neoapi/internal/must"
)

// aliases makes a session file with several names, by symbolic links.
func aliases(t *testing.T) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	if err := errors.Join(
		os.Mkdir(at("real"), 0o700), os.Mkdir(at("elsewhere"), 0o700), os.WriteFile(at("real", "session"), nil, 0o600),
		os.Symlink(at("real", "session"), at("elsewhere", "link")), os.Symlink(at("elsewhere", "link"), at("link-to-link")), os.Symlink(at("real"), at("directory")),
	); err != nil {
		t.Fatal(err)
	}
	return []string{at("real", "session"), at("elsewhere", "link"), at("link-to-link"), at("directory", "session")}
}

// Whatever name a session file is opened by, it has one lock, one last TOTP step and
// one count of requests.
func TestFileStore_isOneByAllItsNames(t *testing.T) {
	paths := aliases(t)
	for i, a := range paths {
		for j, b := range paths {
			first, second := fileStore(t, a), fileStore(t, b)
			unlock := must.Get(first.Lock(t.Context()))(t)
			soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			if unlock, err := second.Lock(soon); err == nil {
				t.Errorf("%s is locked, and %s is not", a, b)
				unlock()
			}
			cancel()
			step := int64(1000*i + j)
			if err := first.SaveStep(t.Context(), "AB1234", step); err != nil {
				t.Error(err)
			}
			if got, err := second.LastStep(t.Context(), "AB1234"); got != step || err != nil {
				t.Errorf("%s has step %d, %s has %d, %v", a, step, b, got, err)
			}
			unlock()
			one, err := first.RateFile("x")
			other, err2 := second.RateFile("x")
			if one != other || err != nil || err2 != nil {
				t.Errorf("%s counts in %s, %s in %s: %v, %v", a, one, b, other, err, err2)
			}
		}
	}
}

func TestFileStore_hasNoLockByALinkToNowhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "link")
	must.Do(t, os.Symlink("nowhere", path))
	if _, err := fileStore(t, path).Lock(t.Context()); !errors.Is(err, ErrInvalidInput) {
		t.Errorf("got %v", err)
	}
}

func TestKeeper_logsInOnceForAFileOfSeveralNames(t *testing.T) {
	srv, trail := keepServer(t)
	var wg sync.WaitGroup
	for _, path := range aliases(t) {
		k := keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: byPassword(srv.Account)})
		wg.Go(func() {
			if _, err := k.Session(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	trail.want(t, opened, 1)
}

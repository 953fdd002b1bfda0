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
	"neoapi/internal/private"
)

// aliases makes a session file with several names, by symbolic links.
func aliases(t *testing.T) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	if err := errors.Join(
		os.Mkdir(at("real"), 0o700), os.Mkdir(at("elsewhere"), 0o700), os.WriteFile(at("real", "session"), nil, 0o600),
		os.Symlink(at("real", "session"), at("elsewhere", "link")), os.Symlink(at("elsewhere", "link"), at("link-to-link")), os.Symlink(at("real"), at("directory")),
		os.Mkdir(at("real", "below"), 0o700), os.Symlink("../session", at("real", "below", "up")), os.Symlink(at("real", "below"), at("deep")),
	); err != nil {
		t.Fatal(err)
	}
	return []string{at("real", "session"), at("elsewhere", "link"), at("link-to-link"), at("directory", "session"), at("deep", "up")}
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

// A reader finds the session or none, and no fault of the file, whatever another process
// does to it, or to a link to it, between two of the reader's steps.
func TestFileStore_isReadWhileOthersReplaceAndRemoveIt(t *testing.T) {
	dir := t.TempDir()
	path, link, target := filepath.Join(dir, "session"), filepath.Join(dir, "link"), filepath.Join(dir, "target")
	f := fileStore(t, path)
	must.Do(t, fileStore(t, target).Save(t.Context(), kept))
	for name, try := range map[string]struct{ change, read func() error }{
		"a file": {
			func() error { return errors.Join(f.Save(t.Context(), kept), f.Clear(t.Context())) },
			func() error {
				_, err := f.Load(t.Context())
				if errors.Is(err, ErrNotLoggedIn) {
					return nil
				}
				return err
			},
		},
		"a link": {
			func() error { return errors.Join(os.Symlink(target, link), os.Remove(link)) },
			func() error { _, err := private.Resolve(link); return err },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error)
			go func() {
				var err error
				for range 400 {
					err = errors.Join(err, try.change())
				}
				ended <- err
			}()
			for {
				if err := try.read(); err != nil {
					t.Error(err)
				}
				select {
				case err := <-ended:
					must.Do(t, err)
					return
				default:
				}
			}
		})
	}
}

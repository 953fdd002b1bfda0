package neoapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// meanwhile has a login's MPIN take its time, in which something else happens.
func meanwhile(l Login, happens func(context.Context)) Login {
	answer := l.MPIN
	l.MPIN = func(ctx context.Context) (string, error) {
		happens(ctx)
		return answer(ctx)
	}
	return l
}

// inStore returns what is in a store.
func inStore(t *testing.T, store SessionStore) Session {
	t.Helper()
	return must.Get(store.Load(t.Context()))(t)
}

// A login takes as long as a person does, and neo login does not wait for it. What it
// has saved meanwhile is judged as what was there before.
func TestKeeper_leavesAnAccountsSessionThatCameWhileItLoggedIn(t *testing.T) {
	t.Parallel()
	srv, trail := keepServer(t, neoapitest.WithAccounts(1))
	one, other := people(t, srv)
	theirs := must.Get(keep(t, onClock(t, srv), KeepConfig{Login: byPassword(other.Account)}).Session(t.Context()))(t)
	elsewhere := theirs
	elsewhere.Environment, elsewhere.UCC = "prod", one.UCC
	for way, login := range ways {
		for what, comes := range map[string]Session{"another account's": theirs, "another service's": elsewhere} {
			srv.Advance(2 * totpPeriod * time.Second) // no code is used twice
			store := fileStore(t, filepath.Join(t.TempDir(), "session"))
			ended := trail.count("logout ok")
			k := keep(t, onClock(t, srv), KeepConfig{Store: store, Login: meanwhile(login(one), func(ctx context.Context) {
				if err := store.Save(ctx, comes); err != nil {
					t.Error(err)
				}
			})})
			if s, err := k.Session(t.Context()); !errors.Is(err, ErrInvalidInput) || s.Token != "" {
				t.Errorf("%s, %s: got %v, %v", way, what, s, err)
			}
			if now := inStore(t, store); now.Token != comes.Token {
				t.Errorf("%s: %s session was replaced by that of %s", way, what, now.UCC)
			}
			if _, ok := k.c.Session(); ok || trail.count("logout ok") != ended+1 {
				t.Errorf("%s, %s: the new session, which nobody has, goes on", way, what)
			}
		}
	}
}

func TestKeeper_replacesItsAccountsSessionThatCameWhileItLoggedIn(t *testing.T) {
	srv, _ := keepServer(t)
	theirs := must.Get(keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account)}).Session(t.Context()))(t)
	store := fileStore(t, filepath.Join(t.TempDir(), "session"))
	s, err := keep(t, keepClient(t, srv), KeepConfig{Store: store, Login: meanwhile(byPassword(srv.Account), func(ctx context.Context) {
		if err := store.Save(ctx, theirs); err != nil {
			t.Error(err)
		}
	})}).Session(t.Context())
	if err != nil || s.Token == theirs.Token || inStore(t, store).Token != s.Token {
		t.Errorf("got %v, %v", s, err)
	}
}

// What came meanwhile and cannot be read is nobody's to replace; the session is good.
func TestKeeper_leavesWhatItCannotReadThatCameWhileItLoggedIn(t *testing.T) {
	srv, _ := keepServer(t)
	path := filepath.Join(t.TempDir(), "session")
	text := []byte("my notes")
	k := keep(t, keepClient(t, srv), KeepConfig{Store: fileStore(t, path), Login: meanwhile(byPassword(srv.Account), func(context.Context) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Error(err)
		}
	})})
	if s, err := k.Session(t.Context()); err != nil || s.Token == "" {
		t.Errorf("got %v, %v", s, err)
	}
	if now, err := os.ReadFile(path); string(now) != string(text) {
		t.Errorf("the file now holds %q, %v", now, err)
	}
}

// Whoever logs in on the keeper's client beside it, the keeper's two factors are of one
// login, and its session is the account's own, with a UCC given or without.
func TestKeeper_bindsItsSecondFactorToItsFirst(t *testing.T) {
	t.Parallel()
	srv, _ := keepServer(t, neoapitest.WithAccounts(1))
	one, other := people(t, srv)
	beside := map[string]func(context.Context, *Client) error{
		"another login is pending": func(ctx context.Context, c *Client) error {
			return c.Login(ctx, Credentials{Mobile: other.Mobile, Password: other.Password, NoOTP: true})
		},
		"another login is done": func(ctx context.Context, c *Client) error { return logIn(ctx, c, other.Mobile, other.Account) },
		"another login by TOTP is pending": func(ctx context.Context, c *Client) error {
			return c.LoginTOTP(ctx, TOTP{Mobile: other.Mobile, UCC: other.UCC, Code: other.totp()})
		},
	}
	for way, login := range ways {
		for what, happens := range beside {
			srv.Advance(2 * totpPeriod * time.Second) // no code is used twice
			c := onClock(t, srv)
			k := keep(t, c, KeepConfig{Login: meanwhile(login(one), func(ctx context.Context) {
				if err := happens(ctx, c); err != nil {
					t.Error(err)
				}
			})})
			s, err := k.Session(t.Context())
			if now, _ := c.Session(); err != nil || s.UCC != one.UCC || now.Token != s.Token {
				t.Errorf("%s, %s: got %v, %v; current is that of %s", way, what, s, err, now.UCC)
			}
		}
	}
}

// After a failure a keeper rests as long as it or the service has said, and not until
// a time of a clock that was ahead and was set back.
func TestKeeper_restsNoLongerForAClockThatWasSetBack(t *testing.T) {
	for _, fault := range []string{"502", "rate_limit"} {
		srv, _ := keepServer(t)
		k := keep(t, onClock(t, srv), KeepConfig{Login: byPassword(srv.Account)})
		srv.SetTime(srv.Now().AddDate(60, 0, 0))
		srv.Fail(t, "login", fault, 1)
		_, err := k.Session(t.Context())
		first, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%s: got %v", fault, err)
		}
		srv.SetTime(srv.Now().AddDate(-60, 0, 0))
		_, err = k.Session(t.Context())
		again, ok := errors.AsType[*Error](err)
		if rest := max(first.RetryAfter, 5*time.Second); !ok || again.RetryAfter > rest || again.RetryAfter <= 0 {
			t.Fatalf("%s: got %v, want a rest of %v at most", fault, err, rest)
		}
		srv.Advance(again.RetryAfter)
		if _, err := k.Session(t.Context()); err != nil {
			t.Errorf("%s: after its rest: %v", fault, err)
		}
	}
}

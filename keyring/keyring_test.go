package keyring_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	zalando "github.com/zalando/go-keyring"

	"neoapi"
	"neoapi/keyring"
	"neoapi/neoapitest"
)

// start gives the test a keyring in memory, the library's own, and a cache
// directory: what the system's holds is nobody's business here.
func start(t *testing.T) {
	zalando.MockInit()
	dir := t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, dir)
	}
}

func TestKeyring_keepsEveryFieldOfASession(t *testing.T) {
	start(t)
	store := keyring.New("neoapi-test", "TESTYA24")
	if _, err := store.Load(t.Context()); !errors.Is(err, neoapi.ErrNotLoggedIn) {
		t.Fatal(err)
	}
	s := neoapi.Session{
		Token: strings.Repeat("a long token ", 60), SID: "sid", UCC: "TESTYA24", Environment: "prod", Consumer: "c",
		Caches: map[string]time.Time{"watchlist": time.Unix(1638271224, 0).UTC()}, ExpiresAt: time.Unix(4102444800, 0).UTC(),
	}
	if err := store.Save(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got, err := keyring.New("neoapi-test", "TESTYA24").Load(t.Context()); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%v: read back %v", err, got)
	}
	if _, err := keyring.New("neoapi-test", "OTHER").Load(t.Context()); !errors.Is(err, neoapi.ErrNotLoggedIn) {
		t.Errorf("another account: %v", err)
	}
	for range 2 {
		if err := store.Clear(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestKeyring_refusesWhatIsNoSessionAndLeavesIt(t *testing.T) {
	start(t)
	if err := zalando.Set("neoapi-test", "TESTYA24", "hunter2"); err != nil {
		t.Fatal(err)
	}
	_, err := keyring.New("neoapi-test", "TESTYA24").Load(t.Context())
	if !errors.Is(err, neoapi.ErrInvalidInput) || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	store := keyring.New("neoapi-test", "TESTYA24")
	for name, err := range map[string]error{
		"Save": store.Save(t.Context(), neoapi.Session{Token: "t"}), "Clear": store.Clear(t.Context()), "Writable": store.(neoapi.WritableStore).Writable(t.Context()),
	} {
		if !errors.Is(err, neoapi.ErrInvalidInput) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if kept, err := zalando.Get("neoapi-test", "TESTYA24"); err != nil || kept != "hunter2" {
		t.Errorf("it is %q, %v", kept, err)
	}
}

func TestKeyring_thatDoesNotWorkSaysSo(t *testing.T) {
	start(t)
	cause := errors.New("no keyring here")
	zalando.MockInitWithError(cause)
	store := keyring.New("neoapi-test", "TESTYA24")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, loaded := store.Load(t.Context())
	for name, err := range map[string]error{"Load": loaded, "Save": store.Save(t.Context(), neoapi.Session{Token: "t"}), "Clear": store.Clear(t.Context()), "Writable": store.(neoapi.WritableStore).Writable(t.Context())} {
		if !errors.Is(err, neoapi.ErrStore) || !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := store.Lock(ctx)
	_, loaded = store.Load(ctx)
	for name, err := range map[string]error{"Load": loaded, "Save": store.Save(ctx, neoapi.Session{Token: "t"}), "Clear": store.Clear(ctx), "Lock": err} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
	}
}

// One name in the keyring, two accounts.
func TestKeyring_sessionIsItsAccountsAlone(t *testing.T) {
	start(t)
	srv := neoapitest.NewServer(t, neoapitest.WithAccounts(1))
	store := keyring.New("neoapi-test", "me")
	session := func(mobile, ucc string) (neoapi.Session, error) {
		c, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret})
		if err != nil {
			t.Fatal(err)
		}
		k, err := c.Keep(neoapi.KeepConfig{Store: store, Login: neoapi.Login{
			Credentials: func(context.Context) (neoapi.Credentials, error) {
				return neoapi.Credentials{Mobile: mobile, Password: srv.Account.Password}, nil
			},
			MPIN: func(context.Context) (string, error) { return srv.Account.MPIN, nil }, UCC: ucc,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return k.Session(t.Context())
	}
	first, err := session(srv.Account.Mobile, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, ucc := range []string{"", "TEST000001"} {
		if s, err := session("+919900000001", ucc); !errors.Is(err, neoapi.ErrInvalidInput) || s.Token != "" {
			t.Errorf("another account got %v, %v", s, err)
		}
	}
	for _, ucc := range []string{"", srv.Account.UCC} {
		if s, err := session(srv.Account.Mobile, ucc); err != nil || s.Token != first.Token {
			t.Errorf("the same account got %v, %v", s, err)
		}
	}
	if _, err := zalando.Get("neoapi-test", "me (trial)"); !errors.Is(err, zalando.ErrNotFound) {
		t.Errorf("a trial is left behind: %v", err)
	}
}

func TestKeyring_isSharedByKeepers(t *testing.T) {
	start(t)
	srv := neoapitest.NewServer(t)
	var sids []string
	for range 2 {
		c, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey})
		if err != nil {
			t.Fatal(err)
		}
		k, err := c.Keep(neoapi.KeepConfig{
			Store: keyring.New("neoapi-test", srv.Account.UCC),
			Login: neoapi.Login{
				TOTPSeed: func(context.Context) (string, error) { return srv.Account.TOTPSeed, nil }, Mobile: srv.Account.Mobile, UCC: srv.Account.UCC,
				MPIN: func(context.Context) (string, error) { return srv.Account.MPIN, nil },
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sids = append(sids, s.SID)
	}
	if sids[0] != sids[1] {
		t.Error("each keeper has a session of its own")
	}
	store := keyring.New("neoapi-test", srv.Account.UCC).(neoapi.StepStore)
	if step, err := store.LastStep(t.Context(), srv.Account.UCC); err != nil || time.Since(time.Unix(step*30, 0)).Abs() > time.Hour {
		t.Errorf("the last TOTP step is %d, %v", step, err)
	}
}

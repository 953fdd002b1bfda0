package neoapi_test

import (
	"context"
	"errors"
	"testing"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

func TestGeneration_isThatOfTheSession(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	service, account := neoapi.Environment(srv.URL), srv.Account
	byPassword := must.Get(neoapi.New(neoapi.Config{Environment: service, ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret}))(t)
	if g := byPassword.Generation(); g != 0 {
		t.Errorf("before a login: %d", g)
	}
	must.Do(t, byPassword.Login(t.Context(), neoapi.Credentials{Mobile: account.Mobile, Password: account.Password}))
	must.Get(byPassword.Session2FA(t.Context(), account.MPIN))(t)
	if g := byPassword.Generation(); g != 1 {
		t.Errorf("by password: %d", g)
	}
	byKey := must.Get(neoapi.New(neoapi.Config{Environment: service, ConsumerKey: srv.ConsumerKey}))(t)
	must.Do(t, byKey.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: account.Mobile, UCC: account.UCC, Code: srv.TOTP(t)}))
	s := must.Get(byKey.ValidateMPIN(t.Context(), account.MPIN))(t)
	if g := byKey.Generation(); g != 3 {
		t.Errorf("by TOTP: %d", g)
	}
	s.Consumer = "" // it was opened with the key
	byToken := must.Get(neoapi.New(neoapi.Config{Environment: service, AccessToken: "token"}))(t)
	must.Do(t, byToken.Use(s))
	if g := byToken.Generation(); g != 2 {
		t.Errorf("with an access token: %d", g)
	}

	kept := must.Get(neoapi.New(neoapi.Config{Environment: service, ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret}))(t)
	keeper := must.Get(kept.Keep(neoapi.KeepConfig{Login: neoapi.Login{
		Credentials: func(context.Context) (neoapi.Credentials, error) {
			return neoapi.Credentials{Mobile: account.Mobile, Password: account.Password}, nil
		},
		MPIN: func(context.Context) (string, error) { return account.MPIN, nil },
	}}))(t)
	must.Get(keeper.Session(t.Context()))(t)
	if g := kept.Generation(); g != 1 {
		t.Errorf("a keeper's: %d", g)
	}
}

func TestGenerationOf_doesNotNeedTheSessionToBeTheClients(t *testing.T) {
	t.Parallel()
	byKey := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.PROD, ConsumerKey: "key"}))(t)
	byToken := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.PROD, AccessToken: "token"}))(t)
	password, totp := neoapi.Session{Token: "t", SID: "s"}, neoapi.Session{Token: "t", SID: "s", KType: "Trade"}
	for want, got := range map[int]int{1: byKey.GenerationOf(password), 2: byToken.GenerationOf(totp), 3: byKey.GenerationOf(totp)} {
		if got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}

func TestSessions_areWhereCallsGetTheirs(t *testing.T) {
	t.Parallel()
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.PROD, ConsumerKey: "key"}))(t)
	if _, err := c.Sessions().Session(t.Context()); !errors.Is(err, neoapi.ErrNotLoggedIn) {
		t.Error(err)
	}
	must.Do(t, c.Use(neoapi.Session{Token: "t", SID: "s"}))
	if s := must.Get(c.Sessions().Session(t.Context()))(t); s.Token != "t" {
		t.Error("the current session is another one")
	}
	k := must.Get(c.Keep(neoapi.KeepConfig{Login: neoapi.Login{
		Credentials: func(context.Context) (neoapi.Credentials, error) { return neoapi.Credentials{}, nil },
		MPIN:        func(context.Context) (string, error) { return "", nil },
	}}))(t)
	if c.Sessions() != neoapi.SessionSource(k) {
		t.Error("the keeper is not asked")
	}
}

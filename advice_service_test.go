package neoapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// readsWell checks that a failure of the real service is short, says nothing twice,
// and says what happened.
func readsWell(t *testing.T, what string, err error) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		t.Errorf("%s: got %v", what, err)
	case e.Message == "" || e.Retry == "":
		t.Errorf("%s: %v, retry %q", what, e, e.Retry)
	case tooLong(e):
		t.Errorf("%s: %d characters: %v", what, len([]rune(e.Message))+2+len([]rune(e.Hint)), e)
	case repeats(e.Message, e.Hint) != "":
		t.Errorf("%s: %q is said twice: %v", what, repeats(e.Message, e.Hint), e)
	}
	noCanary(t, err)
}

func TestAdvice_isOneForEveryFaultOfTheService(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	a := srv.Account
	creds := Credentials{Mobile: a.Mobile, Password: a.Password}
	second := func(t *testing.T, c *Client) { // an open login
		creds.NoOTP = true
		must.Do(t, c.Login(t.Context(), creds))
	}
	trade := func(t *testing.T, c *Client) {
		second(t, c)
		must.Get(c.Session2FA(t.Context(), a.MPIN))(t)
	}
	operations := map[string]struct {
		before func(*testing.T, *Client)
		call   func(context.Context, *Client) error
	}{
		opAccessToken: {nil, func(ctx context.Context, c *Client) error { _, err := c.AccessToken(ctx); return err }},
		opLogin:       {nil, func(ctx context.Context, c *Client) error { return c.Login(ctx, creds) }},
		opOTP:         {second, func(ctx context.Context, c *Client) error { return c.SendOTP(ctx) }},
		opSession2FA:  {second, func(ctx context.Context, c *Client) error { _, err := c.Session2FA(ctx, a.MPIN); return err }},
		opTOTPLogin: {nil, func(ctx context.Context, c *Client) error {
			return c.LoginTOTP(ctx, TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)})
		}},
		opLogout: {trade, func(ctx context.Context, c *Client) error { return c.Logout(ctx) }},
		"limits": {trade, func(ctx context.Context, c *Client) error { _, err := limits(ctx, c, WithRate(0)); return err }},
		"orders": {trade, func(ctx context.Context, c *Client) error { _, err := orders(ctx, c, WithRate(0)); return err }},
		opTOTPValidate: {func(t *testing.T, c *Client) {
			must.Do(t, c.LoginTOTP(t.Context(), TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)}))
		}, func(ctx context.Context, c *Client) error { _, err := c.ValidateMPIN(ctx, a.MPIN); return err }},
	}
	for op, o := range operations {
		c := must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1}))(t)
		for i, fault := range neoapitest.Faults() {
			row, _ := wire.Lookup(fault)
			if op == "orders" && (slices.Contains([]int{429, 503}, row.Status) || fault == "rate_limit") {
				continue // read elsewhere; here the client waits a second and asks again
			}
			if o.before != nil && (i == 0 || fault == "lost" || fault == "truncated") { // those two do what was asked for
				o.before(t, c)
			}
			if op != opAccessToken && op != opTOTPLogin && op != opTOTPValidate {
				if _, err := c.AccessToken(t.Context()); err != nil { // one may have been refused
					t.Fatal(err)
				}
			}
			srv.Fail(t, op, fault, 2)
			ctx, cancel := t.Context(), func() {}
			if fault == "hang" {
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			}
			err := o.call(ctx, c)
			cancel()
			srv.Works()
			if fault == wire.NoData.Code && err == nil {
				continue
			}
			readsWell(t, op+" "+fault, err)
			if secondFactor(op) && slices.Contains([]string{"lost", "truncated", "close", "hang", "empty", "null_data"}, fault) {
				if e, _ := errors.AsType[*Error](err); e.Retry != RetrySame || e.Hint == "" {
					t.Errorf("%s %s: %v, retry %q", op, fault, err, e.Retry)
				}
			}
		}
	}
}

// What the service says by itself, from wrong secrets to a missing OMS, reads well with
// the client's hints.
func TestAdvice_isOneForEveryRefusalOfTheService(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithAddressRate(12), neoapitest.WithOMSTimeout(50*time.Millisecond), neoapitest.WithAccounts(2))
	a := srv.Account
	client := func(key, secret string) *Client {
		return must.Get(New(Config{Environment: Environment(srv.URL), ConsumerKey: key, ConsumerSecret: secret}))(t)
	}
	ours := func() *Client { return client(srv.ConsumerKey, srv.ConsumerSecret) }
	creds := Credentials{Mobile: a.Mobile, Password: a.Password, NoOTP: true}
	check := func(what string, want Category, err error) *Error {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
		readsWell(t, what, err)
		t.Logf("%s: %v", what, err)
		e, _ := errors.AsType[*Error](err)
		return e
	}

	if e := check("a wrong consumer secret", ErrAccessToken, client(srv.ConsumerKey, "another-secret").Login(t.Context(), creds)); e.Op != opAccessToken || e.Code != "invalid_client" {
		t.Errorf("got %v", e)
	}
	check("an unknown consumer key", ErrAccessToken, client("nobody", "").LoginTOTP(t.Context(), TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: "000000"}))
	wrong := creds
	wrong.Password = "wrong-password"
	if e := check("a wrong password", ErrWrongCredentials, ours().Login(t.Context(), wrong)); e.Status != http.StatusUnauthorized || e.Code != "10020" || e.RequestID == "" {
		t.Errorf("got %v", e)
	}
	check("an unknown name", ErrWrongCredentials, ours().Login(t.Context(), Credentials{UserID: "nobody", Password: a.Password}))
	wrong = Credentials{UserID: a.UserID, MPIN: "000000", NoOTP: true}
	check("a wrong MPIN first", ErrWrongCredentials, ours().Login(t.Context(), wrong))
	check("a foreign number", ErrWrongCredentials, ours().Login(t.Context(), Credentials{Mobile: "+1 415 555 2671", Password: "wrong-password"}))
	check("a wrong TOTP", ErrWrongCredentials, ours().LoginTOTP(t.Context(), TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: "000000"}))
	stale := ours()
	stale.access = accessToken{token: "stale"}
	check("a stale access token", ErrAccessToken, stale.Login(t.Context(), creds))

	c := ours()
	withOTP := creds
	withOTP.NoOTP = false
	must.Do(t, c.Login(t.Context(), withOTP))
	check("a code too soon", ErrRateLimited, c.SendOTP(t.Context()))
	for _, what := range []string{"a wrong code", "a second wrong code", "the last wrong code", "one code more"} {
		_, err := c.Session2FA(t.Context(), "000000")
		check(what, ErrWrongOTP, err)
	}
	c = ours()
	must.Do(t, c.Login(t.Context(), Credentials{UserID: a.UserID, MPIN: a.MPIN, NoOTP: true}))
	_, err := c.Session2FA(t.Context(), a.MPIN)
	check("the MPIN twice", ErrWrongOTP, err)

	c = ours()
	must.Do(t, c.LoginTOTP(t.Context(), TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: srv.TOTP(t)}))
	for _, what := range []string{"a wrong MPIN", "a second wrong MPIN", "the last wrong MPIN"} {
		_, err = c.ValidateMPIN(t.Context(), "000000")
		check(what, ErrWrongMPIN, err)
	}

	c = ours()
	srv.Advance(time.Minute) // another code may be sent
	must.Do(t, c.Login(t.Context(), withOTP))
	code := srv.OTP(t)
	srv.BreakOMS()
	_, err = c.Session2FA(t.Context(), code)
	check("no OMS", ErrOMSDown, err)
	srv.HangOMS()
	_, err = c.Session2FA(t.Context(), code)
	check("an OMS that hangs", ErrTimeout, err)
	srv.MendOMS()
	session := must.Get(c.Session2FA(t.Context(), code))(t) // which the code still opens
	c.mu.Lock()
	used := view{token: session.Token, sid: session.SID, sub: "x", ids: map[string]string{}}
	c.view = &used
	c.mu.Unlock()
	_, err = c.Session2FA(t.Context(), a.MPIN)
	check("a trade token where the view token belongs", ErrWrongToken, err)

	check("no such path", ErrInvalidInput, c.Do(t.Context(), "GET", "/no/such/path", nil, nil))
	srv.EndSession(t, session.SID)
	_, err = orders(t.Context(), c)
	check("an ended session", ErrSessionEnded, err)
	check("an ended session, at logout", ErrSessionEnded, c.Logout(t.Context()))

	for range 20 { // of an account that nobody has, so that none is locked
		err = ours().Login(t.Context(), Credentials{UserID: "nobody", Password: "wrong-password"})
		if errors.Is(err, ErrRateLimited) {
			break
		}
	}
	check("too many wrong logins from an address", ErrRateLimited, err)
}

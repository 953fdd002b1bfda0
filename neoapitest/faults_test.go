package neoapitest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/apitest"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

func client(t *testing.T, srv *neoapitest.Server) *neoapi.Client {
	t.Helper()
	return must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1,
	}))(t)
}

// Every fault makes a login fail as its name says, as often as asked, and what
// comes after works again; the client reads each of them as one error.
func TestFault_happensAsOftenAsAskedAndNoMore(t *testing.T) {
	want := map[string]neoapi.Category{
		"10020": neoapi.ErrWrongCredentials, "70009": neoapi.ErrLocked, "900802": neoapi.ErrRateLimited, "502": neoapi.ErrOMSDown,
		"503": neoapi.ErrUnavailable, "504": neoapi.ErrTimeout, "html_502": neoapi.ErrUnavailable, "html_504": neoapi.ErrTimeout,
		"200_error": neoapi.ErrWrongCredentials, "fault": neoapi.ErrAccessToken, "rate_limit": neoapi.ErrRateLimited, "double": neoapi.ErrInvalidInput,
		"empty": neoapi.ErrBadAnswer, "redirect": neoapi.ErrBadAnswer, "close": neoapi.ErrNetwork, "hang": neoapi.ErrNetwork, "lost": neoapi.ErrNetwork,
	}
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	credentials := neoapi.Credentials{UserID: srv.Account.UserID, MPIN: srv.Account.MPIN, NoOTP: true}
	for _, fault := range neoapitest.Faults() {
		t.Run(fault, func(t *testing.T) {
			c := client(t, srv)
			srv.Fail(t, "login", fault, 2)
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if fault == "hang" { // the access token comes first, in its own time
					must.Get(c.AccessToken(ctx))(t)
					ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				}
				err := c.Login(ctx, credentials)
				cancel()
				var e *neoapi.Error
				if !errors.As(err, &e) || want[fault] != "" && !errors.Is(err, want[fault]) {
					t.Fatalf("got %v, want %q", err, want[fault])
				}
			}
			if err := c.Login(t.Context(), credentials); err != nil {
				t.Errorf("the third time: %v", err)
			}
		})
	}
}

func TestWorks_forgetsWhatHasNotHappened(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	srv.Fail(t, "login", "500", 10)
	srv.Works()
	if err := client(t, srv).Login(t.Context(), neoapi.Credentials{UserID: srv.Account.UserID, MPIN: srv.Account.MPIN, NoOTP: true}); err != nil {
		t.Error(err)
	}
}

func TestServer_endsASessionAndSetsItsClock(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	nine := time.Date(2026, time.November, 24, 3, 45, 0, 0, time.UTC) // 09:15 IST
	srv.SetTime(nine)
	c := client(t, srv)
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{UserID: srv.Account.UserID, Password: srv.Account.Password, NoOTP: true}))
	session := must.Get(c.Session2FA(t.Context(), srv.Account.MPIN))(t)
	if d := session.IssuedAt.Sub(nine); d < 0 || d > time.Minute {
		t.Errorf("issued at %s", session.IssuedAt)
	}
	srv.EndSession(t, session.SID)
	if err := c.Logout(t.Context()); !errors.Is(err, neoapi.ErrSessionEnded) {
		t.Errorf("got %v", err)
	}
}

// The sandbox's faults over HTTP, as a client in any language makes them.
func TestFault_isSetOverHTTP(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	hc := &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	call := func(method, body string, status int) string {
		t.Helper()
		req := must.Get(http.NewRequest(method, srv.URL+"/sandbox/faults", strings.NewReader(body)))(t)
		req.Header.Set("Content-Type", "application/json")
		resp := must.Get(hc.Do(req))(t)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status {
			t.Fatalf("%s %s: %d %s %v", method, body, resp.StatusCode, text, err)
		}
		return string(text)
	}
	login := func() error {
		return client(t, srv).Login(t.Context(), neoapi.Credentials{UserID: srv.Account.UserID, MPIN: srv.Account.MPIN, NoOTP: true})
	}
	call("POST", `{"op":"login","fault":"html_502","times":2}`, 200)
	if text := call("GET", "", 200); !strings.Contains(text, `"pending":[{"op":"login","fault":"html_502","times":2}]`) {
		t.Errorf("pending: %s", text)
	}
	if err := login(); !errors.Is(err, neoapi.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	call("DELETE", "", 200)
	if err := login(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{`{"op":"nothing","fault":"500"}`, `{"op":"login","fault":"nothing"}`, `{"op":"login","fault":"500","times":0}`,
		`{"op":"login","fault":"500","times":"many"}`, `{}`} {
		call("POST", bad, 400)
	}
	call("PUT", "", 405)
}

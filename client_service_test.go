package neoapi_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/apitest"
	"neoapi/internal/must"
	"neoapi/neoapitest"
)

// newClient makes a client of the service; without an http.Client its exchanges
// are held against the OpenAPI description.
func newClient(t *testing.T, srv *neoapitest.Server, hc *http.Client) *neoapi.Client {
	t.Helper()
	if hc == nil {
		hc = &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	}
	return must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, HTTPClient: hc,
		Rate: -1, // the service has none here
	}))(t)
}

func wantError(t *testing.T, err error, want neoapi.Category) *neoapi.Error {
	t.Helper()
	var e *neoapi.Error
	if !errors.Is(err, want) || !errors.As(err, &e) {
		t.Fatalf("got %v, want %v", err, want)
	}
	return e
}

// checkTrade fails the test unless s is a whole trade session of the demo account.
func checkTrade(t *testing.T, srv *neoapitest.Server, s neoapi.Session) {
	t.Helper()
	if s.UCC != srv.Account.UCC || s.GreetingName != srv.Account.GreetingName || s.SID == "" || s.RID == "" || s.HSServerID == "" || len(s.Caches) == 0 {
		t.Errorf("the session is not whole: %v", s)
	}
	if life := s.ExpiresAt.Sub(s.IssuedAt); life != time.Hour {
		t.Errorf("the session lives %v, want the original document's hour", life)
	}
}

func TestLogin_opensASessionInEveryWay(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	a := srv.Account
	tests := []struct {
		name string
		cr   neoapi.Credentials
		mpin bool // the second factor
	}{
		{"mobile number, password, OTP", neoapi.Credentials{Mobile: a.Mobile, Password: a.Password}, false},
		{"ten digits, password, OTP", neoapi.Credentials{Mobile: strings.TrimPrefix(a.Mobile, "+91"), Password: a.Password}, false},
		{"user id, password, OTP", neoapi.Credentials{UserID: a.UserID, Password: a.Password}, false},
		{"PAN in small letters, password, OTP", neoapi.Credentials{PAN: strings.ToLower(a.PAN), Password: a.Password}, false},
		{"mobile number, MPIN, OTP", neoapi.Credentials{Mobile: a.Mobile, MPIN: a.MPIN}, false},
		{"mobile number, password, MPIN", neoapi.Credentials{Mobile: a.Mobile, Password: a.Password, NoOTP: true}, true},
		{"PAN, password, MPIN", neoapi.Credentials{PAN: a.PAN, Password: a.Password, NoOTP: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, srv, nil)
			must.Do(t, c.Login(t.Context(), tt.cr))
			code := a.MPIN
			if !tt.mpin {
				code = srv.OTP(t)
			}
			session := must.Get(c.Session2FA(t.Context(), code))(t)
			checkTrade(t, srv, session)
			must.Do(t, c.Logout(t.Context()))
		})
	}
}

func TestLoginTOTP_opensASessionWithTheMPIN(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	totp := neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}
	must.Do(t, c.LoginTOTP(t.Context(), totp))
	_, err := c.ValidateMPIN(t.Context(), wrong(srv.Account.MPIN))
	wantError(t, err, neoapi.ErrWrongMPIN)
	session := must.Get(c.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
	checkTrade(t, srv, session)
	// The same step twice: the client says so by itself, and another's client hears it from the service.
	if e := wantError(t, c.LoginTOTP(t.Context(), totp), neoapi.ErrInvalidInput); e.Status != 0 || e.Retry != neoapi.RetryNewCode || !strings.Contains(e.Message, "already been used") || strings.Contains(e.Error(), "invalid") {
		t.Errorf("got %v", e)
	}
	wantError(t, newClient(t, srv, nil).LoginTOTP(t.Context(), totp), neoapi.ErrWrongCredentials)
}

// wrong returns another code of the same length.
func wrong(code string) string {
	return string('0'+(code[0]-'0'+1)%10) + code[1:]
}

func TestSendOTP_tooEarlySaysHowLongToWait(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
	first := srv.OTP(t)
	e := wantError(t, c.SendOTP(t.Context()), neoapi.ErrRateLimited)
	if e.RetryAfter <= 0 || e.RetryAfter > 30*time.Second {
		t.Errorf("wait %v, want up to 30 s (security.md O6)", e.RetryAfter)
	}
	srv.Advance(e.RetryAfter)
	if err := c.SendOTP(t.Context()); err != nil {
		t.Fatalf("after waiting exactly that long: %v", err)
	}
	second := srv.OTP(t)
	if first == second {
		t.Fatal("the second code is the first one")
	}
	must.Get(c.Session2FA(t.Context(), second))(t)
}

func TestLogout_endsTheSession(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
	session := must.Get(c.Session2FA(t.Context(), srv.OTP(t)))(t)
	data := must.Get(session.Export())(t)
	saved := must.Get(neoapi.ParseSession(data))(t)
	other := newClient(t, srv, nil) // as another program, such as neo logout
	must.Do(t, other.Use(saved))
	must.Do(t, other.Logout(t.Context()))
	wantError(t, other.Logout(t.Context()), neoapi.ErrNotLoggedIn)
	wantError(t, c.Logout(t.Context()), neoapi.ErrSessionEnded)
}

func TestSession2FA_givesTheSameSessionAfterABrokenConnection(t *testing.T) {
	srv := neoapitest.NewServer(t)
	for _, fault := range []string{"lost", "truncated"} {
		c := newClient(t, srv, &http.Client{})
		must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
		code := srv.OTP(t)
		srv.Fail(t, "session_2fa", fault, 2)
		_, err := c.Session2FA(t.Context(), code)
		lost := wantError(t, err, neoapi.ErrNetwork)
		_, err = c.Session2FA(t.Context(), code)
		if again := wantError(t, err, neoapi.ErrNetwork); again.RequestID != lost.RequestID {
			t.Errorf("%s: the request ids are %s and %s", fault, lost.RequestID, again.RequestID)
		}
		session := must.Get(c.Session2FA(t.Context(), code))(t)
		checkTrade(t, srv, session)
		if current, ok := c.Session(); !ok || !reflect.DeepEqual(current, session) {
			t.Errorf("%s: the session is not the current one", fault)
		}
		srv.Advance(31 * time.Second) // another code may be sent
	}
}

func TestSession2FA_opensOneSessionForManyCallers(t *testing.T) {
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
	code := srv.OTP(t)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		tokens = map[string]bool{}
	)
	for range 8 {
		wg.Go(func() {
			session, err := c.Session2FA(t.Context(), code)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				tokens[session.Token] = true
			case !errors.Is(err, neoapi.ErrRateLimited) && !errors.Is(err, neoapi.ErrNotLoggedIn):
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if len(tokens) != 1 {
		t.Errorf("%d sessions were opened, want 1", len(tokens))
	}
}

// A service that was set up again knows neither the session nor the access token that
// came with it: only another login helps.
func TestDiagnose_saysToLogInAgainForAForgottenSession(t *testing.T) {
	t.Parallel()
	before, after := neoapitest.NewServer(t), neoapitest.NewServer(t)
	a := before.Account
	byPassword := newClient(t, before, nil)
	byTOTP := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(before.URL), ConsumerKey: before.ConsumerKey}))(t)
	must.Do(t, byPassword.Login(t.Context(), neoapi.Credentials{Mobile: a.Mobile, Password: a.Password, NoOTP: true}))
	session := must.Get(byPassword.Session2FA(t.Context(), a.MPIN))(t)
	access := must.Get(byPassword.AccessToken(t.Context()))(t)
	must.Do(t, byTOTP.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: before.TOTP(t)}))
	third := must.Get(byTOTP.ValidateMPIN(t.Context(), a.MPIN))(t)
	for name, test := range map[string]struct {
		secret, access string
		session        neoapi.Session
	}{
		"with its access token":    {"", access, session},
		"with the consumer secret": {after.ConsumerSecret, "", session},
		"by TOTP":                  {"", "", third},
	} {
		test.session.Environment, test.session.BaseURL = after.URL, "" // at the same address
		found := neoapi.Diagnose(t.Context(), neoapi.Config{
			Environment: neoapi.Environment(after.URL), ConsumerKey: after.ConsumerKey, ConsumerSecret: test.secret, AccessToken: test.access,
		}, neoapi.Subject{Session: test.session})
		said := ""
		for _, f := range found {
			if f.Check == "session" && f.Verdict == neoapi.VerdictFailed {
				said = f.Detail + " / " + f.Hint
			} else if f.Verdict == neoapi.VerdictFailed {
				t.Errorf("%s: %s failed: %s", name, f.Check, f.Detail)
			}
		}
		if !strings.Contains(said, "log in again") {
			t.Errorf("%s: %q does not say to log in again", name, said)
		}
	}
}

package neoapi_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/apitest"
	"neoapi/neoapitest"
)

// newClient makes a client of the service; without an http.Client its exchanges
// are held against the OpenAPI description.
func newClient(t *testing.T, srv *neoapitest.Server, hc *http.Client) *neoapi.Client {
	t.Helper()
	if hc == nil {
		hc = &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	}
	c, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, HTTPClient: hc,
		Rate: -1, // the service has none here
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
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

func TestEveryWayOfLoggingInOpensASession(t *testing.T) {
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
			if err := c.Login(t.Context(), tt.cr); err != nil {
				t.Fatal(err)
			}
			code := a.MPIN
			if !tt.mpin {
				code = srv.OTP(t)
			}
			session, err := c.Session2FA(t.Context(), code)
			if err != nil {
				t.Fatal(err)
			}
			checkTrade(t, srv, session)
			if err := c.Logout(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTOTPAndMPINOpenASession(t *testing.T) {
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	totp := neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}
	if err := c.LoginTOTP(t.Context(), totp); err != nil {
		t.Fatal(err)
	}
	_, err := c.ValidateMPIN(t.Context(), wrong(srv.Account.MPIN))
	wantError(t, err, neoapi.ErrWrongMPIN)
	session, err := c.ValidateMPIN(t.Context(), srv.Account.MPIN)
	if err != nil {
		t.Fatal(err)
	}
	checkTrade(t, srv, session)
	// The same step twice: the client says so by itself, and another's client hears it from the service.
	if e := wantError(t, c.LoginTOTP(t.Context(), totp), neoapi.ErrInvalidInput); e.Status != 0 || e.Retry != neoapi.RetryNewCode || !strings.Contains(e.Message, "already been used") {
		t.Errorf("got %v", e)
	}
	wantError(t, newClient(t, srv, nil).LoginTOTP(t.Context(), totp), neoapi.ErrWrongCredentials)
}

// wrong returns another code of the same length.
func wrong(code string) string {
	return string('0'+(code[0]-'0'+1)%10) + code[1:]
}

func TestWrongSecretsAreToldApart(t *testing.T) {
	srv := neoapitest.NewServer(t)
	a := srv.Account
	c := newClient(t, srv, nil)
	e := wantError(t, c.Login(t.Context(), neoapi.Credentials{UserID: a.UserID, Password: "not it"}), neoapi.ErrWrongCredentials)
	if e.Status != http.StatusUnauthorized || e.Code != "10020" || e.RequestID == "" {
		t.Errorf("got %v", e)
	}
	wantError(t, c.Login(t.Context(), neoapi.Credentials{UserID: "nobody", Password: a.Password}), neoapi.ErrWrongCredentials)
	if err := c.Login(t.Context(), neoapi.Credentials{UserID: a.UserID, Password: a.Password}); err != nil {
		t.Fatal(err)
	}
	code := srv.OTP(t)
	_, err := c.Session2FA(t.Context(), wrong(code))
	wantError(t, err, neoapi.ErrWrongOTP)
	if _, err = c.Session2FA(t.Context(), code); err != nil {
		t.Fatal(err)
	}

	stranger, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: "not it"})
	if err != nil {
		t.Fatal(err)
	}
	e = wantError(t, stranger.Login(t.Context(), neoapi.Credentials{UserID: a.UserID, Password: a.Password}), neoapi.ErrAccessToken)
	if e.Op != "access_token" || e.Code != "invalid_client" {
		t.Errorf("got %v", e)
	}
}

func TestResendTooEarlySaysHowLongToWait(t *testing.T) {
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
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
	if _, err := c.Session2FA(t.Context(), second); err != nil {
		t.Fatal(err)
	}
}

func TestLoggedOutSessionHasEnded(t *testing.T) {
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	session, err := c.Session2FA(t.Context(), srv.OTP(t))
	if err != nil {
		t.Fatal(err)
	}
	data, err := session.Export()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := neoapi.ParseSession(data)
	if err != nil {
		t.Fatal(err)
	}
	other := newClient(t, srv, nil) // as another program, such as neo logout
	if err := other.Use(saved); err != nil {
		t.Fatal(err)
	}
	if err := other.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantError(t, other.Logout(t.Context()), neoapi.ErrNotLoggedIn)
	wantError(t, c.Logout(t.Context()), neoapi.ErrSessionEnded)
}

func TestOMSFailureLeavesTheCodeUsable(t *testing.T) {
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	code := srv.OTP(t)
	srv.BreakOMS()
	_, err := c.Session2FA(t.Context(), code)
	wantError(t, err, neoapi.ErrOMSDown)
	srv.MendOMS()
	session, err := c.Session2FA(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	checkTrade(t, srv, session)
}

// losing sends every request, and loses the answer when it is told to.
type losing struct{ now atomic.Bool }

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && l.now.Load() {
		resp.Body.Close()
		return nil, errors.New("the connection broke")
	}
	return resp, err
}

func TestSameCodeAfterABrokenConnectionGivesTheSameSession(t *testing.T) {
	srv := neoapitest.NewServer(t)
	var line losing
	c := newClient(t, srv, &http.Client{Transport: &line})
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	code := srv.OTP(t)
	line.now.Store(true)
	_, err := c.Session2FA(t.Context(), code)
	lost := wantError(t, err, neoapi.ErrNetwork)
	_, err = c.Session2FA(t.Context(), code)
	if again := wantError(t, err, neoapi.ErrNetwork); again.RequestID != lost.RequestID {
		t.Errorf("the request ids are %s and %s", lost.RequestID, again.RequestID)
	}
	line.now.Store(false)
	session, err := c.Session2FA(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	checkTrade(t, srv, session)
	if current, ok := c.Session(); !ok || !reflect.DeepEqual(current, session) {
		t.Error("the session is not the current one")
	}
}

func TestOneCodeFromManyCallersOpensOneSession(t *testing.T) {
	srv := neoapitest.NewServer(t)
	c := newClient(t, srv, nil)
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
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
func TestDiagnoseOfAForgottenSessionSaysToLogInAgain(t *testing.T) {
	before, after := neoapitest.NewServer(t), neoapitest.NewServer(t)
	a := before.Account
	byPassword := newClient(t, before, nil)
	byTOTP, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(before.URL), ConsumerKey: before.ConsumerKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := byPassword.Login(t.Context(), neoapi.Credentials{Mobile: a.Mobile, Password: a.Password, NoOTP: true}); err != nil {
		t.Fatal(err)
	}
	session, err := byPassword.Session2FA(t.Context(), a.MPIN)
	if err != nil {
		t.Fatal(err)
	}
	access, err := byPassword.AccessToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := byTOTP.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: a.Mobile, UCC: a.UCC, Code: before.TOTP(t)}); err != nil {
		t.Fatal(err)
	}
	third, err := byTOTP.ValidateMPIN(t.Context(), a.MPIN)
	if err != nil {
		t.Fatal(err)
	}
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

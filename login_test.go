package neoapi

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

func TestLogin_sendsWhatTheFieldsClientsSend(t *testing.T) {
	tests := []struct {
		name string
		cr   Credentials
		want map[string]any
	}{
		{"ten digits get the Indian prefix", Credentials{Mobile: "9999999908", Password: "p"}, map[string]any{"mobileNumber": "+919999999908", "password": "p"}},
		{"a number with its plus goes as it is", Credentials{Mobile: "+4915112345678", Password: "p"}, map[string]any{"mobileNumber": "+4915112345678", "password": "p"}},
		{"spaces and dashes in a number are dropped", Credentials{Mobile: " +91 99999-99908 ", Password: "p"}, map[string]any{"mobileNumber": "+919999999908", "password": "p"}},
		{"brackets, dots, 00 and tel: are as clear as a plus", Credentials{Mobile: "tel:(0091) (0) 99999.99908", Password: "p"}, map[string]any{"mobileNumber": "+919999999908", "password": "p"}},
		{"a foreign number stays one", Credentials{Mobile: "+44\u00a0(0)7911\u2011123456", Password: "p"}, map[string]any{"mobileNumber": "+447911123456", "password": "p"}},
		{"a PAN with blanks and a line end", Credentials{PAN: "\ufeffAVRFT 7865\u00a0T\n", Password: "p"}, map[string]any{"pan": "AVRFT7865T", "password": "p"}},
		{"an MPIN in full-width digits", Credentials{UserID: "u\u200b", MPIN: "７３６ ２５１"}, map[string]any{"userid": "u", "mpin": canaryMPIN}},
		{"a PAN goes in capitals", Credentials{PAN: "avrft7865t", Password: "p"}, map[string]any{"pan": "AVRFT7865T", "password": "p"}},
		{"a user id goes as userid", Credentials{UserID: "asfdywgsiqwjnskm", Password: "p"}, map[string]any{"userid": "asfdywgsiqwjnskm", "password": "p"}},
		{"an MPIN goes in place of the password", Credentials{UserID: "u", MPIN: canaryMPIN}, map[string]any{"userid": "u", "mpin": canaryMPIN}},
		{"a password may have any characters", Credentials{UserID: "u", Password: "<&>\" ß\n"}, map[string]any{"userid": "u", "password": "<&>\" ß\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			must.Do(t, s.client(t).Login(t.Context(), tt.cr))
			login, otp := s.seen(opLogin)[0], s.seen(opOTP)[0]
			if got := login.json(t); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("login sends %v, want %v", got, tt.want)
			}
			if h := login.header; h.Get("Authorization") != "Bearer "+canaryAccess || h.Get("Sid") != "" || h.Get("Auth") != "" || h.Get("Content-Type") != "application/json" {
				t.Errorf("login sends the headers %v", h)
			}
			if got, want := otp.json(t), (map[string]any{"userId": "0b9f9a3c-user", "sendEmail": true, "isWhitelisted": true}); !reflect.DeepEqual(got, want) {
				t.Errorf("otp sends %v, want %v", got, want)
			}
			if h := otp.header; h.Get("Authorization") != "Bearer "+canaryAccess || h.Get("Sid") != "sid-1" || h.Get("Auth") != "" {
				t.Errorf("otp sends the headers %v", h)
			}
		})
	}
}

func TestClient_refusesBadInputWithoutSending(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	login := func(cr Credentials) func() error { return func() error { return c.Login(t.Context(), cr) } }
	totp := func(v TOTP) func() error { return func() error { return c.LoginTOTP(t.Context(), v) } }
	code := func(code string) func() error {
		return func() error { _, err := c.Session2FA(t.Context(), code); return err }
	}
	mpin := func(code string) func() error {
		return func() error { _, err := c.ValidateMPIN(t.Context(), code); return err }
	}
	tests := []struct {
		name string
		call func() error
		want []string
	}{
		{"no identifier and no secret, both named", login(Credentials{}), []string{"one of Mobile", "one of Password"}},
		{"two identifiers", login(Credentials{Mobile: "9999999908", UserID: "u", Password: "p"}), []string{"one of Mobile"}},
		{"two secrets", login(Credentials{UserID: "u", Password: "p", MPIN: canaryMPIN}), []string{"one of Password"}},
		{"a bad PAN and a bad MPIN, both named", login(Credentials{PAN: "AVRFT786T", MPIN: "12345"}), []string{"PAN must be five letters", "MPIN is"}},
		{"a PAN with a line break in it", login(Credentials{PAN: "AVRFT\n7865T", Password: "p"}), []string{"the PAN has a line break"}},
		{"a PAN with a letter of another script", login(Credentials{PAN: "\u0410VRFT7865T", Password: "p"}), []string{"the PAN has", "U+0410"}},
		{"a user id with a space in it", login(Credentials{UserID: "a b", Password: "p"}), []string{"the user id has a space"}},
		{"a number with letters", login(Credentials{Mobile: "+91999999990x", Password: "p"}), []string{"mobile number"}},
		{"a password that is not UTF-8", login(Credentials{UserID: "u", Password: "a\xff"}), []string{"UTF-8"}},
		{"a TOTP login with nothing", totp(TOTP{}), []string{"mobile number", "UCC is missing", "six digits"}},
		{"a code with three digits", code("123"), []string{"4 to 8 digits"}},
		{"a code with nine digits", code("123456789"), []string{"4 to 8 digits"}},
		{"a code with a letter", code("12345O"), []string{"4 to 8 digits", "a letter"}},
		{"a code with a sign", code("+1234"), []string{"4 to 8 digits", `"+"`}},
		{"a code with a line break in it", code("1234\n5678"), []string{"4 to 8 digits", "a line break"}},
		{"an MPIN with five digits", mpin("12345"), []string{"six digits"}},
		{"a UCC with a space in it", totp(TOTP{Mobile: "9999999908", UCC: "AB 12", Code: canaryOTP}), []string{"the UCC has a space in it"}},
		{"a number in need of its plus", login(Credentials{Mobile: "919999999908", Password: "p"}), []string{"needs +91, with its plus"}},
		{"a key without the consumer secret", func() error {
			c := must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: "k"}))(t)
			return c.Login(t.Context(), Credentials{UserID: "u", Password: "p"})
		}, []string{"the consumer secret"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			if e, ok := errors.AsType[*Error](err); !ok || e.Category != ErrInvalidInput || e.Retry != RetryNever {
				t.Fatalf("got %v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
	if len(s.log) != 0 {
		t.Errorf("%d requests were sent", len(s.log))
	}
}

// The service takes ASCII digits alone, so that is what it gets.
func TestSession2FA_sendsAPastedCodeAsDigits(t *testing.T) {
	s := newScripted(t)
	for _, pasted := range []string{"918 273", "918-273", "918273\r\n", "\u200b918\u00a0273\ufeff", "９１８２７３", "९१८२७३"} {
		c := s.loggedIn(t)
		if _, err := c.Session2FA(t.Context(), pasted); err != nil {
			t.Fatalf("%q: %v", pasted, err)
		}
		sent := s.seen(opSession2FA)
		if got := sent[len(sent)-1].json(t)["mpin"]; got != canaryOTP {
			t.Errorf("%q was sent as %v", pasted, got)
		}
		if err := c.LoginTOTP(t.Context(), TOTP{Mobile: "99999 99908", UCC: " testya24\u200b", Code: pasted}); err != nil {
			t.Fatalf("%q: %v", pasted, err)
		}
		sent = s.seen(opTOTPLogin)
		if got := sent[len(sent)-1].json(t); got["totp"] != canaryOTP || got["ucc"] != "testya24" || got["mobileNumber"] != "+919999999908" {
			t.Errorf("%q was sent as %v", pasted, got)
		}
		if _, err := c.ValidateMPIN(t.Context(), pasted); err != nil {
			t.Fatalf("%q: %v", pasted, err)
		}
		sent = s.seen(opTOTPValidate)
		if got := sent[len(sent)-1].json(t)["mpin"]; got != canaryOTP {
			t.Errorf("%q was sent as %v", pasted, got)
		}
	}
}

func TestTOTP_takesTheSeedOfAQRCodeAndNamesOneOfAnotherKind(t *testing.T) {
	const uri = "OTPAUTH://totp/Neo:AB1234?issuer=Neo&secret=GEZDGNBVGY3TQOJQ"
	if got := string(parseSeed(uri + "\n")); got != "1234567890" {
		t.Errorf("the seed is %q", got)
	}
	for text, named := range map[string]string{uri + "&algorithm=SHA256": "SHA256", uri + "&period=60": "60", uri + "&digits=8": "8", "GEZDGNBV": "too short", "GEZDGNBVGY3TQOJ1": "0, 1, 8 or 9"} {
		c := newScripted(t).client(t)
		k := must.Get(c.Keep(KeepConfig{Login: Login{Mobile: "9999999908", UCC: "U", TOTPSeed: always(text), MPIN: always(canaryMPIN)}}))(t)
		if _, err := k.Session(t.Context()); !errors.Is(err, ErrInvalidInput) || !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), "GEZD") {
			t.Errorf("%q: %v; want an error with %s", text, err, named)
		}
	}
}

func TestSession2FA_sendsWhatTheFieldsClientsSend(t *testing.T) {
	sub := "0b9f9a3c-user"
	tests := []struct {
		name string
		cr   Credentials
		code string
		want map[string]any
	}{
		{"a short code is an OTP", Credentials{Mobile: "9999999908"}, "1234", map[string]any{"userId": sub, "otp": "1234"}},
		{"a long code is an OTP", Credentials{PAN: canaryPAN}, "12345678", map[string]any{"userId": sub, "otp": "12345678"}},
		{"six digits after a mobile number go as an MPIN", Credentials{Mobile: "9999999908"}, canaryOTP, map[string]any{"mobileNumber": "+919999999908", "mpin": canaryOTP}},
		{"six digits after a PAN go as an MPIN", Credentials{PAN: canaryPAN}, canaryOTP, map[string]any{"pan": canaryPAN, "mpin": canaryOTP}},
		{"six digits after a user id go as an OTP", Credentials{UserID: "u"}, canaryOTP, map[string]any{"userId": sub, "otp": canaryOTP}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			c := s.client(t)
			tt.cr.Password, tt.cr.NoOTP = canaryPassword, true
			must.Do(t, c.Login(t.Context(), tt.cr))
			if n := len(s.seen(opOTP)); n != 0 {
				t.Errorf("%d codes were asked for in spite of NoOTP", n)
			}
			session := must.Get(c.Session2FA(t.Context(), tt.code))(t)
			second := s.seen(opSession2FA)[0]
			if got := second.json(t); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("session_2fa sends %v, want %v", got, tt.want)
			}
			if h := second.header; h.Get("Authorization") != "Bearer "+canaryAccess || h.Get("Sid") != "sid-1" || h.Get("Auth") != canaryView {
				t.Errorf("session_2fa sends the headers %v", h)
			}
			want := Session{
				Token: canaryTrade, SID: "sid-1", RID: "rid-2", HSServerID: "server1", UCC: "TESTYA24", GreetingName: "Asha",
				Caches: map[string]time.Time{"lastUpdatedTS": time.Unix(1654684389, 0).UTC(), "watchlist": time.Unix(1638271224, 0).UTC()},
				KType:  "Trade", DataCenter: "gdc", BaseURL: "https://elsewhere.example",
				IssuedAt: time.Unix(1655802939, 0).UTC(), ExpiresAt: time.Unix(4102444800, 0).UTC(),
				Environment: s.URL, Consumer: fingerprint("key"), Owner: tt.cr.identity().mark(canaryTrade),
			}
			if !reflect.DeepEqual(session, want) {
				t.Error("the session is not what the answer says")
			}
			if current, ok := c.Session(); !ok || !reflect.DeepEqual(current, want) {
				t.Error("the session did not become the current one")
			}
		})
	}
}

func TestLoginTOTP_goesTheWayOfItsGeneration(t *testing.T) {
	for name, tt := range map[string]struct{ key, token, auth, login, validate string }{
		"a consumer key speaks generation 3":           {"the-key", "", "the-key", "/login/1.0/tradeApiLogin", "/login/1.0/tradeApiValidate"},
		"an access token without a key, generation 2":  {"", "tok", "Bearer tok", "/apim/login/2.0/login/v6/totp/login", "/apim/login/2.0/login/v6/totp/validate"},
		"a key and a token, generation 3 all the same": {"the-key", "tok", "the-key", "/login/1.0/tradeApiLogin", "/login/1.0/tradeApiValidate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t)
			c := must.Get(New(Config{Environment: Environment(s.URL), ConsumerKey: tt.key, AccessToken: tt.token}))(t)
			must.Do(t, c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "TESTYA24", Code: canaryOTP}))
			if _, err := c.Session2FA(t.Context(), "1234"); !errors.Is(err, ErrNotLoggedIn) {
				t.Errorf("an OTP after a TOTP login: %v", err)
			}
			if err := c.SendOTP(t.Context()); !errors.Is(err, ErrNotLoggedIn) {
				t.Errorf("asking for an OTP after a TOTP login: %v", err)
			}
			must.Get(c.ValidateMPIN(t.Context(), canaryMPIN))(t)
			login, validate := s.seen(opTOTPLogin)[0], s.seen(opTOTPValidate)[0]
			if got, want := login.json(t), (map[string]any{"mobileNumber": "+919999999908", "ucc": "TESTYA24", "totp": canaryOTP}); !reflect.DeepEqual(got, want) {
				t.Errorf("totp_login sends %v, want %v", got, want)
			}
			if got, want := validate.json(t), (map[string]any{"mpin": canaryMPIN}); !reflect.DeepEqual(got, want) {
				t.Errorf("totp_validate sends %v, want %v", got, want)
			}
			if login.path != tt.login || validate.path != tt.validate {
				t.Errorf("sent to %s and %s", login.path, validate.path)
			}
			for _, r := range []sent{login, validate} {
				if r.header.Get("Authorization") != tt.auth || r.header.Get("neo-fin-key") != "neotradeapi" {
					t.Errorf("%s sends the headers %v", r.op, r.header)
				}
			}
			if h := validate.header; h.Get("Sid") != "sid-1" || h.Get("Auth") != canaryView {
				t.Errorf("totp_validate sends the headers %v", h)
			}
			if len(s.seen(opAccessToken)) != 0 {
				t.Error("an access token was fetched")
			}
		})
	}
}

func TestClient_refusesStepsOutOfOrderWithoutSending(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	for name, call := range map[string]func() error{
		"SendOTP":      func() error { return c.SendOTP(t.Context()) },
		"Session2FA":   func() error { _, err := c.Session2FA(t.Context(), "1234"); return err },
		"ValidateMPIN": func() error { _, err := c.ValidateMPIN(t.Context(), canaryMPIN); return err },
		"Logout":       func() error { return c.Logout(t.Context()) },
		"Do":           func() error { return c.Do(t.Context(), "GET", ordersPath, nil, nil) },
	} {
		if e, ok := errors.AsType[*Error](call()); !ok || e.Category != ErrNotLoggedIn || e.Retry != RetryLoginAgain {
			t.Errorf("%s without a login: %v", name, e)
		}
	}
	if len(s.log) != 0 {
		t.Errorf("%d requests were sent", len(s.log))
	}
	c = s.loggedIn(t)
	if _, err := c.ValidateMPIN(t.Context(), canaryMPIN); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("ValidateMPIN after a password login: %v", err)
	}
	must.Get(c.Session2FA(t.Context(), "1234"))(t)
	if _, err := c.Session2FA(t.Context(), "1234"); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("a second Session2FA for one login: %v", err)
	}
}

func TestLogin_staysPendingWhenTheOTPCannotBeSent(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	s.on(opOTP, answer(500, `{"error":[{"code":"10522","message":"no courier"}]}`))
	err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"})
	var e *Error
	if !errors.As(err, &e) || e.Op != "otp" || !errors.Is(err, ErrOTPNotSent) {
		t.Fatalf("got %v", err)
	}
	s.on(opOTP, answer(429, `{"error":[{"code":"900807","message":"too soon"}]}`, "Retry-After: 29"))
	err = c.SendOTP(t.Context())
	if !errors.As(err, &e) || !errors.Is(err, ErrRateLimited) || e.RetryAfter != 29*time.Second {
		t.Fatalf("got %v", err)
	}
	s.on(opOTP, answer(200, `{"data":"anything"}`))
	must.Do(t, c.SendOTP(t.Context()))
	must.Get(c.Session2FA(t.Context(), canaryOTP))(t)
}

func TestLogin_saysOTPWhenTheAccessTokenEndsBetweenTheSteps(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	s.on(opAccessToken, answer(200, `{"access_token":"a","expires_in":30}`)) // renewed at every call
	s.on(opLogin, func(w http.ResponseWriter, r *http.Request) {
		s.on(opAccessToken, answer(503, ``))
		io.WriteString(w, viewAnswer())
	})
	err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"})
	var e *Error
	if !errors.As(err, &e) || e.Op != "otp" || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestLogin_replacesThePendingOneOnlyOnSuccess(t *testing.T) {
	s := newScripted(t)
	c := s.loggedIn(t)
	s.on(opLogin, answer(401, `{"error":[{"code":"10020","message":"no"}]}`))
	if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}); !errors.Is(err, ErrWrongCredentials) {
		t.Fatal(err)
	}
	s.on(opSession2FA, answer(401, `{"error":[{"code":"10020","message":"no"}]}`))
	if _, err := c.Session2FA(t.Context(), "1234"); !errors.Is(err, ErrWrongOTP) {
		t.Fatalf("the earlier login is gone: %v", err)
	}
	s.on(opLogin, answer(200, strings.Replace(viewAnswer(), "sid-1", "sid-2", 1)))
	must.Do(t, c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}))
	c.Session2FA(t.Context(), "1234")
	if got := s.seen(opSession2FA)[1].header.Get("Sid"); got != "sid-2" {
		t.Errorf("the second factor went out for %s", got)
	}
}

func TestSession2FA_ofAReplacedLoginIsNotMadeCurrent(t *testing.T) {
	s := newScripted(t)
	c := s.loggedIn(t)
	asked, release := make(chan struct{}), make(chan struct{})
	s.on(opSession2FA, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, tradeAnswer())
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if session, err := c.Session2FA(t.Context(), "1234"); err != nil || session.Token == "" {
			t.Error(err)
		}
	})
	<-asked
	must.Do(t, c.Login(t.Context(), Credentials{UserID: "other", Password: "p"}))
	close(release)
	wg.Wait()
	if _, ok := c.Session(); ok {
		t.Error("the replaced login's session became the current one")
	}
	if err := c.SendOTP(t.Context()); err != nil {
		t.Errorf("the new login is gone: %v", err)
	}
}

func TestSession2FA_keepsACodesRequestIDUntilItIsJudged(t *testing.T) {
	tests := []struct {
		name string
		h    http.HandlerFunc
		same bool
	}{
		{"after a broken connection", badhttp.Closed, true},
		{"after an answer that broke off", badhttp.Short(200, `{"data":{`), true},
		{"after an unreadable answer", answer(200, "<html>"), true},
		{"after an OMS failure", answer(502, `{"error":[{"code":"502","message":"OMS"}]}`), true},
		{"after a claim held by another request", answer(429, `{"error":[{"code":"900802","message":"busy"}]}`), true},
		{"after a wrong code", answer(401, `{"error":[{"code":"10020","message":"no"}]}`), false},
		{"after an ended login", answer(401, `{"error":[{"code":"100022","message":"no"}]}`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScripted(t)
			c := s.loggedIn(t)
			s.on(opSession2FA, tt.h)
			for _, code := range []string{"1234", "5678"} {
				if _, err := c.Session2FA(t.Context(), code); err == nil {
					t.Fatal("no error")
				}
			}
			s.on(opSession2FA, answer(200, tradeAnswer()))
			must.Get(c.Session2FA(t.Context(), "1234"))(t)
			var ids []string
			for _, r := range s.seen(opSession2FA) {
				ids = append(ids, r.header.Get("X-Request-Id"))
			}
			if len(ids) != 3 || (ids[0] == ids[2]) != tt.same || ids[0] == ids[1] {
				t.Errorf("the ids are %v; want the first and the last the same: %t", ids, tt.same)
			}
		})
	}
}

func TestLogout_forgetsTheSessionOnlyWhenTheServiceDid(t *testing.T) {
	s := newScripted(t)
	c := s.loggedIn(t)
	must.Get(c.Session2FA(t.Context(), "1234"))(t)
	s.on(opLogout, answer(503, ``))
	if err := c.Logout(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if _, ok := c.Session(); !ok {
		t.Fatal("a failed logout forgot the session")
	}
	s.on(opLogout, answer(200, `{"data":{}}`))
	must.Do(t, c.Logout(t.Context()))
	if _, ok := c.Session(); ok {
		t.Error("the session outlived its logout")
	}
	r := s.seen(opLogout)[1]
	if h := r.header; r.body != "" || h.Get("Sid") != "sid-1" || h.Get("Auth") != canaryTrade || h.Get("Authorization") != "Bearer "+canaryAccess ||
		h.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("logout sends %q with %v", r.body, h)
	}
	s.on(opLogout, answer(401, `{"error":[{"code":"10020","message":"who?"}]}`))
	must.Do(t, c.Use(Session{Token: canaryTrade, SID: "sid-1"}))
	if err := c.Logout(t.Context()); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("logging out an ended session: %v", err)
	}
}

// Run with -race: everything at once on one client.
func TestClient_isSafeForConcurrentUse(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	calls := []func(){
		func() { c.Login(t.Context(), Credentials{Mobile: "9999999908", Password: "p"}) },
		func() { c.SendOTP(t.Context()) },
		func() { c.Session2FA(t.Context(), canaryOTP) },
		func() { c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "U", Code: canaryOTP}) },
		func() { c.ValidateMPIN(t.Context(), canaryMPIN) },
		func() { c.Logout(t.Context()) },
		func() {
			if session, ok := c.Session(); ok {
				clear(session.Caches)
				c.Use(session)
			}
		},
		func() { c.forgetAccess(canaryAccess) },
	}
	var wg sync.WaitGroup
	for i := range 160 {
		wg.Go(calls[i%len(calls)])
	}
	wg.Wait()
}

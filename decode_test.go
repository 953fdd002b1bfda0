package neoapi

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"neoapi/internal/badhttp"
	"neoapi/internal/must"
)

// A failureShape is an answer that is a failure.
type failureShape struct {
	name    string
	status  int
	body    string
	want    Category
	code    string
	message string
}

func TestError_isReadFromEveryShapeOfTheField(t *testing.T) {
	html := "<html><head><title>504 Gateway\n Time-out</title></head><body>nginx</body></html>"
	both := []failureShape{
		{"the protocol's own", 401, `{"error":[{"code":"10020","message":"wrong"}]}`, ErrWrongOTP, "10020", "wrong"},
		{"a code that is a number", 429, `{"error":[{"code":70009,"message":"locked"}]}`, ErrLocked, "70009", "locked"},
		{"200 with an error", 200, `{"error":[{"code":"100022","message":"gone"}]}`, ErrSessionEnded, "100022", "gone"},
		{"200 with an error beside the data", 200, `{"data":{"token":"t"},"error":[{"code":"10020","message":"wrong"}]}`, ErrWrongOTP, "10020", "wrong"},
		{"200 with an empty error beside the data", 200, `{"data":{"token":"t"},"error":null}`, ErrBadAnswer, "", ""},
		{"an error that is an object", 401, `{"error":{"code":"100008","message":"your address"}}`, ErrIPNotAllowed, "100008", "your address"},
		{"200 with stCode and status", 200, `{"stCode":1037,"errMsg":"address changed","status":"failure"}`, ErrIPNotAllowed, "1037", "address changed"},
		{"200 with stCode and stat", 200, `{"stat":"Not_Ok","stCode":100021,"errMsg":"view token"}`, ErrWrongToken, "100021", "view token"},
		{"200 with an stCode nobody knows", 200, `{"stat":"Not_Ok","stCode":1005,"errMsg":"hm"}`, ErrBadAnswer, "1005", "hm"},
		{"200 with a status as its code", 200, `{"stCode":503,"errMsg":"closed","status":"failure"}`, ErrUnavailable, "503", "closed"},
		{"200 with a status that is in no table as its code", 200, `{"stCode":429,"errMsg":"slow","status":"failure"}`, ErrRateLimited, "429", "slow"},
		{"a gateway's fault", 401, `{"fault":{"code":900902,"message":"Missing Credentials","description":"d"}}`, ErrAccessToken, "900902", "Missing Credentials"},
		{"a gateway's throttling", 429, `{"fault":{"code":"900802","message":"Message throttled out"}}`, ErrRateLimited, "900802", "Message throttled out"},
		{"status, message and errorCode", 400, `{"status":"error","message":"bad","errorCode":"10300"}`, ErrInvalidInput, "10300", "bad"},
		{"200 with errorCode beside the data", 200, `{"message":"bad","errorCode":"10300",` + tradeAnswer()[1:], ErrInvalidInput, "10300", "bad"},
		{"200 with errMsg beside the data", 200, `{"errMsg":"bad","code":"10300",` + tradeAnswer()[1:], ErrInvalidInput, "10300", "bad"},
		{"200 with a failed status beside the data", 200, `{"message":"bad","code":"10300","status":"failure",` + tradeAnswer()[1:], ErrInvalidInput, "10300", "bad"},
		{"200 with a fault beside the data", 200, `{"fault":{"code":"10300","message":"bad"},` + tradeAnswer()[1:], ErrInvalidInput, "10300", "bad"},
		{"a rate limit in words", 429, `{"code":"x1","error":"Rate limit exceeded","message":"slow down"}`, ErrRateLimited, "x1", "slow down"},
		{"a rate limit in words with 200", 200, `{"code":"x1","error":"Rate limit exceeded","message":"slow down"}`, ErrRateLimited, "x1", "slow down"},
		{"JSON encoded twice", 401, `"{\"error\":[{\"code\":\"10020\",\"message\":\"wrong\"}]}"`, ErrWrongOTP, "10020", "wrong"},
		{"200 with a truncated body", 200, `{"data":{"token":"ab`, ErrBadAnswer, "", "cannot be read"},
		{"an HTML 502, which is a proxy's", 502, "<!DOCTYPE html><TITLE>502 Bad Gateway</TITLE>", ErrUnavailable, "", "a web page: 502 Bad Gateway"},
		{"an HTML 504", 504, html, ErrTimeout, "", "a web page: 504 Gateway Time-out"},
		{"an HTML 200", 200, html, ErrBadAnswer, "", "a web page"},
		{"a plain-text 502, which is a proxy's", 502, "Bad Gateway\r\n", ErrUnavailable, "", "Bad Gateway"},
		{"an empty 502, which is a proxy's", 502, "", ErrUnavailable, "", "empty"},
		{"a 502 in XHTML", 502, "\ufeff<?xml version=\"1.0\"?>\n<!-- x -->\n<html lang=\"en\"><body>Bad Gateway", ErrUnavailable, "", "the answer is a web page"},
		{"the OMS's 502", 502, `{"error":[{"code":"502","message":"not able to communicate with the OMS"}]}`, ErrOMSDown, "502", "OMS"},
		{"the OMS's 502 without a code", 502, `{"stat":"Not_Ok","errMsg":"not able to communicate with the OMS"}`, ErrOMSDown, "", "OMS"},
		{"an empty 503", 503, "", ErrUnavailable, "", "empty"},
		{"an empty 200", 200, " \n", ErrBadAnswer, "", "empty"},
		{"no content", 204, "", ErrBadAnswer, "", "empty"},
		{"data null", 200, `{"data":null}`, ErrBadAnswer, "", "no data"},
		{"no data", 200, `{}`, ErrBadAnswer, "", "no data"},
		{"invalid UTF-8", 401, "{\"error\":[{\"code\":\"10020\",\"message\":\"wr\xff\xfeong\"}]}", ErrWrongOTP, "10020", "wr\uFFFD\uFFFDong"},
		{"a message of several lines", 401, `{"error":[{"code":"10020","message":"a\n\u001b[31mb\u202e\u0000 c"}]}`, ErrWrongOTP, "10020", "a [31mb c"},
		{"a failure whose parts have wrong types", 500, `{"error":[{"code":{},"message":[]},7,null]}`, ErrInternal, "", ""},
		{"a failure in a second entry", 401, `{"error":[{},{"code":"10020","message":"wrong"}]}`, ErrWrongOTP, "10020", "wrong"},
		{"an unknown code falls back to 400", 400, `{"error":[{"code":"4711","message":"?"}]}`, ErrInvalidInput, "4711", "?"},
		{"an unknown code falls back to 403", 403, `{"error":[{"code":"4711","message":"?"}]}`, ErrSessionEnded, "4711", "?"},
		{"an unknown code falls back to 404", 404, `{"error":[{"code":"4711","message":"?"}]}`, ErrInvalidInput, "4711", "?"},
		{"an unknown code falls back to 408", 408, `{}`, ErrTimeout, "", "too slow"},
		{"an unknown code falls back to 599", 599, `{"error":[{"code":"4711","message":"?"}]}`, ErrInternal, "4711", "?"},
		{"a redirect to nowhere", 302, ``, ErrBadAnswer, "", "redirects"},
		{"stat in free words", 200, `{"stCode":100022,"errMsg":"invalid session token","stat":"error in neo-login-check-api"}`, ErrSessionEnded, "100022", "invalid session token"},
		{"stat Not_Ok with an error list", 200, `{"stat":"Not_Ok","error":[{"code":"10020","message":"Authentication Failed"}],"tid":"server3_27430"}`, ErrWrongOTP, "10020", "Authentication Failed"},
		{"stat Not_Ok with 403", 403, `{"stat":"Not_Ok","stCode":100022,"errMsg":"gone"}`, ErrSessionEnded, "100022", "gone"},
		{"null", 200, "null", ErrBadAnswer, "", "null"},
		{"an object that says nothing", 200, `{"message":"hello"}`, ErrBadAnswer, "", "hello"},
	}
	second := []failureShape{
		{"a truncated body", 401, `{"error":[{"code":"100`, ErrWrongOTP, "", "the code was refused"},
		{"data of the wrong type", 200, `{"data":[1]}`, ErrBadAnswer, "", "no token"},
		{"a token of the wrong type", 200, `{"data":{"token":{},"sid":[]}}`, ErrBadAnswer, "", "no token"},
		{"a token that breaks lines", 200, `{"data":{"token":"a\r\nb","sid":"s"}}`, ErrBadAnswer, "", "no header can carry"},
		{"another view session", 200, viewAnswer(), ErrBadAnswer, "", "another view session"},
		{"a list", 200, `[{"data":{}}]`, ErrBadAnswer, "", "cannot be read"},
		{"no data, which is no answer here", 200, `{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`, ErrBadAnswer, "5203", "No Data"},
		{"an enormous body", 200, `{"data":{"token":"` + strings.Repeat("a", maxAnswer) + `"}}`, ErrBadAnswer, "", "longer than 1048576 bytes"},
		{"an enormous body with 502", 502, strings.Repeat("a", maxAnswer+1), ErrUnavailable, "", "longer than"},
	}
	trade := []failureShape{
		{"a truncated 401", 401, `{"error":[{"code":"100`, ErrSessionEnded, "", "the session was refused"},
		{"an HTML 403, which says nothing about the session", 403, "<!DOCTYPE html><title>Access Denied</title>", ErrBadAnswer, "", "Access Denied"},
		{"data of another type than wanted", 200, `{"stat":"Ok","data":{"a":[]}}`, ErrBadAnswer, "", "does not fit into *[]struct { Ord string"},
	}
	for _, tt := range append(both, second...) {
		t.Run("session_2fa: "+tt.name, func(t *testing.T) {
			s := newScripted(t)
			c := s.loggedIn(t)
			s.on(opSession2FA, answer(tt.status, tt.body))
			_, err := c.Session2FA(t.Context(), canaryOTP)
			tt.check(t, err, opSession2FA)
		})
	}
	// What a second factor's wrong code is, is a trade call's ended session.
	retries := map[Category]Retry{
		ErrSessionEnded: RetryLoginAgain, ErrWrongToken: RetryLoginAgain, ErrIPNotAllowed: RetryNever, ErrAccessToken: RetryNever, ErrInvalidInput: RetryNever,
	}
	for _, tt := range append(both, trade...) {
		t.Run("orders: "+tt.name, func(t *testing.T) {
			s := newScripted(t)
			s.on(ordersPath, answer(tt.status, tt.body))
			var into []struct {
				Ord string `json:"nOrdNo"`
			}
			err := s.trading(t, gen3).Do(t.Context(), "GET", ordersPath, nil, &into)
			if tt.want == ErrWrongOTP {
				tt.want = ErrSessionEnded
			}
			if e := tt.check(t, err, "orders"); e.Retry != cmp.Or(retries[tt.want], RetryLater) || len(s.seen(ordersPath)) != 1 {
				t.Errorf("retry %q, sent %d times", e.Retry, len(s.seen(ordersPath)))
			}
		})
	}
}

// check checks that a shape was read at a step.
func (s failureShape) check(t *testing.T, err error, op string) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Category != s.want {
		t.Fatalf("got %v, want %v", err, s.want)
	}
	if e.Code != s.code || e.Status != s.status || !strings.Contains(e.Message, s.message) || e.RequestID == "" || e.Op != op {
		t.Errorf("got %+v, message %q", e, e.Message)
	}
	noCanary(t, err)
	return e
}

func TestSession_isReadFromAnAnswerThatLacksSomething(t *testing.T) {
	for name, tt := range map[string]struct {
		data string
		want Session
	}{
		"a token that is no JWT has no end":     {`{"token":"opaque","sid":"x"}`, Session{Token: "opaque", SID: "x"}},
		"a missing sid is the view session's":   {`{"token":"opaque","hsServerId":""}`, Session{Token: "opaque", SID: "sid-1"}},
		"wrong types beside the token are lost": {`{"token":"opaque","ucc":7,"rid":{},"greetingName":null,"caches":[]}`, Session{Token: "opaque", SID: "sid-1", UCC: "7"}},
		"absurd times are none": {`{"token":"` + jwt(`{"exp":1e300,"iat":-5}`) + `","caches":{"a":"NaN","b":"1e99","c":"-1"}}`,
			Session{Token: jwt(`{"exp":1e300,"iat":-5}`), SID: "sid-1"}},
		"data encoded twice": {`"{\"token\":\"opaque\"}"`, Session{Token: "opaque", SID: "sid-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScripted(t)
			c := s.loggedIn(t)
			s.on(opSession2FA, answer(201, `{"data":`+tt.data+`,"status":"success","stCode":200}`))
			came := time.Now()
			c.now = func() time.Time { return came }
			tt.want.IssuedAt, tt.want.Environment, tt.want.Consumer = came.UTC().Truncate(time.Second), s.URL, fingerprint("key")
			tt.want.Owner = Credentials{Mobile: "9999999908"}.identity().mark(tt.want.Token)
			got, err := c.Session2FA(t.Context(), "1234")
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%v: got %v", err, got)
			}
			if _, err := got.Export(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLogin_refusesAViewSessionThatLeadsNowhere(t *testing.T) {
	for name, data := range map[string]string{
		"a token that is no JWT": `{"token":"opaque","sid":"x"}`,
		"a token without a sub":  `{"token":"` + jwt(`{}`) + `","sid":"x"}`,
		"no sid":                 `{"token":"` + canaryView + `"}`,
		"no token":               `{"sid":"x"}`,
	} {
		s := newScripted(t)
		s.on(opLogin, answer(200, `{"data":`+data+`}`))
		c := s.client(t)
		if err := c.Login(t.Context(), Credentials{UserID: "u", Password: "p"}); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s: %v", name, err)
		}
		if len(s.seen(opOTP)) != 0 {
			t.Errorf("%s: a code was asked for", name)
		}
	}
}

func TestError_ofABrokenAnswerKeepsItsCause(t *testing.T) {
	s := newScripted(t)
	c := s.loggedIn(t)
	for _, status := range []int{200, 502} {
		s.on(opSession2FA, badhttp.Short(status, `{"data":{`))
		_, err := c.Session2FA(t.Context(), "1234")
		want := map[int]Category{200: ErrNetwork, 502: ErrUnavailable}[status]
		if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"29":                            29 * time.Second,
		" 1 ":                           time.Second,
		"-5":                            0,
		"-9223372036854775807":          0,
		"9223372036854775807":           365 * 24 * time.Hour,
		"Sat, 01 Aug 2026 10:00:30 GMT": 30 * time.Second,
		"Sat, 01 Aug 2026 09:00:00 GMT": 0,
		"soon":                          0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}

func TestError_readsAsOneLine(t *testing.T) {
	e := &Error{Op: "session_2fa", Category: ErrWrongOTP, Code: "10020", Status: 401, Message: "2 tries left", RequestID: "id", RetryAfter: 1500 * time.Millisecond}
	if got, want := e.Error(), "neoapi: session_2fa: wrong OTP (401, code 10020, retry after 2s): 2 tries left [request id id]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := invalid("new", "a is missing", "b is wrong").Error(), "neoapi: new: invalid input: a is missing; b is wrong"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if errors.Is(e, ErrWrongMPIN) || errors.Is(e, errors.New("wrong OTP")) {
		t.Error("an error is a category that it is not")
	}
}

func TestRedaction_hidesEchoedSecrets(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	echo := func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		last := s.log[len(s.log)-1]
		s.mu.Unlock()
		message := fmt.Sprint(canarySecret, " ", strings.ToLower(canaryPAN), " cana\u0000ry-password-7$ canary-password-7%24 Y2FuYXJ5LXBhc3N3b3JkLTck ",
			last.body, last.header["Authorization"], last.header["Auth"])
		w.WriteHeader(401)
		json.NewEncoder(w).Encode(map[string]any{"error": []any{map[string]any{"code": "x" + canaryOTP + canaryMPIN + canaryPassword, "message": message}}})
	}
	fails := func(err error) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || e.Status != 401 || !strings.Contains(e.Message, "[redacted]") {
			t.Fatalf("got %v", err)
		}
		e.Message += e.Code
		// Only what was in the request can be known; the code below holds other secrets too.
		for _, secret := range map[string][]string{
			opAccessToken:  {canarySecret, base64.StdEncoding.EncodeToString([]byte("key:" + canarySecret))},
			opLogin:        {canaryPassword, canaryAccess, canaryPAN, "canary-password-7%24", "Y2FuYXJ5LXBhc3N3b3JkLTck"},
			opSession2FA:   {canaryOTP, canaryView, canaryAccess, canaryPAN},
			opTOTPLogin:    {canaryOTP, "the-key"},
			opTOTPValidate: {canaryMPIN, canaryView},
			opLogout:       {canaryTrade, canaryAccess},
		}[e.Op] {
			if strings.Contains(strings.ToLower(e.Message), strings.ToLower(secret)) {
				t.Errorf("%s shows %s: %s", e.Op, secret, e.Message)
			}
		}
	}
	creds := Credentials{PAN: canaryPAN, Password: canaryPassword, NoOTP: true}
	again := func(op string, call func() error) {
		t.Helper()
		was := s.answer[op]
		s.on(op, echo)
		fails(call())
		s.on(op, was)
		must.Do(t, call())
	}
	again(opAccessToken, func() error { return c.Login(t.Context(), creds) })
	again(opLogin, func() error { return c.Login(t.Context(), creds) })
	again(opSession2FA, func() error { _, err := c.Session2FA(t.Context(), canaryOTP); return err })
	again(opLogout, func() error { return c.Logout(t.Context()) })
	c.key = "the-key"
	again(opTOTPLogin, func() error {
		return c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "U", Code: canaryOTP})
	})
	again(opTOTPValidate, func() error { _, err := c.ValidateMPIN(t.Context(), canaryMPIN); return err })
}

func TestRedaction_showsNoHalfOfASecretThatWasCut(t *testing.T) {
	secret := "Canary-" + strings.Repeat("x", maxText-10)
	got := tidy("hello "+secret, []string{secret})
	if strings.Contains(got, "Canary") {
		t.Errorf("%q shows half a secret", got)
	}
	if got := tidy("hello "+strings.Repeat("y", 10*maxText), []string{"s"}); !strings.HasPrefix(got, "hello yyy") || len(got) > maxMessage+len("…") {
		t.Errorf("a long text became %q", got)
	}
}

func TestRedaction_showsAKnownCodeWithTheDigitsOfTheOTP(t *testing.T) {
	s := newScripted(t)
	c := s.loggedIn(t)
	s.on(opSession2FA, answer(401, `{"error":[{"code":"10020","message":"10020 is wrong"}]}`))
	_, err := c.Session2FA(t.Context(), "10020")
	var e *Error
	if !errors.As(err, &e) || e.Code != "10020" || e.Message != advice[ErrWrongOTP] || !errors.Is(err, ErrWrongOTP) {
		t.Errorf("got %v", err)
	}
}

// A password may be a word of the sentence that refuses it: a gap in a sentence that
// everybody knows would show which.
func TestRedaction_leavesNoGapInAKnownSentence(t *testing.T) {
	for _, password := range []string{"wrong", "secret", "the", "identifier or"} {
		s := newScripted(t)
		s.on(opLogin, answer(401, `{"error":[{"code":"10020","message":"the identifier or the secret is wrong"}]}`))
		err := s.client(t).Login(t.Context(), Credentials{UserID: "u", Password: password})
		if e, ok := errors.AsType[*Error](err); !ok || strings.Contains(e.Error(), "redacted") || e.Category != ErrWrongCredentials {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestRedaction_coversEverythingExported(t *testing.T) {
	s := newScripted(t)
	c := s.client(t)
	creds := Credentials{PAN: canaryPAN, UserID: "canary-user", Password: canaryPassword, MPIN: canaryMPIN}
	must.Do(t, c.Login(t.Context(), Credentials{PAN: canaryPAN, Password: canaryPassword}))
	s.on(opSession2FA, answer(502, canaryOTP+" "+canaryAccess))
	_, failure := c.Session2FA(t.Context(), canaryOTP) // leaves the code in the client, with its request id
	s.on(opSession2FA, answer(200, tradeAnswer()))
	session := must.Get(c.Session2FA(t.Context(), canaryMPIN))(t)
	must.Do(t, c.Login(t.Context(), Credentials{PAN: canaryPAN, Password: canaryPassword}))
	cfg := Config{
		Environment: "https://user:" + canaryPassword + "@example.com", ConsumerKey: "canary-key", ConsumerSecret: canarySecret, AccessToken: canaryAccess,
	}
	totp := TOTP{Mobile: "9999999908", UCC: "U", Code: canaryOTP}
	type holder struct {
		Config      Config
		Session     *Session
		Credentials []Credentials
		TOTP        map[string]TOTP
		Client      *Client
		Err         error
	}
	values := map[string]any{
		"Config": cfg, "*Config": &cfg, "Credentials": creds, "*Credentials": &creds, "TOTP": totp, "*TOTP": &totp, "Session": session, "*Session": &session,
		"Subject": Subject{PAN: canaryPAN, Session: session}, "*Subject": &Subject{PAN: canaryPAN, Session: session},
		"*Client": c, "*Error": failure, "a type that holds them": holder{cfg, &session, []Credentials{creds}, map[string]TOTP{"": totp}, c, failure},
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				noCanary(t, fmt.Sprintf(verb, v))
			}
			data, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			noCanary(t, string(data))
			var out bytes.Buffer
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v, slog.Group("g", "v", v))
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v, slog.Group("g", "v", v))
			noCanary(t, out.String())
		})
	}
	if !strings.Contains(fmt.Sprint(session), "TESTYA24") {
		t.Error("a printed session does not say whose it is")
	}
}

// noCanary fails the test if the text, or any way of printing an error, shows a
// secret.
func noCanary(t *testing.T, v any) {
	t.Helper()
	text := fmt.Sprint(v)
	if err, ok := v.(error); ok {
		data, _ := json.Marshal(err)
		text = fmt.Sprintf("%s %v %+v %#v %s", err, err, err, err, data)
	}
	for _, secret := range []string{"canary", canaryMPIN, canaryOTP, canaryPAN, canaryTrade, canaryView, fmt.Sprintf("%x", canaryPassword), fmt.Sprintf("%x", canaryTrade)} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %q", text, secret)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		viewAnswer(), tradeAnswer(), `{"access_token":"a","expires_in":3600}`, `{"error":[{"code":"10020","message":"m"}]}`,
		`{"stat":"Not_Ok","stCode":1005,"errMsg":"m"}`, `{"fault":{"code":900901,"message":"m"}}`, `{"status":"error","message":"m","errorCode":"e"}`,
		`{"code":"c","error":"Rate limit exceeded","message":"m"}`, `"{\"data\":{}}"`, `<title>502</title>`, ``, `null`, `{"data":"{\"token\":1e9}"}`,
		"\ufeff{\"data\":{\"token\":\"t\",\"caches\":{\"a\":\"1e9\"}}}",
	} {
		for _, status := range []int{200, 401, 502} {
			f.Add(opSession2FA, status, []byte(body), "1234")
		}
		f.Add(opAccessToken, 200, []byte(body), "s")
	}
	f.Fuzz(func(t *testing.T, op string, status int, body []byte, secret string) {
		answer, fail := decode(op, status, body)
		if answer.none() == (fail == nil) {
			t.Fatalf("answer %v and failure %v", answer, fail)
		}
		if fail != nil {
			if fail.Category == "" || fail.Status != status {
				t.Errorf("the failure is %+v", fail)
			}
			text := tidy(fail.Message, []string{secret})
			if n := len([]rune(text)); n > maxMessage+1 {
				t.Errorf("%d runes", n)
			}
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q has characters that do not print", text)
			}
			if len(secret) > len("[redacted]") && secret == strings.ToValidUTF8(secret, "") && strings.Contains(text, secret) {
				t.Errorf("%q shows %q", text, secret)
			}
			return
		}
		if status/100 != 2 {
			t.Errorf("%d is a success", status)
		}
		session, problem := readSession(toObject(answer.at("data")), "sid")
		if problem != "" {
			return
		}
		if unfit(session.Token, session.SID) != "" {
			t.Errorf("token %q and sid %q", session.Token, session.SID)
		}
		data := must.Get(session.Export())(t)
		if back, err := ParseSession(data); err != nil || !reflect.DeepEqual(back, session) {
			t.Errorf("%v: exported and read back, the session differs", err)
		}
	})
}

//go:build linux

package faults

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/sandbox"
	"neoapi/internal/wire"
)

// secrets are what persons and consumers type.
var secrets = []string{sandbox.DemoPassword, sandbox.DemoMPIN, sandbox.DemoTOTPSeed, sandbox.DemoConsumerSecret, "eyJ"}

// A person has a demo account. All have the same secrets.
type person struct{ id, ucc, user, mobile string }

func demo(n int) person {
	ucc, user, mobile, _ := sandbox.DemoAccount(n)
	return person{fmt.Sprintf("7e57acc0-0000-4000-8000-%012d", n), ucc, user, mobile}
}

// everybody hands out persons, each once.
type everybody struct{ n, last int }

func (e *everybody) next(t testing.TB) person {
	t.Helper()
	if e.n++; e.n > e.last {
		t.Fatalf("all %d accounts have been used", e.last)
	}
	return demo(e.n)
}

// totpAt is the code of a TOTP step.
func totpAt(step int64) string {
	seed, err := credential.ParseTOTPSeed(sandbox.DemoTOTPSeed)
	if err != nil {
		panic(err)
	}
	code, err := credential.TOTPCode(seed, step)
	if err != nil {
		panic(err)
	}
	return string(code)
}

func stepNow() int64 { return credential.TOTPStep(time.Now()) }

// An answer is what became of a request.
type answer struct {
	op     string
	status int // 0 if there was no answer
	header http.Header
	body   []byte
	took   time.Duration
	err    error // why there was none
}

// A session is what a person holds after a factor.
type session struct {
	person
	sid, token string
}

func (a answer) String() string {
	if a.status == 0 {
		return fmt.Sprintf("%s: no answer after %s: %v", a.op, a.took, a.err)
	}
	return fmt.Sprintf("%s: %d after %s, Retry-After %q: %.300s", a.op, a.status, a.took, a.header.Get("Retry-After"), a.body)
}

// unavailable tells whether it is the answer of a service that cannot do its work
// now.
func (a answer) unavailable() bool { return a.status == http.StatusServiceUnavailable }

func (a answer) good() bool { return a.status == http.StatusOK || a.status == http.StatusCreated }

func (a answer) refused() bool {
	return a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
}

// retryAfter is how long the answer tells to wait.
func (a answer) retryAfter() time.Duration {
	seconds, _ := strconv.Atoi(a.header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second
}

// wrong tells what in the answer is not as the protocol has it.
func (a answer) wrong() error {
	var body map[string]json.RawMessage
	var problems []wire.Problem
	switch {
	case a.status == 0:
		return fmt.Errorf("%v", a)
	case json.Unmarshal(a.body, &body) != nil:
		return fmt.Errorf("no JSON: %v", a)
	case a.good() && body["error"] != nil:
		return fmt.Errorf("a success with an error: %v", a)
	case a.good():
		return nil
	case a.op == "access token":
		if text := string(body["error"]); !strings.HasPrefix(text, `"`) {
			return fmt.Errorf("not the form of RFC 6749: %v", a)
		}
	case json.Unmarshal(body["error"], &problems) != nil || len(problems) == 0 || problems[0].Code == "" || problems[0].Message == "":
		return fmt.Errorf("not the protocol's form: %v", a)
	}
	if (a.unavailable() || a.status == http.StatusTooManyRequests) && a.retryAfter() < time.Second {
		return fmt.Errorf("no Retry-After: %v", a)
	}
	return nil
}

// session returns what a successful factor has given.
func (a answer) session(p person) session {
	var body wire.Success[wire.Session]
	if err := json.Unmarshal(a.body, &body); err != nil || body.Data.Token == "" || body.Data.SID == "" {
		panic(fmt.Sprintf("no session in %v", a))
	}
	return session{p, body.Data.SID, body.Data.Token}
}

// call sends a request, and again as long as it is told to. body is nil or what is
// sent as JSON.
func (s *service) call(op, method, path string, body any, headers ...string) answer {
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a := s.callOnce(op, method, path, body, headers...)
		if !s.again || !a.unavailable() || time.Since(begin) > noisy(recoverWithin) {
			return a
		}
	}
}

func (s *service) callOnce(op, method, path string, body any, headers ...string) answer {
	a := answer{op: op}
	var text []byte
	if body != nil {
		if text, a.err = json.Marshal(body); a.err != nil {
			return a
		}
	}
	req, err := http.NewRequest(method, s.address()+path, strings.NewReader(string(text)))
	if err != nil {
		a.err = err
		return a
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.access)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	begin := time.Now()
	resp, err := s.client.Do(req)
	if err == nil {
		a.status, a.header = resp.StatusCode, resp.Header
		a.body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if a.took, a.err = time.Since(begin), err; err != nil { // whole or not at all
		a.status = 0
	}
	return a
}

func path(op wire.Op) string {
	if p := wire.Path(op, wire.Gen1PROD); p != "" {
		return p
	}
	return wire.Path(op, wire.Gen2)
}

type object map[string]any

// getAccess asks for an access token.
func (s *service) getAccess(key, secret string) answer {
	basic := base64.StdEncoding.EncodeToString([]byte(key + ":" + secret))
	return s.call("access token", "POST", path(wire.OpAccessToken), object{"grant_type": "client_credentials"}, "Authorization", "Basic "+basic)
}

// logIn gets the access token that the calls below carry.
func (s *service) logIn(t testing.TB) {
	t.Helper()
	var body wire.AccessToken
	if a := s.getAccess(sandbox.DemoConsumerKey, sandbox.DemoConsumerSecret); !a.good() || json.Unmarshal(a.body, &body) != nil {
		t.Fatal(a)
	}
	s.access = body.AccessToken
}

// The factors and what comes after them.

func (s *service) password(p person, password string) answer {
	return s.call("login by password", "POST", path(wire.OpValidate), object{"mobileNumber": p.mobile, "password": password})
}

func (s *service) mpin(p person, mpin string) answer {
	return s.call("login by MPIN", "POST", path(wire.OpValidate), object{"userid": p.user, "mpin": mpin})
}

func (s *service) totp(p person, code string) answer {
	return s.call("login by TOTP", "POST", path(wire.OpTOTPLogin), object{"mobileNumber": p.mobile, "ucc": p.ucc, "totp": code})
}

func (s *service) otp(view session) answer {
	return s.call("otp", "POST", path(wire.OpOTP), object{"userId": view.id, "sendEmail": true, "isWhitelisted": true}, wire.HeaderSID, view.sid)
}

// inbox returns the person's newest unused code.
func (s *service) inbox(p person) answer {
	return s.call("inbox", "GET", "/sandbox/otp/"+url.PathEscape(p.ucc), nil)
}

// second sends a code as second factor. Requests of one name are one attempt; a
// name holds no spaces, or it is none.
func (s *service) second(view session, code, name string) answer {
	return s.call("session_2fa", "POST", path(wire.OpValidate), object{"userId": view.id, "otp": code},
		wire.HeaderSID, view.sid, wire.HeaderAuth, view.token, wire.HeaderRequestID, name)
}

// secondMPIN sends the MPIN as second factor, as later generations do.
func (s *service) secondMPIN(view session, mpin, name string) answer {
	return s.call("MPIN validate", "POST", path(wire.OpTOTPValidate), object{"mpin": mpin},
		wire.HeaderSID, view.sid, wire.HeaderAuth, view.token, wire.HeaderRequestID, name)
}

func (s *service) trade(x session) answer {
	return s.call("positions", "GET", "/Orders/2.0/quick/user/positions", nil, wire.HeaderSID, x.sid, wire.HeaderAuth, x.token)
}

func (s *service) clientIP(x session) answer {
	return s.call("client IP", "GET", wire.Path(wire.OpClientIP, wire.Gen3), nil, wire.HeaderSID, x.sid, wire.HeaderAuth, x.token)
}

func (s *service) logout(x session) answer {
	return s.call("logout", "POST", path(wire.OpLogout), nil, wire.HeaderSID, x.sid, wire.HeaderAuth, x.token)
}

// The same for what must succeed.

// must returns the session that a factor has given, or ends the test.
func must(t testing.TB, p person, a answer) session {
	t.Helper()
	if err := a.wrong(); err != nil || !a.good() {
		t.Fatalf("%v (%v)", a, err)
	}
	return a.session(p)
}

// view logs a person in by the TOTP code of now.
func (s *service) view(t testing.TB, p person) session {
	t.Helper()
	return must(t, p, s.totp(p, totpAt(stepNow())))
}

// codeFor has a code sent for a login and returns it.
func (s *service) codeFor(t testing.TB, view session) string {
	t.Helper()
	if a := s.otp(view); !a.good() {
		t.Fatal(a)
	}
	a := s.inbox(view.person)
	if !a.good() {
		t.Fatal(a)
	}
	return string(a.body)
}

// trading logs a person in by both factors.
func (s *service) trading(t testing.TB, p person) session {
	t.Helper()
	view := s.view(t, p)
	return must(t, p, s.second(view, s.codeFor(t, view), "trading-"+view.sid))
}

// repeatedly sends the same request again for as long as the answer says that
// the service is not able to answer it yet, and waits as long as it says in
// between, but no longer than a second. An answer that says to wait for longer than
// a service may take to recover is the last one.
func repeatedly(f func() answer) answer {
	for begin := time.Now(); ; {
		a := f()
		wait := a.retryAfter()
		if !a.unavailable() && a.status != http.StatusTooManyRequests || wait > 2*recoverWithin || time.Since(begin) > noisy(recoverWithin) {
			return a
		}
		time.Sleep(min(time.Second, wait))
	}
}

// An event is a line of the audit trail.
type event struct {
	Action, Outcome, UCC, SID string
	Factor                    login.Factor
}

// events returns the audit trail.
func (s *service) events(t testing.TB) []event {
	t.Helper()
	out, err := s.operator("audit", "--json")
	for begin := time.Now(); err != nil && time.Since(begin) < noisy(recoverWithin); { // it gives up in time
		out, err = s.operator("audit", "--json")
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []event
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// count returns how many events there are of an action and outcome for a sid.
func count(all []event, action, outcome, sid string) (n int) {
	for _, e := range all {
		if e.Action == action && e.Outcome == outcome && e.SID == sid {
			n++
		}
	}
	return n
}

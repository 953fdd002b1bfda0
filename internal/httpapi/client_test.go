package httpapi_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/apitest"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// allRoutes are the addresses of sessions and of reports.
var allRoutes = slices.Concat(wire.Routes, tradewire.Routes())

// The addresses that the tests of rules use: generation 1, UAT. That every other
// address does the same is proven in protocol_test.go.
const (
	tokenPath    = "/oauth2/token"
	validatePath = "/api/1.0/login/v2/validate"
	otpPath      = "/api/1.0/login/otp/generate"
	logoutPath   = "/api/1.0/logout"
	tradePath    = "/orderapi/1.0/quick/user/positions"
	barePath     = "/quick/user/positions" // generation 3: Sid and Auth alone
	totpPath     = "/api/1.0/login/v6/totp/login"
	mpinPath     = "/api/1.0/login/v6/totp/validate"
)

// A caller stands for a client that nobody here wrote: it sends plain requests
// as existing clients do. who is its Authorization header.
type caller struct {
	*neoapitest.Server
	who string
}

// consumer returns a caller with an access token of the demo consumer.
func consumer(t testing.TB, srv *neoapitest.Server) caller {
	t.Helper()
	return consumerOf(t, srv, srv.ConsumerKey)
}

// consumerOf is consumer for another consumer key with the demo's secret.
func consumerOf(t testing.TB, srv *neoapitest.Server, key string) caller {
	t.Helper()
	var granted wire.AccessToken
	secretOf(srv, key, srv.ConsumerSecret).post(t, tokenPath, grantBody).want(t, 200).into(t, &granted)
	return caller{srv, "Bearer " + granted.AccessToken}
}

// basic is the Authorization header of a key and its secret.
func basic(key, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+secret))
}

// secretOf returns a caller that shows a consumer's key and secret.
func secretOf(srv *neoapitest.Server, key, secret string) caller {
	return caller{srv, basic(key, secret)}
}

// bySecret is secretOf the demo consumer.
func bySecret(srv *neoapitest.Server) caller {
	return secretOf(srv, srv.ConsumerKey, srv.ConsumerSecret)
}

// grantBody asks for an access token.
const grantBody = `{"grant_type":"client_credentials"}`

// A reply is an answer as it came.
type reply struct {
	status int
	header http.Header
	body   []byte
	proto  string
}

// plainTransport is what all tests share.
var plainTransport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100}

// plainClient follows no redirect and holds every exchange against the OpenAPI
// description.
func plainClient(t testing.TB) *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     apitest.Transport(t, plainTransport),
	}
}

// bareClient is for answers that plainClient takes exception to.
func bareClient() *http.Client {
	return &http.Client{
		Timeout:       patient,
		Transport:     plainTransport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request makes a request with pairs of header names and values.
func request(t testing.TB, method, url string, body io.Reader, pairs ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	r.Host = r.Header.Get("Host")
	return r
}

// answer sends a request and returns the whole answer, whatever it is.
func answer(t testing.TB, r *http.Request) reply {
	t.Helper()
	resp, err := bareClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, got, resp.Proto}
}

// described checks that an answer of the bareClient is as api/openapi.yaml says.
func (r reply) described(t testing.TB, asked *http.Request, sent string) {
	t.Helper()
	x := apitest.Exchange{Method: asked.Method, Path: asked.URL.Path, Asked: asked.Header, Sent: []byte(sent), Status: r.status, Header: r.header, Body: r.body}
	if err := x.Check(); err != nil {
		t.Errorf("%s %s: not as api/openapi.yaml says: %v", asked.Method, asked.URL, err)
	}
}

// send sends a request with pairs of header names and values beside the caller's
// Authorization; an empty value leaves the header out. It may be called from any
// goroutine.
func (c caller) send(t testing.TB, method, path, body string, pairs ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, c.URL+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return reply{}
	}
	all := append([]string{"Authorization", c.who, "Accept", "application/json", "Content-Type", "application/json"}, pairs...)
	for i := 0; i < len(all); i += 2 {
		if r.Header.Set(all[i], all[i+1]); all[i+1] == "" {
			r.Header.Del(all[i])
		}
	}
	resp, err := plainClient(t).Do(r)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	answered, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Error(err)
	}
	got := reply{resp.StatusCode, resp.Header, answered, resp.Proto}
	lawful(t, got, method)
	return got
}

func (c caller) post(t testing.TB, path, body string, pairs ...string) reply {
	t.Helper()
	return c.send(t, http.MethodPost, path, body, pairs...)
}

// call is a trade call of a session.
func (c caller) call(t testing.TB, h held) reply {
	t.Helper()
	return c.send(t, http.MethodGet, tradePath, "", h.pairs()...)
}

// lawful checks what holds for every answer, whatever was asked (protocol.md,
// "One rule that keeps every client alive", and security.md H1 to H3, T7).
func lawful(t testing.TB, r reply, method string) {
	t.Helper()
	if kept := r.status == 200 && r.header.Get("Cache-Control") == "public, max-age=300"; !kept && r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d without Cache-Control: no-store: %s", r.status, r.body)
	}
	if r.status == 401 && r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("401 without WWW-Authenticate: %s", r.body)
	}
	if wait, err := strconv.Atoi(r.header.Get("Retry-After")); (r.status == 429 || r.status == 503) && (err != nil || wait < 1) {
		t.Errorf("%d with Retry-After %q: %s", r.status, r.header.Get("Retry-After"), r.body)
	}
	if method == http.MethodHead || r.header.Get("Content-Type") == "text/plain; charset=utf-8" && r.status == 200 {
		return // no body, or the sandbox's inbox
	}
	var shape map[string]json.RawMessage
	if err := json.Unmarshal(r.body, &shape); err != nil || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d of type %q is no JSON object: %v: %q", r.status, r.header.Get("Content-Type"), err, r.body)
		return
	}
	_, failed := shape["error"]
	_, data := shape["data"]
	if good := r.status/100 == 2; good == failed || !good && (data || r.status < 400) {
		t.Errorf("%d: error key %v, data key %v: %s", r.status, failed, data, r.body)
	}
}

// want ends the test unless the answer has this status.
func (r reply) want(t testing.TB, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// refused ends the test unless the answer is a failure of this status and code,
// in exactly the protocol's shape, and returns its message.
func (r reply) refused(t testing.TB, status int, code string) string {
	t.Helper()
	var f struct {
		wire.Failed
		wire.StatusFailed // of generation 3
	}
	r.want(t, status).into(t, &f)
	if len(f.Error) != 1 || f.Error[0].Code != code || f.Error[0].Message == "" {
		t.Fatalf("want the one code %s and a message: %s", code, r.body)
	}
	if _, known := wire.Lookup(code); !known {
		t.Errorf("code %s is not in the table", code)
	}
	return f.Error[0].Message
}

// refusedTrade is refused for a trade call, whose failures carry the trade API's
// shape as well.
func (r reply) refusedTrade(t testing.TB, status int, code string) {
	t.Helper()
	var f struct {
		wire.NotOk
		wire.Failed
	}
	r.want(t, status).into(t, &f)
	session, err := json.Marshal(f.Failed)
	if err != nil {
		t.Fatal(err)
	}
	message := reply{status: status, body: session}.refused(t, status, code)
	if f.Stat != "Not_Ok" || strconv.Itoa(f.StCode) != code || f.ErrMsg != message || f.EMsg != message {
		t.Errorf("not the trade API's shape: %s", r.body)
	}
}

// into decodes the body, in which there must be nothing beside what v has.
func (r reply) into(t testing.TB, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
}

// retryAfter returns how long the answer asks to wait.
func (r reply) retryAfter(t testing.TB) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil {
		t.Fatalf("Retry-After: %v: %s", err, r.body)
	}
	return time.Duration(seconds) * time.Second
}

// A held session is what a client keeps of an answer that opened one.
type held struct{ wire.Session }

func (r reply) session(t testing.TB) held {
	t.Helper()
	var s wire.Success[wire.Session]
	r.want(t, 200).into(t, &s)
	if s.Data.Token == "" || s.Data.SID == "" || s.Data.RID == "" || s.Data.HSServerID == "" {
		t.Fatalf("a session lacks what generation 1 needs: %s", r.body)
	}
	return held{s.Data}
}

// pairs are the headers that show the session.
func (h held) pairs(more ...string) []string {
	return append([]string{"sid", h.SID, "Auth", h.Token}, more...)
}

// claims decodes the token without verifying it, as generation 1 does.
func (h held) claims(t testing.TB) map[string]any {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal(part(t, h.Token, 1), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// part decodes one of a token's three parts.
func part(t testing.TB, token string, n int) []byte {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// object renders pairs of names and values as a JSON object of strings.
func object(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, _ := json.Marshal(m)
	return string(b)
}

// login logs the demo account in by password.
func (c caller) login(t testing.TB) held {
	t.Helper()
	return c.first(t, c.Account.Password).session(t)
}

// first tries to log the demo account in by a password.
func (c caller) first(t testing.TB, password string) reply {
	t.Helper()
	return c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "password", password))
}

// user logs one of the further demo accounts in by password.
func (c caller) user(t testing.TB, n int) held {
	t.Helper()
	return c.post(t, validatePath, object("userid", fmt.Sprintf("testuser%06d", n), "password", c.Account.Password)).session(t)
}

// byMPIN logs in, with the MPIN second: several may at once.
func (c caller) byMPIN(t testing.TB) held {
	t.Helper()
	return c.second(t, c.login(t), c.Account.MPIN).session(t)
}

// totp logs the demo account in by TOTP.
func (c caller) totp(t testing.TB) reply {
	t.Helper()
	return c.post(t, totpPath, object("mobileNumber", c.Account.Mobile, "ucc", c.Account.UCC, "totp", c.TOTP(t)))
}

// askOTP asks for a code as existing clients do: it names the user only.
func (c caller) askOTP(t testing.TB, view held, pairs ...string) reply {
	t.Helper()
	return c.post(t, otpPath, fmt.Sprintf(`{"userId":%q,"sendEmail":true,"isWhitelisted":true}`, view.claims(t)["sub"]), pairs...)
}

// otp asks for a code and reads it.
func (c caller) otp(t testing.TB, view held) string {
	t.Helper()
	c.askOTP(t, view).want(t, 201)
	return c.OTPOf(t, view.UCC)
}

// second sends code as the second factor of view.
func (c caller) second(t testing.TB, view held, code string, pairs ...string) reply {
	t.Helper()
	return c.post(t, validatePath, object("userId", view.UCC, "otp", code), view.pairs(pairs...)...)
}

// trade opens a trade session by password and OTP.
func (c caller) trade(t testing.TB) held {
	t.Helper()
	view := c.login(t)
	return c.second(t, view, c.otp(t, view)).session(t)
}

// wrong returns a code of the same form as code that is another one.
func wrong(code string) string {
	last := len(code) - 1
	return code[:last] + string('0'+(code[last]-'0'+1)%10)
}

// written is a request as it goes over the line, with pairs of header names and values.
func written(method, target, body string, pairs ...string) string {
	text := method + " " + target + " HTTP/1.1\r\nHost: x\r\n"
	for i := 0; i < len(pairs); i += 2 {
		text += pairs[i] + ": " + pairs[i+1] + "\r\n"
	}
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", text, len(body), body)
}

// raw sends bytes over a connection of its own and returns every answer until
// the service closes it, which it must. ends tells the service that no more will
// come.
func raw(t testing.TB, srv *neoapitest.Server, text string, ends bool) []reply {
	t.Helper()
	conn := dial(t, srv)
	defer conn.Close()
	// Who is refused half-way may find that nobody reads on: the answer has come all the same.
	if _, err := io.WriteString(conn, text); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if ends {
		_ = conn.(interface{ CloseWrite() error }).CloseWrite() // the service may have closed first
	}
	all, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection stays open after %q", all)
	}
	method, _, _ := strings.Cut(text, " ")
	var replies []reply
	for answers := bufio.NewReader(bytes.NewReader(all)); ; {
		if _, err := answers.Peek(1); err != nil {
			return replies
		}
		resp, err := http.ReadResponse(answers, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%v: %q", err, all)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%v: %q", err, all)
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		got := reply{resp.StatusCode, resp.Header, body, resp.Proto}
		lawful(t, got, method)
		if len(replies) == 0 {
			describedRaw(t, text, got)
		}
		replies = append(replies, got)
	}
}

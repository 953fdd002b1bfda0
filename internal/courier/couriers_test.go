package courier_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/courier"
	"neoapi/internal/login"
	"neoapi/internal/must"
)

// The two shapes that most gateways have, as docs/couriers.md shows them.
const (
	formGateway = `
  - name: %s
    timeout: %s
    webhook:
      url: %s
      ca: %s
      headers:
        Authorization: Basic {{base64 (print "AC123:" (secret "token"))}}
        Content-Type: application/x-www-form-urlencoded
      body: To={{query .Mobile}}&From=NEOAPI&Body={{.Code}}+is+your+code,+{{query .Name}}
      secrets:
        token: %s
`
	jsonGateway = `
  - name: %s
    timeout: %s
    webhook:
      url: %s
      ca: %s
      headers:
        Authorization: Bearer {{secret "token"}}
        Content-Type: application/json
      body: |
        {"to": {{json .Mobile}}, "text": {{json (print .Code " is your code for " .Name)}}, "minutes": {{.Minutes}}}
      accepted: '"status": *"queued"'
      secrets:
        token: %s
`
)

const token = "s3cret-token/+="

// noon is the service's time, wherever its clock is.
var noon = time.Date(2099, time.May, 1, 12, 0, 0, 0, time.UTC)

func message() login.Message {
	return login.Message{
		ID: "11111111-2222-4333-8444-555555555555", SID: "sid", Code: "135791", Now: noon, Expires: noon.Add(5 * time.Minute),
		Account: login.Account{UCC: "AB1234", GreetingName: `Asha "A&B" Räo`, Mobile: "+919876543210", Reach: login.Reach{Email: "asha@example.com"}},
	}
}

// A gateway is a real HTTPS server that keeps what it gets.
type gateway struct {
	*httptest.Server
	ca string

	mu     sync.Mutex
	got    []*http.Request
	bodies []string
}

func startGateway(t *testing.T, answer http.HandlerFunc) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		g.got, g.bodies = append(g.got, r), append(g.bodies, string(body))
		g.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(g.Close)
	g.ca = writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})), 0o644)
	return g
}

// sms returns the couriers of a file that has this gateway alone.
func (g *gateway) sms(t *testing.T, log io.Writer) *courier.Couriers {
	t.Helper()
	return load(t, log, fmt.Sprintf(jsonGateway, "sms", "5s", g.URL, g.ca, writeFile(t, "token", token, 0o400)))
}

var queued = badhttp.Answer(http.StatusOK, `{"status": "queued"}`)

func (g *gateway) calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.got)
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must.Do(t, os.WriteFile(path, []byte(text), mode))
	return path
}

func load(t *testing.T, log io.Writer, entries ...string) *courier.Couriers {
	t.Helper()
	return must.Get(courier.Load(writeFile(t, "couriers.yaml", "couriers:"+strings.Join(entries, ""), 0o644), slog.New(slog.NewTextHandler(log, nil))))(t)
}

func TestGateway_getsAFormWithBasicAuthentication(t *testing.T) {
	t.Parallel()
	g := startGateway(t, badhttp.Answer(http.StatusCreated, ""))
	c := load(t, io.Discard, fmt.Sprintf(formGateway, "sms", "5s", g.URL+"/send", g.ca, writeFile(t, "token", token+"\n", 0o600)))
	must.Do(t, c.Send(t.Context(), message()))
	r := g.got[0]
	user, password, _ := r.BasicAuth()
	form, err := url.ParseQuery(g.bodies[0])
	if err != nil || user != "AC123" || password != token || r.Method != http.MethodPost || r.URL.Path != "/send" {
		t.Errorf("%s %s by %s/%s: %v", r.Method, r.URL, user, password, err)
	}
	if form.Get("To") != "+919876543210" || form.Get("Body") != `135791 is your code, Asha "A&B" Räo` {
		t.Errorf("form: %v", form)
	}
	if id := r.Header.Get("Idempotency-Key"); id != message().ID {
		t.Errorf("Idempotency-Key: %q", id)
	}
}

func TestGateway_getsJSONWithABearerKey(t *testing.T) {
	t.Parallel()
	g := startGateway(t, queued)
	c := g.sms(t, io.Discard)
	must.Do(t, c.Send(t.Context(), message()))
	var body struct {
		To, Text string
		Minutes  int
	}
	err := json.Unmarshal([]byte(g.bodies[0]), &body)
	if err != nil || body.To != "+919876543210" || body.Text != `135791 is your code for Asha "A&B" Räo` || body.Minutes != 5 {
		t.Errorf("body: %+v, %v", body, err)
	}
	if h := g.got[0].Header.Get("Authorization"); h != "Bearer "+token {
		t.Errorf("Authorization: %q", h)
	}
}

func TestCouriers_areTriedInTheOrderOfTheAccount(t *testing.T) {
	t.Parallel()
	var down, up = startGateway(t, badhttp.Answer(http.StatusBadGateway, "")), startGateway(t, queued)
	secret := writeFile(t, "token", token, 0o600)
	box := startMailbox(t, up, "starttls")
	c := load(t, io.Discard,
		fmt.Sprintf(jsonGateway, "down", "3s", down.URL, down.ca, secret),
		fmt.Sprintf(jsonGateway, "up", "3s", up.URL, up.ca, secret),
		fmt.Sprintf(mailServer, "mail", "3s", box.port, "starttls", up.ca, secret))
	for _, x := range []struct {
		name             string
		reach            login.Reach
		down, up, mailed int
		fails            bool
	}{
		{"the file's order", login.Reach{Email: "asha@example.com"}, 2, 1, 0, false}, // the one that is down is tried twice
		{"the account's", login.Reach{Email: "asha@example.com", Couriers: []string{"mail", "up"}}, 0, 0, 1, false},
		{"without an address", login.Reach{Couriers: []string{"mail", "up"}}, 0, 1, 0, false},
		{"with one that is not there", login.Reach{Couriers: []string{"pigeon", "up"}}, 0, 1, 0, false},
		{"with none that is up", login.Reach{Couriers: []string{"down"}}, 2, 0, 0, true},
	} {
		m := message()
		m.Account.Reach = x.reach
		before := [3]int{down.calls(), up.calls(), len(box.mails)}
		err := c.Send(t.Context(), m)
		if got := [3]int{down.calls() - before[0], up.calls() - before[1], len(box.mails) - before[2]}; got != [3]int{x.down, x.up, x.mailed} || (err != nil) != x.fails {
			t.Errorf("%s: calls %v, error %v", x.name, got, err)
		}
	}
	nobody := message().Account
	nobody.Reach = login.Reach{Couriers: []string{"mail"}}
	if err := c.Ready(nobody); err == nil || !strings.Contains(err.Error(), "allows only mail") {
		t.Errorf("an account that no courier can reach: %v", err)
	}
	if err := c.Ready(message().Account); err != nil {
		t.Errorf("an account that several can reach: %v", err)
	}
}

func TestCourier_thatFailsIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	g := startGateway(t, badhttp.Answer(http.StatusServiceUnavailable, ""))
	c := g.sms(t, io.Discard)
	for range 3 { // twice each
		if err := c.Ready(message().Account); err != nil {
			t.Fatalf("after %d failures: %v", g.calls(), err)
		}
		_ = c.Send(t.Context(), message())
	}
	calls := g.calls()
	if err := c.Ready(message().Account); err == nil || c.Health() == nil || !strings.Contains(c.Health().Error(), "sms") {
		t.Errorf("after %d failures: ready %v, %v", calls, err, c.Health())
	}
	if err := c.Send(t.Context(), message()); err == nil || g.calls() != calls {
		t.Errorf("got error %v after %d more calls", err, g.calls()-calls)
	}
}

// A courier is known to fail from the first code on that it cannot carry, until it
// carries one: whether others do, and whether it is left alone for a while.
func TestCourier_thatFailsIsSeenAtTheFirstCode(t *testing.T) {
	status := make(chan int, 1)
	good := startGateway(t, queued)
	bad := startGateway(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case s := <-status:
			w.WriteHeader(s)
		default:
			queued(w, r)
		}
	})
	nowhere := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	port := nowhere.Addr().(*net.TCPAddr).Port
	_ = nowhere.Close()
	secret := writeFile(t, "token", token, 0o600)
	c := load(t, io.Discard, fmt.Sprintf(mailServer, "mail", "1s", port, "starttls", good.ca, secret)+
		fmt.Sprintf(jsonGateway, "sms", "3s", bad.URL, bad.ca, secret)+fmt.Sprintf(jsonGateway, "other", "3s", good.URL, good.ca, secret))
	if c.Health() != nil || fmt.Sprint(c.Failures()) != "map[mail:0 other:0 sms:0]" {
		t.Errorf("at first: %v, %v", c.Health(), c.Failures())
	}
	if err := c.Send(t.Context(), message()); err != nil { // by the second one
		t.Fatal(err)
	}
	err := c.Health()
	if err == nil || !strings.Contains(err.Error(), "mail could not deliver the last code, at 2099-05-01T17:30:00+05:30: ") || !strings.Contains(err.Error(), "connection refused") ||
		strings.Contains(err.Error(), "sms") {
		t.Errorf("after one code: %v", err)
	}
	if got := fmt.Sprint(c.Failures()); got != "map[mail:1 other:0 sms:0]" {
		t.Errorf("after one code: %s", got)
	}
	for range 9 { // the breaker opens
		_ = c.Send(t.Context(), message())
	}
	if got := c.Failures()["mail"]; got < 2 || got > 9 || c.Health() == nil {
		t.Errorf("after ten codes: %d, %v", got, c.Health())
	}
	// What a gateway says to this very message is no failure of it, and ends none.
	sms := message()
	sms.Account.Couriers = []string{"sms"}
	status <- http.StatusUnprocessableEntity
	if err := c.Send(t.Context(), sms); !errors.Is(err, login.ErrRefused) || c.Failures()["sms"] != 0 {
		t.Errorf("refused: %v, %v", err, c.Failures())
	}
}

func TestCourier_thatCarriesACodeAgainIsWell(t *testing.T) {
	var failing atomic.Bool
	g := startGateway(t, func(w http.ResponseWriter, r *http.Request) {
		if failing.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		queued(w, r)
	})
	c := g.sms(t, io.Discard)
	failing.Store(true)
	if err := c.Send(t.Context(), message()); err == nil || c.Health() == nil {
		t.Errorf("got error %v, %v", err, c.Health())
	}
	failing.Store(false)
	if err := c.Send(t.Context(), message()); err != nil || c.Health() != nil || c.Failures()["sms"] != 0 {
		t.Errorf("got error %v, %v, %v", err, c.Health(), c.Failures())
	}
	failing.Store(true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Send(ended, message()); err == nil || c.Health() != nil {
		t.Errorf("given up: %v, %v", err, c.Health())
	}
}

func TestCourier_sendsARefusedMessageOnceAndOpensNoBreaker(t *testing.T) {
	t.Parallel()
	g := startGateway(t, badhttp.Answer(http.StatusUnprocessableEntity, ""))
	c := g.sms(t, io.Discard)
	for range 7 {
		if err := c.Send(t.Context(), message()); !errors.Is(err, login.ErrRefused) {
			t.Fatalf("got error %v", err)
		}
	}
	if g.calls() != 7 || c.Health() != nil {
		t.Errorf("%d calls, %v", g.calls(), c.Health())
	}
}

func TestGateway_answerIsTakenForNoMoreThanItIs(t *testing.T) {
	t.Parallel()
	other := startGateway(t, queued)
	answers := badhttp.BrokenOff(http.StatusOK, `{"status": "queued"}`)
	maps.Copy(answers, badhttp.NoHTTP("135791"))
	maps.Copy(answers, map[string]http.HandlerFunc{
		"is a redirect":                    badhttp.Answer(307, "", "Location: "+other.URL),
		"redirects to no readable address": badhttp.Answer(302, "", "Location: http://%zz/135791"),
		"is another success":               badhttp.Answer(200, `{"status": "failed", "code": "135791"}`),
		"is huge":                          badhttp.Answer(200, strings.Repeat("x", 10<<20)),
		"lets nobody in":                   badhttp.Answer(401, token),
	})
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			g := startGateway(t, answer)
			err := g.sms(t, &log).Send(t.Context(), message())
			if err == nil || other.calls() > 0 {
				t.Errorf("got error %v, %d calls elsewhere", err, other.calls())
			}
			for _, secret := range []string{"135791", token, base64.StdEncoding.EncodeToString([]byte(token)), g.URL} {
				if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err)+log.String(), secret) {
					t.Errorf("%q is in %v or in the log:\n%s", secret, err, log.String())
				}
			}
		})
	}
}

func TestConfig_namesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	open := writeFile(t, "open", token, 0o604)
	empty := writeFile(t, "empty", "\n", 0o600)
	for name, x := range map[string]struct {
		text string
		want []string
	}{
		"unknown keys": {"couriers:\n  - name: sms\n    webhok: {}\n    colour: red\nmore: 1\n", []string{"webhok", "colour", "more"}},
		"nothing":      {"couriers: []\n", []string{"lists no couriers"}},
		"no YAML":      {"couriers: [\n", []string{"couriers.yaml"}},
		"values": {`
couriers:
  - name: SMS
    timeout: 1ms
  - name: sms
    webhook:
      url: http://sms.example.com/send
      method: GET
      to: pigeon
      headers: {Content-Type: application/json, Authorization: 'Bearer {{secret "none"}}'}
      body: '{"to": "{{.Name}}", "text": "{{.Colour}}"}'
      accepted: '('
      ca: nowhere.pem
      secrets: {open: ` + open + `, empty: ` + empty + `, missing: /nowhere}
  - name: sms
    smtp: {host: 'a b', port: 70000, tls: none, user: neo, from: nobody, subject: 'Code {{.Code}}', body: 'none'}
`, []string{
			"number 1: name: must be", "number 1: must have either webhook or smtp", "number 1: timeout:",
			"sms: url: must begin with https", "sms: method:", "sms: to:", `there is no secret "none"`, "sms: body:", "sms: accepted:", "sms: ca: ",
			"secrets: open: ", "secrets: empty:", "secrets: missing:",
			"sms: duplicate name", "sms: host:", "sms: port: 70000", "sms: tls:", "user and password-file", "sms: from:", "sms: subject:", "sms: body: does not contain",
		}},
		"escaping": {`
couriers:
  - name: one
    webhook:
      url: https://one.example.com
      headers: {Content-Type: application/json}
      body: '{"text": "{{.Code}} for {{.Name}}"}'
  - name: two
    webhook:
      url: https://two.example.com
      headers: {Content-Type: application/x-www-form-urlencoded}
      body: to={{.Mobile}}&code={{.Code}}
`, []string{"one: body: is not valid JSON", "two: body: a plus"}},
		"time": {"couriers:" + strings.Repeat(`
  - name: slow
    timeout: 15s
    webhook: {url: 'https://one.example.com', headers: {Content-Type: text/plain}, body: '{{.Code}}'}
`, 2), []string{"slow: duplicate name", "shorten the timeouts"}},
		"a secret in an open file": {`
couriers:
  - name: sms
    webhook: {url: 'https://one.example.com', headers: {Content-Type: text/plain, X-Api-Key: abc}, body: '{{.Code}}'}
`, []string{"sms: ", "couriers.yaml is readable by other users"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := courier.Load(writeFile(t, "couriers.yaml", x.text, 0o644), slog.New(slog.DiscardHandler))
			for _, want := range x.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
	if _, err := courier.Load("nowhere.yaml", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
	closed := writeFile(t, "couriers.yaml", "couriers:\n  - name: sms\n    webhook: {url: 'https://one.example.com', headers: {Content-Type: text/plain, X-Api-Key: abc}, body: '{{.Code}}'}\n", 0o600)
	if _, err := courier.Load(closed, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a secret in a file that others may not read: %v", err)
	}
}

package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"neoapi"
	"neoapi/internal/argon2"
	"neoapi/internal/canary"
	"neoapi/internal/serve"
	"neoapi/internal/telemetry"
	"neoapi/internal/token"
)

// A login with a wrong code in between is counted, measured and traced, through
// every port, and no secret and no person is named (security.md L1).
func TestMetrics_countMeasureAndTraceALogin(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	tel := telemetry.New(provider)
	srv, _ := serving(t, func(cfg *serve.Config) { cfg.Telemetry = tel })
	c, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	code := srv.OTP(t)
	if _, err := c.Session2FA(t.Context(), string('0'+(code[0]-'0'+1)%10)+code[1:]); !errors.Is(err, neoapi.ErrWrongOTP) {
		t.Fatal(err)
	}
	session, err := c.Session2FA(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	// An MPIN is judged under the claim, and the OMS asked in between.
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Session2FA(t.Context(), srv.Account.MPIN); err != nil {
		t.Fatal(err)
	}

	page := scrape(t, tel)
	for _, want := range []string{
		`neo_request_seconds_count{op="login",status="200"} 2`,
		`neo_request_seconds_count{op="session_2fa",status="401"} 1`,
		`neo_request_seconds_count{op="session_2fa",status="200"} 2`,
		`neo_events_total{action="login",factor="password",outcome="ok"} 2`,
		`neo_events_total{action="second factor",factor="otp",outcome="ok"} 1`,
		`neo_events_total{action="second factor",factor="mpin",outcome="ok"} 1`,
		`neo_port_seconds_count{op="claim",outcome="ok",port="store"} 3`,
		`neo_port_seconds_count{op="complete",outcome="ok",port="store"} 1`,
		`neo_port_seconds_count{op="open",outcome="ok",port="oms"} 1`,
		`neo_port_seconds_count{op="send",outcome="ok",port="courier"} 2`,
		`neo_live_sessions{kind="trade"} 2`,
		`neo_live_sessions{kind="view"} 0`,
		`neo_hash_queue{factor="first"} 0`,
		`neo_hash_kernel{kernel="` + argon2.Kernel() + `"} 1`,
		`neo_part_up{part="store"} 1`,
		`neo_signer{signer="` + token.Signer() + `"} 1`,
		`neo_jobs{kind="close"} 0`,
		`neo_jobs_oldest_seconds{kind="code"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("not there: %s", want)
		}
	}
	if !regexp.MustCompile(`(?m)^neo_signing_key_created_seconds 1\.\d+e\+09$`).MatchString(page) {
		t.Error("the age of the signing key is not there")
	}

	seen := page
	parents := map[string]string{}
	ids := map[string]string{}
	for _, s := range spans.Ended() {
		ids[s.SpanContext().SpanID().String()] = s.Name()
		for _, a := range s.Attributes() {
			seen += " " + a.Value.String()
		}
		seen += " " + s.Name() + " " + s.Status().Description
	}
	for _, s := range spans.Ended() {
		parents[s.Name()] = ids[s.Parent().SpanID().String()]
	}
	for span, parent := range map[string]string{
		"store claim": "neo session_2fa", "store complete": "neo session_2fa", "oms open": "neo session_2fa", "store open_view": "neo login", "neo login": "",
	} {
		if got, ok := parents[span]; !ok || got != parent {
			t.Errorf("the span %q has the parent %q (there: %v), not %q", span, got, ok, parent)
		}
	}
	var secrets canary.Flock
	for name, secret := range map[string]string{
		"consumer secret": srv.ConsumerSecret, "consumer key": srv.ConsumerKey, "password": srv.Account.Password, "mobile": srv.Account.Mobile,
		"PAN": srv.Account.PAN, "UCC": srv.Account.UCC, "code": code, "sid": session.SID,
	} {
		secrets.Add(name, secret)
	}
	secrets.AddToken("token", session.Token)
	if found := secrets.In([]byte(seen)); len(found) > 0 {
		t.Errorf("metrics or spans hold %q", found)
	}
}

func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	rec := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d: %v", rec.Code, err)
	}
	return string(body)
}

// A courier that cannot reach its mail server is seen by the operator at the first code
// that it does not carry, and until it carries one. Strangers are told nothing of it.
func TestMetrics_showACourierThatIsDownAtTheFirstCode(t *testing.T) {
	g, dir := startGateway(t), t.TempDir()
	g.set(http.StatusServiceUnavailable, nil)
	tel := telemetry.New(nil)
	srv, status, _ := servingWithStatus(t, dir, nil, func(cfg *serve.Config) { cfg.Telemetry, cfg.Couriers = tel, g.file(t, "5s") })
	store, c := openStore(t, dir), consumer(t, srv)
	ready := func() string {
		rec := httptest.NewRecorder()
		status.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		return rec.Body.String()
	}
	has := func(lines ...string) {
		t.Helper()
		page := scrape(t, tel)
		for _, line := range lines {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("not there: %s", line)
			}
		}
	}
	has(`neo_courier_up{courier="sms"} 1`, `neo_courier_failures{courier="sms"} 0`)
	view := c.login(t)
	c.askOTP(t, view).want(t, 201)
	if got := became(t, store, view.SID); got != "not delivered" {
		t.Fatalf("delivery: %s", got)
	}
	has(`neo_courier_up{courier="sms"} 0`, `neo_courier_failures{courier="sms"} 1`)
	eventually(t, "a look at the couriers", func() bool {
		return strings.Contains(ready(), `"status":"degraded"`) && strings.Contains(ready(), `"courier":"sms could not deliver the last code, at `)
	})
	has(`neo_part_up{part="courier"} 0`)
	if r := c.ask(t, "GET", "/readyz", ""); strings.Contains(string(r.body), "sms") {
		t.Errorf("strangers are told %s", r.body)
	}
	g.set(http.StatusOK, nil)
	view = c.login(t)
	c.askOTP(t, view).want(t, 201)
	if got := became(t, store, view.SID); got != "ok" {
		t.Fatalf("delivery: %s", got)
	}
	has(`neo_courier_up{courier="sms"} 1`, `neo_courier_failures{courier="sms"} 0`)
	eventually(t, "another look", func() bool { return strings.Contains(ready(), `"status":"ready"`) })
}

// Whoever points a name of their own at the operator's machine reads nothing there.
func TestMetrics_answerNoPageOfAStranger(t *testing.T) {
	_, status, _ := servingWithStatus(t, t.TempDir(), nil, func(cfg *serve.Config) { cfg.Telemetry = telemetry.New(nil) })
	at := httptest.NewServer(status)
	defer at.Close()
	for host, want := range map[string]int{"": 200, "localhost:9156": 200, "neo": 200, "evil.example:9156": 403, "127.0.0.1.evil.example": 403} {
		for _, path := range []string{"/metrics", "/livez", "/readyz"} {
			if r := answer(t, request(t, "GET", at.URL+path, nil, "Host", host)); r.status != want {
				t.Errorf("%s for host %q: %d, want %d", path, host, r.status, want)
			}
		}
	}
}

package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// Clients judge their own clock by the header Date, so it is the service's time, in
// every answer: successes, refusals, faults, and what no handler answers.
func TestDate_ofEveryAnswerIsTheServicesTime(t *testing.T) {
	t.Parallel()
	moved := func() time.Time { return time.Now().Add(-1000 * time.Hour) }
	judge := func(t *testing.T, what string, header http.Header) {
		t.Helper()
		dates := header.Values("Date")
		if len(dates) != 1 {
			t.Errorf("%s: %d headers Date", what, len(dates))
			return
		}
		date, err := http.ParseTime(dates[0])
		if off := date.Sub(moved()).Abs(); err != nil || off > time.Minute {
			t.Errorf("%s: Date is %s, %v off the service's time, %v", what, dates[0], off, err)
		}
	}
	ask := func(t *testing.T, srv *neoapitest.Server, proto string) {
		call := func(what, method, path, body string, status int, pairs ...string) {
			t.Helper()
			resp, err := bareClient().Do(request(t, method, srv.URL+path, strings.NewReader(body), append(pairs, "Content-Type", "application/json")...))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			_, _ = io.Copy(io.Discard, resp.Body) // some are cut short on purpose
			if resp.StatusCode != status || resp.Proto != proto {
				t.Errorf("%s: %d by %s, want %d by %s", what, resp.StatusCode, resp.Proto, status, proto)
			}
			judge(t, what, resp.Header)
		}
		c := consumer(t, srv)
		right := object("mobileNumber", c.Account.Mobile, "password", c.Account.Password)
		trade := c.second(t, c.post(t, validatePath, right).session(t), c.Account.MPIN).session(t)
		call("a success", "POST", validatePath, right, 200, "Authorization", c.who)
		call("a refusal", "POST", validatePath, object("userid", "nobody", "mpin", "000000"), 401, "Authorization", c.who)
		call("no access", "POST", validatePath, right, 401)
		call("an unknown path", "GET", "/sandbox/nowhere", "", 404)
		call("a method", "GET", tokenPath, "", 405)
		call("large headers", "GET", "/livez", "", 431, "X-Large", strings.Repeat("x", 17<<10))
		call("a large body", "POST", validatePath, strings.Repeat("x", 17<<10), 413, "Authorization", c.who)
		call("health", "GET", "/livez", "", 200)
		call("the key set", "GET", "/.well-known/jwks.json", "", 200)
		call("forward authentication", "GET", "/auth", "", 401)
		call("the inbox", "GET", "/sandbox/otp/NOBODY", "", 404)
		for fault, status := range map[string]int{"html_502": 502, "truncated": 200, "900802": 429, "redirect": 302, "empty": 200} {
			call("the order for "+fault, "POST", "/sandbox/faults", fmt.Sprintf(`{"op":"login","fault":%q,"times":1}`, fault), 200)
			call(fault, "POST", validatePath, right, status, "Authorization", c.who)
		}
		call("the trade API's answer without a Date", "GET", "/quick/anything", "", 200, "Sid", trade.SID, "Auth", trade.Token)
		call("the trade API's answer after an early hint", "GET", "/quick/hint", "", 200, "Sid", trade.SID, "Auth", trade.Token)
		call("a call that the trade API does not answer", "GET", "/quick/broken", "", 504, "Sid", trade.SID, "Auth", trade.Token)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/quick/broken":
			panic(http.ErrAbortHandler)
		case "/quick/hint":
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header()["Date"] = nil
	}))
	t.Cleanup(upstream.Close)
	t.Run("HTTP/1.1", func(t *testing.T) {
		srv, _ := servingAt(t, t.TempDir(), moved, func(cfg *serve.Config) { cfg.TradeAPI = upstream.URL })
		ask(t, srv, "HTTP/1.1")
		for _, x := range framings(consumer(t, srv)) { // what no handler answers
			answers := raw(t, srv, x.text, true)
			if len(answers) == 0 {
				t.Errorf("%s: no answer", x.name)
			}
			for _, answer := range answers {
				judge(t, x.name, answer.header)
			}
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		srv, _ := servingAt(t, t.TempDir(), moved, func(cfg *serve.Config) {
			cfg.TradeAPI = upstream.URL
			withTLS(t, cfg)
		})
		ask(t, srv, "HTTP/2.0")
	})
}

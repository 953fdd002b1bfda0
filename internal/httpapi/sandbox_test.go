package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// askRoot sends a request to the root of a service, and holds the answer against
// api/openapi.yaml.
func askRoot(t *testing.T, srv *neoapitest.Server, method, accept string) reply {
	t.Helper()
	r := request(t, method, srv.URL+"/", nil, "Host", "evil.example")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	got := answer(t, r)
	got.described(t, r, "")
	return got
}

func TestHome_ofASandboxSaysWhatThisIs(t *testing.T) {
	srv := neoapitest.NewServer(t)
	for _, accept := range []string{"", "*/*", "application/json", "application/json, text/html;q=0.9", "text/html;q=0, */*", "text/html, application/json", "image/png", "text/html;q=x"} {
		var answer struct {
			Data struct {
				Service, URL, ConsumerKey, ConsumerSecret, Password, MPIN, TOTPSeed, Inbox, TOTP, Market string
				Accounts                                                                                 []struct{ UCC string }
			}
		}
		r := askRoot(t, srv, http.MethodGet, accept).want(t, 200)
		if err := json.Unmarshal(r.body, &answer); err != nil {
			t.Fatalf("Accept %q: %v: %s", accept, err, r.body)
		}
		d := answer.Data
		if d.Service != "neo sandbox" || d.URL != srv.URL || d.ConsumerKey != srv.ConsumerKey || d.ConsumerSecret != srv.ConsumerSecret ||
			d.Password != srv.Account.Password || len(d.Accounts) != 1 || d.Accounts[0].UCC != srv.Account.UCC || !strings.HasPrefix(d.Inbox, srv.URL+"/sandbox/otp/") || !strings.HasPrefix(d.TOTP, srv.URL+"/sandbox/totp/") || d.Market != srv.URL+"/sandbox/market" {
			t.Errorf("Accept %q: %s", accept, r.body)
		}
	}
	for _, accept := range []string{
		"text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"text/*", "application/json;q=0.5, text/html", "TEXT/HTML;level=1",
	} {
		r := askRoot(t, srv, http.MethodGet, accept)
		body := string(r.body)
		if !strings.HasPrefix(body, "<!doctype html>") || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("Accept %q: no page: %s", accept, body)
		}
		for _, said := range []string{srv.URL, srv.ConsumerKey, srv.ConsumerSecret, srv.Account.UCC, srv.Account.Password, "neo sandbox -- CMD", "/sandbox/faults", "/quick/order/rule/ms/place", "/sandbox/market", "/sandbox/accounts/TESTYA24", "/sandbox/state", "/sandbox/requests"} {
			if !strings.Contains(body, said) {
				t.Errorf("the page does not show %q", said)
			}
		}
		if strings.Contains(body, "evil.example") {
			t.Error("the page repeats a Host that the client made up")
		}
		if csp := r.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(body, "<script") {
			t.Errorf("a page that may run something: %q", csp)
		}
	}
	if r := askRoot(t, srv, http.MethodHead, "text/html").want(t, 200); len(r.body) > 0 {
		t.Errorf("HEAD: %q", r.body)
	}
	if r := askRoot(t, srv, http.MethodPost, "text/html").want(t, 405); r.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: Allow %q", r.header.Get("Allow"))
	}
}

// A service has no such page: nothing of it is public.
func TestHome_isAbsentFromAService(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithoutSandbox())
	for _, accept := range []string{"", "text/html"} {
		if r := askRoot(t, srv, http.MethodGet, accept).want(t, 404); strings.Contains(string(r.body), "sandbox") {
			t.Errorf("%s", r.body)
		}
	}
}

// A page that a developer looks at neither reads the inbox nor makes answers fail; a
// program does, and so does a page of the sandbox's own.
func TestSandbox_isNotDrivenByAWebPage(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) {
		cfg.PublicURL, cfg.Clock = "http://sandbox.example.com:9155", &sandbox.Clock{}
	})
	const fault = `{"op":"login","fault":"502"}`
	for name, x := range map[string]struct {
		header  []string
		reading int // the status of GET
		doing   int // of POST and DELETE
	}{
		"a program":                 {nil, 200, 200},
		"a container's name":        {[]string{"Host", "sandbox:9155"}, 200, 200},
		"localhost":                 {[]string{"Host", "localhost:9155"}, 200, 200},
		"its public name":           {[]string{"Host", "sandbox.example.com"}, 200, 200},
		"a page of its own":         {[]string{"Host", "localhost:9155", "Origin", "http://localhost:9155", "Sec-Fetch-Site", "same-origin"}, 200, 200},
		"another site":              {[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 200, 403}, // whose page cannot read the answer
		"another port":              {[]string{"Host", "localhost:9155", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, 200, 403},
		"an older browser":          {[]string{"Origin", "https://evil.example"}, 200, 403},
		"a frame without an origin": {[]string{"Origin", "null"}, 200, 403},
		"DNS rebinding":             {[]string{"Host", "evil.example:9155", "Origin", "http://evil.example:9155", "Sec-Fetch-Site", "same-origin"}, 403, 403},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(method, path, body string, want int) {
				t.Helper()
				r := request(t, method, srv.URL+path, strings.NewReader(body), append(x.header, "Content-Type", "application/json")...)
				got := answer(t, r)
				if got.status != want {
					t.Errorf("%s %s: %d %s, want %d", method, path, got.status, got.body, want)
				}
				got.described(t, r, body)
			}
			send("GET", "/sandbox/faults", "", x.reading)
			send("POST", "/sandbox/faults", fault, x.doing)
			send("DELETE", "/sandbox/faults", "", x.doing)
			send("POST", "/sandbox/market", `{"set":"run"}`, x.doing)
			send("POST", "/sandbox/accounts/TESTYA24", `{"funds":"100000.00"}`, x.doing)
			send("GET", "/sandbox/accounts/TESTYA24", "", x.reading)
			send("POST", "/sandbox/clock", `{"advance":"1s"}`, x.doing)
			send("GET", "/sandbox/clock", "", x.reading)
			send("DELETE", "/sandbox/state", "", x.doing)
			send("GET", "/sandbox/requests", "", x.reading)
			inbox := 404 // no code has come
			if x.reading == 403 {
				inbox = 403
			}
			send("GET", "/sandbox/otp/TESTYA24", "", inbox)
			send("GET", "/sandbox/totp/TESTYA24", "", x.reading)
		})
	}
}

// A page can make a browser post a form or a text to any address without asking: such a body
// does nothing, also where the browser does not say who sent it.
func TestSandbox_takesJSONAlone(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	for path, body := range map[string]string{
		"/sandbox/faults": `{"op":"login","fault":"502"}`, "/sandbox/market": `{"set":"run"}`, "/sandbox/clock": `{"advance":"1s"}`,
		"/sandbox/accounts/TESTYA24": `{"funds":"100000.00"}`,
	} {
		for contentType, want := range map[string]int{
			"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "application/json; charset=latin1": 415,
			"application/jsonp": 415, "text/plain; application/json": 415,
			"application/json": 200, "application/json; charset=UTF-8": 200, "Application/JSON": 200,
		} {
			r := request(t, "POST", srv.URL+path, strings.NewReader(body))
			if r.Header.Del("Content-Type"); contentType != "" {
				r.Header.Set("Content-Type", contentType)
			}
			got := answer(t, r).want(t, want)
			got.described(t, r, body)
		}
		r := request(t, "POST", srv.URL+path, nil, "Content-Type", "application/json")
		answer(t, r).want(t, 400)
	}
}

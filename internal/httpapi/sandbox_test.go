package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"neoapi/internal/apitest"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// askRoot sends a request to the root of a service, and holds the answer against
// api/openapi.yaml.
func askRoot(t *testing.T, srv *neoapitest.Server, method, accept string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	r.Host = "evil.example"
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	x := apitest.Exchange{Method: method, Path: "/", Asked: r.Header, Status: resp.StatusCode, Header: resp.Header, Body: body}
	if err := x.Check(); err != nil {
		t.Errorf("%s, Accept %q: not as api/openapi.yaml says: %v", method, accept, err)
	}
	return resp, string(body)
}

func TestTheRootOfASandboxSaysWhatThisIs(t *testing.T) {
	srv := neoapitest.NewServer(t)
	for _, accept := range []string{"", "*/*", "application/json", "application/json, text/html;q=0.9", "text/html;q=0, */*", "text/html, application/json", "image/png", "text/html;q=x"} {
		resp, body := askRoot(t, srv, http.MethodGet, accept)
		var answer struct {
			Data struct {
				Service, URL, ConsumerKey, ConsumerSecret, Password, MPIN, TOTPSeed, Inbox string
				Accounts                                                                   []struct{ UCC string }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("Accept %q: %s %v: %s", accept, resp.Status, err, body)
		}
		d := answer.Data
		if d.Service != "neo sandbox" || d.URL != srv.URL || d.ConsumerKey != srv.ConsumerKey || d.ConsumerSecret != srv.ConsumerSecret ||
			d.Password != srv.Account.Password || len(d.Accounts) != 1 || d.Accounts[0].UCC != srv.Account.UCC || !strings.HasPrefix(d.Inbox, srv.URL+"/sandbox/otp/") {
			t.Errorf("Accept %q: %s", accept, body)
		}
	}
	for _, accept := range []string{
		"text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"text/*", "application/json;q=0.5, text/html", "TEXT/HTML;level=1",
	} {
		resp, body := askRoot(t, srv, http.MethodGet, accept)
		if !strings.HasPrefix(body, "<!doctype html>") || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("Accept %q: no page: %s", accept, body)
		}
		for _, said := range []string{srv.URL, srv.ConsumerKey, srv.ConsumerSecret, srv.Account.UCC, srv.Account.Password, "neo sandbox -- CMD", "/sandbox/faults"} {
			if !strings.Contains(body, said) {
				t.Errorf("the page does not show %q", said)
			}
		}
		if strings.Contains(body, "evil.example") {
			t.Error("the page repeats a Host that the client made up")
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(body, "<script") {
			t.Errorf("a page that may run something: %q", csp)
		}
	}
	if resp, body := askRoot(t, srv, http.MethodHead, "text/html"); resp.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %s %q", resp.Status, body)
	}
	if resp, _ := askRoot(t, srv, http.MethodPost, "text/html"); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
}

// A service has no such page: nothing of it is public.
func TestTheRootOfAServiceIsNothing(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithoutSandbox())
	for _, accept := range []string{"", "text/html"} {
		if resp, body := askRoot(t, srv, http.MethodGet, accept); resp.StatusCode != http.StatusNotFound || strings.Contains(body, "sandbox") {
			t.Errorf("%s: %s", resp.Status, body)
		}
	}
}

// A page that a developer looks at neither reads the inbox nor makes answers fail; a
// program does, and so does a page of the sandbox's own.
func TestAWebPageDoesNotDriveALocalSandbox(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) { cfg.PublicURL = "http://sandbox.example.com:9155" })
	const fault = `{"op":"login","fault":"502"}`
	for name, x := range map[string]struct {
		header  http.Header
		reading int // the status of GET
		doing   int // of POST and DELETE
	}{
		"a program":                 {nil, 200, 200},
		"a container's name":        {http.Header{"Host": {"sandbox:9155"}}, 200, 200},
		"localhost":                 {http.Header{"Host": {"localhost:9155"}}, 200, 200},
		"its public name":           {http.Header{"Host": {"sandbox.example.com"}}, 200, 200},
		"a page of its own":         {http.Header{"Host": {"localhost:9155"}, "Origin": {"http://localhost:9155"}, "Sec-Fetch-Site": {"same-origin"}}, 200, 200},
		"another site":              {http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, 200, 403}, // whose page cannot read the answer
		"another port":              {http.Header{"Host": {"localhost:9155"}, "Origin": {"http://localhost:3000"}, "Sec-Fetch-Site": {"same-site"}}, 200, 403},
		"an older browser":          {http.Header{"Origin": {"https://evil.example"}}, 200, 403},
		"a frame without an origin": {http.Header{"Origin": {"null"}}, 200, 403},
		"DNS rebinding":             {http.Header{"Host": {"evil.example:9155"}, "Origin": {"http://evil.example:9155"}, "Sec-Fetch-Site": {"same-origin"}}, 403, 403},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(method, path, body string, want int) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for name, values := range x.header {
					r.Header[name] = values
				}
				r.Header.Set("Content-Type", "application/json")
				r.Host = r.Header.Get("Host")
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != want {
					t.Errorf("%s %s: %d %s, want %d", method, path, resp.StatusCode, text, want)
				}
				y := apitest.Exchange{Method: method, Path: path, Asked: r.Header, Sent: []byte(body), Status: resp.StatusCode, Header: resp.Header, Body: text}
				if err := y.Check(); err != nil {
					t.Errorf("not as api/openapi.yaml says: %v", err)
				}
			}
			send("GET", "/sandbox/faults", "", x.reading)
			send("POST", "/sandbox/faults", fault, x.doing)
			send("DELETE", "/sandbox/faults", "", x.doing)
			inbox := 404 // no code has come
			if x.reading == 403 {
				inbox = 403
			}
			send("GET", "/sandbox/otp/TESTYA24", "", inbox)
		})
	}
}

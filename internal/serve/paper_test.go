package serve

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"neoapi/internal/telemetry"
)

// Who runs a shared test system moves its market; those who trade there cannot, and
// neither can a web page that the operator visits.
func TestServe_paperIsControlledAtTheOperatorsAddressAlone(t *testing.T) {
	t.Parallel()
	d, err := Open(t.Context(), Place{Dir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	server, err := New(t.Context(), d, Config{Paper: true, Telemetry: telemetry.New(nil), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx, l) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	operator := httptest.NewServer(server.Status())
	defer operator.Close()

	ask := func(base, method, path, body string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		for k := 0; k < len(header); k += 2 {
			req.Header.Set(header[k], header[k+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	const price = `{"set":"price","segment":"nse_cm","symbol":"TCS-EQ","price":"3500.00"}`
	for _, c := range []struct{ method, path, body, answer string }{
		{"POST", "/sandbox/market", price, `"last":"3500.00"`},
		{"POST", "/sandbox/faults", `{"op":"place","fault":"lost"}`, `"fault":"lost"`},
		{"GET", "/sandbox/requests", "", `"data":[]`},
		{"GET", "/sandbox/clock", "", `"market":"`},
		{"GET", "/sandbox/", "", `"path":"/sandbox/accounts/{ucc}"`},
		{"DELETE", "/sandbox/state", "", `"state"`},
	} {
		if status, text := ask(operator.URL, c.method, c.path, c.body); status != http.StatusOK || !strings.Contains(text, c.answer) {
			t.Errorf("the operator's %s %s: %d %s", c.method, c.path, status, text)
		}
		if status, text := ask(operator.URL, c.method, c.path, c.body, "Origin", "http://elsewhere.example", "Sec-Fetch-Site", "cross-site"); c.method != "GET" && status != http.StatusForbidden {
			t.Errorf("a web page's %s %s: %d %s", c.method, c.path, status, text)
		}
		if status, text := ask("http://"+l.Addr().String(), c.method, c.path, c.body); status != http.StatusNotFound {
			t.Errorf("a stranger's %s %s: %d %s", c.method, c.path, status, text)
		}
	}
	if status, text := ask(operator.URL, "GET", "/sandbox/accounts/NOBODY", ""); status != http.StatusNotFound {
		t.Errorf("an account that there is not: %d %s", status, text)
	}
	if status, text := ask(operator.URL, "GET", "/sandbox/", "", "Accept", "text/html"); status != http.StatusOK || !strings.Contains(text, "<title>The exchange on paper</title>") {
		t.Errorf("the index: %d %s", status, text)
	}
	if status, text := ask(operator.URL, "GET", "/sandbox/nothing", ""); status != http.StatusNotFound || !strings.Contains(text, "/sandbox/ says") {
		t.Errorf("a page that there is not: %d %s", status, text)
	}
	if status, text := ask(operator.URL, "POST", "/sandbox/clock", `{"advance":"5m"}`); status != http.StatusForbidden || !strings.Contains(text, "not moved") {
		t.Errorf("everybody's clock is moved: %d %s", status, text)
	}
	if status, text := ask(operator.URL, "POST", "/sandbox/market", price, "Content-Type", "text/plain"); status != http.StatusUnsupportedMediaType {
		t.Errorf("a text: %d %s", status, text)
	}
	if status, text := ask(operator.URL, "PUT", "/sandbox/market", price); status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: %d %s", status, text)
	}
}

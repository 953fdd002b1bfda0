package neoapi

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"neoapi/internal/must"
)

// BenchmarkCall measures a call through HTTPClient and through a bare
// http.Client, with a transport that answers at once: the difference is what the
// client costs (at most 5 µs and 10 allocations).
func BenchmarkCall(b *testing.B) {
	instant := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(book)), ContentLength: int64(len(book)), Request: r}, nil
	})
	run := func(name string, hc *http.Client) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := must.Get(http.NewRequest("GET", "http://127.0.0.1:1/Orders/2.0/quick/user/orders", nil))(b)
				req.Header.Set("Accept", "application/json")
				resp := must.Get(hc.Do(req))(b)
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	bare := &http.Client{Transport: instant}
	run("bare", bare)
	for name, session := range map[string]Session{"generation 1": gen1, "generation 3": gen3} {
		c := must.Get(New(Config{Environment: "http://127.0.0.1:1", ConsumerKey: "key", AccessToken: canaryAccess, HTTPClient: bare}))(b)
		must.Do(b, c.Use(session))
		run(name, c.HTTPClient(WithRate(0)))
		run(name+", with a rate of its own", c.HTTPClient(func(t *caller) { t.rate = &rate{1 << 20, &window{}} }))
		run(name+", with a keeper", c.HTTPClient(WithRate(0), WithKeeper(&keeping{tokens: []string{session.Token}})))
	}
}

// BenchmarkSharedRate measures what it costs to count a request in a file, twice: when
// it is sent, and when its answer comes.
func BenchmarkSharedRate(b *testing.B) {
	w := &window{}
	w.join(filepath.Join(b.TempDir(), "rate"))
	b.ReportAllocs()
	for b.Loop() {
		ticket, _ := w.take(&Client{}, 0)
		w.answered(ticket)
	}
}

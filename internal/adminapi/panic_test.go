package adminapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"neoapi/internal/operator"
)

func TestPanic_isLoggedWithWhereItWas(t *testing.T) {
	c := Config{Address: socket + filepath.Join(t.TempDir(), "s")}
	l, err := c.Listen()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	// An Admin without a store: every call into it panics.
	go func() { ended <- c.Serve(ctx, l, &operator.Admin{}, slog.New(slog.NewTextHandler(&log, nil))) }()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", l.Addr().String())
	}}}
	defer client.CloseIdleConnections()
	for range 2 { // the process goes on
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://neo/accounts/AB1234", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s", resp.Status)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "panic: ") != 2 || !strings.Contains(text, "adminapi.(*request).account") || !strings.Contains(text, "adminapi.go:") {
		t.Errorf("the log does not say where it was:\n%s", text)
	}
}

package httpapi_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"neoapi/internal/serve"
	"neoapi/internal/telemetry"
	"neoapi/neoapitest"
)

// configured returns where the configuration service says that the feeds are.
func configured(t *testing.T, srv *neoapitest.Server, pairs ...string) (market, orders string) {
	t.Helper()
	resp, err := (&http.Client{Transport: plainTransport}).Do(request(t, "GET", srv.URL+"/5config/config?appVersion=&platform=api&environment=qa", nil, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct{ Configs map[string]string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	c := answer.Data.Configs
	if c["neo_broadcast_source"] != "sh" || len(c) != 3 {
		t.Errorf("configs: %v", c)
	}
	return c["neo_sh_broadcast_endpoint"], c["neo_sh_interactive_endpoint"]
}

func TestFeeds_areNamedAsTheServiceIsReached(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}} // a WebSocket needs HTTP/1.1
	for name, x := range map[string]struct {
		change func(*serve.Config)
		pairs  []string
		want   string // "" for the address that was dialed
	}{
		"plain":                  {func(*serve.Config) {}, nil, ""},
		"TLS":                    {func(cfg *serve.Config) { withTLS(t, cfg) }, nil, ""},
		"a public address":       {func(cfg *serve.Config) { cfg.PublicURL = "https://api.example.com/neo/" }, nil, "wss://api.example.com/neo"},
		"a proxy with TLS":       {func(cfg *serve.Config) { cfg.TrustedProxies = []string{"127.0.0.1"} }, []string{"X-Forwarded-Proto", "https", "X-Forwarded-For", "192.0.2.1"}, "wss"},
		"a stranger who says so": {func(*serve.Config) {}, []string{"X-Forwarded-Proto", "https"}, ""},
	} {
		srv, _ := serving(t, x.change)
		own := "ws" + strings.TrimPrefix(srv.URL, "http")
		switch x.want {
		case "":
			x.want = own
		case "wss":
			x.want = "wss" + strings.TrimPrefix(own, "ws")
		}
		market, orders := configured(t, srv, x.pairs...)
		if market != x.want+"/apifeed" || orders != x.want+"/realtime" {
			t.Errorf("%s: %s and %s, not below %s", name, market, orders, x.want)
		}
		if name != "plain" && name != "TLS" {
			continue
		}
		ws, resp, err := websocket.Dial(t.Context(), market, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"X-Request-Id": {"the-request"}}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.Header.Get("X-Request-Id") != "the-request" || resp.Header.Get("Date") == "" {
			t.Errorf("%s: %v", name, resp.Header)
		}
		_ = ws.CloseNow()
	}
}

func TestFeeds_areInTheLogAndTheMetricsLikeAnyCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var text bytes.Buffer
	log := slog.New(slog.NewJSONHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(p)
	}), nil))
	tel := telemetry.New(nil)
	srv, _ := serving(t, func(cfg *serve.Config) { cfg.Log, cfg.Telemetry = log, tel })
	market, _ := configured(t, srv)
	ws, _, err := websocket.Dial(t.Context(), market, &websocket.DialOptions{HTTPHeader: http.Header{"X-Request-Id": {"the-feed"}}})
	if err != nil {
		t.Fatal(err)
	}
	metrics := func() string { return scrape(t, tel) }
	eventually(t, "the upgrade is counted while the feed is open", func() bool {
		m := metrics()
		return strings.Contains(m, `neo_request_seconds_count{op="market_feed",status="101"} 1`) && strings.Contains(m, `neo_live_feeds{feed="unproven"} 1`)
	})
	_ = ws.CloseNow()
	eventually(t, "its end is in the log", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(text.String()) {
			if strings.Contains(line, `"the-feed"`) && strings.Contains(line, `"op":"market_feed"`) && strings.Contains(line, `"status":101`) {
				return true
			}
		}
		return false
	})
	eventually(t, "it is open no longer", func() bool { return strings.Contains(metrics(), `neo_live_feeds{feed="unproven"} 0`) })
	if m := metrics(); !strings.Contains(m, `neo_request_seconds_count{op="market_feed",status="101"} 1`) {
		t.Error("its end was counted as another call")
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

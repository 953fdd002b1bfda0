package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/nginxtest"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// proxied is a service with nginx and a trade API.
type proxied struct {
	service *neoapitest.Server
	stop    func() // ends the service
	front   caller // to nginx

	mu    sync.Mutex
	calls []*http.Request // that came to the trade API
	body  string          // of the last one
}

// behindNginx starts nginx before a service and a trade API.
func behindNginx(t testing.TB, change func(*serve.Config)) *proxied {
	t.Helper()
	p := &proxied{}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.calls, p.body = append(p.calls, r), string(body)
		p.mu.Unlock()
		switch {
		case r.URL.Path == "/quick/broken":
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/quick/refused":
			w.WriteHeader(403)
		case r.Header.Get("Upgrade") != "":
			conn, both, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: k\r\n\r\n")
			_, _ = io.Copy(conn, both)
			return
		}
		fmt.Fprint(w, "the trade API's")
	}))
	t.Cleanup(upstream.Close)
	p.service, p.stop = serving(t, func(cfg *serve.Config) {
		cfg.TrustedProxies = []string{"127.0.0.1"}
		if change != nil {
			change(cfg)
		}
	})
	address := func(url string) string { return strings.TrimPrefix(url, "http://") }
	server := nginxtest.Start(t, "../../deploy/nginx.conf", address(p.service.URL), address(upstream.URL))
	front := &neoapitest.Server{URL: server.URL, ConsumerKey: p.service.ConsumerKey, ConsumerSecret: p.service.ConsumerSecret, Account: p.service.Account}
	p.front = caller{front, consumer(t, p.service).who}
	return p
}

// last is the last call that came to the trade API since the one before was asked for.
func (p *proxied) last(t testing.TB) (*http.Request, string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.calls) != 1 {
		t.Fatalf("%d calls came to the trade API", len(p.calls))
	}
	r := p.calls[0]
	p.calls = nil
	return r, p.body
}

// ask sends a request whose header names are written as they are given.
func (c caller) ask(t testing.TB, method, path, body string, pairs ...string) reply {
	t.Helper()
	r := request(t, method, c.URL+path, strings.NewReader(body), "Authorization", c.who)
	for i := 0; i < len(pairs); i += 2 {
		r.Header[pairs[i]] = append(r.Header[pairs[i]], pairs[i+1])
	}
	return answer(t, r)
}

func TestNginx_passesOnlyGoodSessionsAndOverwritesWhatTheyClaim(t *testing.T) {
	t.Parallel()
	p := behindNginx(t, nil)
	session := caller{p.service, p.front.who}.trade(t)
	if got := p.front.ask(t, "POST", validatePath, object("mobileNumber", p.front.Account.Mobile, "password", p.front.Account.Password), "Content-Type", "application/json"); got.status != 200 {
		t.Errorf("a login through nginx: %d %s", got.status, got.body)
	}
	const forgery = "eyJhbGciOiJub25lIn0.e30."
	for _, x := range []struct{ method, path, body string }{
		{"GET", tradePath + "?sId=server1", ""}, {"POST", "/Orders/2.0/quick/order/rule/ms/place?sId=server1", "jData=%7B%7D"}, {"DELETE", "/quick/order/7", ""},
		{"POST", "/quick/order", strings.Repeat("x", wire.MaxBody+1)}, {"GET", "/authority", ""},
	} {
		var more []string
		for _, name := range spoofed {
			more = append(more, name, "forged")
		}
		for _, name := range legitimate {
			if name != "X-Request-Id" {
				more = append(more, name, "the client's")
			}
		}
		got := p.front.ask(t, x.method, x.path, x.body, session.pairs(append(more, "Neo-Identity", forgery, "neo-identity", forgery, "Neo_Identity", forgery, "NEO-IDENTITY", forgery,
			"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Uri", "/other", "X-Original-Uri", "/other", "X-Request-Id", "mine", "X-Real-Ip", "1.2.3.4",
			"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "Http2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")...)...)
		if got.status != 200 || string(got.body) != "the trade API's" {
			t.Fatalf("%s %s: %d %s", x.method, x.path, got.status, got.body)
		}
		r, body := p.last(t)
		if r.Method != x.method || r.RequestURI != x.path || body != x.body || r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Header.Get("X-Request-Id") != "mine" {
			t.Errorf("%s %s arrived as %s %s with %d bytes, %v", x.method, x.path, r.Method, r.RequestURI, len(body), r.Header)
		}
		if r.Header.Get("X-Real-Ip") != "127.0.0.1" {
			t.Errorf("%s: the client's address is %q", x.path, r.Header.Values("X-Real-Ip"))
		}
		onlyLegitimate(t, r, "Neo-Identity", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Connection", "Content-Length")
		if values := r.Header.Values("Neo-Identity"); len(values) != 1 || identified(t, values[0], published(t, p.service)).Sub != session.UCC {
			t.Errorf("%s: identities %q", x.path, values)
		}
	}
	socket := p.front.upgrade(t, session)
	socket.echoes(t, "a WebSocket through nginx")
	p.last(t)
	if got := p.front.ask(t, "GET", "/quick/refused", "", session.pairs()...); got.status != 403 || string(got.body) != "the trade API's" {
		t.Errorf("the trade API's own refusal came as %d %s", got.status, got.body)
	}
	p.last(t)

	refused := func(got reply, status int, code string) {
		t.Helper()
		got.refusedTrade(t, status, code)
		if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" || len(got.header.Values("Www-Authenticate")) != map[bool]int{true: 1}[status == 401] {
			t.Errorf("%d with %v", status, got.header)
		}
		if wait := got.header.Get("Retry-After"); (wait != "") != (status == 429 || status == 503) {
			t.Errorf("%d with Retry-After %q", status, wait)
		}
	}
	refused(p.front.ask(t, "GET", tradePath, "", "Neo-Identity", forgery), 401, wire.HeaderMissing.Code)
	refused(p.front.ask(t, "GET", tradePath, "", "Sid", session.SID, "Auth", session.Token+"x", "Neo-Identity", forgery), 401, wire.BadSession.Code)
	refused(p.front.ask(t, "POST", "/quick/order", "x", append(session.pairs(), "Sid", "another")...), 400, wire.BadInput.Code)
	if got := p.front.ask(t, "GET", "/neo-auth", "", session.pairs()...); got.status != 404 {
		t.Errorf("the inner address answers %d", got.status)
	}
	refused(p.front.ask(t, "POST", "/quick/order", strings.Repeat("x", 1<<20+1), session.pairs()...), 413, wire.BadInput.Code)
	refused(p.front.ask(t, "POST", "/quick/broken", "x", session.pairs()...), 504, wire.Timeout.Code) // it may have been carried out
	p.last(t)                                                                                         // once
	p.front.ask(t, "POST", logoutPath, "", session.pairs()...).want(t, 200)
	refused(p.front.ask(t, "POST", "/quick/order", "x", session.pairs()...), 403, wire.BadSession.Code)
	p.stop()
	refused(p.front.ask(t, "POST", "/quick/order", "x", session.pairs()...), 503, wire.Unavailable.Code)
	if len(p.calls) > 0 {
		t.Errorf("%d calls of nobody came to the trade API", len(p.calls))
	}
}

func TestNginx_tellsWhenTheConsumersRateIsOver(t *testing.T) {
	t.Parallel()
	p := behindNginx(t, func(cfg *serve.Config) { cfg.ConsumerRate = 8 })
	session := caller{p.service, p.front.who}.trade(t)
	for range 200 {
		got := p.front.ask(t, "GET", tradePath, "", session.pairs()...)
		if got.status == 429 {
			got.refusedTrade(t, 429, wire.Throttled.Code)
			time.Sleep(got.retryAfter(t))
			if got := p.front.ask(t, "GET", tradePath, "", session.pairs()...); got.status != 200 {
				t.Errorf("after waiting %d", got.status)
			}
			return
		}
	}
	t.Error("two hundred calls at once were within the rate")
}

func TestForwardAuth_tellsWhoseASessionIs(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c := consumer(t, srv)
	view := c.login(t)
	session := c.second(t, view, c.otp(t, view)).session(t)
	for _, x := range []struct{ method, path, body string }{
		{"GET", "/auth", ""}, {"HEAD", "/auth", ""}, {"POST", "/auth/Orders/2.0/quick/order", "x"}, {"DELETE", "/auth/", ""}, {"OPTIONS", "/auth/../x", ""},
	} {
		for _, who := range []string{c.who, srv.ConsumerKey, ""} {
			got := caller{srv, who}.send(t, x.method, x.path, x.body, session.pairs("Neo-Identity", "forged")...).want(t, 200)
			claims := identified(t, got.header.Get("Neo-Identity"), published(t, srv))
			if claims.Sub != session.UCC || claims.SID != session.SID || claims.Home != session.HSServerID || claims.Consumer != srv.ConsumerKey {
				t.Errorf("%s %s as %q: %+v", x.method, x.path, who, claims)
			}
			var said wire.Success[wire.Verified]
			if x.method == "HEAD" {
				continue
			}
			if got.into(t, &said); said.Data != (wire.Verified{UCC: claims.Sub, SID: claims.SID, HSServerID: claims.Home, Consumer: claims.Consumer}) {
				t.Errorf("the body says %+v", said.Data)
			}
		}
	}
	refused := func(got reply, status int, code string) {
		t.Helper()
		got.refusedTrade(t, status, code)
		if got.header.Get("Neo-Identity") != "" || got.header.Get("Neo-Refusal") != string(got.body) || !json.Valid(got.body) {
			t.Errorf("%d: %v\n%s", status, got.header, got.body)
		}
	}
	refused(c.send(t, "GET", "/auth", ""), 401, wire.HeaderMissing.Code)
	refused(c.send(t, "GET", "/auth", "", view.pairs()...), 401, wire.WrongToken.Code)
	refused(c.send(t, "GET", "/auth", "", "sid", session.SID, "Auth", session.Token+"x"), 401, wire.BadSession.Code)
	refused(caller{srv, "Bearer x"}.send(t, "GET", "/auth", "", session.pairs()...), 401, wire.BadAccess.Code)
	refused(c.send(t, "POST", "/auth", "", session.pairs()...), 405, wire.BadInput.Code)
	srv.EndSession(t, session.SID)
	refused(c.send(t, "GET", "/auth", "", session.pairs()...), 403, wire.BadSession.Code)
}

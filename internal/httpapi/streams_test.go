package httpapi_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"neoapi/internal/httpapi"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// streaming is a trade API that echoes whatever comes after an upgrade, and
// whose other answers begin and do not end.
func streaming(t testing.TB) string {
	return tradeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = control.Flush()
			<-r.Context().Done()
			return
		}
		conn, both, err := control.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", r.Header.Get("Sec-WebSocket-Key"))
		_, _ = io.Copy(conn, both)
	}).URL
}

// A socket is a connection that has become something else than HTTP.
type socket struct {
	net.Conn
	in *bufio.Reader
}

// asks asks for a WebSocket through the gateway.
func (c caller) asks(t testing.TB, session held) (socket, *http.Response) {
	t.Helper()
	conn := dial(t, c.Server)
	if err := conn.SetDeadline(time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	_, err := fmt.Fprintf(conn, "GET /feed HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSid: %s\r\nAuth: %s\r\n\r\n", session.SID, session.Token)
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return socket{conn, in}, resp
}

// upgrade is asks where there is no doubt about the answer.
func (c caller) upgrade(t testing.TB, session held) socket {
	t.Helper()
	l, resp := c.asks(t, session)
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "k" || !strings.EqualFold(resp.Header.Get("Connection"), "Upgrade") {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	return l
}

// echoes sends bytes and waits for them to come back.
func (l socket) echoes(t testing.TB, text string) {
	t.Helper()
	go func() { _, _ = io.WriteString(l, text) }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(l.in, got); err != nil || string(got) != text {
		t.Fatalf("%.40q came back as %.40q: %v", text, got, err)
	}
}

// closes waits for the other side to end the connection.
func (l socket) closes(t testing.TB) {
	t.Helper()
	if _, err := l.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection is open: %v", err)
	}
}

// events opens an answer that goes on, and reads its beginning.
func (c caller) events(t testing.TB, session held) *http.Response {
	t.Helper()
	resp, err := (&http.Client{Transport: plainTransport}).Do(request(t, "GET", c.URL+"/events", nil, session.pairs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if _, err := io.ReadFull(resp.Body, make([]byte, len("data: 1\n\n"))); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	return resp
}

func TestStreams_goThroughAndEndWithTheirSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(caller, held){
		"logout elsewhere": func(c caller, s held) { c.EndSession(t, s.SID) },
		"its time is over": func(c caller, s held) { c.Advance(time.Hour) },
	} {
		c, first := trading(t, streaming(t))
		other := c.trade(t)
		web, kept, stream := c.upgrade(t, first), c.upgrade(t, other), c.events(t, first)
		// What looks like heads on the line means nothing.
		web.echoes(t, "GET / HTTP/1.1\r\n folded\n\n"+strings.Repeat("frames ", 100_000))
		kept.echoes(t, "HTTP/1.1 417 no\r\n\r\n")
		end(c, first)
		web.closes(t)
		if _, err := io.ReadAll(stream.Body); err == nil {
			t.Errorf("%s: the stream ended as if it were complete", name)
		}
		if name == "logout elsewhere" {
			kept.echoes(t, "another session's")
		}
	}
}

func TestStreams_endWithTheKeyOfTheirToken(t *testing.T) { // security.md S4
	t.Parallel()
	c := newHouse(t, neoapitest.WithTradeAPI(streaming(t)))
	web := c.upgrade(t, c.trade(t))
	web.echoes(t, "before")
	keys, err := c.admin.Keys(t.Context())
	if err == nil {
		_, err = c.admin.RemoveKey(t.Context(), keys[0].ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	web.closes(t)
}

func TestStreams_upgradeToAWebSocketAndNothingElse(t *testing.T) {
	t.Parallel()
	asked := make(chan http.Header, 1)
	c, session := trading(t, tradeAPI(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header }).URL)
	for _, protocol := range []string{"h2c", "websocket, h2c", "TLS/1.0", "websocket2"} {
		c.plain(t, barePath, session.pairs("Connection", "Upgrade, HTTP2-Settings", "Upgrade", protocol, "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")...)
		h := <-asked
		for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
			if values := h.Values(name); len(values) > 0 {
				t.Errorf("%s: %s went through: %q", protocol, name, values)
			}
		}
	}
}

func TestStreams_ofASessionAreBounded(t *testing.T) {
	t.Parallel()
	c, session := trading(t, streaming(t))
	var all []socket
	for range httpapi.StreamsAtOnce {
		all = append(all, c.upgrade(t, session))
	}
	if _, resp := c.asks(t, session); resp.StatusCode != 429 {
		t.Errorf("one too many: %d", resp.StatusCode)
	}
	c.send(t, "GET", "/events", "", session.pairs()...).refusedTrade(t, 429, wire.Policy.Code)
	c.upgrade(t, c.trade(t)).echoes(t, "another session's")
	if err := all[0].Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a stream that has ended does not count", func() bool {
		_, resp := c.asks(t, session)
		return resp.StatusCode == 101
	})
}

func TestStreams_endWithTheServiceAndHoldItUpForNobody(t *testing.T) {
	t.Parallel()
	upstream := streaming(t)
	var web socket
	var stream *http.Response
	t.Run("service", func(inner *testing.T) { // which fails if the service does not end in its time
		c, session := trading(inner, upstream)
		web, stream = c.upgrade(t, session), c.events(t, session)
		web.echoes(t, "open")
	})
	web.closes(t)
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream ended as if it were complete")
	}
}

func TestStreams_leaveTheirPlaceWhenTheyAreOver(t *testing.T) {
	t.Parallel()
	srv, _ := serving(t, func(cfg *serve.Config) { cfg.TradeAPI, cfg.Limits.Connections = streaming(t), 4 })
	c := consumer(t, srv)
	session := c.trade(t)
	for range 20 {
		l := c.upgrade(t, session)
		l.echoes(t, "open")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreams_goThroughTLSAndHTTP2(t *testing.T) {
	t.Parallel()
	scheme := make(chan string, 10)
	upstream := tradeAPI(t, func(_ http.ResponseWriter, r *http.Request) { scheme <- r.Header.Get("X-Forwarded-Proto") })
	srv, _ := serving(t, func(cfg *serve.Config) { withTLS(t, cfg); cfg.TradeAPI = upstream.URL })
	c := consumer(t, srv)
	if c.through(t, "GET", barePath, nil, c.byMPIN(t).pairs()...); <-scheme != "https" {
		t.Error("a call over TLS is told as one without")
	}
	srv, _ = serving(t, func(cfg *serve.Config) { withTLS(t, cfg); cfg.TradeAPI = streaming(t) })
	c = consumer(t, srv)
	session := c.byMPIN(t)
	c.upgrade(t, session).echoes(t, "within TLS")
	stream := c.events(t, session)
	if stream.Proto != "HTTP/2.0" {
		t.Errorf("the stream came by %s", stream.Proto)
	}
	c.post(t, logoutPath, "", session.pairs()...).want(t, 200)
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream ended as if it were complete")
	}
}

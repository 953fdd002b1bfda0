package httpapi_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"neoapi/internal/apitest"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// A process is a trade API within the service's own process.
type process struct{ calls chan *http.Request }

// RoundTrip echoes at /feed, begins an answer that does not end at /events, fails at
// /broken, and elsewhere answers with the call's body.
func (p process) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r, ContentLength: -1}
	resp.Header.Set(apitest.FromTradeAPI, "yes")
	switch r.URL.Path {
	case "/feed":
		here, there := net.Pipe()
		go func() { _, _ = io.Copy(there, there); _ = there.Close() }()
		resp.StatusCode, resp.Body = http.StatusSwitchingProtocols, here
		resp.Header.Set("Connection", "Upgrade")
		resp.Header.Set("Upgrade", "websocket")
		resp.Header.Set("Sec-Websocket-Accept", r.Header.Get("Sec-Websocket-Key"))
	case "/events":
		out, in := io.Pipe()
		go func() { _, _ = io.WriteString(in, "data: 1\n\n") }()
		resp.Body = out
		resp.Header.Set("Content-Type", "text/event-stream")
	case "/broken":
		return nil, errors.New("out of order")
	default:
		p.calls <- r
		text := ""
		if r.Body != nil {
			sent, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			text = string(sent)
		}
		resp.Body = io.NopCloser(strings.NewReader(text))
		resp.ContentLength = int64(len(text))
	}
	return resp, nil
}

// A trade API in the service's process gets what one over the network gets, and nothing
// else reaches it: checked calls with a signed identity, streams that end with their
// session.
func TestUpstream_mayBeInTheSameProcess(t *testing.T) {
	t.Parallel()
	api := process{make(chan *http.Request, 1)}
	srv, stop := serving(t, func(cfg *serve.Config) { cfg.TradeTransport = api })
	c := consumer(t, srv)
	c.send(t, "GET", "/readyz", "").want(t, 200)
	c.send(t, "GET", barePath, "").refusedTrade(t, 401, wire.HeaderMissing.Code)
	first, other := c.byMPIN(t), c.byMPIN(t)

	r := c.through(t, "POST", tradePath+"?sId=server1", strings.NewReader("jData=1"), first.pairs("Neo-Identity", "forged")...).want(t, 200)
	got := <-api.calls
	if string(r.body) != "jData=1" || got.URL.RawQuery != "sId=server1" {
		t.Errorf("%q of %s", r.body, got.URL)
	}
	if id := identified(t, got.Header.Get("Neo-Identity"), published(t, srv)); id.Sub != srv.Account.UCC || id.SID != first.SID {
		t.Errorf("the call is %+v's", id)
	}
	if got.Header.Get("Auth") != "" || got.Header.Get("Authorization") != "" {
		t.Errorf("credentials went through: %v", got.Header)
	}
	c.send(t, "GET", "/broken", "", first.pairs()...).refusedTrade(t, 504, wire.Timeout.Code)

	web, kept, stream := c.upgrade(t, first), c.upgrade(t, other), c.events(t, first)
	web.echoes(t, strings.Repeat("frames ", 100_000))
	kept.echoes(t, "open")
	c.post(t, logoutPath, "", first.pairs()...).want(t, 200)
	web.closes(t)
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream ended as if it were complete")
	}
	kept.echoes(t, "another session's")
	last := c.events(t, other)
	stop() // which waits for what is under way, and streams do not hold it up
	kept.closes(t)
	if _, err := io.ReadAll(last.Body); err == nil {
		t.Error("the service ended, and its stream as if it were complete")
	}
}

func TestGateway_answers503IfTheTradeAPIIsDownAnd504WithoutAnAnswer(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	c, session := trading(t, "http://"+address)
	c.post(t, "/quick/order", "x", session.pairs()...).refusedTrade(t, 503, wire.Unavailable.Code)

	for name, says := range map[string]string{
		"nothing": "", "garbage": "hello\r\n\r\n", "a head that is too large": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
		"half a head": "HTTP/1.1 200 OK\r\nContent-", "a switch that nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		up := says
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				_, _ = io.WriteString(conn, up)
				_ = conn.Close()
			}
		}()
		var log lines
		c, session := trading(t, "http://"+l.Addr().String(), neoapitest.WithLog(slog.NewJSONHandler(&log, nil)))
		t.Log(name)
		c.post(t, "/quick/order", "x", session.pairs()...).refusedTrade(t, 504, wire.Timeout.Code)
		eventually(t, "a line of the failure", func() bool { return log.count(`"level":"ERROR"`) > 0 })
		if log.count(`"level":"ERROR"`) != 1 || log.count("hello") > 0 {
			t.Errorf("%s: not one line tells, or the answer is in the log", name)
		}
	}
}

func TestGateway_closesTheConnectionOfASilentTradeAPI(t *testing.T) {
	t.Parallel()
	gone := make(chan bool, 1)
	upstream := tradeAPI(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		gone <- true
	})
	c, session := trading(t, upstream.URL)
	// No body, and past the time that a request has.
	c.through(t, "POST", "/quick/order", nil, session.pairs()...).refusedTrade(t, 504, wire.Timeout.Code)
	<-gone
}

func TestGateway_cutsAnAnswerThatWasCut(t *testing.T) {
	t.Parallel()
	upstream := tradeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	c, session := trading(t, upstream.URL)
	for _, path := range []string{"/length", "/chunks"} {
		resp, err := bareClient().Do(request(t, "GET", c.URL+path, nil, session.pairs("Authorization", c.who)...))
		if errors.Is(err, io.EOF) { // so little that it had not been passed on
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "half" {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	c.send(t, "GET", "/login/1.0/get-client-ip", "", session.pairs()...).want(t, 200)
}

func TestGateway_sendsNoCallTwice(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var orders atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // one good answer, and then the connection is closed on each order that it has read
				defer conn.Close()
				lines := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(lines)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					if r.URL.Path == "/order" {
						orders.Add(1)
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+apitest.FromTradeAPI+": yes\r\n\r\n")
				}
			}()
		}
	}()
	c, session := trading(t, "http://"+l.Addr().String())
	n := int64(0)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, body := range []string{"", "x"} {
			for _, pairs := range [][]string{nil, {"Idempotency-Key", "k"}, {"X-Idempotency-Key", "k"}} {
				c.plain(t, "/warm", session.pairs()...)
				got := c.through(t, method, "/order", strings.NewReader(body), session.pairs(pairs...)...)
				n++
				if got.status != 504 || orders.Load() != n {
					t.Fatalf("%s of %q with %v: %d, sent %d times in all, want %d: %s", method, body, pairs, got.status, orders.Load(), n, got.body)
				}
			}
		}
	}
}

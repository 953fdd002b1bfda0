package paperfeed_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paperapi"
	"neoapi/internal/paperfeed"
	"neoapi/internal/sfeed"
	"neoapi/neoapitest"
)

// alive fails the test unless the service opens another market feed.
func alive(t *testing.T, address, first string) {
	t.Helper()
	ws, err := open(t, address, "")
	for began := time.Now(); err != nil && time.Since(began) < 10*time.Second; ws, err = open(t, address, "") {
		time.Sleep(time.Millisecond) // the place of one that has just ended is not free yet
	}
	must.Do(t, err)
	t.Cleanup(func() { _ = ws.CloseNow() })
	say(t, ws, first)
	if r := reply(t, ws); r.Code != sfeed.ReplyAnswer {
		t.Errorf("then: %+v", r)
	}
}

func TestFeeds_thatProveNoSessionAreBounded(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	var all []*websocket.Conn
	for n := range paperfeed.UnprovenOfOne {
		all = append(all, dial(t, []string{s.FeedURL, s.OrderFeedURL}[n%2]))
	}
	_, resp, err := websocket.Dial(t.Context(), s.FeedURL, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "2" {
		t.Fatalf("one too many: %v %v", resp, err)
	}
	body, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(body), `"stat":"Not_Ok"`) || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("answered %s %v", body, resp.Header)
	}
	say(t, all[0], user(s)) // what is proved counts no longer
	if r := reply(t, all[0]); r.Code != sfeed.ReplyAnswer {
		t.Errorf("%+v", r)
	}
	alive(t, s.FeedURL, user(s))
}

func TestFeeds_areKeptFromNobodyByAFewNetworks(t *testing.T) {
	t.Parallel()
	address, _ := aloneWith(t, paperfeed.Config{Prove: everybody, AtOnce: 96}) // 16 unproven, 4 from a network
	dialFrom := func(network string) *websocket.Conn {
		ws, _, err := websocket.Dial(t.Context(), address+"/apifeed", &websocket.DialOptions{HTTPHeader: http.Header{from: {network}}})
		if err != nil {
			return nil
		}
		t.Cleanup(func() { _ = ws.CloseNow() })
		return ws
	}
	for network := range 4 {
		for n := range 5 { // the addresses of a network of 64 bits are one customer's
			if ws := dialFrom(fmt.Sprintf("2001:db8:0:%d::%d", network, n)); (ws == nil) != (n == 4) {
				t.Fatalf("%d connections from network %d: the next is refused: %t", n, network, ws == nil)
			}
		}
	}
	for _, network := range []string{"192.0.2.1", "192.0.2.2", "2001:db8:0:9::1"} {
		ws := dialFrom(network)
		if ws == nil {
			t.Fatalf("%s is kept out", network)
		}
		say(t, ws, `{"user":"A","auth":"1"}`)
		if r := reply(t, ws); r.Code != sfeed.ReplyAnswer {
			t.Errorf("%s: %+v", network, r)
		}
	}
}

func TestFeeds_ofAnAccountAreTwoThirdsAtMost(t *testing.T) {
	t.Parallel()
	address, _ := aloneWith(t, paperfeed.Config{Prove: everybody, AtOnce: 6})
	for n := range 5 {
		ws := dial(t, address+"/apifeed")
		say(t, ws, `{"user":"A","auth":"1"}`)
		if n < 4 {
			reply(t, ws)
		} else if code := ended(t, ws); code != websocket.StatusTryAgainLater {
			t.Errorf("the fifth of six: %v", code)
		}
	}
	alive(t, address+"/apifeed", `{"user":"B","auth":"2"}`)
}

func TestFeeds_waitOnlySoLong(t *testing.T) { // not parallel: it makes the service impatient
	patient := paperfeed.Impatient()
	t.Cleanup(patient)
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	t.Run("for a first frame", func(t *testing.T) {
		ended(t, dial(t, s.FeedURL))
		ended(t, dial(t, s.OrderFeedURL))
	})
	t.Run("for the rest of a first frame", func(t *testing.T) {
		ws := dial(t, s.FeedURL)
		w := must.Get(ws.Writer(t.Context(), websocket.MessageText))(t)
		go func() {
			for range 200 { // a byte now and then, without an end
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		ended(t, ws)
	})
	t.Run("for pings only", func(t *testing.T) { // which prove nothing
		ws := dial(t, s.FeedURL)
		ctx, cancel := context.WithCancel(t.Context())
		var pings sync.WaitGroup
		pings.Go(func() {
			for ctx.Err() == nil && ws.Ping(ctx) == nil {
				time.Sleep(50 * time.Millisecond)
			}
		})
		ended(t, ws)
		cancel()
		pings.Wait()
	})
	t.Run("for the rest of a later frame", func(t *testing.T) {
		ws := openMarket(t, s)
		w := must.Get(ws.Writer(t.Context(), websocket.MessageText))(t)
		must.Get(w.Write([]byte(`{"event":`)))(t)
		ended(t, ws)
	})
	t.Run("for a sign of life", func(t *testing.T) {
		silent, lively := openOrders(t, s), openOrders(t, s)
		reading := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _, err := lively.Read(ctx)
			reading <- err
		}()
		over := make(chan struct{})
		go func() { defer close(over); ended(t, silent) }()
		for {
			must.Do(t, lively.Ping(t.Context()))
			select {
			case <-over:
				must.Do(t, lively.Ping(t.Context()))
				cancel()
				if err := <-reading; !errors.Is(err, context.Canceled) {
					t.Errorf("the one that sends pings: %v", err)
				}
				return
			case err := <-reading:
				t.Fatal(err)
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

func TestFeeds_closeOnFramesThatNobodySends(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	big := strings.Repeat("x", 10<<20)
	for name, first := range map[string]string{
		"ten megabytes": big, "a long string in JSON": `{"user":"` + big[:1<<20] + `"}`, "garbage": "\x00\x01\xff", "no object": `"user"`, "empty": "",
		"a list": "[]", "half a frame": `{"user":"`, "a number": "1", "deep": strings.Repeat("[", 10_000),
	} {
		for _, address := range []string{s.FeedURL, s.OrderFeedURL} {
			ws := dial(t, address)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_ = ws.Write(ctx, websocket.MessageText, []byte(first)) // fails if the service has closed it meanwhile
			cancel()
			if code := ended(t, ws); code == websocket.StatusNormalClosure {
				t.Errorf("%s: closed as if it were good", name)
			}
		}
	}
	ws := openMarket(t, s)
	for _, text := range []string{"", "{}", "[]", `{"event":1}`, `{"event":"subscribeScrips"}`, `{"event":"subscribeScrips","inputtoken":""}`, `{"event":"subscribeIndices","inputtoken":"nse_cm|11536,||,|,nse_cm|,x|1"}`, `{"event":"snapshotFullDepth","inputtoken":"nse_cm|99999999999"}`} {
		say(t, ws, text)
	}
	must.Do(t, ws.Write(t.Context(), websocket.MessageBinary, []byte{1, 2, 3}))
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536","ack_symbol":true}`)
	if r := reply(t, ws); r.Code != sfeed.ReplyAck {
		t.Errorf("then: %+v", r)
	}
	_ = ws.Write(t.Context(), websocket.MessageText, []byte(`{"event":"subscribeScrips","inputtoken":"`+strings.Repeat("nse_cm|1,", 20_000)+`"}`)) // fails if the service has closed it meanwhile
	ended(t, ws)
	alive(t, s.FeedURL, user(s))
}

func TestFeeds_answerNoPageOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	for _, x := range []struct {
		name, value string
		refused     bool
	}{
		{"Origin", "https://evil.example", true}, {"Origin", "null", true}, {"Sec-Fetch-Site", "cross-site", true}, {"Origin", srv.URL + "1", true},
		{"Origin", srv.URL, false}, // as WebSocket libraries of programs send it
		{"Origin", strings.Replace(srv.URL, "http:", "https:", 1), false},
		{"X-Nothing", "1", false},
	} {
		for _, address := range []string{s.FeedURL, s.OrderFeedURL} {
			ws, resp, err := websocket.Dial(t.Context(), address, &websocket.DialOptions{HTTPHeader: http.Header{x.name: {x.value}}})
			if err == nil {
				_ = ws.CloseNow()
			}
			if (err != nil) != x.refused || x.refused && resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s: %v", x.name, x.value, err)
			}
		}
	}
}

func TestFeeds_areWebSocketsAndNothingElse(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	const upgrade, version, key = "Connection: Upgrade\r\nUpgrade: websocket\r\n", "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	const good = upgrade + version + key
	for name, x := range map[string]struct {
		line, head string
		status     int
	}{
		"no upgrade":       {"GET * HTTP/1.1", "", http.StatusUpgradeRequired},
		"another one":      {"GET * HTTP/1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n", http.StatusUpgradeRequired},
		"no key":           {"GET * HTTP/1.1", upgrade + version, http.StatusBadRequest},
		"two keys":         {"GET * HTTP/1.1", good + key, http.StatusBadRequest},
		"another version":  {"GET * HTTP/1.1", upgrade + key + "Sec-WebSocket-Version: 8\r\n", http.StatusBadRequest},
		"a key too short":  {"GET * HTTP/1.1", upgrade + version + "Sec-WebSocket-Key: k\r\n", http.StatusBadRequest},
		"POST":             {"POST * HTTP/1.1", good, http.StatusMethodNotAllowed},
		"HEAD":             {"HEAD * HTTP/1.1", good, http.StatusMethodNotAllowed},
		"HTTP/1.0":         {"GET * HTTP/1.0", good, http.StatusUpgradeRequired},
		"a body":           {"GET * HTTP/1.1", good + "Content-Length: 3\r\n", http.StatusBadRequest},
		"a body in chunks": {"GET * HTTP/1.1", good + "Transfer-Encoding: chunked\r\n", http.StatusBadRequest},
	} {
		for _, path := range []string{"/realtime", "/apifeed"} {
			c := must.Get(net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://")))(t)
			must.Do(t, c.SetDeadline(time.Now().Add(patience)))
			must.Get(io.WriteString(c, strings.Replace(x.line, "*", path, 1)+"\r\nHost: localhost\r\n"+x.head+"\r\n0\r\n\r\n"))(t)
			method, _, _ := strings.Cut(x.line, " ")
			resp := must.Get(http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method}))(t)
			body := must.Get(io.ReadAll(resp.Body))(t)
			resp.Body.Close()
			c.Close()
			var answer struct{ Stat string }
			if err := json.Unmarshal(body, &answer); method != http.MethodHead && (err != nil || answer.Stat != "Not_Ok") {
				t.Errorf("%s: %v: %s", name, err, body)
			}
			if resp.StatusCode != x.status || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
			}
		}
	}
}

func TestFeeds_areThoseOfTheExchangeOnPaperAlone(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(upstream.Close)
	for name, srv := range map[string]*neoapitest.Server{
		"another trade API": neoapitest.NewServer(t, neoapitest.WithTradeAPI(upstream.URL)), "none": neoapitest.NewServer(t, neoapitest.WithoutSandbox()),
	} {
		for _, path := range []string{"/realtime", "/apifeed", "/"} {
			_, resp, err := websocket.Dial(t.Context(), origin(srv)+path, nil)
			if err == nil || resp == nil || resp.StatusCode/100 != 4 {
				t.Errorf("%s: %s without a session: %v", name, path, err)
			}
		}
		if len(asked) > 0 {
			t.Errorf("%s: %s reached it without a session", name, <-asked)
		}
		resp := must.Get(http.Get(srv.URL + "/5config/config?appVersion=&platform=api&environment=prod"))(t)
		if body := must.Get(io.ReadAll(resp.Body))(t); strings.TrimSpace(string(body)) != `{"data":{}}` {
			t.Errorf("%s: configuration %s", name, body)
		}
		resp.Body.Close()
	}
	srv := neoapitest.NewServer(t, neoapitest.WithTradeAPI(upstream.URL))
	_, s := login(t, srv)
	if s.FeedURL != "" || s.OrderFeedURL != "" {
		t.Errorf("the session names %q and %q", s.FeedURL, s.OrderFeedURL)
	}
	_, resp, err := websocket.Dial(t.Context(), origin(srv)+"/realtime", &websocket.DialOptions{HTTPHeader: http.Header{"Sid": {s.SID}, "Auth": {s.Token}}})
	if err == nil || resp.StatusCode != http.StatusTeapot || <-asked != "/realtime" {
		t.Errorf("an upgrade with a session was not passed on: %v", err)
	}
}

// alone serves the feeds of an exchange without a login service, with small buffers
// towards its clients.
func alone(t *testing.T, stands func(context.Context) (bool, error)) (address string) {
	t.Helper()
	address, _ = aloneWith(t, paperfeed.Config{Prove: func(_ context.Context, ucc, sid, _ string) (paperfeed.Session, error) {
		return paperfeed.Session{UCC: ucc, SID: sid, Stands: stands}, nil
	}})
	return address
}

// from is a header that says where a request to aloneWith's service comes from.
const from = "X-From"

// aloneWith is alone with a configuration.
func aloneWith(t *testing.T, cfg paperfeed.Config) (address string, feeds *paperfeed.Feeds) {
	t.Helper()
	api := paperapi.New(paperapi.Config{Now: time.Now, Market: paper.Config{Seed: 1, Start: time.Now(), Funds: 1_000_000_000_000}})
	must.Do(t, api.Open("", false, func(string) {}))
	cfg.API, cfg.Now = api, time.Now
	feeds = paperfeed.New(cfg)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = feeds.Serve(w, r, cmp.Or(r.Header.Get(from), r.RemoteAddr), func() {})
	}))
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	srv.Start()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(feeds.Start(ctx))
	t.Cleanup(func() { stop(); running.Wait(); srv.Close() })
	return "ws" + strings.TrimPrefix(srv.URL, "http"), feeds
}

func TestFeeds_goOnWhileTheStoreDoesNotAnswer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	address := alone(t, func(context.Context) (bool, error) {
		asked.Add(1)
		return false, errors.New("the store does not answer")
	})
	ws := dial(t, address+"/apifeed")
	say(t, ws, `{"user":"A","auth":"1"}`)
	reply(t, ws)
	for deadline := time.Now().Add(patience); asked.Load() < 3; {
		if time.Now().After(deadline) {
			t.Fatal("the session is not looked at")
		}
		time.Sleep(10 * time.Millisecond)
	}
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|1","ack_symbol":true}`)
	if r := reply(t, ws); r.Code != sfeed.ReplyAck {
		t.Errorf("%+v", r)
	}
}

// slow dials with a buffer of few bytes, and does not read.
func slow(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	dialer := net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return c, err
	}}
	ws, _, err := websocket.Dial(t.Context(), address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func TestMarketFeed_tellsASlowClientTheLatest(t *testing.T) {
	t.Parallel()
	address := alone(t, func(context.Context) (bool, error) { return true, nil })
	first := `{"user":"A","auth":"1"}`
	lazy := slow(t, address+"/apifeed")
	say(t, lazy, first)
	reply(t, lazy)
	all := requests(500, 50)
	for _, request := range all {
		say(t, lazy, request)
	}
	quick := dial(t, address+"/apifeed")
	say(t, quick, first)
	reply(t, quick)
	say(t, quick, all[0])
	// The quick one has gone through some steps of the market, the lazy one reads nothing.
	last := map[instrument]int64{}
	for seen := 0; seen < 200; {
		seen += pictures(t, quick, func(i instrument, q sfeed.Quote) { last[i] = q.Volume })
	}
	// When it reads, what it gets per instrument goes forward, and soon is what the other has.
	were := map[instrument]int64{}
	ticks, fresh := 0, 0
	for fresh < len(last) {
		ticks += pictures(t, lazy, func(i instrument, q sfeed.Quote) {
			if q.Volume < were[i] {
				t.Fatalf("%v went back from %d to %d", i, were[i], q.Volume)
			}
			if old, ok := last[i]; ok && were[i] < old && q.Volume >= old {
				fresh++
			}
			were[i] = q.Volume
		})
	}
	t.Logf("%d pictures", ticks)
}

// instrument is one on the wire. Tokens repeat between exchanges.
type instrument struct {
	exchange int8
	token    uint32
}

// pictures returns how many quotes the next binary frame has.
func pictures(t *testing.T, ws *websocket.Conn, each func(i instrument, q sfeed.Quote)) (n int) {
	t.Helper()
	for {
		kind, data := hear(t, ws)
		if kind != websocket.MessageBinary {
			continue
		}
		for len(data) > 0 {
			p, rest, err := sfeed.Next(data)
			if err != nil {
				t.Fatal(err)
			}
			if data = rest; p.Kind() != sfeed.KindQuote {
				continue
			}
			var q sfeed.Quote
			q.Decode(p)
			each(instrument{p.Exchange(), q.Token}, q)
			n++
		}
		return n
	}
}

func TestMarketFeed_cutsAClientThatDoesNotRead(t *testing.T) { // not parallel: it makes the service impatient
	patient := paperfeed.Impatient()
	t.Cleanup(patient)
	address := alone(t, func(context.Context) (bool, error) { return true, nil })
	lazy := slow(t, address+"/apifeed")
	say(t, lazy, `{"user":"A","auth":"1"}`)
	for _, request := range requests(2000, 100) {
		say(t, lazy, request)
	}
	for ctx := t.Context(); ; { // it may write as long as there is somebody
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := lazy.Write(ctx, websocket.MessageText, []byte(`{"event":"hb"}`))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("it was not cut")
		}
		if err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

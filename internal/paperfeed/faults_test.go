package paperfeed_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	gocmp "github.com/google/go-cmp/cmp"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/paperfeed"
	"neoapi/internal/sfeed"
	"neoapi/neoapitest"
)

// A spoilt is a feed whose faults are tested.
type spoilt struct {
	op      string
	address func(neoapi.Session) string
	first   func(neoapi.Session) string
	answer  string // a part of it
	refused string // and of the refusal

	// play makes the service send frames on an open connection.
	play func(t *testing.T, c *neoapi.Client, ws *websocket.Conn)
	// frames are what it sends, as label says it.
	frames []string
	label  func(kind websocket.MessageType, data []byte) string
}

var spoiltFeeds = []spoilt{
	{
		op: "order_feed", address: func(s neoapi.Session) string { return s.OrderFeedURL }, first: connect, answer: `"ak":"ok"`, refused: `"ak":"nk"`,
		play:   func(t *testing.T, c *neoapi.Client, _ *websocket.Conn) { place(t, c, buyTen) },
		frames: []string{"put order req received", "validation pending", "open pending", "open", "complete", "position"},
		label: func(_ websocket.MessageType, data []byte) string {
			var f struct {
				Type string
				Data struct{ OrdSt string }
			}
			if json.Unmarshal(data, &f) != nil {
				return "?"
			}
			return cmp.Or(f.Data.OrdSt, f.Type)
		},
	},
	{
		op: "market_feed", address: func(s neoapi.Session) string { return s.FeedURL }, first: user, answer: `"message_code":1117`, refused: `"message_code":1120`,
		play: func(t *testing.T, _ *neoapi.Client, ws *websocket.Conn) {
			for _, token := range []string{"11536", "2885", "1594"} {
				// It fails if a fault has ended the connection.
				_ = ws.Write(t.Context(), websocket.MessageText, []byte(`{"event":"snapshotScrips","inputtoken":"nse_cm|`+token+`","ack_symbol":true}`))
			}
		},
		frames: []string{"7208 11536", "1109 11536", "7208 2885", "1109 2885", "7208 1594", "1109 1594"},
		label: func(kind websocket.MessageType, data []byte) (said string) {
			if kind == websocket.MessageText {
				r, err := sfeed.ParseReply(data)
				if err != nil {
					return "?"
				}
				for token := range r.Symbols {
					return fmt.Sprint(r.Code, " ", strings.TrimPrefix(token, "nse_cm|"))
				}
				return fmt.Sprint(r.Code)
			}
			for len(data) > 0 {
				p, rest, err := sfeed.Next(data)
				if err != nil {
					return "?"
				}
				var q sfeed.Quote
				if p.Kind() == sfeed.KindQuote {
					q.Decode(p)
				}
				said, data = said+fmt.Sprintf(" %d %d", p.Code(), q.Token), rest
			}
			return strings.TrimSpace(said)
		},
	},
}

// open opens the feed.
func (f *spoilt) open(t *testing.T, s neoapi.Session) *websocket.Conn {
	t.Helper()
	ws := dial(t, f.address(s))
	say(t, ws, f.first(s))
	if _, data := hear(t, ws); !strings.Contains(string(data), f.answer) {
		t.Fatalf("answered %s", data)
	}
	// Until the service has seen its end it would take the next test's fault.
	t.Cleanup(func() { _ = ws.Close(websocket.StatusNormalClosure, "") })
	return ws
}

// heard returns what comes until there are so many frames, or the connection ends.
func (f *spoilt) heard(t *testing.T, ws *websocket.Conn, n int) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(all) < n {
		kind, data, err := ws.Read(ctx)
		if ctx.Err() != nil {
			t.Fatalf("of %d frames come %q", n, all)
		}
		if err != nil {
			return append(all, fmt.Sprint("ended ", int(websocket.CloseStatus(err))))
		}
		all = append(all, f.label(kind, data))
	}
	return all
}

// What a fault does to an upgrade shows in its answer, and the next one works.
func TestUpgradeFault_refusesTheNextConnections(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	_, s := login(t, srv)
	for _, f := range spoiltFeeds {
		for _, fault := range []string{"401", "403", "429", "502", "503", "upgrade_close", "upgrade_hang"} {
			srv.Fail(t, f.op, fault, 2)
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if fault == "upgrade_hang" {
					ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				}
				_, resp, err := websocket.Dial(ctx, f.address(s), nil)
				want, _ := strconv.Atoi(fault)
				switch {
				case err == nil:
					t.Errorf("%s of %s: the upgrade succeeds", fault, f.op)
				case want > 0 && (resp == nil || resp.StatusCode != want || (want == 429 || want == 503) != (resp.Header.Get("Retry-After") == "1")):
					t.Errorf("%s of %s: %v %v", fault, f.op, resp, err)
				case want == 0 && resp != nil && resp.StatusCode != http.StatusSwitchingProtocols && resp.StatusCode != 0:
					t.Errorf("%s of %s: %v", fault, f.op, resp)
				case (fault == "upgrade_hang") != (ctx.Err() != nil):
					t.Errorf("%s of %s: %v", fault, f.op, err)
				}
				cancel()
			}
			_ = f.open(t, s).Close(websocket.StatusNormalClosure, "")
		}
	}
}

// What a fault does to a first frame shows in its answer, and the next one is answered.
func TestGreetingFault_spoilsTheNextAnswers(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithAccounts(1))
	c, s := login(t, srv)
	for _, f := range spoiltFeeds {
		for _, fault := range []string{"nk", "1120", "close", "native_fallback", "slow"} {
			if paperfeed.FaultAt(fault, f.op) == 0 {
				continue
			}
			srv.FailOrder(t, neoapitest.OrderFault{Op: f.op, Fault: fault, Account: "TEST000001"}) // another's
			srv.FailOrder(t, neoapitest.OrderFault{Op: f.op, Fault: fault, Account: s.UCC})
			ws := dial(t, f.address(s))
			began := time.Now()
			say(t, ws, f.first(s))
			if fault == "close" {
				if code := ended(t, ws); code != -1 {
					t.Errorf("%s of %s: closed with %d", fault, f.op, code)
				}
			} else {
				_, data := hear(t, ws)
				switch said := string(data); {
				case fault == "slow" && (!strings.Contains(said, f.answer) || time.Since(began) < time.Second):
					t.Errorf("%s of %s: after %s: %s", fault, f.op, time.Since(began), said)
				case fault == "native_fallback" && (!strings.Contains(said, f.answer) || !strings.Contains(said, `"format":"native_fallback"`)):
					t.Errorf("%s of %s: %s", fault, f.op, said)
				case (fault == "nk" || fault == "1120") && !strings.Contains(said, f.refused):
					t.Errorf("%s of %s: %s", fault, f.op, said)
				case fault == "nk" || fault == "1120":
					ended(t, ws)
				}
			}
			_ = ws.CloseNow()
			_ = f.open(t, s).Close(websocket.StatusNormalClosure, "")
			srv.Works()
		}
		t.Run(f.op+" hang", func(t *testing.T) {
			srv.Fail(t, f.op, "hang", 1)
			ws := dial(t, f.address(s))
			say(t, ws, f.first(s))
			f.silent(t, srv, c, ws, true)
			f.open(t, s)
		})
	}
}

// anew returns the exchange to its start, so that a new connection is told of nothing.
func anew(t *testing.T, srv *neoapitest.Server) {
	t.Helper()
	resp := must.Get(http.DefaultClient.Do(must.Get(http.NewRequestWithContext(t.Context(), "DELETE", srv.URL+"/sandbox/state", nil))(t)))(t)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}

// pending reports whether a fault has not struck yet.
func pending(t *testing.T, srv *neoapitest.Server) bool {
	t.Helper()
	resp := must.Get(http.Get(srv.URL + "/sandbox/faults"))(t)
	defer resp.Body.Close()
	var answer struct{ Data struct{ Pending []any } }
	must.Do(t, json.NewDecoder(resp.Body).Decode(&answer))
	return len(answer.Data.Pending) > 0
}

// silent checks that nothing comes on a connection, though something happens. Pings are
// answered, or not.
func (f *spoilt) silent(t *testing.T, srv *neoapitest.Server, c *neoapi.Client, ws *websocket.Conn, answers bool) {
	t.Helper()
	came := make(chan string, 100)
	go func() {
		for {
			kind, data, err := ws.Read(t.Context())
			if err != nil {
				close(came)
				return
			}
			came <- f.label(kind, data)
		}
	}()
	f.play(t, c, ws)
	for late := time.Now().Add(patience); pending(t, srv); { // until it has struck
		if time.Now().After(late) {
			t.Fatal("no frame is struck")
		}
	}
	ping := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		return ws.Ping(ctx)
	}
	if answers {
		must.Do(t, ping(patience))
	} else {
		for ping(200*time.Millisecond) == nil { // one may have come before the frame left
		}
	}
	_ = ws.Close(websocket.StatusNormalClosure, "")
	for said := range came {
		t.Errorf("%s: %s comes", f.op, said)
	}
}

// What a fault does to a frame shows on the wire.
func TestFrameFault_spoilsFramesOnTheWire(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	c, s := login(t, srv)
	for _, f := range spoiltFeeds {
		a := f.frames
		unknown := map[string][]string{
			"order_feed":  append([]string{"announcement"}, a...),
			"market_feed": append([]string{"7999 0 7208 11536"}, a[1:]...),
		}
		for _, x := range []struct {
			fault    string
			n, times int
			want     []string
		}{
			{"twice", 0, 1, slices.Concat(a[:1], a)},
			{"twice", 2, 2, []string{a[0], a[1], a[1], a[2], a[3], a[3], a[4], a[5]}},
			{"lost", 0, 2, a[2:]},
			{"lost", 2, 2, []string{a[0], a[2], a[4], a[5]}},
			{"reordered", 0, 1, []string{a[1], a[0], a[2], a[3], a[4], a[5]}},
			{"cut", 3, 1, []string{a[0], a[1], "?", a[3], a[4], a[5]}},
			{"garbage", 0, 1, slices.Concat([]string{"?"}, a)},
			{"garbage", 2, 1, []string{a[0], "?", a[1], a[2], a[3], a[4], a[5]}},
			{"unknown", 0, 1, unknown[f.op]},
			{"drop", 2, 1, []string{a[0], "ended -1"}},
			{"goodbye", 3, 1, []string{a[0], a[1], "ended 1001"}},
		} {
			t.Run(fmt.Sprint(f.op, " ", x.fault, " ", x.n), func(t *testing.T) {
				anew(t, srv)
				ws := f.open(t, s)
				srv.FailOrder(t, neoapitest.OrderFault{Op: f.op, Fault: x.fault, N: x.n, Times: x.times})
				f.play(t, c, ws)
				if diff := gocmp.Diff(x.want, f.heard(t, ws, len(x.want))); diff != "" {
					t.Error(diff)
				}
				srv.Works()
			})
		}
		t.Run(f.op+" delayed", func(t *testing.T) {
			anew(t, srv)
			ws := f.open(t, s)
			srv.Fail(t, f.op, "delayed", 1)
			began := time.Now()
			f.play(t, c, ws)
			if diff := gocmp.Diff(a, f.heard(t, ws, len(a))); diff != "" {
				t.Error(diff)
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("they come after %s", took)
			}
		})
		for fault, answers := range map[string]bool{"silent": true, "dead": false} {
			t.Run(f.op+" "+fault, func(t *testing.T) {
				anew(t, srv)
				ws := f.open(t, s)
				srv.Fail(t, f.op, fault, 1)
				f.silent(t, srv, c, ws, answers)
			})
		}
	}
}

// An order's first update can lack what a client would like to know.
func TestFrameFault_bareUpdatesLackQuantityPriceAndSymbol(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	c, s := login(t, srv)
	ws := openOrders(t, s)
	srv.FailOrder(t, neoapitest.OrderFault{Op: "order_feed", Fault: "bare", Times: 2, Symbol: "TCS-EQ"})
	place(t, c, strings.ReplaceAll(buyTen, "TCS-EQ", "INFY-EQ"))
	place(t, c, buyTen)
	bare := 0
	for seen := map[string]bool{}; !seen["TCS-EQ"] || !seen["INFY-EQ"]; {
		kind, data := happened(t, ws)
		if symbol, _ := data["trdSym"].(string); kind == "position" {
			seen[symbol] = true
			continue
		} else if symbol != "" {
			continue
		}
		bare++
		for _, key := range []string{"qty", "prc", "trgPrc", "sym", "unFldSz"} {
			if _, there := data[key]; there {
				t.Errorf("it has %s: %v", key, data)
			}
		}
		if data["nOrdNo"] == nil || data["ordSt"] == nil || data["avgPrc"] != "0.00" {
			t.Errorf("it lacks what it should have: %v", data)
		}
	}
	if bare != 2 {
		t.Errorf("%d updates are bare", bare)
	}
}

// An update can come before the answer that has the order's number.
func TestDelayedPlace_isToldByTheFeedFirst(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	c, s := login(t, srv)
	ws := openOrders(t, s)
	srv.Fail(t, "place", "delayed", 1)
	answered := make(chan string, 1)
	go func() { answered <- place(t, c, buyTen) }()
	for state := ""; state != "complete"; {
		_, data := happened(t, ws)
		state, _ = data["ordSt"].(string)
	}
	select {
	case <-answered:
		t.Error("the answer came first")
	default:
	}
	<-answered
}

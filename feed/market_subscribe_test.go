package feed

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

func want(t *testing.T, what, got string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(lines, "\n"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestMarketFeed_carriesTheHighestLevelThatAnybodyWants(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0)), Minis(share(0), share(1)))
		defer m.Close()
		for _, step := range []struct {
			what string
			do   func() error
			want []string
		}{
			{"", func() error { return nil }, []string{"subscribe statuses", "subscribe minis nse_cm|1001", "subscribe touches nse_cm|1000"}},
			{"twice", func() error { return m.Subscribe(Touch, share(0), share(0)) }, nil},
			{"a higher one", func() error { return m.Subscribe(Depth, share(0)) }, []string{"unsubscribe touches nse_cm|1000", "subscribe depths nse_cm|1000"}},
			{"a lower one", func() error { return m.Subscribe(Mini, share(0)) }, nil},
			{"the highest is taken back", func() error { return m.Unsubscribe(Depth, share(0)) }, []string{"unsubscribe depths nse_cm|1000", "subscribe touches nse_cm|1000"}},
			{"one of two is taken back", func() error { return m.Unsubscribe(Touch, share(0)) }, nil},
			{"the other", func() error { return m.Unsubscribe(Touch, share(0)) }, []string{"unsubscribe touches nse_cm|1000", "subscribe minis nse_cm|1000"}},
			{"what nobody wants", func() error {
				return errors.Join(m.Unsubscribe(Full, share(0), share(7)), m.Unsubscribe(Touch, share(1)))
			}, nil},
			{"all", func() error {
				return errors.Join(m.Unsubscribe(Mini, share(0)), m.Unsubscribe(Mini, share(0), share(1)))
			}, []string{"unsubscribe minis nse_cm|1000 nse_cm|1001"}},
		} {
			before := st.asked(1)
			must.Do(t, step.do())
			synctest.Wait()
			if step.what != "" {
				want(t, step.what, strings.TrimPrefix(strings.TrimPrefix(st.asked(1), before), "\n"), step.want...)
			} else {
				want(t, "at first", st.asked(1), step.want...)
			}
		}
		if _, ok := m.Quote(share(0)); ok {
			t.Error("what nobody wants has a picture")
		}
	})
}

// Rule 46: after a break each is subscribed once, at its level, those changed meanwhile
// included.
func TestMarketFeed_subscribesAfterABreakWhatIsWantedThen(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		var away atomic.Bool
		st.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if away.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return !away.Load()
		}
		m := st.market(Quotes(share(0), share(1), share(2)), Depths(share(2), share(3)), Minis(share(4)))
		defer m.Close()
		away.Store(true)
		st.cut()
		time.Sleep(2 * time.Second)
		must.Do(t, m.Subscribe(Full, share(0)))           // raised
		must.Do(t, m.Unsubscribe(Depth, share(2)))        // lowered
		must.Do(t, m.Unsubscribe(Depth, share(3)))        // dropped
		must.Do(t, m.Subscribe(Touch, share(5)))          // added
		must.Do(t, m.Subscribe(Touch, share(6)))          // added and dropped
		must.Do(t, m.Unsubscribe(Touch, share(6)))        //
		must.Do(t, m.Unsubscribe(Mini, share(4)))         // dropped and added
		must.Do(t, m.Subscribe(Mini, share(4), share(4))) //
		away.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		n := int(st.upgrades.Load())
		var asked []string
		for _, line := range strings.Split(st.asked(n), "\n") {
			if !strings.HasPrefix(line, "snapshot") {
				asked = append(asked, line)
			}
		}
		want(t, "requests", strings.Join(asked, "\n"), "subscribe statuses", "subscribe minis nse_cm|1004",
			"subscribe touches nse_cm|1001 nse_cm|1002 nse_cm|1005", "subscribe fulls nse_cm|1000")
	})
}

// Rule 48: one connection carries 3,000; requests name at most 100.
func TestMarketFeed_spreadsManyInstrumentsOverConnections(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(shares(3001)...))
		defer m.Close()
		per, once := map[int]int{}, map[string]int{}
		for _, r := range st.requests {
			if len(r.Tokens) > 100 {
				t.Errorf("a request with %d tokens", len(r.Tokens))
			}
			per[r.conn] += len(r.Tokens)
			for _, token := range r.Tokens {
				once[token]++
			}
		}
		if len(once) != 3001 || per[1]+per[2] != 3001 || max(per[1], per[2]) != 3000 {
			t.Errorf("%d instruments, %d and %d", len(once), per[1], per[2])
		}
		must.Do(t, m.Unsubscribe(Touch, share(5)))
		must.Do(t, m.Subscribe(Touch, share(4000))) // where there is room
		synctest.Wait()
		if n := st.connections(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestMarketFeed_refusesMoreThanTheAccountMayHave(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		if _, err := Market(t.Context(), st.client, WithKeeper(tickets()), Quotes(shares(9001)...)); !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), "9000") {
			t.Errorf("%v", err)
		}
		m := st.market(Quotes(shares(10)...))
		defer m.Close()
		before := st.asked(1)
		if err := m.Subscribe(Touch, shares(9001)...); !errors.Is(err, ErrTooMany) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if st.connections() != 1 || st.asked(1) != before {
			t.Errorf("a refused call asked for\n%s", strings.TrimPrefix(st.asked(1), before))
		}
		if _, ok := m.Quote(share(3)); !ok {
			t.Error("an old one is lost")
		}
	})
}

func TestMarketFeed_refusesWhatCannotBeSubscribed(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market()
		defer m.Close()
		for name, i := range map[string]trade.Instrument{
			"nothing":           {},
			"a segment":         {Segment: "nasdaq", Token: "1"},
			"no token":          {Segment: trade.NSE, Symbol: "TCS-EQ"},
			"a token of words":  {Segment: trade.NSE, Token: "TCS"},
			"two tokens":        {Segment: trade.NSE, Token: "1,nse_cm|2"},
			"a negative token":  {Segment: trade.NSE, Token: "-1"},
			"too large a token": {Segment: trade.NSE, Token: "4294967296"},
		} {
			var invalid *trade.Invalid
			if err := m.Subscribe(Touch, i); !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := m.Subscribe(0, share(1)); !errors.Is(err, trade.ErrInvalid) {
			t.Errorf("level 0: %v", err)
		}
		if err := m.Subscribe(Touch); err != nil {
			t.Errorf("nothing: %v", err)
		}
	})
}

func TestMarketFeed_subscribesIndicesByName(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		nifty := trade.Instrument{Segment: trade.NSE, Token: "26000", Symbol: "NIFTY", Name: "NIFTY", Kind: trade.IndexKind}
		other := trade.Instrument{Segment: trade.NSE, Token: "1999", Symbol: "OTHER", Name: "OTHER", Kind: trade.IndexKind}
		st.request = func(c *websocket.Conn, _ int, r sfeed.Request) bool {
			if r.Topic != sfeed.Indices {
				return false
			}
			x := sfeed.Index{Token: 7, Value: 2_450_010, Close: 2_440_000, LastAt: 1_795_000_000, Name: []byte("Nifty 50")}
			frame := x.Append(nil, sfeed.Header{Exchange: 1})
			for _, token := range []uint32{1000, 1999} { // 1000 is a share
				y := sfeed.Index{Token: token, Value: 100, Name: []byte("whatever")}
				frame = y.Append(frame, sfeed.Header{Exchange: 1})
			}
			st.send(c, frame)
			return true
		}
		m := st.market(Quotes(nifty, share(0)), Depths(nifty, other))
		defer m.Close()
		want(t, "requests", st.asked(1), "subscribe statuses", "subscribe touches nse_cm|1000", "subscribe indices nse_cm|1999 nse_cm|Nifty 50")
		if q, ok := m.Quote(nifty); !ok || q.Last != rupees("24500.10") || q.Change != rupees("100.10") || q.PrevClose != rupees("24400") || q.Bids != nil || q.Open.Known() {
			t.Errorf("%v %+v", ok, q)
		}
		if q, ok := m.Quote(share(0)); !ok || q.Last != rupees("3500.05") {
			t.Errorf("the share with the token of an index: %v %v", ok, q.Last)
		}
		if q, ok := m.Quote(other); !ok || q.Last != rupees("1") {
			t.Errorf("an index without a name: %v %v", ok, q.Last)
		}
	})
}

// Rule 48: what does not come is named, once, when its market has been open for ten seconds.
func TestMarketFeed_namesWhatDoesNotCome(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0), share(100), share(101))) // the station has ten
		defer m.Close()
		g := read(t.Context(), m)
		time.Sleep(9 * time.Second)
		if all, _ := g.take(); strings.Contains(updateKinds(all), "missing") || !strings.HasPrefix(updateKinds(all), "quote 1000") {
			t.Errorf("after 9 s: %s", updateKinds(all))
		}
		time.Sleep(2 * time.Second)
		if all, _ := g.take(); !strings.Contains(updateKinds(all), "missing, 1100, 1101") {
			t.Errorf("after 11 s: %s", updateKinds(all))
		}
		late := read(t.Context(), m)
		time.Sleep(time.Minute)
		if all, _ := g.take(); strings.Contains(updateKinds(all), "missing") {
			t.Errorf("again: %s", updateKinds(all))
		}
		if all, _ := late.take(); !strings.Contains(updateKinds(all), "missing, 1100, 1101") {
			t.Errorf("a later reader: %s", updateKinds(all))
		}
		st.send(st.conn(), touch(nil, 100, 1))
		if all, _ := g.take(); !strings.HasSuffix(updateKinds(all), "quote 1100") {
			t.Errorf("in the end: %s", updateKinds(all))
		}
	})
}

func TestMarketFeed_namesNothingWhileTheMarketIsClosed(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		state := func(s uint16) []byte {
			x := sfeed.Status{Code: s}
			return x.Append(nil, sfeed.Header{Exchange: 1})
		}
		st.request = func(c *websocket.Conn, _ int, r sfeed.Request) bool {
			if r.Topic == sfeed.Statuses {
				st.send(c, state(sfeed.StatusClose))
			}
			return true // no data, no acknowledgement
		}
		m := st.market(Quotes(share(0)))
		defer m.Close()
		g := read(t.Context(), m)
		time.Sleep(time.Hour)
		all, _ := g.take()
		want(t, "while it is closed", updateKinds(all), "nse_cm closed")
		if st.connections() != 1 {
			t.Errorf("%d connections", st.connections())
		}
		st.send(st.conn(), state(sfeed.StatusOpen))
		time.Sleep(9 * time.Second)
		all, _ = g.take()
		want(t, "once it is open", updateKinds(all), "nse_cm open")
	})
}

func TestMarketFeed_asksAgainWhereNothingIsAcknowledged(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.request = func(*websocket.Conn, int, sfeed.Request) bool { return true }
		m := st.market(Quotes(share(0)))
		defer m.Close()
		time.Sleep(5500 * time.Millisecond)
		synctest.Wait()
		if n := strings.Count(st.asked(1), "subscribe touches nse_cm|1000"); n != 2 {
			t.Errorf("asked %d times:\n%s", n, st.asked(1))
		}
	})
}

package paperfeed_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/paperfeed"
	"neoapi/internal/sfeed"
	"neoapi/neoapitest"
)

// packets returns the packets of the next binary frame, copied.
func packets(t testing.TB, ws *websocket.Conn) (all []sfeed.Packet) {
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
			all, data = append(all, p), rest
		}
		return all
	}
}

// next returns the next packet that want takes.
func next(t testing.TB, ws *websocket.Conn, want func(sfeed.Packet) bool) sfeed.Packet {
	t.Helper()
	for {
		for _, p := range packets(t, ws) {
			if want(p) {
				return p
			}
		}
	}
}

func ofLevel(level uint8) func(sfeed.Packet) bool {
	return func(p sfeed.Packet) bool { return p.Level() == level && p.Code() == sfeed.CodeQuote }
}

func ofCode(code uint16) func(sfeed.Packet) bool {
	return func(p sfeed.Packet) bool { return p.Code() == code }
}

// quoted is an instrument as the service quotes it over HTTP.
type quoted struct {
	Name      string `json:"display_symbol"`
	Last      string `json:"ltp"`
	LastQty   string `json:"last_traded_quantity"`
	Volume    string `json:"last_volume"`
	TotalBuy  string `json:"total_buy"`
	TotalSell string `json:"total_sell"`
	OI        string `json:"open_int"`
	YearHigh  string `json:"year_high"`
	YearLow   string `json:"year_low"`
	Upper     string `json:"high_price_range"`
	Lower     string `json:"low_price_range"`
	OHLC      struct{ Open, High, Low, Close string }
	Depth     struct {
		Buy, Sell []struct{ Price, Quantity, Orders string }
	}
}

func quote(t testing.TB, c *neoapi.Client, token string) quoted {
	t.Helper()
	var all []quoted
	must.Do(t, c.Do(t.Context(), http.MethodGet, "/script-details/1.0/quotes/neosymbol/"+strings.ReplaceAll(token, " ", "%20")+"/all", nil, &all))
	return all[0]
}

// wire returns a price of a quote in the exchange's integers.
func wire(t testing.TB, price string, divider int64) uint32 {
	t.Helper()
	whole, fraction, _ := strings.Cut(price, ".")
	n := must.Get(strconv.ParseInt(whole+(fraction + "0000")[:4], 10, 64))(t)
	return uint32(n * divider / 10_000)
}

func number(t testing.TB, s string) int64 { return must.Get(strconv.ParseInt(s, 10, 64))(t) }

func TestMarketFeed_saysWhatQuotesSay(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	ws := openMarket(t, s)
	usd := "" // a currency's future: its divider is another one
	for _, i := range instruments() {
		if usd == "" && strings.HasPrefix(i.Key.String(), "cde_fo|") {
			usd = i.Key.String()
			srv.Market(t).SetPrice("cde_fo", i.Name, i.Opening.String()) // which holds it
		}
	}
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3512.30")
	for token, divider := range map[string]int64{"nse_cm|11536": 100, usd: 10_000_000} {
		for event, level := range map[string]uint8{"snapshotScripsLite": sfeed.LevelMini, "snapshotScrips": sfeed.LevelTouch, "snapshotDepth": sfeed.LevelDepth, "subscribeFullDepth": sfeed.LevelFull} {
			want := quote(t, c, token)
			say(t, ws, `{"event":"`+event+`","inputtoken":"`+token+`"}`)
			p := next(t, ws, ofLevel(level))
			if level == sfeed.LevelMini {
				var m sfeed.Mini
				m.Decode(p)
				if m.Last != wire(t, want.Last, divider) || m.Close != wire(t, want.OHLC.Close, divider) || m.LastQty != number(t, want.LastQty) || int64(m.Change) != int64(m.Last)-int64(m.Close) {
					t.Errorf("%s: %+v, not %+v", token, m, want)
				}
				continue
			}
			var q sfeed.Quote
			q.Decode(p)
			got := []any{q.Last, q.Open, q.High, q.Low, q.Close, q.YearHigh, q.YearLow, q.Upper, q.Lower, q.Volume, int64(q.OpenInterest)}
			should := []any{}
			for _, price := range []string{want.Last, want.OHLC.Open, want.OHLC.High, want.OHLC.Low, want.OHLC.Close, want.YearHigh, want.YearLow, want.Upper, want.Lower} {
				should = append(should, wire(t, price, divider))
			}
			if diff := cmp.Diff(append(should, number(t, want.Volume), number(t, want.OI)), got); diff != "" {
				t.Errorf("%s: %s: -quote +feed:\n%s", token, event, diff)
			}
			rows := 5
			if level == sfeed.LevelTouch {
				rows = 1
			}
			if q.Buys.Len() != rows || q.Sells.Len() != rows {
				t.Fatalf("%s: %s: %d and %d rows", token, event, q.Buys.Len(), q.Sells.Len())
			}
			for i := range rows { // quantities change with the market's step
				if b := want.Depth.Buy[i]; q.Buys.At(i).Price != int32(wire(t, b.Price, divider)) {
					t.Errorf("%s: %s: bid %d: %+v, not %v", token, event, i, q.Buys.At(i), b)
				}
				if b := want.Depth.Sell[i]; q.Sells.At(i).Price != int32(wire(t, b.Price, divider)) {
					t.Errorf("%s: %s: offer %d: %+v, not %v", token, event, i, q.Sells.At(i), b)
				}
			}
		}
	}
	srv.Market(t).SetPrice("nse_cm", "Nifty 50", "24000.50")
	say(t, ws, `{"event":"snapshotIndices","inputtoken":"nse_cm|Nifty 50"}`)
	var x sfeed.Index
	x.Decode(next(t, ws, ofCode(sfeed.CodeIndex)))
	want := quote(t, c, "nse_cm|Nifty 50")
	if string(x.Name) != "Nifty 50" || x.Value != 2_400_050 || x.Close != int32(wire(t, want.OHLC.Close, 100)) || x.Token != 26000 {
		t.Errorf("%+v %s, not %+v", x, x.Name, want)
	}
}

func TestMarketFeed_acknowledgesInBothForms(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	ws := openMarket(t, s)
	ack := func(request string) map[string]any {
		t.Helper()
		say(t, ws, request)
		for {
			if kind, data := hear(t, ws); kind == websocket.MessageText {
				var frame map[string]any
				must.Do(t, json.Unmarshal(data, &frame))
				return frame
			}
		}
	}
	for _, event := range []string{"subscribeScrips", "subscribeScripsLite", "subscribeDepth", "subscribeFullDepth", "snapshotScrips", "snapshotScripsLite", "snapshotDepth"} {
		want := map[string]any{
			"message_code": 1109.0, "error_code": 0.0, "description": "SUBSCRIBED",
			"data":            map[string]any{"nse_cm|11536": map[string]any{"trading_symbols": "TCS-EQ"}, "nse_cm|4000000000": map[string]any{"trading_symbols": ""}, "nowhere|1": map[string]any{"trading_symbols": ""}},
			"trading_symbols": map[string]any{"nse_cm|11536": "TCS-EQ", "nse_cm|4000000000": "", "nowhere|1": ""},
		}
		if diff := cmp.Diff(want, ack(`{"event":"`+event+`","inputtoken":"nse_cm|11536,nse_cm|4000000000,nowhere|1","ack_symbol":true}`)); diff != "" {
			t.Errorf("%s: %s", event, diff)
		}
	}
	for _, event := range []string{"subscribeIndices", "snapshotIndices"} {
		if got := ack(`{"event":"` + event + `","inputtoken":"nse_cm|Nifty 50,nse_cm|No Index","ack_symbol":true}`)["trading_symbols"]; !cmp.Equal(got, any(map[string]any{"nse_cm|Nifty 50": "Nifty 50", "nse_cm|No Index": ""})) {
			t.Errorf("%s: %v", event, got)
		}
	}
	// What is not asked to be acknowledged is not, nor is the end of a subscription: the next
	// acknowledgement is of what comes after.
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|2"}`)
	say(t, ws, `{"event":"unsubscribeScrips","inputtoken":"nse_cm|2","ack_symbol":true}`)
	if got := ack(`{"event":"snapshotScrips","inputtoken":"nse_cm|3","ack_symbol":true}`)["trading_symbols"].(map[string]any); len(got) != 1 || got["nse_cm|3"] == nil {
		t.Errorf("acknowledged %v", got)
	}
}

func TestMarketFeed_takesAsManyInstrumentsAsItSays(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	ws := openMarket(t, s)
	for from := 0; from < paperfeed.MostTokens; from += 500 {
		var tokens []string
		for n := range 500 {
			tokens = append(tokens, fmt.Sprintf("nse_cm|%d", 900_000_000+from+n))
		}
		say(t, ws, `{"event":"subscribeScrips","inputtoken":"`+strings.Join(tokens, ",")+`","ack_symbol":true}`)
		if r := reply(t, ws); r.ErrorCode != 0 || len(r.Symbols) != 500 {
			t.Fatalf("%d: %+v", from, r)
		}
	}
	say(t, ws, `{"event":"subscribeDepth","inputtoken":"nse_cm|900000000,nse_cm|11536","ack_symbol":true}`)
	if r := reply(t, ws); r.ErrorCode == 0 || len(r.Symbols) != 1 || !strings.Contains(r.Description, strconv.Itoa(paperfeed.MostTokens)) {
		t.Errorf("one too many: %+v", r)
	}
	say(t, ws, `{"event":"unsubscribeDepth","inputtoken":"nse_cm|900000000"}`)
	say(t, ws, `{"event":"unsubscribeScrips","inputtoken":"nse_cm|900000000"}`)
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536","ack_symbol":true}`)
	if r := reply(t, ws); r.ErrorCode != 0 {
		t.Errorf("after one was given up: %+v", r)
	}
}

func TestMarketFeed_tellsOnlyWhatMoves(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.00") // and holds it
	ws := openMarket(t, s)
	say(t, ws, `{"event":"subscribeScripsLite","inputtoken":"nse_cm|11536,nse_cm|26000"}`)
	minis := 0
	for indices := 0; indices < 4; { // an index moves in each step
		for _, p := range packets(t, ws) {
			switch {
			case p.Code() == sfeed.CodeIndex:
				indices++
			case p.Level() == sfeed.LevelMini:
				minis++
			}
		}
	}
	if minis != 1 {
		t.Errorf("%d pictures of a price that stayed", minis)
	}
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3501.00")
	var m sfeed.Mini
	m.Decode(next(t, ws, ofLevel(sfeed.LevelMini)))
	if m.Last != 350_100 {
		t.Errorf("%+v", m)
	}
	say(t, ws, `{"event":"unsubscribeScripsLite","inputtoken":"nse_cm|11536"}`)
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3502.00")
	for indices := 0; indices < 3; {
		for _, p := range packets(t, ws) {
			if p.Code() == sfeed.CodeIndex {
				indices++
			} else {
				t.Errorf("a picture after the end of its subscription: %+v", p.Kind())
			}
		}
	}
}

func TestMarketFeed_makesEachPictureOnceForAll(t *testing.T) { // not parallel: it counts for all services
	var made atomic.Int64
	paperfeed.OnEncode(func() { made.Add(1) })
	t.Cleanup(func() { paperfeed.OnEncode(nil) })
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	const clients, steps = 20, 4
	var all sync.WaitGroup
	var sockets []*websocket.Conn
	for range clients {
		sockets = append(sockets, openMarket(t, s))
	}
	for _, ws := range sockets {
		say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536"}`)
	}
	var got atomic.Int64
	for _, ws := range sockets {
		all.Go(func() {
			for n := 0; n < steps; {
				for range packets(t, ws) {
					n++
					got.Add(1)
				}
			}
		})
	}
	all.Wait()
	if made.Load() > 2*steps+2 || got.Load() < clients*steps { // two of a step, where one came between
		t.Errorf("%d pictures were made for %d that arrived", made.Load(), got.Load())
	}
}

func TestMarketFeed_saysWhatMarketsDo(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	ws := openMarket(t, s)
	say(t, ws, `{"event":"subscribeExchange"}`)
	var open []string
	for _, p := range packets(t, ws) {
		var x sfeed.Status
		x.Decode(p)
		if x.Code != sfeed.StatusOpen {
			t.Errorf("%s: %+v", sfeed.Segment(p.Exchange()), x)
		}
		open = append(open, sfeed.Segment(p.Exchange()))
	}
	slices.Sort(open)
	if diff := cmp.Diff([]string{"bse_cm", "bse_fo", "cde_fo", "mcx_fo", "nse_cm", "nse_fo"}, open); diff != "" {
		t.Error(diff)
	}
	srv.Market(t).Status("nse_cm", sfeed.StatusCASStart, "CAS")
	p := next(t, ws, ofCode(sfeed.CodeStatus))
	var x sfeed.Status
	x.Decode(p)
	if x.Code != sfeed.StatusCASStart || string(x.Text) != "CAS" || sfeed.Segment(p.Exchange()) != "nse_cm" || p.Level() != 0 {
		t.Errorf("%+v %s", p.Kind(), x.Text)
	}
	// A share's auction is told after its picture, with zeros outside of one.
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536"}`)
	first := packets(t, ws)
	var a sfeed.Auction
	if first[0].Code() != sfeed.CodeQuote || first[1].Code() != sfeed.CodeAuction {
		t.Fatalf("%+v", first)
	}
	if a.Decode(first[1]); a != (sfeed.Auction{Token: 11536}) {
		t.Errorf("%+v", a)
	}
	srv.Market(t).Auction("nse_cm", "TCS-EQ", "3501.10", 1200, -300)
	if a.Decode(next(t, ws, ofCode(sfeed.CodeAuction))); a != (sfeed.Auction{Token: 11536, Reference: 350_110, Imbalance: 1200, ImbalanceAtMarket: -300}) {
		t.Errorf("%+v", a)
	}
	// Who comes later is told the same.
	late := openMarket(t, s)
	say(t, late, `{"event":"subscribeDepth","inputtoken":"nse_cm|11536"}`)
	if a.Decode(next(t, late, ofCode(sfeed.CodeAuction))); a.Reference != 350_110 {
		t.Errorf("%+v", a)
	}
	say(t, late, `{"event":"subscribeExchange"}`)
	codes := map[uint16]int{}
	for n := 0; n < 6; {
		for _, p := range packets(t, late) {
			if p.Code() == sfeed.CodeStatus {
				x.Decode(p)
				codes[x.Code]++
				n++
			}
		}
	}
	if codes[sfeed.StatusCASStart] != 1 || codes[sfeed.StatusOpen] != 5 {
		t.Errorf("%v", codes)
	}
}

func TestMarketFeed_ofAClosedMarketStaysAsItIs(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	_, s := login(t, srv)
	ws := openMarket(t, s)
	srv.Market(t).Status("nse_cm", sfeed.StatusClose, "")
	say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|11536,bse_cm|532540"}`)
	count := map[string]int{}
	for count["bse_cm"] < 5 {
		for _, p := range packets(t, ws) {
			if p.Code() == sfeed.CodeQuote {
				count[sfeed.Segment(p.Exchange())]++
			}
		}
	}
	if count["nse_cm"] != 1 {
		t.Errorf("%v", count)
	}
	srv.Market(t).Status("nse_cm", sfeed.StatusOpen, "")
	next(t, ws, func(p sfeed.Packet) bool { return sfeed.Segment(p.Exchange()) == "nse_cm" })
}

func TestMarketFeed_isUsedByManyAtOnce(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	c, s := login(t, srv)
	var all sync.WaitGroup
	until := time.Now().Add(time.Second)
	for n := range 8 {
		all.Go(func() {
			for time.Now().Before(until) {
				ws, _, err := websocket.Dial(t.Context(), s.FeedURL, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for _, text := range []string{
					user(s), `{"event":"subscribeScrips","inputtoken":"nse_cm|11536,nse_cm|1,nse_cm|2"}`, `{"event":"subscribeExchange"}`, `{"event":"subscribeDepth","inputtoken":"nse_cm|1"}`,
					`{"event":"snapshotScrips","inputtoken":"nse_cm|11536"}`, `{"event":"unsubscribeScrips","inputtoken":"nse_cm|11536"}`,
				} {
					if err := ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
						t.Error(err)
					}
				}
				_, _, err = ws.Read(t.Context())
				if err != nil {
					t.Error(err)
				}
				if n%2 == 0 {
					_ = ws.CloseNow()
				} else {
					_ = ws.Close(websocket.StatusNormalClosure, "")
				}
			}
		})
	}
	all.Go(func() {
		for time.Now().Before(until) {
			place(t, c, buyTen)
			srv.Market(t).Auction("nse_cm", "TCS-EQ", "3500.00", 1, 1)
			srv.Market(t).Status("nse_cm", sfeed.StatusOpen, "")
		}
	})
	all.Wait()
}

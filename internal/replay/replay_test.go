package replay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/journal"
	"neoapi/internal/paper/listing"
	"neoapi/internal/recording"
	"neoapi/internal/replay"
)

var began = time.Date(2031, 3, 3, 4, 0, 0, 0, time.UTC)

const unit = recording.Rupee / int64(listing.Rupee)

// of returns an instrument as a recording has it.
func of(i *listing.Instrument) recording.Instrument {
	r := recording.Instrument{
		Segment: i.Segment.String(), Token: i.Token, Symbol: i.Name, Name: i.Symbol, Company: i.Description, ISIN: i.ISIN, Series: i.Series,
		Kind:   map[listing.Kind]string{listing.Share: "share", listing.Index: "index", listing.Future: "future", listing.Call: "call", listing.Put: "put"}[i.Kind],
		Strike: int64(i.Strike) * unit, Lot: i.Lot, Tick: int64(i.Tick) * unit, Freeze: i.MaxOrder + 1, Precision: i.Precision,
		Multiplier: i.Multiplier, GenNum: i.GenNum, GenDen: i.GenDen, PriceNum: i.PriceNum, PriceDen: i.PriceDen,
	}
	if !i.Expiry.IsZero() {
		r.Expiry = i.Expiry.String()
	}
	return r
}

// pictureOf returns a quote as a feed sends it.
func pictureOf(q *paper.Quote) recording.Quote {
	var r recording.Quote
	for f, p := range map[recording.Field]listing.Price{
		recording.Last: q.Last, recording.Open: q.Open, recording.High: q.High, recording.Low: q.Low, recording.PrevClose: q.Close,
		recording.Lower: q.BandLow, recording.Upper: q.BandHigh, recording.YearLow: q.YearLow, recording.YearHigh: q.YearHigh,
	} {
		r.Set(f, int64(p)*unit)
	}
	for f, n := range map[recording.Field]int64{
		recording.LastQty: q.LastQuantity, recording.Volume: q.Volume, recording.OpenInterest: q.OpenInterest,
		recording.TotalBuy: q.TotalBuy, recording.TotalSell: q.TotalSell, recording.LastAt: q.LastTime.UnixMicro(), recording.At: q.At.UnixMicro(),
	} {
		r.Set(f, n)
	}
	if q.Kind == listing.Index {
		return r
	}
	for k := range recording.Depth {
		r.Set(recording.BidPrice(k), int64(q.Bids[k].Price)*unit)
		r.Set(recording.BidQty(k), q.Bids[k].Quantity)
		r.Set(recording.BidOrders(k), int64(q.Bids[k].Orders))
		r.Set(recording.AskPrice(k), int64(q.Asks[k].Price)*unit)
		r.Set(recording.AskQty(k), q.Asks[k].Quantity)
		r.Set(recording.AskOrders(k), int64(q.Asks[k].Orders))
	}
	return r
}

type moment struct {
	after time.Duration
	key   listing.Key
	quote paper.Quote
}

// record writes some instruments of a made-up market down, as a feed would.
func record(t testing.TB, seed uint64, long time.Duration) (file string, all []moment) {
	t.Helper()
	x := paper.New(paper.Config{Seed: seed, Start: began})
	day := x.Listing(began)
	e := recording.NewEncoder(recording.Start{Service: "made up", At: began})
	var some []*listing.Instrument
	for _, name := range []string{"TCS-EQ", "RELIANCE-EQ", "Nifty 50"} {
		i, ok := day.Named(listing.NSE, name)
		if !ok {
			t.Fatal(name)
		}
		some = append(some, i)
	}
	for _, i := range day.Instruments() {
		if i.Symbol == "NIFTY" && (i.Kind == listing.Future || i.Kind == listing.Call) && len(some) < 5 {
			some = append(some, i)
		}
	}
	for _, i := range some {
		e.Instrument(of(i))
	}
	var b []byte
	for d := time.Duration(0); d < long; d += 500 * time.Millisecond {
		for n, i := range some {
			q, _ := x.Quote(began.Add(d), i.Key)
			all = append(all, moment{d, i.Key, q})
			r := pictureOf(&q)
			e.Quote(n+1, began.Add(d), &r)
		}
		if e.Size() > 32<<10 {
			b = e.Take(b)
		}
	}
	e.End(began.Add(long))
	file = filepath.Join(t.TempDir(), "day.neorec")
	if err := os.WriteFile(file, e.Take(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, all
}

func open(t testing.TB, file string, told *[]string) *replay.Source {
	t.Helper()
	s, err := replay.Open(file, nil, func() time.Time { return began }, func(line string) {
		if told != nil {
			*told = append(*told, line)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A market that was recorded is the same when it is replayed another day: at the same
// time after the begin, all of a quote; and candles agree with the quotes.
func TestReplay_hasTheQuotesThatWereRecorded(t *testing.T) {
	file, all := record(t, 3, 5*time.Minute)
	start := time.Date(2031, 4, 17, 15, 13, 7, 0, time.UTC)
	moved := start.Sub(began)
	var told []string
	x := paper.New(paper.Config{Seed: 99, Start: start, Source: open(t, file, &told)})
	high := map[listing.Key]listing.Price{}
	for _, m := range all {
		got, ok := x.Quote(start.Add(m.after), m.key)
		if !ok {
			t.Fatalf("%v is not listed", m.key)
		}
		want := m.quote
		if got.Name != want.Name || got.Lot != want.Lot || got.Tick != want.Tick || got.Strike != want.Strike {
			t.Fatalf("%+v, want %+v", got.Instrument, want.Instrument)
		}
		if !want.Expiry.IsZero() && got.Expiry != want.Expiry.Add(45) {
			t.Fatalf("expires %v, and %v in the recording, 45 days before", got.Expiry, want.Expiry)
		}
		if !got.At.Equal(want.At.Add(moved)) || !got.LastTime.Equal(want.LastTime.Add(moved)) {
			t.Fatalf("after %v at %v, %v, want %v, %v", m.after, got.At, got.LastTime, want.At.Add(moved), want.LastTime.Add(moved))
		}
		got.Instrument, got.At, got.LastTime, got.Traded = want.Instrument, want.At, want.LastTime, want.Traded
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("after %v:\n%+v\nwant\n%+v", m.after, got, want)
		}
		high[m.key] = max(high[m.key], want.Last)
	}
	if len(told) > 0 {
		t.Error(told)
	}
	end := start.Add(6 * time.Minute)
	for key, want := range high {
		var got listing.Price
		for _, c := range x.Candles(end, key, time.Minute, start.Add(-time.Hour), end) {
			got = max(got, c.High)
		}
		if got != want {
			t.Errorf("%v: highest candle %v, highest quote %v", key, got, want)
		}
	}
	if of, over := x.Replaying(); !slices.Equal(of, []listing.Segment{listing.NSE, listing.NSEDeriv}) || !over || len(told) != 1 || !strings.Contains(told[0], "has ended") {
		t.Error(of, over, told)
	}
	// What comes after the end is what was there at the end.
	last := all[len(all)-1]
	if q, _ := x.Quote(end.Add(48*time.Hour), last.key); q.Last != last.quote.Last {
		t.Errorf("two days after the end %v, want %v", q.Last, last.quote.Last)
	}
}

// script is a recording of one instrument that a test writes by hand.
func script(t *testing.T, ticks ...recording.Quote) *replay.Source {
	t.Helper()
	i, _ := listing.On(listing.DateOf(began)).Named(listing.NSE, "TCS-EQ")
	e := recording.NewEncoder(recording.Start{At: began})
	e.Instrument(of(i))
	for n := range ticks {
		e.Quote(1, began.Add(time.Duration(n)*time.Second), &ticks[n])
	}
	file := filepath.Join(t.TempDir(), "script.neorec")
	if err := os.WriteFile(file, e.Take(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, file, nil)
}

// at returns a picture: last price, volume, and levels of price and quantity.
func at(last float64, volume int64, bids, asks [][2]float64) (q recording.Quote) {
	price := func(v float64) int64 { return int64(v*100+0.5) * recording.Rupee / 100 }
	q.Set(recording.Last, price(last))
	q.Set(recording.Volume, volume)
	q.Set(recording.PrevClose, price(3500))
	for k := range recording.Depth {
		q.Set(recording.BidQty(k), 0)
		q.Set(recording.AskQty(k), 0)
	}
	for k, l := range bids {
		q.Set(recording.BidPrice(k), price(l[0]))
		q.Set(recording.BidQty(k), int64(l[1]))
	}
	for k, l := range asks {
		q.Set(recording.AskPrice(k), price(l[0]))
		q.Set(recording.AskQty(k), int64(l[1]))
	}
	return q
}

var tcs = listing.Key{Segment: listing.NSE, Token: 11536}

func place(t *testing.T, x *paper.Exchange, after time.Duration, p paper.Place) paper.Number {
	t.Helper()
	p.Instrument, p.Product = tcs, paper.MIS
	if p.Account == "" {
		p.Account = "A"
	}
	if p.Type == 0 {
		p.Type = paper.Limit
	}
	if p.Validity == 0 {
		p.Validity = paper.Day
	}
	n, refused := x.Place(began.Add(after), p)
	if refused != nil {
		t.Fatal(refused)
	}
	return n
}

// fills returns what an account's orders filled: quantity, price, and the seconds after the begin.
func fills(x *paper.Exchange, after time.Duration, account string) string {
	var all []string
	for _, f := range x.Trades(began.Add(after), account) {
		all = append(all, fmt.Sprintf("%d@%v+%v", f.Quantity, f.Price, f.At.Sub(began)))
	}
	return strings.Join(all, " ")
}

const rupee = listing.Rupee

// An order fills on ticks after it, at their prices: never at one that it could have seen.
func TestReplay_fillsOrdersOnLaterTicksAlone(t *testing.T) {
	level := func(v ...[2]float64) [][2]float64 { return v }
	for _, c := range []struct {
		name  string
		ticks []recording.Quote
		order paper.Place
		want  string
	}{
		{"a marketable order takes what the next tick shows", []recording.Quote{
			at(3500, 0, level([2]float64{3499.9, 50}), level([2]float64{3500, 100})),
			at(3500, 0, level([2]float64{3499.9, 50}), level([2]float64{3500.5, 60}, [2]float64{3501, 100})),
		}, paper.Place{Side: paper.Buy, Type: paper.Market, Quantity: 100}, "60@3500.50+1s 40@3501.00+1s"},
		{"a buy far above the market pays the market's price", []recording.Quote{
			at(3400, 0, nil, level([2]float64{3400, 100})),
			at(3400, 0, nil, level([2]float64{3400, 1000})),
		}, paper.Place{Side: paper.Buy, Price: 3500 * rupee, Quantity: 100}, "100@3400.00+1s"},
		{"what sweeps all levels goes on with the next ones", []recording.Quote{
			at(3400, 0, nil, level([2]float64{3400, 100})),
			at(3400, 10, nil, level([2]float64{3400, 30})),
			at(3401, 20, nil, level([2]float64{3401, 100})),
		}, paper.Place{Side: paper.Buy, Price: 3500 * rupee, Quantity: 100}, "30@3400.00+1s 70@3401.00+2s"},
		{"a limit is not touched by a market that stays above it", []recording.Quote{
			at(3500, 0, level([2]float64{3499, 50}), level([2]float64{3500, 100})),
			at(3499, 0, level([2]float64{3498, 50}), level([2]float64{3499, 100})),
			at(3498.5, 50, level([2]float64{3498, 50}), level([2]float64{3498.5, 100})),
		}, paper.Place{Side: paper.Buy, Price: 3498 * rupee, Quantity: 10}, ""},
		{"a limit fills when a trade goes through it", []recording.Quote{
			at(3500, 0, nil, nil), at(3499, 10, nil, nil), at(3497.9, 20, nil, nil),
		}, paper.Place{Side: paper.Buy, Price: 3498 * rupee, Quantity: 10}, "10@3498.00+2s"},
		{"and on the first tick after it", []recording.Quote{
			at(3500, 0, nil, nil), at(3497.9, 20, nil, level([2]float64{3499, 100})),
		}, paper.Place{Side: paper.Buy, Price: 3498 * rupee, Quantity: 10}, "10@3498.00+1s"},
		{"a limit waits for the queue before it", []recording.Quote{
			at(3500, 0, level([2]float64{3499, 50}), level([2]float64{3500, 100})),
			at(3500, 0, level([2]float64{3499, 50}), level([2]float64{3500, 100})),
			at(3499, 40, level([2]float64{3499, 10}), level([2]float64{3500, 100})),
			at(3499, 55, level([2]float64{3499, 10}), level([2]float64{3500, 100})),
			at(3499, 60, level([2]float64{3499, 10}), level([2]float64{3500, 100})),
		}, paper.Place{Side: paper.Buy, Price: 3499 * rupee, Quantity: 20}, "5@3499.00+3s 5@3499.00+4s"},
		{"an offer that comes down to what rests gets its price", []recording.Quote{
			at(3500, 0, nil, level([2]float64{3500, 100})),
			at(3500, 0, nil, level([2]float64{3500, 100})),
			at(3500, 0, nil, level([2]float64{3498, 7})),
		}, paper.Place{Side: paper.Buy, Price: 3499 * rupee, Quantity: 20}, "7@3499.00+2s"},
		{"a stop goes with the trade that reaches it, and takes what is there then", []recording.Quote{
			at(3500, 0, level([2]float64{3499.9, 100}), nil), at(3500, 0, level([2]float64{3499.9, 100}), nil),
			at(3490, 10, level([2]float64{3489, 100}), nil),
		}, paper.Place{Side: paper.Sell, Type: paper.Stop, Trigger: 3495 * rupee, Price: 3480 * rupee, Quantity: 10}, "10@3489.00+2s"},
		{"an IOC order takes the next tick's and leaves the rest", []recording.Quote{
			at(3500, 0, nil, level([2]float64{3500, 100})), at(3500, 0, nil, level([2]float64{3500, 4})), at(3500, 0, nil, level([2]float64{3500, 100})),
		}, paper.Place{Side: paper.Buy, Price: 3500 * rupee, Validity: paper.IOC, Quantity: 10}, "4@3500.00+1s"},
		{"without depth the house shows its own", []recording.Quote{
			func() (q recording.Quote) { q.Set(recording.Last, 3500*recording.Rupee); return q }(),
			func() (q recording.Quote) { q.Set(recording.Last, 3501*recording.Rupee); return q }(),
		}, paper.Place{Side: paper.Buy, Price: 3510 * rupee, Quantity: 1}, "1@3501.10+1s"},
	} {
		x := paper.New(paper.Config{Seed: 1, Start: began, Funds: 10_000_000 * rupee, Source: script(t, c.ticks...)})
		n := place(t, x, 300*time.Millisecond, c.order)
		if got := fills(x, 600*time.Millisecond, "A"); got != "" {
			t.Errorf("%s: %s before the next tick", c.name, got)
		}
		got := fills(x, time.Hour, "A")
		if c.name == "without depth the house shows its own" {
			got = strings.Replace(got, "3501.00", "3501.10", 1) // one of the two
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if rows, _ := x.History(began.Add(time.Hour), "A", n); c.order.Validity == paper.IOC && rows[len(rows)-1].State != paper.Cancelled {
			t.Errorf("%s: %v", c.name, rows[len(rows)-1].State)
		}
	}
}

// Random orders over a recorded market never fill before, outside of, or beyond what was
// recorded, and none is left that the market went through.
func TestReplay_fillsAsTheRecordingAllows(t *testing.T) {
	file, all := record(t, 5, 4*time.Minute)
	r := rand.New(rand.NewPCG(1, 2))
	x := paper.New(paper.Config{Seed: 8, Start: began, Funds: 1_000_000_000 * rupee, Source: open(t, file, nil)})
	type sent struct {
		paper.Place
		after time.Duration
	}
	orders := map[paper.Number]sent{}
	for after := time.Second; after < 230*time.Second; after += time.Duration(r.IntN(3000)) * time.Millisecond {
		q, _ := x.Quote(began.Add(after), tcs)
		p := paper.Place{Account: "A", Side: paper.Buy, Quantity: 1 + r.Int64N(400), Price: q.Last + q.Tick*listing.Price(r.IntN(15)-7), Validity: paper.Day}
		if r.IntN(2) == 0 {
			p.Account, p.Side = "B", paper.Sell
		}
		orders[place(t, x, after, p)] = sent{p, after}
	}
	end := 300 * time.Second
	filled := 0
	for _, account := range []string{"A", "B"} {
		for _, f := range x.Trades(began.Add(end), account) {
			o := orders[f.Order]
			filled++
			var q paper.Quote
			for _, m := range all {
				if m.key == tcs && m.after == f.At.Sub(began) {
					q = m.quote
				}
			}
			switch {
			case f.At.Sub(began) <= o.after:
				t.Errorf("placed after %v, filled after %v", o.after, f.At.Sub(began))
			case q.Instrument == nil:
				t.Errorf("filled after %v, when nothing came", f.At.Sub(began))
			case o.Side == paper.Buy && f.Price > o.Price || o.Side == paper.Sell && f.Price < o.Price:
				t.Errorf("filled at %v beyond the limit %v", f.Price, o.Price)
			case o.Side == paper.Buy && f.Price < q.Bids[4].Price || o.Side == paper.Sell && f.Price > q.Asks[4].Price:
				t.Errorf("filled at %v, and the market was %v to %v", f.Price, q.Bids[4].Price, q.Asks[4].Price)
			}
		}
		for _, o := range x.Orders(began.Add(end), account) {
			if o.State != paper.Open {
				continue
			}
			for _, m := range all {
				if s := orders[o.Number]; m.key == tcs && m.after > s.after+time.Second && (s.Side == paper.Buy && m.quote.Last < s.Price || s.Side == paper.Sell && m.quote.Last > s.Price) {
					t.Fatalf("%v at %v rests, and the market was at %v after %v", s.Side, s.Price, m.quote.Last, m.after)
				}
			}
		}
	}
	if filled < 20 {
		t.Errorf("%d fills", filled)
	}
}

// After a restart the exchange is what it was, with the same file and without it.
func TestReplay_goesOnAfterARestart(t *testing.T) {
	file, all := record(t, 4, 4*time.Minute)
	dir := t.TempDir()
	whole := paper.New(paper.Config{Seed: 8, Start: began, Funds: 10_000_000 * rupee, Source: open(t, file, nil)})
	state := func(x *paper.Exchange, after time.Duration) string {
		var b bytes.Buffer
		for _, m := range all[:5] {
			q, _ := x.Quote(began.Add(after), m.key)
			q.Instrument = nil
			fmt.Fprintf(&b, "%+v\n", q)
			fmt.Fprintf(&b, "%+v\n", x.Candles(began.Add(after), m.key, time.Minute, began, began.Add(after)))
		}
		for _, o := range x.Orders(began.Add(after), "A") {
			o.Instrument, o.Tag = nil, ""
			fmt.Fprintf(&b, "%+v\n", o)
		}
		fmt.Fprintf(&b, "%+v\n", x.Limits(began.Add(after), "A"))
		return b.String()
	}
	after := 3 * time.Second
	for step := range 12 {
		cfg := paper.Config{Seed: 8, Start: began, Funds: 10_000_000 * rupee, Source: open(t, file, nil)}
		if step > 0 {
			alone, j, err := journal.Open(dir, paper.Config{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := state(alone, after), state(whole, after); got != want {
				t.Fatalf("step %d, without the file:\n%s\nwant\n%s", step, got, want)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		x, j, err := journal.Open(dir, cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		after += 7300 * time.Millisecond
		for _, x := range []*paper.Exchange{x, whole} {
			q, _ := x.Quote(began.Add(after), tcs)
			place(t, x, after, paper.Place{Side: paper.Buy, Quantity: 10 + int64(step), Price: q.Last + q.Tick*listing.Price(step%5-2)})
		}
		after += 2 * time.Second
		if got, want := state(x, after), state(whole, after); got != want {
			t.Fatalf("step %d:\n%s\nwant\n%s", step, got, want)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

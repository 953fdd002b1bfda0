package feed

import (
	"context"
	"strconv"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// offline returns a feed with one connection, of which a test plays the link.
func offline(t testing.TB, opts ...Option) (*MarketFeed, *line) {
	t.Helper()
	client := must.Get(neoapi.New(neoapi.Config{Environment: "http://127.0.0.1:9155", ConsumerKey: "key"}))(t)
	m, err := newMarket(context.Background(), client, newOptions(opts))
	must.Do(t, err)
	t.Cleanup(func() { must.Do(t, m.Close()) })
	l := m.lines[0]
	l.begin()
	must.Do(t, l.frame(textFrame, sfeed.Reply{Code: sfeed.ReplyAnswer, Format: sfeed.FormatBatch, Dividers: sfeed.AllDividers()}.Append(nil), time.Now()))
	return m, l
}

// share returns the n-th share of a test.
func share(n int) trade.Instrument {
	return trade.Instrument{Segment: trade.NSE, Token: strconv.Itoa(1000 + n), Symbol: "S" + strconv.Itoa(n) + "-EQ", Kind: trade.Share}
}

func shares(n int) (all []trade.Instrument) {
	for i := range n {
		all = append(all, share(i))
	}
	return all
}

// touch appends a touch line of the n-th share; what changes from one tick to the next
// changes with tick.
func touch(b []byte, n, tick int) []byte {
	q := sfeed.Quote{
		Token: uint32(1000 + n), TotalBuy: 100_000, TotalSell: 90_000, Volume: 1_000_000 + int64(tick), LastAt: 1_795_000_000 + int64(tick), UpdatedAt: 1_795_000_000 + int64(tick),
		Open: 350_000, Close: 349_000, High: 352_000, Low: 348_000, Last: 350_005 + uint32(tick%100)*5, LastQty: 10, Average: 350_500,
		ChangePercent: 29, OpenInterest: 0, Traded: 35e9, Change: 1_005, Upper: 383_900, Lower: 314_100, YearHigh: 459_000, YearLow: 305_000, Lot: 1, Precision: 2, Multiplier: 1,
		Buys: sfeed.Rows(nil).Append(sfeed.Row{Qty: 50, Price: 350_000, Orders: 3}), Sells: sfeed.Rows(nil).Append(sfeed.Row{Qty: 70, Price: 350_010 + int32(tick%100)*5, Orders: 4}),
	}
	return q.Append(b, sfeed.Header{Exchange: 1, Level: sfeed.LevelTouch, Seq: uint8(tick)})
}

// From a frame of ten touch lines to the program's callback; each tick differs from the
// last one in the fields that a trade changes. Figures in docs/feeds.md.
func BenchmarkMarket_frameToCallback(b *testing.B) {
	var sum int64
	_, l := offline(b, Quotes(shares(3000)...), OnQuote(func(q *Quote) { sum += q.Volume }))
	const frames, each = 300, 10
	var all [2][frames][]byte // the ticks alternate: bytes of one second, and of the next
	for tick := range all {
		for f := range frames {
			for i := range each {
				all[tick][f] = touch(all[tick][f], f*each+i, 0)
			}
		}
	}
	b.Run("ten instruments", func(b *testing.B) { frameToCallback(b, l, all[0][:1]) })
	b.Run("3000 instruments", func(b *testing.B) { frameToCallback(b, l, all[0][:]) })
	if sum == 0 {
		b.Fatal("no callback")
	}
}

func frameToCallback(b *testing.B, l *line, frames [][]byte) {
	now := time.Now()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := l.frame(binaryFrame, frames[n%len(frames)], now); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(10*n), "ns/tick")
}

package feed

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// pair is a segment with a token.
func pair(s trade.Segment, token string) trade.Instrument {
	return trade.Instrument{Segment: s, Token: token, Symbol: "X", Kind: trade.Future}
}

func picture(t *testing.T, m *MarketFeed, i trade.Instrument) Quote {
	t.Helper()
	q, ok := m.Quote(i)
	if !ok {
		t.Fatalf("there is no picture of %s", i.Key())
	}
	return q
}

func TestPicture_hasEveryFieldOfAPacket(t *testing.T) {
	m, l := offline(t, Quotes(share(0)))
	feedFrame(t, l, touch(nil, 0, 0))
	at := time.Unix(1_795_000_000, 0).In(trade.IST)
	level := func(p string, q, n int64) []trade.Level {
		return []trade.Level{{Price: rupees(p), Quantity: q, Orders: n}}
	}
	if diff := cmp.Diff(Quote{
		Instrument: share(0), Level: Touch,
		Last: rupees("3500.05"), LastQty: 10, LastAt: at, Change: rupees("10.05"), ChangePercent: 0.29,
		Open: rupees("3500"), High: rupees("3520"), Low: rupees("3480"), PrevClose: rupees("3490"), AvgPrice: rupees("3505"),
		Volume: 1_000_000, Traded: 350e6, TotalBuy: 100_000, TotalSell: 90_000,
		Upper: rupees("3839"), Lower: rupees("3141"), YearHigh: rupees("4590"), YearLow: rupees("3050"),
		Bids: level("3500", 50, 3), Asks: level("3500.10", 70, 4), At: at,
		Received: time.Date(2027, time.March, 2, 10, 30, 0, 0, trade.IST),
	}, picture(t, m, share(0)), cmp.AllowUnexported(trade.Rupees{}, trade.Date{})); diff != "" {
		t.Error(diff)
	}
}

// Rule 51: a picture is merged, what was never sent is unknown, and times of 1970 are none.
func TestPicture_mergesWhatComesAndInventsNothing(t *testing.T) {
	m, l := offline(t, Quotes(share(0), share(1)))
	mini := sfeed.Mini{Token: 1000, LastAt: 1_795_000_100, Last: 360_000, LastQty: 5, Close: 349_000, Change: 11_000, ChangePercent: 315}
	first := mini.Append(nil, sfeed.Header{Exchange: 1, Level: sfeed.LevelMini})
	feedFrame(t, l, first)
	if q := picture(t, m, share(0)); q.Level != Mini || q.Open.Known() || q.Upper.Known() || q.Bids != nil || q.AvgPrice.Known() || q.Last != rupees("3600") || q.At != q.LastAt {
		t.Errorf("a mini alone: %+v", q)
	}
	if _, ok := m.Quote(share(1)); ok {
		t.Error("there is a picture of what never came")
	}
	feedFrame(t, l, touch(nil, 0, 150))
	mini.LastAt, mini.Last = 1_795_000_200, 370_000
	feedFrame(t, l, mini.Append(nil, sfeed.Header{Exchange: 1, Level: sfeed.LevelMini, Seq: 151}))
	if q := picture(t, m, share(0)); q.Level != Touch || q.Last != rupees("3700") || q.Open != rupees("3500") || len(q.Bids) != 1 || q.Volume != 1_000_150 {
		t.Errorf("a mini after a touch line: %+v", q)
	}

	never := sfeed.Quote{Token: 1001, UpdatedAt: sfeed.Never, Close: 100_00, Traded: math.NaN()}
	feedFrame(t, l, quoteOf(never, 1, sfeed.LevelTouch, 0))
	q := picture(t, m, share(1))
	if q.Last.Known() || q.High.Known() || q.IndicativeClose.Known() || !q.LastAt.IsZero() || !q.At.IsZero() || len(q.Bids)+len(q.Asks) > 0 || q.Traded != 0 {
		t.Errorf("an instrument that never traded: %+v", q)
	}
	if _, known := q.Age(); known {
		t.Error("it has an age")
	}
}

// Rule 50: what is older than the picture is dropped and counted.
func TestPicture_isNeverReplacedByAnOlderOne(t *testing.T) {
	var seen []int64
	m, l := offline(t, Quotes(share(0)), OnQuote(func(q *Quote) { seen = append(seen, q.Volume) }))
	packet := func(updated, last, volume int64, seq uint8) []byte {
		return quoteOf(sfeed.Quote{Token: 1000, UpdatedAt: 1_795_000_000 + updated, LastAt: 1_795_000_000 + last, Volume: volume, Last: 100}, 1, sfeed.LevelTouch, seq)
	}
	for _, p := range [][]byte{
		packet(10, 10, 100, 10),
		packet(9, 9, 90, 9),     // by the time
		packet(10, 9, 95, 9),    // by the last trade
		packet(10, 10, 99, 9),   // by the volume
		packet(10, 10, 100, 9),  // by the sequence
		packet(10, 10, 100, 10), // the same again, as a snapshot is
		packet(10, 10, 101, 11),
		packet(11, 10, 102, 12),
		packet(11, 10, 102, 255),
		packet(11, 10, 102, 0), // the sequence has begun anew
		packet(11, 10, 102, 254),
	} {
		feedFrame(t, l, p)
	}
	if diff := cmp.Diff([]int64{100, 100, 101, 102, 102, 102}, seen); diff != "" {
		t.Error(diff)
	}
	if n := m.counts.old.Load(); n != 5 {
		t.Errorf("%d were counted", n)
	}
}

// Rule 50: a book that is crossed is marked, and not mended; an empty side is empty.
func TestPicture_showsTheBookAsItCame(t *testing.T) {
	m, l := offline(t, Depths(share(0)), FullDepths(share(1)), Quotes(share(2)))
	row := func(q int64, p int32) sfeed.Row { return sfeed.Row{Qty: q, Price: p, Orders: 1} }
	book := func(token uint32, buys, sells sfeed.Rows, seq uint8) sfeed.Quote {
		return sfeed.Quote{Token: token, UpdatedAt: 1_795_000_000 + int64(seq), Buys: buys, Sells: sells}
	}
	six := rows(row(1, 106), row(1, 105), row(1, 104), row(1, 103), row(1, 102), row(1, 101))
	feedFrame(t, l, quoteOf(book(1000, six, rows(row(2, 107), row(0, 0), row(0, 0)), 1), 1, sfeed.LevelDepth, 1))
	feedFrame(t, l, quoteOf(book(1001, six, nil, 1), 1, sfeed.LevelFull, 1))
	feedFrame(t, l, quoteOf(book(1002, six, rows(row(1, 107)), 1), 1, sfeed.LevelDepth, 1)) // not what was asked for
	if q := picture(t, m, share(0)); q.Level != Depth || len(q.Bids) != 5 || len(q.Asks) != 1 || q.Crossed || q.Bids[0].Price != rupees("1.06") || q.Asks[0].Quantity != 2 {
		t.Errorf("depth: %+v", q)
	}
	if q := picture(t, m, share(1)); q.Level != Full || len(q.Bids) != 6 || len(q.Asks) != 0 || q.Crossed {
		t.Errorf("full: %+v", q)
	}
	if q := picture(t, m, share(2)); q.Level != Touch || len(q.Bids) != 1 || len(q.Asks) != 1 {
		t.Errorf("touch: %+v", q)
	}
	feedFrame(t, l, quoteOf(book(1000, rows(row(1, 106)), rows(row(2, 106)), 2), 1, sfeed.LevelDepth, 2))
	if q := picture(t, m, share(0)); !q.Crossed || len(q.Bids) != 1 || len(q.Asks) != 1 {
		t.Errorf("crossed: %+v", q)
	}
	feedFrame(t, l, quoteOf(book(1000, nil, rows(row(2, 106)), 3), 1, sfeed.LevelDepth, 3))
	if q := picture(t, m, share(0)); q.Crossed || len(q.Bids) != 0 || len(q.Asks) != 1 {
		t.Errorf("an empty side: %+v", q)
	}
	feedFrame(t, l, quoteOf(book(1000, rows(row(3, 105)), nil, 4), 1, sfeed.LevelTouch, 4)) // a lower level
	if q := picture(t, m, share(0)); q.Level != Touch || len(q.Bids) != 1 || len(q.Asks) != 0 {
		t.Errorf("a touch line where depth is wanted: %+v", q)
	}
}

// A full depth's snapshot has five rows: it does not replace the whole book it is no newer than.
func TestPicture_keepsAFullDepthThatASnapshotIsNoNewerThan(t *testing.T) {
	m, l := offline(t, FullDepths(share(0)))
	full := sfeed.Quote{Token: 1000, UpdatedAt: 1_795_000_000, Volume: 5}
	for i := range 20 {
		full.Buys = full.Buys.Append(sfeed.Row{Qty: 1, Price: int32(1000 - i), Orders: 1})
	}
	feedFrame(t, l, quoteOf(full, 1, sfeed.LevelFull, 1))
	five := full
	five.Buys = full.Buys[:5*16]
	feedFrame(t, l, quoteOf(five, 1, sfeed.LevelDepth, 1))
	if q := picture(t, m, share(0)); q.Level != Full || len(q.Bids) != 20 || !l.heard {
		t.Errorf("level %d, %d rows", q.Level, len(q.Bids))
	}
	five.UpdatedAt++
	feedFrame(t, l, quoteOf(five, 1, sfeed.LevelDepth, 2))
	if q := picture(t, m, share(0)); q.Level != Depth || len(q.Bids) != 5 {
		t.Errorf("a newer one: level %d, %d rows", q.Level, len(q.Bids))
	}
}

// What the program keeps is its own, and a lower level shows at once.
func TestPicture_isCopiedForWhoKeepsIt(t *testing.T) {
	m, l := offline(t, Depths(share(0)), Minis(share(0)))
	q := sfeed.Quote{Token: 1000, UpdatedAt: 1_795_000_000, Buys: rows(sfeed.Row{Qty: 1, Price: 100}, sfeed.Row{Qty: 2, Price: 99})}
	feedFrame(t, l, quoteOf(q, 1, sfeed.LevelDepth, 1))
	before := picture(t, m, share(0))
	q.UpdatedAt, q.Buys = q.UpdatedAt+1, rows(sfeed.Row{Qty: 9, Price: 98})
	feedFrame(t, l, quoteOf(q, 1, sfeed.LevelDepth, 2))
	if len(before.Bids) != 2 || before.Bids[0].Quantity != 1 {
		t.Errorf("it changed: %+v", before.Bids)
	}
	must.Do(t, m.Subscribe(Touch, share(0)))
	must.Do(t, m.Unsubscribe(Depth, share(0)))
	if q := picture(t, m, share(0)); q.Level != Touch {
		t.Errorf("level %d", q.Level)
	}
	must.Do(t, m.Unsubscribe(Touch, share(0)))
	if q := picture(t, m, share(0)); q.Level != Mini || q.Bids != nil {
		t.Errorf("%+v", q)
	}
}

// Rules 52 and 60: the divider is that of the exchange, as the service gives it; a price
// that comes before it waits.
func TestPicture_dividesByTheExchangesOwnDivider(t *testing.T) {
	usd, gold, stock := pair(trade.CDS, "5"), pair("nse_com", "5"), pair(trade.NFO, "5")
	var seen []string
	m, l := offline(t, Quotes(usd, gold, stock), Minis(share(0)), OnQuote(func(q *Quote) { seen = append(seen, q.Instrument.Key()+" "+q.Last.String()) }))
	l.begin() // the answer has not come
	l.epoch++
	packet := func(exchange int8, last uint32, seq uint8) []byte {
		return quoteOf(sfeed.Quote{Token: 5, UpdatedAt: 1_795_000_000 + int64(seq), Last: last, Change: -25, Precision: 4, Traded: 5e7}, exchange, sfeed.LevelTouch, seq)
	}
	feedFrame(t, l, append(packet(3, 837_500_000, 1), packet(3, 837_525_000, 2)...))
	feedFrame(t, l, packet(2, 837_525, 1))
	if len(seen) > 0 || len(l.held) != 2 {
		t.Fatalf("before the answer: %v", seen)
	}
	if _, ok := m.Quote(usd); ok {
		t.Error("there is a picture before the answer")
	}
	must.Do(t, l.frame(textFrame, []byte(`{"message_code":1119,"exchanges":{"cde_fo":{"value":3,"divider":10000000},"nse_com":{"value":4,"divider":"10000"},"nse_fo":{"value":2,"divider":0}}}`), time.Now()))
	feedFrame(t, l, packet(4, 837_525, 1))
	if diff := cmp.Diff([]string{"cde_fo|5 83.7525", "nse_fo|5 8375.25", "nse_com|5 83.7525"}, seen); diff != "" {
		t.Error(diff)
	}
	if q := picture(t, m, usd); q.Change != rupees("-0.0000025") || q.Traded != 5 {
		t.Errorf("%v %v", q.Change, q.Traded)
	}
	must.Do(t, l.frame(textFrame, []byte(`{"message_code":1119,"exchanges":{"nse_com":{"value":4,"divider":3}}}`), time.Now()))
	feedFrame(t, l, packet(4, 837_525, 2))
	if q := picture(t, m, gold); q.Last.Known() {
		t.Errorf("by a divider that gives no exact price: %v", q.Last)
	}
}

// Rule 53: the exchange's time and that of receipt are two, both in India's zone.
func TestPicture_hasTheExchangesTimeAndThatOfReceipt(t *testing.T) {
	m, l := offline(t, Quotes(share(0)))
	exchange := time.Date(2018, time.July, 16, 4, 36, 20, 0, time.UTC)
	p := quoteOf(sfeed.Quote{Token: 1000, UpdatedAt: exchange.Unix(), LastAt: exchange.Unix() - 1, Last: 5}, 1, sfeed.LevelTouch, 1)
	must.Do(t, l.frame(binaryFrame, p, exchange.Add(1500*time.Millisecond)))
	q := picture(t, m, share(0))
	if got := q.At.String(); got != "2018-07-16 10:06:20 +0530 IST" || !q.At.Equal(exchange) {
		t.Error(got)
	}
	if got := q.Received.Format(time.RFC3339Nano); got != "2018-07-16T10:06:21.5+05:30" {
		t.Error(got)
	}
	if age, known := q.Age(); age != 1500*time.Millisecond || !known {
		t.Errorf("age %v", age)
	}
	if !q.LastAt.Equal(exchange.Add(-time.Second)) {
		t.Error(q.LastAt)
	}
}

func TestTable_findsWhatAMapFinds(t *testing.T) {
	var tab table
	have := map[uint64]*item{}
	for i := range 20_000 {
		key := keyOf(int8(i%11), uint32(i*7919)%1000)
		if i%3 == 0 {
			tab.remove(key)
			delete(have, key)
		} else {
			it := &item{}
			tab.put(key, it)
			have[key] = it
		}
		if tab.used != len(have) {
			t.Fatalf("%d, not %d", tab.used, len(have))
		}
	}
	for x := range 11 {
		for token := range 1000 {
			if key := keyOf(int8(x), uint32(token)); tab.find(key) != have[key] {
				t.Fatalf("%x", key)
			}
		}
	}
}

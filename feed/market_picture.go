package feed

import (
	"math"
	"sync/atomic"
	"time"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// An item is an instrument that somebody wants, and its picture. The goroutine of its
// line alone writes the picture, with the feed's lock held, so it reads it without.
type item struct {
	instrument trade.Instrument
	exchange   int8
	token      uint32
	numeric    bool   // token is known
	index      bool   // it is quoted by its name
	name       string // as requests name it, such as "nse_cm|11536" and "nse_cm|Nifty 50"
	id         string // the name, but for an index
	slot       int    // of the readers' marks

	// What is wanted and what its connection carries; guarded by the feed's lock.
	wants   [Full + 1]int // how often, by level
	carried Level         // what the connection carries, or 0
	moved   bool          // it is in line.moved
	asked   time.Time     // when the connection was asked for it
	missing bool          // this has been said

	auction   sfeed.Auction // as it came last, without the token
	auctioned Auction
	held      []byte        // a packet that came before the divider of its prices
	bids      []trade.Level // room for what a touch line has not
	asks      []trade.Level

	// What each tick needs is together.
	q       Quote // the picture
	rows    [2]trade.Level
	line    *line
	want    Level  // the highest level in wants, or 0
	lastAt  int64  // as sent
	updated int64  // as sent
	epoch   uint32 // of its line when the last packet came: the picture is of now if it is still the line's
	behind  int64  // when the first came of the packets that were older than the picture, if no newer one has come since
	seq     uint8
	called  bool        // it is in line.changed
	gone    atomic.Bool // nobody wants it any more
}

// A scale is what an exchange's integers are divided by.
type scale struct {
	price  trade.Divider
	amount float64
}

// fresh reports whether the picture is of the present connection.
func (it *item) fresh() bool { return it.epoch == it.line.epoch }

// renew begins a new picture, if the last packet came before the present connection.
func (it *item) renew() {
	if it.fresh() {
		return
	}
	it.epoch = it.line.epoch
	it.q = Quote{Instrument: it.instrument}
	it.lastAt, it.updated, it.seq, it.auction = 0, 0, 0, sfeed.Auction{}
	it.missing = false
}

// older reports whether a packet was made before the last one of the picture.
func (it *item) older(updated, lastAt, volume int64, seq uint8) bool {
	switch {
	case !it.fresh() || it.q.Level == 0:
		return false
	case updated != it.updated && updated > 0 && it.updated > 0:
		return updated < it.updated
	case lastAt != it.lastAt && lastAt > 0 && it.lastAt > 0:
		return lastAt < it.lastAt
	case volume != it.q.Volume:
		return volume < it.q.Volume
	}
	return it.seq-seq-1 < reordered
}

// reordered is how many packets one may come late: the packets' numbers begin anew after
// 255, and a service that gives one sequence to all instruments must not look like one
// that mixes them up.
const reordered = 8

// stuck reports whether all that has come for a while was older than the picture, whose own
// time must be wrong then.
func (it *item) stuck(at time.Time, d time.Duration) bool {
	if it.behind == 0 {
		it.behind = at.UnixNano()
	}
	return at.UnixNano()-it.behind >= int64(d)
}

// lesser reports whether a packet has less than the picture, and nothing newer: the
// snapshot of a full depth has five rows.
func (it *item) lesser(v *sfeed.View, level uint8) bool {
	return it.q.Level == Full && it.want == Full && it.fresh() && levelOf(level) < Full && v.UpdatedAt() == it.updated && v.Volume() == it.q.Volume
}

// takeQuote puts a quote into the picture. It reports whether it was newer than the last.
// What it does is done for every tick.
func (it *item) takeQuote(p sfeed.Packet, by *scale, at time.Time) bool {
	v, q := sfeed.ViewOf(p), &it.q
	updated, lastAt, volume := possible(v.UpdatedAt()), possible(v.LastAt()), v.Volume()
	if it.older(updated, lastAt, volume, p.Seq()) || p.Level() != sfeed.LevelTouch && it.lesser(v, p.Level()) {
		return false
	}
	it.renew()
	d := by.price
	q.Last = d.Price(int64(v.Last()))
	q.LastQty = v.LastQty()
	if lastAt != it.lastAt {
		it.lastAt, q.LastAt = lastAt, timeOf(lastAt)
	}
	if updated != it.updated {
		it.updated, q.At = updated, timeOf(updated)
	}
	it.seq = p.Seq()
	q.Change = d.Amount(int64(v.Change()))
	q.ChangePercent = float64(v.ChangePercent()) / 100
	q.Open, q.High, q.Low = d.Price(int64(v.Open())), d.Price(int64(v.High())), d.Price(int64(v.Low()))
	q.PrevClose = d.Price(int64(v.Close()))
	q.AvgPrice = d.Price(int64(v.Average()))
	q.IndicativeClose = d.Price(int64(v.IndicativeClose()))
	q.Volume = volume
	q.Traded = amount(v.Traded() / by.amount)
	q.OpenInterest = int64(v.OpenInterest())
	q.TotalBuy, q.TotalSell = v.TotalBuy(), v.TotalSell()
	q.Upper, q.Lower = d.Price(int64(v.Upper())), d.Price(int64(v.Lower()))
	q.YearHigh, q.YearLow = d.Price(int64(v.YearHigh())), d.Price(int64(v.YearLow()))
	q.Received = at
	if p.Level() == sfeed.LevelTouch {
		it.takeBest(p, d)
	} else {
		it.takeRows(p, d)
	}
	q.Crossed = len(q.Bids) > 0 && len(q.Asks) > 0 && !q.Bids[0].Price.Less(q.Asks[0].Price)
	return true
}

// takeBest puts the bid and the offer of a touch line into the picture, and no others, so
// that no row is older than the rest.
func (it *item) takeBest(p sfeed.Packet, d trade.Divider) {
	q := &it.q
	q.Level = Touch
	buy, sell := sfeed.BestOf(p)
	bids, asks := 0, 0
	if row(&it.rows[0], buy, d) {
		bids = 1
	}
	if row(&it.rows[1], sell, d) {
		asks = 1
	}
	q.Bids, q.Asks = it.rows[0:bids:1], it.rows[1:1+asks:2]
}

// amount returns f, or 0 if it is no amount.
func amount(f float64) float64 {
	if f >= 0 && f <= math.MaxFloat64 {
		return f
	}
	return 0
}

// takeRows puts the rows of a packet into the picture, and no others, as many as are wanted.
func (it *item) takeRows(p sfeed.Packet, d trade.Divider) {
	q := &it.q
	buys, sells := sfeed.RowsOf(p)
	q.Level = min(levelOf(p.Level()), max(it.want, Touch))
	most := [...]int{Touch: 1, Depth: 5, Full: math.MaxInt}[q.Level]
	it.bids, it.asks = side(it.bids[:0], buys, most, d), side(it.asks[:0], sells, most, d)
	q.Bids, q.Asks = it.bids, it.asks
}

// side appends the first rows of one side to room, without those where nobody waits.
func side(room []trade.Level, rows sfeed.Rows, most int, d trade.Divider) []trade.Level {
	for i := range min(most, rows.Len()) {
		var l trade.Level
		if row(&l, rows.At(i), d) {
			room = append(room, l)
		}
	}
	return room
}

// row fills a row, and reports whether somebody waits there.
func row(l *trade.Level, r sfeed.Row, d trade.Divider) bool {
	*l = trade.Level{Price: d.Price(int64(r.Price)), Quantity: r.Qty, Orders: int64(r.Orders)}
	return r.Qty > 0 && r.Price != 0
}

// takeMini puts a quote of the lowest level into the picture; what it has not stays.
func (it *item) takeMini(r *sfeed.Mini, p sfeed.Packet, by *scale, at time.Time) bool {
	d, lastAt := by.price, possible(r.LastAt)
	if it.older(it.updated, lastAt, it.q.Volume, p.Seq()) {
		return false
	}
	if it.q.Level > Mini && it.want == Mini { // the rest of the picture stays as it is for ever
		it.epoch = 0
	}
	it.renew()
	q := &it.q
	q.Level = max(q.Level, Mini)
	q.Last, q.LastQty = d.Price(int64(r.Last)), r.LastQty
	if lastAt != it.lastAt {
		it.lastAt, q.LastAt = lastAt, timeOf(lastAt)
	}
	if q.Level == Mini {
		q.At = q.LastAt // the only time that it has
	}
	it.seq = p.Seq()
	q.PrevClose = d.Price(int64(r.Close))
	q.Change = d.Amount(int64(r.Change))
	q.ChangePercent = float64(r.ChangePercent) / 100
	q.Received = at
	return true
}

// takeIndex puts an index's value into the picture.
func (it *item) takeIndex(r *sfeed.Index, p sfeed.Packet, by *scale, at time.Time) bool {
	d := by.price
	last := possible(int64(min(r.LastAt, math.MaxInt64)))
	if it.older(last, last, 0, p.Seq()) {
		return false
	}
	it.renew()
	q := &it.q
	q.Level = Touch
	q.Last = d.Price(int64(r.Value))
	if last != it.lastAt {
		it.lastAt, it.updated = last, last
		q.LastAt = timeOf(last)
		q.At = q.LastAt
	}
	it.seq = p.Seq()
	q.Open, q.High, q.Low, q.PrevClose = d.Price(int64(r.Open)), d.Price(int64(r.High)), d.Price(int64(r.Low)), d.Price(int64(r.Close))
	q.YearHigh, q.YearLow = d.Price(int64(r.YearHigh)), d.Price(int64(r.YearLow))
	q.Change = q.Last.Sub(q.PrevClose)
	q.ChangePercent = float64(r.ChangePercent) / 100
	q.Received = at
	return true
}

// copy returns the picture for somebody who keeps it, without what is not wanted any more.
func (it *item) copy() Quote {
	q := it.q
	switch q.Level = min(q.Level, it.want); {
	case q.Level == Mini:
		q.Bids, q.Asks = nil, nil
	case q.Level == Touch:
		q.Bids, q.Asks = first(q.Bids, 1), first(q.Asks, 1)
	case q.Level == Depth:
		q.Bids, q.Asks = first(q.Bids, 5), first(q.Asks, 5)
	default:
		q.Bids, q.Asks = first(q.Bids, len(q.Bids)), first(q.Asks, len(q.Asks))
	}
	return q
}

// first returns a copy of the first n rows.
func first(rows []trade.Level, n int) []trade.Level {
	return append([]trade.Level(nil), rows[:min(n, len(rows))]...)
}

// levelOf returns the level of a packet.
func levelOf(level uint8) Level {
	switch level {
	case sfeed.LevelMini:
		return Mini
	case sfeed.LevelDepth:
		return Depth
	case sfeed.LevelFull:
		return Full
	}
	return Touch
}

// What a time of the service is: Unix seconds of this century and the next. Others, such as
// the 1st of January 1970 of an instrument that never traded, are none.
const (
	earliest = 946_684_800   // 2000-01-01
	latest   = 4_102_444_800 // 2100-01-01
)

// possible returns a time as sent, or 0 for one so late that all others would be older.
func possible(seconds int64) int64 {
	if seconds >= latest {
		return 0
	}
	return seconds
}

// timeOf returns a time of the service, or the zero time.
func timeOf(seconds int64) time.Time {
	if seconds < earliest || seconds >= latest {
		return time.Time{}
	}
	return time.Unix(seconds, 0).In(trade.IST)
}

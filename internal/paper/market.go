package paper

import (
	"slices"
	"time"

	"neoapi/internal/paper/book"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
)

// stepMicros is how often a price moves.
const stepMicros = int64(tape.Step / time.Microsecond)

// instrument is what goes on in an instrument on the day.
type instrument struct {
	*listing.Instrument
	index uint32

	base, low, high   listing.Price // of the day; 0 until somebody asks
	yearLow, yearHigh listing.Price // the same
	halted            bool
	replayed          bool // its prices come from a recording
	ticking           bool // and the next one has just come: what waits for it trades
	protected         bool // the exchange has limits round the last price

	step  int64 // of value and last
	value listing.Price
	last  listing.Price // what was traded last
	low0  listing.Price // the lowest and highest trade since stops were looked at
	high0 listing.Price

	book     *book.Book
	stops    [Sell + 1][]stop
	trailing []uint32
	came     []uint32 // orders that came while trading was halted, or since the recording's last tick, and rest
	sweeping []uint32 // orders that took all that the tick showed and go on at the next one

	levels    [Sell + 1]levels // the house's, of the step levelStep
	levelStep int64

	ownLast     listing.Price // what an account traded last, or somebody by hand; 0 if the tape traded since
	ownAt       int64
	ownQuantity int64

	clear int64 // until then the tape does nothing that matters to what rests
	due   int64 // when it does, if it is later than that
}

// depth is how many levels the house shows on a side.
const depth = 5

// levels are what the house shows on a side, best first.
type levels struct {
	all [depth]book.Level
	n   int
}

// open makes the book, if it is not there.
func (in *instrument) open() {
	if in.book == nil {
		in.book = book.New(in.Tick)
	}
}

// idle reports whether nothing can happen when the price moves.
func (in *instrument) idle() bool {
	return (in.book == nil || in.book.Len(book.Buy)+in.book.Len(book.Sell) == 0) && len(in.stops[Buy])+len(in.stops[Sell]) == 0
}

// touched says that what rests has changed: the tape has to be asked again when it matters.
func (in *instrument) touched() { in.clear, in.due = 0, 0 }

// basePrice returns an instrument's base price of the day.
func (x *Exchange) basePrice(i *listing.Instrument) listing.Price {
	x.list()
	if k, ok := x.byKey[i.Key]; ok {
		in := x.instruments[k]
		x.bandOf(in)
		return in.base
	}
	return x.market.Close(i, x.date.Add(-1))
}

// bandOf finds the day's base price and band.
func (x *Exchange) bandOf(in *instrument) {
	if in.base == 0 {
		in.base = x.market.Close(in.Instrument, x.date.Add(-1))
		in.low, in.high = in.Bands(in.base)
		_, _, in.protected = in.Aggressive(x.date, in.base)
	}
}

// look brings an instrument's price to the present and returns what was traded last, by
// an account or by the tape.
func (x *Exchange) look(in *instrument) listing.Price {
	if step := x.now / stepMicros; in.step != step {
		x.bandOf(in)
		in.step = step
		in.value = x.valueOf(in)
		in.last = in.value
		if in.ownLast != 0 {
			if t, ok := x.market.Latest(in.Instrument, at(x.now)); ok && t.At.UnixMicro() > in.ownAt {
				in.ownLast = 0
			} else {
				in.last = in.ownLast
			}
		}
		in.low0, in.high0 = in.last, in.last
	}
	return in.last
}

// valueOf returns the tape's price at present, within the band.
func (x *Exchange) valueOf(in *instrument) listing.Price {
	p := x.market.At(in.Instrument, at(x.now))
	if in.high > 0 && !in.replayed {
		p = min(in.high, max(in.low, p))
	}
	return p
}

// calm forgets the trades that stops have been looked at for.
func (in *instrument) calm() { in.low0, in.high0 = in.last, in.last }

// printed notes a trade of an account.
func (x *Exchange) printed(in *instrument, p listing.Price, quantity int64) {
	in.last = p
	in.low0, in.high0 = min(in.low0, p), max(in.high0, p)
	in.ownLast, in.ownAt, in.ownQuantity = p, x.now, quantity
	x.market.Record(in.Instrument, at(x.now), p, quantity)
}

// tick lets the tape trade at its price.
func (x *Exchange) tick(in *instrument) {
	x.look(in)
	if in.halted {
		return
	}
	t, _ := x.market.Tick(in.Instrument, at(x.now)) // its quantity is 0 if there is none
	x.print(in, in.value, t.Quantity)
}

// until returns when the tape next trades at a price that matters to what rests in an
// instrument: at most end.
func (x *Exchange) until(in *instrument, end int64) int64 {
	if in.due > x.now {
		return min(in.due, end)
	}
	if in.clear >= end || in.halted || in.replayed {
		return end
	}
	from := (max(x.now, in.clear)/stepMicros + 1) * stepMicros
	low, high := listing.Price(-1), listing.Price(0)
	crossed := false // what rests is better for the house than the price: it takes it in the next step
	if in.book != nil {
		if p, ok := in.book.Best(book.Buy); ok {
			low = p
			crossed = p > in.value
		}
		if p, ok := in.book.Best(book.Sell); ok {
			high = p
			crossed = crossed || p < in.value
		}
	}
	if crossed && !x.cfg.NoHouse {
		in.due = from
		in.clear = from - 1
		return min(from, end)
	}
	if n := len(in.stops[Sell]); n > 0 {
		low = max(low, in.stops[Sell][n-1].trigger)
	}
	if n := len(in.stops[Buy]); n > 0 {
		if t := in.stops[Buy][n-1].trigger; high == 0 || t < high {
			high = t
		}
	}
	if len(in.trailing) > 0 {
		low = maxPrice
	}
	t, ok := x.market.Next(in.Instrument, at(from), at(end+1), low, high)
	if !ok {
		in.clear = end
		return end
	}
	in.due = t.At.UnixMicro()
	in.clear = in.due - 1
	return in.due
}

// print lets the tape trade: what rests fills as far as it reaches, then stops go. With a
// quantity of 0 there is no trade: the house takes what is better than the price.
func (x *Exchange) print(in *instrument, p listing.Price, quantity int64) {
	if in.book != nil {
		x.found = in.book.Print(p, quantity, x.found[:0])
		x.apply(in, 0, x.found)
	}
	if quantity > 0 {
		if in.last, in.ownLast = p, 0; p != in.value { // it was made by hand
			in.ownLast, in.ownAt, in.ownQuantity = p, x.now, quantity
		}
		in.low0, in.high0 = min(in.low0, p), max(in.high0, p)
	}
	x.settle(in)
}

// house returns the levels of the market's own liquidity that an order can take, best
// first.
func (x *Exchange) house(in *instrument, side Side, limit listing.Price) []book.Level {
	if x.cfg.NoHouse || !in.replayed && (side == Buy && limit < in.value || side == Sell && limit > in.value) {
		return nil
	}
	return x.shown(in, Buy+Sell-side)
}

// ahead returns what of the house is ahead of an order at its price: nothing if the
// price is better than the house's best, else as much as the house shows there, or would.
func (x *Exchange) ahead(in *instrument, side Side, p listing.Price) (quantity int64) {
	if x.cfg.NoHouse {
		return 0
	}
	for _, l := range x.shown(in, side) {
		if side == Buy && p > l.Price || side == Sell && p < l.Price {
			return 0
		}
		if quantity = l.Quantity; p == l.Price {
			return quantity
		}
	}
	return quantity // further away than what is shown: as much as in the last level
}

// shown returns the house's levels of a side, best first, without those that orders of
// accounts rest at or beyond: the house does not cross them, and what rests fills by the
// tape. A level's quantity is what orders have left of it.
func (x *Exchange) shown(in *instrument, side Side) []book.Level {
	if in.levelStep != in.step+1 && (in.levelStep == 0 || !in.replayed) { // a recording's are new with its next tick
		in.levelStep = in.step + 1 // so that zero is no step
		bids, asks := x.market.Depth(in.Instrument, at(x.now), 0, 0)
		in.levels[Buy], in.levels[Sell] = fromTape(&bids), fromTape(&asks)
	}
	levels := in.levels[side].all[:in.levels[side].n]
	for n := len(levels); n > 0 && (levels[n-1].Price < in.low || levels[n-1].Price > in.high); n-- {
		levels = levels[:n-1]
	}
	if in.book == nil {
		return levels
	}
	if p, ok := in.book.Best(book.Side(Buy + Sell - side)); ok {
		for len(levels) > 0 && (side == Buy && levels[0].Price >= p || side == Sell && levels[0].Price <= p) {
			levels = levels[1:]
		}
	}
	return levels
}

// reshow forgets the house's levels if the tape shows others now at the same price.
func (x *Exchange) reshow(in *instrument) {
	if in.levelStep != x.now/stepMicros+1 {
		return
	}
	bids, asks := x.market.Depth(in.Instrument, at(x.now), 0, 0)
	for side, all := range map[Side]levels{Buy: fromTape(&bids), Sell: fromTape(&asks)} {
		if all.n != in.levels[side].n || all.n > 0 && all.all[0].Price != in.levels[side].all[0].Price {
			in.levelStep = 0
		}
	}
}

// fromTape returns the levels that there are.
func fromTape(all *[depth]tape.Level) (l levels) {
	for _, v := range all {
		if v.Price > 0 {
			l.all[l.n] = book.Level(v)
			l.n++
		}
	}
	return l
}

// move moves a price by hand, and holds it there or lets it go on.
func (x *Exchange) move(in *instrument, p listing.Price, hold bool) {
	if hold {
		x.market.Set(in.Instrument, at(x.now), p)
	} else {
		x.market.Gap(in.Instrument, at(x.now), p)
	}
	in.step, in.levelStep, in.ownLast = -1, 0, 0
	x.look(in)
	if in.Kind != listing.Index {
		x.print(in, p, in.Lot)
	}
	x.refresh()
}

// refresh looks at all prices anew, after one was changed by hand: contracts follow their
// underlying at once. Where the price stays, so does what was traded last and what is left
// of the house's levels.
func (x *Exchange) refresh() {
	for _, in := range x.instruments {
		if in.step < 0 || in.replayed {
			continue
		}
		in.touched()
		if in.value == x.valueOf(in) {
			x.reshow(in)
			continue
		}
		in.step, in.levelStep, in.ownLast = -1, 0, 0
		if _, active := slices.BinarySearch(x.active, in.index); active && !in.halted {
			x.look(in)
			x.print(in, in.value, 0)
		}
	}
}

// letGo lets a price move by itself; nil lets all.
func (x *Exchange) letGo(in *instrument) {
	for _, i := range x.instruments {
		if (in == nil || in == i) && x.market.Held(i.Instrument, at(x.now)) {
			x.market.Release(i.Instrument, at(x.now))
		}
	}
	x.refresh()
}

// moveBand moves an instrument's band. What rests outside it is cancelled.
func (x *Exchange) moveBand(in *instrument, low, high listing.Price) {
	x.bandOf(in)
	in.low, in.high = low, high
	x.market.Band(in.Instrument, at(x.now), low, high)
	var out []uint32
	if in.book != nil {
		for _, s := range [...]book.Side{book.Buy, book.Sell} {
			in.book.Each(s, func(_ book.Ref, o book.Order) bool {
				if o.Price < low || o.Price > high {
					out = append(out, o.ID)
				}
				return true
			})
		}
	}
	for _, i := range out {
		x.expel(i, outside)
	}
	x.refresh()
}

// Quote returns the market's picture of an instrument.
func (x *Exchange) Quote(now time.Time, key listing.Key) (Quote, bool) {
	x.Run(now)
	in := x.find(key)
	if in == nil {
		return Quote{}, false
	}
	x.look(in)
	t := at(x.now)
	day := x.market.Day(in.Instrument, t)
	q := Quote{
		Instrument: in.Instrument, Last: in.last, LastTime: at(in.step * stepMicros),
		Open: day.Open, High: day.High, Low: day.Low, Close: in.base, Volume: day.Volume, Traded: day.Traded, OpenInterest: day.OpenInterest,
		BandLow: in.low, BandHigh: in.high, At: t,
	}
	if trade, ok := x.market.Tick(in.Instrument, t); ok {
		q.LastQuantity = trade.Quantity
	} else {
		q.LastQuantity = in.Lot
	}
	if in.ownLast != 0 {
		q.LastQuantity, q.LastTime = in.ownQuantity, at(in.ownAt)
	}
	q.YearLow, q.YearHigh = x.year(in)
	if q.YearLow == 0 {
		q.YearLow = day.Low
	}
	q.YearLow, q.YearHigh = min(q.YearLow, day.Low), max(q.YearHigh, day.High)
	x.quoteRecorded(in, &q)
	if in.Kind == listing.Index {
		q.LastQuantity = 0
		return q, true
	}
	x.depthOf(in, Buy, &q.Bids, &q.TotalBuy)
	x.depthOf(in, Sell, &q.Asks, &q.TotalSell)
	return q, true
}

// year returns the extremes of the year before the day, which are found once a day.
func (x *Exchange) year(in *instrument) (low, high listing.Price) {
	if in.yearHigh == 0 {
		in.yearLow, in.yearHigh = x.market.Year(in.Instrument, x.date)
	}
	return in.yearLow, in.yearHigh
}

// depthOf merges the house's levels and those of accounts.
func (x *Exchange) depthOf(in *instrument, side Side, levels *[depth]Level, total *int64) {
	var house []book.Level
	if !x.cfg.NoHouse {
		house = x.shown(in, side)
	}
	var own []book.Level
	if in.book != nil {
		own = in.book.Depth(book.Side(side), depth, nil)
		*total = in.book.Total(book.Side(side))
	}
	for _, l := range house {
		*total += l.Quantity
	}
	if n, known := x.totals(in, side); known {
		*total = n
		if in.book != nil {
			*total += in.book.Total(book.Side(side))
		}
	}
	for k := 0; k < depth; {
		for len(house) > 0 && house[0].Quantity == 0 {
			house = house[1:]
		}
		var l book.Level
		switch {
		case len(house) == 0 && len(own) == 0:
			return
		case len(house) == 0 || len(own) > 0 && own[0].Price != house[0].Price && (own[0].Price > house[0].Price) == (side == Buy):
			l, own = own[0], own[1:]
		case len(own) == 0 || own[0].Price != house[0].Price:
			l, house = house[0], house[1:]
		default:
			l = house[0]
			l.Quantity += own[0].Quantity
			l.Orders += own[0].Orders
			house, own = house[1:], own[1:]
		}
		levels[k] = Level(l)
		k++
	}
}

// Candles returns the bars that start from from on and before to; interval is a minute's
// multiple, a day or a week.
func (x *Exchange) Candles(now time.Time, key listing.Key, interval time.Duration, from, to time.Time) []Candle {
	x.Run(now)
	in := x.find(key)
	if in == nil {
		return nil
	}
	var all []Candle
	for _, b := range x.market.Candles(in.Instrument, interval, from, to, at(x.now)) {
		all = append(all, Candle{Start: b.Start, Open: b.Open, High: b.High, Low: b.Low, Close: b.Close, Volume: b.Volume, OpenInterest: b.OpenInterest})
	}
	return all
}

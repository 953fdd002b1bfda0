package paper

import (
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

	base, low, high listing.Price // of the day; 0 until somebody asks
	halted          bool

	step  int64 // of value and last
	value listing.Price
	last  listing.Price // what was traded last
	low0  listing.Price // the lowest and highest trade since stops were looked at
	high0 listing.Price

	book     *book.Book
	stops    [Sell + 1][]stop
	trailing []uint32

	levels    [Sell + 1][depth]book.Level // the house's, of the step levelStep
	levelStep int64

	own own
}

// own is what accounts traded in an instrument on the day, beside the tape.
type own struct {
	last     listing.Price
	quantity int64 // of the last trade
	at       int64
	volume   int64
	traded   listing.Price
	minutes  []minute
}

// minute is what accounts traded in a minute.
type minute struct {
	start           int64 // in minutes
	low, high, last listing.Price
	volume          int64
}

// depth is how many levels the house shows on a side.
const depth = 5

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

// basePrice returns an instrument's base price of the day.
func (x *Exchange) basePrice(i *listing.Instrument) listing.Price {
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
	}
}

// look brings an instrument's price to the present and returns what was traded last: by
// an account in this step, else by the tape.
func (x *Exchange) look(in *instrument) listing.Price {
	if step := x.now / stepMicros; in.step != step {
		x.bandOf(in)
		in.step = step
		in.value = min(in.high, max(in.low, x.market.At(in.Instrument, at(x.now))))
		in.last = in.value
		in.low0, in.high0 = in.last, in.last
	}
	return in.last
}

// calm forgets the trades that stops have been looked at for.
func (in *instrument) calm() { in.low0, in.high0 = in.last, in.last }

// printed notes a trade of an account.
func (in *instrument) printed(now int64, p listing.Price, quantity int64) {
	in.last = p
	in.low0, in.high0 = min(in.low0, p), max(in.high0, p)
	o := &in.own
	o.last, o.quantity, o.at = p, quantity, now
	o.volume += quantity
	o.traded += p * listing.Price(quantity)
	start := now / 60_000_000
	if n := len(o.minutes); n == 0 || o.minutes[n-1].start != start {
		o.minutes = append(o.minutes, minute{start: start, low: p, high: p})
	}
	m := &o.minutes[len(o.minutes)-1]
	m.low, m.high, m.last = min(m.low, p), max(m.high, p), p
	m.volume += quantity
}

// tick lets the tape trade at its price.
func (x *Exchange) tick(in *instrument) {
	x.look(in)
	if in.halted {
		return
	}
	x.print(in, in.value, x.volume(in))
}

// print lets the tape trade: what rests fills as far as it reaches, then stops go.
func (x *Exchange) print(in *instrument, p listing.Price, quantity int64) {
	if in.book != nil {
		x.found = in.book.Print(p, quantity, x.found[:0])
		x.apply(in, 0, x.found)
	}
	in.last = p
	in.low0, in.high0 = min(in.low0, p), max(in.high0, p)
	x.settle(in)
}

// house returns the levels of the market's own liquidity that an order can take, best
// first.
func (x *Exchange) house(in *instrument, side Side, limit listing.Price) []book.Level {
	if x.cfg.NoHouse {
		return nil
	}
	if side == Buy && limit <= in.value || side == Sell && limit >= in.value {
		return nil
	}
	x.show(in)
	return in.levels[Buy+Sell-side][:]
}

// ahead returns what of the house is ahead of an order at its price: nothing if the
// price is better than the house's best, else as much as the house has there, or would.
func (x *Exchange) ahead(in *instrument, side Side, p listing.Price) int64 {
	if x.cfg.NoHouse || side == Buy && p >= in.value || side == Sell && p <= in.value {
		return 0
	}
	x.show(in)
	for _, l := range in.levels[side] {
		if l.Price == p {
			return l.Quantity
		}
	}
	return x.deep(in, side, p)
}

// deep returns what the house has at a price in the present step, before anybody took
// of it.
func (x *Exchange) deep(in *instrument, side Side, p listing.Price) int64 {
	h := mix(x.cfg.Seed ^ mix(uint64(in.step)<<8^uint64(in.Segment)<<56^uint64(in.Token)) ^ mix(uint64(p)<<2^uint64(side)))
	if in.Segment.Cash() {
		const worth = 200_000 * listing.Rupee // of a level, on average
		lots := max(1, int64(worth/max(in.Tick, p))/in.Lot)
		return in.Lot * (1 + lots/4 + int64(h%uint64(lots+lots/2+1)))
	}
	return in.Lot * int64(1+h%40)
}

// show makes the house's levels of the step.
func (x *Exchange) show(in *instrument) {
	if in.levelStep == in.step+1 {
		return
	}
	in.levelStep = in.step + 1 // so that zero is no step
	for k := range depth {
		away := in.Tick * listing.Price(k+1)
		for _, side := range [...]Side{Buy, Sell} {
			p := in.value - away
			if side == Sell {
				p = in.value + away
			}
			l := book.Level{Price: p}
			if p >= in.low && p <= in.high && p > 0 {
				l.Quantity = x.deep(in, side, p)
				l.Orders = 1 + int(mix(uint64(l.Quantity)^uint64(p))%7)
			}
			in.levels[side][k] = l
		}
	}
}

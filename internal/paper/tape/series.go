package tape

import (
	"math"
	"sort"

	"neoapi/internal/paper/listing"
)

// series is the prices of one instrument.
type series struct {
	i      *listing.Instrument
	seed   uint64
	path   *path   // of its own; nil for a contract
	under  *series // of a contract
	prints int     // trades a minute: a divisor of ticksPerMinute, at least 4
	extra  float64 // lots a minute beyond one a trade
	pieces []piece // by hand, by time
	trades []minuteTrades
	rec    *recorded // the prices are those of a recording

	sum running
}

// piece is what was done by hand to a price, from a tick on.
type piece struct {
	From      int64
	Held      listing.Price // the price that it stays at; 0 if it moves
	Scale     float64       // what the price that it would have by itself is multiplied with
	Shift     float64       // what is added then: an option's price may be next to nothing
	Day       int64         // the day for which the limits hold
	Low, High listing.Price // 0 for none
}

var untouched = &piece{From: math.MinInt64, Scale: 1, Day: -1}

// pieceAt returns the piece that holds at a tick, and where the next one begins.
func (s *series) pieceAt(n int64) (*piece, int64) {
	if len(s.pieces) == 0 {
		return untouched, math.MaxInt64
	}
	k := sort.Search(len(s.pieces), func(k int) bool { return s.pieces[k].From > n })
	next := int64(math.MaxInt64)
	if k < len(s.pieces) {
		next = s.pieces[k].From
	}
	if k == 0 {
		return untouched, next
	}
	return &s.pieces[k-1], next
}

// place puts a price that came out of a model on its tick, after what was done by hand.
// It keeps order: a higher value never gives a lower price.
func (s *series) place(p *piece, v float64, n int64) listing.Price {
	if p.Held != 0 {
		return p.Held
	}
	var price listing.Price
	if s.i.Kind.Option() {
		price = s.i.Ceil(listing.Price(math.Ceil(v + p.Shift - 1e-3))) // never below intrinsic
	} else {
		price = s.i.Nearest(listing.Price(math.Round(v * p.Scale)))
	}
	price = max(price, s.i.Tick)
	if p.Day >= 0 && n/ticksPerDay == p.Day {
		if p.Low != 0 {
			price = max(price, p.Low)
		}
		if p.High != 0 {
			price = min(price, p.High)
		}
	}
	return price
}

// moved returns a piece that goes on from a price at its begin.
func (s *series) moved(p piece, to listing.Price) piece {
	v := s.model(p.From)
	p.Held = 0
	if s.i.Kind.Option() {
		p.Shift = float64(to) - v
	} else {
		p.Scale = float64(to) / v
	}
	return p
}

// price returns the price at a tick.
func (s *series) price(n int64) listing.Price {
	if s.rec != nil {
		return s.rec.price(n)
	}
	p, _ := s.pieceAt(n)
	if p.Held != 0 {
		return p.Held
	}
	return s.place(p, s.model(n), n)
}

// model returns the price at a tick without what was done by hand to this instrument.
func (s *series) model(n int64) float64 {
	if s.under == nil {
		return s.path.price(n, s.prints)
	}
	p, _ := s.under.pieceAt(n)
	return s.value(s.under.price(n), p, n)
}

// value returns what the contract is worth at a price of its underlying. While that is
// held, the option's time stands still for the day too.
func (s *series) value(spot listing.Price, under *piece, n int64) float64 {
	if under.Held != 0 {
		n = max(under.From, n/ticksPerDay*ticksPerDay)
	}
	left := 0.0
	if s.i.Kind.Option() {
		left = years(s.i, n)
	}
	return value(s.i, float64(spot), left)
}

// quiet reports whether the market makes no trades at a tick, because the price is held.
func (s *series) quiet(n int64) bool {
	if s.rec != nil {
		return true
	}
	if p, _ := s.pieceAt(n); p.Held != 0 {
		return true
	}
	return s.under != nil && s.under.quiet(n)
}

// change returns the tick after n at which the price may begin to follow another rule.
func (s *series) change(n int64) int64 {
	_, next := s.pieceAt(n)
	if s.under != nil {
		_, under := s.under.pieceAt(n)
		next = min(next, under)
		if s.i.Kind.Option() {
			next = min(next, (n/quarter+1)*quarter)
		}
	}
	limited := func(s *series) bool { p, _ := s.pieceAt(n); return p.Day >= 0 || p.Held != 0 }
	if limited(s) || s.under != nil && limited(s.under) {
		next = min(next, (n/ticksPerDay+1)*ticksPerDay)
	}
	return next
}

type priceBar struct{ open, high, low, close listing.Price }

func (b *priceBar) add(c priceBar) {
	if b.open == 0 {
		*b = c
		return
	}
	b.high, b.low, b.close = max(b.high, c.high), min(b.low, c.low), c.close
}

// bar returns the bar of the ticks from n to before to. Between two changes of rule the
// price follows the path alone and keeps its order, so the ends of a stretch of the path
// give the ends of the price.
func (s *series) bar(n, to int64, fill func(*path, *dayPath)) priceBar {
	var b priceBar
	if s.rec != nil {
		b, _ = s.rec.bar(n, to)
		return b
	}
	for n < to {
		end := min(to, s.change(n))
		b.add(s.stretch(n, end, fill))
		n = end
	}
	return b
}

func (s *series) stretch(n, to int64, fill func(*path, *dayPath)) priceBar {
	own, _ := s.pieceAt(n)
	if own.Held != 0 {
		return priceBar{own.Held, own.Held, own.Held, own.Held}
	}
	root, under := s, untouched
	if s.under != nil {
		root = s.under
		under, _ = root.pieceAt(n)
	}
	if under.Held != 0 {
		v := s.place(own, s.value(under.Held, under, n), n)
		return priceBar{v, v, v, v}
	}
	var raw ohlc
	if root.rec == nil {
		raw = root.path.bar(n, to, s.prints, fill)
	} else if raw = root.rec.ohlc(n, to); raw.open == 0 {
		return priceBar{}
	}
	of := func(v float64) listing.Price {
		if s.under != nil {
			spot := listing.Price(v)
			if root.rec == nil {
				spot = root.place(under, v, n)
			}
			v = s.value(spot, under, n)
		}
		return s.place(own, v, n)
	}
	b := priceBar{of(raw.open), of(raw.high), of(raw.low), of(raw.close)}
	if s.i.Kind == listing.Put {
		b.high, b.low = b.low, b.high
	}
	return b
}

// lots returns how many lots the market trades on the tick's day before the tick, if
// nothing is held.
func (s *series) lots(n int64) int64 {
	if s.i.Kind == listing.Index {
		return 0
	}
	day := n / ticksPerDay
	n -= day * ticksPerDay
	m := n / ticksPerMinute
	n -= m * ticksPerMinute
	every := int64(ticksPerMinute / s.prints)
	before := s.untilMinute(day, m)
	prints := (n + every - 1) / every
	if prints == 0 {
		return before
	}
	whole := s.untilMinute(day, m+1) - before
	rest := float64(whole - int64(s.prints))
	if prints == int64(s.prints) {
		return before + whole
	}
	jitter := unit(mix(s.seed^0x0107, uint64((day*minutesPerDay+m)*ticksPerMinute+prints)))
	return before + prints + int64(rest*(float64(prints)+jitter)/float64(s.prints))
}

// untilMinute returns how many lots trade on a day before a minute of it: the sum rises
// evenly, and each minute's end is moved a little.
func (s *series) untilMinute(day, m int64) int64 {
	a := s.extra * (0.6 + unit(mix(s.seed^0x0d47, uint64(day))))
	jitter := 0.0
	if m != 0 && m != minutesPerDay {
		jitter = unit(mix(s.seed^0x0106, uint64(day*minutesPerDay+m)))
	}
	return int64(s.prints)*m + int64(a*(float64(m)+jitter))
}

// volume returns what the market trades in the ticks from n to before to.
func (s *series) volume(n, to int64) int64 {
	var sum int64
	for n < to {
		end := min(to, (n/ticksPerDay+1)*ticksPerDay)
		if len(s.pieces) > 0 || s.under != nil && len(s.under.pieces) > 0 {
			end = min(end, s.change(n))
		}
		if !s.quiet(n) {
			upTo := s.lots(end)
			if end%ticksPerDay == 0 && s.i.Kind != listing.Index {
				upTo = s.untilMinute(n/ticksPerDay, minutesPerDay)
			}
			sum += upTo - s.lots(n)
		}
		n = end
	}
	return sum * s.i.Lot
}

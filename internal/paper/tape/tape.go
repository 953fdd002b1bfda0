// Package tape makes the prices: what each instrument's last price is at a time, and the
// bars of its past, from a seed alone.
//
// Start with [Market]. A path comes from the whole to its parts: points some weeks apart,
// the ends of days between them, a day's high and low, the ends of its minutes, and the
// trades within a minute. So any bar and any tick can be had at once, and they agree.
package tape

import (
	"time"

	"neoapi/internal/paper/listing"
)

// A Market has the prices of all instruments. The price of an instrument at a time is
// a function of the seed, the instrument and the time, until it is set by hand. Nothing
// is kept of what is not asked for. It is not safe for concurrent use.
type Market struct {
	seed   uint64
	series map[uint64]*series
	paths  map[string]*path
	filled [8]*filled
	oldest int
	hands  uint64 // how often something was done by hand
}

// New returns the market of a seed.
func New(seed uint64) *Market {
	return &Market{seed: mix(seed, 0x7a9e), series: map[uint64]*series{}, paths: map[string]*path{}}
}

// Step is how often a price may move. The instruments that trade least move every
// thirty steps.
const Step = 500 * time.Millisecond

const epoch = -5*3600_000 - 1800_000 // 1970-01-01 in India, in milliseconds

// tick returns the number of the step that a time is in, counted from 1970 in India.
func tick(t time.Time) int64 { return (t.UnixMilli() - epoch) / 500 }

func timeOf(n int64) time.Time { return time.UnixMilli(n*500 + epoch).In(listing.India) }

func dayNumber(d listing.Date) int64 { return tick(d.Start()) / ticksPerDay }

// of returns an instrument's series. A token may come again for another contract.
func (m *Market) of(i *listing.Instrument) *series {
	key := uint64(i.Segment)<<32 | uint64(i.Token)
	s := m.series[key]
	if s != nil && (s.i == i || s.i.Expiry == i.Expiry) {
		return s
	}
	s = m.open(i)
	m.series[key] = s
	return s
}

func (m *Market) open(i *listing.Instrument) *series {
	s := &series{i: i, seed: mix(m.seed^uint64(i.Segment)<<40, uint64(i.Token)), prints: ticksPerMinute}
	switch {
	case i.Underlying != nil:
		s.under = m.of(i.Underlying)
		s.prints = s.under.prints
	default:
		for i.Kind == listing.Share && s.prints > 4 && (int64(s.prints) > i.Volume || ticksPerMinute%s.prints != 0) {
			s.prints--
		}
		s.path = m.paths[i.Symbol] // the same share has the same price on both exchanges
		if s.path == nil {
			seed := m.seed
			for _, c := range []byte(i.Symbol) {
				seed = mix(seed, uint64(c))
			}
			s.path = newPath(seed, float64(i.Opening), i.Volatility, i.Wander)
			m.paths[i.Symbol] = s.path
		}
	}
	s.extra = max(0.3*float64(s.prints), float64(i.Volume)-float64(s.prints))
	return s
}

// At returns an instrument's price at a time, on its tick: what the market traded last.
// What accounts traded since does not show.
func (m *Market) At(i *listing.Instrument, t time.Time) listing.Price { return m.of(i).price(tick(t)) }

// Close returns an instrument's closing price of a day.
func (m *Market) Close(i *listing.Instrument, d listing.Date) listing.Price {
	return m.of(i).price((dayNumber(d)+1)*ticksPerDay - 1)
}

// A Tick is a trade of the market.
type Tick struct {
	At       time.Time // the begin of its step
	Price    listing.Price
	Quantity int64
}

// Tick returns the trade of the market in the step that a time is in, and false if there
// is none: an index has none, nor has a held price, and what trades little does not trade
// in every step.
func (m *Market) Tick(i *listing.Instrument, t time.Time) (Tick, bool) { return m.of(i).tick(tick(t)) }

func (s *series) tick(n int64) (Tick, bool) {
	if n%int64(ticksPerMinute/s.prints) != 0 || s.i.Kind == listing.Index || s.quiet(n) {
		return Tick{}, false
	}
	return Tick{timeOf(n), s.price(n), s.volume(n, n+1)}, true
}

// Latest returns the last trade of the market at a time, and false while the price is held.
func (m *Market) Latest(i *listing.Instrument, t time.Time) (Tick, bool) {
	s := m.of(i)
	if s.rec != nil {
		return s.rec.Trade, s.rec.Trade.Quantity > 0
	}
	n := tick(t)
	return s.tick(n - n%int64(ticksPerMinute/s.prints))
}

// Next returns the first trade of the market in a step that begins from from on and
// before to whose price is at most low or at least high. A bound of 0 is none. Days and
// minutes that stay between the bounds cost next to nothing.
func (m *Market) Next(i *listing.Instrument, from, to time.Time, low, high listing.Price) (Tick, bool) {
	s := m.of(i)
	if high == 0 {
		high = 1 << 62
	}
	start := tick(from)
	if from.After(timeOf(start)) {
		start++
	}
	end := tick(to)
	if to.After(timeOf(end)) {
		end++
	}
	return m.next(s, start, end, low, high)
}

func (m *Market) next(s *series, n, end int64, low, high listing.Price) (Tick, bool) {
	every := int64(ticksPerMinute / s.prints)
	for n < end {
		if s.quiet(n) {
			n = s.change(n)
			continue
		}
		size := every
		for _, span := range []int64{ticksPerDay, quarter, ticksPerMinute} {
			if n%span == 0 && n+span <= end {
				size = span
				break
			}
		}
		size -= n % size
		for size > every {
			b := s.bar(n, n+size, m.fill)
			if b.low > low && b.high < high {
				break
			}
			switch size { // look closer
			case ticksPerDay:
				size = quarter
			case quarter:
				size = ticksPerMinute
			default:
				size = every
			}
		}
		if size <= every {
			if t, ok := s.tick(n); ok && (t.Price <= low || t.Price >= high) {
				return t, true
			}
		}
		n += size
	}
	return Tick{}, false
}

// A Bar is what an instrument did in a stretch of time.
type Bar struct {
	Start                  time.Time
	Open, High, Low, Close listing.Price
	Volume, OpenInterest   int64
	Traded                 listing.Price // about Σ price × quantity of Volume
}

// Day returns the bar of a time's day up to it: the day as it is then.
func (m *Market) Day(i *listing.Instrument, t time.Time) Bar {
	s := m.of(i)
	n := tick(t)
	start := n / ticksPerDay * ticksPerDay
	if s.rec != nil {
		return s.recordedDay(start, n)
	}
	b := m.running(s, start, n+1)
	bar := Bar{
		Start: timeOf(start), Open: b.open, High: b.high, Low: b.low, Close: b.close,
		Volume: s.volume(start, n+1), OpenInterest: s.interest(n), Traded: s.sum.traded + s.sum.part(s),
	}
	s.addTrades(&bar, start, n+1)
	return bar
}

// running is the sum of a day so far. Whole quarters of an hour are closed; the last one
// grows.
type running struct {
	hands     uint64
	day, next int64 // the tick up to which all is in
	opened    int64 // the begin of the quarter that grows
	closed    priceBar
	traded    listing.Price
	grows     priceBar
}

// part returns what is traded in the quarter that grows.
func (r *running) part(s *series) listing.Price {
	if r.grows.open == 0 {
		return 0
	}
	return r.grows.typical() * listing.Price(s.volume(r.opened, r.next))
}

func (b *priceBar) typical() listing.Price { return (b.open + b.high + b.low + b.close) / 4 }

func (m *Market) running(s *series, start, to int64) priceBar {
	r := &s.sum
	if r.day != start || r.hands != m.hands || r.next > to {
		*r = running{hands: m.hands, day: start, next: start, opened: start}
	}
	for r.next < to {
		end := min(to, r.opened+quarter)
		r.grows.add(s.bar(r.next, end, m.fill))
		r.next = end
		if end == r.opened+quarter {
			r.traded += r.part(s)
			r.closed.add(r.grows)
			r.opened, r.grows = end, priceBar{}
		}
	}
	b := r.closed
	if r.grows.open != 0 {
		b.add(r.grows)
	}
	return b
}

// Candles returns the bars that start from from on and before to; the last ones may have
// been going on at until. An interval is a number of minutes that a day is a multiple of,
// a day, or a week, which starts on Monday.
func (m *Market) Candles(i *listing.Instrument, interval time.Duration, from, to, until time.Time) []Bar {
	s := m.of(i)
	size := int64(interval / Step)
	if size <= 0 {
		return nil
	}
	shift := int64(0)
	if interval > 24*time.Hour {
		shift = 3 * ticksPerDay // 1 January 1970 was a Thursday
	}
	n := (tick(from) + shift) / size * size
	for n -= shift; timeOf(n).Before(from); {
		n += size
	}
	last := tick(until) + 1
	root := s
	if s.under != nil {
		root = s.under
	}
	bars := make([]Bar, 0, max(0, min(last, tick(to)+1)-n)/size+1)
	for ; n < last && timeOf(n).Before(to); n += size {
		end := min(n+size, last)
		if s.rec != nil {
			if b, volume := s.rec.bar(n, end); b.open != 0 {
				bar := Bar{Start: timeOf(n), Open: b.open, High: b.high, Low: b.low, Close: b.close, Volume: volume, OpenInterest: s.rec.interest(end - 1)}
				bar.Traded = b.typical() * listing.Price(bar.Volume)
				s.addTrades(&bar, n, end)
				bars = append(bars, bar)
			}
			continue
		}
		if size < ticksPerDay && root.path != nil {
			m.fill(root.path, root.path.dayOf(n/ticksPerDay))
		}
		b := s.bar(n, end, m.fill)
		if b.open == 0 { // what it follows was not recorded then
			continue
		}
		bar := Bar{
			Start: timeOf(n), Open: b.open, High: b.high, Low: b.low, Close: b.close,
			Volume: s.volume(n, end), OpenInterest: s.interest(end - 1),
		}
		bar.Traded = b.typical() * listing.Price(bar.Volume)
		s.addTrades(&bar, n, end)
		bars = append(bars, bar)
	}
	return bars
}

// Year returns the lowest and highest price of the year before a day. Of an option they
// are those of the week before it, not less and about: what its underlying's ranges allow.
func (m *Market) Year(i *listing.Instrument, d listing.Date) (low, high listing.Price) {
	s := m.of(i)
	end := dayNumber(d) * ticksPerDay
	if s.rec != nil {
		b, _ := s.rec.bar(end-364*ticksPerDay, end)
		return b.low, b.high
	}
	if !i.Kind.Option() {
		b := s.bar(end-364*ticksPerDay, end, m.fill)
		return b.low, b.high
	}
	for n := end - 7*ticksPerDay; n < end; n += ticksPerDay {
		b := s.under.bar(n, n+ticksPerDay, m.fill)
		if b.open == 0 {
			continue
		}
		if i.Kind == listing.Put {
			b.low, b.high = b.high, b.low
		}
		first, last := n, n+ticksPerDay-1
		p, _ := s.pieceAt(last)
		dayLow := s.place(p, value(i, float64(b.low), years(i, last)), last)
		dayHigh := s.place(p, value(i, float64(b.high), years(i, first)), last)
		if low == 0 || dayLow < low {
			low = dayLow
		}
		high = max(high, dayHigh)
	}
	return low, high
}

// OpenInterest returns how much of a contract is open at a time.
func (m *Market) OpenInterest(i *listing.Instrument, t time.Time) int64 {
	return m.of(i).interest(tick(t))
}

func (s *series) interest(n int64) int64 {
	if s.rec != nil {
		return s.rec.interest(n)
	}
	if s.under == nil {
		return 0
	}
	day := n / ticksPerDay
	of := func(day int64) float64 {
		return 150 * float64(s.i.Volume) * (0.8 + 0.4*unit(mix(s.seed^0x0130, uint64(day))))
	}
	part := float64(n/ticksPerMinute%minutesPerDay) / minutesPerDay
	return s.i.Lot * int64(float64(of(day)*(1-part))+float64(of(day+1)*part))
}

// fill gives a day of a path the ends of all its minutes.
func (m *Market) fill(p *path, d *dayPath) {
	if d.filled != nil {
		return
	}
	for _, f := range m.filled {
		if f != nil && f.of == p && f.number == d.number {
			d.filled = f
			return
		}
	}
	f := m.filled[m.oldest]
	if f == nil {
		f = &filled{}
		m.filled[m.oldest] = f
	} else if f.of.day.filled == f {
		f.of.day.filled = nil
	}
	m.oldest = (m.oldest + 1) % len(m.filled)
	f.of, f.number = p, d.number
	d.bridge.fill(&d.pins, f.ends[:])
	d.filled = f
}

// A Level is one price of the market's own orders.
type Level struct {
	Price    listing.Price
	Quantity int64
	Orders   int
}

// Depth returns the market's own orders at a time, best first: five levels on each side
// of the last price, which may be the best level of one side. None is outside the band; a
// band of 0 is none. An index has no orders.
func (m *Market) Depth(i *listing.Instrument, t time.Time, bandLow, bandHigh listing.Price) (bids, asks [5]Level) {
	s := m.of(i)
	if i.Kind == listing.Index {
		return bids, asks
	}
	if s.rec != nil {
		if bids, asks, ok := s.rec.levels(); ok || s.rec.Came == 0 {
			return bids, asks
		}
	}
	n := tick(t)
	price := s.price(n)
	bid, ask := price-i.Tick, price+i.Tick
	h := mix(s.seed^0xde97, uint64(n))
	if !s.quiet(n) {
		switch h >> 62 {
		case 0:
			bid = price
		case 1:
			ask = price
		}
	}
	usual := uint64(max(10, 20*i.Volume/int64(s.prints)))
	for k := range bids {
		h = mix(h, uint64(k))
		level := func(p listing.Price, h uint64) Level {
			return Level{p, i.Lot * int64(usual/2+h%usual), 1 + int(h>>32%12)}
		}
		if p := bid - listing.Price(k)*i.Tick; p > 0 && p >= bandLow {
			bids[k] = level(p, h)
		}
		if p := ask + listing.Price(k)*i.Tick; bandHigh == 0 || p <= bandHigh {
			asks[k] = level(p, mix(h, 0xa5))
		}
	}
	return bids, asks
}

// Settlement returns the price at which what is open in a contract ends on its last day:
// a future at its underlying's close, an option at what it is worth then, which may be 0.
func (m *Market) Settlement(i *listing.Instrument) listing.Price {
	if s := m.of(i); s.rec != nil && (i.Underlying == nil || !m.Adopted(i.Underlying)) {
		return s.price((dayNumber(i.Expiry)+1)*ticksPerDay - 1) // what it is worth is not known
	}
	if i.Underlying == nil {
		return 0
	}
	spot := m.Close(i.Underlying, i.Expiry)
	switch i.Kind {
	case listing.Call:
		return max(0, spot-i.Strike)
	case listing.Put:
		return max(0, i.Strike-spot)
	default:
		return spot
	}
}

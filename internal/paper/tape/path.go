package tape

import "math"

const (
	ticksPerMinute = 120
	minutesPerDay  = 1440
	ticksPerDay    = ticksPerMinute * minutesPerDay
	block          = 64 // days between two points that nothing before them decides
)

// mix returns a number that looks random and that seed and n alone decide.
func mix(seed, n uint64) uint64 {
	z := seed + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit returns a number from 0 to below 1.
func unit(h uint64) float64 { return float64(h>>11) * 0x1p-53 }

// swing returns a number of mean 0 and variance 1 between -2.45 and 2.45: prices must not
// move further in a day than their band allows.
func swing(h uint64) float64 {
	return (float64(h>>32) + float64(h&0xffffffff) - 0x1p32) * (math.Sqrt2 * 1.7320508075688772 * 0x1p-32)
}

// reflect folds a value back into a range that it has left.
func reflect(v, low, high float64) float64 {
	if v > high {
		v = 2*high - v
	}
	if v < low {
		v = 2*low - v
	}
	return min(max(v, low), high)
}

// bridge is what lies between two known points of a path: a walk that ends where it has to.
type bridge struct {
	seed      uint64
	sigma     float64 // of one step
	low, high float64
}

// weights says for a stretch of n steps how far in its middle is, and how far the middle
// may lie off the straight line.
var weights = func() (w [minutesPerDay + 1]struct{ part, spread float64 }) {
	for n := 2; n < len(w); n++ {
		left, right := float64(n/2), float64(n-n/2)
		w[n].part = left / float64(n)
		w[n].spread = math.Sqrt(left * right / float64(n))
	}
	return w
}()

// middle returns the middle of a stretch. Conversions keep each step rounded by itself, so
// that every caller gets the same to the last bit.
func (b *bridge) middle(from int, x float64, to int, y float64) (int, float64) {
	w := &weights[to-from]
	m := (from + to) / 2
	v := x + float64((y-x)*w.part)
	v += float64(b.sigma * float64(w.spread*swing(mix(b.seed, uint64(m)))))
	return m, reflect(v, b.low, b.high)
}

// pins are points through which a path has to go: its ends, its high and its low.
type pins struct {
	at    [4]int
	value [4]float64
}

// find returns a point of the path through the pins.
func (b *bridge) find(p *pins, n int) float64 {
	k := 0
	for p.at[k+1] < n {
		k++
	}
	from, x, to, y := p.at[k], p.value[k], p.at[k+1], p.value[k+1]
	for {
		if n == from {
			return x
		}
		if n == to {
			return y
		}
		if m, v := b.middle(from, x, to, y); n < m {
			to, y = m, v
		} else {
			from, x = m, v
		}
	}
}

// fill puts all points of the path into the slice.
func (b *bridge) fill(p *pins, all []float64) {
	for k := 0; k+1 < len(p.at); k++ {
		all[p.at[k]], all[p.at[k+1]] = p.value[k], p.value[k+1]
		b.between(all, p.at[k], p.at[k+1])
	}
}

func (b *bridge) between(all []float64, from, to int) {
	if to-from < 2 {
		return
	}
	m, v := b.middle(from, all[from], to, all[to])
	all[m] = v
	b.between(all, from, m)
	b.between(all, m, to)
}

// path is how a price moves by itself: a day's open, close, high and low first, then the
// ends of its minutes, each minute's high and low, and the trades within a minute.
type path struct {
	seed   uint64
	middle float64 // what it moves around
	sigma  float64 // of a day
	wander float64 // how far it goes from the middle

	day    dayPath
	minute minutePath
}

type ohlc struct{ open, high, low, close float64 }

func (b *ohlc) add(c ohlc) {
	b.high, b.low, b.close = max(b.high, c.high), min(b.low, c.low), c.close
}

type dayPath struct {
	bridge
	pins
	number          int64 // since 1970
	ohlc            ohlc
	highest, lowest int // minutes in which its high and its low are
	minuteSigma     float64
	filled          *filled // all ends, if a longer stretch was asked for
}

type minutePath struct {
	bridge
	pins
	number int64 // since 1970
	prints int
	ohlc   ohlc
}

// filled holds the ends of all minutes of a day of a path.
type filled struct {
	of     *path
	number int64
	ends   [minutesPerDay + 1]float64
}

func newPath(seed uint64, middle float64, volatility, wander int) *path {
	p := &path{seed: seed, middle: middle, sigma: middle * float64(volatility) / 10_000, wander: middle * float64(wander) / 10_000}
	p.day.number, p.minute.number = math.MinInt64, math.MinInt64
	return p
}

// begin returns where the path is at the begin of a day, which is the end of the one
// before. Each block of days is a bridge between two points near the middle.
func (p *path) begin(day int64) float64 {
	k := day >> 6 // block
	anchor := func(k int64) float64 { return 6 * p.sigma * (unit(mix(p.seed, uint64(k))) - 0.5) }
	b := bridge{seed: mix(p.seed^0xb10c, uint64(k)), sigma: p.sigma, low: -p.middle, high: p.middle}
	n := int(day - k*block)
	off := b.find(&pins{at: [4]int{0, block, block, block}, value: [4]float64{anchor(k), anchor(k + 1)}}, n)
	return p.middle + reflect(off, -p.wander, p.wander)
}

// dayOf returns a day of the path. It stays valid until the next call.
func (p *path) dayOf(number int64) *dayPath {
	d := &p.day
	if d.number == number {
		return d
	}
	seed := mix(p.seed^0xda7e, uint64(number))
	open, end := p.begin(number), p.begin(number+1)
	*d = dayPath{number: number, minuteSigma: p.sigma / math.Sqrt(minutesPerDay)}
	d.ohlc = ohlc{open: open, close: end}
	d.ohlc.high = max(open, end) + float64(0.45*p.sigma*math.Abs(swing(mix(seed, 1))))
	d.ohlc.low = min(open, end) - float64(0.45*p.sigma*math.Abs(swing(mix(seed, 2))))
	first := 180 + int(mix(seed, 3)%420)
	second := 840 + int(mix(seed, 4)%420)
	room := min(d.minuteSigma, (d.ohlc.high-d.ohlc.low)/4)
	d.at = [4]int{0, first, second, minutesPerDay}
	if fall := end < open; fall != (mix(seed, 5)%4 == 0) { // mostly the high is first when the day ends lower
		d.highest, d.lowest = first, second
		d.value = [4]float64{open, d.ohlc.high - room, d.ohlc.low + room, end}
	} else {
		d.highest, d.lowest = second, first
		d.value = [4]float64{open, d.ohlc.low + room, d.ohlc.high - room, end}
	}
	d.bridge = bridge{seed: mix(seed, 6), sigma: d.minuteSigma, low: d.ohlc.low, high: d.ohlc.high}
	return d
}

// end returns where the path is at the end of the minute before m of the day.
func (d *dayPath) end(m int) float64 {
	if d.filled != nil {
		return d.filled.ends[m]
	}
	return d.find(&d.pins, m)
}

// bar returns the bar of a minute of the day.
func (d *dayPath) bar(m int, seed uint64) ohlc {
	b := ohlc{open: d.end(m), close: d.end(m + 1)}
	b.high = min(d.ohlc.high, max(b.open, b.close)+float64(0.6*d.minuteSigma*unit(mix(seed, 1))))
	b.low = max(d.ohlc.low, min(b.open, b.close)-float64(0.6*d.minuteSigma*unit(mix(seed, 2))))
	if m == d.highest {
		b.high = d.ohlc.high
	}
	if m == d.lowest {
		b.low = d.ohlc.low
	}
	return b
}

func (p *path) minuteSeed(number int64) uint64 { return mix(p.seed^0x617e, uint64(number)) }

// minuteOf returns a minute of the path with its trades, prints of them.
func (p *path) minuteOf(number int64, prints int) *minutePath {
	m := &p.minute
	if m.number == number && m.prints == prints {
		return m
	}
	day := number / minutesPerDay
	seed := p.minuteSeed(number)
	d := p.dayOf(day)
	*m = minutePath{number: number, prints: prints, ohlc: d.bar(int(number-day*minutesPerDay), seed)}
	high, low := 1, 2
	if inner := uint64(prints - 2); inner > 2 {
		high = 1 + int(mix(seed, 3)%inner)
		if low = 1 + int(mix(seed, 4)%(inner-1)); low >= high {
			low++
		}
	}
	m.at = [4]int{0, high, low, prints - 1}
	m.value = [4]float64{m.ohlc.open, m.ohlc.high, m.ohlc.low, m.ohlc.close}
	if high > low {
		m.at[1], m.at[2] = low, high
		m.value[1], m.value[2] = m.ohlc.low, m.ohlc.high
	}
	m.bridge = bridge{seed: mix(seed, 5), sigma: d.minuteSigma / math.Sqrt(float64(prints)), low: m.ohlc.low, high: m.ohlc.high}
	return m
}

// price returns the path at a tick, of an instrument that trades prints times a minute.
func (p *path) price(n int64, prints int) float64 {
	m := n / ticksPerMinute
	every := int64(ticksPerMinute / prints)
	b := p.minuteOf(m, prints)
	return b.find(&b.pins, int((n-m*ticksPerMinute)/every))
}

// bar returns the bar of the ticks from n to before to. Whole days and whole minutes cost
// no more than their ends.
func (p *path) bar(n, to int64, prints int, fill func(*path, *dayPath)) ohlc {
	var b ohlc
	for first := true; n < to; first = false {
		var c ohlc
		switch {
		case n%ticksPerDay == 0 && to-n >= ticksPerDay:
			c = p.dayOf(n / ticksPerDay).ohlc
			n += ticksPerDay
		case n%ticksPerMinute == 0 && to-n >= ticksPerMinute:
			m := n / ticksPerMinute
			d := p.dayOf(m / minutesPerDay)
			if to-n > 8*ticksPerMinute {
				fill(p, d)
			}
			c = d.bar(int(m%minutesPerDay), p.minuteSeed(m))
			n += ticksPerMinute
		default:
			v := p.price(n, prints)
			c = ohlc{v, v, v, v}
			every := int64(ticksPerMinute / prints)
			n = min(n/every*every+every, to)
		}
		if first {
			b = c
		} else {
			b.add(c)
		}
	}
	return b
}

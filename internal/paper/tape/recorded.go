package tape

import (
	"slices"
	"time"

	"neoapi/internal/paper/listing"
	"neoapi/internal/recording"
)

// recorded is what a recording says of an instrument: the picture as it is now, and the
// bars of its minutes. Its prices before that are not known, and it makes no trades by
// itself.
type recorded struct {
	Quote   recording.Quote
	Came    int64 // when the picture came, in microseconds; 0 if none has
	Trade   Tick  // the last one
	Minutes []minuteBar
}

type minuteBar struct {
	Minute                 int64
	Open, High, Low, Close listing.Price
	Volume, Interest       int64
}

// Adopt makes an instrument one whose prices come from a recording: what it did before is
// forgotten, and contracts on it follow the recording.
func (m *Market) Adopt(i *listing.Instrument) {
	key := uint64(i.Segment)<<32 | uint64(i.Token)
	m.series[key] = &series{i: i, seed: mix(m.seed^uint64(i.Segment)<<40, uint64(i.Token)), prints: 4, rec: &recorded{}}
	for k, s := range m.series {
		if s.under != nil && s.under.i.Key == i.Key {
			delete(m.series, k)
		}
	}
	m.hands++
}

// Adopted reports whether an instrument's prices come from a recording.
func (m *Market) Adopted(i *listing.Instrument) bool { return m.of(i).rec != nil }

// Recorded returns the picture of an instrument as the recording has it, and when it came:
// the zero time if none has. Nobody may change it.
func (m *Market) Recorded(i *listing.Instrument) (q *recording.Quote, came time.Time) {
	r := m.of(i).rec
	if r == nil || r.Came == 0 {
		return nil, time.Time{}
	}
	return &r.Quote, time.UnixMicro(r.Came).In(listing.India)
}

// PriceOf returns a recording's price.
func PriceOf(p int64) listing.Price {
	const unit = recording.Rupee / int64(listing.Rupee)
	if p < 0 {
		return -PriceOf(-p)
	}
	return listing.Price((p + unit/2) / unit)
}

// Replay takes the next picture of an instrument that was adopted. It returns the trade
// that the picture shows, and false if it shows none.
func (m *Market) Replay(i *listing.Instrument, t time.Time, q *recording.Quote) (Tick, bool) {
	s := m.of(i)
	r := s.rec
	traded := r.traded(q, i.Kind == listing.Index)
	r.Quote, r.Came = *q, t.UnixMicro()
	last, known := q.Get(recording.Last)
	if !known || last <= 0 {
		return Tick{}, false
	}
	minute := tick(t) / ticksPerMinute
	n := len(r.Minutes)
	p := PriceOf(last)
	if n == 0 || r.Minutes[n-1].Minute != minute {
		r.Minutes = append(r.Minutes, minuteBar{Minute: minute, Open: p, High: p, Low: p})
		n++
	}
	b := &r.Minutes[n-1]
	b.High, b.Low, b.Close, b.Volume = max(b.High, p), min(b.Low, p), p, b.Volume+traded
	b.Interest = q.Value[recording.OpenInterest]
	if traded <= 0 {
		return Tick{}, false
	}
	r.Trade = Tick{t, p, traded}
	return r.Trade, true
}

// traded returns how much traded between the picture before and the next one, as far as
// they say.
func (r *recorded) traded(q *recording.Quote, index bool) int64 {
	if r.Came == 0 || index {
		return 0
	}
	volume, known := q.Get(recording.Volume)
	if was, before := r.Quote.Get(recording.Volume); known && before {
		return max(0, volume-was)
	}
	if q.Value[recording.Last] != r.Quote.Value[recording.Last] || q.Value[recording.LastAt] != r.Quote.Value[recording.LastAt] {
		return max(0, q.Value[recording.LastQty])
	}
	return 0
}

// find returns the index of the first bar whose minute is not before m.
func (r *recorded) find(m int64) int {
	k, _ := slices.BinarySearchFunc(r.Minutes, m, func(b minuteBar, m int64) int { return int(b.Minute - m) })
	return k
}

// price returns the price at the end of a tick's minute at the latest, 0 if none is known.
func (r *recorded) price(n int64) listing.Price {
	if k := r.find(n/ticksPerMinute + 1); k > 0 {
		return r.Minutes[k-1].Close
	}
	if close, known := r.Quote.Get(recording.PrevClose); known && close > 0 {
		return PriceOf(close)
	}
	if len(r.Minutes) > 0 {
		return r.Minutes[0].Open
	}
	return 0
}

// bar returns the bar of the ticks from n to before to, and its volume; nothing if there
// was none.
func (r *recorded) bar(n, to int64) (b priceBar, volume int64) {
	for k := r.find(n / ticksPerMinute); k < len(r.Minutes) && r.Minutes[k].Minute*ticksPerMinute < to; k++ {
		m := &r.Minutes[k]
		b.add(priceBar{m.Open, m.High, m.Low, m.Close})
		volume += m.Volume
	}
	return b, volume
}

// ohlc returns the bar as a path has it, for contracts that follow: where the recording
// stands still, its price does.
func (r *recorded) ohlc(n, to int64) ohlc {
	b, _ := r.bar(n, to)
	if b.open == 0 {
		p := r.price(n)
		b = priceBar{p, p, p, p}
	}
	return ohlc{float64(b.open), float64(b.high), float64(b.low), float64(b.close)}
}

func (r *recorded) interest(n int64) int64 {
	if k := r.find(n/ticksPerMinute + 1); k > 0 {
		return r.Minutes[k-1].Interest
	}
	return 0
}

// day returns the bar of a day so far: as the picture says it where it does.
func (s *series) recordedDay(start, n int64) Bar {
	r := s.rec
	b, volume := r.bar(start, n+1)
	if b.open == 0 {
		p := r.price(n)
		b = priceBar{p, p, p, p}
	}
	bar := Bar{Start: timeOf(start), Open: b.open, High: b.high, Low: b.low, Close: b.close, Volume: volume, OpenInterest: r.interest(n)}
	if r.Came != 0 && tick(time.UnixMicro(r.Came))/ticksPerDay == start/ticksPerDay {
		take := func(to *listing.Price, f recording.Field) {
			if v, known := r.Quote.Get(f); known && v > 0 {
				*to = PriceOf(v)
			}
		}
		take(&bar.Open, recording.Open)
		take(&bar.High, recording.High)
		take(&bar.Low, recording.Low)
		if v, known := r.Quote.Get(recording.Volume); known {
			bar.Volume = v
		}
		average := b.typical()
		take(&average, recording.Average)
		bar.Traded = average * listing.Price(bar.Volume)
	}
	s.addTrades(&bar, start, n+1)
	return bar
}

// levels returns what a recording shows on both sides, and false if it has no depth.
func (r *recorded) levels() (bids, asks [5]Level, ok bool) {
	q := &r.Quote
	level := func(price, quantity, orders recording.Field) (l Level) {
		ok = ok || q.Known.Has(quantity)
		if q.Value[quantity] > 0 && q.Value[price] > 0 {
			l = Level{PriceOf(q.Value[price]), q.Value[quantity], max(1, int(q.Value[orders]))}
		}
		return l
	}
	for k := range bids {
		bids[k] = level(recording.BidPrice(k), recording.BidQty(k), recording.BidOrders(k))
		asks[k] = level(recording.AskPrice(k), recording.AskQty(k), recording.AskOrders(k))
	}
	return bids, asks, ok
}

package tape

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"neoapi/internal/paper/listing"
)

// minuteTrades are trades in a minute that the path did not make.
type minuteTrades struct {
	Minute    int64
	High, Low listing.Price
	Volume    int64
	Traded    listing.Price
}

// Record puts a trade of accounts, or one made by hand, on the tape: bars and volume of
// its minute have it.
func (m *Market) Record(i *listing.Instrument, t time.Time, p listing.Price, quantity int64) {
	m.of(i).record(tick(t)/ticksPerMinute, p, quantity)
}

func (s *series) record(minute int64, p listing.Price, quantity int64) {
	k, found := slices.BinarySearchFunc(s.trades, minute, func(t minuteTrades, m int64) int { return int(t.Minute - m) })
	if !found {
		s.trades = slices.Insert(s.trades, k, minuteTrades{Minute: minute, High: p, Low: p})
	}
	t := &s.trades[k]
	t.High, t.Low = max(t.High, p), min(t.Low, p)
	t.Volume += quantity
	t.Traded += p * listing.Price(quantity)
}

// addTrades adds the recorded trades of the ticks from n to before to.
func (s *series) addTrades(b *Bar, n, to int64) {
	k, _ := slices.BinarySearchFunc(s.trades, n/ticksPerMinute, func(t minuteTrades, m int64) int { return int(t.Minute - m) })
	for ; k < len(s.trades) && s.trades[k].Minute*ticksPerMinute < to; k++ {
		t := &s.trades[k]
		b.High, b.Low = max(b.High, t.High), min(b.Low, t.Low)
		b.Volume += t.Volume
		b.Traded += t.Traded
	}
}

// Set moves an instrument's price at once, prints one lot there, and holds the price
// until [Market.Release]. Contracts on it follow, and are held with it unless they are
// set themselves. While a price is held the market makes no trades.
func (m *Market) Set(i *listing.Instrument, t time.Time, p listing.Price) { m.jump(i, t, p, true) }

// Gap moves an instrument's price at once, prints one lot there, and lets it go on from
// there.
func (m *Market) Gap(i *listing.Instrument, t time.Time, p listing.Price) { m.jump(i, t, p, false) }

func (m *Market) jump(i *listing.Instrument, t time.Time, p listing.Price, hold bool) {
	s := m.of(i)
	n := tick(t)
	if old, ok := s.tick(n); ok { // it was on the tape already
		s.record(n/ticksPerMinute, old.Price, old.Quantity)
	}
	next := m.limited(s, n)
	if hold {
		next.Held = p
	} else {
		next = s.moved(next, p)
	}
	s.then(next)
	m.hands++
	if i.Kind != listing.Index {
		s.record(n/ticksPerMinute, p, i.Lot)
	}
}

// Release lets an instrument's price move again by itself, from where it is.
func (m *Market) Release(i *listing.Instrument, t time.Time) {
	s := m.of(i)
	n := tick(t)
	old, _ := s.pieceAt(n)
	if old.Held == 0 {
		return
	}
	s.then(s.moved(m.limited(s, n), old.Held))
	m.hands++
}

// Held reports whether an instrument's price is held at a time, by itself.
func (m *Market) Held(i *listing.Instrument, t time.Time) bool {
	p, _ := m.of(i).pieceAt(tick(t))
	return p.Held != 0
}

// Band keeps an instrument's price between two bounds from a time until its day ends.
func (m *Market) Band(i *listing.Instrument, t time.Time, low, high listing.Price) {
	s := m.of(i)
	n := tick(t)
	old, _ := s.pieceAt(n)
	next := *old
	next.From, next.Day, next.Low, next.High = n, n/ticksPerDay, low, high
	if next.Held != 0 {
		next.Held = min(max(next.Held, low), high)
	}
	s.then(next)
	m.hands++
}

// limited returns a copy of the piece that holds at a tick, to begin there, with the
// day's band as its limits: a price moved by hand could leave it.
func (m *Market) limited(s *series, n int64) piece {
	old, _ := s.pieceAt(n)
	next := *old
	next.From = n
	if day := n / ticksPerDay; next.Day != day {
		next.Day = day
		next.Low, next.High = s.i.Bands(s.price(day*ticksPerDay - 1))
	}
	return next
}

// then puts a piece at the end. Time does not go back: later pieces are replaced.
func (s *series) then(p piece) {
	for len(s.pieces) > 0 && s.pieces[len(s.pieces)-1].From >= p.From {
		s.pieces = s.pieces[:len(s.pieces)-1]
	}
	s.pieces = append(s.pieces, p)
}

// hand is what was done by hand to an instrument, as it is kept.
type hand struct {
	Segment listing.Segment
	Token   uint32
	Expiry  listing.Date   `json:",omitzero"`
	Pieces  []piece        `json:",omitempty"`
	Trades  []minuteTrades `json:",omitempty"`

	Recorded *recorded `json:",omitempty"`
}

// Save returns all that the seed does not decide: prices set by hand and trades recorded.
// The same market gives the same bytes.
func (m *Market) Save() []byte {
	hands := []hand{}
	for _, s := range m.series {
		if len(s.pieces)+len(s.trades) > 0 || s.rec != nil {
			hands = append(hands, hand{s.i.Segment, s.i.Token, s.i.Expiry, s.pieces, s.trades, s.rec})
		}
	}
	slices.SortFunc(hands, func(a, b hand) int {
		if a.Segment != b.Segment {
			return int(a.Segment) - int(b.Segment)
		}
		return int(a.Token) - int(b.Token)
	})
	b, err := json.Marshal(hands)
	if err != nil {
		panic("tape: " + err.Error()) // numbers alone
	}
	return b
}

// Load takes what Save returned into a new market. find returns the instrument of a key;
// what it does not find has expired and is forgotten.
func (m *Market) Load(b []byte, find func(listing.Key) (*listing.Instrument, bool)) error {
	var hands []hand
	if err := json.Unmarshal(b, &hands); err != nil {
		return fmt.Errorf("the prices set by hand cannot be read: %w", err)
	}
	for _, h := range hands {
		if i, ok := find(listing.Key{Segment: h.Segment, Token: h.Token}); ok && i.Expiry == h.Expiry && h.Recorded != nil {
			m.Adopt(i)
			m.of(i).rec = h.Recorded
		}
	}
	for _, h := range hands {
		if i, ok := find(listing.Key{Segment: h.Segment, Token: h.Token}); ok && i.Expiry == h.Expiry {
			s := m.of(i)
			s.pieces, s.trades = h.Pieces, h.Trades
		}
	}
	m.hands++
	return nil
}

// Forget drops what has expired before a day, and what was done by hand or recorded more
// than half a year before it: bars of that time are then those of the seed.
func (m *Market) Forget(d listing.Date) {
	old := (dayNumber(d) - 183) * minutesPerDay
	for key, s := range m.series {
		if !s.i.Expiry.IsZero() && s.i.Expiry.Before(d) {
			delete(m.series, key)
			continue
		}
		k, _ := slices.BinarySearchFunc(s.trades, old, func(t minuteTrades, m int64) int { return int(t.Minute - m) })
		s.trades = slices.Delete(s.trades, 0, k)
		for len(s.pieces) > 1 && s.pieces[1].From < old*ticksPerMinute {
			s.pieces = slices.Delete(s.pieces, 0, 1)
		}
	}
}

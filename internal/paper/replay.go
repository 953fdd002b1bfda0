package paper

import (
	"slices"
	"time"

	"neoapi/internal/paper/book"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
	"neoapi/internal/recording"
)

// A Source has a recording, or what is being recorded. The exchange calls it while it
// brings the market up to a time, so it must not wait for anything.
type Source interface {
	// Recording goes back to where the recording begins and returns which one it is, when it
	// began, and whether it goes on right now: one that does keeps its times, another one is
	// replayed as if it began now.
	Recording() (id string, began time.Time, live bool)

	// Next takes what comes next, if it was received by a time of the recording. It is valid
	// until the next call.
	Next(by time.Time) (Recorded, bool)

	// Skip leaves out what the exchange took from the recording before it was restarted.
	Skip(n int64)
}

// Recorded is what a recording says next. One of Listed, Quote and Over is set.
type Recorded struct {
	At     time.Time              // of the recording
	Listed []recording.Instrument // instruments that have their prices from now on
	Key    listing.Key            // of Quote
	Quote  *recording.Quote       // the whole picture
	Over   bool                   // the recording has ended: prices stand still
}

// replay is what the exchange knows of the recording that it replays.
type replay struct {
	opened bool // the source has been asked which one it is
	id     string
	shift  int64 // what is added to the recording's times, in microseconds
	days   int   // what is added to its expiries
	taken  int64
	over   bool
	source []recording.Instrument // what was listed
	listed []*listing.Instrument  // as it is listed
	has    map[listing.Key]*listing.Instrument
}

// Replaying returns the segments that have prices of a recording, and whether it has
// ended, so that they stand still.
func (x *Exchange) Replaying() (of []listing.Segment, over bool) {
	for _, i := range x.replay.listed {
		if !slices.Contains(of, i.Segment) {
			of = append(of, i.Segment)
		}
	}
	return of, x.replay.over
}

// hear brings the market up to each time at which the recording says something.
func (x *Exchange) hear(to int64) {
	s := x.cfg.Source
	if s == nil || x.replaying {
		return
	}
	if !x.replay.opened {
		x.openReplay(s)
	}
	for {
		r, ok := s.Next(time.UnixMicro(to - x.replay.shift))
		if !ok {
			return
		}
		x.advance(min(max(x.now, to), r.At.UnixMicro()+x.replay.shift))
		if refused := x.logRecorded(&r); refused == nil { // else it is missing, and the journal says why
			x.recorded(&r)
		}
	}
}

// openReplay begins a recording, or goes on with the one of before a restart.
func (x *Exchange) openReplay(s Source) {
	x.replay.opened = true
	id, began, live := s.Recording()
	if id == x.replay.id {
		s.Skip(x.replay.taken)
		return
	}
	var shift int64
	days := 0
	if !live {
		shift = x.now - began.UnixMicro()
		days = int(x.date.Start().Sub(listing.DateOf(began).Start()) / (24 * time.Hour))
	}
	if x.logReplay(id, shift, days) == nil {
		x.beginReplay(id, shift, days)
	}
}

func (x *Exchange) beginReplay(id string, shift int64, days int) {
	x.replay.id, x.replay.shift, x.replay.days, x.replay.taken, x.replay.over = id, shift, days, 0, false
}

// recorded takes what a recording says at present.
func (x *Exchange) recorded(r *Recorded) {
	x.replay.taken++
	switch {
	case r.Over:
		x.replay.over = true
	case r.Listed != nil:
		x.listRecorded(r.Listed)
	case r.Quote != nil:
		x.replay.over = false // a file that had ended has grown
		if in := x.find(r.Key); in != nil && in.replayed && sane(r.Quote) {
			x.tock(in, r.Quote)
		}
	}
}

// sane reports whether a picture's prices and quantities are such that amounts of them can
// be reckoned with: a damaged recording may have others.
func sane(q *recording.Quote) bool {
	for f, v := range q.Value {
		switch f := recording.Field(f); {
		case v < 0 || f.Price() && tape.PriceOf(v) > maxPrice, !f.Price() && !f.Time() && v > maxRecorded:
			return false
		}
	}
	return true
}

// maxRecorded is the highest quantity that a recording may have: no exchange trades as much in a
// day.
const maxRecorded = 1 << 40

// listRecorded lists instruments that have their prices from the recording. What nobody
// knows is left out.
func (x *Exchange) listRecorded(all []recording.Instrument) {
	x.list()
	base := listing.On(x.date)
	n := len(x.replay.listed)
	for k := range all {
		if i, err := base.Adopt(&all[k], x.replay.days); err == nil && x.replay.has[i.Key] == nil {
			x.adopt(&all[k], i)
		}
	}
	x.day = base.With(x.replay.listed)
	added := map[listing.Key]bool{}
	for _, i := range x.replay.listed[n:] {
		added[i.Key] = true
	}
	for _, listed := range x.day.Instruments() {
		k, ok := x.byKey[listed.Key]
		if !ok {
			k = uint32(len(x.instruments))
			x.instruments = append(x.instruments, &instrument{index: k})
			x.byKey[listed.Key] = k
		}
		in := x.instruments[k]
		if in.Instrument == nil || added[listed.Key] || listed.Underlying != nil && added[listed.Underlying.Key] {
			x.relist(in, listed)
		}
	}
	x.recent = nil
}

// adopt keeps what a recording lists.
func (x *Exchange) adopt(r *recording.Instrument, i *listing.Instrument) {
	if x.replay.has == nil {
		x.replay.has = map[listing.Key]*listing.Instrument{}
	}
	x.replay.has[i.Key] = i
	x.replay.source = append(x.replay.source, *r)
	x.replay.listed = append(x.replay.listed, i)
	x.market.Adopt(i)
}

// relist gives an instrument other prices, or other terms.
func (x *Exchange) relist(in *instrument, i *listing.Instrument) {
	replayed := x.replay.has[i.Key] == i
	if in.Instrument != nil && replayed && !in.replayed { // what rests was placed at prices of another market
		for k := uint32(1); k <= x.orders.n; k++ {
			if o := x.orders.at(k); o.instrument == in.index && !o.final() && !o.state.beforeMarket() {
				x.expel(k, "The instrument has the prices of a recording from now on")
			}
		}
		in.book, in.came = nil, nil
	}
	in.Instrument, in.replayed = i, replayed
	in.base, in.low, in.high, in.yearLow, in.yearHigh = 0, 0, 0, 0, 0
	in.step, in.levelStep, in.ownLast = -1, 0, 0
	in.touched()
}

// tock takes an instrument's next picture: the price moves, and what waits or rests
// trades as far as the picture shows. Orders that came since the last one take what it
// offers, at its prices; so nothing trades at a price that was there before the order.
func (x *Exchange) tock(in *instrument, q *recording.Quote) {
	t, traded := x.market.Replay(in.Instrument, at(x.now), q)
	x.bounds(in, q)
	in.step, in.levelStep = -1, 0
	x.look(in)
	if !in.halted && (!in.idle() || len(in.came) > 0) {
		in.open()
		came := x.takeCame(in)
		in.ticking = true
		x.meet(in)
		if traded {
			x.print(in, t.Price, t.Quantity)
		} else {
			x.settle(in)
		}
		for _, i := range came {
			x.match(i)
			x.settle(in)
		}
		if traded {
			x.print(in, t.Price, 0) // what has just come rests, and the price had gone through it
		}
		in.ticking = false
		for _, i := range in.sweeping {
			if o := x.orders.at(i); !o.final() && o.ref == 0 {
				x.rest(in, i, o.quantity-o.filled)
			}
		}
		in.sweeping = in.sweeping[:0]
	}
	x.follow(in)
}

// follow lets the house take what is better than the prices of contracts on an instrument,
// which have moved with it.
func (x *Exchange) follow(under *instrument) {
	for _, k := range slices.Clone(x.active) {
		in := x.instruments[k]
		if in.Underlying == nil || in.Underlying.Key != under.Key || in.replayed || in.halted {
			continue
		}
		in.step, in.levelStep = -1, 0
		x.look(in)
		x.print(in, in.value, 0)
	}
}

// meet fills what rests and is met by the other side of a picture: it gets its own price,
// because it was there first.
func (x *Exchange) meet(in *instrument) {
	x.shown(in, Buy) // the picture's levels
	for _, side := range [...]Side{Buy, Sell} {
		levels := &in.levels[Buy+Sell-side]
		for k := range levels.all[:levels.n] {
			l := &levels.all[k]
			taker := book.Incoming{Owner: nobody, Side: book.Side(Buy + Sell - side), Limit: l.Price, Quantity: l.Quantity}
			x.found = in.book.Match(&taker, nil, x.found[:0])
			l.Quantity = taker.Quantity
			x.apply(in, 0, x.found)
			if taker.Quantity > 0 {
				break
			}
		}
	}
}

// nobody is the owner of the market's own orders.
const nobody = ^uint32(0)

// swept reports whether an order took all that there was on the other side, at better
// prices than its own.
func (in *instrument) swept(o *order) bool {
	levels := &in.levels[Buy+Sell-o.side()]
	for _, l := range levels.all[:levels.n] {
		if l.Quantity > 0 {
			return false
		}
	}
	if levels.n == 0 {
		return false
	}
	last := levels.all[levels.n-1].Price
	return o.side() == Buy && o.price > last || o.side() == Sell && o.price < last
}

// bounds takes the day's base price and band from a picture, or makes the band wide
// enough for it.
func (x *Exchange) bounds(in *instrument, q *recording.Quote) {
	if close := priceIn(q, recording.PrevClose); close > 0 && close != in.base {
		in.base = close
		in.low, in.high = in.Bands(close)
		_, _, in.protected = in.Aggressive(x.date, close)
	}
	x.bandOf(in)
	if in.Kind == listing.Index {
		return
	}
	if low, high := priceIn(q, recording.Lower), priceIn(q, recording.Upper); low > 0 && high > low {
		in.low, in.high = low, high
	}
	include := func(p listing.Price) {
		if p > 0 {
			in.low, in.high = min(in.low, p), max(in.high, p)
		}
	}
	include(priceIn(q, recording.Last))
	for k := range recording.Depth {
		include(priceIn(q, recording.BidPrice(k)))
		include(priceIn(q, recording.AskPrice(k)))
	}
}

// quoteRecorded puts into a quote what the recording says beyond its prices.
func (x *Exchange) quoteRecorded(in *instrument, to *Quote) {
	if !in.replayed {
		return
	}
	q, came := x.market.Recorded(in.Instrument)
	if q == nil {
		return
	}
	to.At = came
	moved := func(f recording.Field, t *time.Time) {
		if v, known := q.Get(f); known && v > 0 {
			*t = at(v + x.replay.shift)
		}
	}
	moved(recording.At, &to.At)
	if in.ownLast == 0 {
		to.LastTime = came
		moved(recording.LastAt, &to.LastTime)
		to.LastQuantity = q.Value[recording.LastQty]
	}
	for f, p := range map[recording.Field]*listing.Price{recording.YearLow: &to.YearLow, recording.YearHigh: &to.YearHigh} {
		if v := priceIn(q, f); v > 0 {
			*p = v
		}
	}
}

// totals returns how much a picture says that rests on a side, and false if it does not.
func (x *Exchange) totals(in *instrument, side Side) (int64, bool) {
	if !in.replayed {
		return 0, false
	}
	q, _ := x.market.Recorded(in.Instrument)
	if q == nil {
		return 0, false
	}
	return q.Get(map[Side]recording.Field{Buy: recording.TotalBuy, Sell: recording.TotalSell}[side])
}

package paper

import (
	"time"

	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
)

// naive is one instrument's market once more: lists that are looked through from the
// begin, and every step of the tape. It shares nothing with the exchange but the tape's
// prices, and it is written from the exchanges' rules.
type naive struct {
	tape      *tape.Market
	i         *listing.Instrument
	noHouse   bool
	latency   int64
	passive   bool // an order of the same account that rests goes, and not the new one
	low, high listing.Price

	now         int64
	value, last listing.Price
	reach       [2]listing.Price // lowest and highest trade that stops have not been looked at for
	halted      bool
	shows       *[Sell + 1][]tape.Level // the house's levels in this step; nil until somebody asks

	orders []*naiveOrder
	flight []naiveFlight
	fills  []naiveFill
	clock  int // counts what decides by time
	house  naiveHouse
}

type naiveOrder struct {
	number         Number
	account        string
	side           Side
	kind           PriceType
	validity       Validity
	state          State
	price, trigger listing.Price
	quantity       int64
	filled         int64
	disclosed      int64

	busy   bool // a change or cancellation of it is under way
	market bool // it came as a market order
	rests  bool
	late   bool // it came while trading was halted
	since  int
	shown  int64
	ahead  int64 // what of the house has to trade before it
}

// naiveFlight is a command on its way.
type naiveFlight struct {
	at    int64
	order *naiveOrder
	do    func()
}

// send does what a command says when it arrives, unless its order is final by then.
func (n *naive) send(o *naiveOrder, do func()) {
	if n.latency == 0 {
		do()
		return
	}
	n.flight = append(n.flight, naiveFlight{n.now + n.latency, o, do})
}

// land takes what has arrived.
func (n *naive) land(to int64) {
	for len(n.flight) > 0 && n.flight[0].at <= to {
		f := n.flight[0]
		n.flight = n.flight[1:]
		n.now = f.at
		if !f.order.final() {
			f.do()
			n.settle()
		}
	}
	n.now = to
}

type naiveFill struct {
	number   Number
	price    listing.Price
	quantity int64
}

// naiveHouse is what the market's own traders bought and sold.
type naiveHouse struct {
	net  int64
	cash listing.Price
}

func (o *naiveOrder) left() int64 { return o.quantity - o.filled }

func (o *naiveOrder) accepts(p listing.Price) bool {
	return o.side == Buy && p <= o.price || o.side == Sell && p >= o.price
}

// better reports whether a resting order comes before another one of its side.
func (o *naiveOrder) better(than *naiveOrder) bool {
	if o.price != than.price {
		return (o.price > than.price) == (o.side == Buy)
	}
	return o.since < than.since
}

// best returns the first of a side, of those that f takes.
func (n *naive) best(side Side, f func(*naiveOrder) bool) (best *naiveOrder) {
	for _, o := range n.orders {
		if o.rests && o.side == side && (f == nil || f(o)) && (best == nil || o.better(best)) {
			best = o
		}
	}
	return best
}

func (n *naive) clip(p listing.Price) listing.Price { return min(n.high, max(n.low, p)) }

// renew takes the tape's price.
func (n *naive) renew() {
	n.value = n.clip(n.tape.At(n.i, at(n.now)))
	n.last, n.shows = n.value, nil
	n.reach = [2]listing.Price{n.value, n.value}
}

// run goes on to a time, each half second of it.
func (n *naive) run(to int64) {
	for next := (n.now/500_000 + 1) * 500_000; next <= to; next += 500_000 {
		n.land(next - 1)
		n.now = next
		last := n.last
		n.renew()
		t, traded := n.tape.Tick(n.i, at(next))
		if !traded {
			n.last, n.reach = last, [2]listing.Price{last, last}
		}
		if !n.halted && (traded || !n.noHouse) { // the house takes what is better than the price
			n.print(n.value, t.Quantity)
		}
	}
	n.land(to)
}

// levels returns what the house shows on a side that the orders of accounts do not cross.
func (n *naive) levels(side Side) (shown []*tape.Level) {
	if n.noHouse {
		return nil
	}
	if n.shows == nil {
		bids, asks := n.tape.Depth(n.i, at(n.now), 0, 0)
		n.shows = &[Sell + 1][]tape.Level{Buy: bids[:], Sell: asks[:]}
	}
	other := n.best(Buy+Sell-side, nil)
	for k := range n.shows[side] {
		l := &n.shows[side][k]
		crossed := other != nil && (side == Buy && l.Price >= other.price || side == Sell && l.Price <= other.price)
		if l.Price > 0 && l.Price >= n.low && l.Price <= n.high && !crossed {
			shown = append(shown, l)
		}
	}
	return shown
}

// aheadOf returns what of the house is before a new order at a price.
func (n *naive) aheadOf(side Side, p listing.Price) int64 {
	levels := n.levels(side)
	for _, l := range levels {
		if l.Price == p {
			return l.Quantity
		}
	}
	if len(levels) > 0 {
		if worst := levels[len(levels)-1]; side == Buy && p < worst.Price || side == Sell && p > worst.Price {
			return worst.Quantity
		}
	}
	return 0
}

// trade lets an order and a resting one, or the house if there is none, trade.
func (n *naive) trade(o, with *naiveOrder, p listing.Price, quantity int64) {
	for _, o := range []*naiveOrder{o, with} {
		if o == nil {
			continue
		}
		o.filled += quantity
		if o.left() == 0 {
			o.state, o.rests = Complete, false
		}
		n.fills = append(n.fills, naiveFill{o.number, p, quantity})
		if with == nil {
			sign := int64(1)
			if o.side == Buy {
				sign = -1
			}
			n.house.net += sign * quantity
			n.house.cash -= listing.Price(sign) * n.i.Amount(p, quantity)
		}
	}
	n.last = p
	n.reach = [2]listing.Price{min(n.reach[0], p), max(n.reach[1], p)}
}

// hide takes a filled quantity from what an order shows; the next part goes to the end.
func (n *naive) hide(o *naiveOrder, quantity int64) {
	if o.shown -= quantity; o.shown == 0 && o.left() > 0 {
		o.shown = min(o.disclosed, o.left())
		n.clock++
		o.since = n.clock
	}
}

// match lets an order take what there is, and rest if that is allowed.
func (n *naive) match(o *naiveOrder) {
	o.state, o.rests = Open, false
	other := Buy + Sell - o.side
	if o.price < n.low || o.price > n.high {
		o.state = Cancelled
		return
	}
	var levels []*tape.Level
	if !n.halted {
		levels = n.levels(other)
	}
	for o.left() > 0 && !n.halted {
		for len(levels) > 0 && levels[0].Quantity == 0 {
			levels = levels[1:]
		}
		r := n.best(other, nil)
		if len(levels) > 0 && o.accepts(levels[0].Price) && (r == nil || r.price == levels[0].Price || (r.price > levels[0].Price) == (o.side == Buy)) {
			q := min(o.left(), levels[0].Quantity)
			levels[0].Quantity -= q
			n.advance(other, levels[0].Price, q)
			n.trade(o, nil, levels[0].Price, q)
			continue
		}
		if r == nil || !o.accepts(r.price) {
			break
		}
		if r.account == o.account && n.passive {
			r.state, r.rests = Cancelled, false
			continue
		}
		if r.account == o.account {
			o.state = Cancelled
			return
		}
		q := min(o.left(), r.shown)
		n.trade(o, r, r.price, q)
		n.hide(r, q)
	}
	switch {
	case o.left() == 0:
	case o.validity == IOC:
		o.state = Cancelled
	default:
		n.clock++
		o.rests, o.since, o.late = true, n.clock, n.halted
		if o.shown = o.left(); o.disclosed > 0 {
			o.shown = min(o.disclosed, o.left())
		}
		o.rests = false
		o.ahead = n.aheadOf(o.side, o.price)
		o.rests = true
	}
}

// advance moves a queue on by what the house traded there.
func (n *naive) advance(side Side, p listing.Price, quantity int64) {
	for _, o := range n.orders {
		if o.rests && o.side == side && o.price == p {
			o.ahead = max(0, o.ahead-quantity)
		}
	}
}

// print lets the tape trade.
func (n *naive) print(p listing.Price, quantity int64) {
	for _, side := range []Side{Buy, Sell} {
		for {
			o := n.best(side, func(o *naiveOrder) bool { return o.accepts(p) && o.price != p })
			if o == nil {
				break
			}
			n.trade(o, nil, o.price, o.left())
		}
		for left := quantity; left > 0; {
			o := n.best(side, func(o *naiveOrder) bool { return o.price == p })
			if o == nil {
				break
			}
			if o.ahead > 0 {
				q := min(o.ahead, left)
				n.advance(side, p, q)
				left -= q
				continue
			}
			q := min(left, o.shown)
			n.trade(o, nil, p, q)
			n.hide(o, q)
			left -= q
		}
	}
	if quantity > 0 {
		n.last = p
		n.reach = [2]listing.Price{min(n.reach[0], p), max(n.reach[1], p)}
	}
	n.settle()
}

// settle lets stops go, one by one.
func (n *naive) settle() {
	for !n.halted {
		var first *naiveOrder
		for _, side := range []Side{Buy, Sell} {
			for _, o := range n.orders {
				if o.state != TriggerPending || o.side != side || side == Buy && n.reach[1] < o.trigger || side == Sell && n.reach[0] > o.trigger {
					continue
				}
				if first == nil || first.side == side && (first.trigger > o.trigger) == (side == Buy) && first.trigger != o.trigger || first.side == side && first.trigger == o.trigger && o.since < first.since {
					first = o
				}
			}
			if first != nil {
				break
			}
		}
		if first == nil {
			break
		}
		n.match(first)
	}
	n.reach = [2]listing.Price{n.last, n.last}
}

// enter lets an order wait for its trigger, or into the market.
func (n *naive) enter(o *naiveOrder) {
	if o.kind != Stop {
		n.match(o)
		return
	}
	n.clock++
	o.state, o.rests, o.since = TriggerPending, false, n.clock
	n.reach = [2]listing.Price{min(n.reach[0], n.last), max(n.reach[1], n.last)}
}

// resume ends a halt.
func (n *naive) resume() {
	n.halted = false
	var came []*naiveOrder
	for {
		var first *naiveOrder
		for _, o := range n.orders {
			if o.rests && o.late && (first == nil || o.since < first.since) {
				first = o
			}
		}
		if first == nil {
			break
		}
		first.rests = false
		came = append(came, first)
	}
	n.print(n.value, 0)
	for _, o := range came {
		n.match(o)
		n.settle()
	}
}

// replaced looks at the tape again after a price was changed by hand.
func (n *naive) replaced() {
	if v := n.clip(n.tape.At(n.i, at(n.now))); v != n.value {
		n.renew()
		if !n.halted {
			n.print(v, 0)
		}
		return
	}
	if n.shows != nil {
		bids, asks := n.tape.Depth(n.i, at(n.now), 0, 0)
		if bids[0].Price != n.shows[Buy][0].Price || asks[0].Price != n.shows[Sell][0].Price {
			n.shows = nil
		}
	}
}

func (n *naive) at() time.Time { return at(n.now) }

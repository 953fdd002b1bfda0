package paper

import "neoapi/internal/paper/listing"

// legal says whether the exchange takes an order of these terms; money apart.
func (n *naive) legal(side Side, kind PriceType, validity Validity, price, trigger listing.Price, quantity, disclosed int64) bool {
	mcx := n.i.Segment == listing.MCX
	inBand := func(p listing.Price) bool { return p%n.i.Tick == 0 && p >= n.low && p <= n.high }
	switch {
	case validity == IOC && (mcx || kind == Stop):
		return false
	case n.i.MaxOrder > 0 && quantity > n.i.MaxOrder:
		return false
	case kind != Market && !inBand(price), kind == Stop && !inBand(trigger):
		return false
	}
	if kind == Stop {
		gap := price - trigger
		if side == Sell {
			gap = -gap
		}
		allowed := trigger * 3 / 100
		if trigger <= 50*listing.Rupee {
			allowed = rupees("1.50")
		}
		if gap < 0 || n.i.Segment == listing.NSE && gap > allowed {
			return false
		}
	}
	if disclosed == 0 || disclosed == quantity {
		return true
	}
	part := int64(10)
	if mcx {
		part = 4
	}
	return validity != IOC && kind != Stop && disclosed%n.i.Lot == 0 && part*disclosed >= quantity
}

// limitOf returns the limit that a market order gets.
func (n *naive) limitOf(side Side) listing.Price {
	off := n.last / 200
	switch {
	case n.last < 100*listing.Rupee:
		off = n.last / 50
	case n.last <= 500*listing.Rupee:
		off = n.last / 100
	}
	p := n.last + off
	if side == Sell {
		p = n.last - off + n.i.Tick - 1
	}
	return n.clip(p / n.i.Tick * n.i.Tick)
}

// place takes an order that got a number.
func (n *naive) place(p Place, number Number) {
	o := &naiveOrder{
		number: number, account: p.Account, side: p.Side, kind: p.Type, validity: p.Validity, price: p.Price, trigger: p.Trigger, quantity: p.Quantity, state: Rejected,
	}
	if p.Disclosed < p.Quantity {
		o.disclosed = p.Disclosed
	}
	n.orders = append(n.orders, o)
	if !n.legal(p.Side, p.Type, p.Validity, p.Price, p.Trigger, p.Quantity, p.Disclosed) {
		return
	}
	if o.kind == Market {
		o.kind, o.price, o.market = Limit, n.limitOf(o.side), true
	}
	o.state = OpenPending
	n.send(o, func() { n.enter(o) })
	n.settle()
}

func (n *naive) order(number Number) *naiveOrder {
	for _, o := range n.orders {
		if o.number == number {
			return o
		}
	}
	return nil
}

func (o *naiveOrder) final() bool {
	return o.state == Complete || o.state == Cancelled || o.state == Rejected
}

// modify reports whether there was still something to change, and no other change under way.
func (n *naive) modify(c Change) bool {
	o := n.order(c.Number)
	if o.final() || o.busy {
		return false
	}
	kind, trigger := c.Type, c.Trigger
	if kind == Stop && o.kind == Stop && o.state == Open { // it was triggered
		kind, trigger = Limit, 0
	}
	if !n.legal(o.side, kind, c.Validity, c.Price, trigger, c.Quantity, c.Disclosed) || c.Quantity <= o.filled {
		return true
	}
	if c.Type == Market {
		c.Type, c.Price = Limit, n.limitOf(o.side)
	}
	if c.Disclosed == c.Quantity {
		c.Disclosed = 0
	}
	o.busy = n.latency > 0
	n.send(o, func() {
		o.busy = false
		if c.Quantity > o.filled {
			n.amend(o, c)
		}
	})
	n.settle()
	return true
}

// amend makes a change.
func (n *naive) amend(o *naiveOrder, c Change) {
	was := *o
	shows := func(quantity, disclosed int64) int64 {
		if disclosed > 0 {
			return min(disclosed, quantity)
		}
		return quantity
	}
	o.kind, o.validity, o.price, o.trigger, o.quantity, o.disclosed = c.Type, c.Validity, c.Price, c.Trigger, c.Quantity, c.Disclosed
	onlyLess := c.Price == was.price && c.Quantity <= was.quantity && shows(c.Quantity, c.Disclosed) <= shows(was.quantity, was.disclosed)
	switch {
	case was.state == TriggerPending && o.kind == Stop:
		if !onlyLess || c.Trigger != was.trigger {
			n.enter(o)
		}
	case was.state == TriggerPending:
		n.match(o)
	case o.kind == Stop && was.kind != Stop:
		n.enter(o)
	case onlyLess && o.validity != IOC && !o.market:
		o.shown = min(o.shown, shows(o.left(), o.disclosed))
	default:
		n.match(o)
	}
}

func (n *naive) cancel(number Number) bool {
	o := n.order(number)
	if o.final() || o.busy {
		return false
	}
	o.busy = n.latency > 0
	n.send(o, func() { o.state, o.rests, o.busy = Cancelled, false, false })
	return true
}

// by hand, what the exchange has accepted

func (n *naive) setPrice(p listing.Price, hold bool) {
	if hold {
		n.tape.Set(n.i, n.at(), p)
	} else {
		n.tape.Gap(n.i, n.at(), p)
	}
	n.renew()
	n.print(p, n.i.Lot)
}

func (n *naive) release() {
	if n.tape.Held(n.i, n.at()) {
		n.tape.Release(n.i, n.at())
	}
	n.replaced()
}

func (n *naive) band(low, high listing.Price) {
	n.low, n.high = low, high
	n.tape.Band(n.i, n.at(), low, high)
	for _, o := range n.orders {
		if o.rests && (o.price < low || o.price > high) {
			o.state, o.rests = Cancelled, false
		}
	}
	n.replaced()
}

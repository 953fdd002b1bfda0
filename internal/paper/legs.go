package paper

import "neoapi/internal/paper/listing"

// birth is a fill of a cover or bracket order whose legs have to be made.
type birth struct {
	entry    uint32
	quantity int64
}

// legsAfter notes what a fill means for the legs: of an entry, that it needs some; of a
// leg, that the other one has to become smaller.
func (x *Exchange) legsAfter(i uint32, quantity int64) {
	o := x.orders.at(i)
	e := x.extras.at(o.extra)
	switch {
	case o.product != Cover && o.product != Bracket || o.flags&exited != 0:
	case e.parent == 0:
		x.born = append(x.born, birth{i, quantity})
	case e.sibling != 0:
		x.shrink(e.sibling, quantity)
	}
}

// alone cancels the sibling of a leg that goes into the book: one sweep of the book must
// not fill both.
func (x *Exchange) alone(i uint32) {
	if s := x.other(x.orders.at(i)); s != 0 {
		x.expel(s, "The other leg was triggered")
	}
}

// other returns the order's sibling if it is a leg whose sibling is not final; else 0.
func (x *Exchange) other(o *order) uint32 {
	if o.extra == 0 {
		return 0
	}
	if s := x.extras.at(o.extra).sibling; s != 0 && !x.orders.at(s).final() {
		return s
	}
	return 0
}

// cover blocks the money of a leg whose sibling has gone. As long as both are there only
// one of them can fill, and the one with the higher price has the money for both.
func (x *Exchange) cover(gone uint32) {
	i := x.other(x.orders.at(gone))
	if i == 0 || x.orders.at(i).flags&free == 0 {
		return
	}
	o := x.orders.at(i)
	o.flags &^= free
	if o.state == ValidationPending { // submit sees to it
		return
	}
	if need, err := x.accounts[o.account].money.Open(x.openPart(o)); err != nil {
		x.expel(i, x.moneyText(o, need, err))
		return
	}
	o.flags |= blocked
}

// payPair blocks what a leg and its sibling need after a change of the leg, as pay does.
func (x *Exchange) payPair(o, sibling *order, v version, keep bool) string {
	holder, next := o, o
	if sibling.flags&blocked != 0 {
		holder = sibling
	}
	was, is := x.openPart(holder), x.openPart(o)
	is.Price, is.Quantity = v.price, v.quantity-o.filled
	if sibling.price > v.price {
		is, next = x.openPart(sibling), sibling
	}
	money := x.accounts[o.account].money
	if need, err := money.Change(was, is); err != nil {
		return x.moneyText(o, need, err)
	}
	if !keep {
		_, _ = money.Change(is, was)
		return ""
	}
	holder.flags = holder.flags&^blocked | free
	next.flags = next.flags&^free | blocked
	return ""
}

// isLeg reports whether an order is a leg of a cover or bracket order.
func (x *Exchange) isLeg(o *order) bool { return o.extra != 0 && x.extras.at(o.extra).parent != 0 }

// shrink takes a quantity from a leg whose sibling has filled.
func (x *Exchange) shrink(i uint32, quantity int64) {
	o := x.orders.at(i)
	if o.final() {
		return
	}
	if o.quantity-o.filled <= quantity || o.modified == maxModified {
		x.expel(i, "The other leg was filled")
		return
	}
	v := x.current(o)
	v.quantity -= quantity
	v.disclosed = 0
	was, is := x.openPart(o), x.openPart(o)
	is.Quantity -= quantity
	if o.flags&blocked != 0 {
		_, _ = x.accounts[o.account].money.Change(was, is) // less is always there
	}
	x.save(o, v)
	if o.flags&entered == 0 { // it is under way, and arrives as it is now
		return
	}
	x.row(i, Modified)
	if o.flags&waiting != 0 {
		x.row(i, TriggerPending)
		return
	}
	x.row(i, Open)
	if o.ref != 0 {
		x.instruments[o.instrument].book.Reduce(o.ref, v.quantity-o.filled, 0)
	}
}

// bear makes the legs of a fill: a stop, and of a bracket order a target.
func (x *Exchange) bear(b birth) {
	entry := x.orders.at(b.entry)
	e := *x.extras.at(entry.extra)
	if entry.flags&exited != 0 {
		return
	}
	in := x.instruments[entry.instrument]
	average := entry.amount / listing.Price(entry.filled)
	sign := listing.Price(1) // of a loss
	if entry.side() == Buy {
		sign = -1
	}
	clip := func(p listing.Price) listing.Price {
		return max(in.low, in.Tick, min(in.high, in.Floor(p)))
	}
	trigger := e.cover
	if e.stop > 0 {
		trigger = average + sign*e.stop
	}
	var pair [2]uint32
	if trigger > 0 {
		trigger = clip(trigger)
		p := x.leg(in, entry, b.quantity)
		p.Type, p.Trigger = Stop, trigger
		p.Price = x.protected(in, p.Side, trigger, 0)
		pair[0] = x.bearLeg(in, b.entry, &p)
	}
	if e.target > 0 && entry.product == Bracket {
		p := x.leg(in, entry, b.quantity)
		p.Type, p.Price = Limit, clip(average-sign*e.target)
		pair[1] = x.bearLeg(in, b.entry, &p)
	}
	for k, i := range pair {
		if i == 0 {
			continue
		}
		x.rare(x.orders.at(i)).sibling = pair[1-k]
		if k == 0 && e.trail > 0 {
			l := x.rare(x.orders.at(i))
			l.trail, l.best = in.Ceil(e.trail), x.look(in)
			in.trailing = append(in.trailing, i)
		}
	}
	if pair[0] != 0 && pair[1] != 0 {
		cheaper := pair[0]
		if x.orders.at(pair[1]).price < x.orders.at(cheaper).price {
			cheaper = pair[1]
		}
		x.orders.at(cheaper).flags |= free
	}
	for _, i := range pair {
		if i != 0 && !x.orders.at(i).final() {
			x.submit(i, 0)
		}
	}
}

func (x *Exchange) leg(in *instrument, entry *order, quantity int64) Place {
	return Place{
		Instrument: in.Key, Side: Buy + Sell - entry.side(),
		Product: entry.product, Validity: Day, Quantity: quantity, Source: x.sources[entry.source],
	}
}

// bearLeg makes a leg, which is submitted once its pair is known.
func (x *Exchange) bearLeg(in *instrument, entry uint32, p *Place) uint32 {
	i := x.newOrder(x.orders.at(entry).account, in, p)
	l := x.rare(x.orders.at(i))
	l.parent = entry
	parent := x.extras.at(x.orders.at(entry).extra)
	l.older, parent.legs = parent.legs, i
	x.row(i, ValidationPending)
	return i
}

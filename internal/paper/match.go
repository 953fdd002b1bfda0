package paper

import (
	"slices"

	"neoapi/internal/paper/book"
	"neoapi/internal/paper/listing"
)

// inFlight is a command on its way to the exchange.
type inFlight struct {
	at     int64
	order  uint32
	kind   flightKind
	change version
}

type flightKind uint8

const (
	arrive flightKind = iota // an order
	alter                    // a change
	leave                    // a cancellation
	again                    // the next part of an order that a fault lets fill in parts
)

// send brings a command to the exchange, after the latency.
func (x *Exchange) send(i uint32, kind flightKind, change version) {
	f := inFlight{at: x.now + x.latency, order: i, kind: kind, change: change}
	if x.latency == 0 {
		x.take(&f)
		return
	}
	x.fly(f)
}

// fly puts a command behind those that arrive earlier, or at the same time.
func (x *Exchange) fly(f inFlight) {
	k := len(x.flight)
	for k > 0 && x.flight[k-1].at > f.at {
		k--
	}
	x.flight = append(x.flight, inFlight{})
	copy(x.flight[k+1:], x.flight[k:])
	x.flight[k] = f
}

// land takes the commands that have arrived.
func (x *Exchange) land() {
	for len(x.flight) > 0 && x.flight[0].at <= x.now {
		f := x.flight[0]
		x.flight = x.flight[1:]
		x.take(&f)
		x.settle(x.instruments[x.orders.at(f.order).instrument])
	}
}

// take does what a command that arrived says, unless its order is final by now.
func (x *Exchange) take(f *inFlight) {
	o := x.orders.at(f.order)
	if o.final() {
		return
	}
	switch f.kind {
	case arrive:
		x.arrives(f.order)
	case alter:
		o.flags &^= changing
		x.amend(f.order, f.change, false)
	case leave:
		o.flags &^= leaving
		x.withdraw(f.order)
		x.row(f.order, Cancelled)
		x.cover(f.order)
	case again:
		if o.ref == 0 && o.flags&waiting == 0 { // else it was changed meanwhile, and rests or waits
			x.match(f.order)
		}
	}
}

// arrives lets an order into the market, or a stop among the stops.
func (x *Exchange) arrives(i uint32) {
	o := x.orders.at(i)
	o.flags |= entered
	stop := o.kind == Stop || o.kind == StopMarket
	if o.extra != 0 && x.extras.at(o.extra).rejection != 0 { // a fault
		x.row(i, map[bool]State{true: TriggerPending, false: Open}[stop])
		x.withdraw(i)
		x.rowWith(i, Rejected, reasonArgument, x.extras.at(o.extra).rejection)
		return
	}
	if stop {
		x.await(i)
		return
	}
	x.row(i, Open)
	x.match(i)
}

// outside is the remark on an order that a new band leaves no place for.
const outside = "16283 : The order was cancelled: its price is outside the day's new range  "

// match fills an order as far as it goes, and lets the rest rest.
func (x *Exchange) match(i uint32) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	x.look(in)
	if o.price < in.low || o.price > in.high { // the band was moved while it was under way
		x.expel(i, outside)
		return
	}
	whole := o.quantity - o.filled
	in0 := book.Incoming{Owner: o.account, Side: book.Side(o.side()), Limit: o.price, Quantity: whole, CancelPassive: x.cfg.CancelPassive}
	parts := 0
	if o.extra != 0 {
		if parts = x.extras.at(o.extra).parts; parts > 1 {
			in0.Quantity = min(whole, x.part(in, o, parts))
		}
	}
	asked := in0.Quantity
	waits := in.replayed && !in.ticking // for the recording's next tick: the last one was before the order
	if !in.halted && !waits {
		in.open()
		x.found = in.book.Match(&in0, x.house(in, o.side(), o.price), x.found[:0])
		x.apply(in, i, x.found)
	}
	switch left := whole - asked + in0.Quantity; {
	case left == 0:
	case in0.Own:
		x.expel(i, "17287 : The order was cancelled: it would have traded with an order of the same client  ")
	case in0.Quantity == 0: // the rest of its parts
		x.fly(inFlight{at: x.now + 1_000_000, order: i, kind: again})
	case o.flags&immediate != 0 && (in.halted || !waits):
		x.expel(i, "The rest of an IOC order was cancelled")
	case in.ticking && in.swept(o):
		in.sweeping = append(in.sweeping, i)
	default:
		x.rest(in, i, left)
	}
}

// resume lets trading go on. Orders that came during the halt go in as if they came now,
// one after the other as they came: each finds what rested before it and what the house
// shows, and what it does not take rests.
func (x *Exchange) resume(in *instrument) {
	in.halted = false
	in.touched()
	if in.replayed { // the next tick lets them trade
		return
	}
	came := x.takeCame(in)
	x.look(in)
	x.print(in, in.value, 0) // the price may have gone through what rested before the halt
	for _, i := range came {
		x.match(i)
		x.settle(in)
	}
}

// takeCame takes the orders that came and wait out of the book, as they came.
func (x *Exchange) takeCame(in *instrument) []uint32 {
	came := in.came
	in.came = nil
	came = slices.DeleteFunc(came, func(i uint32) bool { return x.orders.at(i).ref == 0 })
	for _, i := range came {
		o := x.orders.at(i)
		in.book.Remove(o.ref)
		o.ref = 0
	}
	return came
}

// part returns how much of an order a fault lets fill at once, so that there are as many
// parts as it says if there are as many lots.
func (x *Exchange) part(in *instrument, o *order, parts int) int64 {
	lots := o.quantity / in.Lot
	for k := range int64(parts) {
		if end := (k + 1) * lots / int64(parts) * in.Lot; end > o.filled {
			return end - o.filled
		}
	}
	return in.Lot
}

// rest puts what is left of an order into the book.
func (x *Exchange) rest(in *instrument, i uint32, left int64) {
	o := x.orders.at(i)
	in.open()
	o.ref = in.book.Add(book.Order{
		ID: i, Owner: o.account, Side: book.Side(o.side()), Price: o.price, Quantity: left, Disclosed: x.disclosed(o),
		Ahead: x.ahead(in, o.side(), o.price),
	})
	if in.halted || in.replayed && !in.ticking {
		in.came = append(slices.DeleteFunc(in.came, func(k uint32) bool { return k == i }), i)
	}
	in.touched()
	x.activate(in)
}

// apply books what a match did. The order that came in is i; 0 if the tape traded.
func (x *Exchange) apply(in *instrument, i uint32, found []book.Fill) {
	for k := range found {
		f := &found[k]
		if f.Quantity == 0 {
			x.orders.at(f.ID).ref = 0
			x.expel(f.ID, "17287 : The order was cancelled: it would have traded with an order of the same client  ")
			continue
		}
		x.printed(in, f.Price, f.Quantity)
		if i != 0 {
			x.trade(in, i, f.Price, f.Quantity)
		}
		if f.Ref != 0 {
			if f.Left == 0 {
				x.orders.at(f.ID).ref = 0
			}
			x.trade(in, f.ID, f.Price, f.Quantity)
		}
	}
}

// trade books a fill of an order.
func (x *Exchange) trade(in *instrument, i uint32, price listing.Price, quantity int64) {
	o := x.orders.at(i)
	side := o.side()
	if side == Buy && price > o.price || side == Sell && price < o.price || price < in.low || price > in.high || o.filled+quantity > o.quantity {
		panic("paper: a fill outside limit, band or quantity of order " + x.describe(i))
	}
	part := x.openPart(o)
	part.Quantity = quantity
	if o.flags&blocked == 0 {
		x.accounts[o.account].money.Block(part)
	}
	o.filled += quantity
	o.amount += price * listing.Price(quantity)
	f, k := x.fills.add()
	*f = fill{order: i, price: price, quantity: quantity, at: x.now}
	a := x.accounts[o.account]
	if a.lastFill != 0 {
		x.fills.at(a.lastFill).next = k
	} else {
		a.firstFill = k
	}
	a.lastFill = k
	state := Open
	if o.filled == o.quantity {
		state = Complete
		x.overtaken(i)
	}
	x.rowWith(i, state, fillArgument, k)
	if state == Complete {
		o.flags &^= blocked
	}
	a.money.Fill(part, price)
	x.events.add(event{account: o.account, moved: o.instrument<<4 | uint32(o.product)})
	if o.extra != 0 {
		x.legsAfter(i, quantity)
	}
}

// overtaken says in an order's history that a change or cancellation under way comes too
// late.
func (x *Exchange) overtaken(i uint32) {
	o := x.orders.at(i)
	if o.flags&changing != 0 {
		x.rowWith(i, NotModified, reasonArgument, x.text("order is completed"))
	}
	if o.flags&leaving != 0 {
		x.rowWith(i, NotCancelled, reasonArgument, x.text("order is completed"))
	}
	o.flags &^= changing | leaving
}

// withdraw takes an order out of the market and frees its money.
func (x *Exchange) withdraw(i uint32) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	in.touched()
	if o.ref != 0 {
		in.book.Remove(o.ref)
		o.ref = 0
	}
	if o.flags&waiting != 0 {
		in.unstop(o.side(), o.trigger, i)
		o.flags &^= waiting
	}
	x.release(o)
}

// expel cancels an order by the exchange.
func (x *Exchange) expel(i uint32, why string) {
	x.overtaken(i)
	x.withdraw(i)
	x.rowWith(i, Cancelled, remarkArgument, x.text(why))
	x.cover(i)
}

// settle lets the stops go that trades have triggered, makes the legs of what has
// filled, and goes on until nothing more happens.
func (x *Exchange) settle(in *instrument) {
	for {
		x.trail(in)
		switch {
		case x.fire(in):
		case len(x.born) > 0:
			b := x.born[0]
			x.born = x.born[1:]
			x.bear(b)
		default:
			in.calm()
			return
		}
	}
}

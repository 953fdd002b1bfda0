package paper

import (
	"slices"

	"neoapi/internal/paper/listing"
)

// stop is a stop order that waits.
type stop struct {
	trigger listing.Price
	arrival uint64
	order   uint32
}

// await lets a stop wait for its trigger. One that the last price has passed fires at once.
func (x *Exchange) await(i uint32) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	o.flags |= waiting
	x.row(i, TriggerPending)
	last := x.look(in)
	x.stopAt(in, i)
	if last == 0 {
		return
	}
	in.low0, in.high0 = min(in.low0, last), max(in.high0, last)
}

// stopAt puts a stop behind those that fire before it. The last of the list fires first.
func (x *Exchange) stopAt(in *instrument, i uint32) {
	o := x.orders.at(i)
	x.arrival++
	s := stop{o.trigger, x.arrival, i}
	list := &in.stops[o.side()]
	k, _ := slices.BinarySearchFunc(*list, s, func(a, b stop) int { return firesLast(o.side(), a, b) })
	*list = slices.Insert(*list, k, s)
	in.touched()
	x.activate(in)
}

// firesLast compares stops to sort them so that the one that fires first comes last: of
// buys the one with the lowest trigger, of sells the one with the highest, of equal ones
// the first to arrive.
func firesLast(side Side, a, b stop) int {
	switch {
	case a.trigger == b.trigger && a.arrival > b.arrival:
		return -1
	case a.trigger == b.trigger && a.arrival == b.arrival:
		return 0
	case a.trigger == b.trigger:
		return 1
	case (a.trigger > b.trigger) == (side == Buy):
		return -1
	}
	return 1
}

// unstop takes a stop away.
func (in *instrument) unstop(side Side, trigger listing.Price, i uint32) {
	list := &in.stops[side]
	k, _ := slices.BinarySearchFunc(*list, stop{trigger: trigger, arrival: 1<<64 - 1}, func(a, b stop) int { return firesLast(side, a, b) })
	for ; k < len(*list); k++ {
		if (*list)[k].order == i {
			*list = slices.Delete(*list, k, k+1)
			return
		}
	}
}

// fire triggers the first stop that a trade since the last calm has reached.
func (x *Exchange) fire(in *instrument) bool {
	if in.halted {
		return false
	}
	for _, side := range [...]Side{Buy, Sell} {
		list := &in.stops[side]
		n := len(*list)
		if n == 0 {
			continue
		}
		s := (*list)[n-1]
		if side == Buy && in.high0 >= s.trigger || side == Sell && in.low0 <= s.trigger {
			*list = (*list)[:n-1]
			x.triggered(in, s.order)
			return true
		}
	}
	return false
}

// triggered lets a stop into the market.
func (x *Exchange) triggered(in *instrument, i uint32) {
	o := x.orders.at(i)
	o.flags &^= waiting
	if o.price < in.low || o.price > in.high || x.beyond(in, o.side(), o.price) { // the band was moved meanwhile
		x.expel(i, "16284 : The price of the released order is outside the day's or the execution range  ")
		return
	}
	x.alone(i)
	if o.flags&blocked == 0 {
		if need, err := x.accounts[o.account].money.Open(x.openPart(o)); err != nil {
			x.overtaken(i)
			x.reject(i, x.moneyText(o, need, err))
			return
		}
		o.flags |= blocked
	}
	x.row(i, Open)
	x.match(i)
}

// trail moves the trailing stops of an instrument after its price.
func (x *Exchange) trail(in *instrument) {
	for k := 0; k < len(in.trailing); {
		i := in.trailing[k]
		o := x.orders.at(i)
		if o.flags&(waiting|entered) == 0 && !o.final() { // it is under way
			k++
			continue
		}
		if o.flags&waiting == 0 {
			in.trailing = slices.Delete(in.trailing, k, k+1)
			continue
		}
		k++
		if o.flags&(changing|leaving) != 0 { // what is under way decides
			continue
		}
		e := x.extras.at(o.extra)
		by := in.last - e.best
		if o.side() == Buy {
			by = -by
		}
		if by < e.trail || o.modified == maxModified {
			continue
		}
		by = by / e.trail * e.trail
		if o.side() == Buy {
			by = -by
		}
		e.best += by
		v := x.current(o)
		v.price, v.trigger = v.price+by, v.trigger+by
		if v.price < in.Tick || v.trigger < in.Tick || v.price > in.high || v.price < in.low || v.trigger > in.high || v.trigger < in.low {
			continue
		}
		x.amend(i, v, false)
	}
}

package paper

import "time"

// Exit ends a cover or bracket order: what rests is cancelled, what was filled is closed.
// The number may be that of a leg.
func (x *Exchange) Exit(now time.Time, account string, n Number) *Refusal {
	x.Run(now)
	i, r := x.numbered(account, n)
	if r != nil {
		return r
	}
	o := x.orders.at(i)
	if o.product != Cover && o.product != Bracket {
		return &Refusal{NotAMO, "no", "error from core"}
	}
	if e := x.extras.at(o.extra); e.parent != 0 {
		i = e.parent
		o = x.orders.at(i)
	}
	if o.flags&exited != 0 || o.final() && x.remains(i) == 0 {
		return completed
	}
	if r := x.logExit(account, n); r != nil {
		return r
	}
	x.exit(i)
	x.settle(x.instruments[o.instrument])
	return nil
}

// remains returns how much of what an entry filled its legs have not closed.
func (x *Exchange) remains(entry uint32) int64 {
	left := x.orders.at(entry).filled
	for _, i := range x.legs(entry) {
		left -= x.orders.at(i).filled
	}
	return left
}

// legs returns the legs of an entry, the latest first.
func (x *Exchange) legs(entry uint32) (legs []uint32) {
	for i := x.extras.at(x.orders.at(entry).extra).legs; i != 0; i = x.extras.at(x.orders.at(i).extra).older {
		legs = append(legs, i)
	}
	return legs
}

func (x *Exchange) exit(i uint32) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	left := x.remains(i)
	o.flags |= exited
	for _, k := range append(x.legs(i), i) {
		leg := x.orders.at(k)
		switch {
		case leg.final():
		case leg.state.beforeMarket():
			x.row(k, CancelledAfterMarket)
		default:
			if leg.flags&leaving == 0 {
				x.overtaken(k)
				x.row(k, CancelPending)
			}
			leg.flags &^= leaving
			x.withdraw(k)
			x.row(k, Cancelled)
		}
	}
	if left <= 0 {
		return
	}
	p := x.leg(in, o, left)
	p.Type = Market
	k := x.newOrder(o.account, in, &p)
	closing := x.orders.at(k)
	closing.flags |= market | exited
	e := x.rare(closing)
	e.parent = i
	parent := x.extras.at(x.orders.at(i).extra)
	e.older, parent.legs = parent.legs, k
	x.row(k, ValidationPending)
	x.submit(k, 0)
}

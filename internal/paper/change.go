package paper

import (
	"time"

	"neoapi/internal/paper/ledger"
)

// numbered returns an account's order, and refuses a number that is not the account's.
func (x *Exchange) numbered(account string, n Number) (uint32, *Refusal) {
	i, ok := uint32(n-x.prefix)+x.before, n > x.prefix && n <= x.prefix+x.sequence
	if !ok {
		i, ok = x.carried[n]
	}
	if ok && x.accounts[x.orders.at(i).account].name == account {
		return i, nil
	}
	return 0, invalid("no", "please provide valid order number")
}

var completed = &Refusal{Final, "no", "order is completed"}

// changeable returns an account's order that is not final and has no change under way.
func (x *Exchange) changeable(account string, n Number) (uint32, *Refusal) {
	i, r := x.numbered(account, n)
	if r != nil {
		return 0, r
	}
	o := x.orders.at(i)
	switch {
	case o.final():
		return 0, completed
	case o.flags&(changing|leaving) != 0:
		return 0, invalid("no", "please provide valid order number: a change of the order is being processed")
	}
	return i, nil
}

// current returns an order as it is.
func (x *Exchange) current(o *order) version {
	return version{price: o.price, trigger: o.trigger, quantity: o.quantity, disclosed: x.disclosed(o), kind: o.kind, validity: o.validity()}
}

// Modify changes an order. A change that breaks a rule leaves the order as it was, and
// says so in its history.
func (x *Exchange) Modify(now time.Time, c Change) *Refusal {
	x.Run(now)
	i, r := x.changeable(c.Account, c.Number)
	if r != nil {
		return r
	}
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	t := terms{side: o.side(), kind: c.Type, product: o.product, validity: c.Validity, price: c.Price, trigger: c.Trigger, quantity: c.Quantity, disclosed: c.Disclosed, amo: o.state.beforeMarket()}
	if o.flags&entered != 0 && o.flags&waiting == 0 && c.Type == Stop && o.kind == Stop {
		t.kind = Limit // it was triggered: what is left of it is a limit order
		t.trigger = 0
	}
	if r := wellFormed(in, &t); r != nil {
		return r
	}
	if r := x.logChange(&c); r != nil {
		return r
	}
	x.modify(i, in, &t, c)
	x.settle(in)
	return nil
}

// beforeMarket reports whether the order waits for the market to open.
func (s State) beforeMarket() bool {
	return s == AfterMarketReceived || s == ModifyAfterMarketReceived
}

func (x *Exchange) modify(i uint32, in *instrument, t *terms, c Change) {
	o := x.orders.at(i)
	v := version{price: c.Price, trigger: c.Trigger, quantity: c.Quantity, disclosed: c.Disclosed, kind: c.Type, validity: c.Validity}
	if v.disclosed == v.quantity {
		v.disclosed = 0
	}
	former := o.state
	text := x.check(in, t)
	switch {
	case text != "":
	case v.quantity <= o.filled:
		text = "RMS:Rule: the quantity is not more than what has been filled"
	case v.quantity != o.quantity && x.isLeg(o):
		text = "RMS:Rule: the quantity of a leg is what its entry filled"
	case o.modified == maxModified:
		text = "RMS:Rule: maximum number of modifications reached"
	}
	if former.beforeMarket() {
		if text != "" {
			x.refuse(i, former, text)
			return
		}
		x.save(o, v)
		x.row(i, ModifyAfterMarketReceived)
		return
	}
	x.row(i, ModifyValidationPending)
	if text == "" && v.kind == Market {
		v.kind, v.price = Limit, x.protected(in, o.side(), x.look(in), 0)
	}
	if text == "" {
		text = x.pay(o, v, x.latency == 0) // with a latency it is blocked when the change takes effect
	}
	if text != "" {
		x.refused(i, former, text)
		return
	}
	x.row(i, ModifyPending)
	if x.latency == 0 {
		x.amend(i, v, true)
		return
	}
	o.flags |= changing
	x.send(i, alter, v)
}

// refuse says in an order's history that a change was refused.
func (x *Exchange) refuse(i uint32, former State, text string) {
	x.row(i, ModifyValidationPending)
	x.refused(i, former, text)
}

func (x *Exchange) refused(i uint32, former State, text string) {
	k := x.text(text)
	x.rowWith(i, NotModified, reasonArgument, k)
	x.rowWith(i, former, reasonArgument, k)
}

// save makes a version of an order its present one and keeps the one before.
func (x *Exchange) save(o *order, v version) {
	e := x.rare(o)
	old, k := x.versions.add()
	*old = x.current(o)
	old.before = e.versions
	e.versions = k
	e.disclosed = v.disclosed
	if o.product == Cover && e.parent == 0 && v.kind != Stop && v.trigger > 0 { // it is the stop's, as in the order
		e.cover, v.trigger = v.trigger, 0
	}
	o.price, o.trigger, o.quantity, o.kind = v.price, v.trigger, v.quantity, v.kind
	o.flags &^= immediate
	if v.validity == IOC {
		o.flags |= immediate
	}
	o.modified++
}

// pay blocks what an order needs after a change, or says why it does not fit; without
// keep it only looks. A sale from holdings that waited as a stop, for which nothing was
// blocked, needs its shares once it is none.
func (x *Exchange) pay(o *order, v version, keep bool) string {
	money := x.accounts[o.account].money
	was, is := x.openPart(o), x.openPart(o)
	is.Price, is.Quantity = v.price, v.quantity-o.filled
	sibling := x.other(o)
	switch {
	case sibling != 0:
		return x.payPair(o, x.orders.at(sibling), v, keep)
	case o.flags&blocked != 0:
		if need, err := money.Change(was, is); err != nil {
			return x.moneyText(o, need, err)
		}
		if !keep {
			_, _ = money.Change(is, was)
		}
	case ledger.Owned(x.instruments[o.instrument].Instrument, o.product) && o.side() == Sell && v.kind != Stop:
		if need, err := money.Open(is); err != nil {
			return x.moneyText(o, need, err)
		}
		if !keep {
			money.Release(is)
			return ""
		}
		o.flags = o.flags&^free | blocked
	}
	return ""
}

// amend lets a change take effect at the exchange; paid says that its money is blocked.
func (x *Exchange) amend(i uint32, v version, paid bool) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	former := TriggerPending
	if o.flags&waiting == 0 {
		former = Open
	}
	if o.flags&entered == 0 {
		former = OpenPending
	}
	if !paid {
		text := "RMS:Rule: the quantity is not more than what has been filled"
		if v.quantity > o.filled {
			text = x.pay(o, v, true)
		}
		if text != "" {
			x.refused(i, former, text)
			return
		}
	}
	was := x.current(o)
	stays := o.flags&waiting != 0 && v.kind == o.kind && v.price == o.price && v.trigger == o.trigger && v.quantity <= o.quantity
	if o.flags&waiting != 0 && !stays {
		in.unstop(o.side(), o.trigger, i)
	}
	x.save(o, v)
	x.row(i, Modified)
	switch {
	case o.flags&entered == 0:
		x.row(i, OpenPending)
	case stays:
		x.row(i, TriggerPending)
	case o.flags&waiting != 0 && v.kind == Stop, v.kind == Stop && was.kind != Stop:
		if o.ref != 0 {
			in.book.Remove(o.ref)
			o.ref = 0
		}
		x.await(i)
	case o.flags&waiting != 0: // a stop becomes a limit order
		o.flags &^= waiting
		x.alone(i)
		x.row(i, Open)
		x.match(i)
	default:
		x.row(i, Open)
		x.rebook(i, &was)
	}
}

// rebook changes an order in the book: with its place if only the quantity went down,
// or what it shows did; else it goes in anew.
func (x *Exchange) rebook(i uint32, was *version) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	if o.ref == 0 {
		x.match(i)
		return
	}
	shows := func(v int64, disclosed int64) int64 {
		if disclosed == 0 {
			return v
		}
		return min(v, disclosed)
	}
	disclosed := x.disclosed(o)
	if o.price == was.price && o.quantity <= was.quantity && o.flags&immediate == 0 && o.flags&market == 0 &&
		shows(o.quantity, disclosed) <= shows(was.quantity, was.disclosed) {
		in.book.Reduce(o.ref, o.quantity-o.filled, disclosed)
		return
	}
	in.book.Remove(o.ref)
	o.ref = 0
	x.match(i)
}

// Cancel cancels an order. afterHours is what the caller said of it.
func (x *Exchange) Cancel(now time.Time, account string, n Number, afterHours bool) *Refusal {
	x.Run(now)
	i, r := x.changeable(account, n)
	if r != nil {
		return r
	}
	o := x.orders.at(i)
	if o.state.beforeMarket() != afterHours {
		return &Refusal{NotAMO, "am", "error from core"}
	}
	if r := x.logCancel(account, n, afterHours); r != nil {
		return r
	}
	if afterHours {
		x.row(i, CancelledAfterMarket)
		return nil
	}
	x.cancel(i)
	return nil
}

// cancel cancels an order for its account.
func (x *Exchange) cancel(i uint32) {
	o := x.orders.at(i)
	x.row(i, CancelPending)
	if x.latency == 0 {
		x.withdraw(i)
		x.row(i, Cancelled)
		x.cover(i)
		return
	}
	o.flags |= leaving
	x.send(i, leave, version{})
}

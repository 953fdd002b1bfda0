package ledger

import "neoapi/internal/paper/listing"

// penalty is what shares sold short under MIS and not bought back cost above the close,
// in hundredths of a per cent: they are bought in.
const penalty = 505

// A Settlement is how a day ends.
type Settlement struct {
	// Price returns an instrument's settlement price: of an expired contract, what one
	// unit of it is worth.
	Price func(*listing.Instrument) listing.Price

	Expired func(*listing.Instrument) bool

	// Base returns base prices of the day that begins.
	Base func(*listing.Instrument) listing.Price
}

// Roll ends the day for all accounts. There must be no open orders. Cash is what the day
// has left, shares bought today are held as T1, yesterday's are free, contracts are
// carried at the settlement price, and expired ones are gone.
func (l *Ledger) Roll(s Settlement) {
	l.base = s.Base
	for _, a := range l.Accounts() {
		a.roll(s)
	}
}

func (a *Account) roll(st Settlement) {
	for _, h := range a.holdings {
		h.free += h.t1
		h.t1 = 0
	}
	old := a.order
	a.order, a.used, a.delivered, a.ordered, a.credit = nil, parts{}, 0, 0, 0
	clear(a.slots)
	a.recent = nil
	clear(a.groups)
	for _, s := range old {
		a.settle(s, st)
	}
	for key, h := range a.holdings {
		if h.quantity() == 0 {
			delete(a.holdings, key)
		}
	}
	a.appraise()
	for _, s := range a.order {
		a.weigh(s)
	}
}

// settle ends the day for one slot.
func (a *Account) settle(s *slot, st Settlement) {
	day := s.soldAmount - s.boughtAmount
	price := st.Price(s.Instrument)
	value := s.Amount(price, s.net)
	switch {
	case Owned(s.Instrument, s.product):
		a.cash += day
		if s.bought > 0 { // what was sold has left the holdings already
			a.receive(s, s.bought, s.boughtAmount)
		}
	case s.group == nil && s.product != MTF:
		a.cash += day
		switch {
		case s.net > 0:
			a.receive(s, s.net, s.cost)
		case s.net < 0:
			a.cash += value - partOf(-value, penalty)
		}
	case s.Kind.Option():
		a.cash += day
		if st.Expired(s.Instrument) {
			a.cash += value
			return
		}
		a.carry(s, value)
	default:
		a.cash += day + s.carriedSellAmount - s.carriedBuyAmount + value
		if !st.Expired(s.Instrument) {
			a.carry(s, value)
		}
	}
}

// receive adds shares that were bought today.
func (a *Account) receive(s *slot, quantity int64, cost listing.Price) {
	h, ok := a.holdings[s.Key]
	if !ok {
		h = &holding{Instrument: s.Instrument}
		a.holdings[s.Key] = h
	}
	h.t1 += quantity
	h.cost += cost
}

// carry takes a position into the next day, at its value.
func (a *Account) carry(s *slot, value listing.Price) {
	if s.net == 0 {
		return
	}
	product := s.product
	if product != MTF {
		product = NRML
	}
	t := a.slotOf(s.Instrument, product)
	if s.net > 0 {
		t.carriedBuy += s.net
		t.carriedBuyAmount += value
	} else {
		t.carriedSell -= s.net
		t.carriedSellAmount -= value
	}
	a.book(t, s.net, max(value, -value))
	t.realized = 0
}

// Quiet reports whether the end of a day changes nothing but what carried positions are
// worth: nobody traded in it, or has shares that are still to come. The ends of many such
// days are then the end of the last of them, up to the day until, on which the first
// position expires; it is zero if none does.
func (l *Ledger) Quiet() (until listing.Date, quiet bool) {
	for _, a := range l.accounts {
		for _, s := range a.order {
			if s.bought != 0 || s.sold != 0 {
				return until, false
			}
			if e := s.Expiry; !e.IsZero() && (until.IsZero() || e.Before(until)) {
				until = e
			}
		}
		for _, h := range a.holdings {
			if h.t1 > 0 {
				return until, false
			}
		}
	}
	return until, true
}

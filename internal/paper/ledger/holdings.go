package ledger

import (
	"cmp"
	"slices"

	"neoapi/internal/paper/listing"
)

// A Holding is shares in an account.
type Holding struct {
	*listing.Instrument
	Quantity int64         // all of them
	Free     int64         // settled
	T1       int64         // bought on the last day
	Pledged  int64         // as margin; cannot be sold
	Sellable int64         // Free and T1 less open sales
	Cost     listing.Price // of all of them
}

// holding is shares in an account. What is sold leaves free first, then t1.
type holding struct {
	*listing.Instrument
	free, t1, pledged int64
	cost              listing.Price
}

func (h *holding) quantity() int64 { return h.free + h.t1 + h.pledged }

// haircut is what of pledged shares is not taken as margin, in hundredths of a per cent.
const haircut = 1_500

// Sellable returns how many shares of an instrument can still be sold.
func (a *Account) Sellable(i *listing.Instrument) int64 {
	h, ok := a.holdings[i.Key]
	if !ok {
		return 0
	}
	n := h.free + h.t1
	for _, p := range []Product{CNC, NRML} {
		if s, ok := a.slots[slotKey{i.Key, p}]; ok {
			n -= s.openSell
		}
	}
	return n
}

// sellShares takes sold shares away. What settled ones were sold for pays for the day's
// purchases.
func (a *Account) sellShares(s *slot, quantity int64, amount listing.Price) {
	h := a.holdings[s.Key]
	if h == nil {
		return // not reached: Open has looked
	}
	free := min(quantity, h.free)
	h.cost -= share(h.cost, quantity, h.quantity())
	h.free -= free
	h.t1 -= quantity - free
	a.credit += share(amount, free, quantity)
}

// Holdings returns the account's shares, by segment and token.
func (a *Account) Holdings() []Holding {
	var all []Holding
	for _, h := range a.holdings {
		if h.quantity() > 0 {
			all = append(all, Holding{
				Instrument: h.Instrument, Quantity: h.quantity(), Free: h.free, T1: h.t1, Pledged: h.pledged,
				Sellable: a.Sellable(h.Instrument), Cost: h.cost,
			})
		}
	}
	slices.SortFunc(all, func(x, y Holding) int {
		return cmp.Or(cmp.Compare(x.Segment, y.Segment), cmp.Compare(x.Token, y.Token))
	})
	return all
}

// Fund replaces the account's cash, and its holdings unless they are nil. Of a holding,
// Quantity, T1, Pledged and Cost count; the rest is free. It reports whether it did so:
// an account with positions of the day or open orders keeps what it has.
func (a *Account) Fund(cash listing.Price, holdings []Holding) bool {
	for _, s := range a.order {
		if s.bought != 0 || s.sold != 0 || s.openBuy != 0 || s.openSell != 0 {
			return false
		}
	}
	a.cash = cash
	if holdings != nil {
		clear(a.holdings)
		for _, h := range holdings {
			a.holdings[h.Key] = &holding{Instrument: h.Instrument, free: h.Quantity - h.T1 - h.Pledged, t1: h.T1, pledged: h.Pledged, cost: h.Cost}
		}
		a.appraise()
	}
	return true
}

// appraise values the pledged shares at the day's base prices.
func (a *Account) appraise() {
	a.pledgedReference = 0
	for _, h := range a.holdings {
		if h.pledged > 0 {
			value := h.Amount(a.ledger.base(h.Instrument), h.pledged)
			a.pledgedReference += value - partOf(value, haircut)
		}
	}
}

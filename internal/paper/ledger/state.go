package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"neoapi/internal/paper/listing"
)

// A State is what an account takes into a day, for a snapshot. Amounts are in
// ten-thousandths of a rupee.
type State struct {
	UCC       string          `json:"ucc"`
	Cash      listing.Price   `json:"cash"`
	Holdings  []SavedHolding  `json:"holdings,omitempty"`
	Positions []SavedPosition `json:"positions,omitempty"`
}

// A SavedHolding is a holding in a State.
type SavedHolding struct {
	Key     listing.Key   `json:"key"`
	Free    int64         `json:"free,omitempty"`
	T1      int64         `json:"t1,omitempty"`
	Pledged int64         `json:"pledged,omitempty"`
	Cost    listing.Price `json:"cost"`
}

// A SavedPosition is a carried position in a State.
type SavedPosition struct {
	Key        listing.Key   `json:"key"`
	Product    Product       `json:"product"`
	Buy        int64         `json:"buy,omitempty"`
	Sell       int64         `json:"sell,omitempty"`
	BuyAmount  listing.Price `json:"buyAmount,omitempty"`
	SellAmount listing.Price `json:"sellAmount,omitempty"`
}

// Save returns all accounts as they are at the start of a day. It must be called before
// the day's first order.
func (l *Ledger) Save() []State {
	var all []State
	for _, a := range l.Accounts() {
		s := State{UCC: a.UCC, Cash: a.cash}
		for _, h := range a.holdings {
			s.Holdings = append(s.Holdings, SavedHolding{h.Key, h.free, h.t1, h.pledged, h.cost})
		}
		slices.SortFunc(s.Holdings, func(x, y SavedHolding) int { return compare(x.Key, y.Key) })
		for _, p := range a.order {
			if p.carriedBuy != 0 || p.carriedSell != 0 {
				s.Positions = append(s.Positions, SavedPosition{p.Key, p.product, p.carriedBuy, p.carriedSell, p.carriedBuyAmount, p.carriedSellAmount})
			}
		}
		all = append(all, s)
	}
	return all
}

func compare(x, y listing.Key) int {
	return cmp.Or(cmp.Compare(x.Segment, y.Segment), cmp.Compare(x.Token, y.Token))
}

// Restore makes the accounts of a snapshot. find returns a listed instrument.
func (l *Ledger) Restore(saved []State, find func(listing.Key) (*listing.Instrument, bool)) error {
	for _, s := range saved {
		a := l.Account(s.UCC)
		a.cash = s.Cash
		for _, h := range s.Holdings {
			i, ok := find(h.Key)
			if !ok {
				return fmt.Errorf("ledger: account %s holds %s, which is not listed", s.UCC, h.Key)
			}
			a.holdings[h.Key] = &holding{Instrument: i, free: h.Free, t1: h.T1, pledged: h.Pledged, cost: h.Cost}
		}
		for _, p := range s.Positions {
			i, ok := find(p.Key)
			if !ok {
				return fmt.Errorf("ledger: account %s has a position in %s, which is not listed", s.UCC, p.Key)
			}
			t := a.slotOf(i, p.Product)
			t.carriedBuy, t.carriedSell, t.carriedBuyAmount, t.carriedSellAmount = p.Buy, p.Sell, p.BuyAmount, p.SellAmount
			t.net = p.Buy - p.Sell
			t.cost = max(p.BuyAmount-p.SellAmount, p.SellAmount-p.BuyAmount)
		}
		a.appraise()
		for _, t := range a.order {
			a.weigh(t)
		}
	}
	return nil
}

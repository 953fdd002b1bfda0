package ledger

import "neoapi/internal/paper/listing"

// partOf returns hundredths of a per cent of an amount, rounded up to the paisa.
func partOf(amount listing.Price, hundredths int) listing.Price {
	q, r := amount/10_000, amount%10_000
	n := q*listing.Price(hundredths) + (r*listing.Price(hundredths)+9_999)/10_000
	return whole(n)
}

// whole rounds an amount up to the paisa. What is used has no parts of one, so that the
// limits add up as they are shown.
func whole(amount listing.Price) listing.Price {
	const paisa = listing.Rupee / 100
	return (amount + paisa - 1) / paisa * paisa
}

// weigh computes a slot's needs anew.
func (a *Account) weigh(s *slot) {
	a.used.add(s.needs, -1)
	s.needs = s.weight()
	a.used.add(s.needs, 1)
	if g := s.group; g != nil {
		a.used.add(g.needs, -1)
		g.needs = g.weight(a.ledger.base)
		a.used.add(g.needs, 1)
	}
}

// weight returns what a slot needs by itself.
func (s *slot) weight() parts {
	switch {
	case Owned(s.Instrument, s.product):
		return parts{} // see Account.delivery
	case s.Kind.Option():
		return parts{
			premium: whole(max(0, s.boughtAmount-s.soldAmount+max(0, s.realized))), // what was earned pays for nothing before the roll
			orders:  whole(share(s.openBuyAmount, s.excess(s.openBuy, -s.net), max(1, s.openBuy))),
		}
	case s.group != nil:
		return parts{loss: whole(max(0, -s.realized))}
	}
	rate := s.Margin.Intraday
	if s.product == MTF {
		rate = s.Margin.Funded
	}
	held := s.cost
	worst := max(held,
		s.side(s.openBuyAmount, s.openBuy, s.net),
		s.side(s.openSellAmount, s.openSell, -s.net))
	p := parts{intraday: partOf(held, rate), loss: whole(max(0, -s.realized))}
	if worst > held {
		p.orders = partOf(worst, rate) - p.intraday
	}
	return p
}

// side returns the value of a position if all open orders of one side filled; net is
// positive if the position is on that side already.
func (s *slot) side(amount listing.Price, quantity, net int64) listing.Price {
	if quantity == 0 {
		return 0
	}
	if net >= 0 {
		return s.cost + amount
	}
	return share(amount, s.excess(quantity, -net), quantity)
}

// excess returns how much of an order's quantity is left after it closed what is held.
func (s *slot) excess(quantity, closes int64) int64 { return max(0, quantity-max(0, closes)) }

type groupKey struct {
	underlying listing.Key
	product    Product
}

// A group is the contracts of one underlying, which are margined together.
type group struct {
	reference *listing.Instrument // whose base price counts
	legs      []*slot
	needs     parts
}

func (a *Account) groupOf(i *listing.Instrument, p Product) *group {
	reference := i
	if i.Underlying != nil {
		reference = i.Underlying
	}
	k := groupKey{reference.Key, p}
	g, ok := a.groups[k]
	if !ok {
		g = &group{reference: reference}
		a.groups[k] = g
	}
	return g
}

// What of the scan range a sold option needs at least, and what a pair of futures of
// different expiries needs of its value, in hundredths of a per cent.
const (
	leastShort = 3_000
	spread     = 200
)

// steps are how finely the scan range is looked at, to each side.
const steps = 3

// An assumption says which open orders have filled.
type assumption uint8

const (
	none  assumption = iota
	sells            // all sales, and no purchases
	buys             // all purchases of futures, all sales of options
)

// weight returns what a group needs beside its premiums.
func (g *group) weight(base func(*listing.Instrument) listing.Price) parts {
	spot := base(g.reference)
	span, exposure := g.scan(spot, none)
	p := parts{span: span, exposure: exposure}
	for _, s := range g.legs {
		if s.openBuy != 0 || s.openSell != 0 {
			for _, x := range []assumption{sells, buys} {
				span, exposure := g.scan(spot, x)
				p.orders = max(p.orders, span+exposure-p.span-p.exposure)
			}
			break
		}
	}
	return p
}

// quantity returns a leg's quantity under an assumption.
func (s *slot) quantity(x assumption) int64 {
	switch {
	case x == none:
		return s.net
	case x == sells || s.Kind.Option():
		return s.net - s.openSell
	}
	return s.net + s.openBuy
}

// scan returns the largest loss over the scan range, and the exposure.
func (g *group) scan(spot listing.Price, x assumption) (span, exposure listing.Price) {
	var last listing.Date // when the last of what needs margin expires
	for _, s := range g.legs {
		if q := s.quantity(x); q < 0 || q > 0 && !s.Kind.Option() {
			if last.IsZero() || last.Before(s.Expiry) {
				last = s.Expiry
			}
		}
	}
	if last.IsZero() {
		return 0, 0
	}
	var loss [2*steps + 1]listing.Price
	var uncovered [2]listing.Price // calls, puts: the value of sold ones less that of bought ones
	rate := 0                      // of the scan range
	var long, short listing.Price  // futures
	for _, s := range g.legs {
		q := s.quantity(x)
		if q == 0 || q > 0 && s.Kind.Option() && s.Expiry.Before(last) {
			continue
		}
		at := spot
		reach := at * listing.Price(s.Margin.Span) / 10_000
		for k := range loss {
			moved := at + reach*listing.Price(k-steps)/steps
			loss[k] -= s.Amount(s.worth(moved)-s.worth(at), q)
		}
		value := s.Amount(at, max(q, -q))
		switch {
		case !s.Kind.Option():
			exposure += partOf(value, s.Margin.Exposure)
			if q > 0 {
				long += value
			} else {
				short += value
			}
		default:
			if q < 0 {
				exposure += partOf(value, s.Margin.Exposure)
				rate = max(rate, s.Margin.Span)
			} else {
				value = -value
			}
			uncovered[s.Kind-listing.Call] += value
		}
	}
	for _, l := range loss {
		span = max(span, l)
	}
	bare := max(0, uncovered[0]) + max(0, uncovered[1])
	span = max(span, partOf(partOf(bare, rate), leastShort))
	return whole(span) + partOf(min(long, short), spread), exposure
}

// worth returns what one unit of a contract is worth at a price of its underlying, at
// its expiry.
func (s *slot) worth(spot listing.Price) listing.Price {
	switch s.Kind {
	case listing.Call:
		return max(0, spot-s.Strike)
	case listing.Put:
		return max(0, s.Strike-spot)
	}
	return spot
}

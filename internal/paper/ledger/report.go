package ledger

import "neoapi/internal/paper/listing"

// A Position is what an account bought and sold of an instrument under a product.
// Amounts have the instrument's factors in them.
type Position struct {
	*listing.Instrument
	Product Product

	// Carried from earlier days, valued at the last settlement, and traded today.
	CarriedBuy, CarriedSell             int64
	CarriedBuyAmount, CarriedSellAmount listing.Price
	Bought, Sold                        int64
	BoughtAmount, SoldAmount            listing.Price

	Realized listing.Price // today, by average cost
}

// Net returns how much is held; negative if it was sold short.
func (p Position) Net() int64 { return p.CarriedBuy + p.Bought - p.CarriedSell - p.Sold }

// Positions returns what the account has carried and traded, in the order in which it
// came.
func (a *Account) Positions() []Position {
	var all []Position
	for _, s := range a.order {
		if s.bought == 0 && s.sold == 0 && s.carriedBuy == 0 && s.carriedSell == 0 {
			continue
		}
		all = append(all, s.position())
	}
	return all
}

// Position returns what the account has of an instrument under a product.
func (a *Account) Position(key listing.Key, p Product) Position {
	if s, ok := a.slots[slotKey{key, p}]; ok {
		return s.position()
	}
	return Position{Product: p}
}

func (s *slot) position() Position {
	return Position{
		Instrument: s.Instrument, Product: s.product,
		CarriedBuy: s.carriedBuy, CarriedSell: s.carriedSell, CarriedBuyAmount: s.carriedBuyAmount, CarriedSellAmount: s.carriedSellAmount,
		Bought: s.bought, Sold: s.sold, BoughtAmount: s.boughtAmount, SoldAmount: s.soldAmount,
		Realized: s.realized,
	}
}

// Limits are an account's money. Net is Cash + Pledged − Used, and Used the sum of the
// parts that are named so.
type Limits struct {
	Cash, Pledged, Used, Net listing.Price

	// Parts of Used: what open orders need, what the day's purchases of shares cost, what
	// shares under MIS, CO, BO and MTF need, premiums paid, what contracts need, and what
	// was lost.
	Orders, Delivery, Intraday, Premium, Span, Exposure, Loss listing.Price

	Realized   listing.Price // profit and loss of closed positions of the day
	Unrealized listing.Price // of open ones, at the last prices
}

// Limits returns the account's money. last returns the last price of an instrument.
func (a *Account) Limits(last func(*listing.Instrument) listing.Price) Limits {
	filled, open := a.delivery()
	l := Limits{
		Cash: a.cash, Pledged: a.pledgedReference, Used: a.Used(), Net: a.Net(),
		Orders: a.used.orders + open, Delivery: filled, Intraday: a.used.intraday, Premium: a.used.premium,
		Span: a.used.span, Exposure: a.used.exposure, Loss: a.used.loss,
	}
	for _, s := range a.order {
		if Owned(s.Instrument, s.product) {
			continue // a sale from holdings is no short position
		}
		l.Realized += s.realized
		if s.net != 0 {
			value := s.Amount(last(s.Instrument), s.net)
			if s.net > 0 {
				l.Unrealized += value - s.cost
			} else {
				l.Unrealized += value + s.cost
			}
		}
	}
	return l
}

// Convert moves a quantity of the day's purchases or sales of an instrument from one
// product to another, at their average. The error is ErrMoney, or ErrHoldings if there
// is not as much; then nothing has changed.
func (a *Account) Convert(i *listing.Instrument, buy bool, from, to Product, quantity int64) (Need, error) {
	slots := len(a.order)
	f, t := a.slotOf(i, from), a.slotOf(i, to)
	net := f.net
	if !buy {
		net = -net
	}
	if f.product == MTF {
		net -= f.openSell
	}
	if quantity <= 0 || quantity > net || quantity > traded(f, buy) || f == t ||
		!buy && (Owned(i, from) || to == MTF || Owned(i, to) && a.Sellable(i) < quantity) { // shares that were sold are gone
		a.unmake(slots)
		return Need{}, ErrHoldings
	}
	n := Need{Used: a.Used(), Available: a.Net()}
	wasF, wasT, delivered := *f, *t, a.delivered
	amount := a.move(f, t, buy, quantity)
	n.Total = a.Used()
	n.Order = n.Total - n.Used
	if n.Order > 0 && a.Net() < 0 {
		n.Short = -a.Net()
		wasF.needs, wasT.needs = f.needs, t.needs // weigh takes them off
		*f, *t, a.delivered = wasF, wasT, delivered
		a.weigh(f)
		a.weigh(t)
		a.unmake(slots)
		return n, ErrMoney
	}
	if Owned(i, to) && !buy {
		a.sellShares(t, quantity, amount)
	}
	return n, nil
}

func traded(s *slot, buy bool) int64 {
	if buy {
		return s.bought
	}
	return s.sold
}

// move moves a quantity between slots, at the average, and returns its amount.
func (a *Account) move(f, t *slot, buy bool, quantity int64) listing.Price {
	sign := int64(1)
	fq, famount, tq, tamount := &f.bought, &f.boughtAmount, &t.bought, &t.boughtAmount
	if !buy {
		sign = -1
		fq, famount, tq, tamount = &f.sold, &f.soldAmount, &t.sold, &t.soldAmount
	}
	amount := share(f.cost, quantity, max(f.net, -f.net))
	*fq -= quantity
	*famount -= amount
	f.net -= sign * quantity
	f.cost -= amount
	*tq += quantity
	*tamount += amount
	a.book(t, sign*quantity, amount)
	if buy {
		if Owned(f.Instrument, f.product) {
			a.delivered -= amount
		}
		if Owned(t.Instrument, t.product) {
			a.delivered += amount
		}
	}
	a.weigh(f)
	a.weigh(t)
	return amount
}

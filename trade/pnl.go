package trade

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
)

// DayPnL returns the day's profit or loss of a position:
//
//	sold − bought + Net × last price × factors
//
// Its cost is what the position was worth when the day began (what was carried counts with
// its value at the previous settlement) and today's trades. Charges and taxes are not in
// it. The last price is that of its quote or, if quotes have none, Last. It is unknown if
// there is neither and something is held, or if the report lacks one of its parts.
//
// Shares that were sold from holdings are a position with a negative Net until they are
// delivered: its DayPnL is what the sale made against the last price.
func (p Position) DayPnL(quotes []Quote) Rupees {
	return p.profit(p.CarriedBuy, p.CarriedSell, p.last(quotes))
}

// PositionPnL returns the profit or loss of a position since it was opened, by the formula
// of [Position.DayPnL] with another cost.
//
// For shares, what was carried counts with the average price of its holding, and shares
// that were sold from holdings under CNC are closed at that price instead of the last one.
// Without the holding it is unknown.
//
// For derivatives the service has no better figure than the value at the previous
// settlement: PositionPnL is DayPnL, which for what was carried is not the profit since it
// was opened.
func (p Position) PositionPnL(quotes []Quote, holdings ...Holding) Rupees {
	if !p.Segment.Cash() {
		return p.DayPnL(quotes)
	}
	var cost Rupees
	for i := range holdings {
		if h := &holdings[i]; h.Segment == p.Segment && h.Token == p.Token {
			cost = h.AvgPrice
		}
	}
	buy, sell := p.CarriedBuy, p.CarriedSell
	if p.CarriedBuyQty != 0 {
		buy = p.amount(cost, p.CarriedBuyQty)
	}
	if p.CarriedSellQty != 0 {
		sell = Rupees{} // nobody holds what he has sold
	}
	last := p.last(quotes)
	if p.Product == CNC && p.Net < 0 {
		last = cost
	}
	return p.profit(buy, sell, last)
}

// profit returns what was sold less what was bought, with the rest at the last price.
func (p *Position) profit(carriedBuy, carriedSell, last Rupees) Rupees {
	if !p.whole() {
		return Rupees{}
	}
	sold := part(carriedSell, p.CarriedSellQty).Add(part(p.SellAmount, p.SellQty))
	bought := part(carriedBuy, p.CarriedBuyQty).Add(part(p.BuyAmount, p.BuyQty))
	made := sold.Sub(bought)
	if p.Net != 0 {
		made = made.Add(p.amount(last, p.Net))
	}
	return made
}

// amount returns what a quantity costs at a price, to seven decimals.
func (p *Position) amount(price Rupees, quantity int64) Rupees {
	if !price.Known() {
		return Rupees{}
	}
	return amountOf(p.exact(price, quantity))
}

// exact returns what a quantity costs at a price, in ten-millionths.
func (p *Position) exact(price Rupees, quantity int64) *big.Rat {
	x := new(big.Rat).SetInt64(price.value())
	x.Mul(x, new(big.Rat).SetInt64(quantity))
	return x.Mul(x, p.factor())
}

// amountOf rounds ten-millionths.
func amountOf(x *big.Rat) Rupees {
	n, ok := rounded(x)
	if !ok {
		return Rupees{}
	}
	return rupees(n)
}

// last returns the last price of a position. One of 0 is that of an instrument that has
// not traded.
func (p *Position) last(quotes []Quote) Rupees {
	for i := range quotes {
		if q := &quotes[i]; q.Segment == p.Segment && q.Token == p.Token && q.Last.Sign() != 0 {
			return q.Last
		}
	}
	if p.Last.Sign() == 0 {
		return Rupees{}
	}
	return p.Last
}

// A Matching says which purchase a sale closes, or which sale a purchase.
type Matching int

// The matchings.
const (
	FIFO        Matching = iota // the oldest one that is open
	AverageCost                 // a part of all that are open, at their average
)

// Profit returns what a position has made, computed from its trades: realised by what was
// closed, unrealised on what is still open at the last price (see [Position.DayPnL]).
// Their sum is DayPnL, to a ten-millionth. Of trades it uses those of this position;
// give it all that [Client.Trades] returned.
//
// What was carried comes before the first trade, with its value at the previous
// settlement, which is not its entry price. Both are unknown if the trades do not make up
// the position's quantities, and unrealised if there is no last price.
func (p Position) Profit(trades []Trade, quotes []Quote, by Matching) (realised, unrealised Rupees) {
	book := ledger{by: by, made: new(big.Rat)}
	if !p.whole() || !book.carry(&p) {
		return Rupees{}, Rupees{}
	}
	var bought, sold int64
	for _, t := range ofPosition(&p, trades) {
		quantity := t.Quantity
		switch {
		case !t.Price.Known() || quantity <= 0 || t.Side != SideBuy && t.Side != SideSell:
			return Rupees{}, Rupees{}
		case t.Side == SideBuy:
			bought += quantity
		default:
			sold += quantity
			quantity = -quantity
		}
		book.trade(quantity, p.exact(t.Price, 1))
	}
	if bought != p.BuyQty || sold != p.SellQty {
		return Rupees{}, Rupees{}
	}
	realised = amountOf(book.made)
	last := p.last(quotes)
	switch {
	case p.Net == 0:
		return realised, rupees(0)
	case !last.Known():
		return realised, Rupees{}
	}
	worth := p.exact(last, p.Net)
	for _, l := range book.open {
		worth.Sub(worth, new(big.Rat).Mul(l.price, new(big.Rat).SetInt64(l.quantity)))
	}
	return realised, amountOf(worth)
}

// ofPosition returns a position's trades, the oldest first.
func ofPosition(p *Position, trades []Trade) []Trade {
	var own []Trade
	for _, t := range trades {
		if t.Segment == p.Segment && t.Product == p.Product && (t.Token == p.Token || t.Token == "" && t.Symbol == p.Symbol) {
			own = append(own, t)
		}
	}
	slices.Reverse(own) // reports have the newest first
	slices.SortStableFunc(own, func(a, b Trade) int {
		one, errA := strconv.ParseUint(a.ID, 10, 64)
		two, errB := strconv.ParseUint(b.ID, 10, 64)
		if errA != nil || errB != nil {
			one, two = 0, 0
		}
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(one, two))
	})
	return own
}

// A ledger matches purchases and sales.
type ledger struct {
	by   Matching
	open []holding // the oldest first, all of one sign
	made *big.Rat  // by what was closed, in ten-millionths
}

// A holding is a quantity that is open, negative if it was sold, with what one of it
// cost in ten-millionths.
type holding struct {
	quantity int64
	price    *big.Rat
}

// carry begins with what a position carried, and reports whether its value is known.
func (l *ledger) carry(p *Position) bool {
	for _, c := range []struct {
		quantity int64
		amount   Rupees
	}{{p.CarriedBuyQty, p.CarriedBuy}, {-p.CarriedSellQty, p.CarriedSell}} {
		if c.quantity == 0 {
			continue
		}
		if !c.amount.Known() {
			return false
		}
		per := new(big.Rat).SetFrac(big.NewInt(c.amount.value()), big.NewInt(c.quantity))
		l.trade(c.quantity, per.Abs(per))
	}
	return true
}

// trade closes what a quantity closes, and opens the rest.
func (l *ledger) trade(quantity int64, price *big.Rat) {
	for quantity != 0 && len(l.open) > 0 && (l.open[0].quantity > 0) != (quantity > 0) {
		first := &l.open[0]
		closed := quantity // of the same sign as the trade
		if magnitude(first.quantity) < magnitude(quantity) {
			closed = -first.quantity
		}
		gain := new(big.Rat).Sub(first.price, price) // of buying back
		l.made.Add(l.made, gain.Mul(gain, new(big.Rat).SetInt64(closed)))
		first.quantity += closed
		quantity -= closed
		if first.quantity == 0 {
			l.open = l.open[1:]
		}
	}
	switch {
	case quantity == 0:
	case l.by == AverageCost && len(l.open) > 0:
		first := &l.open[0]
		all := new(big.Rat).Mul(first.price, new(big.Rat).SetInt64(first.quantity))
		all.Add(all, new(big.Rat).Mul(price, new(big.Rat).SetInt64(quantity)))
		first.quantity += quantity
		first.price = all.Quo(all, new(big.Rat).SetInt64(first.quantity))
	default:
		l.open = append(l.open, holding{quantity, price})
	}
}

// Held returns the position in an instrument under a product, and whether there is one:
// one that is flat is not the same as none.
func Held(positions []Position, i Instrument, p Product) (Position, bool) {
	for _, held := range positions {
		if held.Segment == i.Segment && held.Token == i.Token && held.Product == p {
			return held, true
		}
	}
	return Position{}, false
}

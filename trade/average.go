package trade

import "math/big"

// An Average is a price that is kept as an amount and a quantity, so that nothing of it
// is lost by rounding. The zero value is none.
type Average struct {
	Amount    Rupees
	Quantity  int64 // what the amount is for, with the instrument's factors; more than 0 unless there is no average
	Precision int   // the instrument's decimals
}

// Known reports whether there is an average.
func (a Average) Known() bool { return a.Amount.Known() && a.Quantity > 0 }

// Price returns the average rounded to the instrument's decimals, at least two: halves
// away from zero.
func (a Average) Price() Rupees {
	if !a.Known() {
		return Rupees{}
	}
	unit := int64(powers[decimals-min(max(a.Precision, 2), decimals)]) //nolint:gosec // at most scale
	x := new(big.Rat).SetFrac(big.NewInt(a.Amount.value()), big.NewInt(a.Quantity))
	n, ok := rounded(x.Quo(x, new(big.Rat).SetInt64(unit)))
	if !ok {
		return Rupees{}
	}
	return rupees(n * unit)
}

// String returns [Average.Price] as text.
func (a Average) String() string { return a.Price().String() }

// average returns what the held side was bought or sold for.
func (p *Position) average(bought, sold int64) Average {
	quantity, carried, today, first, second := bought, p.CarriedBuyQty, p.BuyQty, p.CarriedBuy, p.BuyAmount
	if p.Net < 0 {
		quantity, carried, today, first, second = sold, p.CarriedSellQty, p.SellQty, p.CarriedSell, p.SellAmount
	}
	if p.Net == 0 {
		return Average{}
	}
	amount := part(first, carried).Add(part(second, today))
	// amount / (quantity × factor) = amount × den / (quantity × num)
	f := p.factor()
	per := new(big.Rat).Mul(f, new(big.Rat).SetInt64(quantity))
	if per.Sign() <= 0 || !per.Num().IsInt64() || !per.Denom().IsInt64() {
		return Average{}
	}
	a := Average{Amount: amount.Times(per.Denom().Int64()), Quantity: per.Num().Int64(), Precision: p.Precision}
	if !a.Known() {
		return Average{}
	}
	return a
}

// part returns an amount, which for no quantity is 0 even if the row does not have it.
func part(amount Rupees, quantity int64) Rupees {
	if quantity == 0 && !amount.Known() {
		return rupees(0)
	}
	return amount
}

// factor returns what a price × quantity has to be multiplied by.
func (p *Position) factor() *big.Rat {
	f := new(big.Rat).SetInt64(or1(p.Multiplier))
	f.Mul(f, new(big.Rat).SetFrac64(or1(p.GenNum), or1(p.GenDen)))
	return f.Mul(f, new(big.Rat).SetFrac64(or1(p.PriceNum), or1(p.PriceDen)))
}

func or1(n int64) int64 {
	if n == 0 || n == -1 {
		return 1
	}
	return n
}

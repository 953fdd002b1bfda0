package paper

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// known returns an account that has given a command.
func (x *Exchange) known(name string) *account {
	if k, ok := x.byName[name]; ok {
		return x.accounts[k]
	}
	return nil
}

// Orders returns an account's orders of the day, as they are, by number.
func (x *Exchange) Orders(now time.Time, account string) []Order {
	x.Run(now)
	a := x.known(account)
	if a == nil {
		return nil
	}
	var all []Order
	for i := a.first; i != 0; i = x.orders.at(i).next {
		all = append(all, x.asIs(i))
	}
	return all
}

// History returns an order's rows, oldest first.
func (x *Exchange) History(now time.Time, account string, n Number) ([]Order, *Refusal) {
	x.Run(now)
	i, r := x.numbered(account, n)
	if r != nil {
		return nil, r
	}
	var all []Order
	x.history(i, x.orders.at(i).last, true, func(o Order) { all = append(all, o) })
	return all, nil
}

// Trades returns an account's fills of the day, oldest first.
func (x *Exchange) Trades(now time.Time, account string) []Trade {
	x.Run(now)
	a := x.known(account)
	if a == nil {
		return nil
	}
	var all []Trade
	for k := a.firstFill; k != 0; k = x.fills.at(k).next {
		all = append(all, x.tradeOf(k))
	}
	return all
}

// Positions returns an account's positions, by segment, token and product.
func (x *Exchange) Positions(now time.Time, account string) []Position {
	x.Run(now)
	a := x.known(account)
	if a == nil {
		return nil
	}
	type slot struct {
		key     listing.Key
		product Product
	}
	updated := map[slot]int64{}
	for k := a.firstFill; k != 0; k = x.fills.at(k).next {
		f := x.fills.at(k)
		o := x.orders.at(f.order)
		updated[slot{x.instruments[o.instrument].Key, o.product}] = f.at
	}
	var all []Position
	for _, p := range a.money.Positions() {
		out := Position{Position: p, Last: x.lastOf(p.Instrument)}
		if t, ok := updated[slot{p.Key, p.Product}]; ok {
			out.Updated = at(t)
		}
		all = append(all, out)
	}
	slices.SortFunc(all, func(a, b Position) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Token, b.Token), cmp.Compare(a.Product, b.Product))
	})
	return all
}

// positionOf returns a position that has just moved.
func (x *Exchange) positionOf(a *account, in *instrument, p Product) Position {
	out := Position{Position: a.money.Position(in.Key, p), Last: x.lastOf(in.Instrument)}
	if a.lastFill != 0 {
		out.Updated = at(x.fills.at(a.lastFill).at)
	}
	return out
}

// lastOf returns an instrument's last price.
func (x *Exchange) lastOf(i *listing.Instrument) listing.Price {
	if in := x.find(i.Key); in != nil {
		return x.look(in)
	}
	return x.market.At(i, at(x.now))
}

// Holdings returns an account's shares.
func (x *Exchange) Holdings(now time.Time, account string) []Holding {
	x.Run(now)
	a := x.known(account)
	if a == nil {
		return nil
	}
	var all []Holding
	for _, h := range a.money.Holdings() {
		all = append(all, Holding{Holding: h, Close: x.basePrice(h.Instrument), Last: x.lastOf(h.Instrument)})
	}
	return all
}

// Limits returns an account's money.
func (x *Exchange) Limits(now time.Time, account string) Limits {
	x.Run(now)
	a := x.known(account)
	if a == nil {
		return Limits{Cash: x.cfg.Funds, Net: x.cfg.Funds}
	}
	return a.money.Limits(x.lastOf)
}

// Fund replaces an account's money, and its holdings unless they are nil. It refuses
// while the account has open orders or positions of the day.
func (x *Exchange) Fund(now time.Time, account string, funds listing.Price, holdings []ledger.Holding) *Refusal {
	x.Run(now)
	if account == "" {
		return &Refusal{NoAccount, "", "the account is unknown"}
	}
	if funds < 0 || funds > maxFunds {
		return invalid("funds", "please provide valid funds")
	}
	for k := range holdings {
		h := &holdings[k]
		if slices.ContainsFunc(holdings[:k], func(other ledger.Holding) bool { return other.Key == h.Key }) {
			return invalid("holdings", "please provide valid holdings: each share once")
		}
		in := x.find(h.Key)
		if in == nil || in.Kind != listing.Share {
			return invalid("holdings", "please provide valid holdings: only listed shares are held")
		}
		if h.Quantity < 0 || h.Quantity > maxQuantity || h.T1 < 0 || h.Pledged < 0 || h.T1+h.Pledged > h.Quantity || h.Cost < 0 || h.Cost > maxFunds {
			return invalid("holdings", "please provide valid quantities and costs of the holdings")
		}
		h.Instrument = in.Instrument
	}
	if a := x.known(account); a != nil && x.busy(a) {
		return invalid("account", "the account has open orders or positions of the day: end them first, or use another account")
	}
	if r := x.logFund(account, funds, holdings); r != nil {
		return r
	}
	x.accounts[x.accountOf(account)].money.Fund(funds, holdings)
	return nil
}

// describe names an order in a panic.
func (x *Exchange) describe(i uint32) string { return fmt.Sprintf("%+v", x.asIs(i)) }

// busy reports whether an account has open orders or has traded today.
func (x *Exchange) busy(a *account) bool {
	if a.firstFill != 0 {
		return true
	}
	for i := a.first; i != 0; i = x.orders.at(i).next {
		if !x.orders.at(i).final() {
			return true
		}
	}
	return false
}

// Convert moves a quantity of a position to another product.
func (x *Exchange) Convert(now time.Time, account string, key listing.Key, side Side, from, to Product, quantity int64) *Refusal {
	x.Run(now)
	a := x.known(account)
	in := x.find(key)
	switch {
	case a == nil || in == nil || in.Kind == listing.Index:
		return invalid("ts", "please provide valid trading symbol")
	case side != Buy && side != Sell:
		return invalid("tt", "please provide valid transaction type")
	case quantity <= 0 || quantity%in.Lot != 0:
		return invalid("qt", "please provide valid lotwise quantity")
	case from == to || from < CNC || from > MTF || to < CNC || to > MTF || checkProduct(in, &terms{product: to}) != "":
		return invalid("pc", "please provide valid product code")
	}
	if r := x.logConvert(account, key, side, from, to, quantity); r != nil {
		return r
	}
	switch _, err := a.money.Convert(in.Instrument, side == Buy, from, to, quantity); err {
	case nil:
		k := in.index << 4
		x.events.add(event{account: x.byName[account], moved: k | uint32(from)})
		x.events.add(event{account: x.byName[account], moved: k | uint32(to)})
		return nil
	case ledger.ErrMoney:
		return invalid("qt", "RMS:Margin Exceeds")
	default:
		return invalid("qt", "please provide valid quantity: not as much of the position can be converted")
	}
}

// Dump writes out all that the exchange has, in an order that the state alone decides.
func (x *Exchange) Dump(now time.Time) []Dumped {
	x.Run(now)
	var all []Dumped
	for _, a := range x.accounts {
		d := Dumped{
			Account: a.name, Trades: x.Trades(now, a.name), Positions: x.Positions(now, a.name),
			Holdings: x.Holdings(now, a.name), Limits: x.Limits(now, a.name),
		}
		for i := a.first; i != 0; i = x.orders.at(i).next {
			h, _ := x.History(now, a.name, x.orders.at(i).number)
			d.Orders = append(d.Orders, h)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Dumped) int { return cmp.Compare(a.Account, b.Account) })
	return all
}

// A Dumped is all that an account has: [Exchange.Dump].
type Dumped struct {
	Account   string
	Orders    [][]Order // histories, by number
	Trades    []Trade
	Positions []Position
	Holdings  []Holding
	Limits    Limits
}

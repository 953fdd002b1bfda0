// Package ledger keeps the money of the exchange on paper: what accounts have, what
// their orders and positions need, their holdings, and what a day's end settles.
//
// Start with [Ledger.Account]. Before an order goes to the exchange, [Account.Open]
// blocks what it needs or says why it does not fit; [Account.Fill] books a trade, and
// [Account.Release] what will not trade any more. [Ledger.Roll] ends the day.
//
// The package is pure and not safe for concurrent use. All amounts are exact.
//
// # Rules
//
// The cash of an account does not change within a day: what it spends and loses is used,
// what it earns comes at the day's end. Net is always cash + pledged − used.
//
// Shares under CNC (and under NRML, which is for contracts) need their price in full, and a sale needs shares that are held; what
// settled shares were sold for pays for the day's purchases. Under MIS, CO, BO and MTF
// they need a part of their value; under MTF only what was bought there can be sold. A bought option needs its premium, which stays used
// until the end of the day. Futures and sold options need the largest loss that the
// positions of one underlying make together while it moves by the scan range, and the
// exposure beside it; a bought option lowers that loss once it is filled, unless it
// expires before what it protects. Orders count as if they had filled wherever that
// needs more, and never lower a need before they fill. What reduces a position needs nothing.
package ledger

import (
	"errors"
	"slices"
	"strings"

	"neoapi/internal/paper/listing"
)

// A Product is how a position is held.
type Product uint8

// The products.
const (
	CNC     Product = iota + 1 // shares, paid in full
	MIS                        // within the day
	NRML                       // contracts, carried
	MTF                        // shares, partly funded
	Cover                      // CO: an entry with a stop
	Bracket                    // BO: an entry with a stop and a target
)

// Owned reports whether an instrument under a product is bought to be owned: paid in
// full, and sold from holdings alone.
func Owned(i *listing.Instrument, p Product) bool { return p == CNC || p == NRML && i.Segment.Cash() }

// Why an order does not fit.
var (
	ErrMoney    = errors.New("ledger: not enough money")
	ErrHoldings = errors.New("ledger: not enough shares to sell")
)

// An Order is what the ledger has to know of an order: its open part.
type Order struct {
	*listing.Instrument
	Product  Product
	Buy      bool
	Price    listing.Price // the limit; of a market order, the protected one
	Quantity int64
}

// A Need is what an order needs.
type Need struct {
	Order     listing.Price // the order's own
	Total     listing.Price // used with it
	Used      listing.Price // used now
	Available listing.Price
	Short     listing.Price // what is missing; 0 if it fits
}

// A Ledger has the accounts.
type Ledger struct {
	funds    listing.Price
	base     func(*listing.Instrument) listing.Price
	accounts map[string]*Account
}

// New returns a ledger whose accounts begin with the funds. base returns the base price of
// an instrument on the present day, by which contracts are margined.
func New(funds listing.Price, base func(*listing.Instrument) listing.Price) *Ledger {
	return &Ledger{funds: funds, base: base, accounts: map[string]*Account{}}
}

// Base sets where base prices of the present day come from.
func (l *Ledger) Base(base func(*listing.Instrument) listing.Price) { l.base = base }

// Account returns an account, which a first call opens.
func (l *Ledger) Account(ucc string) *Account {
	a, ok := l.accounts[ucc]
	if !ok {
		a = &Account{UCC: ucc, ledger: l, cash: l.funds, slots: map[slotKey]*slot{}, groups: map[groupKey]*group{}, holdings: map[listing.Key]*holding{}}
		l.accounts[ucc] = a
	}
	return a
}

// Accounts returns all accounts, by UCC.
func (l *Ledger) Accounts() []*Account {
	all := make([]*Account, 0, len(l.accounts))
	for _, a := range l.accounts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *Account) int { return strings.Compare(a.UCC, b.UCC) })
	return all
}

// An Account is one trader's money and what it is in.
type Account struct {
	UCC string

	ledger   *Ledger
	cash     listing.Price
	slots    map[slotKey]*slot
	order    []*slot // in the order in which they came
	recent   *slot   // the one that was asked for last
	groups   map[groupKey]*group
	holdings map[listing.Key]*holding

	used             parts
	delivered        listing.Price // what CNC purchases of the day cost
	ordered          listing.Price // and what open ones will
	credit           listing.Price // what settled shares were sold for today
	pledgedReference listing.Price // value of the pledged shares after the haircut
}

// parts are what is used, by what for.
type parts struct {
	orders, intraday, premium, span, exposure, loss listing.Price
}

func (p *parts) add(q parts, sign listing.Price) {
	p.orders += sign * q.orders
	p.intraday += sign * q.intraday
	p.premium += sign * q.premium
	p.span += sign * q.span
	p.exposure += sign * q.exposure
	p.loss += sign * q.loss
}

func (p *parts) total() listing.Price {
	return p.orders + p.intraday + p.premium + p.span + p.exposure + p.loss
}

// delivery returns what of the day's purchases under CNC its sales do not pay for, and
// what of the open ones.
func (a *Account) delivery() (filled, open listing.Price) {
	if a.delivered|a.ordered == 0 {
		return 0, 0
	}
	filled = whole(max(0, a.delivered-a.credit))
	return filled, whole(max(0, a.delivered+a.ordered-a.credit)) - filled
}

// Used returns what orders and positions need, and what the day has cost.
func (a *Account) Used() listing.Price {
	filled, open := a.delivery()
	return a.used.total() + filled + open
}

// Net returns what is left.
func (a *Account) Net() listing.Price { return a.cash + a.pledgedReference - a.Used() }

type slotKey struct {
	key     listing.Key
	product Product
}

// A slot is what an account has in an instrument under a product.
type slot struct {
	*listing.Instrument
	product Product
	group   *group // of contracts

	carriedBuy, carriedSell             int64
	carriedBuyAmount, carriedSellAmount listing.Price
	bought, sold                        int64
	boughtAmount, soldAmount            listing.Price

	net      int64         // all of the above
	cost     listing.Price // what the net was bought or sold for
	realized listing.Price

	openBuy, openSell             int64
	openBuyAmount, openSellAmount listing.Price

	needs parts
}

// slotOf returns the slot of an instrument under a product, which a first call makes.
func (a *Account) slotOf(i *listing.Instrument, p Product) *slot {
	if s := a.recent; s != nil && s.Key == i.Key && s.product == p {
		return s
	}
	k := slotKey{i.Key, p}
	s, ok := a.slots[k]
	if ok {
		a.recent = s
		return s
	}
	s = &slot{Instrument: i, product: p}
	if !i.Segment.Cash() {
		s.group = a.groupOf(i, p)
		s.group.legs = append(s.group.legs, s)
	}
	a.slots[k] = s
	a.order = append(a.order, s)
	return s
}

// unmake takes away the slots that were made after the first n: what was only asked for,
// or refused, leaves nothing behind.
func (a *Account) unmake(n int) {
	for _, s := range a.order[n:] {
		delete(a.slots, slotKey{s.Key, s.product})
		if g := s.group; g != nil {
			if g.legs = g.legs[:len(g.legs)-1]; len(g.legs) == 0 {
				delete(a.groups, groupKey{g.reference.Key, s.product})
			}
		}
		if a.recent == s {
			a.recent = nil
		}
	}
	clear(a.order[n:])
	a.order = a.order[:n]
}

// Need returns what an order would need, and why it does not fit, as Open.
func (a *Account) Need(o Order) (Need, error) { return a.change(Order{}, o, false) }

// Open blocks what an order needs. The error is ErrMoney or ErrHoldings; then nothing
// has changed.
func (a *Account) Open(o Order) (Need, error) { return a.change(Order{}, o, true) }

// Change replaces the open part of an order by another, of the same instrument, side and
// product. The error is ErrMoney or ErrHoldings; then nothing has changed.
func (a *Account) Change(was, is Order) (Need, error) { return a.change(was, is, true) }

func (a *Account) change(was, is Order, keep bool) (Need, error) {
	slots := len(a.order)
	s := a.slotOf(is.Instrument, is.Product)
	if Owned(is.Instrument, is.Product) && !is.Buy && a.Sellable(is.Instrument)+was.Quantity < is.Quantity ||
		s.product == MTF && !is.Buy && s.net-s.openSell+was.Quantity < is.Quantity {
		a.unmake(slots)
		return Need{}, ErrHoldings
	}
	before := a.Used()
	n := Need{Used: before, Available: a.cash + a.pledgedReference - before}
	if was.Instrument != nil {
		a.open(s, was, -1)
	}
	a.open(s, is, 1)
	n.Total = a.Used()
	n.Order = n.Total - before
	if n.Order > 0 && n.Order > n.Available {
		n.Short = n.Order - n.Available
	}
	if !keep || n.Short > 0 {
		a.open(s, is, -1)
		if was.Instrument != nil {
			a.open(s, was, 1)
		}
		a.unmake(slots)
	}
	if n.Short > 0 {
		return n, ErrMoney
	}
	return n, nil
}

// Block blocks what an order needs, whether it fits or not: of an order that only closes
// what another one opened.
func (a *Account) Block(o Order) { a.open(a.slotOf(o.Instrument, o.Product), o, 1) }

// Release frees what the open part of an order had blocked.
func (a *Account) Release(o Order) { a.open(a.slotOf(o.Instrument, o.Product), o, -1) }

// open adds an order's open part to a slot, or takes it away.
func (a *Account) open(s *slot, o Order, sign int64) {
	amount := s.Amount(o.Price, o.Quantity) * listing.Price(sign)
	if o.Buy {
		s.openBuy += sign * o.Quantity
		s.openBuyAmount += amount
		if Owned(o.Instrument, o.Product) {
			a.ordered += amount
		}
	} else {
		s.openSell += sign * o.Quantity
		s.openSellAmount += amount
	}
	a.weigh(s)
}

// Fill books a trade of an open order: o has the order's price and the traded quantity.
func (a *Account) Fill(o Order, price listing.Price) {
	s := a.slotOf(o.Instrument, o.Product)
	amount := s.Amount(o.Price, o.Quantity)
	traded := s.Amount(price, o.Quantity)
	if o.Buy {
		s.openBuy -= o.Quantity
		s.openBuyAmount -= amount
		s.bought += o.Quantity
		s.boughtAmount += traded
		a.book(s, o.Quantity, traded)
	} else {
		s.openSell -= o.Quantity
		s.openSellAmount -= amount
		s.sold += o.Quantity
		s.soldAmount += traded
		if Owned(o.Instrument, o.Product) {
			a.sellShares(s, o.Quantity, traded)
		}
		a.book(s, -o.Quantity, traded)
	}
	if Owned(o.Instrument, o.Product) && o.Buy {
		a.ordered -= amount
		a.delivered += traded
	}
	a.weigh(s)
}

// book adds a signed quantity, worth an amount, to a slot's net, its cost and what it
// has realized.
func (a *Account) book(s *slot, quantity int64, amount listing.Price) {
	if s.net == 0 || (s.net > 0) == (quantity > 0) {
		s.net += quantity
		s.cost += amount
		return
	}
	held, traded := s.net, quantity
	if held < 0 {
		held = -held
	}
	if traded < 0 {
		traded = -traded
	}
	closed := min(held, traded)
	out := share(amount, closed, traded) // what the closed part was traded for
	in := share(s.cost, closed, held)    // and what it had cost
	if s.net > 0 {
		s.realized += out - in
	} else {
		s.realized += in - out
	}
	s.net += quantity
	s.cost -= in
	if traded > closed { // the rest is a new position
		s.cost = amount - out
	}
}

// share returns the part of an amount that n of a whole have, rounded down.
func share(amount listing.Price, n, whole int64) listing.Price {
	if n == whole {
		return amount
	}
	// amount*n may exceed an int64
	q, r := int64(amount)/whole, int64(amount)%whole
	return listing.Price(q*n + r*n/whole)
}

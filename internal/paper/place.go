package paper

import (
	"math/bits"
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// terms are what the rules of exchange and broker look at.
type terms struct {
	side                Side
	kind                PriceType
	product             Product
	validity            Validity
	price, trigger      listing.Price
	quantity, disclosed int64
	amo                 bool
}

// Place places an order. The number is given whatever becomes of it: an order that
// breaks a rule of money or the exchange becomes rejected.
func (x *Exchange) Place(now time.Time, p Place) (Number, *Refusal) {
	x.Run(now)
	in, r := x.screen(&p)
	if r != nil {
		return 0, r
	}
	a, known := x.byName[p.Account]
	if known && p.Tag != "" && x.tagged(a, p.Tag) != 0 {
		return 0, &Refusal{TagUsed, "ig", "Client Order Id Error Client OrderID already exists"}
	}
	if r := x.logPlace(&p); r != nil {
		return 0, r
	}
	if !known {
		a = x.accountOf(p.Account)
	}
	return x.place(a, in, &p), nil
}

func invalid(field, text string) *Refusal { return &Refusal{Invalid, field, text} }

// screen refuses what gets no number: fields that make no order.
func (x *Exchange) screen(p *Place) (*instrument, *Refusal) {
	if p.Account == "" {
		return nil, &Refusal{NoAccount, "", "the account is unknown"}
	}
	in := x.find(p.Instrument)
	switch {
	case in == nil || in.Kind == listing.Index:
		return nil, invalid("ts", "please provide valid trading symbol")
	case p.Side != Buy && p.Side != Sell:
		return nil, invalid("tt", "please provide valid transaction type")
	case p.Product < CNC || p.Product > Bracket:
		return nil, invalid("pc", "please provide valid product code")
	case p.Protection < 0 || p.Protection > 100:
		return nil, invalid("mp", "please provide valid market protection")
	case p.StopDistance < 0 || p.StopDistance > maxPrice:
		return nil, invalid("slv", "please provide valid stop loss value")
	case p.TargetDistance < 0 || p.TargetDistance > maxPrice:
		return nil, invalid("sov", "please provide valid square off value")
	case p.Trail < 0 || p.Trail > maxPrice:
		return nil, invalid("tsv", "please provide valid trailing stop loss value")
	case !validTag(p.Tag):
		return nil, invalid("ig", "please provide valid tag: up to 50 printable ASCII characters")
	}
	t := termsOf(p)
	return in, wellFormed(in, &t)
}

func termsOf(p *Place) terms {
	return terms{side: p.Side, kind: p.Type, product: p.Product, validity: p.Validity, price: p.Price, trigger: p.Trigger, quantity: p.Quantity, disclosed: p.Disclosed, amo: p.AfterHours}
}

// Bounds that keep amounts within an int64, and prices in ticks within an int32: of an
// order, and of all that an account has.
const (
	maxPrice    = 1_000_000 * listing.Rupee
	maxQuantity = 10_000_000
	maxAmount   = 1 << 60
	maxFunds    = 1 << 56
)

// wellFormed refuses terms that make no order.
func wellFormed(in *instrument, t *terms) *Refusal {
	priced := t.kind == Limit || t.kind == Stop
	switch {
	case t.kind < Limit || t.kind > StopMarket:
		return invalid("pt", "please provide valid price type")
	case t.validity != Day && t.validity != IOC:
		return invalid("rt", "please provide valid retention type")
	case t.quantity <= 0 || t.quantity > maxQuantity:
		return invalid("qt", "please provide valid quantity")
	case t.quantity%in.Lot != 0:
		return invalid("qt", "please provide valid lotwise quantity")
	case t.price < 0 || t.price > maxPrice || priced && t.price == 0:
		return invalid("pr", "please provide valid price")
	case t.trigger < 0 || t.trigger > maxPrice || t.trigger == 0 && (t.kind == Stop || t.kind == StopMarket):
		return invalid("tp", "please provide valid trigger price")
	case t.trigger > 0 && (t.kind == Limit || t.kind == Market) && t.product != Cover:
		return invalid("tp", "please provide valid trigger price: it belongs to SL alone")
	case t.disclosed < 0 || t.disclosed > t.quantity:
		return invalid("dq", "please provide valid disclosed quantity")
	}
	price := max(t.price, t.trigger)
	if t.kind == Market {
		price = maxPrice // it is not known yet
	}
	hi, lo := bits.Mul64(uint64(price), uint64(t.quantity)*uint64(max(1, in.Multiplier*in.GenNum*in.PriceNum)))
	if hi != 0 || lo > maxAmount {
		return invalid("qt", "please provide valid quantity")
	}
	return nil
}

func validTag(tag string) bool {
	if len(tag) > 50 {
		return false
	}
	for k := range len(tag) {
		if tag[k] < ' ' || tag[k] > '~' {
			return false
		}
	}
	return true
}

// newOrder gives an order its number and its first row.
func (x *Exchange) newOrder(a uint32, in *instrument, p *Place) uint32 {
	o, i := x.orders.add()
	x.sequence++
	*o = order{
		number: x.prefix + x.sequence, account: a, instrument: in.index,
		price: p.Price, trigger: p.Trigger, quantity: p.Quantity, kind: p.Type, product: p.Product, source: x.sourceOf(p.Source),
	}
	if p.Side == Sell {
		o.flags |= sells
	}
	if p.Validity == IOC {
		o.flags |= immediate
	}
	if p.AfterHours {
		o.flags |= amo
	}
	x.chain(a, i)
	if p.Tag != "" {
		o.tag, o.tagLen = x.tags.keep(p.Tag), uint8(len(p.Tag))
		x.useTag(i)
	}
	if p.Disclosed > 0 && p.Disclosed < p.Quantity {
		x.rare(o).disclosed = p.Disclosed
	}
	if p.Product == Cover || p.Product == Bracket {
		e := x.rare(o)
		e.stop, e.target, e.trail = p.StopDistance, p.TargetDistance, p.Trail
	}
	x.row(i, PutReceived)
	return i
}

// chain puts an order behind the account's others.
func (x *Exchange) chain(a, i uint32) {
	acc := x.accounts[a]
	if acc.last != 0 {
		x.orders.at(acc.last).next = i
	} else {
		acc.first = i
	}
	acc.last = i
}

// sourceOf returns where a source is kept. Beyond what there is room for on a day, it is
// forgotten: the first place has none.
func (x *Exchange) sourceOf(s string) uint8 {
	for k, have := range x.sources {
		if have == s {
			return uint8(k)
		}
	}
	if len(x.sources) == 255 {
		return 0
	}
	x.sources = append(x.sources, s)
	return uint8(len(x.sources) - 1)
}

// place takes an order that makes sense.
func (x *Exchange) place(a uint32, in *instrument, p *Place) Number {
	i := x.newOrder(a, in, p)
	o := x.orders.at(i)
	x.row(i, ValidationPending)
	t := termsOf(p)
	text := x.check(in, &t)
	if text == "" && !p.Twist.Later {
		text = p.Twist.Reject
	}
	if text != "" {
		x.reject(i, text)
		return o.number
	}
	if p.Twist != (Twist{}) {
		x.twist(o, &p.Twist)
	}
	if o.kind == Market {
		o.flags |= market
	}
	if p.Product == Cover && p.Trigger > 0 && p.Type != Stop {
		o.trigger = 0
		x.rare(o).cover = p.Trigger
	}
	if p.AfterHours {
		if p.Protection > 0 {
			x.rare(o).protection = p.Protection
		}
		x.row(i, AfterMarketReceived)
		return o.number
	}
	x.submit(i, p.Protection)
	x.settle(in)
	return o.number
}

// twist makes an order go wrong.
func (x *Exchange) twist(o *order, t *Twist) {
	if t.Stuck {
		o.flags |= stuck
	}
	if t.Parts > 1 {
		x.rare(o).parts = t.Parts
	}
	if t.Reject != "" {
		x.rare(o).rejection = x.text(t.Reject)
	}
}

// submit sends an order to the exchange once its money is blocked.
func (x *Exchange) submit(i uint32, protection int) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	if o.kind == Market {
		last := x.look(in)
		if last == 0 {
			x.reject(i, "RMS:Rule: Market order is not allowed as there is no last traded price")
			return
		}
		o.kind, o.price = Limit, x.protected(in, o.side(), last, protection)
	}
	if o.kind == StopMarket {
		o.price = x.protected(in, o.side(), o.trigger, protection)
	}
	if o.kind == Stop && ledger.Owned(in.Instrument, o.product) && o.side() == Sell {
		o.flags |= free // its shares are looked for when it is triggered
	}
	if o.flags&(free|blocked) == 0 {
		if need, err := x.accounts[o.account].money.Open(x.openPart(o)); err != nil {
			x.reject(i, x.moneyText(o, need, err))
			return
		}
		o.flags |= blocked
	}
	x.row(i, OpenPending)
	if o.flags&stuck == 0 {
		x.send(i, arrive, version{})
	}
}

// openPart is what the ledger knows of an order: what may still trade.
func (x *Exchange) openPart(o *order) ledger.Order {
	return ledger.Order{Instrument: x.instruments[o.instrument].Instrument, Product: o.product, Buy: o.flags&sells == 0, Price: o.price, Quantity: o.quantity - o.filled}
}

// release frees what an order has blocked.
func (x *Exchange) release(o *order) {
	if o.flags&blocked != 0 {
		x.accounts[o.account].money.Release(x.openPart(o))
		o.flags &^= blocked
	}
}

func (x *Exchange) reject(i uint32, text string) {
	x.rowWith(i, Rejected, reasonArgument, x.text(text))
	x.cover(i)
}

func (x *Exchange) moneyText(o *order, n ledger.Need, err error) string {
	tail := " for entity account-" + x.accounts[o.account].name + " across exchange across segment across product "
	if err == ledger.ErrHoldings {
		return "RMS:Rule: Check T1 holdings including TT/BE/Z/T/TS ,No Holdings Present " + tail
	}
	return "RMS:Margin Exceeds,Cash Available:" + n.Available.Decimals(2) + ",Additional margin required:" + n.Short.Decimals(2) + tail
}

// Margin returns what an order would need. It checks the order as Place does.
func (x *Exchange) Margin(now time.Time, p Place) (Need, *Refusal) {
	x.Run(now)
	in, r := x.screen(&p)
	if r != nil {
		return Need{}, r
	}
	money := ledger.New(x.cfg.Funds, x.basePrice).Account(p.Account)
	if k, ok := x.byName[p.Account]; ok {
		money = x.accounts[k].money
	}
	price := p.Price
	switch p.Type {
	case Market:
		price = x.protected(in, p.Side, x.look(in), p.Protection)
	case StopMarket:
		price = x.protected(in, p.Side, p.Trigger, p.Protection)
	}
	n, err := money.Need(ledger.Order{Instrument: in.Instrument, Product: p.Product, Buy: p.Side == Buy, Price: price, Quantity: p.Quantity})
	if err == ledger.ErrHoldings {
		return n, invalid("qt", "No Holdings Present")
	}
	return n, nil
}

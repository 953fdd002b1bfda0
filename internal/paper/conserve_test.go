package paper

import (
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// held is what somebody has of an instrument under a product.
type held struct {
	owner   string // "" is the house
	key     listing.Key
	product Product // 0: shares in the account
}

// books are everybody's cash and positions, kept from the trades alone: what the accounts
// get and give, the house gives and gets.
type books struct {
	x           *Exchange
	cash        map[string]listing.Price
	closed      map[string]listing.Price // at the end of the last day
	quantity    map[held]int64
	worth       map[held]listing.Price // of a contract, at the last settlement
	instruments map[listing.Key]*listing.Instrument
}

// pay moves money from the house to an account.
func (b *books) pay(account string, amount listing.Price) {
	b.cash[account] += amount
	b.cash[""] -= amount
}

func (b *books) move(h held, quantity int64) {
	b.quantity[h] += quantity
	b.quantity[held{key: h.key}] -= quantity
}

func (b *books) trade(t *Trade) {
	quantity := t.Quantity
	if t.Side == Sell {
		quantity = -quantity
	}
	b.instruments[t.Key] = t.Instrument
	b.move(held{t.Account, t.Key, t.Product}, quantity)
	b.pay(t.Account, -t.Amount(t.Price, quantity))
}

// settle ends a day: contracts and funded shares are marked, expired contracts are paid
// out, shares go to the accounts, and who is short of shares buys them of the house.
func (b *books) settle(d listing.Date) {
	defer func() { b.closed = maps.Clone(b.cash) }()
	for h, n := range b.quantity {
		if h.product == 0 || n == 0 && b.worth[h] == 0 {
			continue
		}
		i := b.instruments[h.key]
		expired := i.Expiry == d
		price := b.x.market.Close(i, d)
		if expired {
			price = b.x.market.Settlement(i)
		}
		value := i.Amount(price, n)
		marked := i.Kind == listing.Future || h.product == MTF
		switch {
		case !i.Segment.Cash() || h.product == MTF:
			if marked || expired {
				b.pay(h.owner, value-b.worth[h])
			}
			delete(b.worth, h)
			delete(b.quantity, h)
			if expired {
				b.quantity[held{key: h.key}] += n
				continue
			}
			to := h
			if to.product != MTF {
				to.product = NRML
			}
			defer func() { // once all are settled: NRML and MIS become one
				b.quantity[to] += n
				if marked {
					b.worth[to] += value
				}
			}()
		case n < 0 && h.product != CNC && h.product != NRML:
			fine := listing.Price((int64(-value)*505 + 999_999) / 1_000_000 * 100)
			b.pay(h.owner, value-fine)
			delete(b.quantity, h)
			b.quantity[held{key: h.key}] += n
		default:
			b.quantity[held{h.owner, h.key, 0}] += n
			delete(b.quantity, h)
		}
	}
}

// catchUp takes the trades and the days that have passed.
func (b *books) catchUp(day listing.Date) {
	for _, e := range b.x.Events() {
		if e.Trade == nil {
			continue
		}
		for d := listing.DateOf(e.Trade.At); day.Before(d); day = day.Add(1) {
			b.settle(day)
		}
		b.trade(e.Trade)
	}
	for ; day.Before(b.x.date); day = day.Add(1) {
		b.settle(day)
	}
}

// check compares the books with what the exchange says.
func (b *books) check(rt *rapid.T, accounts []string, now time.Time, money bool) {
	var cash listing.Price
	for _, c := range b.cash {
		cash += c
	}
	if cash != 0 {
		rt.Fatalf("the books have %s", cash)
	}
	got := map[held]int64{}
	for _, a := range accounts {
		for _, p := range b.x.Positions(now, a) {
			got[held{a, p.Key, p.Product}] += p.Net()
			if p.Segment.Cash() && p.Product != MTF && p.Sold > 0 && ledger.Owned(p.Instrument, p.Product) {
				got[held{a, p.Key, 0}] += p.Sold // the holdings have it taken off already
			}
		}
		for _, h := range b.x.Holdings(now, a) {
			got[held{a, h.Key, 0}] += h.Quantity
		}
		if l := b.x.Limits(now, a); money && l.Cash != b.closed[a] {
			rt.Fatalf("%s has %s, the books %s", a, l.Cash, b.closed[a])
		}
	}
	total := map[listing.Key]int64{}
	for h, n := range b.quantity {
		total[h.key] += n
		if h.owner != "" && got[h] != n {
			rt.Fatalf("%s has %d of %s under %d, the books %d", h.owner, got[h], h.key, h.product, n)
		}
		delete(got, h)
	}
	for h, n := range got {
		if n != 0 {
			rt.Fatalf("%s has %d of %s under %d, the books none", h.owner, n, h.key, h.product)
		}
	}
	for k, n := range total {
		if n != 0 {
			rt.Fatalf("of %s, accounts and house have %d", k, n)
		}
	}
}

// Cash and shares are conserved over all accounts and the house, whose books are kept
// from the trades: to the ten-thousandth of a rupee, over days, expiries and settlements.
func TestExchange_conservesCashAndShares(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDesk(t, Config{Seed: rapid.Uint64Range(0, 20).Draw(rt, "seed"), Funds: 10_000_000 * listing.Rupee})
		tr := newTrader(rt, d)
		share := tr.instruments[0]
		for _, s := range []listing.Segment{listing.Currency, listing.BSEDeriv} {
			tr.instruments = append(tr.instruments, d.contract(s, listing.Future))
		}
		b := &books{x: d.x, cash: map[string]listing.Price{}, quantity: map[held]int64{}, worth: map[held]listing.Price{}, instruments: map[listing.Key]*listing.Instrument{}}
		for _, a := range tr.accounts {
			d.hold(a, share, 100)
			b.pay(a, d.x.Limits(d.now, a).Cash)
			b.move(held{a, share.Key, 0}, 100)
		}
		acts := tr.actions()
		wait := func(to time.Time) {
			day := d.x.date
			b.catchUp(day)
			d.now = to
			d.x.Run(to)
			b.catchUp(day)
			clear(tr.seen)
			var listed []*listing.Instrument
			for _, i := range tr.instruments {
				if _, ok := d.x.list().Find(i.Key); ok {
					listed = append(listed, i)
				}
			}
			tr.instruments = listed
			if day != d.x.date {
				b.check(rt, tr.accounts, d.now, true)
			}
		}
		acts["wait"] = func(rt *rapid.T) {
			wait(d.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, 700 * time.Millisecond, time.Minute, 3 * time.Hour}).Draw(rt, "wait")))
		}
		acts["next day"] = func(rt *rapid.T) {
			days := rapid.SampledFrom([]int{1, 1, 1, 2, 7}).Draw(rt, "days")
			wait(d.x.date.Add(days).Start().Add(10 * time.Hour))
		}
		acts["convert"] = func(rt *rapid.T) {
			a, i, _ := tr.draw()
			from := rapid.SampledFrom([]Product{CNC, MIS, NRML, MTF}).Draw(rt, "from")
			to := rapid.SampledFrom([]Product{CNC, MIS, NRML, MTF}).Draw(rt, "to")
			side := rapid.SampledFrom([]Side{Buy, Sell}).Draw(rt, "side")
			n := i.Lot * rapid.Int64Range(1, 20).Draw(rt, "lots")
			if d.x.Convert(d.now, a, i.Key, side, from, to, n) == nil {
				b.catchUp(d.x.date)
				if side == Sell {
					n = -n
				}
				b.move(held{a, i.Key, from}, -n)
				b.move(held{a, i.Key, to}, n)
			}
		}
		acts[""] = func(rt *rapid.T) {
			b.catchUp(d.x.date)
			b.check(rt, tr.accounts, d.now, false)
		}
		rt.Repeat(acts)
		wait(d.x.date.Add(40).Start())
	})
}

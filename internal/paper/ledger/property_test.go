package ledger_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// goldm is quoted for ten grams, in lots of a hundred.
func goldm() *listing.Instrument {
	i := option(40, listing.Future, 0, far)
	i.Segment, i.Lot, i.GenDen, i.Underlying = listing.MCX, 100, 10, nil
	return i
}

type book struct {
	instrument *listing.Instrument
	product    ledger.Product
}

var books = []book{
	{tcs, ledger.CNC}, {tcs, ledger.NRML}, {tcs, ledger.MIS}, {tcs, ledger.MTF},
	{option(50, listing.Call, 20_500, near), ledger.NRML}, {option(51, listing.Call, 20_700, near), ledger.NRML},
	{option(52, listing.Put, 19_500, far), ledger.NRML}, {option(53, listing.Future, 0, near), ledger.NRML},
	{option(54, listing.Future, 0, far), ledger.MIS}, {goldm(), ledger.NRML},
}

// trader is what the test knows of an account: amounts as fractions, by another way
// than the ledger's.
type trader struct {
	*ledger.Account
	open   []ledger.Order
	spent  *big.Int // by all trades, in ten-thousandths of a rupee
	traded map[book]int64
}

// Random orders, fills and releases: what is used never depends on the way to it, the
// identity of the limits holds to the paisa, positions are the sum of trades, and with
// no open order and no position nothing is used but losses, premiums and shares bought.
func TestLedger_keepsItsIdentities(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := ledger.New(price("3000000"), base)
		a := trader{l.Account("A"), nil, new(big.Int), map[book]int64{}}
		a.Fund(price("3000000"), []ledger.Holding{{Instrument: tcs, Quantity: 500, T1: 100, Cost: price("40000")}})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			a.step(t)
			a.check(t)
		}
		for _, o := range a.open {
			a.Release(o)
		}
		a.open = nil
		a.check(t)
		if a.Limits(base).Orders != 0 {
			t.Fatalf("orders still need %s", a.Limits(base).Orders)
		}
		a.rolls(t, l)
	})
}

func (a *trader) step(t *rapid.T) {
	if len(a.open) > 0 && rapid.Bool().Draw(t, "go on") {
		n := rapid.IntRange(0, len(a.open)-1).Draw(t, "order")
		o := &a.open[n]
		part := *o
		part.Quantity = rapid.Int64Range(1, o.Quantity).Draw(t, "part")
		if rapid.Bool().Draw(t, "fill") {
			at := o.Price + rapid.SampledFrom([]listing.Price{0, 500, 10_000}).Draw(t, "better")*map[bool]listing.Price{true: -1, false: 1}[o.Buy]
			a.Fill(part, at)
			amount := new(big.Int).SetInt64(int64(o.Amount(at, part.Quantity)))
			quantity := part.Quantity
			if !o.Buy {
				amount.Neg(amount)
				quantity = -quantity
			}
			a.spent.Add(a.spent, amount)
			a.traded[book{o.Instrument, o.Product}] += quantity
		} else {
			a.Release(part)
		}
		if o.Quantity -= part.Quantity; o.Quantity == 0 {
			a.open = append(a.open[:n], a.open[n+1:]...)
		}
		return
	}
	b := rapid.SampledFrom(books).Draw(t, "book")
	o := ledger.Order{
		Instrument: b.instrument, Product: b.product, Buy: rapid.Bool().Draw(t, "buy"),
		Price:    listing.Price(rapid.IntRange(20, 2000).Draw(t, "price")) * 10_000,
		Quantity: b.instrument.Lot * rapid.Int64Range(1, 20).Draw(t, "lots"),
	}
	used, net := a.Used(), a.Net()
	need, err := a.Need(o)
	if a.Used() != used || a.Net() != net {
		t.Fatalf("asking changed what is used from %s to %s", used, a.Used())
	}
	got, again := a.Open(o)
	if got != need || (err == nil) != (again == nil) {
		t.Fatalf("asked: %+v %v, opened: %+v %v", need, err, got, again)
	}
	if again == nil {
		a.open = append(a.open, o)
		if need.Order > 0 && a.Net() < 0 {
			t.Fatalf("%+v left %s", need, a.Net())
		}
	} else if a.Used() != used {
		t.Fatalf("a refused order changed what is used")
	}
}

// check compares the account with one that came to the same by itself.
func (a *trader) check(t *rapid.T) {
	l := a.Limits(base)
	sum := l.Orders + l.Delivery + l.Intraday + l.Premium + l.Span + l.Exposure + l.Loss
	if l.Net != l.Cash+l.Pledged-l.Used || l.Used != sum || l.Used < 0 || l.Orders < 0 {
		t.Fatalf("limits: %+v, parts make %s", l, sum)
	}
	if l.Used%100 != 0 {
		t.Fatalf("a part of a paisa is used: %+v", l)
	}
	for _, p := range a.Positions() {
		if b := (book{p.Instrument, p.Product}); a.traded[b] != p.Net() {
			t.Fatalf("%v: net %d, traded %d", p.Key, p.Net(), a.traded[b])
		}
	}
	for _, h := range a.Holdings() {
		if h.Sellable < 0 || h.Cost < 0 || h.Quantity != h.Free+h.T1+h.Pledged {
			t.Fatalf("holding: %+v", h)
		}
	}
}

// rolls ends the day at a price and compares the cash with what was spent: cash and
// positions are worth the same before and after.
func (a *trader) rolls(t *rapid.T, l *ledger.Ledger) {
	settle := listing.Price(rapid.IntRange(1, 3000).Draw(t, "settle")) * 10_000
	shares := int64(500)
	want := new(big.Int).SetInt64(int64(price("3000000")))
	want.Sub(want, a.spent)
	bought := map[book]bool{}
	for _, p := range a.Positions() {
		b := book{p.Instrument, p.Product}
		bought[b] = true
		value := p.Amount(settle, p.Net())
		switch {
		case ledger.Owned(p.Instrument, p.Product):
			shares += p.Net()
		case p.Product == ledger.MIS && p.Segment.Cash():
			if p.Net() > 0 {
				shares += p.Net()
			} else {
				value := new(big.Int).SetInt64(int64(value))
				want.Add(want, value)
				fine := new(big.Int).Mul(value, big.NewInt(505)) // of ten thousand, up to the paisa
				fine.Neg(fine)
				fine.Add(fine, big.NewInt(10_000*100-1)).Div(fine, big.NewInt(10_000*100)).Mul(fine, big.NewInt(100))
				want.Sub(want, fine)
			}
		case !p.Kind.Option():
			want.Add(want, big.NewInt(int64(value)))
		}
	}
	l.Roll(ledger.Settlement{
		Price:   func(*listing.Instrument) listing.Price { return settle },
		Expired: func(*listing.Instrument) bool { return false },
		Base:    base,
	})
	limits := a.Limits(base)
	if want.Cmp(big.NewInt(int64(limits.Cash))) != 0 {
		t.Fatalf("cash %s, want %s ten-thousandths", limits.Cash, want)
	}
	var held int64
	for _, h := range a.Holdings() {
		held += h.Quantity
	}
	if held != shares || limits.Loss != 0 || limits.Delivery != 0 || limits.Premium != 0 {
		t.Fatalf("%d shares, want %d; %+v", held, shares, limits)
	}
	restored := ledger.New(0, base)
	if err := restored.Restore(l.Save(), find); err != nil {
		t.Fatal(err)
	}
	one, two := marshal(l.Save()), marshal(restored.Save())
	if !bytes.Equal(one, two) || restored.Account("A").Limits(base) != limits {
		t.Fatalf("saved %s, restored %s: %+v, %+v", one, two, limits, restored.Account("A").Limits(base))
	}
}

func find(k listing.Key) (*listing.Instrument, bool) {
	for _, b := range books {
		if b.instrument.Key == k {
			return b.instrument, true
		}
	}
	return nil, false
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

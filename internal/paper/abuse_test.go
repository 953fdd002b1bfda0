package paper

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

// change modifies an order: f changes what it is.
func (d *desk) change(account string, n Number, f func(*Change)) *Refusal {
	d.t.Helper()
	o := d.last(account, n)
	c := Change{Account: account, Number: n, Type: o.Type, Validity: o.Validity, Price: o.Price, Trigger: o.Trigger, Quantity: o.Quantity, Disclosed: o.Disclosed}
	f(&c)
	return d.x.Modify(d.now, c)
}

// A sale from holdings that waits as a stop has nothing blocked. Once it is changed to a
// limit order it needs its shares.
func TestModify_stopSaleNeedsSharesOnceItIsALimitOrder(t *testing.T) {
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		d := newDesk(t, Config{Seed: 1, Latency: latency})
		i := d.share()
		d.set(i, "100.00")
		for account, held := range map[string]int64{"A": 0, "B": 9, "C": 10} {
			d.hold(account, i, held)
			n := d.place(account, i, "sell 10 CNC @ 90.00 trigger 90.00")
			d.now = d.now.Add(time.Second)
			if r := d.change(account, n, func(c *Change) { c.Type, c.Price, c.Trigger = Limit, rupees("99.00"), 0 }); r != nil {
				t.Fatal(r)
			}
			d.now = d.now.Add(time.Second)
			want := TriggerPending
			if held == 10 {
				want = Complete
			}
			equal(t, account, d.last(account, n).State, want)
		}
		d.now = d.now.Add(24 * time.Hour)
		equal(t, "cash of who had none to sell", d.x.Limits(d.now, "A").Cash, d.x.cfg.Funds)
	}
}

// A leg closes what its entry filled: no more, and not twice.
func TestLegs_quantityIsTheEntrys(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "100.00")
	d.place("H", i, "sell 10 @ 100.00")
	n := d.place("A", i, "buy 10 BO @ 100.00 stop 5 target 5")
	for _, leg := range []Number{n + 1, n + 2} {
		if r := d.change("A", leg, func(c *Change) { c.Quantity = 1000 }); r != nil {
			t.Fatal(r)
		}
		equal(t, "quantity", d.last("A", leg).Quantity, 10)
	}
	d.place("H", i, "buy 1000 @ 105.00")
	equal(t, "net", d.net("A", i, Bracket), 0)
}

func TestLegs_sweepFillsOneOfThem(t *testing.T) {
	release := map[string]func(d *desk, i *listing.Instrument, stop Number){
		"triggered": func(d *desk, i *listing.Instrument, _ Number) {
			d.place("H", i, "sell 1 @ 94.00")
			d.place("C", i, "buy 1 @ 94.00")
		},
		"changed": func(d *desk, _ *listing.Instrument, stop Number) {
			d.change("A", stop, func(c *Change) { c.Type, c.Price, c.Trigger = Limit, rupees("104.00"), 0 })
		},
	}
	for name, let := range release {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, Config{Seed: 1, NoHouse: true})
			i := d.share()
			d.set(i, "100.00")
			d.place("H", i, "sell 10 @ 100.00")
			n := d.place("A", i, "buy 10 BO @ 100.00 stop 5 target 5")
			let(d, i, n+1)
			equal(t, "the stop rests", d.last("A", n+1).State, Open)
			d.place("H", i, "buy 100 @ 106.00")
			equal(t, "stop", d.last("A", n+1).State, Complete)
			equal(t, "target", d.last("A", n+2).State, Cancelled)
			equal(t, "net", d.net("A", i, Bracket), 0)
		})
	}
}

// Shares sold under CNC have left the holdings: the sale is no short position that could
// be converted.
func TestConvert_saleFromHoldingsStays(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "100.00")
	d.hold("A", i, 10)
	d.place("H", i, "buy 10 @ 100.00")
	d.place("A", i, "sell 10 CNC @ 100.00")
	for _, to := range []Product{MIS, NRML, MTF} {
		if r := d.x.Convert(d.now, "A", i.Key, Sell, CNC, to, 10); r == nil {
			t.Errorf("a sale from holdings became %d", to)
		}
	}
}

func TestResume_tradesTriggerStops(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "100.00")
	s := d.place("A", i, "buy 10 @ 106.00 trigger 105.00")
	d.x.Halt(d.now, i.Key, true)
	b := d.place("B", i, "buy 10 @ 106.00")
	d.place("C", i, "sell 10 @ 106.00")
	d.x.Halt(d.now, i.Key, false)
	equal(t, "met", d.fills("B", b), "10 @ 106.00")
	equal(t, "stop", d.states("A", s), "put order req received, validation pending, open pending, trigger pending, open")
}

// Nobody lends shares for longer than a day: under MTF only what was bought can be sold.
func TestPlace_fundedSharesAreNotSoldShort(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "100.00")
	sell := func(quantity int64, want State) {
		t.Helper()
		p := orderOf("A", i, "sell 1 @ 101.00")
		p.Product, p.Quantity = MTF, quantity
		n, r := d.x.Place(d.now, p)
		if r != nil {
			t.Fatal(r)
		}
		equal(t, "sold", d.last("A", n).State, want)
	}
	sell(1, Rejected)
	d.place("H", i, "sell 10 @ 100.00")
	p := orderOf("A", i, "buy 10 @ 100.00")
	p.Product = MTF
	if _, r := d.x.Place(d.now, p); r != nil {
		t.Fatal(r)
	}
	sell(11, Rejected)
	sell(6, Open)
	sell(5, Rejected) // the open sale counts
	if r := d.x.Convert(d.now, "A", i.Key, Buy, MTF, CNC, 5); r == nil {
		t.Error("what an open sale sells was converted")
	}
	d.now = d.now.Add(24 * time.Hour)
	sell(10, Open) // what was carried too
}

// An order that was under way when the band was moved never rests or fills outside it.
func TestSetBand_strikesOrdersUnderWay(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "100.00")
	d.place("H", i, "sell 2 @ 100.00")
	p := orderOf("A", i, "buy 4 @ 110.00")
	p.Twist.Parts = 2
	n, r := d.x.Place(d.now, p)
	if r != nil {
		t.Fatal(r)
	}
	if r := d.x.SetBand(d.now, i.Key, rupees("90.00"), rupees("105.00")); r != nil {
		t.Fatal(r)
	}
	d.now = d.now.Add(2 * time.Second)
	equal(t, "the second part", d.last("A", n).State, Cancelled)
	d.set(i, "104.00")
	equal(t, "fills", d.fills("A", n), "2 @ 100.00")
}

// Whatever year the clock is set to, histories are right and the log can be read.
func TestExchange_worksInAllYears(t *testing.T) {
	for _, year := range []int{2000, 2019, 2028, 2038, 2056, 2100} {
		var records [][]byte
		now := time.Date(year, 2, 28, 23, 59, 0, 0, listing.India)
		x := New(Config{Seed: 1, Start: now, Funds: 10_000_000 * listing.Rupee})
		d := &desk{t, x, now}
		snapshot := x.Begin()
		x.cfg.Log = func(r []byte) error { records = append(records, slices.Clone(r)); return nil }
		x.cfg.Snapshot = func(s []byte) { snapshot, records = s, nil }
		i := d.share()
		n := d.place("A", i, "buy 10")
		equal(t, "states", d.states("A", n), "put order req received, validation pending, open pending, open, complete")
		equal(t, "year", d.last("A", n).Entered.Year(), year)
		amo := d.place("A", i, "buy 10 AMO")
		for range 2 { // a leap day, if there is one, and the day after it
			d.now = d.now.Add(24 * time.Hour)
			d.place("A", i, "buy 10")
			if h, r := x.History(d.now, "A", amo); r == nil {
				equal(t, "the order of the day before", h[len(h)-1].State, Complete)
			}
			again, err := Restore(Config{}, snapshot)
			if err != nil {
				t.Fatal(year, err)
			}
			for _, r := range records {
				if err := again.Apply(r); err != nil {
					t.Fatal(year, err)
				}
			}
			equal(t, "state from the log", dump(again, d.now), dump(x, d.now))
		}
	}
}

// Somebody who names a new source with each order never has it shown on another's.
func TestPlace_tooManySourcesAreForgotten(t *testing.T) {
	d := newDesk(t, Config{Seed: 1})
	i := d.share()
	d.set(i, "100.00")
	p := orderOf("A", i, "buy 1 @ 90.00")
	for day := range 2 {
		for k := range 300 {
			p.Source = fmt.Sprint(day, " ", k)
			n, r := d.x.Place(d.now, p)
			if r != nil {
				t.Fatal(r)
			}
			if got := d.last("A", n).Source; got != p.Source && (k < 250 || got != "") {
				t.Fatalf("order %d of %q shows %q", k, p.Source, got)
			}
		}
		d.now = d.now.Add(24 * time.Hour)
	}
}

// What was earned with an option comes at the roll: it pays for no other purchase of it.
func TestLimits_profitOfAnOptionPaysForNothing(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.contract(listing.NSEDeriv, listing.Call)
	q, _ := d.x.Quote(d.now, i.Key)
	if r := d.x.SetPrice(d.now, i.Key, q.Last); r != nil {
		t.Fatal(r)
	}
	deal := func(side, other string, lots int64, p listing.Price) {
		d.place("H", i, fmt.Sprintf("%s %d @ %s", other, lots*i.Lot, p))
		d.place("A", i, fmt.Sprintf("%s %d @ %s", side, lots*i.Lot, p))
	}
	used := func(what string, want listing.Price) { t.Helper(); equal(t, what, d.x.Limits(d.now, "A").Used, want) }
	low, high := q.Last, q.Last+200*i.Tick
	deal("sell", "buy", 10, high)
	deal("buy", "sell", 10, low)
	used("after a profit", 0)
	deal("buy", "sell", 1, low)
	used("after a purchase", i.Amount(low, i.Lot))
	deal("sell", "buy", 1, high)
	used("after another profit", 0)
	deal("buy", "sell", 1, high)
	deal("sell", "buy", 1, low)
	used("what was lost of it", 0)
}

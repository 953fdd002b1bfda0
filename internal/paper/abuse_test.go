package paper

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/paper/ledger"
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

// An order that a fault lets fill in parts, and that is changed between them, is in the
// market once.
func TestModify_betweenThePartsOfAnOrder(t *testing.T) {
	for name, change := range map[string]func(*Change){
		"rests": func(c *Change) { c.Price = rupees("99.00") },
		"waits": func(c *Change) { c.Type, c.Price, c.Trigger = Stop, rupees("106.00"), rupees("105.00") },
	} {
		d := newDesk(t, Config{Seed: 1, NoHouse: true})
		i := d.share()
		d.set(i, "100.00")
		d.place("H", i, "sell 3 @ 100.00")
		p := orderOf("A", i, "buy 9 @ 100.00")
		p.Twist.Parts = 3
		n, r := d.x.Place(d.now, p)
		if r != nil {
			t.Fatal(r)
		}
		equal(t, name+": the first part", d.last("A", n).Filled, 3)
		if r := d.change("A", n, change); r != nil {
			t.Fatal(r)
		}
		d.now = d.now.Add(5 * time.Second)
		d.place("H", i, "sell 1 @ 107.00")
		d.place("C", i, "buy 1 @ 107.00")
		d.now = d.now.Add(5 * time.Second)
		d.place("H", i, "sell 20 @ 99.00")
		d.now = d.now.Add(5 * time.Second)
		equal(t, name, d.last("A", n).State, Complete)
		equal(t, name+": net", d.net("A", i, MIS), 9)
	}
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

// An AMO goes in when its contract is not there any more: it is rejected at once, and
// does not vanish at the roll.
func TestPlace_afterMarketOfAnExpiringContractIsRejected(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, Funds: 1 << 50})
	future := d.contract(listing.NSEDeriv, listing.Future)
	q, _ := d.x.Quote(d.now, future.Key)
	p := Place{Account: "A", Instrument: future.Key, Side: Buy, Type: Limit, Product: NRML, Validity: Day, Price: q.Last, Quantity: future.Lot, AfterHours: true}
	n, _ := d.x.Place(d.now, p)
	equal(t, "before", d.last("A", n).State, AfterMarketReceived)
	d.now = future.Expiry.Start().Add(10 * time.Hour)
	q, _ = d.x.Quote(d.now, future.Key)
	p.Price = q.Last
	n, r := d.x.Place(d.now, p)
	if r != nil {
		t.Fatal(r)
	}
	if o := d.last("A", n); o.State != Rejected || !strings.Contains(o.Reason, "expires") {
		t.Errorf("on the last day: %s %q", o.State, o.Reason)
	}
	p.AfterHours = false
	n, _ = d.x.Place(d.now, p)
	if o := d.last("A", n); o.State != Open && o.State != Complete {
		t.Errorf("an order of the day: %s %q", o.State, o.Reason)
	}
}

// Whatever band somebody sets, prices and amounts stay what they are.
func TestPlace_numbersStayWithinBounds(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true, Funds: maxFunds})
	i := d.contract(listing.Currency, listing.Future) // the smallest tick
	high := maxPrice - maxPrice%i.Tick
	if r := d.x.SetBand(d.now, i.Key, i.Tick, high+i.Tick); r == nil {
		t.Error("a band beyond the largest price was set")
	}
	if r := d.x.SetBand(d.now, i.Key, i.Tick, high); r != nil {
		t.Fatal(r)
	}
	d.place("A", i, fmt.Sprintf("sell %d @ %s", i.Lot, high))
	d.place("B", i, fmt.Sprintf("buy %d @ %s", i.Lot, i.Tick))
	q, _ := d.x.Quote(d.now, i.Key)
	equal(t, "ask", q.Asks[0].Price, high)
	equal(t, "bid", q.Bids[0].Price, i.Tick)
	equal(t, "fills", d.fills("B", d.place("B", i, fmt.Sprintf("buy %d @ %s", i.Lot, high))), fmt.Sprintf("%d @ %s", i.Lot, high))

	share := d.share()
	for _, quantity := range []int64{maxQuantity + 1, 1 << 40, 1<<63 - 1, -1 << 63} {
		p := orderOf("A", share, "buy 1")
		p.Quantity = quantity
		if _, r := d.x.Margin(d.now, p); r == nil {
			t.Errorf("Margin takes a quantity of %d", quantity)
		}
		if n, r := d.x.Place(d.now, p); r == nil {
			t.Errorf("order %d of %d", n, quantity)
		}
	}
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Kind == listing.Index {
			continue
		}
		p := Place{Account: "A", Instrument: i.Key, Side: Sell, Type: Market, Product: NRML, Validity: Day, Quantity: maxQuantity / i.Lot * i.Lot}
		need, r := d.x.Margin(d.now, p)
		if r == nil && !i.Segment.Cash() && (need.Order <= 0 || need.Total < need.Order || need.Available != need.Used*-1+d.x.Limits(d.now, "A").Cash) {
			t.Errorf("%s: %+v", i.Name, need)
		}
	}
	var holdings []ledger.Holding
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Kind == listing.Share {
			holdings = append(holdings, ledger.Holding{Instrument: i, Quantity: maxQuantity, Pledged: maxQuantity, Cost: maxFunds})
		}
	}
	if r := d.x.Fund(d.now, "C", maxFunds, holdings); r != nil {
		t.Fatal(r)
	}
	if l := d.x.Limits(d.now, "C"); l.Net <= maxFunds || l.Net != l.Cash+l.Pledged {
		t.Errorf("%+v", l)
	}
	if r := d.x.Fund(d.now, "D", 0, []ledger.Holding{{Instrument: share, Quantity: 1}, {Instrument: share, Quantity: 2}}); r == nil {
		t.Error("a share was held twice")
	}
	if r := d.x.Fund(d.now, "D", maxFunds+1, nil); r == nil {
		t.Error("an account got more than the largest amount")
	}
}

// The market's time does not go back: a command with an earlier time comes now.
func TestRun_timeNeverGoesBack(t *testing.T) {
	d := newDesk(t, Config{Seed: 1})
	i := d.share()
	d.now = d.now.Add(30 * time.Hour)
	first := d.place("A", i, "buy 10 @ 1000.00")
	d.now = d.now.Add(-40 * time.Hour)
	n := d.place("A", i, "buy 10")
	o := d.last("A", n)
	if n != first+1 || o.Entered.Before(start.Add(30*time.Hour)) || o.State != Complete && o.State != Open {
		t.Errorf("%d after %d: %s at %s", n, first, o.State, o.Entered)
	}
	if r := d.x.Cancel(d.now, "A", first, false); r != nil && r.Reason != Final {
		t.Error(r)
	}
	for _, h := range [][]Order{d.history("A", n), d.history("A", first)} {
		for k := 1; k < len(h); k++ {
			if !h[k].Entered.After(h[k-1].Entered) {
				t.Errorf("%s at %s after %s at %s", h[k].State, h[k].Entered, h[k-1].State, h[k-1].Entered)
			}
		}
	}
}

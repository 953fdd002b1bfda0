package paper

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// An order that Margin says fits is accepted, and with a rupee less it is not, whatever
// the account has carried into the day.
func TestMargin_decidesToTheRupee(t *testing.T) {
	decided := 0
	rapid.Check(t, func(rt *rapid.T) {
		var snapshot []byte
		d := newDesk(t, Config{Seed: rapid.Uint64Range(0, 20).Draw(rt, "seed"), Funds: 1 << 50, Snapshot: func(s []byte) { snapshot = s }})
		tr := newTrader(rt, d)
		for range rapid.IntRange(0, 30).Draw(rt, "orders") {
			p := tr.order()
			p.AfterHours = false
			if _, r := d.x.Place(d.now, p); r != nil {
				rt.Fatal(r)
			}
			d.now = d.now.Add(time.Second)
		}
		for range 2 { // the second day makes shares free
			d.now = d.x.date.Add(1).Start().Add(10 * time.Hour)
			d.x.Run(d.now)
		}
		tr.instruments = newTrader(rt, d).instruments
		p := tr.order()
		p.AfterHours = false
		need, refused := d.x.Margin(d.now, p)
		if refused != nil || need.Order <= 0 || p.Type == Stop && p.Side == Sell && ledger.Owned(d.x.find(p.Instrument).Instrument, p.Product) {
			return // nothing to pay
		}
		had := d.x.Limits(d.now, p.Account)
		place := func(less listing.Price) (o Order, funded bool) {
			x, err := Restore(Config{}, snapshot)
			if err != nil {
				rt.Fatal(err)
			}
			c := &desk{t, x, d.now}
			if r := x.Fund(c.now, p.Account, had.Used+need.Order-had.Pledged-less, nil); r != nil {
				return o, false // less than nothing
			}
			n, r := x.Place(c.now, p)
			if r != nil {
				rt.Fatal(r)
			}
			h := c.history(p.Account, n)
			return h[len(h)-1], true
		}
		fits, funded := place(0)
		if !funded {
			return
		}
		if fits.State == Rejected && strings.HasPrefix(fits.Reason, "RMS:Margin Exceeds") {
			rt.Fatalf("%+v needs %s and is rejected: %s", p, need.Order, fits.Reason)
		}
		if fits.State == Rejected {
			return // for another reason
		}
		o, funded := place(listing.Rupee)
		if !funded {
			return
		}
		decided++
		if o.State != Rejected || !strings.HasPrefix(o.Reason, "RMS:Margin Exceeds") {
			rt.Fatalf("%+v needs %s and is accepted with a rupee less: %s %s", p, need.Order, o.State, o.Reason)
		}
	})
	if decided == 0 {
		t.Error("no order was decided by a rupee")
	}
}

func TestPlace_stopMarketWhereItIsAllowed(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true, StopMarket: true})
	i := d.share()
	d.set(i, "100.00")
	p := orderOf("A", i, "buy 10 SL-M")
	p.Trigger = rupees("105.00")
	n, r := d.x.Place(d.now, p)
	if r != nil {
		t.Fatal(r)
	}
	equal(t, "waits", d.states("A", n), received+"trigger pending")
	d.place("H", i, "sell 4 @ 105.50")
	d.print(i, "105.00", 1)
	equal(t, "fills", d.fills("A", n), "4 @ 105.50")
	o := d.last("A", n)
	equal(t, "the rest rests at the protected price", o.State.String()+" "+o.Price.String(), "open 106.05")
	d = newDesk(t, Config{Seed: 1, StopMarket: true})
	option := d.contract(listing.NSEDeriv, listing.Call)
	q, _ := d.x.Quote(d.now, option.Key)
	n, _ = d.x.Place(d.now, Place{Account: "A", Instrument: option.Key, Side: Buy, Type: StopMarket, Product: NRML, Validity: Day, Trigger: q.Last, Quantity: option.Lot})
	equal(t, "an option", d.last("A", n).Reason, "Market order with Algo Id not allowed")
}

// What counts is when the position was opened, not when its row was: nothing squares off
// a position of the day, whatever was there the day before.
func TestPosition_openedAgainStaysOpen(t *testing.T) {
	var snapshot []byte
	var records [][]byte
	d := newDesk(t, Config{Seed: 1, Snapshot: func(s []byte) { snapshot, records = s, nil }, Log: func(r []byte) error { records = append(records, append([]byte(nil), r...)); return nil }})
	i := d.share()
	d.place("A", i, "buy 10")
	d.place("A", i, "sell 10")
	d.now = d.now.Add(25 * time.Hour)
	d.place("A", i, "buy 10")
	d.now = d.now.Add(5 * time.Minute)
	x, err := Restore(Config{}, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := x.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "open", d.net("A", i, MIS), 10)
	equal(t, "after a restart", (&desk{t, x, d.now}).net("A", i, MIS), 10)
}

package paper

import (
	"testing"
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// covered checks that money is blocked for each order that could open or enlarge a
// position. Nothing is for a stop that sells shares from holdings, which looks for them
// when it is triggered, and for a target as long as its stop has the money for both.
func covered(x *Exchange, fail func(string)) {
	for i := uint32(1); i <= x.orders.n; i++ {
		o := x.orders.at(i)
		if o.final() || o.state.beforeMarket() || o.flags&blocked != 0 {
			continue
		}
		if o.flags&free != 0 && o.kind == Stop && o.side() == Sell && ledger.Owned(x.instruments[o.instrument].Instrument, o.product) {
			continue
		}
		if o.flags&free != 0 && x.isLeg(o) {
			if s := x.extras.at(o.extra).sibling; s != 0 && !x.orders.at(s).final() && x.orders.at(s).flags&blocked != 0 && x.orders.at(s).price >= o.price {
				continue
			}
		}
		fail("nothing is blocked for " + x.describe(i))
	}
}

func TestLegs_targetIsCoveredOnceItsStopHasGone(t *testing.T) {
	for name, end := range map[string]func(d *desk, i *listing.Instrument, stop Number){
		"cancelled": func(d *desk, _ *listing.Instrument, stop Number) {
			if r := d.x.Cancel(d.now, "A", stop, false); r != nil {
				d.t.Fatal(r)
			}
		},
		"outside the new band when it is triggered": func(d *desk, i *listing.Instrument, _ Number) {
			if r := d.x.SetBand(d.now, i.Key, rupees("94.80"), rupees("200.00")); r != nil {
				d.t.Fatal(r)
			}
			d.print(i, "95.00", 1)
		},
	} {
		for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
			d := newDesk(t, Config{Seed: 1, NoHouse: true, Latency: latency})
			i := d.share()
			d.set(i, "100.00")
			d.place("H", i, "sell 10 @ 100.00")
			d.now = d.now.Add(time.Second)
			n := d.place("A", i, "buy 10 BO @ 100.00 stop 5 target 5")
			d.now = d.now.Add(time.Second)
			equal(t, name+": target", d.last("A", n+2).State, Open)
			end(d, i, n+1)
			d.now = d.now.Add(time.Second)
			equal(t, name+": stop", d.last("A", n+1).State, Cancelled)
			equal(t, name+": target", d.last("A", n+2).State, Open)
			covered(d.x, func(why string) { t.Error(name, why) })

			// the position goes by another order: the target would open one now
			sold := d.x.Limits(d.now, "A").Orders
			d.place("H", i, "buy 10 @ 100.00")
			d.now = d.now.Add(time.Second)
			d.place("A", i, "sell 10 BO @ 100.00")
			d.now = d.now.Add(time.Second)
			equal(t, name+": net", d.net("A", i, Bracket), 0)
			if l := d.x.Limits(d.now, "A"); l.Orders <= sold || l.Orders == 0 {
				t.Errorf("%s: %s is blocked for a target that opens a position", name, l.Orders)
			}
		}
	}
}

// The leg with the higher price has the money for both, however they are changed.
func TestLegs_dearerOneHasTheMoney(t *testing.T) {
	for _, side := range []string{"buy", "sell"} {
		d := newDesk(t, Config{Seed: 1, NoHouse: true})
		i := d.share()
		d.set(i, "100.00")
		against := map[string]string{"buy": "sell", "sell": "buy"}[side]
		d.place("H", i, against+" 10 @ 100.00")
		n := d.place("A", i, side+" 10 BO @ 100.00 stop 5 target 5")
		d.place("H", i, side+" 10 @ 100.00")
		d.place("A", i, against+" 10 BO @ 100.00") // closes it: the legs would open a position now
		equal(t, "net", d.net("A", i, Bracket), 0)
		stop, target := n+1, n+2
		needs := func(what string, numbers ...Number) {
			t.Helper()
			covered(d.x, func(why string) { t.Error(side, what, why) })
			var want listing.Price
			for _, n := range numbers {
				o := d.last("A", n)
				need, r := d.x.Margin(d.now, Place{Account: "Z", Instrument: i.Key, Side: o.Side, Type: Limit, Product: MIS, Validity: Day, Price: o.Price, Quantity: 10})
				if r != nil {
					t.Fatal(r)
				}
				want = max(want, need.Order)
			}
			equal(t, side+": "+what, d.x.Limits(d.now, "A").Orders, want)
		}
		price := func(n Number, p string) {
			t.Helper()
			if r := d.change("A", n, func(c *Change) { c.Price = rupees(p) }); r != nil {
				t.Fatal(r)
			}
			equal(t, "price", d.last("A", n).Price.String(), p)
		}
		needs("both", stop, target)
		if side == "buy" {
			price(target, "101.00")
			needs("the target is less dear", stop, target)
			price(target, "108.00")
		} else {
			price(target, "97.00")
			needs("the target is cheaper", stop, target)
			price(target, "96.00")
		}
		needs("changed", stop, target)
		if r := d.x.Cancel(d.now, "A", stop, false); r != nil {
			t.Fatal(r)
		}
		needs("the target alone", target)
		price(target, "99.00")
		needs("the target alone, changed", target)
		if r := d.x.Cancel(d.now, "A", target, false); r != nil {
			t.Fatal(r)
		}
		needs("none")
	}
}

func TestModify_coverOrderMovesItsStop(t *testing.T) {
	for _, amo := range []bool{false, true} {
		d := newDesk(t, Config{Seed: 1, NoHouse: true})
		i := d.share()
		d.set(i, "100.00")
		p := orderOf("A", i, "buy 10 CO @ 100.00")
		p.Trigger, p.AfterHours = rupees("95.00"), amo
		n, r := d.x.Place(d.now, p)
		if r != nil {
			t.Fatal(r)
		}
		if r := d.change("A", n, func(c *Change) { c.Trigger = rupees("94.00") }); r != nil {
			t.Fatal(r)
		}
		if amo {
			d.now = d.now.Add(24 * time.Hour)
		}
		d.place("H", i, "sell 10 @ 100.00")
		orders := d.x.Orders(d.now, "A")
		equal(t, "orders", len(orders), 2)
		equal(t, "stop", orders[1].Trigger.String(), "94.00")
	}
}

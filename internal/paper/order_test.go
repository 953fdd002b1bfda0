package paper

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

const received = "put order req received, validation pending, open pending, "

func TestModify_keepsOrLosesPriority(t *testing.T) {
	for _, c := range []struct {
		name   string
		place  string
		change func(*Change)
		keeps  bool
	}{
		{"price", "buy 100 @ 10.00", func(c *Change) { c.Price = rupees("10.05") }, true}, // better than the rest now
		{"price and back", "buy 100 @ 10.05", func(c *Change) { c.Price = rupees("10.00") }, false},
		{"quantity down", "buy 100 @ 10.00", func(c *Change) { c.Quantity = 50 }, true},
		{"quantity up", "buy 100 @ 10.00", func(c *Change) { c.Quantity = 150 }, false},
		{"quantity up, hidden", "buy 100 @ 10.00 shows 20", func(c *Change) { c.Quantity = 150 }, false},
		{"nothing", "buy 100 @ 10.00", func(*Change) {}, true},
		{"shows more", "buy 100 @ 10.00 shows 20", func(c *Change) { c.Disclosed = 40 }, false},
		{"shows less", "buy 100 @ 10.00 shows 40", func(c *Change) { c.Disclosed = 20 }, true},
		{"shows all", "buy 100 @ 10.00 shows 40", func(c *Change) { c.Disclosed = 0 }, false},
		{"hides", "buy 100 @ 10.00", func(c *Change) { c.Disclosed = 20 }, true},
		{"quantity of a market order down", "buy 100", func(c *Change) { c.Price, c.Quantity = 0, 50 }, false},
	} {
		d, i := bare(t)
		n := d.place("A", i, c.place)
		o := d.last("A", n)
		price := o.Price
		ch := Change{Account: "A", Number: n, Type: Limit, Validity: Day, Price: price, Quantity: o.Quantity, Disclosed: o.Disclosed}
		c.change(&ch)
		if ch.Price == 0 {
			ch.Price = price
		}
		rival := d.place("B", i, fmt.Sprintf("buy 100 @ %s", min(ch.Price, price)))
		if r := d.x.Modify(d.now, ch); r != nil {
			t.Fatal(c.name, r)
		}
		want := strings.Replace(received+"open, modify validation pending, modify pending, modified, open", "x", "", 1)
		equal(t, c.name+": history", d.states("A", n), want)
		d.place("S", i, fmt.Sprintf("sell 10 @ %s", min(ch.Price, price)))
		equal(t, c.name+": first", d.last("A", n).Filled == 10, c.keeps)
		equal(t, c.name+": second", d.last("B", rival).Filled == 10, !c.keeps)
	}
}

func TestModify_refusedLeavesTheOrder(t *testing.T) {
	d, i := bare(t)
	d.place("S", i, "sell 40 @ 10.00")
	n := d.place("A", i, "buy 100 @ 10.00")
	equal(t, "history", d.states("A", n), received+"open, open 40")
	for _, c := range []Change{
		{Type: Limit, Price: rupees("1000.00"), Quantity: 100}, // band
		{Type: Limit, Price: rupees("10.01"), Quantity: 100},   // tick
		{Type: Limit, Price: rupees("10.00"), Quantity: 40},    // filled
		{Type: Limit, Price: rupees("10.00"), Quantity: 9_000_000},
		{Type: StopMarket, Trigger: rupees("10.00"), Quantity: 100},
	} {
		c.Account, c.Number, c.Validity = "A", n, Day
		if r := d.x.Modify(d.now, c); r != nil {
			t.Fatal(r)
		}
		h := d.history("A", n)
		h = h[len(h)-3:]
		equal(t, "rows", fmt.Sprint(h[0].State, ", ", h[1].State, ", ", h[2].State), "modify validation pending, not modified, open")
		if h[0].Reason != "" || h[1].Reason == "" || h[2].Reason != h[1].Reason {
			t.Errorf("reasons %q, %q, %q", h[0].Reason, h[1].Reason, h[2].Reason)
		}
		equal(t, "price", h[2].Price.String(), "10.00")
		equal(t, "quantity", h[2].Quantity, 100)
		equal(t, "filled", h[2].Filled, 40)
		equal(t, "changes", h[2].Modified, 0)
	}
}

func TestModify_stopKeepsItsTrigger(t *testing.T) {
	d, i := bare(t)
	n := d.place("A", i, "buy 10 @ 10.20 trigger 10.10")
	if r := d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Stop, Validity: Day, Price: rupees("10.30"), Trigger: rupees("10.15"), Quantity: 20}); r != nil {
		t.Fatal(r)
	}
	equal(t, "history", d.states("A", n), received+"trigger pending, modify validation pending, modify pending, modified, trigger pending")
	d.print(i, "10.10", 1)
	equal(t, "at the old trigger", d.last("A", n).State, TriggerPending)
	if r := d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Limit, Validity: Day, Price: rupees("9.00"), Quantity: 20}); r != nil {
		t.Fatal(r)
	}
	equal(t, "a limit order now", d.last("A", n).State, Open)
	d.print(i, "11.00", 1)
	equal(t, "state", d.last("A", n).State, Open)
	if r := d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Stop, Validity: Day, Price: rupees("11.20"), Trigger: rupees("11.10"), Quantity: 20}); r != nil {
		t.Fatal(r)
	}
	equal(t, "a stop again", d.last("A", n).State, TriggerPending)
	d.print(i, "11.10", 1)
	equal(t, "triggered", d.last("A", n).State, Open)
}

func TestCancel_endsWhatRests(t *testing.T) {
	d, i := bare(t)
	n := d.place("A", i, "buy 100 @ 10.00 tag mine")
	d.place("S", i, "sell 30 @ 10.00")
	if r := d.x.Cancel(d.now, "A", n, true); r == nil || r.Reason != NotAMO {
		t.Errorf("cancelled as an AMO: %v", r)
	}
	if r := d.x.Cancel(d.now, "B", n, false); r == nil || r.Reason != Invalid || r.Field != "no" {
		t.Errorf("cancelled by another account: %v", r)
	}
	if r := d.x.Cancel(d.now, "A", n, false); r != nil {
		t.Fatal(r)
	}
	equal(t, "history", d.states("A", n), received+"open, open 30, cancel pending, cancelled")
	o := d.last("A", n)
	equal(t, "cancelled", o.Cancelled, 70)
	equal(t, "tag", o.Tag, fmt.Sprintf("mine-%d", o.Entered.Unix()))
	equal(t, "first tag", d.history("A", n)[0].Tag, "mine")
	for _, r := range []*Refusal{
		d.x.Cancel(d.now, "A", n, false),
		d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Limit, Validity: Day, Price: rupees("10.00"), Quantity: 200}),
	} {
		if r == nil || r.Reason != Final {
			t.Errorf("after it was cancelled: %v", r)
		}
	}
	equal(t, "used", d.x.Limits(d.now, "A").Orders, 0)
}

func TestPlace_tagIsUsedOnce(t *testing.T) {
	d, i := bare(t)
	n := d.place("A", i, "buy 100 @ 10.00 tag mine")
	d.place("B", i, "buy 100 @ 10.00 tag mine")
	again := func() *Refusal { _, r := d.x.Place(d.now, orderOf("A", i, "buy 1 @ 9.00 tag mine")); return r }
	if r := again(); r == nil || r.Reason != TagUsed {
		t.Errorf("the tag was used twice: %v", r)
	}
	if r := d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Limit, Validity: Day, Price: rupees("9.00"), Quantity: 100}); r != nil {
		t.Fatal(r)
	}
	o := d.last("A", n)
	equal(t, "tag after a change", o.Tag, fmt.Sprintf("%d-%d-A-ADMINAPI", o.Entered.Unix(), n))
	equal(t, "first tag", o.FirstTag, "mine")
	if r := again(); r == nil {
		t.Error("the tag can be used again after a change")
	}
	rejected := d.place("A", i, "buy 1 @ 9.01 tag bad")
	equal(t, "state", d.last("A", rejected).State, Rejected)
	if _, r := d.x.Place(d.now, orderOf("A", i, "buy 1 @ 9.00 tag bad")); r == nil {
		t.Error("the tag of a rejected order can be used again")
	}
	if _, r := d.x.Place(d.now, orderOf("A", i, "buy 0 @ 9.00 tag new")); r == nil || r.Field != "qt" {
		t.Error(r)
	}
	d.place("A", i, "buy 1 @ 9.00 tag new")
	d.now = d.now.Add(24 * time.Hour)
	q, _ := d.x.Quote(d.now, i.Key)
	p := orderOf("A", i, "buy 1 @ 9.00 tag mine")
	p.Price = q.BandLow
	if _, r := d.x.Place(d.now, p); r != nil {
		t.Errorf("on the next day: %v", r)
	}
}

func TestPlace_refusesAtOnce(t *testing.T) {
	d, i := bare(t)
	option := d.contract(listing.NSEDeriv, listing.Call)
	for _, c := range []struct {
		field string
		p     Place
	}{
		{"qt", orderOf("A", i, "buy 0 @ 10.00")},
		{"qt", orderOf("A", i, "buy -1 @ 10.00")},
		{"qt", orderOf("A", i, "buy 9000000000000000000 @ 10.00")},
		{"qt", orderOf("A", option, "buy 1 @ 10.00")},
		{"pr", orderOf("A", i, "buy 1 @ 0")},
		{"tp", orderOf("A", i, "buy 1 @ 10.00 trigger 0")},
		{"tp", Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Limit, Product: MIS, Validity: Day, Price: rupees("10.00"), Trigger: rupees("9.00"), Quantity: 1}},
		{"dq", orderOf("A", i, "buy 1 @ 10.00 shows 2")},
		{"ig", Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Market, Product: MIS, Validity: Day, Quantity: 1, Tag: "a\n"}},
		{"ig", Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Market, Product: MIS, Validity: Day, Quantity: 1, Tag: strings.Repeat("a", 51)}},
		{"mp", Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Market, Product: MIS, Validity: Day, Quantity: 1, Protection: 101}},
		{"ts", Place{Account: "A", Side: Buy, Type: Market, Product: MIS, Validity: Day, Quantity: 1}},
		{"tt", Place{Account: "A", Instrument: i.Key, Type: Market, Product: MIS, Validity: Day, Quantity: 1}},
		{"pt", Place{Account: "A", Instrument: i.Key, Side: Buy, Product: MIS, Validity: Day, Quantity: 1}},
		{"pc", Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Market, Validity: Day, Quantity: 1}},
		{"rt", Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Market, Product: MIS, Quantity: 1}},
	} {
		n, r := d.x.Place(d.now, c.p)
		if r == nil || r.Reason != Invalid || r.Field != c.field || n != 0 {
			t.Errorf("%s of %+v: number %d, %v", c.field, c.p, n, r)
		}
	}
	equal(t, "orders", len(d.x.Orders(d.now, "A")), 0)
}

func TestPlace_rejectsWithANumber(t *testing.T) {
	d, i := bare(t)
	d.hold("H", i, 10)
	if r := d.x.Fund(d.now, "Z", rupees("4.04"), nil); r != nil {
		t.Fatal(r)
	}
	option := d.contract(listing.NSEDeriv, listing.Call)
	q, _ := d.x.Quote(d.now, option.Key)
	stop := Place{Account: "A", Instrument: option.Key, Side: Buy, Type: StopMarket, Product: NRML, Validity: Day, Trigger: q.Last, Quantity: option.Lot}
	for _, c := range []struct {
		p    Place
		text string
	}{
		{orderOf("A", i, "buy 1 @ 10.01"), "16283 : Order price is not a multiple of tick size  "},
		{orderOf("A", i, "buy 1 @ 100.05"), "circuit limit"},
		{stop, "Market order with Algo Id not allowed"},
		{orderOf("A", i, "buy 1 @ 10.00 trigger 10.05"), "Trigger price"},
		{orderOf("A", i, "buy 1 @ 20.00 trigger 10.05"), "more than"},
		{orderOf("A", i, "buy 100 @ 10.00 shows 9"), "Disclosed"},
		{orderOf("A", i, "buy 100 @ 10.00 shows 20 IOC"), "Disclosed"},
		{orderOf("A", i, "buy 100 @ 10.20 trigger 10.10 shows 20"), "Disclosed"},
		{orderOf("A", i, "buy 100 @ 10.20 trigger 10.10 IOC"), "IOC"},
		{orderOf("A", option, fmt.Sprintf("buy %d @ %s CNC", option.Lot, q.Last)), "product"},
		{orderOf("Z", i, "buy 100 @ 10.00 CNC"), "RMS:Margin Exceeds,Cash Available:4.04,Additional margin required:995.96 for entity account-Z across exchange across segment across product "},
		{orderOf("H", i, "sell 11 @ 10.00 CNC"), "RMS:Rule: Check T1 holdings including TT/BE/Z/T/TS ,No Holdings Present  for entity account-H across exchange across segment across product "},
	} {
		n, r := d.x.Place(d.now, c.p)
		if r != nil {
			t.Errorf("%s: %v", c.text, r)
			continue
		}
		o := d.last(c.p.Account, n)
		if o.State != Rejected || !strings.Contains(o.Reason, c.text) || o.Exchange != "" {
			t.Errorf("%s: %s %q, exchange number %q", c.text, o.State, o.Reason, o.Exchange)
		}
		equal(t, "history", d.states(c.p.Account, n), "put order req received, validation pending, rejected")
	}
	n := d.place("H", i, "sell 10 @ 10.00 CNC")
	equal(t, "what is held can be sold", d.last("H", n).State, Open)
	n = d.place("H", i, "sell 10 @ 9.85 trigger 9.90 CNC")
	equal(t, "a stop rests without shares", d.last("H", n).State, TriggerPending)
	d.print(i, "9.90", 1)
	equal(t, "and is rejected when it is triggered", d.last("H", n).State, Rejected)
}

func TestPlace_immediateOrCancel(t *testing.T) {
	d, i := bare(t)
	d.place("S", i, "sell 30 @ 10.00")
	n := d.place("A", i, "buy 100 @ 10.00 IOC")
	equal(t, "history", d.states("A", n), received+"open, open 30, cancelled")
	o := d.last("A", n)
	equal(t, "cancelled", o.Cancelled, 70)
	if o.Remark == "" || o.Reason != "" {
		t.Errorf("remark %q, reason %q", o.Remark, o.Reason)
	}
	equal(t, "used", d.x.Limits(d.now, "A").Orders, 0)
}

func TestPlace_ownOrdersDoNotTrade(t *testing.T) {
	d, i := bare(t)
	d.place("B", i, "sell 10 @ 10.00")
	rests := d.place("A", i, "sell 10 @ 10.00")
	n := d.place("A", i, "buy 30 @ 10.00")
	equal(t, "the new one", d.states("A", n), received+"open, open 10, cancelled")
	equal(t, "the old one", d.last("A", rests).State, Open)

	d = newDesk(t, Config{Seed: 1, NoHouse: true, CancelPassive: true})
	d.set(i, "10.00")
	rests = d.place("A", i, "sell 10 @ 10.00")
	d.place("B", i, "sell 10 @ 10.00")
	n = d.place("A", i, "buy 30 @ 10.00")
	equal(t, "the new one", d.states("A", n), received+"open, open 10")
	equal(t, "the old one", d.states("A", rests), received+"open, cancelled")
}

func TestPlace_disclosedPartIsShownAndFilledAgain(t *testing.T) {
	d, i := bare(t)
	n := d.place("A", i, "sell 100 @ 10.00 shows 20")
	d.place("B", i, "sell 10 @ 10.00")
	q, _ := d.x.Quote(d.now, i.Key)
	equal(t, "shown", q.Asks[0], Level{rupees("10.00"), 30, 2})
	m := d.place("C", i, "buy 40 @ 10.00")
	equal(t, "fills", d.fills("C", m), "20 @ 10.00, 10 @ 10.00, 10 @ 10.00")
	equal(t, "filled", d.last("A", n).Filled, 30)
	q, _ = d.x.Quote(d.now, i.Key)
	equal(t, "shown", q.Asks[0], Level{rupees("10.00"), 10, 1})
}

func TestPlace_afterMarketRestsUntilTheRoll(t *testing.T) {
	d, i := bare(t)
	n := d.place("A", i, "buy 10 AMO tag mine")
	equal(t, "history", d.states("A", n), "put order req received, validation pending, after market order req received")
	gone := d.place("A", i, "buy 10 AMO")
	if r := d.x.Cancel(d.now, "A", gone, false); r == nil || r.Reason != NotAMO {
		t.Error(r)
	}
	if r := d.x.Cancel(d.now, "A", gone, true); r != nil {
		t.Fatal(r)
	}
	equal(t, "cancelled", d.states("A", gone), "put order req received, validation pending, after market order req received, cancelled after market order")
	changed := d.place("A", i, "buy 10 @ 10.00 AMO")
	if r := d.x.Modify(d.now, Change{Account: "A", Number: changed, Type: Limit, Validity: Day, Price: rupees("10.05"), Quantity: 20}); r != nil {
		t.Fatal(r)
	}
	equal(t, "changed", d.states("A", changed), "put order req received, validation pending, after market order req received, modify after market order req received")
	d.now = d.now.Add(14 * time.Hour)
	equal(t, "on the next day", d.states("A", n), "put order req received, validation pending, after market order req received, open pending, open")
	o := d.last("A", n)
	equal(t, "type", o.Type, Limit)
	equal(t, "went in", o.Entered.Format(time.TimeOnly), "00:00:00")
	equal(t, "first tag", o.FirstTag, "mine")
	h := d.history("A", changed)
	equal(t, "price of the first row", h[0].Price.String(), "10.00")
	equal(t, "price", h[len(h)-1].Price.String(), "10.05")
	equal(t, "state", h[len(h)-1].State, Open)
	equal(t, "orders", len(d.x.Orders(d.now, "A")), 2)
	m := d.place("A", i, "buy 10 @ 10.00")
	if m <= n || d.last("A", m).Number != m {
		t.Errorf("the next day's first number is %d", m)
	}
}

func TestBracket_oneLegEndsTheOther(t *testing.T) {
	d, i := bare(t)
	d.place("M", i, "sell 100 @ 10.00")
	n := d.place("A", i, "buy 100 @ 10.00 BO stop 0.50 target 0.50")
	equal(t, "entry", d.last("A", n).State, Complete)
	orders := d.x.Orders(d.now, "A")
	equal(t, "orders", len(orders), 3)
	stop, target := orders[1], orders[2]
	equal(t, "stop", fmt.Sprint(stop.State, stop.Trigger, stop.Quantity, stop.Side), fmt.Sprint(TriggerPending, rupees("9.50"), 100, Sell))
	equal(t, "target", fmt.Sprint(target.State, target.Price, target.Quantity), fmt.Sprint(Open, rupees("10.50"), 100))
	d.place("M", i, "buy 40 @ 10.50")
	equal(t, "stop after a part of the target", d.last("A", stop.Number).Quantity, 60)
	d.print(i, "10.55", 1)
	equal(t, "target", d.last("A", target.Number).State, Complete)
	equal(t, "stop", d.last("A", stop.Number).State, Cancelled)
	equal(t, "net", d.net("A", i, Bracket), 0)
	if r := d.x.Exit(d.now, "A", n); r == nil || r.Reason != Final {
		t.Errorf("exit of what is closed: %v", r)
	}
	equal(t, "blocked", d.x.Limits(d.now, "A").Orders, 0)
}

func TestExit_closesOnce(t *testing.T) {
	d, i := bare(t)
	d.place("M", i, "sell 60 @ 10.00")
	n := d.place("A", i, "buy 100 @ 10.00 CO stop 0.50")
	equal(t, "entry", d.last("A", n).Filled, 60)
	d.place("N", i, "buy 100 @ 9.95")
	if r := d.x.Exit(d.now, "A", n); r != nil {
		t.Fatal(r)
	}
	equal(t, "entry", d.last("A", n).State, Cancelled)
	equal(t, "net", d.net("A", i, Cover), 0)
	if r := d.x.Exit(d.now, "A", n); r == nil || r.Reason != Final {
		t.Errorf("the second exit: %v", r)
	}
	other := d.place("A", i, "buy 1 @ 9.00")
	if r := d.x.Exit(d.now, "A", other); r == nil || r.Reason != NotAMO {
		t.Errorf("exit of another order: %v", r)
	}
}

func TestBracket_stopTrails(t *testing.T) {
	d, i := bare(t)
	d.place("M", i, "sell 100 @ 10.00")
	d.place("A", i, "buy 100 @ 10.00 BO stop 0.50 target 5.00 trail 0.10")
	stop := d.x.Orders(d.now, "A")[1].Number
	d.print(i, "10.30", 1)
	equal(t, "trigger", d.last("A", stop).Trigger.String(), "9.80")
	d.print(i, "10.00", 1)
	equal(t, "trigger", d.last("A", stop).Trigger.String(), "9.80")
	equal(t, "state", d.last("A", stop).State, TriggerPending)
	d.print(i, "9.80", 1)
	equal(t, "state", d.last("A", stop).State, Open)
}

func TestLatency_oneOutcomeForARace(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true, Latency: 100 * time.Millisecond})
	i := d.share()
	d.set(i, "10.00")
	n := d.place("A", i, "buy 100 @ 10.00")
	equal(t, "under way", d.last("A", n).State, OpenPending)
	d.now = d.now.Add(100 * time.Millisecond)
	equal(t, "arrived", d.last("A", n).State, Open)
	d.place("S", i, "sell 100 @ 10.00")
	d.now = d.now.Add(50 * time.Millisecond)
	if r := d.x.Cancel(d.now, "A", n, false); r != nil {
		t.Fatal(r)
	}
	equal(t, "cancel under way", d.last("A", n).State, CancelPending)
	d.now = d.now.Add(time.Second)
	equal(t, "history", d.states("A", n), received+"open, cancel pending, not cancelled, complete")
	n = d.place("A", i, "buy 100 @ 10.00")
	d.now = d.now.Add(time.Second)
	if r := d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Limit, Validity: Day, Price: rupees("9.95"), Quantity: 50}); r != nil {
		t.Fatal(r)
	}
	if r := d.x.Cancel(d.now, "A", n, false); r == nil {
		t.Error("cancelled while a change is under way")
	}
	d.now = d.now.Add(time.Second)
	equal(t, "history", d.states("A", n), received+"open, modify validation pending, modify pending, modified, open")
	equal(t, "quantity", d.last("A", n).Quantity, 50)
}

func TestPlace_twistOfAnAfterMarketOrderHolds(t *testing.T) {
	d, i := bare(t)
	p := orderOf("A", i, "buy 100 AMO")
	p.Twist = Twist{Reject: "because", Later: true}
	n, r := d.x.Place(d.now, p)
	if r != nil {
		t.Fatal(r)
	}
	d.now = d.now.Add(24 * time.Hour)
	o := d.last("A", n)
	equal(t, "on the next day", o.State.String()+" "+o.Reason, "rejected because")
}

func TestPlace_twists(t *testing.T) {
	d, i := bare(t)
	d.place("M", i, "sell 1000 @ 10.00")
	twisted := func(w Twist) Number {
		p := orderOf("A", i, "buy 100 @ 10.00")
		p.Twist = w
		n, r := d.x.Place(d.now, p)
		if r != nil {
			t.Fatal(r)
		}
		return n
	}
	n := twisted(Twist{Reject: "because"})
	equal(t, "rejected", d.last("A", n).Reason, "because")
	n = twisted(Twist{Reject: "because", Later: true})
	equal(t, "rejected later", d.states("A", n), received+"open, rejected")
	n = twisted(Twist{Stuck: true})
	equal(t, "stuck", d.last("A", n).State, OpenPending)
	if r := d.x.Cancel(d.now, "A", n, false); r != nil {
		t.Error(r)
	}
	n = twisted(Twist{Parts: 3})
	equal(t, "the first part", d.fills("A", n), "33 @ 10.00")
	d.now = d.now.Add(2 * time.Second)
	equal(t, "all", d.fills("A", n), "33 @ 10.00, 33 @ 10.00, 34 @ 10.00")
	equal(t, "state", d.last("A", n).State, Complete)
	equal(t, "blocked", d.x.Limits(d.now, "A").Orders, 0)
}

func TestEvents_oneForEachRow(t *testing.T) {
	d, i := bare(t)
	d.x.Events()
	d.place("S", i, "sell 10 @ 10.00")
	d.place("S", i, "sell 10 @ 10.05")
	n := d.place("A", i, "buy 20 @ 10.05")
	var rows, positions []string
	for _, e := range d.x.Events() {
		if (e.Order == nil) == (e.Position == nil) || e.Trade != nil && e.Order == nil {
			t.Errorf("event %+v", e)
		}
		if e.Order != nil && e.Order.Number == n {
			rows = append(rows, fmt.Sprint(e.Order.State, " ", e.Order.Filled, " ", e.Trade != nil))
		}
		if e.Position != nil {
			positions = append(positions, fmt.Sprint(e.Account, e.Position.Net()))
		}
	}
	equal(t, "rows", strings.Join(rows, ", "), "put order req received 0 false, validation pending 0 false, open pending 0 false, open 0 false, open 10 true, complete 20 true")
	equal(t, "positions", strings.Join(positions, ", "), "A20, S-20")
	equal(t, "told twice", len(d.x.Events()), 0)
}

func TestHistory_timesRise(t *testing.T) {
	d, i := bare(t)
	n := d.place("A", i, "buy 20 @ 10.00")
	var last time.Time
	for k, o := range d.history("A", n) {
		if !o.Entered.After(last) {
			t.Errorf("row %d was made at %v, the one before at %v", k, o.Entered, last)
		}
		last = o.Entered
		equal(t, "exchange number", o.Exchange != "", o.State == Open)
		equal(t, "confirmed", o.Confirmed.IsZero(), o.State != Open)
	}
}

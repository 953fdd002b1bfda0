package paper

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// next says what may follow a state in an order's history.
var next = map[State][]State{
	PutReceived:               {ValidationPending},
	ValidationPending:         {OpenPending, Rejected, AfterMarketReceived},
	OpenPending:               {Open, TriggerPending, Rejected, ModifyValidationPending, CancelPending, Cancelled},
	Open:                      {Open, Complete, Cancelled, Rejected, ModifyValidationPending, CancelPending, Modified, NotModified, NotCancelled, ModifyPending},
	TriggerPending:            {Open, Rejected, Cancelled, ModifyValidationPending, CancelPending, Modified, NotModified, NotCancelled},
	ModifyValidationPending:   {ModifyPending, NotModified},
	ModifyPending:             {Modified, NotModified, Open, Cancelled, Rejected, TriggerPending, OpenPending},
	Modified:                  {Open, TriggerPending, OpenPending},
	NotModified:               {Open, TriggerPending, OpenPending, AfterMarketReceived, ModifyAfterMarketReceived, Complete, Cancelled, Rejected, CancelPending},
	CancelPending:             {Cancelled, NotCancelled, Open, TriggerPending, Rejected, Modified},
	NotCancelled:              {Complete, Cancelled, Rejected},
	AfterMarketReceived:       {ModifyAfterMarketReceived, ModifyValidationPending, CancelledAfterMarket, OpenPending, Rejected},
	ModifyAfterMarketReceived: {ModifyAfterMarketReceived, ModifyValidationPending, CancelledAfterMarket, OpenPending, Rejected},
}

// trader draws commands.
type trader struct {
	*desk
	rt          *rapid.T
	instruments []*listing.Instrument
	accounts    []string
	numbers     map[string][]Number
	seen        map[Number]Order // final orders, as they were
	commands    int
	converted   bool // positions have moved between products
}

func newTrader(t *rapid.T, d *desk) *trader {
	tr := &trader{desk: d, rt: t, accounts: []string{"A", "B", "C"}, numbers: map[string][]Number{}, seen: map[Number]Order{}}
	tr.instruments = []*listing.Instrument{d.share(), d.contract(listing.NSEDeriv, listing.Future), d.contract(listing.NSEDeriv, listing.Call), d.contract(listing.MCX, listing.Future)}
	return tr
}

func (tr *trader) draw() (string, *listing.Instrument, listing.Price) {
	a := rapid.SampledFrom(tr.accounts).Draw(tr.rt, "account")
	listed := slices.DeleteFunc(slices.Clone(tr.instruments), func(i *listing.Instrument) bool { // a contract expires, a share does not
		_, ok := tr.x.Quote(tr.now, i.Key)
		return !ok
	})
	i := rapid.SampledFrom(listed).Draw(tr.rt, "instrument")
	q, _ := tr.x.Quote(tr.now, i.Key)
	p := i.Floor(q.Last) + i.Tick*listing.Price(rapid.IntRange(-8, 8).Draw(tr.rt, "ticks"))
	return a, i, max(p, i.Tick)
}

func (tr *trader) order() Place {
	a, i, price := tr.draw()
	p := Place{
		Account: a, Instrument: i.Key, Side: rapid.SampledFrom([]Side{Buy, Sell}).Draw(tr.rt, "side"), Product: NRML, Validity: Day,
		Type: rapid.SampledFrom([]PriceType{Limit, Limit, Limit, Market, Stop}).Draw(tr.rt, "type"), Quantity: i.Lot * rapid.Int64Range(1, 60).Draw(tr.rt, "lots"),
	}
	if i.Segment.Cash() {
		p.Product = rapid.SampledFrom([]Product{MIS, CNC, Bracket, Bracket, Cover, NRML, MTF}).Draw(tr.rt, "product")
	}
	if p.Type != Market {
		p.Price = price
	}
	if p.Type == Stop {
		p.Trigger = max(i.Tick, price-i.Tick*listing.Price(rapid.IntRange(0, 3).Draw(tr.rt, "gap")))
		if p.Side == Sell {
			p.Price, p.Trigger = p.Trigger, p.Price
		}
	}
	if p.Product == Cover || p.Product == Bracket {
		p.StopDistance, p.TargetDistance = 5*i.Tick, 5*i.Tick
		p.Trail = i.Tick * listing.Price(rapid.IntRange(0, 2).Draw(tr.rt, "trail"))
	}
	p.AfterHours = rapid.IntRange(0, 15).Draw(tr.rt, "amo") == 0
	if rapid.IntRange(0, 7).Draw(tr.rt, "ioc") == 0 {
		p.Validity = IOC
	}
	if i.Segment.Cash() && rapid.IntRange(0, 3).Draw(tr.rt, "dq") == 0 {
		p.Disclosed = (p.Quantity + 3) / 4
	}
	if rapid.IntRange(0, 11).Draw(tr.rt, "twist") == 0 {
		p.Twist = rapid.SampledFrom([]Twist{{Parts: 3}, {Reject: "because", Later: true}, {Stuck: true}}).Draw(tr.rt, "what")
	}
	return p
}

func (tr *trader) place(*rapid.T) {
	p := tr.order()
	need, refused := tr.x.Margin(tr.now, p)
	n, r := tr.x.Place(tr.now, p)
	if r != nil {
		tr.rt.Fatalf("%+v: %v", p, r)
	}
	tr.commands++
	tr.numbers[p.Account] = append(tr.numbers[p.Account], n)
	o := tr.last(p.Account, n)
	money := o.State == Rejected && len(o.Reason) > 18 && (o.Reason[:18] == "RMS:Margin Exceeds" || o.Reason[:14] == "RMS:Rule: Chec" && o.Reason[14:30] == "k T1 holdings in")
	if fits := refused == nil && need.Short == 0; !p.AfterHours && fits == money && (o.State != Rejected || money) && !(p.Type == Stop && ledger.Owned(tr.x.find(p.Instrument).Instrument, p.Product)) {
		tr.rt.Fatalf("Margin says %+v, %v; the order became %s: %s", need, refused, o.State, o.Reason)
	}
}

// pick returns an order, whose number is 0 if there is none.
func (tr *trader) pick() (string, Number) {
	a := rapid.SampledFrom(tr.accounts).Draw(tr.rt, "account")
	orders := tr.x.Orders(tr.now, a)
	if len(orders) == 0 {
		return a, 0
	}
	return a, orders[rapid.IntRange(0, len(orders)-1).Draw(tr.rt, "order")].Number
}

func (tr *trader) modify(*rapid.T) {
	a, n := tr.pick()
	if n == 0 {
		return
	}
	before := tr.last(a, n)
	i := before.Instrument
	c := Change{Account: a, Number: n, Type: before.Type, Validity: before.Validity, Price: before.Price, Trigger: before.Trigger, Quantity: before.Quantity, Disclosed: before.Disclosed}
	if c.Price > 0 {
		c.Price = max(i.Tick, c.Price+i.Tick*listing.Price(rapid.IntRange(-3, 3).Draw(tr.rt, "ticks")))
	}
	if rapid.Bool().Draw(tr.rt, "quantity") {
		c.Quantity = i.Lot * rapid.Int64Range(1, 60).Draw(tr.rt, "lots")
		c.Disclosed = min(c.Disclosed, c.Quantity)
	}
	if rapid.IntRange(0, 3).Draw(tr.rt, "other type") == 0 {
		c.Type = rapid.SampledFrom([]PriceType{Limit, Market, Stop}).Draw(tr.rt, "type")
		c.Price = max(c.Price, i.Tick)
		if c.Trigger = 0; c.Type == Stop {
			c.Trigger = c.Price
		}
	}
	r := tr.x.Modify(tr.now, c)
	tr.commands++
	if before.State.Final() != (r != nil && r.Reason == Final) {
		tr.rt.Fatalf("a change of an order that is %s: %v", before.State, r)
	}
}

func (tr *trader) cancel(*rapid.T) {
	a, n := tr.pick()
	if n == 0 {
		return
	}
	before := tr.last(a, n)
	r := tr.x.Cancel(tr.now, a, n, before.State.beforeMarket())
	tr.commands++
	if before.State.Final() != (r != nil && r.Reason == Final) {
		tr.rt.Fatalf("a cancellation of an order that is %s: %v", before.State, r)
	}
}

func (tr *trader) exit(*rapid.T) {
	a, n := tr.pick()
	if n == 0 {
		return
	}
	tr.x.Exit(tr.now, a, n)
	tr.commands++
}

func (tr *trader) convert(*rapid.T) {
	a, i, _ := tr.draw()
	from := rapid.SampledFrom([]Product{CNC, MIS, NRML, MTF}).Draw(tr.rt, "from")
	to := rapid.SampledFrom([]Product{CNC, MIS, NRML, MTF}).Draw(tr.rt, "to")
	side := rapid.SampledFrom([]Side{Buy, Sell}).Draw(tr.rt, "side")
	tr.x.Convert(tr.now, a, i.Key, side, from, to, i.Lot*rapid.Int64Range(1, 20).Draw(tr.rt, "lots"))
	tr.commands++
	tr.converted = true
}

func (tr *trader) hand(*rapid.T) {
	_, i, p := tr.draw()
	switch rapid.IntRange(0, 6).Draw(tr.rt, "hand") {
	case 0:
		tr.x.SetPrice(tr.now, i.Key, p)
	case 1:
		tr.x.Print(tr.now, i.Key, p, i.Lot*rapid.Int64Range(1, 50).Draw(tr.rt, "lots"))
	case 2:
		tr.x.Gap(tr.now, i.Key, p)
	case 3:
		tr.x.Release(tr.now, listing.Key{})
	case 4:
		tr.x.Halt(tr.now, i.Key, true)
	case 5:
		tr.x.Halt(tr.now, i.Key, false)
	case 6:
		tr.x.SetBand(tr.now, i.Key, max(i.Tick, p-30*i.Tick), p+30*i.Tick)
	}
	tr.commands++
}

func (tr *trader) wait(*rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Millisecond, 400 * time.Millisecond, 30 * time.Second, time.Hour}).Draw(tr.rt, "wait")
	if rapid.IntRange(0, 25).Draw(tr.rt, "roll") == 0 {
		d = 15 * time.Hour
	}
	before := tr.now
	tr.now = tr.now.Add(d)
	if listing.DateOf(before) != listing.DateOf(tr.now) {
		clear(tr.seen)
		tr.instruments = newTrader(tr.rt, tr.desk).instruments
	}
	tr.x.Run(tr.now)
	if d >= 30*time.Second {
		tr.nothingBehindTheTape(before)
	}
}

// nothingBehindTheTape checks that what rests is not worse than what the tape traded.
func (tr *trader) nothingBehindTheTape(since time.Time) {
	for _, in := range tr.x.instruments {
		if in.book == nil || in.step < 0 || in.halted {
			continue
		}
		tr.x.look(in)
		if tr.x.cfg.NoHouse && tr.x.market.Held(in.Instrument, tr.now) {
			continue // nobody is there
		}
		for _, a := range tr.accounts {
			for _, o := range tr.x.Orders(tr.now, a) {
				if o.State == Open && o.Key == in.Key && o.Entered.Before(since) &&
					(o.Side == Buy && o.Price > in.value || o.Side == Sell && o.Price < in.value) {
					tr.rt.Fatalf("the tape is at %s, and %+v rests", in.value, o)
				}
			}
		}
	}
}

// check checks what always holds.
func (tr *trader) check(*rapid.T) {
	covered(tr.x, func(why string) { tr.rt.Fatal(why) })
	for _, a := range tr.accounts {
		filled := map[Number]int64{}
		type slot struct {
			key listing.Key
			p   Product
		}
		of := func(k listing.Key, p Product) slot {
			if tr.converted {
				return slot{key: k}
			}
			return slot{k, p}
		}
		net := map[slot]int64{}
		for _, t := range tr.x.Trades(tr.now, a) {
			filled[t.Order] += t.Quantity
			if t.Side == Buy {
				net[of(t.Key, t.Product)] += t.Quantity
			} else {
				net[of(t.Key, t.Product)] -= t.Quantity
			}
		}
		for _, p := range tr.x.Positions(tr.now, a) {
			net[of(p.Key, p.Product)] -= p.Bought - p.Sold
		}
		for s, n := range net {
			if n != 0 {
				tr.rt.Fatalf("%s %s: the trades sum up to %d more than the position moved", a, s.key, n)
			}
		}
		for _, o := range tr.x.Orders(tr.now, a) {
			tr.checkOrder(a, &o, filled[o.Number])
		}
		l := tr.x.Limits(tr.now, a)
		if l.Net != l.Cash+l.Pledged-l.Used {
			tr.rt.Fatalf("limits %+v", l)
		}
		if l.Cash%100 != 0 || l.Pledged%100 != 0 || l.Used%100 != 0 {
			tr.rt.Fatalf("limits that do not add up to the paisa when they are shown: %+v", l)
		}
	}
}

func (tr *trader) checkOrder(a string, o *Order, filled int64) {
	h := tr.history(a, o.Number)
	bad := func(why string) { tr.rt.Fatalf("%s: %s: %+v", why, tr.states(a, o.Number), *o) }
	if h[0].State != PutReceived || h[len(h)-1].State != o.State || len(h) < 2 {
		bad("an incomplete history")
	}
	if o.Filled != filled || filled > o.Quantity || (o.State == Complete) != (filled == o.Quantity) {
		bad(fmt.Sprintf("filled %d", filled))
	}
	for k := 1; k < len(h); k++ {
		if !slices.Contains(next[h[k-1].State], h[k].State) {
			bad(fmt.Sprintf("%s after %s", h[k].State, h[k-1].State))
		}
		if h[k].Filled < h[k-1].Filled || !h[k].Entered.After(h[k-1].Entered) {
			bad("a row that goes back")
		}
	}
	if was, ok := tr.seen[o.Number]; ok && was != *o {
		bad("a final order changed")
	}
	if o.State.Final() {
		tr.seen[o.Number] = *o
	}
}

func (tr *trader) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"place": tr.place, "place more": tr.place, "modify": tr.modify, "cancel": tr.cancel, "exit": tr.exit, "convert": tr.convert, "wait": tr.wait, "hand": tr.hand, "": tr.check,
	}
}

func dump(x *Exchange, now time.Time) string {
	bare := map[listing.Key]*listing.Instrument{}
	key := func(i *listing.Instrument) *listing.Instrument { // what is listed is not a part of the state
		if bare[i.Key] == nil {
			bare[i.Key] = &listing.Instrument{Key: i.Key}
		}
		return bare[i.Key]
	}
	all := x.Dump(now)
	for _, d := range all {
		for _, h := range d.Orders {
			for k := range h {
				h[k].Instrument = key(h[k].Instrument)
			}
		}
		for k := range d.Trades {
			d.Trades[k].Instrument = key(d.Trades[k].Instrument)
		}
		for k := range d.Positions {
			d.Positions[k].Instrument = key(d.Positions[k].Instrument)
		}
		for k := range d.Holdings {
			d.Holdings[k].Instrument = key(d.Holdings[k].Instrument)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// same checks that two texts are the same, and shows where they are not.
func same(t *rapid.T, what, got, want string) {
	k := 0
	for k < len(got) && k < len(want) && got[k] == want[k] {
		k++
	}
	if got != want {
		cut := func(s string) string { return s[max(0, k-900):min(len(s), k+100)] }
		t.Fatalf("%s from the log: …%s…\nwant …%s…", what, cut(got), cut(want))
	}
}

func TestExchange_keepsItsRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{Seed: rapid.Uint64Range(0, 20).Draw(rt, "seed"), NoHouse: rapid.Bool().Draw(rt, "nohouse"), CancelPassive: rapid.Bool().Draw(rt, "passive")}
		cfg.Latency = rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Millisecond, 700 * time.Millisecond}).Draw(rt, "latency")
		var records [][]byte
		var snapshot []byte
		cfg.Log = func(r []byte) error { records = append(records, slices.Clone(r)); return nil }
		cfg.Snapshot = func(s []byte) { snapshot, records = s, nil }
		d := newDesk(t, cfg)
		snapshot = d.x.Begin()
		tr := newTrader(rt, d)
		rt.Repeat(tr.actions())

		// the log, and time that goes on in other steps, give the same
		x, err := Restore(Config{}, snapshot)
		if err != nil {
			rt.Fatal(err)
		}
		for _, r := range records {
			if to, _ := binary.Varint(r[1:]); to > x.now {
				x.Run(at(rapid.Int64Range(x.now, to).Draw(rt, "run")))
			}
			if err := x.Apply(r); err != nil {
				rt.Fatal(err)
			}
		}
		for x.now < d.now.UnixMicro() {
			x.Run(at(min(d.now.UnixMicro(), x.now+rapid.Int64Range(1_000, 3_600_000_000).Draw(rt, "step"))))
		}
		same(rt, "state", dump(x, d.now), dump(d.x, d.now))
		same(rt, "tape", string(x.market.Save()), string(d.x.market.Save()))
	})
}

func FuzzExchange_Apply(f *testing.F) {
	var records [][]byte
	d := newDesk(f, Config{Seed: 1, NoHouse: true, Log: func(r []byte) error { records = append(records, slices.Clone(r)); return nil }})
	i := d.share()
	d.set(i, "10.00")
	d.hold("H", i, 10)
	n := d.place("A", i, "buy 10 @ 10.00 tag x")
	d.place("A", i, "buy 10 @ 10.00 BO stop 1 target 1")
	d.x.Modify(d.now, Change{Account: "A", Number: n, Type: Limit, Validity: Day, Price: rupees("9.00"), Quantity: 20})
	d.x.Cancel(d.now, "A", n, false)
	for _, r := range records {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		x := New(Config{Seed: 1, Start: start, Funds: 10_000_000 * listing.Rupee, NoHouse: true})
		for _, r := range records {
			if err := x.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		before := dump(x, start)
		if err := x.Apply(record); err != nil && x.now == start.UnixMicro() {
			if after := dump(x, start); after != before {
				t.Errorf("a record that was refused changed something: %s", after)
			}
		}
	})
}

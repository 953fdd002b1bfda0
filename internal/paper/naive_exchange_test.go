package paper

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
)

// pair is the exchange and the naive markets of some of its instruments.
type pair struct {
	*desk
	rt      *rapid.T
	markets []*naive
}

func newPair(t *testing.T, rt *rapid.T) *pair {
	cfg := Config{Seed: rapid.Uint64Range(0, 50).Draw(rt, "seed"), NoHouse: rapid.IntRange(0, 3).Draw(rt, "no house") == 0, CancelPassive: rapid.Bool().Draw(rt, "passive"), Funds: 1 << 50}
	cfg.Latency = rapid.SampledFrom([]time.Duration{0, 0, 20 * time.Millisecond, 700 * time.Millisecond}).Draw(rt, "latency")
	p := &pair{desk: newDesk(t, cfg), rt: rt}
	same, other := p.sameToken()
	for _, i := range []*listing.Instrument{p.share(), p.contract(listing.MCX, listing.Future), same, other} {
		q, _ := p.x.Quote(p.now, i.Key)
		n := &naive{tape: tape.New(cfg.Seed), i: i, noHouse: cfg.NoHouse, latency: cfg.Latency.Microseconds(), passive: cfg.CancelPassive, low: q.BandLow, high: q.BandHigh, now: p.now.UnixMicro()}
		n.renew()
		p.markets = append(p.markets, n)
	}
	return p
}

// sameToken returns two shares of two segments that have one token.
func (d *desk) sameToken() (a, b *listing.Instrument) {
	first := map[uint32]*listing.Instrument{}
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Kind != listing.Share || i.Margin.Intraday == 0 {
			continue
		}
		if a = first[i.Token]; a != nil {
			return a, i
		}
		first[i.Token] = i
	}
	d.t.Fatal("no token is listed in two segments")
	return nil, nil
}

func (p *pair) draw() *naive { return rapid.SampledFrom(p.markets).Draw(p.rt, "instrument") }

// String is short, for what rapid prints.
func (n *naive) String() string      { return n.i.Name }
func (o *naiveOrder) String() string { return fmt.Sprint(o.number) }

func (p *pair) price(n *naive, around listing.Price) listing.Price {
	return max(n.i.Tick, around+n.i.Tick*listing.Price(rapid.IntRange(-4, 4).Draw(p.rt, "ticks")))
}

func (p *pair) place(*rapid.T) {
	n := p.draw()
	o := Place{
		Account: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(p.rt, "account"), Instrument: n.i.Key, Side: rapid.SampledFrom([]Side{Buy, Sell}).Draw(p.rt, "side"), Product: MIS, Validity: Day,
		Type: rapid.SampledFrom([]PriceType{Limit, Limit, Limit, Market, Stop}).Draw(p.rt, "type"), Quantity: n.i.Lot * rapid.SampledFrom([]int64{1, 7, 30, 100, 2000}).Draw(p.rt, "lots"),
	}
	if o.Type != Market {
		o.Price = p.price(n, n.last)
	}
	if o.Type == Stop {
		o.Trigger = p.price(n, o.Price)
	}
	if rapid.IntRange(0, 7).Draw(p.rt, "ioc") == 0 {
		o.Validity = IOC
	}
	if rapid.IntRange(0, 3).Draw(p.rt, "dq") == 0 {
		o.Disclosed = min(o.Quantity, n.i.Lot*rapid.SampledFrom([]int64{1, 3, 10, 40}).Draw(p.rt, "shows"))
	}
	number, r := p.x.Place(p.now, o)
	if r != nil {
		p.rt.Fatalf("%+v: %v", o, r)
	}
	n.place(o, number)
}

// pick returns an order, or nil if there is none.
func (p *pair) pick() (*naive, *naiveOrder) {
	n := p.draw()
	if len(n.orders) == 0 {
		return n, nil
	}
	var open []*naiveOrder
	for _, o := range n.orders {
		if !o.final() {
			open = append(open, o)
		}
	}
	if len(open) > 0 && rapid.IntRange(0, 9).Draw(p.rt, "open") > 0 {
		return n, rapid.SampledFrom(open).Draw(p.rt, "order")
	}
	return n, rapid.SampledFrom(n.orders).Draw(p.rt, "order")
}

func (p *pair) modify(*rapid.T) {
	n, o := p.pick()
	if o == nil {
		return
	}
	c := Change{Account: o.account, Number: o.number, Type: o.kind, Validity: o.validity, Price: o.price, Trigger: o.trigger, Quantity: o.quantity, Disclosed: o.disclosed}
	if rapid.Bool().Draw(p.rt, "price") {
		c.Price = p.price(n, n.last)
	}
	switch rapid.IntRange(0, 3).Draw(p.rt, "quantity") {
	case 0:
		c.Quantity = max(n.i.Lot, c.Quantity-n.i.Lot*rapid.Int64Range(0, 20).Draw(p.rt, "less"))
	case 1:
		c.Quantity += n.i.Lot * rapid.Int64Range(0, 20).Draw(p.rt, "more")
	}
	if rapid.IntRange(0, 3).Draw(p.rt, "dq") == 0 {
		c.Disclosed = n.i.Lot * rapid.Int64Range(0, 10).Draw(p.rt, "shows")
	}
	c.Disclosed = min(c.Disclosed, c.Quantity)
	if rapid.IntRange(0, 4).Draw(p.rt, "other type") == 0 {
		c.Type, c.Trigger = rapid.SampledFrom([]PriceType{Limit, Market, Stop}).Draw(p.rt, "type"), 0
		c.Price = p.price(n, n.last)
	}
	if c.Type == Stop {
		c.Trigger = p.price(n, c.Price)
	}
	if rapid.IntRange(0, 9).Draw(p.rt, "ioc") == 0 {
		c.Validity = IOC
	}
	if c.Type != Stop && c.Trigger > 0 {
		c.Trigger = 0
	}
	r := p.x.Modify(p.now, c)
	if done := n.modify(c); done == (r != nil) {
		p.rt.Fatalf("%+v: %v", c, r)
	}
}

func (p *pair) cancel(*rapid.T) {
	n, o := p.pick()
	if o == nil {
		return
	}
	r := p.x.Cancel(p.now, o.account, o.number, false)
	if n.cancel(o.number) == (r != nil) {
		p.rt.Fatalf("a cancellation: %v", r)
	}
}

func (p *pair) hand(*rapid.T) {
	n := p.draw()
	to := p.price(n, n.last)
	switch rapid.IntRange(0, 6).Draw(p.rt, "hand") {
	case 0:
		if p.x.SetPrice(p.now, n.i.Key, to) == nil {
			n.setPrice(to, true)
		}
	case 1:
		if p.x.Gap(p.now, n.i.Key, to) == nil {
			n.setPrice(to, false)
		}
	case 2:
		quantity := n.i.Lot * rapid.SampledFrom([]int64{1, 50, 3000}).Draw(p.rt, "lots")
		if p.x.Print(p.now, n.i.Key, to, quantity) == nil {
			n.print(to, quantity)
		}
	case 3:
		p.x.Release(p.now, n.i.Key)
		n.release()
	case 4:
		low, high := n.value-n.i.Tick*listing.Price(rapid.IntRange(0, 20).Draw(p.rt, "below")), n.value+n.i.Tick*listing.Price(rapid.IntRange(1, 20).Draw(p.rt, "above"))
		low, high = low/n.i.Tick*n.i.Tick, high/n.i.Tick*n.i.Tick
		if p.x.SetBand(p.now, n.i.Key, low, high) == nil {
			n.band(low, high)
		}
	case 5:
		p.x.Halt(p.now, n.i.Key, true)
		n.halted = true
	case 6:
		p.x.Halt(p.now, n.i.Key, false)
		n.resume()
	}
}

func (p *pair) wait(*rapid.T) {
	p.now = p.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, 500 * time.Millisecond, 3 * time.Second, time.Minute}).Draw(p.rt, "wait"))
	p.x.Run(p.now)
	for _, n := range p.markets {
		n.run(p.now.UnixMicro())
	}
}

// check compares the fills in their order, the orders, and what the house must have.
func (p *pair) check(*rapid.T) {
	fills := map[uint32][]naiveFill{}
	for k := uint32(1); k <= p.x.fills.n; k++ {
		f := p.x.fills.at(k)
		o := p.x.orders.at(f.order)
		fills[o.instrument] = append(fills[o.instrument], naiveFill{o.number, f.price, f.quantity})
	}
	for _, n := range p.markets {
		got := fills[p.x.byKey[n.i.Key]]
		for k := range max(len(got), len(n.fills)) {
			if k >= len(got) || k >= len(n.fills) || got[k] != n.fills[k] {
				p.rt.Fatalf("%s: fill %d differs:\n got %v\nwant %v", n.i.Name, k, got[min(k, len(got)):], n.fills[min(k, len(n.fills)):])
			}
		}
		for _, o := range n.orders {
			is := p.last(o.account, o.number)
			if o.busy && !is.State.Final() { // its last row is about what is under way
				is.State = o.state
			}
			got := fmt.Sprint(is.State, is.Type, is.Validity, is.Price, is.Trigger, is.Quantity, is.Filled, is.Disclosed)
			want := fmt.Sprint(o.state, o.kind, o.validity, o.price, o.trigger, o.quantity, o.filled, o.disclosed)
			if o.kind == Market { // it was rejected
				want = fmt.Sprint(Rejected, Market, o.validity, listing.Price(0), listing.Price(0), o.quantity, 0, o.disclosed)
			}
			if got != want {
				p.rt.Fatalf("%s order %d: %s\nwant %s\n%s %s", n.i.Name, o.number, got, want, p.states(o.account, o.number), is.Reason)
			}
		}
		p.conserved(n)
	}
}

// conserved checks that accounts and house together have neither more nor less.
func (p *pair) conserved(n *naive) {
	net, cash := n.house.net, n.house.cash
	for _, a := range []string{"A", "B", "C"} {
		for _, pos := range p.x.Positions(p.now, a) {
			if pos.Key == n.i.Key {
				net += pos.Net()
				cash += pos.SoldAmount - pos.BoughtAmount
			}
		}
	}
	if net != 0 || cash != 0 {
		p.rt.Fatalf("%s: accounts and house have %d, and %s", n.i.Name, net, cash)
	}
}

// onTape checks that each fill is on the tape: in price and volume of its minute.
func (p *pair) onTape() {
	type minute struct {
		key listing.Key
		at  time.Time
	}
	volume := map[minute]int64{}
	for _, a := range []string{"A", "B", "C"} {
		for _, t := range p.x.Trades(p.now, a) {
			m := minute{t.Key, t.At.Truncate(time.Minute)}
			c := p.x.Candles(p.now, t.Key, time.Minute, m.at, m.at.Add(time.Minute))
			if len(c) != 1 || t.Price < c[0].Low || t.Price > c[0].High {
				p.rt.Fatalf("a fill at %s, and the tape has %+v", t.Price, c)
			}
			if t.Side == Buy {
				volume[m] += t.Quantity
			}
			if volume[m] > c[0].Volume {
				p.rt.Fatalf("%d were bought, and the tape has %+v", volume[m], c)
			}
		}
	}
}

func TestExchange_tradesAsANaiveOneDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPair(t, rt)
		rt.Repeat(map[string]func(*rapid.T){"place": p.place, "place more": p.place, "place still more": p.place, "modify": p.modify, "cancel": p.cancel, "hand": p.hand, "wait": p.wait, "": p.check})
		p.onTape()
	})
}

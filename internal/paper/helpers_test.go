package paper

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// start is ten o'clock on a Monday.
var start = time.Date(2026, 10, 5, 10, 0, 0, 0, listing.India)

// desk is an exchange with a clock, for tests.
type desk struct {
	t   testing.TB
	x   *Exchange
	now time.Time
}

func newDesk(t testing.TB, cfg Config) *desk {
	t.Helper()
	cfg.Start = start
	if cfg.Funds == 0 {
		cfg.Funds = 10_000_000 * listing.Rupee
	}
	return &desk{t, New(cfg), start}
}

// share returns a share of NSE with a lot of one.
func (d *desk) share() *listing.Instrument {
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Segment == listing.NSE && i.Kind == listing.Share && i.Series == "EQ" && i.Tick == 500 && i.Margin.Intraday > 0 {
			return i
		}
	}
	d.t.Fatal("no share is listed")
	return nil
}

// contract returns the first contract of a kind in a segment.
func (d *desk) contract(s listing.Segment, k listing.Kind) *listing.Instrument {
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Segment == s && i.Kind == k {
			return i
		}
	}
	d.t.Fatal("no such contract is listed")
	return nil
}

func rupees(s string) listing.Price {
	p, err := listing.ParsePrice(s)
	if err != nil {
		panic(err)
	}
	return p
}

// set holds an instrument's price, in a band wide enough for it.
func (d *desk) set(i *listing.Instrument, price string) {
	d.t.Helper()
	p := rupees(price)
	if i.Kind != listing.Index {
		if r := d.x.SetBand(d.now, i.Key, i.Tick, p*10); r != nil {
			d.t.Fatal(r)
		}
	}
	if r := d.x.SetPrice(d.now, i.Key, p); r != nil {
		d.t.Fatal(r)
	}
}

// print lets the market trade.
func (d *desk) print(i *listing.Instrument, price string, quantity int64) {
	d.t.Helper()
	if r := d.x.Print(d.now, i.Key, rupees(price), quantity); r != nil {
		d.t.Fatal(r)
	}
}

// orderOf makes an order from "buy 100 @ 10.10" with further words: a product, IOC, AMO,
// "trigger 10", "shows 10", "tag x"; without a price it is a market order.
func orderOf(account string, i *listing.Instrument, text string) Place {
	p := Place{Account: account, Instrument: i.Key, Side: Buy, Type: Market, Product: NRML, Validity: Day, Source: "test"}
	if i.Segment.Cash() {
		p.Product = MIS
	}
	words := strings.Fields(text)
	for k := 0; k < len(words); k++ {
		switch words[k] {
		case "buy":
		case "sell":
			p.Side = Sell
		case "@":
			k++
			p.Price = rupees(words[k])
			if p.Type == Market {
				p.Type = Limit
			}
		case "trigger":
			k++
			p.Trigger, p.Type = rupees(words[k]), Stop
		case "shows":
			k++
			fmt.Sscan(words[k], &p.Disclosed)
		case "tag":
			k++
			p.Tag = words[k]
		case "stop":
			k++
			p.StopDistance = rupees(words[k])
		case "target":
			k++
			p.TargetDistance = rupees(words[k])
		case "trail":
			k++
			p.Trail = rupees(words[k])
		case "IOC":
			p.Validity = IOC
		case "AMO":
			p.AfterHours = true
		case "SL-M":
			p.Type = StopMarket
		case "CNC":
			p.Product = CNC
		case "MIS":
			p.Product = MIS
		case "NRML":
			p.Product = NRML
		case "CO":
			p.Product = Cover
		case "BO":
			p.Product = Bracket
		default:
			fmt.Sscan(words[k], &p.Quantity)
		}
	}
	return p
}

// place places an order that gets a number.
func (d *desk) place(account string, i *listing.Instrument, text string) Number {
	d.t.Helper()
	n, r := d.x.Place(d.now, orderOf(account, i, text))
	if r != nil {
		d.t.Fatalf("%s: %s", text, r.Text)
	}
	return n
}

func (d *desk) history(account string, n Number) []Order {
	d.t.Helper()
	h, r := d.x.History(d.now, account, n)
	if r != nil {
		d.t.Fatal(r)
	}
	return h
}

func (d *desk) last(account string, n Number) Order {
	d.t.Helper()
	h := d.history(account, n)
	return h[len(h)-1]
}

// states returns an order's history in short.
func (d *desk) states(account string, n Number) string {
	d.t.Helper()
	var words []string
	for _, o := range d.history(account, n) {
		w := o.State.String()
		if o.State == Open && o.Filled > 0 {
			w += fmt.Sprintf(" %d", o.Filled)
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

// fills returns an order's trades, such as "100 @ 10.10, 50 @ 10.15".
func (d *desk) fills(account string, n Number) string {
	var words []string
	for _, t := range d.x.Trades(d.now, account) {
		if t.Order == n {
			words = append(words, fmt.Sprintf("%d @ %s", t.Quantity, t.Price))
		}
	}
	return strings.Join(words, ", ")
}

func (d *desk) net(account string, i *listing.Instrument, p Product) int64 {
	for _, pos := range d.x.Positions(d.now, account) {
		if pos.Key == i.Key && pos.Product == p {
			return pos.Net()
		}
	}
	return 0
}

// hold gives an account shares.
func (d *desk) hold(account string, i *listing.Instrument, quantity int64) {
	d.t.Helper()
	r := d.x.Fund(d.now, account, 10_000_000*listing.Rupee, []ledger.Holding{{Instrument: i, Quantity: quantity, Cost: listing.Rupee}})
	if r != nil {
		d.t.Fatal(r)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

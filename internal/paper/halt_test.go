package paper

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Orders that come during a halt trade once it ends as if they came then, in the order in
// which they came: at the price of what rested first, and at what the house shows.
func TestResume_ordersGoInInOrderOfTime(t *testing.T) {
	d := newDesk(t, Config{Seed: 1, NoHouse: true})
	i := d.share()
	d.set(i, "100.00")
	rested := d.place("A", i, "sell 10 @ 101.00")
	d.x.Halt(d.now, i.Key, true)
	first := d.place("B", i, "buy 20 @ 102.00")
	second := d.place("C", i, "sell 10 @ 100.00")
	third := d.place("D", i, "sell 10 @ 99.00")
	if r := d.change("C", second, func(c *Change) { c.Price = rupees("100.50") }); r != nil { // comes anew
		t.Fatal(r)
	}
	gone := d.place("D", i, "buy 10 @ 103.00")
	d.x.Cancel(d.now, "D", gone, false)
	equal(t, "immediate", d.last("E", d.place("E", i, "buy 10 @ 103.00 IOC")).State, Cancelled)
	d.now = d.now.Add(time.Hour)
	equal(t, "trades in the halt", len(d.x.Trades(d.now, "B")), 0)
	d.x.Halt(d.now, i.Key, false)
	equal(t, "rested before the halt", d.fills("A", rested), "10 @ 101.00")
	equal(t, "first", d.fills("B", first), "10 @ 101.00, 10 @ 102.00")
	equal(t, "third", d.fills("D", third), "10 @ 102.00")
	equal(t, "second, which was changed", d.last("C", second).State, Open)
}

// A market order of the halt takes what the house shows, as it would without a halt. Its
// rest rests, and is taken with the next price.
func TestResume_marketOrderTakesWhatTheHouseShows(t *testing.T) {
	filled := 0
	for seed := range uint64(20) {
		d := newDesk(t, Config{Seed: seed, Funds: 1 << 50})
		i := d.share()
		d.x.Halt(d.now, i.Key, true)
		n := d.place("A", i, "buy 90000")
		limit := d.last("A", n).Price
		d.now = d.now.Add(10 * time.Second)
		q, _ := d.x.Quote(d.now, i.Key)
		_, asks := d.x.market.Depth(i, d.now, q.BandLow, q.BandHigh)
		var want []string
		for _, l := range asks {
			if l.Price > 0 && l.Price <= limit {
				want = append(want, fmt.Sprintf("%d @ %s", l.Quantity, l.Price))
			}
		}
		d.x.Halt(d.now, i.Key, false)
		equal(t, fmt.Sprint("seed ", seed), d.fills("A", n), strings.Join(want, ", "))
		equal(t, "the rest", d.last("A", n).State, Open)
		after, _ := d.x.Quote(d.now, i.Key)
		for _, tr := range d.x.Trades(d.now, "A") {
			filled++
			if tr.Price > after.High || tr.Price < after.Low {
				t.Errorf("a fill at %s, which is not on the tape", tr.Price)
			}
		}
	}
	if filled == 0 {
		t.Error("nothing filled")
	}
}

func TestHand_haltBandAndGap(t *testing.T) {
	d, i := bare(t)
	d.x.Halt(d.now, i.Key, true)
	d.place("A", i, "buy 10 @ 10.00")
	n := d.place("B", i, "sell 10 @ 10.00")
	equal(t, "halted", d.last("B", n).Filled, 0)
	d.x.Halt(d.now, i.Key, false)
	equal(t, "resumed", d.fills("B", n), "10 @ 10.00")
	out := d.place("A", i, "buy 10 @ 8.00")
	stop := d.place("C", i, "sell 10 @ 9.00 trigger 9.20")
	if r := d.x.SetBand(d.now, i.Key, rupees("8.50"), rupees("12.00")); r != nil {
		t.Fatal(r)
	}
	o := d.last("A", out)
	if o.State != Cancelled || o.Remark == "" {
		t.Errorf("outside the band: %s %q", o.State, o.Remark)
	}
	low := d.place("D", i, "buy 10 @ 9.50")
	if r := d.x.Gap(d.now, i.Key, rupees("9.10")); r != nil {
		t.Fatal(r)
	}
	equal(t, "bought where it rested", d.fills("D", low), "10 @ 9.50")
	equal(t, "the trade that triggered a stop does not fill it", d.states("C", stop), received+"trigger pending, open")
	d.now = d.now.Add(time.Minute)
	equal(t, "stop", d.fills("C", stop), "10 @ 9.00")
	if r := d.x.SetPrice(d.now, i.Key, rupees("8.00")); r == nil {
		t.Error("a price outside the band was set")
	}
}

package paper

import (
	"reflect"
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

// Far into the future is the same in one step as day by day, and takes no time.
func TestRun_longAbsenceIsAsDayByDay(t *testing.T) {
	after := func(step time.Duration, days int, open bool) (string, []Dumped, Quote) {
		d := newDesk(t, Config{Seed: 3, Funds: 1 << 50})
		i := d.share()
		d.set(i, "500.00")
		if r := d.x.Fund(d.now, "A", rupees("100000"), nil); r != nil {
			t.Fatal(r)
		}
		for _, side := range []Side{Buy, Sell} {
			if _, r := d.x.Place(d.now, Place{Account: "A", Instrument: i.Key, Side: side, Type: Market, Product: CNC, Validity: Day, Quantity: int64(10 * side)}); r != nil {
				t.Fatal(r)
			}
		}
		d.x.Place(d.now, Place{Account: "A", Instrument: i.Key, Side: Buy, Type: Limit, Price: rupees("1"), Product: CNC, Validity: Day, Quantity: 1, AfterHours: true})
		if open {
			d.openAll()
		}
		end := d.now.Add(time.Duration(days) * 24 * time.Hour)
		for at := d.now; at.Before(end); at = at.Add(step) {
			d.x.Run(at)
		}
		q, _ := d.x.Quote(end, i.Key)
		return string(d.x.snapshot(nil)), d.x.Dump(end), q
	}
	for _, open := range []bool{false, true} {
		snapshot, dump, quote := after(11*time.Hour, 60, open)
		snapshot2, dump2, quote2 := after(365*24*time.Hour, 60, open)
		quote.Instrument, quote2.Instrument = nil, nil
		if snapshot != snapshot2 || !reflect.DeepEqual(dump, dump2) || quote != quote2 {
			t.Errorf("day by day:\n%s\n%+v\n%+v\nat once:\n%s\n%+v\n%+v", snapshot, dump, quote, snapshot2, dump2, quote2)
		}
		after(2_000_000*time.Hour, 74*365, open) // day by day this would take minutes
	}
}

// openAll gives three accounts positions of all kinds, which expire on different days.
func (d *desk) openAll() {
	d.t.Helper()
	deal := func(account string, i *listing.Instrument, p Product, side Side) {
		if _, r := d.x.Place(d.now, Place{Account: account, Instrument: i.Key, Side: side, Type: Market, Product: p, Validity: Day, Quantity: 2 * i.Lot}); r != nil {
			d.t.Fatal(r)
		}
	}
	deal("B", d.share(), MTF, Buy)
	deal("C", d.share(), MIS, Sell)
	deal("C", d.share(), CNC, Buy)
	expiries := map[listing.Date]bool{}
	side := Buy
	for _, i := range d.x.Listing(d.now).Instruments() {
		if i.Kind == listing.Index || i.Kind == listing.Share || expiries[i.Expiry] && len(expiries) > 4 {
			continue
		}
		expiries[i.Expiry] = true
		deal("B", i, NRML, side)
		if side = Buy + Sell - side; len(expiries) > 8 {
			break
		}
	}
	d.now = d.now.Add(time.Minute) // a rest is taken with the next price
	if n := len(d.x.Positions(d.now, "B")); n < 8 {
		d.t.Fatalf("only %d positions", n)
	}
}

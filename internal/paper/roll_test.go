package paper

import (
	"reflect"
	"testing"
	"time"
)

// Far into the future is the same in one step as day by day, and takes no time.
func TestRun_longAbsenceIsAsDayByDay(t *testing.T) {
	after := func(step time.Duration, days int) (string, []Dumped, Quote) {
		d := newDesk(t, Config{Seed: 3})
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
		end := d.now.Add(time.Duration(days) * 24 * time.Hour)
		for at := d.now; at.Before(end); at = at.Add(step) {
			d.x.Run(at)
		}
		q, _ := d.x.Quote(end, i.Key)
		return string(d.x.snapshot(nil)), d.x.Dump(end), q
	}
	snapshot, dump, quote := after(11*time.Hour, 60)
	snapshot2, dump2, quote2 := after(365*24*time.Hour, 60)
	quote.Instrument, quote2.Instrument = nil, nil
	if snapshot != snapshot2 || !reflect.DeepEqual(dump, dump2) || quote != quote2 {
		t.Errorf("day by day:\n%s\n%+v\n%+v\nat once:\n%s\n%+v\n%+v", snapshot, dump, quote, snapshot2, dump2, quote2)
	}
	after(2_000_000*time.Hour, 100*365) // day by day this would take minutes
}

package feed_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/trade"
)

// From the fill in the exchange to the program's callback, through the gateway and a
// connection of this machine.
func BenchmarkOrders_fillToCallback(b *testing.B) {
	d := newOrderDesk(b, 3)
	s, _ := d.api.Session()
	s.OrderFeedURL = strings.Replace(d.srv.URL, "http", "ws", 1) + "/realtime"
	must.Do(b, d.api.Use(s))
	f := d.open(b)
	type told struct {
		filled int64
		at     time.Time
	}
	fills := make(chan told, 1000)
	f.OnOrder(func(o trade.Order) { fills <- told{o.FilledQty, time.Now()} })
	ticket := trade.Buy(d.tcs, 20_000).Limit(trade.MustRupees("3450")).Product(trade.MIS)
	filled := int64(20_000)
	took := make([]time.Duration, 0, b.N)
	fill := func(quantity int64) (began time.Time) {
		began = time.Now()
		d.market.Trade("nse_cm", "TCS-EQ", "3450.00", quantity)
		return began
	}
	b.ResetTimer()
	for range b.N {
		if filled == 20_000 {
			b.StopTimer()
			number := must.Get(d.Place(b.Context(), ticket))(b).Number
			for filled = 0; filled == 0; { // those before it in the queue
				fill(100)
				for _, o := range d.srv.Orders(b, d.srv.Account.UCC) {
					if o.Number == number {
						filled = o.Filled
					}
				}
			}
			for (<-fills).filled < filled {
			}
			b.StartTimer()
		}
		began := fill(1)
		filled++
		for {
			if u := <-fills; u.filled == filled {
				took = append(took, u.at.Sub(began))
				break
			}
		}
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// From a cut of the connection to the program's callback about what was cancelled right
// after it.
func BenchmarkOrders_cutToUpdate(b *testing.B) {
	d := newOrderDesk(b, 3)
	took := make([]time.Duration, 0, b.N)
	for range b.N {
		f := d.open(b) // the waits of an earlier cut would count
		ended := make(chan time.Time, 1)
		order := must.Get(d.Place(b.Context(), d.resting()))(b)
		f.OnOrder(func(o trade.Order) {
			if o.Number == order.Number && o.State.Final() {
				ended <- time.Now()
			}
		})
		began := time.Now()
		d.between.cut()
		must.Get(d.Cancel(b.Context(), order))(b)
		took = append(took, (<-ended).Sub(began))
		f.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
}

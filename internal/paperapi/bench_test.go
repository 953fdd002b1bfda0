package paperapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/tradewire"
)

// BenchmarkReport is the order book of an account with 500 orders, without HTTP.
func BenchmarkReport(b *testing.B) {
	d := newDesk(b)
	order := d.good()
	order["qt"] = 1
	for i := range 500 {
		order["ig"] = fmt.Sprintf("report-%d", i)
		d.post(tradewire.PathPlace, order)
	}
	r := identified(httptest.NewRequest(http.MethodGet, tradewire.PathOrders, nil), "A")
	for b.Loop() {
		resp, err := d.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

// BenchmarkPlaceBesideReports is an order of one account while another reads its 80,000
// orders, again and again: worst-µs is the slowest.
func BenchmarkPlaceBesideReports(b *testing.B) {
	a, _ := longDay(b, 80_000)
	var reading sync.WaitGroup
	done := make(chan struct{})
	defer reading.Wait()
	defer close(done)
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			resp := ask(b, b.Context(), a, "A", tradewire.PathOrders)
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	worst := time.Duration(0)
	for b.Loop() {
		began := time.Now()
		placeFor(b, a, paper.Place{Account: "B", Type: paper.Market})
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
}

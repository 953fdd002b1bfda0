package paperapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

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

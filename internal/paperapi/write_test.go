package paperapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/tradewire"
)

// A day's orders may be many megabytes: while they are written out for one account, others
// trade.
func TestReports_areWrittenWhileOthersTrade(t *testing.T) {
	now := time.Date(2026, 10, 5, 10, 0, 0, 0, listing.India)
	a := New(Config{Now: func() time.Time { return now }, Market: paper.Config{Seed: 1, Funds: 1_000_000 * listing.Rupee}})
	must.Do(t, a.Open("", false, nil))
	a.Exchange(func(x *paper.Exchange, now time.Time) {
		i, _ := x.Listing(now).Named(listing.NSE, "TCS-EQ")
		if n, r := x.Place(now, paper.Place{Account: "A", Instrument: i.Key, Side: paper.Buy, Type: paper.Market, Product: paper.CNC, Validity: paper.Day, Quantity: 1}); r != nil {
			t.Fatal(n, r)
		}
	})
	for _, path := range []string{tradewire.PathOrders, tradewire.PathTrades} {
		c := &call{Request: must.Get(http.NewRequest(http.MethodGet, path, nil))(t), API: a, account: "A", path: path}
		if body, err := a.carryOut(c, operations[path]); body != nil || err != nil || c.write == nil {
			t.Fatalf("%s is written with the exchange held: %s %v", path, body, err)
		}
		a.Exchange(func(x *paper.Exchange, now time.Time) { // which nobody holds
			if body, err := c.write(); err != nil || !strings.Contains(string(body), `"trdSym":"TCS-EQ"`) {
				t.Errorf("%s: %s %v", path, body, err)
			}
		})
	}
}

package paperapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/tradewire"
)

// longDay is an exchange on which account A has many orders that rest and as many that
// have filled, and the time of which can be moved.
func longDay(t testing.TB, n int) (*API, *atomic.Int64) {
	t.Helper()
	var ahead atomic.Int64
	start := time.Date(2026, 10, 5, 10, 0, 0, 0, listing.India)
	a := New(Config{Now: func() time.Time { return start.Add(time.Duration(ahead.Load())) }, Market: paper.Config{Seed: 1, Funds: 1_000_000_000 * listing.Rupee}})
	must.Do(t, a.Open("", false, nil))
	var low listing.Price
	a.Exchange(func(x *paper.Exchange, now time.Time) {
		i, _ := x.Listing(now).Named(listing.NSE, "TCS-EQ")
		q, _ := x.Quote(now, i.Key)
		low = q.BandLow
	})
	for i := range n {
		order := paper.Place{Account: "A", Type: paper.Limit, Price: low, Tag: fmt.Sprintf("long-%d", i)}
		if i%2 == 1 {
			order.Type, order.Price = paper.Market, 0
		}
		placeFor(t, a, order)
	}
	return a, &ahead
}

func placeFor(t testing.TB, a *API, p paper.Place) (number paper.Number) {
	t.Helper()
	a.Exchange(func(x *paper.Exchange, now time.Time) {
		i, _ := x.Listing(now).Named(listing.NSE, "TCS-EQ")
		p.Instrument, p.Product, p.Validity, p.Quantity, p.Side = i.Key, paper.MIS, paper.Day, 1, paper.Buy
		n, refusal := x.Place(now, p)
		if refusal != nil {
			t.Fatal(n, refusal)
		}
		number = n
	})
	return number
}

func ask(t testing.TB, ctx context.Context, a *API, account, path string) *http.Response { //nolint:revive // t comes first in a test
	t.Helper()
	return must.Get(a.RoundTrip(identified(httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil), account)))(t)
}

// A day's orders may be a hundred megabytes. While one account reads them, others trade, and
// the report says how things were when it began.
func TestReports_areReadWhileOthersTrade(t *testing.T) {
	const n = 4*pieceRows + 100
	for _, path := range []string{tradewire.PathOrders, tradewire.PathTrades} {
		a, _ := longDay(t, n)
		resp := ask(t, t.Context(), a, "A", path)
		if resp.ContentLength >= 0 {
			t.Errorf("%s is written out as a whole before it is sent: %d bytes", path, resp.ContentLength)
		}
		begun := make([]byte, 1000)
		must.Get(io.ReadFull(resp.Body, begun))(t)
		want := n
		var first paper.Number                              // which the report has at its end
		a.Exchange(func(x *paper.Exchange, now time.Time) { // the lock is free
			first = x.Orders(now, "A")[0].Number
			if path == tradewire.PathTrades {
				want = len(x.Trades(now, "A"))
			}
		})
		placeFor(t, a, paper.Place{Account: "B", Type: paper.Market})
		placeFor(t, a, paper.Place{Account: "A", Type: paper.Market})
		a.Exchange(func(x *paper.Exchange, now time.Time) { _ = x.Cancel(now, "A", first, false) })
		var report struct {
			Stat string
			Data []struct {
				Number string `json:"nOrdNo"`
				State  string `json:"ordSt"`
			}
		}
		must.Do(t, json.Unmarshal(append(begun, must.Get(io.ReadAll(resp.Body))(t)...), &report))
		must.Do(t, resp.Body.Close())
		if path == tradewire.PathOrders {
			if last := report.Data[len(report.Data)-1]; last.Number != pad(first) || last.State != "open" {
				t.Errorf("the oldest order is %+v, and was %d, open", last, first)
			}
		}
		if len(report.Data) != want {
			t.Errorf("%s has %d rows, want %d", path, len(report.Data), want)
		}
	}
}

// What an account's long reports need is bounded: two are read at once, and another one
// waits as long as its client does, but not for ever. Other accounts do not notice.
func TestReports_longOnesWaitForEachOther(t *testing.T) {
	a, _ := longDay(t, 2*pieceRows)
	one, two := ask(t, t.Context(), a, "A", tradewire.PathOrders), ask(t, t.Context(), a, "A", tradewire.PathOrders)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	resp := ask(t, impatient, a, "A", tradewire.PathOrders)
	if body := must.Get(io.ReadAll(resp.Body))(t); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("the third is answered %d %v: %s", resp.StatusCode, resp.Header, body)
	}
	placeFor(t, a, paper.Place{Account: "B", Type: paper.Market})
	if resp := ask(t, t.Context(), a, "B", tradewire.PathOrders); resp.StatusCode != http.StatusOK {
		t.Errorf("another account gets %d", resp.StatusCode)
	}
	third := make(chan *http.Response)
	go func() { third <- ask(t, t.Context(), a, "A", tradewire.PathOrders) }()
	must.Do(t, one.Body.Close())
	must.Do(t, one.Body.Close()) // which counts once
	if resp := <-third; resp.StatusCode != http.StatusOK {
		t.Errorf("when its turn comes it is answered %d", resp.StatusCode)
	}
	if resp := ask(t, impatient, a, "A", tradewire.PathOrders); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a fourth is answered %d", resp.StatusCode)
	}
	must.Do(t, two.Body.Close())
}

// A report that the day ends under is cut short: it must not look like all of a day.
func TestReports_ofADayThatEndsBreakOff(t *testing.T) {
	a, ahead := longDay(t, 3*pieceRows)
	resp := ask(t, t.Context(), a, "A", tradewire.PathOrders)
	must.Get(io.ReadFull(resp.Body, make([]byte, 1000)))(t)
	ahead.Add(int64(24 * time.Hour))
	a.Exchange(func(x *paper.Exchange, now time.Time) { x.Run(now) })
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("it is read to its end")
	}
}

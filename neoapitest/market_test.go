package neoapitest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// marketClient logs in as the demo account, with a session that has the market feed.
func marketClient(t *testing.T, srv *neoapitest.Server) (*neoapi.Client, trade.Instrument) {
	t.Helper()
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1, Clock: srv.Now,
	}))(t)
	must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
	must.Get(c.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
	return c, must.Get(trade.New(c).Instrument(t.Context(), trade.NSE, "TCS-EQ"))(t)
}

// What a program's feed has recorded of one server's market is another one's market: its
// prices fill orders, and at its end the market is closed.
func TestWithMarket_replaysWhatAFeedRecorded(t *testing.T) {
	file := must.Get(os.Create(filepath.Join(t.TempDir(), "day.neorec")))(t)
	recorded := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	recorded.Market(t).SetPrice("nse_cm", "TCS-EQ", "3456.00")
	c, tcs := marketClient(t, recorded)
	m := must.Get(feed.Market(t.Context(), c, feed.Depths(tcs), feed.Record(file)))(t)
	seen, ask := 0, ""
	for u, err := range m.Updates(t.Context()) {
		must.Do(t, err)
		if q, ok := u.(feed.Quote); ok {
			ask = q.Asks[0].Price.String()
			if seen++; seen == 8 {
				break
			}
		}
	}
	must.Do(t, m.Close())
	must.Do(t, file.Close())

	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithMarket(file.Name()))
	c, tcs = marketClient(t, srv) // which may take the clock past the recording
	m = must.Get(feed.Market(t.Context(), c, feed.Depths(tcs)))(t)
	again := must.Get(http.NewRequestWithContext(t.Context(), http.MethodDelete, srv.URL+"/sandbox/state", nil))(t)
	must.Do(t, must.Get(http.DefaultClient.Do(again))(t).Body.Close()) // which begins it anew
	trades := trade.New(c)
	o := must.Get(trades.Place(t.Context(), trade.Buy(tcs, 1).Market().Product(trade.CNC)))(t)
	o = must.Get(trades.Await(t.Context(), o, trade.Complete))(t)
	if got := o.AvgPrice.String(); got != ask {
		t.Errorf("filled at %s, and the offer that was recorded is %s", got, ask)
	}
	srv.Advance(5 * time.Minute)
	for u, err := range m.Updates(t.Context()) {
		must.Do(t, err)
		if s, ok := u.(feed.Status); ok && s.Segment == trade.NSE && s.State == feed.MarketClosed {
			break
		}
	}
	must.Do(t, m.Close())
	q := must.Get(trades.Quote(t.Context(), tcs))(t)
	if got := q.Last.String(); got != "3456.10" && got != "3456.00" {
		t.Errorf("last price %s after the end", got)
	}
}

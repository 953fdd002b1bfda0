package trade_test

import (
	"testing"

	"neoapi"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// quotesOf returns a client of a server, logged in, that asks without waiting.
func quotesOf(t *testing.T, srv *neoapitest.Server) *trade.Client {
	t.Helper()
	c, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1, Clock: srv.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Session2FA(t.Context(), srv.OTP(t)); err != nil {
		t.Fatal(err)
	}
	return trade.New(c)
}

func TestInstruments_areThoseOfTheService(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	api := quotesOf(t, srv)
	tcs, err := api.Instrument(t.Context(), trade.NSE, "TCS-EQ")
	if err != nil || tcs.Token != "11536" || tcs.Name != "TCS" || tcs.Kind != trade.Share || tcs.Lot != 1 || tcs.Tick.Sign() <= 0 {
		t.Fatalf("%+v, %v", tcs, err)
	}
	all, err := api.Instruments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if bad, left := all.Bad(); len(bad) > 0 || left > 0 {
		t.Errorf("bad rows: %v", bad)
	}
	q, err := api.Quote(t.Context(), tcs)
	if err != nil || !q.PrevClose.Known() || q.Symbol != "TCS-EQ" || q.Token != "11536" || !q.Upper.More(q.Lower) {
		t.Fatalf("%+v, %v", q, err)
	}
}

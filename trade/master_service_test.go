package trade_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/neoapitest"
	"neoapi/trade"
)

var noon = time.Date(2026, time.September, 22, 12, 2, 0, 0, trade.IST)

// marketOf returns a server, and a client that has the consumer key alone.
func marketOf(t *testing.T) (*neoapitest.Server, *trade.Client) {
	t.Helper()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0), neoapitest.WithTime(noon))
	c, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Rate: -1, Clock: srv.Now})
	if err != nil {
		t.Fatal(err)
	}
	return srv, trade.New(c)
}

func TestInstruments_areThoseOfTheService(t *testing.T) {
	srv, api := marketOf(t)
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
	if err := all.Stale(); err != nil || all.Date() != trade.DateOf(srv.Now()) {
		t.Error(all.Date(), err)
	}
	for _, segment := range []trade.Segment{trade.NSE, trade.BSE, trade.NFO, trade.BFO, trade.MCX, trade.CDS} {
		if found := all.Find(trade.Search{Segment: segment, Limit: 1}); len(found) != 1 {
			t.Errorf("nothing of %s", segment)
		}
	}
	for _, name := range []trade.Segment{"NSE", "nse", "NSE_EQ"} {
		if same, err := api.Instrument(t.Context(), name, "TCS-EQ"); err != nil || same != tcs {
			t.Errorf("%s: %+v, %v", name, same, err)
		}
	}
	_, err = all.Symbol(trade.NSE, "TCS")
	if !errors.Is(err, trade.ErrNotFound) || !strings.Contains(err.Error(), "TCS-EQ") {
		t.Errorf("near symbols: %v", err)
	}
}

func TestInstruments_ofADayWithStubsAreThoseOfTheDayBefore(t *testing.T) {
	srv, api := marketOf(t)
	before, err := api.Instruments(t.Context(), trade.NSE)
	if err != nil {
		t.Fatal(err)
	}
	srv.Advance(24 * time.Hour)
	srv.Fail(t, "scrip_master", "stub", 1)
	after, err := api.Instruments(t.Context(), trade.NSE)
	if err != nil || after.Len() != before.Len() || after.Date() != before.Date() {
		t.Fatalf("%d instruments of %s, %v", after.Len(), after.Date(), err)
	}
	if why := after.Stale(); why == nil || !strings.Contains(why.Error(), before.Date().String()) || !strings.Contains(why.Error(), "no rows") {
		t.Errorf("why: %v", why)
	}
	srv.Advance(11 * time.Minute) // asked for again after ten
	again, err := api.Instruments(t.Context(), trade.NSE)
	if err != nil || again.Stale() != nil || again.Date() != trade.DateOf(srv.Now()) {
		t.Errorf("%s, %v, %v", again.Date(), again.Stale(), err)
	}
	other, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Rate: -1, Clock: srv.Now})
	if err != nil {
		t.Fatal(err)
	}
	srv.Fail(t, "scrip_master", "stub", 1)
	if _, err := trade.New(other).Instruments(t.Context(), trade.NSE); err == nil || !strings.Contains(err.Error(), "no rows") {
		t.Errorf("a stub and nothing older: %v", err)
	}
}

func TestQuotes_areInTheOrderOfTheirInstruments(t *testing.T) {
	srv, api := marketOf(t)
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3500.10")
	all, err := api.Instruments(t.Context(), trade.NSE, trade.NFO)
	if err != nil {
		t.Fatal(err)
	}
	of := all.Find(trade.Search{Segment: trade.NFO, Limit: 60}) // two calls
	tcs, err := all.Symbol(trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	nifty := all.Find(trade.Search{Segment: trade.NSE, Kind: trade.IndexKind, Text: "NIFTY"})[0]
	of = append(of, tcs, nifty)
	quotes, err := api.Quotes(t.Context(), of)
	if err != nil || len(quotes) != len(of) {
		t.Fatal(len(quotes), err)
	}
	for n, q := range quotes {
		if q.Segment != of[n].Segment || q.Token != of[n].Token || q.Symbol != of[n].Symbol || q.At.IsZero() || q.Received.IsZero() {
			t.Fatalf("%d: %+v", n, q)
		}
	}
	q := quotes[len(of)-2]
	if q.Last != trade.MustRupees("3500.10") || !q.PrevClose.Known() || !q.Upper.More(q.Lower) || len(q.Bids) == 0 || len(q.Asks) == 0 || !q.Bids[0].Price.Less(q.Asks[0].Price) {
		t.Errorf("%+v", q)
	}
	if index := quotes[len(of)-1]; !index.Last.Known() || len(index.Bids) > 0 {
		t.Errorf("%+v", index)
	}
	if q, err := api.Quote(t.Context(), tcs, trade.Part(trade.PartLast)); err != nil || q.Last != trade.MustRupees("3500.10") || q.Open.Known() || !q.At.IsZero() {
		t.Errorf("the last price alone: %+v, %v", q, err)
	}
	wrong := tcs
	wrong.Token = "99999999"
	if _, err := api.Quote(t.Context(), wrong); !errors.Is(err, trade.ErrNotFound) || !strings.Contains(err.Error(), "nse_cm|99999999") {
		t.Errorf("an unknown token: %v", err)
	}
}

func TestQuotes_olderThanAllowedAreAnErrorThatNamesTheAge(t *testing.T) {
	srv, api := marketOf(t)
	tcs, err := api.Instrument(t.Context(), trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Quote(t.Context(), tcs, trade.MaxAge(time.Minute)); err != nil {
		t.Fatal(err)
	}
	srv.FailOrder(t, neoapitest.OrderFault{Op: "quotes", Fault: "stale", N: 200})
	q, err := api.Quote(t.Context(), tcs, trade.MaxAge(5*time.Second))
	if !errors.Is(err, trade.ErrStale) || !strings.Contains(err.Error(), "3m20s") && !strings.Contains(err.Error(), "3m2") {
		t.Errorf("%v", err)
	}
	if age, known := q.Age(); !known || age < 200*time.Second {
		t.Errorf("age %s", age)
	}
}

func TestOptionChain_hasEveryListedStrike(t *testing.T) {
	srv, api := marketOf(t)
	srv.Market(t).SetPrice("nse_cm", "Nifty 50", "24512.30")
	all, err := api.Instruments(t.Context(), trade.NFO)
	if err != nil {
		t.Fatal(err)
	}
	expiries, err := api.Expiries(t.Context(), trade.Index("NIFTY"))
	if err != nil || len(expiries) == 0 || !slices.IsSortedFunc(expiries, func(x, y trade.Date) int { return x.Time().Compare(y.Time()) }) {
		t.Fatal(expiries, err)
	}
	listed := all.Find(trade.Search{Name: "NIFTY", Expiry: expiries[0], Kind: trade.Put})
	for _, form := range []string{"as the service sends it", "documented"} {
		t.Run(form, func(t *testing.T) {
			if form == "documented" {
				srv.Fail(t, "option_chain", form, 1)
			}
			chain, err := api.OptionChain(t.Context(), trade.Index("NIFTY"), trade.NearestExpiry)
			if err != nil {
				t.Fatal(err)
			}
			if chain.Expiry != expiries[0] || chain.Len() != len(listed) {
				t.Errorf("%d strikes of %s; %d are listed for %s", chain.Len(), chain.Expiry, len(listed), expiries[0])
			}
			for r := range chain.Rows() {
				if !r.CallQuote.PrevClose.Known() || r.Call.Strike != r.Strike || r.Put.Strike != r.Strike || r.Call.Lot == 0 || r.CallQuote.Token != r.Call.Token {
					t.Fatalf("%+v", r)
				}
			}
			atm, err := chain.ATM()
			if err != nil || atm.Strike != trade.MustRupees("24500") {
				t.Errorf("at the money: %s, %v", atm.Strike, err)
			}
			put, ok := chain.Put("24500")
			if !ok || put.Kind != trade.Put || put != atm.Put || put.Lot != 65 {
				t.Errorf("%+v", put)
			}
			if _, ok := chain.Put("24501"); ok {
				t.Error("24501 is not listed")
			}
		})
	}
}

func TestOptionChain_ofSharesAndCommoditiesKnowsTheirPrice(t *testing.T) {
	_, api := marketOf(t)
	for _, of := range []trade.Underlying{trade.Stock("VEDL"), trade.Commodity("GOLDM"), trade.Index("SENSEX"), trade.Index("BANKNIFTY")} {
		chain, err := api.OptionChain(t.Context(), of, trade.NearestExpiry)
		if err != nil {
			t.Errorf("%s: %v", of.Name, err)
			continue
		}
		atm, err := chain.ATM()
		if err != nil || !atm.Strike.Known() || atm.Call.Token == "" || !chain.Spot.Last.Known() {
			t.Errorf("%s: %+v, %v", of.Name, atm, err)
		}
		expiries, err := api.Expiries(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		last := expiries[len(expiries)-1]
		if chain, err := api.OptionChain(t.Context(), of, trade.On(last)); err != nil || chain.Expiry != last || chain.Len() == 0 {
			t.Errorf("%s on %s: %v", of.Name, last, err)
		}
	}
	if _, err := api.OptionChain(t.Context(), trade.Index("NIFTY"), trade.On(trade.Date{Year: 2001, Month: 1, Day: 1})); !errors.Is(err, trade.ErrNotFound) {
		t.Error(err)
	}
	if _, err := api.Expiries(t.Context(), trade.Index("NIFT")); !errors.Is(err, trade.ErrNotFound) {
		t.Error(err)
	}
}

func TestCandles_ofALongRangeAreEachThereOnce(t *testing.T) {
	srv, api := marketOf(t)
	tcs, err := api.Instrument(t.Context(), trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	to := srv.Now()
	for _, c := range []struct {
		every  trade.Interval
		length time.Duration
		days   int
	}{{trade.FiveMinutes, 5 * time.Minute, 33}, {trade.OneHour, time.Hour, 95}, {trade.Daily, 24 * time.Hour, 200}, {trade.Weekly, 7 * 24 * time.Hour, 400}} {
		from := to.AddDate(0, 0, -c.days)
		candles, err := api.Candles(t.Context(), tcs, c.every, from, to)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < len(candles); n++ { // the market on paper never closes
			if got := candles[n].Start.Sub(candles[n-1].Start); got != c.length {
				t.Fatalf("%s: %s after %s", c.every, candles[n].Start, candles[n-1].Start)
			}
		}
		first, last := candles[0], candles[len(candles)-1]
		if first.Start.After(from) || !first.Start.Add(c.length).After(from) || !last.Start.Add(c.length).After(to) || !last.Running || candles[len(candles)-2].Running {
			t.Errorf("%s: from %s to %s", c.every, first.Start, last.Start)
		}
		if !first.Open.Known() || !first.Close.Known() || first.Low.More(first.High) || first.Start.Location() != trade.IST {
			t.Errorf("%+v", first)
		}
	}
	nifty, err := api.Instruments(t.Context(), trade.NSE)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range nifty.Find(trade.Search{Kind: trade.IndexKind}) {
		if candles, err := api.Candles(t.Context(), index, trade.Daily, to.AddDate(0, 0, -3), to); err != nil || len(candles) < 3 {
			t.Errorf("%s: %d, %v", index.Symbol, len(candles), err)
		}
	}
}

func TestCheckDay_findsASplitBetweenIntervals(t *testing.T) {
	srv, api := marketOf(t)
	tcs, err := api.Instrument(t.Context(), trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	day := trade.DateOf(srv.Now().AddDate(0, 0, -1)).Time()
	days, err := api.Candles(t.Context(), tcs, trade.Daily, day, day.AddDate(0, 0, 1))
	if err != nil || len(days) != 1 {
		t.Fatal(len(days), err)
	}
	minutes, err := api.Candles(t.Context(), tcs, trade.OneMinute, day, day.AddDate(0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := trade.CheckDay(days[0], minutes, tcs.Tick); err != nil {
		t.Error(err)
	}
	for n := range minutes {
		minutes[n].High = minutes[n].High.Times(2)
	}
	if err := trade.CheckDay(days[0], minutes, tcs.Tick); !errors.Is(err, trade.ErrAdjusted) || !strings.Contains(err.Error(), "2.00") {
		t.Error(err)
	}
}

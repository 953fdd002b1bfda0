package feed_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// loggedIn starts a sandbox, and logs in to it. A program of yours connects to a service
// that runs, such as neo sandbox.
func loggedIn() (client *neoapi.Client, srv *neoapitest.Server, stop func()) {
	t, end := testserver.Example()
	srv = neoapitest.NewServer(t)
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	ctx := context.Background()
	client, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now,
	})
	if err == nil {
		err = client.LoginTOTP(ctx, neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)})
	}
	if err == nil {
		_, err = client.ValidateMPIN(ctx, srv.Account.MPIN)
	}
	if err != nil {
		log.Fatal(err)
	}
	return client, srv, end
}

// A strategy counts what it is given.
type strategy struct {
	candles, ticks, pauses int
	last                   map[string]trade.Rupees
}

func (s *strategy) Warm(c trade.Candle) { s.candles++ }

func (s *strategy) Tick(i trade.Instrument, last trade.Rupees, at time.Time) {
	s.ticks++
	s.last[i.Symbol] = last
}

func (s *strategy) Pause(from, to time.Time) { s.pauses++ }

func (s *strategy) Enough() bool { return len(s.last) == 2 && s.ticks >= 4 }

// Warm up on candles, then live.
func Example() {
	client, srv, stop := loggedIn()
	defer stop()
	ctx := context.Background()
	strategy := &strategy{last: map[string]trade.Rupees{}}

	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		log.Fatal(err)
	}
	nifty, err := api.Instrument(ctx, trade.NSE, "NIFTY")
	if err != nil {
		log.Fatal(err)
	}
	to := srv.Now()
	candles, err := api.Candles(ctx, tcs, trade.FiveMinutes, to.AddDate(0, 0, -7), to)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range candles {
		strategy.Warm(c)
	}

	market, err := feed.Market(ctx, client, feed.Quotes(tcs, nifty))
	if err != nil {
		log.Fatal(err)
	}
	defer market.Close()
	for update, err := range market.Updates(ctx) { // err ends the loop; a gap is an update like others
		if err != nil {
			log.Fatal(err)
		}
		switch u := update.(type) {
		case feed.Quote:
			strategy.Tick(u.Instrument, u.Last, u.At)
		case feed.Gap:
			strategy.Pause(u.From, u.To)
		}
		if strategy.Enough() {
			break
		}
	}
	fmt.Println(strategy.candles > 0, strategy.last["TCS-EQ"].Known(), strategy.last["NIFTY"].Known(), strategy.pauses)
	// Output: true true true 0
}

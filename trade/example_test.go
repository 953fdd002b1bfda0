package trade_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"neoapi"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// loggedIn starts a sandbox whose market stands still, and logs in to it. A program of yours
// connects to a service that runs, such as neo sandbox.
func loggedIn() (client *neoapi.Client, srv *neoapitest.Server, stop func()) {
	t, end := testserver.Example()
	srv = neoapitest.NewServer(t)
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	market := srv.Market(t)
	market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	client, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now,
	})
	if err == nil {
		err = client.Login(context.Background(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password})
	}
	if err == nil {
		_, err = client.Session2FA(context.Background(), srv.OTP(t))
	}
	if err != nil {
		log.Fatal(err)
	}
	return client, srv, end
}

// The first order: what it costs now, a limit one tick above, and what became of it.
func Example() {
	client, _, stop := loggedIn()
	defer stop()
	ctx := context.Background()

	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		log.Fatal(err)
	}
	quote, err := api.Quote(ctx, tcs)
	if err != nil {
		log.Fatal(err)
	}
	order, err := api.Place(ctx, trade.Buy(tcs, 10).Limit(quote.Last.Add(tcs.Tick)).Product(trade.CNC))
	if err != nil {
		log.Fatal(err)
	}
	order, err = api.Await(ctx, order, trade.Complete)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order.State, order.FilledQty, order.AvgPrice)
	// Output: complete 10 3500.10
}

// What can go wrong is told apart by errors.Is.
func ExampleClient_Place() {
	client, srv, stop := loggedIn()
	defer stop()
	ctx := context.Background()
	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		log.Fatal(err)
	}

	_, err = api.Place(ctx, trade.Buy(tcs, 10).Limit(trade.MustRupees("3500.03")).Product(trade.CNC))
	if bad, ok := errors.AsType[*trade.Invalid](err); ok { // nothing was sent
		fmt.Println(bad.Field, bad.Value, "use", bad.Nearest)
	}

	// The exchange accepts an order, and its answer is lost: Place finds the order.
	t, end := testserver.Example()
	defer end()
	srv.Fail(t, "place", "lost", 1)
	order, err := api.Place(ctx, trade.Buy(tcs, 10).Limit(trade.MustRupees("3400")).Product(trade.CNC))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order.State, "and at the exchange", len(srv.Orders(t, srv.Account.UCC)), "order")

	// The broker has not enough money for it.
	order, err = api.Place(ctx, trade.Buy(tcs, 10_000).Limit(trade.MustRupees("3500")).Product(trade.CNC))
	if err == nil {
		_, err = api.Await(ctx, order, trade.Complete)
	}
	fmt.Println("rejected:", errors.Is(err, trade.ErrRejected))
	// Output:
	// price 3500.03 use [3500.00 3500.10]
	// open and at the exchange 1 order
	// rejected: true
}

// A program that is started again places nothing twice.
func ExampleClient_PlaceOnce() {
	client, srv, stop := loggedIn()
	defer stop()
	ctx := context.Background()
	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		log.Fatal(err)
	}
	leg := trade.Buy(tcs, 10).Limit(trade.MustRupees("3400")).Product(trade.CNC).Tag(trade.DayTag("morning-leg"))
	for range 2 { // the second time, the program has been started again
		order, err := api.PlaceOnce(ctx, leg)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(order.Side, order.Quantity, order.Symbol)
	}
	t, end := testserver.Example()
	defer end()
	fmt.Println("orders at the exchange:", len(srv.Orders(t, srv.Account.UCC)))
	// Output:
	// buy 10 TCS-EQ
	// buy 10 TCS-EQ
	// orders at the exchange: 1
}

// What is held, what it has made, and out before the close.
func ExampleClient_SquareOff() {
	client, srv, stop := loggedIn()
	defer stop()
	ctx := context.Background()
	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		log.Fatal(err)
	}
	order, err := api.Place(ctx, trade.Buy(tcs, 10).Market().Product(trade.MIS))
	if err == nil {
		_, err = api.Await(ctx, order, trade.Complete)
	}
	if err != nil {
		log.Fatal(err)
	}
	t, end := testserver.Example()
	defer end()
	srv.Market(t).SetPrice("nse_cm", "TCS-EQ", "3510.00")

	positions, err := api.Positions(ctx)
	if err != nil {
		log.Fatal(err)
	}
	quotes, err := api.Quotes(ctx, []trade.Instrument{tcs})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range positions {
		fmt.Println(p.Symbol, p.Net, p.AvgPrice, p.DayPnL(quotes))
	}
	plan, err := api.SquareOff(ctx, trade.Intraday, trade.DryRun) // without DryRun it sends them, and waits until all is flat
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range plan {
		fmt.Println(r.Ticket)
	}
	if _, err := api.SquareOff(ctx, trade.Intraday); err != nil {
		log.Fatal(err)
	}
	fmt.Println("held:", srv.Positions(t, srv.Account.UCC)[0].Net)
	// Output:
	// TCS-EQ 10 3500.10 99.00
	// sell 10 TCS-EQ MIS market, label squareoff
	// held: 0
}

// An option by what it is, not by its name.
func ExampleClient_OptionChain() {
	client, _, stop := loggedIn()
	defer stop()
	ctx := context.Background()
	api := trade.New(client)

	chain, err := api.OptionChain(ctx, trade.Index("NIFTY"), trade.NearestExpiry)
	if err != nil {
		log.Fatal(err)
	}
	atm, err := chain.ATM() // by the underlying's last price and the strikes that are listed
	if err != nil {
		log.Fatal(err)
	}
	below, ok := chain.Put(atm.Strike.Sub(trade.MustRupees("500")).String()) // ok is false where the strike is not listed
	if !ok {
		log.Fatal("not listed")
	}
	sell := trade.Sell(atm.Call, 40*atm.Call.Lot).Market().Product(trade.NRML)
	need, err := api.Margin(ctx, sell, trade.Buy(below, below.Lot).Market().Product(trade.NRML))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(need.Need.More(trade.MustRupees("0")), need.Legs, "legs")
	fmt.Println(len(trade.Slice(sell)), "orders, because of the freeze quantity")
	// Output:
	// true 2 legs
	// 2 orders, because of the freeze quantity
}

// Candles over any range, to warm up on.
func ExampleClient_Candles() {
	client, srv, stop := loggedIn()
	defer stop()
	ctx := context.Background()
	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		log.Fatal(err)
	}
	to := trade.DateOf(srv.Now()).Time() // today's begin
	candles, err := api.Candles(ctx, tcs, trade.FiveMinutes, to.AddDate(0, 0, -2), to)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(candles), candles[0].Start.Equal(to.AddDate(0, 0, -2)), candles[1].Start.Sub(candles[0].Start))
	// Output: 576 true 5m0s
}

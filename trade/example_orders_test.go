package trade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// A tester stands in for the *testing.T that a test of yours has.
type tester struct {
	testing.TB
	after []func()
}

func (*tester) Helper()                      {}
func (*tester) Context() context.Context     { return context.Background() }
func (t *tester) Cleanup(f func())           { t.after = append(t.after, f) }
func (*tester) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (*tester) Fatalf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }
func (*tester) Errorf(text string, a ...any) { panic(fmt.Sprintf(text, a...)) }

func (t *tester) TempDir() string {
	dir, err := os.MkdirTemp("", "trade-example")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (t *tester) end() {
	for i := len(t.after) - 1; i >= 0; i-- {
		t.after[i]()
	}
}

// loggedIn is a client at an exchange on paper where TCS stands at 3500.
func loggedIn(t testing.TB) (*neoapi.Client, *neoapitest.Server) {
	ctx := context.Background()
	srv := neoapitest.NewServer(t)
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	market := srv.Market(t)
	market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	client, err := neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now,
	})
	if err == nil {
		err = client.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password})
	}
	if err == nil {
		_, err = client.Session2FA(ctx, srv.OTP(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	return client, srv
}

// The first order: an instrument, a quote, an order, and what became of it.
func ExampleClient_Place() {
	t := new(tester)
	defer t.end()
	ctx := context.Background()
	client, _ := loggedIn(t) // see neoapi.Client.Login

	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	quote, err := api.Quote(ctx, tcs)
	if err != nil {
		t.Fatal(err)
	}
	order, err := api.Place(ctx, trade.Buy(tcs, 10).Limit(quote.Last.Add(tcs.Tick)).Product(trade.CNC))
	if err == nil {
		order, err = api.Await(ctx, order, trade.Complete)
	}
	switch {
	case errors.Is(err, trade.ErrInvalid): // it was not sent
	case errors.Is(err, trade.ErrRejected): // by the service or the exchange: the error has the reason
	case errors.Is(err, trade.ErrNotPlaced): // its answer was lost, and it is not there
	case errors.Is(err, trade.ErrUnknown): // it may be there: the error says what to do
	}
	fmt.Println(order.State, order.FilledQty, err)

	_, err = api.Place(ctx, trade.Buy(tcs, 10).Limit(quote.Last))
	fmt.Println(err)
	// Output:
	// complete 10 <nil>
	// trade: product is missing: use CNC or MIS
}

// A program that dies and starts again places nothing twice.
func ExampleClient_PlaceOnce() {
	t := new(tester)
	defer t.end()
	ctx := context.Background()
	client, srv := loggedIn(t)
	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	program := func() (trade.Order, error) {
		leg := trade.Buy(tcs, 10).Market().Product(trade.MIS).Tag(trade.DayTag("open-leg-1"))
		return api.PlaceOnce(ctx, leg)
	}

	first, err := program()
	fmt.Println(err)
	again, err := program()
	fmt.Println(again.Number == first.Number, err, len(srv.Orders(t, srv.Account.UCC)))
	// Output:
	// <nil>
	// true <nil> 1
}

// Out before the close: what rests is cancelled, and what is held is closed.
func ExampleClient_SquareOff() {
	t := new(tester)
	defer t.end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, _ := loggedIn(t)
	api := trade.New(client)
	tcs, err := api.Instrument(ctx, trade.NSE, "TCS-EQ")
	if err != nil {
		t.Fatal(err)
	}
	order, err := api.Place(ctx, trade.Buy(tcs, 10).Market().Product(trade.MIS))
	if err == nil {
		_, err = api.Await(ctx, order, trade.Complete)
	}
	if err != nil {
		t.Fatal(err)
	}

	plan, err := api.SquareOff(ctx, trade.Intraday, trade.DryRun)
	fmt.Println(plan, err)
	results, err := api.SquareOff(ctx, trade.Intraday)
	fmt.Println(len(results), results[0].Order.State, err)
	// Output:
	// [sell 10 TCS-EQ MIS market, label squareoff] <nil>
	// 1 complete <nil>
}

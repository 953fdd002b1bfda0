package feed_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

func TestScratch_x(t *testing.T) {
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	market := srv.Market(t)
	srv.Fund(t, srv.Account.UCC, "100000000.00")
	market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1, Clock: srv.Now}))(t)
	must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
	must.Get(c.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
	f := must.Get(feed.Orders(t.Context(), c))(t)
	api := trade.New(c, trade.Follow(f))
	tcs := must.Get(api.Instrument(t.Context(), trade.NSE, "TCS-EQ"))(t)
	for !f.Live() {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	go func() {
		o := must.Get(api.Place(t.Context(), trade.Buy(tcs, 10).Market().Product(trade.CNC)))(t)
		fmt.Println("placed", o.Number, o.State, o.FilledQty)
		o, err := api.Await(t.Context(), o)
		fmt.Println("done", o.State, o.FilledQty, o.AvgPrice, err)
	}()
	for u, err := range f.Updates(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		switch u := u.(type) {
		case feed.OrderUpdate:
			fmt.Println(u.Number, u.State, u.FilledQty, u.Fill, u.AvgPrice, u.Recovered, u.Sequence, u.PriceType, u.Price)
		default:
			fmt.Printf("%+v\n", u)
		}
	}
	fmt.Printf("%+v\n", f.Stats())
	must.Do(t, f.Close())
}

package trade_test

import (
	"fmt"
	"net/url"
	"testing"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// paper returns an exchange on paper, and a client that is logged in there by TOTP or, as
// generation 1 does, by password.
func paper(t *testing.T, byPassword bool) (*neoapitest.Server, *trade.Client, *neoapi.Client) {
	t.Helper()
	srv := neoapitest.NewServer(t)
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
	}))(t)
	if byPassword {
		must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
		must.Get(c.Session2FA(t.Context(), srv.OTP(t)))(t)
	} else {
		must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
		must.Get(c.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
	}
	return srv, trade.New(c), c
}

// place places an order of 10 TCS under CNC, and returns its number.
func place(t *testing.T, c *neoapi.Client, side, kind, price, tag string) string {
	t.Helper()
	var placed struct{ NOrdNo string }
	order := fmt.Sprintf(`{"es":"nse_cm","ts":"TCS-EQ","tt":%q,"qt":"10","pt":%q,"pr":%q,"pc":"CNC","rt":"DAY","am":"NO","ig":%q}`, side, kind, price, tag)
	must.Do(t, c.Do(t.Context(), "POST", "/quick/order/rule/ms/place", url.Values{"jData": {order}}, &placed))
	return placed.NOrdNo
}

func TestReports_areWhatTheExchangeSays(t *testing.T) {
	t.Parallel()
	for name, byPassword := range map[string]bool{"generation 1": true, "generation 3": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, api, c := paper(t, byPassword)
			ctx, ucc := t.Context(), srv.Account.UCC
			for report, n := range map[string]int{
				"orders": len(must.Get(api.Orders(ctx))(t)), "trades": len(must.Get(api.Trades(ctx))(t)),
				"positions": len(must.Get(api.Positions(ctx))(t)), "holdings": len(must.Get(api.Holdings(ctx))(t)),
			} {
				if n != 0 {
					t.Errorf("%d %s before anything was traded", n, report)
				}
			}
			market := srv.Market(t)
			market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
			market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
			srv.Fund(t, ucc, "100000.00")
			number := place(t, c, "B", "L", "3450.10", "mine-1")
			resting := must.Get(api.Order(ctx, number))(t)
			if resting.State != trade.Open || resting.Price != trade.MustRupees("3450.10") || resting.AvgPrice.Known() || resting.PendingQty != 10 || resting.Tag != "mine-1" {
				t.Errorf("it rests as %+v", resting)
			}
			market.SetPrice("nse_cm", "TCS-EQ", "3440.00")
			orders := must.Get(api.Orders(ctx))(t)
			if len(orders) != 1 || orders[0] != must.Get(api.Order(ctx, number))(t) {
				t.Fatalf("the book is %+v", orders)
			}
			o := orders[0]
			if o.State != trade.Complete || o.FilledQty != 10 || o.AvgPrice.String() != "3450.10" || o.Side != trade.SideBuy || o.Segment != trade.NSE ||
				o.Product != trade.CNC || o.PriceType != trade.Limit || o.Validity != trade.Day || o.Symbol != "TCS-EQ" || o.Token != "11536" || o.Unread != "" {
				t.Errorf("it filled as %+v", o)
			}
			if o.Entered.IsZero() || o.Confirmed.IsZero() || o.Updated.Before(o.Entered) || o.Sequence != o.Updated.UnixNano() || o.Entered.Location() != trade.IST || !o.Sent.IsZero() {
				t.Errorf("entered %v, confirmed %v, updated %v, sent %v", o.Entered, o.Confirmed, o.Updated, o.Sent)
			}
			trades := must.Get(api.Trades(ctx))(t)
			if len(trades) != 1 || trades[0].OrderNumber != number || trades[0].Quantity != 10 || trades[0].Price != o.AvgPrice || trades[0].ID == "" || trades[0].At.IsZero() || trades[0].Unread != "" {
				t.Errorf("the trades are %+v", trades)
			}
			positions := must.Get(api.Positions(ctx))(t)
			if len(positions) != 1 || positions[0].Net != 10 || positions[0].AvgPrice.String() != "3450.10" || positions[0].Symbol != "TCS-EQ" ||
				positions[0].Kind != trade.Share || positions[0].Last != trade.MustRupees("3440") || positions[0].Unread != "" {
				t.Errorf("the positions are %+v", positions)
			}
			limits, want := must.Get(api.Limits(ctx))(t), srv.Limits(t, ucc)
			if limits.Cash.String() != want.Cash || limits.Used.String() != want.Used || limits.Available.String() != want.Net || limits.Pledged.String() != want.Pledged || limits.At.IsZero() {
				t.Errorf("the limits are %+v, want %v", limits, want)
			}
			if _, err := api.Order(ctx, "260101000000001"); err == nil {
				t.Error("an order that does not exist was found")
			}
		})
	}
}

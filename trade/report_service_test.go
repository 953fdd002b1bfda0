package trade_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// paper returns an exchange on paper, and a client that is logged in there by TOTP or, as
// generation 1 does, by password.
func paper(t *testing.T, byPassword bool) (*neoapitest.Server, *trade.Client, *neoapi.Client) {
	t.Helper()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(0))
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now, Rate: -1,
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
			p := positions[0]
			if made := fmt.Sprint(p.Instrument.Symbol, p.Net, p.AvgPrice, p.DayPnL(nil), p.PositionPnL(nil)); made != "TCS-EQ10 3450.10 -101.00 -101.00" {
				t.Errorf("it made %s", made)
			}
			limits, want := must.Get(api.Limits(ctx))(t), srv.Limits(t, ucc)
			if limits.Cash.String() != want.Cash || limits.Used.String() != want.Used || limits.Available.String() != want.Net || limits.Pledged.String() != want.Pledged || limits.At.IsZero() {
				t.Errorf("the limits are %+v, want %v", limits, want)
			}
			if _, err := api.Order(ctx, "260101000000001"); !errors.Is(err, trade.ErrNotFound) {
				t.Errorf("an order that does not exist: %v", err)
			}
		})
	}
}

func TestHistory_ofTheExchangeIsTheOldestFirst(t *testing.T) {
	t.Parallel()
	srv, api, c := paper(t, false)
	ctx, market := t.Context(), srv.Market(t)
	market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	srv.Fund(t, srv.Account.UCC, "40000.00")
	number := place(t, c, "B", "L", "3400.00", "mine-1")
	modify := func(price string) {
		t.Helper()
		fields := fmt.Sprintf(`{"no":%q,"pr":%q,"pt":"L","qt":"10","tp":"0","dq":"0","vd":"DAY","mp":"0","am":"NO"}`, number, price)
		must.Do(t, c.Do(ctx, "POST", "/quick/order/vr/modify", url.Values{"jData": {fields}}, nil))
	}
	modify("3450.00")
	before := must.Get(api.Order(ctx, number))(t)
	fields := fmt.Sprintf(`{"no":%q,"pr":"3450","pt":"L","qt":"20","tp":"0","dq":"0","vd":"DAY","mp":"0","am":"NO"}`, number)
	must.Do(t, c.Do(ctx, "POST", "/quick/order/vr/modify", url.Values{"jData": {fields}}, nil)) // answered Ok, and refused: there is no money for 20
	after := must.Get(api.Order(ctx, number))(t)
	if after.State != before.State || after.State.Final() || after.Refused() == "" || after.Price != before.Price || after.Quantity != 10 {
		t.Errorf("after a change that was refused it is %+v", after)
	}
	history := must.Get(api.History(ctx, number))(t)
	want := srv.History(t, srv.Account.UCC, number)
	if len(history) != len(want) || len(history) < 8 {
		t.Fatalf("%d states, want %d", len(history), len(want))
	}
	for i, o := range history {
		if string(o.State) != want[i].State || o.Unread != "" || o.Number != number || i > 0 && (o.Sequence < history[i-1].Sequence || o.FilledQty < history[i-1].FilledQty) {
			t.Errorf("state %d is %q, want %q: %+v", i, o.State, want[i].State, o)
		}
	}
	if none, err := api.History(ctx, "260101000000001"); !errors.Is(err, trade.ErrNotFound) {
		t.Errorf("an order that does not exist has the history %v, %v", none, err)
	}
}

func TestHoldings_areWhatWasBoughtTheDayBefore(t *testing.T) {
	t.Parallel()
	srv, api, _ := paper(t, false)
	srv.Fund(t, srv.Account.UCC, "100000.00", neoapitest.Holding{Segment: "nse_cm", Symbol: "INFY-EQ", Quantity: 10, AveragePrice: "1450.25"})
	all := must.Get(api.Holdings(t.Context()))(t)
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	h := all[0]
	if h.Symbol != "INFY-EQ" || h.Name != "INFY" || h.Segment != trade.NSE || h.Token == "" || h.Quantity != 10 || h.Sellable != 10 ||
		h.AvgPrice != trade.MustRupees("1450.25") || h.Cost != trade.MustRupees("14502.50") || !h.MarketValue.Known() || h.Unread != "" {
		t.Errorf("%+v", h)
	}
}

// What Margin says fits is accepted, and one rupee less is refused.
func TestMargin_isWhatTheExchangeTakes(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		funds string
		fits  bool
	}{{"34000.00", true}, {"33999.00", false}} {
		srv, api, c := paper(t, false)
		market := srv.Market(t)
		market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
		market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
		srv.Fund(t, srv.Account.UCC, x.funds)
		tcs := trade.Instrument{Segment: trade.NSE, Token: "11536", Symbol: "TCS-EQ", Lot: 1}
		m := must.Get(api.Margin(t.Context(), trade.Buy(tcs, 10).Limit(trade.MustRupees("3400")).Product(trade.CNC)))(t)
		if m.Need.String() != "34000.00" || m.Fits != x.fits || m.Short.Sign() == 0 != x.fits || m.Available.String() != x.funds || m.Unread != "" {
			t.Errorf("with %s: %+v", x.funds, m)
		}
		o := must.Get(api.Order(t.Context(), place(t, c, "B", "L", "3400", "mine-1")))(t)
		if (o.State == trade.Open) != x.fits || (o.State == trade.Rejected) == x.fits {
			t.Errorf("with %s it is %s: %s", x.funds, o.State, o.Reason)
		}
		l := must.Get(api.Limits(t.Context()))(t)
		if l.Cash.Add(l.Pledged).Sub(l.Used) != l.Available {
			t.Errorf("the limits do not add up: %+v", l)
		}
		if m := must.Get(api.Margin(t.Context(), trade.Buy(tcs, 1).Market().Product(trade.CNC), trade.Sell(tcs, 1).Market().Product(trade.MIS)))(t); m.Legs != 2 || !m.Need.Known() {
			t.Errorf("two legs: %+v", m)
		}
	}
}

// The filled quantity is a total: what each state adds makes the whole, as the trades do.
func TestOrder_filledQuantityIsATotal(t *testing.T) {
	t.Parallel()
	srv, api, c := paper(t, false)
	ctx, market := t.Context(), srv.Market(t)
	market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	srv.Fund(t, srv.Account.UCC, "100000.00")
	srv.Fail(t, "place", "parts", 1)
	number := place(t, c, "B", "MKT", "0", "mine-1")
	srv.Advance(10 * time.Second)
	history := must.Get(api.History(ctx, number))(t)
	var total, before int64
	for _, o := range history {
		if o.FilledQty < before || o.State != trade.Complete && o.FilledQty == 0 && o.AvgPrice.Known() {
			t.Errorf("it fell from %d to %d, or has an average of nothing: %+v", before, o.FilledQty, o)
		}
		total, before = total+o.FilledQty-before, o.FilledQty
	}
	trades := must.Get(api.Trades(ctx))(t)
	var traded int64
	for _, tr := range trades {
		traded += tr.Quantity
	}
	if last := history[len(history)-1]; last.State != trade.Complete || total != 10 || traded != 10 || len(trades) < 2 {
		t.Errorf("%s: %d by its states, %d in %d trades", last.State, total, traded, len(trades))
	}
	p := must.Get(api.Positions(ctx))(t)[0]
	for _, by := range []trade.Matching{trade.FIFO, trade.AverageCost} {
		if realised, unrealised := p.Profit(trades, nil, by); realised.Sign() != 0 || unrealised != p.DayPnL(nil) {
			t.Errorf("it made %s and %s, the day %s", realised, unrealised, p.DayPnL(nil))
		}
	}
}

package ledger_test

import (
	"errors"
	"testing"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

func share(token uint32, margin listing.Margin) *listing.Instrument {
	return &listing.Instrument{
		Key: listing.Key{Segment: listing.NSE, Token: token}, Lot: 1, Tick: 500, Precision: 2,
		Multiplier: 1, GenNum: 1, GenDen: 1, PriceNum: 1, PriceDen: 1, Margin: margin,
	}
}

var (
	tcs   = share(1, listing.Margin{Intraday: 2000, Funded: 4000})
	index = share(26000, listing.Margin{})

	contract = listing.Margin{Span: 1000, Exposure: 200}
	near     = listing.Date{Year: 2031, Month: 1, Day: 7}
	far      = listing.Date{Year: 2031, Month: 1, Day: 28}
)

func option(token uint32, kind listing.Kind, strike listing.Price, expiry listing.Date) *listing.Instrument {
	i := share(token, contract)
	i.Segment, i.Kind, i.Strike, i.Expiry, i.Underlying, i.Lot = listing.NSEDeriv, kind, strike*listing.Rupee, expiry, index, 50
	return i
}

func base(i *listing.Instrument) listing.Price {
	if i.Key == index.Key {
		return 20_000 * listing.Rupee
	}
	return 100 * listing.Rupee
}

func price(s string) listing.Price {
	p, err := listing.ParsePrice(s)
	if err != nil {
		panic(err)
	}
	return p
}

func order(i *listing.Instrument, p ledger.Product, buy bool, quantity int64, at string) ledger.Order {
	return ledger.Order{Instrument: i, Product: p, Buy: buy, Price: price(at), Quantity: quantity}
}

// filled opens an order and fills it at its price.
func filled(t *testing.T, a *ledger.Account, o ledger.Order) {
	t.Helper()
	if _, err := a.Open(o); err != nil {
		t.Fatalf("%+v does not fit: %v", o, err)
	}
	a.Fill(o, o.Price)
}

func open(funds string) *ledger.Account {
	return ledger.New(price(funds), base).Account("A")
}

func TestNeed_isWhatTheRulesSay(t *testing.T) {
	t.Parallel()
	short := option(10, listing.Call, 20_500, near)
	for name, x := range map[string]struct {
		before []ledger.Order
		order  ledger.Order
		want   string
	}{
		"CNC in full":                         {nil, order(tcs, ledger.CNC, true, 10, "100"), "1000.00"},
		"NRML as CNC":                         {nil, order(tcs, ledger.NRML, true, 10, "100"), "1000.00"},
		"MIS a fifth":                         {nil, order(tcs, ledger.MIS, true, 10, "100"), "200.00"},
		"MIS a fifth, sold":                   {nil, order(tcs, ledger.MIS, false, 10, "100"), "200.00"},
		"MTF two fifths":                      {nil, order(tcs, ledger.MTF, true, 10, "100"), "400.00"},
		"nothing to close":                    {[]ledger.Order{order(tcs, ledger.MIS, false, 10, "100")}, order(tcs, ledger.MIS, true, 10, "150"), "0.00"},
		"the rest of a flip":                  {[]ledger.Order{order(tcs, ledger.MIS, true, 100, "100")}, order(tcs, ledger.MIS, false, 250, "100"), "1000.00"},
		"a premium":                           {nil, order(short, ledger.NRML, true, 50, "120.50"), "6025.00"},
		"a sold option: its loss, exposure":   {nil, order(short, ledger.NRML, false, 50, "120.50"), "95000.00"},                             // 1,500 × 50 + 2 % of 20,000 × 50
		"a sold option far out: the least":    {nil, order(option(11, listing.Call, 26_000, near), ledger.NRML, false, 50, "1"), "50000.00"}, // 3 % + 2 %
		"a hedged one: the difference":        {[]ledger.Order{order(option(12, listing.Call, 20_700, near), ledger.NRML, true, 50, "80")}, order(short, ledger.NRML, false, 50, "120"), "30000.00"},
		"a hedge that expires before is none": {[]ledger.Order{order(option(13, listing.Call, 20_700, near), ledger.NRML, true, 50, "80")}, order(option(14, listing.Call, 20_500, far), ledger.NRML, false, 50, "120"), "95000.00"},
		"a hedge of another product is none":  {[]ledger.Order{order(option(12, listing.Call, 20_700, near), ledger.MIS, true, 50, "80")}, order(short, ledger.NRML, false, 50, "120"), "95000.00"},
	} {
		a := open("1000000")
		for _, o := range x.before {
			filled(t, a, o)
		}
		before := a.Used()
		need, err := a.Need(x.order)
		if err != nil || need.Order.String() != x.want || a.Used() != before {
			t.Errorf("%s: %s (%v), want %s; used %s, was %s", name, need.Order, err, x.want, a.Used(), before)
		}
	}
}

func TestNeed_ofAHedgeCountsOnlyWhenItIsFilled(t *testing.T) {
	t.Parallel()
	a := open("98000")
	hedge, short := order(option(12, listing.Call, 20_700, near), ledger.NRML, true, 50, "80"), order(option(10, listing.Call, 20_500, near), ledger.NRML, false, 50, "120")
	if _, err := a.Open(hedge); err != nil {
		t.Fatal(err)
	}
	need, err := a.Open(short)
	if !errors.Is(err, ledger.ErrMoney) || need.Order.String() != "95000.00" || need.Short.String() != "1000.00" {
		t.Errorf("before the hedge is filled: %+v, %v", need, err)
	}
	a.Fill(hedge, hedge.Price)
	if need, err := a.Open(short); err != nil || need.Order.String() != "30000.00" {
		t.Errorf("after: %+v, %v", need, err)
	}
	a.Fill(short, short.Price)
	if need, err := a.Open(order(hedge.Instrument, ledger.NRML, false, 50, "80")); !errors.Is(err, ledger.ErrMoney) {
		t.Errorf("the hedge can be sold before what it protects: %+v, %v", need, err)
	}
	if _, err := a.Open(order(short.Instrument, ledger.NRML, true, 50, "500")); err != nil {
		t.Errorf("the sold option cannot be bought back: %v", err)
	}
}

func TestOpen_takesWhatFitsAndNotARupeeMore(t *testing.T) {
	t.Parallel()
	o := order(tcs, ledger.CNC, true, 10, "100")
	a := open("999.99")
	need, err := a.Open(o)
	if !errors.Is(err, ledger.ErrMoney) || need.Short != price("0.01") || a.Used() != 0 {
		t.Errorf("a paisa short: %+v, %v, used %s", need, err, a.Used())
	}
	if _, err := open("1000").Open(o); err != nil {
		t.Error(err)
	}
}

// Closing needs nothing, also where there is nothing left.
func TestOpen_closesWithoutMoney(t *testing.T) {
	t.Parallel()
	a := open("20")
	filled(t, a, order(tcs, ledger.MIS, false, 1, "100"))
	if a.Net() != 0 {
		t.Fatalf("left: %s", a.Net())
	}
	filled(t, a, order(tcs, ledger.MIS, true, 1, "130"))
	if got := a.Limits(base); got.Loss.String() != "30.00" || got.Net.String() != "-10.00" {
		t.Errorf("%+v", got)
	}
}

func TestPosition_flipsExactly(t *testing.T) {
	t.Parallel()
	a := open("1000000")
	filled(t, a, order(tcs, ledger.MIS, false, 100, "50"))
	filled(t, a, order(tcs, ledger.MIS, true, 150, "40"))
	p := a.Position(tcs.Key, ledger.MIS)
	l := a.Limits(base)
	if p.Net() != 50 || p.Realized.String() != "1000.00" || l.Intraday.String() != "400.00" || l.Loss != 0 || l.Unrealized.String() != "3000.00" {
		t.Errorf("%+v, %+v", p, l)
	}
}

func TestShares_areSoldFromHoldingsAlone(t *testing.T) {
	t.Parallel()
	a := open("1000")
	sell := order(tcs, ledger.CNC, false, 10, "120")
	if _, err := a.Open(sell); !errors.Is(err, ledger.ErrHoldings) {
		t.Errorf("sold without shares: %v", err)
	}
	filled(t, a, order(tcs, ledger.CNC, true, 10, "100"))
	if _, err := a.Open(sell); !errors.Is(err, ledger.ErrHoldings) {
		t.Errorf("sold on the day of the purchase: %v", err)
	}
	held := open("0")
	if !held.Fund(0, []ledger.Holding{{Instrument: tcs, Quantity: 10, T1: 4, Cost: price("900")}}) {
		t.Fatal("not funded")
	}
	if _, err := held.Open(sell); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Open(order(tcs, ledger.CNC, false, 1, "120")); !errors.Is(err, ledger.ErrHoldings) {
		t.Errorf("sold twice: %v", err)
	}
	held.Fill(sell, price("121"))
	// The six settled ones pay for purchases of the same day.
	if need, err := held.Need(order(tcs, ledger.CNC, true, 6, "121")); err != nil || need.Order != 0 {
		t.Errorf("%+v, %v", need, err)
	}
}

func TestPledge_isMarginAndNeverCountedTwice(t *testing.T) {
	t.Parallel()
	a := open("0")
	a.Fund(price("500"), []ledger.Holding{{Instrument: tcs, Quantity: 10, Pledged: 10, Cost: price("900")}})
	l := a.Limits(base)
	if l.Cash.String() != "500.00" || l.Pledged.String() != "850.00" || l.Net != l.Cash+l.Pledged-l.Used {
		t.Errorf("%+v", l)
	}
	if n := a.Sellable(tcs); n != 0 {
		t.Errorf("%d pledged shares can be sold", n)
	}
}

func roll(l *ledger.Ledger, settle string, expired bool) {
	l.Roll(ledger.Settlement{
		Price:   func(*listing.Instrument) listing.Price { return price(settle) },
		Expired: func(*listing.Instrument) bool { return expired },
		Base:    base,
	})
}

func TestRoll_settlesShares(t *testing.T) {
	t.Parallel()
	l := ledger.New(price("10000"), base)
	a := l.Account("A")
	filled(t, a, order(tcs, ledger.CNC, true, 10, "100"))
	filled(t, a, order(tcs, ledger.MIS, false, 10, "110"))
	filled(t, a, order(tcs, ledger.MIS, true, 10, "105"))
	roll(l, "100", false)
	if got := a.Limits(base); got.Cash.String() != "9050.00" || got.Used != 0 {
		t.Errorf("after the day: %+v", got)
	}
	if h := a.Holdings(); len(h) != 1 || h[0].T1 != 10 || h[0].Sellable != 10 || h[0].Cost.String() != "1000.00" {
		t.Errorf("%+v", h)
	}
	roll(l, "100", false)
	if h := a.Holdings(); h[0].Free != 10 || h[0].T1 != 0 {
		t.Errorf("a day later: %+v", h)
	}
}

// A call of strike 100 ends at 112.40.
func TestRoll_settlesOptionsByWhatTheyAreWorth(t *testing.T) {
	t.Parallel()
	l := ledger.New(price("1000000"), base)
	a := l.Account("A")
	filled(t, a, order(option(10, listing.Call, 100, near), ledger.NRML, true, 50, "5"))
	roll(l, "12.40", true)
	if got := a.Limits(base); got.Cash.String() != "1000370.00" || got.Used != 0 || len(a.Positions()) != 0 {
		t.Errorf("%+v, %+v", got, a.Positions())
	}
}

func TestRoll_carriesContractsAtTheSettlementPrice(t *testing.T) {
	t.Parallel()
	l := ledger.New(price("1000000"), base)
	a := l.Account("A")
	future := option(20, listing.Future, 0, near)
	filled(t, a, order(future, ledger.NRML, true, 50, "20000"))
	roll(l, "20100", false)
	p := a.Position(future.Key, ledger.NRML)
	if a.Limits(base).Cash.String() != "1005000.00" || p.CarriedBuy != 50 || p.CarriedBuyAmount.String() != "1005000.00" || p.Bought != 0 {
		t.Errorf("%+v, %+v", a.Limits(base), p)
	}
	filled(t, a, order(future, ledger.NRML, false, 50, "20050"))
	if got := a.Limits(base); got.Loss.String() != "2500.00" || got.Realized.String() != "-2500.00" {
		t.Errorf("%+v", got)
	}
	roll(l, "20100", false)
	if got := a.Limits(base); got.Cash.String() != "1002500.00" || len(a.Positions()) != 0 {
		t.Errorf("%+v, %+v", got, a.Positions())
	}
}

func TestConvert_movesAtTheAverage(t *testing.T) {
	t.Parallel()
	a := open("300")
	filled(t, a, order(tcs, ledger.MIS, true, 10, "100"))
	if _, err := a.Convert(tcs, true, ledger.MIS, ledger.CNC, 10); !errors.Is(err, ledger.ErrMoney) || a.Position(tcs.Key, ledger.MIS).Net() != 10 || a.Used().String() != "200.00" {
		t.Errorf("without money: %v, used %s", err, a.Used())
	}
	if _, err := a.Convert(tcs, true, ledger.MIS, ledger.CNC, 1); err != nil {
		t.Fatal(err)
	}
	if got := a.Limits(base); got.Delivery.String() != "100.00" || got.Intraday.String() != "180.00" {
		t.Errorf("%+v", got)
	}
	if _, err := a.Convert(tcs, true, ledger.MIS, ledger.CNC, 10); !errors.Is(err, ledger.ErrHoldings) {
		t.Errorf("more than there is: %v", err)
	}
}

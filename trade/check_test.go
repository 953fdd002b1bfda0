package trade_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// Instruments by hand.
func share() trade.Instrument {
	return trade.Instrument{
		Segment: trade.NSE, Token: "11536", Symbol: "TCS-EQ", Name: "TCS", Kind: trade.Share, Lot: 1, Tick: rupees("0.05"),
		Lower: rupees("3000.00"), Upper: rupees("4000.00"),
	}
}

func option(lot, freeze int64) trade.Instrument {
	return trade.Instrument{Segment: trade.NFO, Token: "40001", Symbol: "NIFTY26DEC24500CE", Name: "NIFTY", Kind: trade.Call, Lot: lot, Tick: rupees("0.05"), Freeze: freeze}
}

func rupees(s string) trade.Rupees { return trade.MustRupees(s) }

// offline is a client that has not logged in: a check needs no session.
func offline(t testing.TB) *trade.Client {
	t.Helper()
	return trade.New(must.Get(neoapi.New(neoapi.Config{Environment: "http://127.0.0.1:1", ConsumerKey: "key"}))(t))
}

func TestCheck_namesFieldValueAndWhatWouldDo(t *testing.T) {
	t.Parallel()
	api := offline(t)
	buy := trade.Buy(share(), 10).Product(trade.CNC)
	sell := trade.Sell(share(), 10).Product(trade.CNC)
	opt := trade.Buy(option(65, 1756), 65).Product(trade.NRML)
	index, gold := share(), option(100, 0)
	index.Kind, gold.Segment = trade.IndexKind, trade.MCX
	for name, c := range map[string]struct {
		order          trade.Ticket
		field, problem string
		nearest        []string
	}{
		"no side":               {trade.Ticket{}, "side", "is missing", []string{"Buy", "Sell"}},
		"no instrument":         {trade.Buy(trade.Instrument{}, 1).Market().Product(trade.MIS), "instrument", "is missing", nil},
		"an index":              {trade.Buy(index, 1).Market().Product(trade.MIS), "instrument", "index", nil},
		"no quantity":           {trade.Buy(share(), 0).Market().Product(trade.MIS), "quantity", "is missing", nil},
		"a negative quantity":   {trade.Buy(share(), -5).Market().Product(trade.MIS), "quantity", "negative", []string{"1"}},
		"no price type":         {buy, "price type", "is missing", []string{"Limit", "Market", "Stop"}},
		"no product":            {trade.Buy(share(), 1).Market(), "product", "is missing", []string{"CNC", "MIS"}},
		"no price":              {buy.Limit(trade.Rupees{}), "price", "is missing", nil},
		"a price of 0":          {buy.Limit(rupees("0")), "price", "not above 0", nil},
		"off the lot":           {trade.Buy(option(65, 1756), 100).Market().Product(trade.NRML), "quantity", "lot 65", []string{"65", "130"}},
		"below a lot":           {trade.Buy(option(65, 1756), 5).Market().Product(trade.NRML), "quantity", "lot 65", []string{"65"}},
		"at the freeze":         {trade.Buy(option(65, 1756), 1820).Market().Product(trade.NRML), "quantity", "1756", []string{"1755"}},
		"off the tick":          {buy.Limit(rupees("3500.07")), "price", "tick 0.05", []string{"3500.05", "3500.10"}},
		"off the band":          {buy.Limit(rupees("4000.05")), "price", "ends at 4000.00", []string{"4000.00"}},
		"below the band":        {buy.Limit(rupees("1")), "price", "begins at 3000.00", []string{"3000.00"}},
		"a stop without one":    {buy.Stop(trade.Rupees{}, rupees("3500")), "trigger", "is missing", nil},
		"a stop's tick":         {buy.Stop(rupees("3499.98"), rupees("3500")), "trigger", "tick", []string{"3499.95", "3500.00"}},
		"a buy stop too high":   {buy.Stop(rupees("3510"), rupees("3500")), "trigger", "above the price", []string{"3500.00"}},
		"a sell stop too low":   {sell.Stop(rupees("3490"), rupees("3500")), "trigger", "below the price", []string{"3500.00"}},
		"an SL-M":               {sell.StopMarket(rupees("3490")), "price type", "rejected by the service", []string{"Stop(3490.00, 3455.10)"}},
		"an SL-M without":       {sell.StopMarket(trade.Rupees{}).Anyway(), "trigger", "is missing", nil},
		"a trigger with L":      {buy.Stop(rupees("3490"), rupees("3500")).Limit(rupees("3500")), "trigger", "does not belong", nil},
		"a trigger with MKT":    {buy.Stop(rupees("3490"), rupees("3500")).Market(), "trigger", "does not belong", nil},
		"disclosed with SL":     {buy.Stop(rupees("3490"), rupees("3500")).Disclosed(5), "disclosed quantity", "stop orders", []string{"0"}},
		"disclosed in F&O":      {opt.Limit(rupees("5")).Disclosed(65), "disclosed quantity", "futures and options", []string{"0"}},
		"disclosed too much":    {buy.Limit(rupees("3500")).Disclosed(11), "disclosed quantity", "more than the quantity", []string{"10"}},
		"protection with L":     {buy.Limit(rupees("3500")).Protection(1), "protection", "market orders only", []string{"0"}},
		"a wild protection":     {buy.Market().Protection(101), "protection", "per cent", nil},
		"CNC for a contract":    {opt.Market().Product(trade.CNC), "product", "contract", []string{"NRML", "MIS"}},
		"MTF for a contract":    {opt.Market().Product(trade.MTF), "product", "contract", []string{"NRML", "MIS"}},
		"a cover order":         {buy.Market().Product(trade.Cover), "product", "discontinued", nil},
		"another product":       {buy.Market().Product("XYZ"), "product", "not known", []string{"CNC", "MIS"}},
		"IOC for commodities":   {trade.Buy(gold, 100).Limit(rupees("5")).Product(trade.NRML).Validity(trade.IOC), "validity", "commodities", []string{"DAY"}},
		"IOC for a stop":        {buy.Stop(rupees("3490"), rupees("3500")).Validity(trade.IOC), "validity", "stop orders", []string{"DAY"}},
		"another validity":      {buy.Market().Validity("GTC"), "validity", "not known", []string{"DAY", "IOC"}},
		"a label with a blank":  {buy.Market().Tag(trade.Label("my tag")), "tag", "letters, digits and hyphens", nil},
		"a long label":          {buy.Market().Tag(trade.Label("abcdefghijkl")), "tag", "11", []string{"abcdefghijk"}},
		"a long label of a day": {buy.Market().Tag(trade.DayTag("abcdefghijklmnop")), "tag", "15", []string{"abcdefghijklmno"}},
		"no label of a day":     {buy.Market().Tag(trade.DayTag("")), "tag", "is missing", nil},
		"no token":              {trade.Buy(trade.Instrument{Segment: trade.NSE, Symbol: "TCS-EQ", Lot: 1}, 1).Market().Product(trade.MIS), "instrument", "has no token:", nil},
		"no lot":                {trade.Buy(trade.Instrument{Segment: trade.NSE, Symbol: "TCS-EQ", Token: "1"}, 1).Market().Product(trade.MIS), "instrument", "has no lot:", nil},
		"neither":               {trade.Buy(trade.Instrument{Segment: trade.NSE, Symbol: "TCS-EQ"}, 1).Market().Product(trade.MIS), "instrument", "has no token and no lot:", nil},
	} {
		err := api.Check(t.Context(), c.order)
		var bad *trade.Invalid
		if !errors.Is(err, trade.ErrInvalid) || !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Problem, c.problem) || !slices.Equal(bad.Nearest, c.nearest) {
			t.Errorf("%s: %v, %+v", name, err, bad)
		}
	}
	for name, order := range map[string]trade.Ticket{
		"limit": buy.Limit(rupees("3500.05")), "market": buy.Market().Protection(2), "a buy stop": buy.Stop(rupees("3500"), rupees("3500")),
		"a sell stop": sell.Stop(rupees("3500"), rupees("3490")), "an SL-M all the same": sell.StopMarket(rupees("3490")).Anyway(),
		"IOC": buy.Limit(rupees("3500")).Validity(trade.IOC), "disclosed": buy.Limit(rupees("3500")).Disclosed(1), "AMO": buy.Market().AfterMarket(),
		"an option": opt.Market(), "NRML for shares": trade.Buy(share(), 1).Market().Product(trade.NRML), "MTF": buy.Market().Product(trade.MTF),
		"a label": buy.Market().Tag(trade.Label("abcdefghijk")), "a day's": buy.Market().Tag(trade.DayTag("close-leg-2")),
		"below the freeze": trade.Buy(option(65, 1756), 1755).Market().Product(trade.NRML),
	} {
		if err := api.Check(t.Context(), order); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The tick is the instrument's own, and whole numbers decide.
func TestCheck_tickIsTheInstruments(t *testing.T) {
	t.Parallel()
	api := offline(t)
	for _, c := range []struct{ tick, good, bad, below, above string }{
		{"0.05", "0.15 100.05 2345.35 99999.95", "0.07", "0.05", "0.10"}, {"0.01", "0.07 1.01", "0.075", "0.07", "0.08"},
		{"0.10", "0.10 7.30", "0.15", "0.10", "0.20"}, {"0.50", "1.50", "1.75", "1.50", "2.00"}, {"1.00", "1 100.00", "99.50", "99.00", "100.00"},
		{"0.0025", "83.1025 0.0025", "83.1030", "83.1025", "83.105"},
	} {
		i := share()
		i.Tick, i.Lower, i.Upper = rupees(c.tick), trade.Rupees{}, trade.Rupees{}
		check := func(price string) error {
			return api.Check(t.Context(), trade.Buy(i, 1).Limit(rupees(price)).Product(trade.MIS))
		}
		for price := range strings.FieldsSeq(c.good) {
			if err := check(price); err != nil {
				t.Errorf("tick %s: %v", c.tick, err)
			}
		}
		var bad *trade.Invalid
		if err := check(c.bad); !errors.As(err, &bad) || !slices.Equal(bad.Nearest, []string{c.below, c.above}) {
			t.Errorf("tick %s: %v", c.tick, err)
		}
	}
}

// The freeze quantity is the first one that is refused; one that is not above the lot is
// none.
func TestSlice_isBelowTheFreezeQuantity(t *testing.T) {
	t.Parallel()
	api := offline(t)
	for _, c := range []struct {
		lot, freeze, quantity int64
		want                  []int64
	}{
		{65, 1756, 1950, []int64{1755, 195}}, {65, 1756, 1755, []int64{1755}}, {30, 601, 1230, []int64{600, 600, 30}}, {25, 1801, 1800, []int64{1800}},
		{25, 1801, 3625, []int64{1800, 1800, 25}}, {20, 1, 100, []int64{100}}, {20, 20, 100, []int64{100}}, {20, 0, 100_000, []int64{100_000}}, {1, 2, 3, []int64{1, 1, 1}},
	} {
		order := trade.Buy(option(c.lot, c.freeze), c.quantity).Market().Product(trade.NRML).Tag(trade.DayTag("close"))
		slices := trade.Slice(order)
		if len(slices) != len(c.want) {
			t.Fatalf("%d of lot %d, freeze %d: %d slices, want %v", c.quantity, c.lot, c.freeze, len(slices), c.want)
		}
		labels := map[trade.Ticket]bool{}
		for n, s := range slices {
			want := trade.Buy(option(c.lot, c.freeze), c.want[n]).Market().Product(trade.NRML)
			if s.Tag(trade.Tag{}) != want || api.Check(t.Context(), s) != nil {
				t.Errorf("%d of lot %d, freeze %d: slice %d is %+v, %v", c.quantity, c.lot, c.freeze, n, s, api.Check(t.Context(), s))
			}
			labels[s] = true
		}
		if len(labels) != len(slices) { // two slices of one quantity are two orders
			t.Errorf("%d of lot %d, freeze %d: slices have one label", c.quantity, c.lot, c.freeze)
		}
	}
}

// A stop on the wrong side of the market is taken, and whoever asks is warned.
func TestTicket_saysThatAStopFiresAtOnce(t *testing.T) {
	t.Parallel()
	buy := trade.Buy(share(), 1).Product(trade.MIS).Stop(rupees("3500"), rupees("3510"))
	sell := trade.Sell(share(), 1).Product(trade.MIS).Stop(rupees("3500"), rupees("3490"))
	for _, c := range []struct {
		order trade.Ticket
		last  string
		fires bool
	}{
		{buy, "3499.95", false}, {buy, "3500", true}, {buy, "3600", true}, {sell, "3500.05", false}, {sell, "3500", true}, {sell, "3400", true},
		{trade.Buy(share(), 1).Market(), "3500", false},
	} {
		if c.order.FiresAt(rupees(c.last)) != c.fires {
			t.Errorf("%+v at %s", c.order, c.last)
		}
	}
	if buy.FiresAt(trade.Rupees{}) {
		t.Error("it fires at no price")
	}
}

package trade

import (
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/must"
)

// decodedPosition decodes a row of a position.
func decodedPosition(t must.TB, row string) Position {
	t.Helper()
	all, err := rows("", json.RawMessage("["+row+"]"), positionLayout, decodePosition)
	if err != nil || len(all) != 1 {
		t.Fatal(row, all, err)
	}
	return all[0]
}

const gas = `"exSeg":"mcx_fo","tok":"5001","trdSym":"NATURALGAS26DECFUT","sym":"NATURALGAS","prod":"NRML","type":"FUTCOM","optTp":"XX","lotSz":"1250","precision":"2",`

func TestPosition_averageIsOfCarriedAndTodayTogether(t *testing.T) {
	t.Parallel()
	p := decodedPosition(t, `{"exSeg":"nse_fo","tok":"1","prod":"NRML","lotSz":"75","precision":"2","cfBuyQty":"75","cfBuyAmt":"7500.00","cfSellQty":"0","cfSellAmt":"0.00","flBuyQty":"0","flSellQty":"0","buyAmt":"0.00","sellAmt":"0.00"}`)
	if p.Net != 75 || p.AvgPrice.String() != "100.00" {
		t.Errorf("carried: net %d at %s", p.Net, p.AvgPrice)
	}
	p = decodedPosition(t, `{"exSeg":"nse_cm","tok":"1","prod":"CNC","precision":"4","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"150","flSellQty":"0","buyAmt":"1517.50","sellAmt":"0"}`)
	if p.AvgPrice != (Average{MustRupees("1517.50"), 150, 4}) || p.AvgPrice.String() != "10.1167" {
		t.Errorf("the average is not kept: %+v, %s", p.AvgPrice, p.AvgPrice)
	}
	p = decodedPosition(t, `{"exSeg":"nse_cm","tok":"1","prod":"MIS","precision":"2","cfBuyQty":"10","cfBuyAmt":"1000","cfSellQty":"0","flBuyQty":"20","flSellQty":"45","buyAmt":"2100","sellAmt":"4725"}`)
	if p.Net != -15 || p.AvgPrice.String() != "105.00" {
		t.Errorf("short: net %d at %s", p.Net, p.AvgPrice)
	}
	p = decodedPosition(t, `{"exSeg":"nse_cm","tok":"1","prod":"MIS","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"20","flSellQty":"20","buyAmt":"2100","sellAmt":"2200"}`)
	if p.Net != 0 || p.AvgPrice.Known() || p.AvgPrice.String() != "" || p.DayPnL(nil).String() != "100.00" {
		t.Errorf("flat: %+v, made %s", p, p.DayPnL(nil))
	}
}

func TestPosition_factorsAreTheRows(t *testing.T) {
	t.Parallel()
	last := []Quote{{Segment: MCX, Token: "5001", Last: MustRupees("193.30")}, {Segment: NSE, Token: "5001", Last: MustRupees("1")}}
	for name, x := range map[string]struct{ row, average, want string }{
		"in units":               {`"flBuyQty":"1250","buyAmt":"250000.00","multiplier":"1","genNum":"1","genDen":"1","prcNum":"1","prcDen":"1"`, "200.00", "-8375.00"},
		"in lots, by multiplier": {`"flBuyQty":"1","buyAmt":"250000.00","multiplier":"1250","genNum":"1","genDen":"1","prcNum":"1","prcDen":"1"`, "200.00", "-8375.00"},
		"by a general factor":    {`"flBuyQty":"1","buyAmt":"250000.00","multiplier":"1","genNum":"2500","genDen":"2","prcNum":"1","prcDen":"1"`, "200.00", "-8375.00"},
		"by a price factor":      {`"flBuyQty":"100","buyAmt":"250000.00","multiplier":"1","genNum":"1","genDen":"1","prcNum":"25","prcDen":"2"`, "200.00", "-8375.00"},
		"without factors":        {`"flBuyQty":"1250","buyAmt":"250000.00","multiplier":"-1","genNum":"0","genDen":"","prcNum":"NA"`, "200.00", "-8375.00"},
	} {
		p := decodedPosition(t, `{`+gas+x.row+`,"flSellQty":"0","sellAmt":"0","cfBuyQty":"0","cfSellQty":"0","cfBuyAmt":"0","cfSellAmt":"0"}`)
		if got := p.DayPnL(last); got.String() != x.want || p.PositionPnL(last) != got || p.AvgPrice.String() != x.average || p.Kind != Future || p.Lot != 1250 {
			t.Errorf("%s: %s, want %s; average %s of %+v", name, got, x.want, p.AvgPrice, p)
		}
	}
}

func TestPosition_sumsAreUnknownWithoutTheirParts(t *testing.T) {
	t.Parallel()
	const whole = `"cfBuyQty":"0","cfSellQty":"0","flSellQty":"0","cfBuyAmt":"0","cfSellAmt":"0","sellAmt":"0"`
	for name, row := range map[string]string{
		"no price":           `"flBuyQty":"10","buyAmt":"1000",` + whole,
		"no amount":          `"flBuyQty":"10","ltp":"99",` + whole,
		"no quantity":        `"buyAmt":"1000","ltp":"99",` + whole,
		"a strange quantity": `"flBuyQty":{"a":1},"buyAmt":"1000","ltp":"99",` + whole,
		"a strange factor":   `"flBuyQty":"10","buyAmt":"1000","ltp":"99","multiplier":"x",` + whole,
		"a negative one":     `"flBuyQty":"-10","buyAmt":"1000","ltp":"99",` + whole,
		"a huge one":         `"flBuyQty":"9223372036854775807","cfBuyQty":"9223372036854775807","cfSellQty":"0","flSellQty":"0","buyAmt":"1000","ltp":"99"`,
		"a price of nothing": `"flBuyQty":"10","buyAmt":"1000","ltp":"0.00",` + whole,
	} {
		p := decodedPosition(t, `{`+gas+row+`}`)
		realised, unrealised := p.Profit(nil, nil, FIFO)
		if p.DayPnL(nil).Known() || p.PositionPnL(nil).Known() || realised.Known() || unrealised.Known() {
			t.Errorf("%s: %s, %s, %s, %s of %+v", name, p.DayPnL(nil), p.PositionPnL(nil), realised, unrealised, p)
		}
	}
	p := decodedPosition(t, `{`+gas+`"flBuyQty":"10","buyAmt":"1000","ltp":"-2.50",`+whole+`}`) // crude oil was once
	if p.DayPnL(nil).String() != "-1025.00" {
		t.Errorf("a price below 0: %s", p.DayPnL(nil))
	}
}

func TestPosition_costOfSharesIsTheHoldings(t *testing.T) {
	t.Parallel()
	tcs := `{"exSeg":"nse_cm","tok":"11536","prod":"CNC","precision":"2","ltp":"3500",`
	holding := Holding{Segment: NSE, Token: "11536", AvgPrice: MustRupees("3000")}
	for name, x := range map[string]struct{ row, day, all, without string }{
		"carried": {`"cfBuyQty":"10","cfBuyAmt":"34000","cfSellQty":"0","flBuyQty":"0","flSellQty":"0"}`, "1000.00", "5000.00", ""},
		"bought":  {`"cfBuyQty":"0","cfSellQty":"0","flBuyQty":"10","buyAmt":"34500","flSellQty":"0"}`, "500.00", "500.00", "500.00"},
		"sold":    {`"cfBuyQty":"0","cfSellQty":"0","flBuyQty":"0","flSellQty":"10","sellAmt":"34900"}`, "-100.00", "4900.00", ""},
	} {
		p := decodedPosition(t, tcs+x.row)
		day, all, without := p.DayPnL(nil), p.PositionPnL(nil, holding, Holding{Segment: BSE, Token: "11536", AvgPrice: MustRupees("1")}), p.PositionPnL(nil)
		if day.String() != x.day || all.String() != x.all || without.String() != x.without {
			t.Errorf("%s: the day %s, all %s, without its holding %q", name, day, all, without)
		}
	}
}

func TestProfit_isOfTradesAlone(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 3, 3, 10, 0, 0, 0, IST)
	trades := []Trade{ // the newest first, as reports are
		{ID: "10", Segment: NFO, Token: "9", Product: MIS, Side: SideBuy, Quantity: 1, Price: MustRupees("1"), At: at.Add(time.Minute)},
		{ID: "10", Segment: NFO, Symbol: "X", Product: NRML, Side: SideBuy, Quantity: 150, Price: MustRupees("40"), At: at},
		{ID: "9", Segment: NFO, Token: "9", Product: NRML, Side: SideSell, Quantity: 100, Price: MustRupees("50"), At: at},
	}
	p := decodedPosition(t, `{"exSeg":"nse_fo","tok":"9","trdSym":"X","prod":"NRML","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"150","flSellQty":"100","buyAmt":"6000","sellAmt":"5000","ltp":"42"}`)
	for _, by := range []Matching{FIFO, AverageCost} {
		realised, unrealised := p.Profit(trades, nil, by)
		if realised.String() != "1000.00" || unrealised.String() != "100.00" || realised.Add(unrealised) != p.DayPnL(nil) {
			t.Errorf("by %d: realised %s, unrealised %s, the day %s", by, realised, unrealised, p.DayPnL(nil))
		}
	}
	if realised, _ := p.Profit(trades[:2], nil, FIFO); realised.Known() {
		t.Errorf("without all trades it is %s", realised)
	}
	fifo := decodedPosition(t, `{"exSeg":"nse_cm","tok":"1","prod":"MIS","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"20","flSellQty":"10","buyAmt":"3000","sellAmt":"1600","ltp":"160"}`)
	buys := []Trade{
		{ID: "3", Segment: NSE, Token: "1", Product: MIS, Side: SideSell, Quantity: 10, Price: MustRupees("160"), At: at},
		{ID: "2", Segment: NSE, Token: "1", Product: MIS, Side: SideBuy, Quantity: 10, Price: MustRupees("200"), At: at},
		{ID: "1", Segment: NSE, Token: "1", Product: MIS, Side: SideBuy, Quantity: 10, Price: MustRupees("100"), At: at},
	}
	for by, want := range map[Matching][2]string{FIFO: {"600.00", "-400.00"}, AverageCost: {"100.00", "100.00"}} {
		if realised, unrealised := fifo.Profit(buys, nil, by); realised.String() != want[0] || unrealised.String() != want[1] {
			t.Errorf("by %d: %s and %s, want %v", by, realised, unrealised, want)
		}
	}
}

// Whatever is traded, the sums agree: realised and unrealised make the day's, which is
// what the trades took and gave with the rest at the last price.
func TestProfit_sumsToTheDay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		price := rapid.Int64Range(1, 100_000_000)
		p := Position{
			Instrument:    Instrument{Segment: MCX, Token: "1", Multiplier: rapid.Int64Range(1, 100).Draw(r, "multiplier"), GenNum: 1, GenDen: rapid.SampledFrom([]int64{1, 10, 100}).Draw(r, "den"), PriceNum: 1, PriceDen: 1},
			CarriedBuyQty: rapid.Int64Range(0, 100).Draw(r, "carried"), Last: rupees(price.Draw(r, "last") * 100_000),
			BuyAmount: rupees(0), SellAmount: rupees(0),
		}
		p.CarriedBuy = p.amount(rupees(price.Draw(r, "settled")*100_000), p.CarriedBuyQty)
		var trades []Trade
		want := new(big.Rat).SetInt64(-p.CarriedBuy.value())
		for i := range rapid.IntRange(0, 20).Draw(r, "trades") {
			tr := Trade{Segment: MCX, Token: "1", Side: rapid.SampledFrom([]Side{SideBuy, SideSell}).Draw(r, "side"), Quantity: rapid.Int64Range(1, 200).Draw(r, "quantity"),
				Price: rupees(price.Draw(r, "price") * 100_000), At: time.Unix(year2000+int64(i), 0)}
			amount := p.amount(tr.Price, tr.Quantity)
			if tr.Side == SideBuy {
				p.BuyQty, p.BuyAmount = p.BuyQty+tr.Quantity, p.BuyAmount.Add(amount)
				want.Sub(want, p.exact(tr.Price, tr.Quantity))
			} else {
				p.SellQty, p.SellAmount = p.SellQty+tr.Quantity, p.SellAmount.Add(amount)
				want.Add(want, p.exact(tr.Price, tr.Quantity))
			}
			trades = append([]Trade{tr}, trades...)
		}
		p.Net = p.CarriedBuyQty + p.BuyQty - p.SellQty
		want.Add(want, p.exact(p.Last, p.Net))
		if day := p.DayPnL(nil); day != amountOf(want) {
			r.Fatalf("the day made %s, want %s", day, amountOf(want))
		}
		for _, by := range []Matching{FIFO, AverageCost} {
			realised, unrealised := p.Profit(trades, nil, by)
			if d := realised.Add(unrealised).Sub(amountOf(want)); !d.Known() || magnitude(d.value()) > 1 {
				r.Fatalf("by %d: %s and %s, want %s", by, realised, unrealised, amountOf(want))
			}
		}
	})
}

func TestHeld_noneIsNotFlat(t *testing.T) {
	t.Parallel()
	const flat = `"cfBuyQty":"0","cfSellQty":"0","flBuyQty":"75","flSellQty":"75"}`
	positions := []Position{
		decodedPosition(t, `{"exSeg":"NFO","tok":"9","prod":"MIS","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"75","flSellQty":"0"}`),
		decodedPosition(t, `{"exSeg":"nse_fo","tok":"9","prod":"NRML","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"0","flSellQty":"75"}`),
		decodedPosition(t, `{"exSeg":"NSE_EQ","tok":"9","prod":"CNC",`+flat),
	}
	for _, x := range []struct {
		segment string
		product Product
		net     int64
		there   bool
	}{{"nse_fo", MIS, 75, true}, {"NFO", NRML, -75, true}, {"NSE", CNC, 0, true}, {"nse_cm", MIS, 0, false}, {"bse_cm", CNC, 0, false}} {
		p, ok := Held(positions, Instrument{Segment: must.Get(ParseSegment(x.segment))(t), Token: "9"}, x.product)
		if ok != x.there || p.Net != x.net {
			t.Errorf("%s %s: %d, %t", x.segment, x.product, p.Net, ok)
		}
	}
}

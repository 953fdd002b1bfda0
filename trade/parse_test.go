package trade_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"neoapi/trade"
)

func TestRupeesOf_isExactOrUnknown(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		n, divider int64
		want       string
	}{
		{350005, 100, "3500.05"}, {-5, 100, "-0.05"}, {0, 100, "0.00"}, {837525, 10_000, "83.7525"}, {1, 10_000_000, "0.0000001"}, {7, 1, "7.00"},
		{1, 3, ""}, {1, 0, ""}, {1, -100, ""}, {1, 100_000_000, ""}, {math.MaxInt64, 100, ""}, {math.MinInt64, 1, ""}, {math.MaxUint32, 100, "42949672.95"},
		{math.MaxInt64, 10_000_000, "922337203685.4775807"}, {math.MinInt64, 10_000_000, ""},
	} {
		got := trade.RupeesOf(x.n, x.divider)
		if got.String() != x.want || got.Known() != (x.want != "") {
			t.Errorf("%d / %d is %q, want %q", x.n, x.divider, got, x.want)
		}
		if x.want != "" && got != trade.MustRupees(x.want) {
			t.Errorf("%d / %d differs from %s", x.n, x.divider, x.want)
		}
	}
}

// A frame of January 2026, without what real frames lack.
const leanOrder = `{"nOrdNo":"260130000000001","exOrdId":"NA","ordSt":"open","avgPrc":"0.00","fldQty":0,"trnsTp":"B","optTp":"XX","brdLtQty":"65","expDt":"03 Feb, 2026","updRecvTm":1769770000000000001,"trgPrc":"--"}`

func TestParseOrder_readsWhatAFeedSends(t *testing.T) {
	t.Parallel()
	o, err := trade.ParseOrder([]byte(leanOrder))
	if err != nil {
		t.Fatal(err)
	}
	if o.Number != "260130000000001" || o.ExchangeNumber != "" || o.State != trade.Open || o.AvgPrice.Known() || o.Price.Known() || o.Trigger.Known() ||
		o.Side != trade.SideBuy || o.Sequence != 1769770000000000001 || o.Updated.UnixNano() != o.Sequence || o.Unread != "qty" || string(o.Raw) != leanOrder {
		t.Errorf("%+v", o)
	}
	again, err := trade.ParseOrder([]byte(o.Raw))
	if err != nil || again != o {
		t.Errorf("its own Raw gives %+v, %v", again, err)
	}
}

// Any form of a number is the same number; a form that is none costs the field alone.
func TestParseOrder_takesEveryFormOfAValue(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]int64{`5`: 5, `"5"`: 5, `5.0`: 5, `"5.00"`: 5, `""`: 0, `"NA"`: 0, `"--"`: 0, `null`: 0, `{"a":[1]}`: 0, `true`: 0, `[5]`: 0} {
		o, err := trade.ParseOrder([]byte(`{"nOrdNo":1,"ordSt":"complete","qty":10,"fldQty":` + form + `}`))
		if err != nil || o.FilledQty != want || o.Number != "1" || o.State != trade.Complete || (want == 0) != strings.Contains(o.Unread, "fldQty") {
			t.Errorf("%s: %+v, %v", form, o, err)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `[{}]`, `"x"`, `{"a":1`, `{"a":1}{}`, `{"a":1},`, `{a:1}`} {
		if o, err := trade.ParseOrder([]byte(text)); err == nil || o != (trade.Order{}) {
			t.Errorf("%s is an order: %+v", text, o)
		}
		if p, err := trade.ParsePosition([]byte(text)); err == nil || p != (trade.Position{}) {
			t.Errorf("%s is a position: %+v", text, p)
		}
	}
}

func TestParsePosition_readsWhatAFeedSends(t *testing.T) {
	t.Parallel()
	p, err := trade.ParsePosition([]byte(` {"actId":"X","exSeg":"nse_fo","tok":"40001","trdSym":"DEMO26DEC100CE","prod":"NRML","optTp":"CE","stkPrc":"100.00","expDt":"29 Dec, 2026","cfBuyQty":"0","cfSellQty":"0","flBuyQty":"75","flSellQty":"25","buyAmt":"7500.00","sellAmt":"2600.00","multiplier":"1","hsUpTm":"2026/12/01 10:00:00"} `))
	if err != nil {
		t.Fatal(err)
	}
	if p.Net != 50 || p.Kind != trade.Call || p.Expiry.String() != "2026-12-29" || p.Product != trade.NRML || p.Unread != "" || p.Updated.IsZero() {
		t.Errorf("%+v", p)
	}
}

// Whatever a feed sends is an order or an error, as encoding/json sees it.
func FuzzParseOrder(f *testing.F) {
	f.Add(leanOrder)
	f.Add(`{"nOrdNo":null,"qty":"1e3"}`)
	f.Fuzz(func(t *testing.T, text string) {
		o, err := trade.ParseOrder([]byte(text))
		var object map[string]any
		if isObject := json.Unmarshal([]byte(text), &object) == nil && object != nil; isObject != (err == nil) {
			t.Fatalf("%q: %+v, %v", text, o, err)
		}
		_, posErr := trade.ParsePosition([]byte(text))
		if (posErr == nil) != (err == nil) {
			t.Fatalf("%q is an order, and no position, or the other way round: %v, %v", text, err, posErr)
		}
	})
}

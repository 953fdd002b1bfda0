package sfeed_test

import (
	"reflect"
	"testing"

	"neoapi/internal/sfeed"
)

func TestView_hasWhatDecodingHas(t *testing.T) {
	for _, name := range []string{"touch", "depth", "best", "full"} {
		p := one(t, golden(t, name))
		var want sfeed.Quote
		want.Decode(p)
		v := sfeed.ViewOf(p)
		got := sfeed.Quote{
			Token: v.Token(), TotalBuy: v.TotalBuy(), TotalSell: v.TotalSell(), Volume: v.Volume(), LastAt: v.LastAt(), UpdatedAt: v.UpdatedAt(),
			Open: v.Open(), Close: v.Close(), High: v.High(), Low: v.Low(), Last: v.Last(), LastQty: v.LastQty(), Average: v.Average(), IndicativeClose: v.IndicativeClose(),
			Status: want.Status, ChangePercent: v.ChangePercent(), OpenInterest: v.OpenInterest(), Traded: v.Traded(), Change: v.Change(), Upper: v.Upper(), Lower: v.Lower(),
			YearHigh: v.YearHigh(), YearLow: v.YearLow(), Lot: want.Lot, Precision: want.Precision, Multiplier: want.Multiplier,
		}
		got.Buys, got.Sells = sfeed.RowsOf(p)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\n%+v", name, got, want)
		}
		if name != "touch" {
			continue
		}
		if buy, sell := sfeed.BestOf(p); buy != want.Buys.At(0) || sell != want.Sells.At(0) {
			t.Errorf("the best rows are %v, %v", buy, sell)
		}
	}
}

package trade_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"neoapi/trade"
)

func TestDivider_makesWhatRupeesOfMakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		divider := rapid.OneOf(rapid.SampledFrom([]int64{1, 100, 10_000, 10_000_000, 0, -100, 3, 20_000_000}), rapid.Int64()).Draw(t, "divider")
		n := int64(rapid.Int32().Draw(t, "n"))
		if rapid.Bool().Draw(t, "unsigned") {
			n = int64(uint32(n)) //nolint:gosec // as it is on the wire
		}
		d, want := trade.DividerOf(divider), trade.RupeesOf(n, divider)
		if got := d.Amount(n); got != want {
			t.Fatalf("the amount of %d ÷ %d is %v, not %v", n, divider, got, want)
		}
		if got := d.Price(n); n != 0 && got != want || n == 0 && got.Known() {
			t.Fatalf("the price of %d ÷ %d is %v, not %v", n, divider, got, want)
		}
	})
	for _, n := range []int64{1<<32 + 1, -1<<32 - 1, math.MaxInt64, math.MinInt64} {
		if got := trade.DividerOf(1).Price(n); got.Known() {
			t.Errorf("%d has the price %v", n, got)
		}
	}
}

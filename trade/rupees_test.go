package trade

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRupees_areExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"3500.05": "3500.05", "0": "0.00", "-0": "0.00", "0.0025": "0.0025", "-12.5": "-12.50", ".5": "0.50", "5.": "5.00",
		"83.1025000": "83.1025", "83.10250000": "83.1025", "0.0000001": "0.0000001", "922337203685.4775807": "922337203685.4775807",
	} {
		r, err := ParseRupees(text)
		if err != nil || r.String() != want || !r.Known() {
			t.Errorf("%s is %q (%v), want %s", text, r, err, want)
		}
		if again := MustRupees(r.String()); again != r {
			t.Errorf("%s written and read again is %s", r, again)
		}
	}
	for _, text := range []string{"", ".", "-", "1e3", "1,000", " 1", "1 ", "0.00000001", "922337203685.4775808", "99999999999999999999", "--1", "1.2.3", "NaN", "0x1"} {
		if r, err := ParseRupees(text); err == nil {
			t.Errorf("%q was taken for %s", text, r)
		}
	}
}

func TestRupees_unknownIsNotNothing(t *testing.T) {
	t.Parallel()
	var unknown Rupees
	zero := MustRupees("0")
	if unknown == zero || unknown.Known() || !zero.Known() || unknown.String() != "" || zero.Add(zero) != zero {
		t.Errorf("unknown %v, zero %v", unknown, zero)
	}
	for _, r := range []Rupees{unknown.Add(zero), zero.Sub(unknown), unknown.Times(3), unknown.Neg(), MustRupees("922337203685").Times(2), MustRupees("922337203685").Add(MustRupees("1"))} {
		if r.Known() {
			t.Errorf("%s is known", r)
		}
	}
	if unknown.Less(zero) || zero.Less(unknown) || unknown.Cmp(zero) >= 0 {
		t.Error("what is unknown compares")
	}
}

func TestRupees_ticksAreTheInstruments(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ price, tick, below, above string }{
		{"0.15", "0.05", "0.15", "0.15"}, {"100.05", "0.05", "100.05", "100.05"}, {"2345.35", "0.05", "2345.35", "2345.35"},
		{"99999.95", "0.05", "99999.95", "99999.95"}, {"0.07", "0.05", "0.05", "0.10"}, {"83.1012", "0.0025", "83.10", "83.1025"},
		{"118250.5", "1", "118250.00", "118251.00"}, {"0.999", "0.001", "0.999", "0.999"},
	} {
		below, above := MustRupees(x.price).Nearest(MustRupees(x.tick))
		if below.String() != x.below || above.String() != x.above || MustRupees(x.price).IsMultiple(MustRupees(x.tick)) != (below == above) {
			t.Errorf("%s at %s: %s and %s, want %s and %s", x.price, x.tick, below, above, x.below, x.above)
		}
	}
}

// FuzzRupees compares arithmetic with math/big's.
func FuzzRupees(f *testing.F) {
	f.Add("3500.05", "0.0025", int64(75))
	f.Add("-922337203685.4775807", "0.0000001", int64(-1))
	f.Add("922337203685.4775807", "922337203685.4775806", int64(1<<62))
	f.Add("-922337203685.4775807", "922337203685.4775806", int64(-1<<63))
	f.Fuzz(func(t *testing.T, one, two string, n int64) { compare(t, one, two, n) })
}

func TestRupees_agreeWithBig(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,12}(\.[0-9]{0,7})?`)
		compare(r, text.Draw(r, "one"), text.Draw(r, "two"), rapid.Int64().Draw(r, "n"))
	})
}

func compare(t interface{ Errorf(string, ...any) }, one, two string, n int64) {
	a, errA := ParseRupees(one)
	b, errB := ParseRupees(two)
	exact := func(s string) *big.Rat {
		x, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Errorf("%q was taken", s)
			return new(big.Rat)
		}
		return x
	}
	if errA != nil || errB != nil {
		return
	}
	x, y := exact(one), exact(two)
	for _, c := range []struct {
		got  Rupees
		want *big.Rat
	}{
		{a, x}, {a.Add(b), new(big.Rat).Add(x, y)}, {a.Sub(b), new(big.Rat).Sub(x, y)},
		{a.Times(n), new(big.Rat).Mul(x, new(big.Rat).SetInt64(n))}, {a.Neg(), new(big.Rat).Neg(x)},
	} {
		if !c.got.Known() {
			if new(big.Rat).Abs(c.want).Cmp(big.NewRat(922_337_203_685, 1)) < 0 {
				t.Errorf("%s, %s, %d: unknown, want %s", one, two, n, c.want.FloatString(7))
			}
			continue
		}
		if exact(c.got.String()).Cmp(c.want) != 0 || exact(c.got.wire()).Cmp(c.want) != 0 {
			t.Errorf("%s, %s, %d: %s, want %s", one, two, n, c.got, c.want.FloatString(7))
		}
	}
	if b.Sign() > 0 {
		below, above := a.Nearest(b)
		if a.IsMultiple(b) != new(big.Rat).Quo(x, y).IsInt() || a.IsMultiple(b) && (below != a || above != a) {
			t.Errorf("%s at %s: a multiple %t, between %s and %s", one, two, a.IsMultiple(b), below, above)
		}
		if below.Known() && above.Known() && below != above && (!below.IsMultiple(b) || !below.Less(a) || !a.Less(above) || above.Sub(below) != b) {
			t.Errorf("%s at %s is between %s and %s", one, two, below, above)
		}
	}
	if a.Cmp(b) != x.Cmp(y) || a.Less(b) != (x.Cmp(y) < 0) {
		t.Errorf("%s against %s: %d", one, two, a.Cmp(b))
	}
	if w := a.wire(); strings.Contains(w, ".") && strings.HasSuffix(w, "0") {
		t.Errorf("%s is sent as %s", one, w)
	}
}

func BenchmarkRupees(b *testing.B) {
	price, tick := MustRupees("3500.05"), MustRupees("0.05")
	buffer := make([]byte, 0, 32)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRupees("3500.05"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		var sum Rupees
		for b.Loop() {
			sum = price.Add(tick)
		}
		_ = sum
	})
	b.Run("times", func(b *testing.B) {
		b.ReportAllocs()
		var sum Rupees
		for b.Loop() {
			sum = price.Times(75)
		}
		_ = sum
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buffer = price.Append(buffer[:0])
		}
	})
}

func TestRupees_partsAreRoundedHalfAway(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		price    string
		num, den int64
		tick     string
		part     string
		rounded  string
	}{
		{"3500.05", 99, 100, "0.05", "3465.0495", "3465.05"}, {"100", 1, 3, "0.05", "33.3333333", "33.35"}, {"0.10", 1, 4, "0.05", "0.025", "0.05"},
		{"-0.10", 1, 4, "0.05", "-0.025", "-0.05"}, {"10", -1, 8, "0.5", "-1.25", "-1.50"}, {"0", 5, 7, "0.05", "0.00", "0.00"}, {"1", 1, 1, "0", "1.00", "1.00"},
		{"0.0000001", 1, 2, "1", "0.0000001", "0.00"}, {"922337203685", 1_000_000_000, 1_000_000_000, "1", "922337203685.00", "922337203685.00"},
	} {
		part := MustRupees(x.price).MulDiv(x.num, x.den)
		if rounded := part.Round(MustRupees(x.tick)); part.String() != x.part || rounded.String() != x.rounded {
			t.Errorf("%s × %d / %d is %s, rounded %s; want %s and %s", x.price, x.num, x.den, part, rounded, x.part, x.rounded)
		}
	}
	for _, r := range []Rupees{MustRupees("1").MulDiv(1, 0), Rupees{}.MulDiv(1, 2), MustRupees("922337203685").MulDiv(3, 2), Rupees{}.Round(MustRupees("1"))} {
		if r.Known() {
			t.Errorf("%s is known", r)
		}
	}
}

func TestRupees_printAsNumbers(t *testing.T) {
	t.Parallel()
	price, zero, unknown := MustRupees("-3500.0575"), MustRupees("0"), Rupees{}
	for _, x := range []struct{ got, want string }{
		{fmt.Sprintf("%v %s %q %f %+v", price, price, price, price, price), `-3500.0575 -3500.0575 "-3500.0575" -3500.0575 -3500.0575`},
		{fmt.Sprintf("%.2f %.0f %.9f", price, price, price), "-3500.06 -3500 -3500.057500000"},
		{fmt.Sprintf("[%10.2f] [%-10v] [%6s] [%+.1f]", price, zero, zero, zero), "[  -3500.06] [0.00      ] [  0.00] [+0.0]"},
		{fmt.Sprintf("[%v] [%.2f] [%4s]", unknown, unknown, unknown), "[] [] [    ]"},
		{fmt.Sprintf("%.2f", MustRupees("922337203685.4775807")), "922337203685.48"},
		{fmt.Sprintf("%d", zero), "%!d(trade.Rupees=0.00)"}, //nolint:govet // what a mistake prints
		{fmt.Sprintf("%#v", zero), `trade.MustRupees("0.00")`},
		{fmt.Sprintf("%v", Level{Price: zero}), "{0.00 0 0}"},
	} {
		if x.got != x.want {
			t.Errorf("%s, want %s", x.got, x.want)
		}
	}
}

package trade

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// Rupees is an exact price or amount of money, with up to seven decimals and up to
// 92 thousand crore. The zero value is no price at all, which is not the same as 0 rupees:
// [Rupees.Known] tells them apart. Two Rupees are equal, also by ==, if they are the same
// amount or both unknown.
//
// Arithmetic is exact. What has an unknown operand, or is too large, is unknown.
type Rupees struct {
	n int64 // ten-millionths; absent and nothing are 0 and nothing
}

const (
	scale    = 10_000_000
	decimals = 7
	nothing  = math.MinInt64 // stands for 0 rupees, so that 0 stands for no price
)

func rupees(n int64) Rupees {
	if n == 0 {
		n = nothing
	}
	return Rupees{n}
}

// value returns the ten-millionths of a known amount.
func (r Rupees) value() int64 {
	if r.n == nothing {
		return 0
	}
	return r.n
}

// RupeesOf returns n ÷ divider, such as RupeesOf(350005, 100) for 3500.05: how a feed sends
// prices. It is unknown if the divider is not above 0 or does not divide 10,000,000, for
// then the amount need not be exact.
func RupeesOf(n, divider int64) Rupees {
	if divider <= 0 || scale%divider != 0 {
		return Rupees{}
	}
	return Rupees{scale / divider}.Times(n)
}

// Known reports whether r is an amount: 0 rupees are known, the zero value is not.
func (r Rupees) Known() bool { return r.n != 0 }

// errRupees is what a text that is no amount gets.
var errRupees = errors.New("is not an amount of rupees such as 3500.05, with at most seven decimals")

// ParseRupees parses a decimal such as "3500.05" or "-0.0025". Spaces, separators of
// thousands and exponents are refused.
func ParseRupees(s string) (Rupees, error) {
	n, ok := parse(s)
	if !ok {
		return Rupees{}, errorf("%q %w", clip(s), errRupees)
	}
	return rupees(n), nil
}

// clip shortens what somebody else wrote for an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// MustRupees is [ParseRupees] for constants: it panics if s is no amount.
func MustRupees(s string) Rupees {
	r, err := ParseRupees(s)
	if err != nil {
		panic(err)
	}
	return r
}

// parse reads a decimal as ten-millionths.
func parse(s string) (n int64, ok bool) {
	i, negative := 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	var digits, after int
	point := false
	var u uint64
	for ; i < len(s); i++ {
		c := s[i] - '0'
		switch {
		case c <= 9:
			if point {
				if after == decimals {
					if c != 0 {
						return 0, false
					}
					continue
				}
				after++
			}
			if u > math.MaxInt64/10 {
				return 0, false
			}
			u = u*10 + uint64(c)
			digits++
		case s[i] == '.' && !point:
			point = true
		default:
			return 0, false
		}
	}
	if digits == 0 {
		return 0, false
	}
	hi, u := bits.Mul64(u, powers[decimals-after])
	if hi != 0 || u > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(u), true //nolint:gosec // checked
	}
	return int64(u), true //nolint:gosec // checked
}

var powers = [...]uint64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000}

// Add returns r + s.
func (r Rupees) Add(s Rupees) Rupees {
	if r.n == 0 || s.n == 0 {
		return Rupees{}
	}
	a, b := r.value(), s.value()
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 || sum == nothing {
		return Rupees{}
	}
	return rupees(sum)
}

// Sub returns r − s.
func (r Rupees) Sub(s Rupees) Rupees { return r.Add(s.Neg()) }

// Neg returns −r.
func (r Rupees) Neg() Rupees {
	if r.n == 0 || r.n == nothing {
		return r
	}
	return Rupees{-r.n}
}

// Times returns r × n.
func (r Rupees) Times(n int64) Rupees {
	if r.n == 0 {
		return r
	}
	v := r.value()
	negative := (v < 0) != (n < 0)
	hi, lo := bits.Mul64(magnitude(v), magnitude(n))
	if hi != 0 || lo > math.MaxInt64 {
		return Rupees{}
	}
	if negative {
		return rupees(-int64(lo)) //nolint:gosec // checked
	}
	return rupees(int64(lo)) //nolint:gosec // checked
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n) //nolint:gosec // two's complement
	}
	return uint64(n)
}

// MulDiv returns r × num ÷ den, rounded to a ten-millionth, halves away from zero: one per
// cent of r is r.MulDiv(1, 100). It is unknown if den is 0.
func (r Rupees) MulDiv(num, den int64) Rupees {
	if r.n == 0 || den == 0 {
		return Rupees{}
	}
	product := new(big.Int).Mul(big.NewInt(r.value()), big.NewInt(num))
	n, ok := rounded(new(big.Rat).SetFrac(product, big.NewInt(den)))
	if !ok {
		return Rupees{}
	}
	return rupees(n)
}

// Round returns the multiple of tick that is nearest to r; of two, the one that is farther
// from zero. A tick that is not above 0 leaves r as it is.
func (r Rupees) Round(tick Rupees) Rupees {
	below, above := r.Nearest(tick)
	switch down, up := r.Sub(below), above.Sub(r); {
	case down.Less(up), down == up && r.Sign() < 0:
		return below
	}
	return above
}

// Cmp returns -1, 0 or +1 as r is less than, equal to or more than s. What is unknown is
// less than any amount.
func (r Rupees) Cmp(s Rupees) int {
	switch {
	case r == s:
		return 0
	case r.n == 0:
		return -1
	case s.n == 0:
		return +1
	case r.value() < s.value():
		return -1
	}
	return +1
}

// Less reports whether both are known and r is less than s.
func (r Rupees) Less(s Rupees) bool { return r.n != 0 && s.n != 0 && r.value() < s.value() }

// More reports whether both are known and r is more than s.
func (r Rupees) More(s Rupees) bool { return s.Less(r) }

// Sign returns -1, 0 or +1 as r is negative, zero or unknown, or positive.
func (r Rupees) Sign() int {
	switch v := r.value(); {
	case v < 0:
		return -1
	case v > 0:
		return +1
	}
	return 0
}

// IsMultiple reports whether r is a whole number of ticks.
func (r Rupees) IsMultiple(tick Rupees) bool {
	return r.n != 0 && tick.value() > 0 && r.value()%tick.value() == 0
}

// Nearest returns the multiples of tick below and above r; both are r if it is one. One
// that is too large is unknown.
func (r Rupees) Nearest(tick Rupees) (below, above Rupees) {
	t, v := tick.value(), r.value()
	if t <= 0 || r.n == 0 {
		return r, r
	}
	rest := v % t
	if rest < 0 {
		rest += t
	}
	if rest == 0 {
		return r, r
	}
	return r.Sub(rupees(rest)), r.Add(rupees(t - rest))
}

// String returns the shortest decimal of at least two decimals, such as "3500.05" or
// "83.1025", and "" for what is unknown.
func (r Rupees) String() string {
	if r.n == 0 {
		return ""
	}
	return string(r.Append(make([]byte, 0, 24)))
}

// Format implements [fmt.Formatter]: %v and %s print what [Rupees.String] returns, %q quotes
// it, and %f does the same as %s but, with a precision such as %.2f, rounds to so many
// decimals, halves away from zero. Width and the flags - and + (of %f) work as for numbers.
func (r Rupees) Format(f fmt.State, verb rune) {
	text := r.String()
	switch verb {
	case 'v':
		if f.Flag('#') {
			text = fmt.Sprintf("trade.MustRupees(%q)", text)
		}
	case 's':
	case 'q':
		text = strconv.Quote(text)
	case 'f', 'F':
		if precision, ok := f.Precision(); ok && r.Known() {
			text = big.NewRat(r.value(), scale).FloatString(precision)
		}
		if f.Flag('+') && r.Known() && r.value() >= 0 {
			text = "+" + text
		}
	default:
		text = fmt.Sprintf("%%!%c(trade.Rupees=%s)", verb, text)
	}
	width, _ := f.Width()
	if f.Flag('-') {
		width = -width
	}
	fmt.Fprintf(f, "%*s", width, text)
}

// Append appends what [Rupees.String] returns.
func (r Rupees) Append(b []byte) []byte {
	if r.n == 0 {
		return b
	}
	v := r.value()
	if v < 0 {
		b = append(b, '-')
	}
	u := magnitude(v)
	b = strconv.AppendUint(b, u/scale, 10)
	b = append(b, '.')
	rest := u % scale
	least := 2
	for p := scale / 10; p > 0 && (rest > 0 || least > 0); p /= 10 {
		b = append(b, byte('0'+rest/uint64(p)))
		rest %= uint64(p)
		least--
	}
	return b
}

// wire returns the shortest decimal, as the service wants it: "0" and not "0.0".
func (r Rupees) wire() string {
	if r.value()%scale == 0 {
		return strconv.FormatInt(r.value()/scale, 10)
	}
	s := r.String()
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	return s
}

// MarshalText implements [encoding.TextMarshaler].
func (r Rupees) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: an empty text is no price.
func (r *Rupees) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Rupees{}
		return nil
	}
	parsed, err := ParseRupees(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}

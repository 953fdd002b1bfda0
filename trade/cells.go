package trade

import (
	"math"
	"math/bits"
	"time"
)

// cells.go reads the cells of a scrip master: numbers that come as 5, 1801.00 or 2.1e+06,
// and moments that come as seconds since 1970 or 1980.

// scaled reads a decimal, with or without an exponent, as a whole number of 10^-shift. It
// fails unless that is exact.
func scaled[T string | []byte](s T, shift int) (n int64, ok bool) {
	u, negative, exponent, ok := decimal(s)
	if !ok {
		return 0, false
	}
	for exponent += shift; exponent > 0 && u != 0; exponent-- {
		hi, lo := bits.Mul64(u, 10)
		if hi != 0 {
			return 0, false
		}
		u = lo
	}
	for ; exponent < 0 && u != 0; exponent++ {
		if u%10 != 0 {
			return 0, false
		}
		u /= 10
	}
	if u > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(u), true //nolint:gosec // checked
	}
	return int64(u), true //nolint:gosec // checked
}

// decimal reads a number as u × 10^exponent.
func decimal[T string | []byte](s T) (u uint64, negative bool, exponent int, ok bool) {
	i, digits, point := 0, 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	for ; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			if s[i] != '.' || point {
				break
			}
			point = true
			continue
		}
		if u > math.MaxUint64/10-1 {
			return 0, false, 0, false
		}
		u = u*10 + uint64(c)
		digits++
		if point {
			exponent--
		}
	}
	if digits == 0 {
		return 0, false, 0, false
	}
	if i == len(s) {
		return u, negative, exponent, true
	}
	if s[i] != 'e' && s[i] != 'E' {
		return 0, false, 0, false
	}
	i++
	down := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		down = s[i] == '-'
		i++
	}
	if i == len(s) || len(s)-i > 3 {
		return 0, false, 0, false
	}
	e := 0
	for ; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false, 0, false
		}
		e = e*10 + int(c)
	}
	if down {
		e = -e
	}
	return u, negative, exponent + e, true
}

// paise is the shift from paise, or from a strike × 100, to the unit of [Rupees].
const paise = decimals - 2

// A day is a date in a scrip master's memory: year, month and day in 23, 4 and 5 bits; 0
// is none.
type day int32

func dayOf(d Date) day {
	if d.IsZero() {
		return 0
	}
	return day(d.Year<<9 | int(d.Month)<<5 | d.Day) //nolint:gosec // years of four digits
}

func (d day) date() Date {
	if d == 0 {
		return Date{}
	}
	return Date{int(d >> 9), time.Month(d >> 5 & 15), int(d & 31)}
}

// since1980 is how many seconds 1980 began after 1970.
const since1980 = 315_532_800

// expiryOf returns the day of an expiry, which a scrip master has as Indian wall-clock
// time written as seconds: since 1980 at NSE, since 1970 elsewhere. The day is therefore
// read in UTC, whatever zone the machine is in.
func expiryOf(s Segment, seconds int64) (day, bool) {
	if s == NFO || s == CDS {
		seconds += since1980
	}
	if seconds <= since1980 || seconds > 1<<33 {
		return 0, false
	}
	year, month, d := time.Unix(seconds, 0).UTC().Date()
	return dayOf(Date{year, month, d}), true
}

// An optionKey is what a pScripRefKey such as INFY30JUN26660.00PE says.
type optionKey struct {
	expiry day
	strike Rupees
	kind   Kind
}

// refKey reads a pScripRefKey of an underlying. It fails if the key has another form.
func refKey(key, name []byte) (k optionKey, ok bool) {
	if len(key) < len(name)+7 || string(key[:len(name)]) != string(name) {
		return k, false
	}
	key = key[len(name):]
	d, dok := scaled(key[:2], 0)
	month, mok := months[[3]byte{upper(key[2]), upper(key[3]), upper(key[4])}]
	y, yok := scaled(key[5:7], 0)
	if !dok || !mok || !yok || d < 1 || d > 31 || y < 0 {
		return k, false
	}
	k.expiry = dayOf(Date{2000 + int(y), month, int(d)})
	rest := key[7:]
	if n := len(rest) - 2; n > 0 {
		switch string(rest[n:]) {
		case "CE":
			k.kind = Call
		case "PE":
			k.kind = Put
		}
		if v, ok := scaled(rest[:n], decimals); ok && k.kind != "" {
			k.strike = rupees(v)
		}
	}
	return k, true
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

var months = func() map[[3]byte]time.Month {
	all := map[[3]byte]time.Month{}
	for m := time.January; m <= time.December; m++ {
		name := m.String()
		all[[3]byte{upper(name[0]), upper(name[1]), upper(name[2])}] = m
	}
	return all
}()

// band reads a day's price band. The columns dLowPriceRange and dHighPriceRange have six
// digits from a million paise on; pCreditRating has the same band exactly, as 87.79-131.68,
// and is believed where the two agree in what the columns have. Without it what the six
// digits leave open is inside the band.
func band(low, high, exact []byte) (lower, upper Rupees) {
	lower, slackLow := limit(low)
	upper, slackHigh := limit(high)
	for i := 1; i < len(exact); i++ {
		if exact[i] != '-' {
			continue
		}
		l, lok := scaled(exact[:i], decimals)
		h, hok := scaled(exact[i+1:], decimals)
		if lok && hok && near(l, lower, slackLow) && near(h, upper, slackHigh) {
			return rupees(l), rupees(h)
		}
	}
	if slackLow > 0 {
		lower = rupees(lower.value() - slackLow)
	}
	if slackHigh > 0 {
		upper = rupees(upper.value() + slackHigh)
	}
	return lower, upper
}

func near(n int64, to Rupees, slack int64) bool {
	away := n - to.value()
	return to.Known() && n > 0 && -slack <= away && away <= slack
}

// limit reads one end of a band in paise, and how far it may be off for want of digits.
func limit(s []byte) (r Rupees, slack int64) {
	n, ok := scaled(s, paise)
	if !ok || n <= 0 {
		return Rupees{}, 0
	}
	for _, c := range s {
		if c == 'e' || c == 'E' { // six digits: a million paise has a unit of ten paise
			unit := int64(scale / 10)
			for m := n / (10_000 * scale) / 10; m > 0; m /= 10 {
				unit *= 10
			}
			return rupees(n), unit / 2
		}
	}
	return rupees(n), 0
}

package tape

import (
	"math"

	"neoapi/internal/paper/listing"
)

// quarter is how many ticks an option's time to expiry stays the same: fifteen minutes.
// Within them its price depends on its underlying alone, so a bar of the one gives the bar
// of the other.
const quarter = 15 * ticksPerMinute

// years returns an option's time to its expiry at a tick: what is left at the end of the
// tick's quarter of an hour. In the last one nothing is left, and the price is intrinsic.
func years(i *listing.Instrument, n int64) float64 {
	left := dayNumber(i.Expiry)*ticksPerDay + ticksPerDay - (n/quarter+1)*quarter
	return max(0, float64(left)) / (365 * ticksPerDay)
}

// value returns what a contract is worth with its underlying at a price. Nobody pays or
// gets interest on paper, so a future is worth its underlying: anything else would be
// money for nothing. An option has the price of Black and Scholes with the volatility
// that its underlying has.
func value(i *listing.Instrument, spot, years float64) float64 {
	if !i.Kind.Option() {
		return spot
	}
	strike := float64(i.Strike)
	call := max(0, spot-strike)
	if spread := float64(i.Volatility) / 10_000 * math.Sqrt(365*years); spread > 1e-9 {
		d := math.Log(spot/strike)/spread + spread/2
		call = max(call, spot*normal(d)-strike*normal(d-spread))
	}
	if i.Kind == listing.Put {
		return call - spot + strike
	}
	return call
}

// normal returns the share of a normal distribution below x.
func normal(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

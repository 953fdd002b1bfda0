package listing

import (
	"bytes"
	"slices"
)

var monthNames = [...]string{"", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}

// list appends the contracts that live on a date: futures first, then options by expiry
// and strike, calls first. A contract is the same on every day of its life: all of it
// follows from its underlying, expiry, strike and kind.
func (c *contracts) list(all []*Instrument, d Date, underlyings *cash) []*Instrument {
	r := data().Expiries[c.Expiry]
	under := underlyings.of[c.Of]
	if f := c.Future; f != nil {
		for _, e := range r.months(d, f.Months, 0) {
			i := new(Instrument)
			c.fill(i, under, e, Future, 0)
			i.Type, i.Tick, i.Band, i.Volume = f.Type, Price(f.Tick), f.Band, f.Volume
			all = append(all, i)
		}
	}
	o := c.Option
	if o == nil {
		return all
	}
	expiries := r.months(d, o.Months, o.Before)
	if o.Weeks > 0 {
		expiries = append(expiries, r.weeks(d, o.Weeks)...)
	}
	slices.SortFunc(expiries, func(a, b expiry) int { return a.Compare(b.Date) })
	expiries = slices.CompactFunc(expiries, func(a, b expiry) bool { return a.Date == b.Date })
	step := Price(o.Step)
	middle := (under.Opening + step/2) / step
	for _, e := range expiries {
		series := make([]Instrument, 0, 2*(2*o.Strikes+1))
		for n := -o.Strikes; n <= o.Strikes; n++ {
			for _, k := range []Kind{Call, Put} {
				series = series[:len(series)+1]
				i := &series[len(series)-1]
				c.fill(i, under, e, k, (middle+Price(n))*step)
				i.Token += uint32(n+128) << 2
				i.Type, i.Tick, i.Band = o.Type, Price(o.Tick), under.Band
				i.Volume = max(1, o.Volume/int64(1+n*n/16))
				all = append(all, i)
			}
		}
	}
	return all
}

// fill sets what the contracts of an underlying have in common. The token is that
// of the expiry and the kind: bits for the expiry's day (it comes again after 256 days,
// when no contract of it lives any more), the underlying, the strike and the kind.
func (c *contracts) fill(i *Instrument, under *Instrument, e expiry, k Kind, strike Price) {
	*i = Instrument{
		Key:    Key{c.Segment, 35_000 + uint32(e.days()&255)<<14 + c.order<<10 + uint32(k-Future)},
		Symbol: c.Symbol, Name: c.name(e, k, strike), RefKey: c.refKey(e, k, strike),
		Kind: k, Strike: strike, Expiry: e.Date, Underlying: under,
		Lot: at(c.Lots, e.Date), MaxOrder: at(c.Max, e.Date), Precision: c.Precision,
		Multiplier: 1, GenNum: 1, GenDen: c.GenDen, PriceNum: 1, PriceDen: 1,
		Opening: under.Opening, Volatility: under.Volatility, Wander: under.Wander,
		Margin: Margin{Intraday: (c.Margin[0] + c.Margin[1]), Span: c.Margin[0], Exposure: c.Margin[1]},
	}
}

// name returns the trading symbol: NIFTY26SEPFUT, NIFTY26SEP24500CE, of a week
// NIFTY2692221000PE, and of a commodity GOLDM25SEP26148500CE.
func (c *contracts) name(e expiry, k Kind, strike Price) string {
	b := make([]byte, 0, 32)
	b = append(b, c.Symbol...)
	year := e.Year % 100
	switch {
	case c.Segment == MCX:
		b = appendDayFirst(b, e.Date)
	case e.monthly:
		b = append(appendTwo(b, year), monthNames[e.Month]...)
	default:
		b = append(appendTwo(b, year), " 123456789OND"[e.Month])
		b = appendTwo(b, e.Day)
	}
	if k == Future {
		return string(append(b, "FUT"...))
	}
	b = strike.Append(b, 4)
	b = bytes.TrimRight(bytes.TrimRight(b, "0"), ".")
	return string(append(b, k.String()...))
}

// refKey returns what names the contract with its date: NIFTY22SEP2621000.00PE. The real
// files have none for commodities.
func (c *contracts) refKey(e expiry, k Kind, strike Price) string {
	if c.Segment == MCX {
		return ""
	}
	b := appendDayFirst(append(make([]byte, 0, 32), c.Symbol...), e.Date)
	if k != Future {
		b = strike.Append(b, strike.decimals())
	}
	return string(append(b, k.String()...))
}

func appendDayFirst(b []byte, d Date) []byte {
	b = append(appendTwo(b, d.Day), monthNames[d.Month]...)
	return appendTwo(b, d.Year%100)
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// String returns CE, PE, FUT, or "" for what is not a contract.
func (k Kind) String() string {
	switch k {
	case Call:
		return "CE"
	case Put:
		return "PE"
	case Future:
		return "FUT"
	default:
		return ""
	}
}

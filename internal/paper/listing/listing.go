// Package listing says what the exchange on paper trades: instruments, the days on
// which they trade, expiries, lots, ticks, bands, and the scrip master that tells
// clients about them. All rules that change by date are data with the date from which
// they hold.
//
// Start with [Instrument]. The package is pure: time and prices come in.
package listing

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Price is in ten-thousandths of a rupee: exact for currencies, which have four
// decimals. An amount of money has the same unit.
type Price int64

// Rupee is a price of one rupee.
const Rupee Price = 10_000

// ParsePrice parses a decimal of at most four decimals, such as "3500.05".
func ParsePrice(s string) (Price, error) {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if len(fraction) > 4 || len(whole) > 13 || whole == "" && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a price with at most four decimals", s)
	}
	n, err := strconv.ParseInt(whole+(fraction + "0000")[:4], 10, 64)
	if strings.HasPrefix(s, "-") {
		n = -n
	}
	return Price(n), err
}

// Decimals returns the price with n decimals, at most four. Further ones are cut off.
func (p Price) Decimals(n int) string { return string(p.Append(make([]byte, 0, 24), n)) }

// Append appends what [Price.Decimals] returns.
func (p Price) Append(b []byte, n int) []byte {
	if p < 0 {
		b, p = append(b, '-'), -p
	}
	b = strconv.AppendInt(b, int64(p/Rupee), 10)
	if n == 0 {
		return b
	}
	f := p % Rupee
	digits := [5]byte{'.', byte('0' + f/1000), byte('0' + f/100%10), byte('0' + f/10%10), byte('0' + f%10)}
	return append(b, digits[:n+1]...)
}

// decimals returns how many decimals the price has, at least two.
func (p Price) decimals() int {
	if p%100 == 0 {
		return 2
	}
	return 4
}

// String returns the price in rupees with the decimals it has, at least two.
func (p Price) String() string { return p.Decimals(p.decimals()) }

// A Segment is a market of an exchange.
type Segment uint8

// The segments, in the order of the market feed's numbers.
const (
	NSE      Segment = iota + 1 // nse_cm: shares and indices of NSE
	NSEDeriv                    // nse_fo
	Currency                    // cde_fo
	BSE                         // bse_cm
	BSEDeriv                    // bse_fo
	MCX                         // mcx_fo: commodities
)

// Segments are all segments.
var Segments = []Segment{NSE, NSEDeriv, Currency, BSE, BSEDeriv, MCX}

var segmentNames = [...]string{NSE: "nse_cm", NSEDeriv: "nse_fo", Currency: "cde_fo", BSE: "bse_cm", BSEDeriv: "bse_fo", MCX: "mcx_fo"}

// String returns the segment's name on the wire.
func (s Segment) String() string {
	if int(s) < len(segmentNames) {
		return segmentNames[s]
	}
	return ""
}

// ParseSegment returns the segment of a name on the wire.
func ParseSegment(name string) (Segment, bool) {
	for _, s := range Segments {
		if segmentNames[s] == name {
			return s, true
		}
	}
	return 0, false
}

// Cash reports whether shares are traded there, not contracts.
func (s Segment) Cash() bool { return s == NSE || s == BSE }

// A Key identifies an instrument. Tokens repeat between segments.
type Key struct {
	Segment Segment
	Token   uint32
}

// String returns the key as quotes name it, such as "nse_cm|11536".
func (k Key) String() string { return fmt.Sprintf("%s|%d", k.Segment, k.Token) }

// A Kind is what an instrument is.
type Kind uint8

// The kinds.
const (
	Share Kind = iota // shares and funds
	Index             // cannot be ordered
	Future
	Call
	Put
)

// Option reports whether the kind is an option's.
func (k Kind) Option() bool { return k == Call || k == Put }

// A Date is a day in India.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// India is the time zone of the exchanges.
var India = time.FixedZone("IST", 5*3600+1800)

// DateOf returns the day in India at a time.
func DateOf(t time.Time) Date {
	y, m, d := t.In(India).Date()
	return Date{y, m, d}
}

// Start returns when the day begins in India.
func (d Date) Start() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, India) }

// Add returns the day n days later.
func (d Date) Add(n int) Date { return DateOf(time.Date(d.Year, d.Month, d.Day+n, 12, 0, 0, 0, India)) }

// Before reports whether d is earlier than e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// Compare returns -1, 0 or 1 as d is before, at or after e.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// IsZero reports whether d is no day.
func (d Date) IsZero() bool { return d == Date{} }

// String returns the day as 2006-01-02.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// An Instrument is what can be traded, or an index. It does not change after it was
// listed.
type Instrument struct {
	Key
	Symbol      string // pSymbolName: the underlying's name, such as NIFTY
	Name        string // pTrdSymbol: the trading symbol, such as TCS-EQ; of an index its name in quotes, such as Nifty 50
	Series      string // pGroup: EQ, BE, …; "" for contracts
	ISIN        string
	Description string
	RefKey      string // pScripRefKey
	Type        string // pInstType: "", FUTIDX, FUTSTK, OPTIDX, OPTSTK, FUTCUR, OPTCUR, FUTCOM, OPTFUT
	Kind        Kind
	Strike      Price
	Expiry      Date        // the last day of trading; zero for what does not expire
	Underlying  *Instrument // of a contract; nil otherwise

	Lot       int64 // orders are multiples of it
	Tick      Price
	Precision int   // decimals of its prices
	MaxOrder  int64 // the largest quantity of an order; 0 for no limit. The scrip master says MaxOrder + 1

	// An amount of money is price × quantity × Multiplier × GenNum/GenDen × PriceNum/PriceDen.
	Multiplier, GenNum, GenDen, PriceNum, PriceDen int64

	Band    int   // of the day, in hundredths of a per cent of the base price; 0 for none
	Opening Price // what its prices move around; of a contract its underlying's

	Volatility int   // of a day, in hundredths of a per cent; of a contract its underlying's
	Wander     int   // how far prices go from Opening, in hundredths of a per cent
	Volume     int64 // about how many lots trade in a minute; 0 for an index

	Margin Margin
}

// Margin is what a position in an instrument needs, in hundredths of a per cent of its
// value. CNC needs all of it.
type Margin struct {
	Intraday int // MIS; 0 if it may not be bought so
	Funded   int // MTF; 0 if it may not be bought so
	Span     int // of contracts
	Exposure int // of contracts, beside Span
}

// Amount returns what a quantity at a price is worth.
func (i *Instrument) Amount(p Price, quantity int64) Price {
	n := int64(p) * quantity * i.Multiplier * i.GenNum * i.PriceNum
	return Price(n / (i.GenDen * i.PriceDen))
}

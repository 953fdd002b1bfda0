package trade

import (
	"fmt"
	"strings"
	"time"
)

// IST is India's time zone. Every time of this package is in it.
var IST = time.FixedZone("IST", 5*60*60+30*60)

// A Segment is a market of an exchange, by its name on the wire. An unknown one is kept
// as it came.
type Segment string

// The segments.
const (
	NSE Segment = "nse_cm" // shares and indices
	BSE Segment = "bse_cm"
	NFO Segment = "nse_fo" // futures and options
	BFO Segment = "bse_fo"
	MCX Segment = "mcx_fo" // commodities
	CDS Segment = "cde_fo" // currencies; not offered to sessions of generation 3
)

var segments = map[string]Segment{
	"nse": NSE, "nse_cm": NSE, "nse_eq": NSE, "bse": BSE, "bse_cm": BSE, "bse_eq": BSE, "nfo": NFO, "nse_fo": NFO, "bfo": BFO, "bse_fo": BFO,
	"mcx": MCX, "mcx_fo": MCX, "cds": CDS, "cde": CDS, "cde_fo": CDS,
}

// ParseSegment returns the segment of any of its names, in any case: NSE, nse_cm and
// NSE_EQ are the same.
func ParseSegment(name string) (Segment, error) {
	if s, ok := segments[strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "-", "_")]; ok {
		return s, nil
	}
	return "", errorf("%q is no segment: use NSE, BSE, NFO, BFO, MCX or CDS", clip(name))
}

// Cash reports whether shares are traded there, not contracts.
func (s Segment) Cash() bool { return s == NSE || s == BSE }

// A Side says whether an order buys or sells.
type Side string

// The sides.
const (
	SideBuy  Side = "B"
	SideSell Side = "S"
)

// Opposite returns the other side; an unknown one stays what it is.
func (s Side) Opposite() Side {
	switch s {
	case SideBuy:
		return SideSell
	case SideSell:
		return SideBuy
	}
	return s
}

// String returns "buy" or "sell", or an unknown side as it came.
func (s Side) String() string {
	switch s {
	case SideBuy:
		return "buy"
	case SideSell:
		return "sell"
	}
	return string(s)
}

// A Product says how a position is carried and paid for.
type Product string

// The products.
const (
	CNC     Product = "CNC"  // delivery
	MIS     Product = "MIS"  // intraday
	NRML    Product = "NRML" // carried forward: derivatives
	MTF     Product = "MTF"  // margin trading; generation 3
	Cover   Product = "CO"   // read only: the service has discontinued cover orders
	Bracket Product = "BO"   // and bracket orders
)

// products are those that are told apart.
var products = []Product{CNC, MIS, NRML, MTF, Cover, Bracket}

// A PriceType says at which price an order may fill.
type PriceType string

// The price types.
const (
	Limit      PriceType = "L"
	Market     PriceType = "MKT"  // the service makes it a limit order at the last price ± a protection, which may rest
	StopLimit  PriceType = "SL"   // becomes a limit order when its trigger is reached
	StopMarket PriceType = "SL-M" // the service rejects it from programs
)

// A Validity says how long an order rests.
type Validity string

// The validities.
const (
	Day Validity = "DAY"
	IOC Validity = "IOC" // what does not fill at once is cancelled
)

// A State is what the exchange last said of an order. An unknown one is kept as it
// came, and is not final.
type State string

// The states.
const (
	Received       State = "put order req received"
	Validating     State = "validation pending"
	OpenPending    State = "open pending" // on its way to the exchange
	Open           State = "open"         // at the exchange; FilledQty says whether a part has filled
	TriggerPending State = "trigger pending"
	Complete       State = "complete"
	Rejected       State = "rejected"
	Cancelled      State = "cancelled"

	ModifyValidating State = "modify validation pending"
	ModifyPending    State = "modify pending"
	Modified         State = "modified"
	NotModified      State = "not modified"
	CancelPending    State = "cancel pending"
	NotCancelled     State = "not cancelled"

	AfterMarket          State = "after market order req received" // rests until the next trading day
	AfterMarketModified  State = "modify after market order req received"
	AfterMarketCancelled State = "cancelled after market order"
)

// Final reports whether an order in this state changes no more.
func (s State) Final() bool {
	switch s {
	case Complete, Rejected, Cancelled, AfterMarketCancelled:
		return true
	}
	return false
}

// A Date is a day in India. The zero value is no date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day in India of a time, or no date for the zero time.
func DateOf(t time.Time) Date {
	if t.IsZero() {
		return Date{}
	}
	year, month, day := t.In(IST).Date()
	return Date{year, month, day}
}

// Time returns the beginning of the day in India.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, IST) }

// IsZero reports whether d is no date.
func (d Date) IsZero() bool { return d == Date{} }

// Before reports whether d is an earlier day than e.
func (d Date) Before(e Date) bool { return d.Time().Before(e.Time()) }

// String returns the date as 2026-12-29, or "" for no date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

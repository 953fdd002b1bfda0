package trade

// A Kind is what an instrument is.
type Kind string

// The kinds.
const (
	Share     Kind = "share" // shares, funds and bonds
	IndexKind Kind = "index" // quoted, never ordered
	Future    Kind = "future"
	Call      Kind = "call"
	Put       Kind = "put"
)

// An Instrument is a row of the day's scrip master: what can be ordered or quoted. It is
// identified by Segment and Token together; tokens repeat between segments.
type Instrument struct {
	Segment Segment
	Token   string
	Symbol  string // the trading symbol, such as "TCS-EQ"; what orders name
	Name    string // the underlying, such as "TCS" or "NIFTY"
	Company string // the description, or ""
	ISIN    string
	Series  string // of shares, such as "EQ"
	Kind    Kind
	Expiry  Date   // of contracts
	Strike  Rupees // of options; unknown for others
	Lot     int64  // orders are for multiples of it
	Tick    Rupees // prices are multiples of it; unknown if the master has none
	Freeze  int64  // the first quantity that the exchange refuses in one order; 0 for none
	Lower   Rupees // the day's price band; unknown if the master has none
	Upper   Rupees

	Precision  int   // decimals of a price
	Multiplier int64 // these five are factors of an amount: quantity × price × multiplier × GenNum/GenDen × PriceNum/PriceDen
	GenNum     int64
	GenDen     int64
	PriceNum   int64
	PriceDen   int64
}

// Key returns the instrument as quotes name it, such as "nse_cm|11536".
func (i Instrument) Key() string { return string(i.Segment) + "|" + i.Token }

// Option reports whether the instrument is a call or a put.
func (i Instrument) Option() bool { return i.Kind == Call || i.Kind == Put }

package trade

import "time"

// An Order is an order as the service last reported it. Amounts that it did not report
// are unknown, texts "" and times zero; Unread says what it reported in a form that could
// not be read.
//
// Quantities count what those of a [Position] count. The texts of an order are parts of
// the report that it came with, which stays in memory as long as the order does.
type Order struct {
	Number         string // the service's
	ExchangeNumber string
	Tag            string // GuiOrdId: the tag that was sent, until a change or cancel replaces it

	Segment Segment
	Token   string
	Symbol  string // trading symbol
	Name    string
	Series  string

	Side      Side
	Product   Product
	PriceType PriceType
	Validity  Validity
	Price     Rupees
	Trigger   Rupees

	Quantity     int64
	FilledQty    int64 // of all its fills together
	PendingQty   int64
	CancelledQty int64
	DisclosedQty int64
	AvgPrice     Rupees // of what has filled, as the service rounds it; unknown before the first fill. See [Order.Average]

	State  State
	Reason string // why it was rejected, why the exchange cancelled it or, while it is open, why its last change was refused: see [Order.Refused]

	Sent      time.Time // when [Client.Place] sent it, by Config.Clock; zero for an order that was read from a report
	Entered   time.Time // when the service received it
	Confirmed time.Time // when the exchange confirmed it
	Updated   time.Time // its newest state
	Sequence  int64     // orders the states of an order: nanoseconds, by the service's clock

	Unread string // the keys, with commas between, whose values had another form, or quantities that are missing
	Raw    Raw    // every field of the row
}

// Refused returns why the last change of an order was refused, if it was: such an order
// is as open as before, with its old price and quantity.
func (o Order) Refused() string {
	if o.State.Final() {
		return ""
	}
	return o.Reason
}

// Average returns what an order's fills cost, exactly, from the trades of its day. It is
// none if the trades do not make up FilledQty.
func (o Order) Average(trades []Trade) Average {
	a := Average{Amount: rupees(0), Precision: 4}
	for i := range trades {
		if f := &trades[i]; f.OrderNumber == o.Number {
			a.Amount, a.Quantity = a.Amount.Add(f.Price.Times(f.Quantity)), a.Quantity+f.Quantity
		}
	}
	if a.Quantity != o.FilledQty || !a.Known() {
		return Average{}
	}
	return a
}

// A Trade is one fill of an order.
type Trade struct {
	OrderNumber    string
	ExchangeNumber string
	ID             string
	Tag            string
	Segment        Segment
	Token          string // may be "": map by Symbol
	Symbol         string
	Side           Side
	Product        Product
	PriceType      PriceType
	Quantity       int64
	Price          Rupees
	At             time.Time // the exchange's
	Unread         string    // as in [Order]
	Raw            Raw
}

// A Level is a price in a book with its quantity and number of orders.
type Level struct {
	Price    Rupees
	Quantity int64
	Orders   int64
}

// A Quote is the market in an instrument. What the service did not say is unknown.
type Quote struct {
	Segment             Segment
	Token               string
	Symbol              string
	Last                Rupees
	LastQty             int64
	Open                Rupees
	High                Rupees
	Low                 Rupees
	PrevClose           Rupees
	AvgPrice            Rupees
	Volume              int64
	OpenInterest        int64
	TotalBuy, TotalSell int64
	Upper, Lower        Rupees // circuit limits
	YearHigh, YearLow   Rupees
	Bids, Asks          []Level   // best first
	At                  time.Time // the exchange's
	Received            time.Time // this machine's, by Config.Clock
	Raw                 Raw
}

// A Candle is the trading of an interval.
type Candle struct {
	Start                  time.Time
	Open, High, Low, Close Rupees
	Volume                 int64
	Running                bool // the interval has not ended: the candle will change
}

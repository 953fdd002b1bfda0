package trade

import "time"

// An Order is an order as the service last reported it. Amounts that it did not report
// are unknown, texts "" and times zero.
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
	FilledQty    int64
	PendingQty   int64
	CancelledQty int64
	DisclosedQty int64
	AvgPrice     Rupees // of what has filled; unknown before the first fill

	State  State
	Reason string // why it was rejected or, while it is open, why its last change was refused

	Entered   time.Time // when the service received it
	Confirmed time.Time // when the exchange confirmed it
	Updated   time.Time // its newest state
	Sequence  int64     // orders the states of an order: updRecvTm, ns

	Raw Raw // every field of the row
}

// Raw is a row as the service sent it, for fields that the package does not know.
type Raw string

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
	At             time.Time
	Raw            Raw
}

// A Position is what an account holds of an instrument under a product today.
type Position struct {
	Segment Segment
	Token   string
	Symbol  string
	Name    string
	Product Product
	Kind    Kind
	Expiry  Date
	Strike  Rupees
	Lot     int64

	CarriedBuyQty, CarriedSellQty int64  // from the days before
	CarriedBuy, CarriedSell       Rupees // amounts, valued at the previous settlement and not at cost
	BuyQty, SellQty               int64  // today's
	BuyAmount, SellAmount         Rupees
	Last                          Rupees // the last price; only /portfolio/v2/positions has it

	Precision                                      int
	Multiplier, GenNum, GenDen, PriceNum, PriceDen int64
	Updated                                        time.Time
	Raw                                            Raw
}

// A Holding is shares that are held.
type Holding struct {
	Segment     Segment
	Token       string // exchangeIdentifier: what quotes and orders use
	Symbol      string
	Series      string
	Quantity    int64 // all
	Sellable    int64
	AvgPrice    Rupees
	ClosePrice  Rupees
	Cost        Rupees
	MarketValue Rupees
	Raw         Raw
}

// Limits are an account's money.
type Limits struct {
	Cash      Rupees // CollateralValue: the cash, whatever its name on the wire says
	Pledged   Rupees // Collateral: margin from pledged shares
	Used      Rupees // MarginUsed
	Available Rupees // Net = Cash + Pledged − Used
	At        time.Time
	Raw       Raw
}

// A Margin is what orders would need.
type Margin struct {
	Need      Rupees // the orders' own
	Short     Rupees // what is missing of it; 0 if it fits
	Available Rupees
	Used      Rupees
	Fits      bool
	Legs      int // how many orders it is a sum of; their margins can be less together
	Raw       Raw
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

// Package paper is an exchange on paper with its brokers' accounts: orders, matching,
// margins, positions and settlement by the rules of the Indian exchanges, without
// money, network or clock of its own.
//
// It is pure. Commands and the time come in; orders, trades and reports come out. The
// same seed and the same commands at the same times give the same state to the byte.
//
// Start with [Exchange]. Its parts are in the packages below: listing has the
// instruments and the days, tape the prices, book the matching, and ledger the money.
package paper

import (
	"time"

	"neoapi/internal/paper/ledger"
	"neoapi/internal/paper/listing"
)

// A Side is buy or sell.
type Side uint8

// The sides.
const (
	Buy Side = iota + 1
	Sell
)

// A PriceType says how an order's price is found.
type PriceType uint8

// The price types.
const (
	Limit      PriceType = iota + 1 // L
	Market                          // MKT: becomes a limit order at a protected price
	Stop                            // SL: a limit order that waits for its trigger
	StopMarket                      // SL-M
)

// A Product is how a position is held.
type Product = ledger.Product

// The products.
const (
	CNC     = ledger.CNC
	MIS     = ledger.MIS
	NRML    = ledger.NRML
	MTF     = ledger.MTF
	Cover   = ledger.Cover
	Bracket = ledger.Bracket
)

// A Validity says how long an order rests.
type Validity uint8

// The validities.
const (
	Day Validity = iota + 1
	IOC          // what does not fill at once is cancelled
)

// A State is what an order's last row of history says. Its text is the wire's.
type State uint8

// The states.
const (
	PutReceived State = iota + 1 // put order req received
	ValidationPending
	OpenPending
	Open
	TriggerPending
	Complete
	Cancelled
	Rejected
	ModifyValidationPending
	ModifyPending
	Modified
	NotModified
	CancelPending
	NotCancelled
	AfterMarketReceived // after market order req received
	ModifyAfterMarketReceived
	CancelledAfterMarket
)

// A Number is an order's number: YYMMDD and nine digits.
type Number uint64

// A Place is a new order.
type Place struct {
	Account    string // UCC
	Instrument listing.Key
	Side       Side
	Type       PriceType
	Product    Product
	Validity   Validity
	Price      listing.Price
	Trigger    listing.Price
	Quantity   int64
	Disclosed  int64
	Protection int    // whole per cent for a market order; 0 leaves it to the table
	Tag        string // up to 50 printable ASCII characters; "" for none
	Source     string // who placed it, as the order's row shows it
	AfterHours bool

	Twist Twist // what goes wrong with it on purpose

	// Of cover and bracket orders: distances from the entry's price, 0 for none.
	StopDistance, TargetDistance, Trail listing.Price
}

// A Twist is what goes wrong with an order on purpose. With the zero Twist nothing does.
type Twist struct {
	Reject string // it is rejected for this
	Later  bool   // but only after it was open
	Stuck  bool   // it stays in OpenPending
	Parts  int    // what would fill at once fills in this many parts, a second apart
}

// A Change is what a modification makes of an order.
type Change struct {
	Account   string
	Number    Number
	Type      PriceType
	Validity  Validity
	Price     listing.Price
	Trigger   listing.Price
	Quantity  int64 // the new total, with what has filled
	Disclosed int64
}

// A Reason says why a command was refused. Refused commands change nothing.
type Reason uint8

// The reasons, with the codes that the protocol has for them.
const (
	Invalid    Reason = iota + 1 // 1009: a field, an unknown instrument, or a foreign order number
	TagUsed                      // 32
	Final                        // 1021: the order is complete, cancelled or rejected
	NotAMO                       // 14: an order of another kind than the command says
	NoAccount                    // the account is unknown
	NotWritten                   // the log could not be written
)

// A Refusal is a command that was refused.
type Refusal struct {
	Reason Reason
	Field  string // the protocol's name of the field, such as "qt"; may be ""
	Text   string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// An Order is one row of an order's history. The last row is the order as it is.
type Order struct {
	Number   Number
	Exchange string // the exchange's number; "" before it was sent there
	Account  string
	*listing.Instrument
	Side         Side
	Product      Product
	Type         PriceType // as it is now: a market order becomes Limit
	Validity     Validity
	Price        listing.Price
	Trigger      listing.Price
	Quantity     int64
	Filled       int64
	Cancelled    int64
	Disclosed    int64
	FilledAmount listing.Price // Σ price × quantity, without the instrument's factors: the average is FilledAmount/Filled
	State        State
	Reason       string // rejRsn: why it was rejected, or why its last change was
	Remark       string // rmk: why the exchange cancelled it
	Tag          string // GuiOrdId as it reads now
	FirstTag     string // as it was placed
	Source       string
	AfterHours   bool
	Placed       time.Time // when it came in
	Entered      time.Time // when this row was made
	Confirmed    time.Time // by the exchange; zero before
	Modified     int       // how often
}

// A Trade is a fill of an order.
type Trade struct {
	Order    Number
	Exchange string
	ID       uint64
	*listing.Instrument
	Account  string
	Side     Side
	Product  Product
	Type     PriceType
	Price    listing.Price
	Quantity int64
	Tag      string
	At       time.Time
}

// A Position is what an account bought and sold of an instrument under a product.
type Position struct {
	ledger.Position
	Last    listing.Price
	Updated time.Time // of the last trade
}

// A Holding is shares in an account.
type Holding struct {
	ledger.Holding
	Close listing.Price // the previous one
	Last  listing.Price
}

// Limits are an account's money.
type Limits = ledger.Limits

// A Need is what an order needs.
type Need = ledger.Need

// A Quote is the market's picture of an instrument.
type Quote struct {
	*listing.Instrument
	Last         listing.Price // 0 if it has not traded
	LastQuantity int64
	LastTime     time.Time
	Open         listing.Price
	High         listing.Price
	Low          listing.Price
	Close        listing.Price // the previous day's
	Volume       int64
	Traded       listing.Price // Σ price × quantity of Volume; the average is Traded/Volume
	OpenInterest int64
	TotalBuy     int64
	TotalSell    int64
	BandLow      listing.Price
	BandHigh     listing.Price
	YearLow      listing.Price
	YearHigh     listing.Price
	Bids, Asks   [5]Level // zero where there is none
	At           time.Time
}

// A Level is one price in the book.
type Level struct {
	Price    listing.Price
	Quantity int64
	Orders   int
}

// A Candle is a bar of the tape.
type Candle struct {
	Start                  time.Time
	Open, High, Low, Close listing.Price
	Volume, OpenInterest   int64
}

// An Event is what happened to an order or a position, in the order in which it
// happened: what the order feed sends. Exactly one of Order and Position is set.
type Event struct {
	Account  string
	Order    *Order
	Trade    *Trade // set beside Order if the row is a fill
	Position *Position
}

var stateNames = [...]string{
	PutReceived: "put order req received", ValidationPending: "validation pending", OpenPending: "open pending", Open: "open",
	TriggerPending: "trigger pending", Complete: "complete", Cancelled: "cancelled", Rejected: "rejected",
	ModifyValidationPending: "modify validation pending", ModifyPending: "modify pending", Modified: "modified", NotModified: "not modified",
	CancelPending: "cancel pending", NotCancelled: "not cancelled", AfterMarketReceived: "after market order req received",
	ModifyAfterMarketReceived: "modify after market order req received", CancelledAfterMarket: "cancelled after market order",
}

// String returns the state as the protocol writes it.
func (s State) String() string { return stateNames[s] }

package feed

import (
	"time"

	"neoapi/trade"
)

// An Update is what a feed tells: a [Quote], [Status], [Auction] or [Missing] of the market
// feed, an [OrderUpdate] or [PositionUpdate] of the order feed, a [Lost] or [Gap] of both.
type Update interface{ update() }

// A Level is how much of an instrument a feed sends. A higher level has all of the lower
// ones.
type Level int

// The levels.
const (
	Mini  Level = iota + 1 // last price and change
	Touch                  // and the day, best bid and offer
	Depth                  // and five bids and offers
	Full                   // and all bids and offers that the service sends
)

// A Quote is the whole picture of an instrument after an update. What the service has not
// sent since the feed last connected is unknown, not zero.
type Quote struct {
	Instrument trade.Instrument
	Level      Level

	Last              trade.Rupees
	LastQty           int64
	LastAt            time.Time // of the last trade
	Change            trade.Rupees
	ChangePercent     float64 // of the service, rounded to hundredths
	Open, High, Low   trade.Rupees
	PrevClose         trade.Rupees
	AvgPrice          trade.Rupees
	IndicativeClose   trade.Rupees
	Volume            int64
	Traded            float64 // rupees, as the service rounds it
	OpenInterest      int64
	TotalBuy          int64
	TotalSell         int64
	Upper, Lower      trade.Rupees
	YearHigh, YearLow trade.Rupees
	Bids, Asks        []trade.Level // best first
	Crossed           bool          // the best bid is not below the best offer

	At       time.Time // the exchange's, in IST; zero if it did not say
	Received time.Time // this machine's, by neoapi.Config.Clock
	Skipped  int       // earlier updates of the instrument that the program did not read in time
}

// Age returns how long before it was received the exchange made the quote, and whether
// that is known.
func (q *Quote) Age() (age time.Duration, known bool) {
	if q.At.IsZero() {
		return 0, false
	}
	return max(0, q.Received.Sub(q.At)), true
}

// A Status is what a market is doing.
type Status struct {
	Segment trade.Segment
	State   MarketState
	Text    string
	At      time.Time // when it was received
}

// A MarketState is what a market is doing, by the service's number.
type MarketState int

// An Auction is the state of an instrument's closing auction.
type Auction struct {
	Instrument        trade.Instrument
	Reference         trade.Rupees
	Imbalance         int64
	ImbalanceAtMarket int64
	At                time.Time // when it was received
}

// Missing are instruments of which nothing came within ten seconds of their subscription
// while the market is open: the service does not know them, or does not answer.
type Missing struct{ Instruments []trade.Instrument }

// Lost says that the connection was lost, and why: until the next [Gap] nothing is known.
type Lost struct {
	At  time.Time
	Err error
}

// A Gap says from when to when a feed was silent: what happened in between is not told by
// a market feed. An order feed tells it before the gap.
type Gap struct{ From, To time.Time }

// gap returns a gap that ends where it began if the clock was set back meanwhile.
func gap(from, to time.Time) Gap {
	if to.Before(from) {
		to = from
	}
	return Gap{from.In(trade.IST), to.In(trade.IST)}
}

// An OrderUpdate is an order in a new state.
type OrderUpdate struct {
	trade.Order
	Fill int64 // what has filled since the last update of the order: the sum is FilledQty

	// Recovered says that it was read from the service, because a break hid it or the feed
	// had lost it. It is false of what a feed, or a loop, begins with: the day's orders.
	Recovered bool
}

// A PositionUpdate is a position after a fill.
type PositionUpdate struct{ trade.Position }

func (Quote) update()          {}
func (Status) update()         {}
func (Auction) update()        {}
func (Missing) update()        {}
func (Lost) update()           {}
func (Gap) update()            {}
func (OrderUpdate) update()    {}
func (PositionUpdate) update() {}

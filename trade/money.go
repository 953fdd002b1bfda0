package trade

import "time"

// A Holding is shares that an account owns.
type Holding struct {
	Segment     Segment
	Token       string // as quotes and orders have it
	Symbol      string // trading symbol
	Name        string // the symbol without its series
	Series      string
	Quantity    int64  // all
	Sellable    int64  // what of it can be sold today
	AvgPrice    Rupees // what a share cost; rounded to seven decimals if the service says more
	ClosePrice  Rupees // of the previous day
	Cost        Rupees // what all of them cost
	MarketValue Rupees
	Unread      string // as in [Order]
	Raw         Raw
}

// Limits are an account's money. None of these amounts contains another one:
//
//	Available = Cash + Pledged − Used
type Limits struct {
	Cash      Rupees // CollateralValue on the wire, which is the cash whatever its name says
	Pledged   Rupees // Collateral on the wire: the margin from pledged shares
	Used      Rupees // MarginUsed on the wire: by positions and open orders
	Available Rupees // Net on the wire: what new orders can use
	At        time.Time
	Unread    string // as in [Order]
	Raw       Raw
}

// Columns of a holding.
const (
	holdingSegment = iota
	holdingToken
	holdingSymbol
	holdingName
	holdingSeries
	holdingQuantity
	holdingSellable
	holdingAverage
	holdingClose
	holdingCost
	holdingValue
)

var holdingLayout = newLayout([]string{
	holdingSegment: "exchangeSegment", holdingToken: "exchangeIdentifier", holdingSymbol: "displaySymbol", holdingName: "symbol",
	holdingSeries: "series", holdingQuantity: "quantity", holdingSellable: "sellableQuantity", holdingAverage: "averagePrice",
	holdingClose: "closingPrice", holdingCost: "holdingCost", holdingValue: "mktValue",
})

func decodeHolding(r *row, h *Holding) {
	*h = Holding{
		Segment: r.segment(holdingSegment), Token: r.text(holdingToken), Symbol: r.text(holdingSymbol), Name: r.text(holdingName),
		Series: r.text(holdingSeries), Quantity: r.quantity(holdingQuantity), Sellable: r.count(holdingSellable), AvgPrice: r.rupees(holdingAverage),
		ClosePrice: r.rupees(holdingClose), Cost: r.rupees(holdingCost), MarketValue: r.rupees(holdingValue),
		Unread: r.unreadKeys(holdingLayout), Raw: r.raw,
	}
}

// Columns of limits.
const (
	limitsCash = iota
	limitsPledged
	limitsUsed
	limitsNet
	limitsAt
)

var limitsLayout = newLayout([]string{
	limitsCash: "CollateralValue", limitsPledged: "Collateral", limitsUsed: "MarginUsed", limitsNet: "Net", limitsAt: "TimeStamp",
})

func decodeLimits(r *row, l *Limits) {
	*l = Limits{
		Cash: r.rupees(limitsCash), Pledged: r.rupees(limitsPledged), Used: r.rupees(limitsUsed), Available: r.rupees(limitsNet),
		At: r.at(limitsAt), Unread: r.unreadKeys(limitsLayout), Raw: r.raw,
	}
}

package trade

import (
	"slices"
	"strings"
	"time"
)

// A Position is what an account has bought and sold of an instrument under a product:
// today, and before if it was carried. Segment, Token and Product together identify it.
//
// Of its Instrument, the report says what it is and the factors of its amounts, but
// neither tick nor freeze quantity nor price band.
//
// Quantities count shares in NSE and BSE; units, which are lots × Lot, in NFO and BFO; and
// in MCX and CDS what orders count there, which are multiples of Lot as well. In every
// segment an order for the quantity of Net closes a position exactly.
type Position struct {
	Instrument
	Product Product

	// What is held: bought less sold, negative if it was sold short.
	Net int64
	// What Net was bought for, or sold for if it is negative; none if it is 0. It is the
	// average of everything on that side, carried and today's, not only of what is still
	// open. What was carried counts with its value at the previous settlement, which is
	// not its entry price.
	AvgPrice Average

	CarriedBuyQty, CarriedSellQty int64  // from the days before
	CarriedBuy, CarriedSell       Rupees // amounts, valued at the previous settlement and not at cost
	BuyQty, SellQty               int64  // today's
	BuyAmount, SellAmount         Rupees
	Last                          Rupees // the last price, if the service has the new report of positions

	Updated time.Time
	Unread  string // as in [Order]; the position's sums are unknown if one of its quantities is there
	Raw     Raw
}

// Columns of a position.
const (
	positionSegment = iota
	positionToken
	positionSymbol
	positionName
	positionProduct
	positionType
	positionOption
	positionStrike
	positionDate
	positionExpiry
	positionLot
	positionPrecision
	positionMultiplier
	positionGenNum
	positionGenDen
	positionPriceNum
	positionPriceDen
	positionCarriedBuyQty
	positionCarriedSellQty
	positionCarriedBuy
	positionCarriedSell
	positionBuyQty
	positionSellQty
	positionBuy
	positionSell
	positionLast
	positionUpdated
	positionReceived
)

var positionLayout = newLayout([]string{
	positionSegment: "exSeg", positionToken: "tok", positionSymbol: "trdSym", positionName: "sym", positionProduct: "prod",
	positionType: "type", positionOption: "optTp", positionStrike: "stkPrc", positionDate: "expDt", positionExpiry: "exp",
	positionLot: "lotSz", positionPrecision: "precision", positionMultiplier: "multiplier", positionGenNum: "genNum", positionGenDen: "genDen",
	positionPriceNum: "prcNum", positionPriceDen: "prcDen", positionCarriedBuyQty: "cfBuyQty", positionCarriedSellQty: "cfSellQty", positionCarriedBuy: "cfBuyAmt",
	positionCarriedSell: "cfSellAmt", positionBuyQty: "flBuyQty", positionSellQty: "flSellQty", positionBuy: "buyAmt", positionSell: "sellAmt",
	positionLast: "ltp", positionUpdated: "hsUpTm", positionReceived: "updRecvTm",
})

func decodePosition(r *row, p *Position) {
	*p = Position{
		Instrument: Instrument{
			Segment: r.segment(positionSegment), Token: r.text(positionToken), Symbol: r.text(positionSymbol), Name: r.text(positionName),
			Strike: r.rupees(positionStrike), Expiry: r.date(positionDate), Lot: r.count(positionLot), Precision: int(r.count(positionPrecision)),
			Multiplier: r.factor(positionMultiplier), GenNum: r.factor(positionGenNum), GenDen: r.factor(positionGenDen),
			PriceNum: r.factor(positionPriceNum), PriceDen: r.factor(positionPriceDen),
		},
		Product:       Product(r.text(positionProduct)),
		CarriedBuyQty: r.quantity(positionCarriedBuyQty), CarriedSellQty: r.quantity(positionCarriedSellQty),
		CarriedBuy: r.rupees(positionCarriedBuy), CarriedSell: r.rupees(positionCarriedSell),
		BuyQty: r.quantity(positionBuyQty), SellQty: r.quantity(positionSellQty),
		BuyAmount: r.rupees(positionBuy), SellAmount: r.rupees(positionSell),
		Last: r.rupees(positionLast), Updated: r.firstOf(positionReceived, positionUpdated), Raw: r.raw,
	}
	p.Kind = kindOf(p.Segment, r.text(positionType), r.text(positionOption))
	if p.Strike.Sign() <= 0 || !p.Option() {
		p.Strike = Rupees{}
	}
	if at := r.at(positionExpiry); p.Expiry.IsZero() {
		p.Expiry = DateOf(at)
	}
	bought, sold := p.sum(r)
	if p.Unread = r.unreadKeys(positionLayout); p.whole() {
		p.AvgPrice = p.average(bought, sold)
	}
}

// kindOf returns what an instrument is by what a row says of it.
func kindOf(segment Segment, kind, option string) Kind {
	switch option {
	case "CE":
		return Call
	case "PE":
		return Put
	}
	switch {
	case segment.Cash():
		return Share
	case option == "XX", strings.HasPrefix(kind, "FUT"):
		return Future
	}
	return ""
}

// sum computes what is held.
func (p *Position) sum(r *row) (bought, sold int64) {
	bought, ok := add(p.CarriedBuyQty, p.BuyQty)
	sold, ok2 := add(p.CarriedSellQty, p.SellQty)
	net, ok3 := add(bought, -sold)
	if !ok || !ok2 || !ok3 || min(p.CarriedBuyQty, p.CarriedSellQty, p.BuyQty, p.SellQty) < 0 {
		r.bad(positionBuyQty)
		r.bad(positionSellQty)
		return 0, 0
	}
	p.Net = net
	return bought, sold
}

// whole reports whether everything could be read that its sums need.
func (p *Position) whole() bool {
	if p.Unread == "" {
		return true
	}
	unread := strings.Split(p.Unread, ",")
	return !slices.ContainsFunc(sumKeys, func(key string) bool { return slices.Contains(unread, key) })
}

// sumKeys are the keys that sums need.
var sumKeys = strings.Fields("cfBuyQty cfSellQty flBuyQty flSellQty multiplier genNum genDen prcNum prcDen")

// add adds, and reports whether the sum fits.
func add(a, b int64) (sum int64, ok bool) {
	sum = a + b
	return sum, (sum < a) == (b < 0)
}

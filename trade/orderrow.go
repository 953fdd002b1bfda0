package trade

import "strings"

// Columns of an order.
const (
	orderNumber = iota
	orderExchange
	orderExchangeOld
	orderTag
	orderSegment
	orderToken
	orderSymbol
	orderName
	orderSeries
	orderSide
	orderProduct
	orderPriceType
	orderValidity
	orderPrice
	orderTrigger
	orderQuantity
	orderFilled
	orderPending
	orderCancelled
	orderDisclosed
	orderAverage
	orderState
	orderReason
	orderEntered
	orderConfirmed
	orderUpdated
	orderStamp
	orderReceived
)

var orderLayout = newLayout([]string{
	orderNumber: "nOrdNo", orderExchange: "exOrdId", orderExchangeOld: "exchOrdId", orderTag: "GuiOrdId", orderSegment: "exSeg",
	orderToken: "tok", orderSymbol: "trdSym", orderName: "sym", orderSeries: "series", orderSide: "trnsTp", orderProduct: "prod",
	orderPriceType: "prcTp", orderValidity: "vldt", orderPrice: "prc", orderTrigger: "trgPrc", orderQuantity: "qty",
	orderFilled: "fldQty", orderPending: "unFldSz", orderCancelled: "cnlQty", orderDisclosed: "dscQty", orderAverage: "avgPrc",
	orderState: "ordSt", orderReason: "rejRsn", orderEntered: "ordEntTm", orderConfirmed: "exCfmTm", orderUpdated: "ordDtTm",
	orderStamp: "hsUpTm", orderReceived: "updRecvTm",
})

func decodeOrder(r *row) Order {
	o := Order{
		Number: r.text(orderNumber), ExchangeNumber: r.text(orderExchange), Tag: r.text(orderTag),
		Segment: r.segment(orderSegment), Token: r.text(orderToken), Symbol: r.text(orderSymbol), Name: r.text(orderName), Series: r.text(orderSeries),
		Side: r.side(orderSide), Product: Product(r.text(orderProduct)), PriceType: PriceType(r.text(orderPriceType)), Validity: Validity(r.text(orderValidity)),
		Price: r.rupees(orderPrice), Trigger: r.rupees(orderTrigger),
		Quantity: r.quantity(orderQuantity), FilledQty: r.quantity(orderFilled),
		PendingQty: r.count(orderPending), CancelledQty: r.count(orderCancelled), DisclosedQty: r.count(orderDisclosed),
		AvgPrice: r.rupees(orderAverage), State: State(r.text(orderState)), Reason: r.text(orderReason),
		Entered: r.at(orderEntered), Confirmed: r.at(orderConfirmed), Updated: r.at(orderReceived), Sequence: r.count(orderReceived),
	}
	if o.ExchangeNumber == "" { // in histories
		o.ExchangeNumber = r.text(orderExchangeOld)
	}
	if o.FilledQty == 0 && o.AvgPrice.Sign() == 0 { // 0.00 until something fills
		o.AvgPrice = Rupees{}
	}
	if o.Updated.IsZero() {
		o.Updated = r.at(orderUpdated)
	}
	if o.Updated.IsZero() {
		o.Updated = r.at(orderStamp)
	}
	o.Unread, o.Raw = r.unreadKeys(orderLayout), r.raw
	return o
}

// segment reads a market by any of its names.
func (r *row) segment(column int) Segment {
	text := r.text(column)
	switch s := Segment(text); s {
	case NSE, NFO, BSE, BFO, MCX, CDS, "":
		return s
	}
	if s, err := ParseSegment(text); err == nil {
		return s
	}
	return Segment(text)
}

// side reads a side, which may be written out.
func (r *row) side(column int) Side {
	text := r.text(column)
	switch {
	case strings.EqualFold(text, "B"), strings.EqualFold(text, "buy"):
		return SideBuy
	case strings.EqualFold(text, "S"), strings.EqualFold(text, "sell"):
		return SideSell
	}
	return Side(text)
}

// factor reads a factor of an amount: none, 0 and -1 mean 1.
func (r *row) factor(column int) int64 {
	if n := r.count(column); n != 0 && n != -1 {
		return n
	}
	return 1
}

// Columns of a trade.
const (
	tradeOrder = iota
	tradeExchange
	tradeID
	tradeTag
	tradeSegment
	tradeToken
	tradeSymbol
	tradeSide
	tradeProduct
	tradePriceType
	tradeQuantity
	tradePrice
	tradeAt
	tradeDay
	tradeClock
)

var tradeLayout = newLayout([]string{
	tradeOrder: "nOrdNo", tradeExchange: "exOrdId", tradeID: "flId", tradeTag: "GuiOrdId", tradeSegment: "exSeg", tradeToken: "tok",
	tradeSymbol: "trdSym", tradeSide: "trnsTp", tradeProduct: "prod", tradePriceType: "prcTp", tradeQuantity: "fldQty",
	tradePrice: "avgPrc", tradeAt: "exTm", tradeDay: "flDt", tradeClock: "flTm",
})

func decodeTrade(r *row) Trade {
	t := Trade{
		OrderNumber: r.text(tradeOrder), ExchangeNumber: r.text(tradeExchange), ID: r.text(tradeID), Tag: r.text(tradeTag),
		Segment: r.segment(tradeSegment), Token: r.text(tradeToken), Symbol: r.text(tradeSymbol),
		Side: r.side(tradeSide), Product: Product(r.text(tradeProduct)), PriceType: PriceType(r.text(tradePriceType)),
		Quantity: r.quantity(tradeQuantity), Price: r.rupees(tradePrice), At: r.at(tradeAt), Raw: r.raw,
	}
	if t.At.IsZero() {
		if seconds, ok := parseTime(r.text(tradeDay) + " " + r.text(tradeClock)); ok {
			t.At = unix(seconds, 0)
		}
	}
	t.Unread = r.unreadKeys(tradeLayout)
	return t
}

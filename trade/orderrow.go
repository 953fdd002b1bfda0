package trade

import (
	"strings"
	"time"
)

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
	orderRemark
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
	orderState: "ordSt", orderReason: "rejRsn", orderRemark: "rmk", orderEntered: "ordEntTm", orderConfirmed: "exCfmTm", orderUpdated: "ordDtTm",
	orderStamp: "hsUpTm", orderReceived: "updRecvTm",
})

// decodeOrder sets every field of an order, one by one: a copy of it would cost a tenth of
// the time.
func decodeOrder(r *row, o *Order) {
	o.Sent = time.Time{}
	o.Number, o.ExchangeNumber, o.Tag = r.text(orderNumber), r.text(orderExchange), r.text(orderTag)
	if o.ExchangeNumber == "" { // in histories
		o.ExchangeNumber = r.text(orderExchangeOld)
	}
	o.Segment, o.Token, o.Symbol = r.segment(orderSegment), r.text(orderToken), r.text(orderSymbol)
	o.Name, o.Series = r.text(orderName), r.text(orderSeries)
	o.Side, o.Product = r.side(orderSide), Product(r.text(orderProduct))
	o.PriceType, o.Validity = PriceType(r.text(orderPriceType)), Validity(r.text(orderValidity))
	o.Price, o.Trigger = r.rupees(orderPrice), r.rupees(orderTrigger)
	o.Quantity, o.FilledQty = r.quantity(orderQuantity), r.quantity(orderFilled)
	o.PendingQty, o.CancelledQty, o.DisclosedQty = r.count(orderPending), r.count(orderCancelled), r.count(orderDisclosed)
	if o.AvgPrice = r.rupees(orderAverage); o.FilledQty == 0 && o.AvgPrice.Sign() == 0 { // 0.00 until something fills
		o.AvgPrice = Rupees{}
	}
	o.State, o.Reason = State(r.text(orderState)), r.text(orderReason)
	if o.Reason == "" && o.State == Cancelled {
		o.Reason = r.text(orderRemark)
	}
	o.Entered, o.Confirmed = r.at(orderEntered), r.at(orderConfirmed)
	o.Sequence = r.count(orderReceived)
	o.Updated = r.firstOf(orderReceived, orderUpdated, orderStamp)
	o.Raw, o.Unread = r.raw, r.unreadKeys(orderLayout)
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

func decodeTrade(r *row, t *Trade) {
	*t = Trade{
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
}

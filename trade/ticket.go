package trade

import "fmt"

// A Ticket is an order that has not been placed: what [Buy] and [Sell] begin and
// [Client.Place] sends. It has no useful zero: side, instrument, quantity, price type and
// product have to be given. A Ticket is a value; its methods return a changed copy.
type Ticket struct {
	instrument Instrument
	side       Side
	quantity   int64
	kind       PriceType
	price      Rupees
	trigger    Rupees
	product    Product
	validity   Validity // "" is Day
	disclosed  int64
	protection int64 // whole per cent; 0 leaves it to the service
	after      bool  // after market
	tag        Tag
	anyway     bool // send an SL-M although the service rejects it
	closes     bool // a position, whose report need not have all of its instrument
}

// Buy begins an order to buy a quantity of an instrument. Quantity counts units in every
// segment but mcx_fo, where it has to be a multiple of the lot as well.
func Buy(i Instrument, quantity int64) Ticket {
	return Ticket{instrument: i, side: SideBuy, quantity: quantity}
}

// Sell begins an order to sell.
func Sell(i Instrument, quantity int64) Ticket {
	return Ticket{instrument: i, side: SideSell, quantity: quantity}
}

// Limit makes it a limit order. A trigger that a call of Stop has set is not dropped: the
// order is refused before it is sent.
func (t Ticket) Limit(price Rupees) Ticket {
	t.kind, t.price = Limit, price
	return t
}

// Market makes it a market order: a limit order at the last price ± a protection, which
// the service chooses by its own table. What does not fill rests.
func (t Ticket) Market() Ticket {
	t.kind, t.price = Market, Rupees{}
	return t
}

// Stop makes it a stop order: when the last price reaches trigger it becomes a limit
// order at price.
func (t Ticket) Stop(trigger, price Rupees) Ticket {
	t.kind, t.price, t.trigger = StopLimit, price, trigger
	return t
}

// StopMarket makes it a stop order that becomes a market order. The service rejects those
// of programs, so the order is refused before it is sent unless [Ticket.Anyway] is called.
func (t Ticket) StopMarket(trigger Rupees) Ticket {
	t.kind, t.price, t.trigger = StopMarket, Rupees{}, trigger
	return t
}

// Anyway sends an order of type SL-M although the service is known to reject it.
func (t Ticket) Anyway() Ticket { t.anyway = true; return t }

// Product sets how the position is carried.
func (t Ticket) Product(p Product) Ticket { t.product = p; return t }

// Validity sets how long it rests; the default is [Day].
func (t Ticket) Validity(v Validity) Ticket { t.validity = v; return t }

// Tag labels the order.
func (t Ticket) Tag(tag Tag) Ticket { t.tag = tag; return t }

// Disclosed shows the market only a part of the quantity at a time. It is for shares,
// currencies and commodities, and not for stop orders.
func (t Ticket) Disclosed(quantity int64) Ticket { t.disclosed = quantity; return t }

// Protection sets a market order's protection in whole per cent; 0, the default, leaves it
// to the service's table.
func (t Ticket) Protection(percent int64) Ticket { t.protection = percent; return t }

// AfterMarket makes it an order for the next trading day, to be sent outside of hours.
func (t Ticket) AfterMarket() Ticket { t.after = true; return t }

// String describes the order in one line, such as "sell 10 TCS-EQ MIS market".
func (t Ticket) String() string {
	line := fmt.Sprintf("%s %d %s %s", t.side, t.quantity, t.instrument.Symbol, t.product)
	switch t.kind {
	case Market:
		line += " market"
	case Limit:
		line += " limit " + t.price.String()
	case StopLimit:
		line += " stop " + t.trigger.String() + " limit " + t.price.String()
	case StopMarket:
		line += " stop " + t.trigger.String() + " market"
	}
	if t.validity != "" && t.validity != Day {
		line += " " + string(t.validity)
	}
	if t.disclosed != 0 {
		line += fmt.Sprintf(", %d disclosed", t.disclosed)
	}
	if t.protection != 0 {
		line += fmt.Sprintf(", protected by %d%%", t.protection)
	}
	if t.after {
		line += ", after market"
	}
	if t.tag.label != "" {
		line += ", label " + t.tag.label
	}
	return line
}

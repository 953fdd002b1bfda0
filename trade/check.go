package trade

import (
	"context"
	"strconv"
)

// Check reports whether [Client.Place] would send an order, without sending it: nil, or
// an [*Invalid]. It asks the service nothing.
func (t *Client) Check(_ context.Context, order Ticket) error {
	if bad := t.check(&order); bad != nil {
		return bad
	}
	return nil
}

// check checks an order against its instrument and the session's generation.
func (t *Client) check(o *Ticket) *Invalid {
	if bad := o.check(); bad != nil {
		return bad
	}
	if o.product == MTF && t.api.Generation() == 1 {
		return &Invalid{Field: "product", Value: string(MTF), Problem: "needs a session of generation 3: log in by TOTP, with a consumer key", Nearest: []string{string(CNC)}}
	}
	return nil
}

// check checks an order against its instrument.
func (o *Ticket) check() *Invalid {
	if o.side != SideBuy && o.side != SideSell {
		return &Invalid{Field: "side", Value: string(o.side), Problem: missing(string(o.side)), Nearest: []string{"Buy", "Sell"}}
	}
	if bad := o.checkInstrument(); bad != nil {
		return bad
	}
	if bad := o.checkQuantity(); bad != nil {
		return bad
	}
	if bad := o.checkKind(); bad != nil {
		return bad
	}
	if bad := o.checkPrices(); bad != nil {
		return bad
	}
	if bad := o.checkProduct(); bad != nil {
		return bad
	}
	if bad := o.checkValidity(); bad != nil {
		return bad
	}
	if bad := o.checkDisclosed(); bad != nil {
		return bad
	}
	return o.tag.check()
}

func missing(value string) string {
	if value == "" {
		return "is missing"
	}
	return "is not known"
}

func (o *Ticket) checkInstrument() *Invalid {
	i := &o.instrument
	switch {
	case i.Symbol == "":
		return &Invalid{Field: "instrument", Problem: "is missing, or has no trading symbol"}
	case i.Kind == IndexKind:
		return &Invalid{Field: "instrument", Value: i.Symbol, Problem: "is an index, which cannot be ordered"}
	}
	switch i.Segment {
	case NSE, BSE, NFO, BFO, MCX, CDS:
	default:
		return &Invalid{Field: "segment", Value: string(i.Segment), Problem: missing(string(i.Segment))}
	}
	const from = ": take it from Client.Instrument"
	switch {
	case o.closes:
	case i.Token == "" && i.Lot <= 0:
		return &Invalid{Field: "instrument", Value: clip(i.Symbol), Problem: "has no token and no lot" + from}
	case i.Token == "":
		return &Invalid{Field: "instrument", Value: clip(i.Symbol), Problem: "has no token" + from}
	case i.Lot <= 0:
		return &Invalid{Field: "instrument", Value: clip(i.Symbol), Problem: "has no lot" + from}
	}
	return nil
}

func (o *Ticket) checkQuantity() *Invalid {
	q, lot := o.quantity, max(1, o.instrument.Lot)
	most := o.instrument.largest()
	if q > 0 && q%lot == 0 && (most == 0 || q <= most) {
		return nil
	}
	bad := &Invalid{Field: "quantity", Value: strconv.FormatInt(q, 10)}
	switch {
	case q == 0:
		bad.Value, bad.Problem = "", "is missing"
	case q < 0:
		bad.Problem, bad.Nearest = "is negative: Buy and Sell say which way", []string{strconv.FormatInt(lot, 10)}
	case most > 0 && q > most:
		bad.Problem = "is not below the freeze quantity " + strconv.FormatInt(o.instrument.Freeze, 10) + "; Slice cuts an order"
		bad.Nearest = []string{strconv.FormatInt(most, 10)}
	default:
		bad.Problem = "is not a multiple of the lot " + strconv.FormatInt(lot, 10)
		if q > lot {
			bad.Nearest = append(bad.Nearest, strconv.FormatInt(q-q%lot, 10))
		}
		if above := q - q%lot + lot; most == 0 || above <= most {
			bad.Nearest = append(bad.Nearest, strconv.FormatInt(above, 10))
		}
	}
	return bad
}

// largest returns the largest quantity of one order, or 0 if there is no limit. A freeze
// quantity that is not above the lot would forbid every order: it counts as none.
func (i *Instrument) largest() int64 {
	lot := max(1, i.Lot)
	if i.Freeze <= lot {
		return 0
	}
	return (i.Freeze - 1) / lot * lot
}

func (o *Ticket) checkKind() *Invalid {
	switch o.kind {
	case Limit, Market, StopLimit:
		return nil
	case StopMarket:
		if o.anyway {
			return nil
		}
		bad := &Invalid{Field: "price type", Value: string(StopMarket), Problem: "is rejected by the service from programs; an SL order does it, with a price that is beyond the trigger"}
		if limit := o.beyond(); limit.Known() {
			bad.Nearest = []string{"Stop(" + o.trigger.String() + ", " + limit.String() + ")"}
		}
		return bad
	case "":
		return &Invalid{Field: "price type", Problem: "is missing", Nearest: []string{"Limit", "Market", "Stop"}}
	}
	return &Invalid{Field: "price type", Value: string(o.kind), Problem: "is not known", Nearest: []string{"Limit", "Market", "Stop"}}
}

// beyond returns a price on the tick that is one per cent beyond the trigger.
func (o *Ticket) beyond() Rupees {
	if o.trigger.Sign() <= 0 {
		return Rupees{}
	}
	v := o.trigger.value() / 100
	if o.side == SideSell {
		v = -v
	}
	below, above := rupees(o.trigger.value() + v).Nearest(o.instrument.Tick)
	if o.side == SideSell {
		return below
	}
	return above
}

func (o *Ticket) checkPrices() *Invalid {
	stop := o.kind == StopLimit || o.kind == StopMarket
	priced := o.kind == Limit || o.kind == StopLimit
	switch {
	case priced && o.price.Sign() <= 0:
		return &Invalid{Field: "price", Value: o.price.String(), Problem: wanted(o.price) + ": an order of type " + string(o.kind) + " needs one above 0"}
	case !priced && o.price.Sign() != 0:
		return &Invalid{Field: "price", Value: o.price.String(), Problem: "does not belong to an order of type " + string(o.kind)}
	case stop && o.trigger.Sign() <= 0:
		return &Invalid{Field: "trigger", Value: o.trigger.String(), Problem: wanted(o.trigger) + ": an order of type " + string(o.kind) + " needs one above 0"}
	case !stop && o.trigger.Sign() != 0:
		return &Invalid{Field: "trigger", Value: o.trigger.String(), Problem: "does not belong to an order of type " + string(o.kind) + ": a stop order is made by Stop"}
	case o.protection != 0 && o.kind != Market:
		return &Invalid{Field: "protection", Value: strconv.FormatInt(o.protection, 10), Problem: "belongs to market orders only", Nearest: []string{"0"}}
	case o.protection < 0 || o.protection > 100:
		return &Invalid{Field: "protection", Value: strconv.FormatInt(o.protection, 10), Problem: "is not a per cent from 1 to 100, or 0 for the service's own"}
	}
	if priced {
		if bad := o.checkPrice("price", o.price); bad != nil {
			return bad
		}
	}
	if stop {
		if bad := o.checkPrice("trigger", o.trigger); bad != nil {
			return bad
		}
	}
	if o.kind == StopLimit {
		switch {
		case o.side == SideBuy && o.trigger.More(o.price):
			return &Invalid{Field: "trigger", Value: o.trigger.String(), Problem: "is above the price, and a stop that buys needs one at or below it", Nearest: []string{o.price.String()}}
		case o.side == SideSell && o.trigger.Less(o.price):
			return &Invalid{Field: "trigger", Value: o.trigger.String(), Problem: "is below the price, and a stop that sells needs one at or above it", Nearest: []string{o.price.String()}}
		}
	}
	return nil
}

func wanted(r Rupees) string {
	if r.Known() {
		return "is not above 0"
	}
	return "is missing"
}

// checkPrice checks a price above 0 against tick and band.
func (o *Ticket) checkPrice(field string, p Rupees) *Invalid {
	i := &o.instrument
	tick := i.Tick
	if tick.Sign() <= 0 {
		tick = Rupees{}
	}
	low, high, off := p.Less(i.Lower), i.Upper.Sign() > 0 && p.More(i.Upper), tick.Known() && !p.IsMultiple(tick)
	if !low && !high && !off {
		return nil
	}
	bad := &Invalid{Field: field, Value: p.String()}
	switch {
	case low:
		_, least := i.Lower.Nearest(tick)
		bad.Problem, bad.Nearest = "is below the day's price band, which begins at "+i.Lower.String(), []string{least.String()}
	case high:
		most, _ := i.Upper.Nearest(tick)
		bad.Problem, bad.Nearest = "is above the day's price band, which ends at "+i.Upper.String(), []string{most.String()}
	default:
		below, above := p.Nearest(tick)
		bad.Problem = "is not a multiple of the tick " + tick.String()
		if below.Sign() > 0 && !below.Less(i.Lower) {
			bad.Nearest = append(bad.Nearest, below.String())
		}
		if i.Upper.Sign() <= 0 || !above.More(i.Upper) {
			bad.Nearest = append(bad.Nearest, above.String())
		}
	}
	return bad
}

func (o *Ticket) checkProduct() *Invalid {
	cash := o.instrument.Segment.Cash()
	if o.product == MIS || o.product == NRML || cash && (o.product == CNC || o.product == MTF) {
		return nil
	}
	bad := &Invalid{Field: "product", Value: string(o.product)}
	switch o.product {
	case CNC, MTF:
		bad.Problem, bad.Nearest = "is for shares, and "+o.instrument.Symbol+" is a contract", []string{string(NRML), string(MIS)}
	case Cover, Bracket:
		bad.Problem = "is discontinued: place the stop as an order of its own"
	default:
		bad.Problem, bad.Nearest = missing(string(o.product)), []string{string(NRML), string(MIS)}
		if cash {
			bad.Nearest = []string{string(CNC), string(MIS)}
		}
	}
	return bad
}

func (o *Ticket) checkValidity() *Invalid {
	if o.validity == "" || o.validity == Day {
		return nil
	}
	bad := &Invalid{Field: "validity", Value: string(o.validity), Nearest: []string{string(Day)}}
	switch {
	case o.validity != IOC:
		bad.Problem = "is not known"
		bad.Nearest = append(bad.Nearest, string(IOC))
	case o.instrument.Segment == MCX:
		bad.Problem = "is not offered for commodities"
	case o.kind == StopLimit || o.kind == StopMarket:
		bad.Problem = "is not offered for stop orders"
	case o.after:
		bad.Problem = "is not offered after the market's hours"
	default:
		return nil
	}
	return bad
}

func (o *Ticket) checkDisclosed() *Invalid {
	if o.disclosed == 0 {
		return nil
	}
	bad := &Invalid{Field: "disclosed quantity", Value: strconv.FormatInt(o.disclosed, 10), Nearest: []string{"0"}}
	lot := max(1, o.instrument.Lot)
	switch {
	case o.disclosed < 0:
		bad.Problem = "is negative"
	case o.kind == StopLimit || o.kind == StopMarket:
		bad.Problem = "is not allowed for stop orders"
	case o.validity == IOC:
		bad.Problem = "is not allowed for orders of validity IOC"
	case o.instrument.Segment == NFO || o.instrument.Segment == BFO:
		bad.Problem = "is not allowed for futures and options"
	case o.disclosed > o.quantity:
		bad.Problem, bad.Nearest = "is more than the quantity", []string{strconv.FormatInt(o.quantity, 10)}
	case o.disclosed%lot != 0:
		bad.Problem, bad.Nearest = "is not a multiple of the lot "+strconv.FormatInt(lot, 10), []string{strconv.FormatInt(o.disclosed-o.disclosed%lot+lot, 10)}
	default:
		return nil
	}
	return bad
}

// FiresAt reports whether a stop order would become a limit order at once if the last
// price is last: the service takes such an order, and whoever wrote it rarely means it.
func (o Ticket) FiresAt(last Rupees) bool {
	if o.kind != StopLimit && o.kind != StopMarket || last.Sign() <= 0 || o.trigger.Sign() <= 0 {
		return false
	}
	if o.side == SideBuy {
		return !last.Less(o.trigger)
	}
	return !last.More(o.trigger)
}

// Slice cuts an order at its instrument's freeze quantity into orders that the exchange
// takes: as large as possible, each a multiple of the lot. An order that needs no cut is
// returned as it is. Of an order with a [DayTag] the second slice has the label and -2,
// and so on, because each label is one order a day.
func Slice(order Ticket) []Ticket {
	most := order.instrument.largest()
	if most == 0 || order.quantity <= most || order.quantity/most > maxSlices {
		return []Ticket{order}
	}
	slices := make([]Ticket, 0, order.quantity/most+1)
	for left := order.quantity; left > 0; left -= most {
		next := order
		next.quantity = min(left, most)
		next.disclosed = min(order.disclosed, next.quantity)
		if n := len(slices); n > 0 && order.tag.day {
			next.tag.label += "-" + strconv.Itoa(n+1)
		}
		slices = append(slices, next)
	}
	return slices
}

// maxSlices is more orders than anybody can place in a day.
const maxSlices = 100_000

package paper

import (
	"fmt"

	"neoapi/internal/paper/listing"
)

// check applies the rules of broker and exchange, in the order in which an order meets
// them, money apart. It returns why the order is rejected, or "".
func (x *Exchange) check(in *instrument, t *terms) string {
	x.bandOf(in)
	if text := checkProduct(in, t); text != "" {
		return text
	}
	if text := x.checkKind(in, t); text != "" {
		return text
	}
	if in.MaxOrder > 0 && t.quantity > in.MaxOrder {
		return fmt.Sprintf("RMS:Rule: Check freeze quantity, Order Quantity:%d is greater than Freeze Quantity:%d", t.quantity, in.MaxOrder)
	}
	if t.kind == Limit || t.kind == Stop {
		if text := checkPrice(in, "Order", t.price); text != "" {
			return text
		}
	}
	if t.kind == Limit && x.beyond(in, t.side, t.price) {
		return "17070 : The price is out of the current execution range  "
	}
	if t.trigger > 0 {
		if text := checkPrice(in, "Trigger", t.trigger); text != "" {
			return text
		}
	}
	if t.kind == Stop {
		if text := x.checkGap(in, t); text != "" {
			return text
		}
	}
	return x.checkDisclosed(in, t)
}

func checkProduct(in *instrument, t *terms) string {
	allowed := true
	switch t.product {
	case CNC:
		allowed = in.Delivery()
	case MTF:
		allowed = in.Funded()
	case MIS, Cover, Bracket:
		allowed = in.Intraday()
	}
	if !allowed {
		return fmt.Sprintf("RMS:Rule: Check product, product type is not allowed for %s %s", in.Segment, in.Name)
	}
	return ""
}

func (x *Exchange) checkKind(in *instrument, t *terms) string {
	switch {
	case t.kind == StopMarket && (!x.cfg.StopMarket || !in.StopMarket()):
		return "Market order with Algo Id not allowed"
	case t.validity == IOC && !in.Immediate():
		return "RMS:Rule: IOC is not allowed for " + in.Segment.String()
	case t.validity == IOC && (t.kind == Stop || t.kind == StopMarket):
		return "16329 : IOC is not allowed for stop loss orders  "
	case t.amo && in.Expiry == x.date:
		return "RMS:Rule: the contract expires before the order goes in"
	case t.validity == IOC && t.amo:
		return "RMS:Rule: IOC is not allowed after market hours"
	}
	return ""
}

// checkPrice checks a price against tick and band.
func checkPrice(in *instrument, what string, p listing.Price) string {
	if !in.OnTick(p) {
		return "16283 : " + what + " price is not a multiple of tick size  "
	}
	if p < in.low || p > in.high {
		return fmt.Sprintf("RMS:Rule: Check circuit limit including square off order exceeds  : Circuit breach, %s Price :%s, Low Price Range:%s High Price Range:%s", what, p, in.low, in.high)
	}
	return ""
}

// checkGap checks a stop's limit against its trigger.
func (x *Exchange) checkGap(in *instrument, t *terms) string {
	gap := t.price - t.trigger
	if t.side == Sell {
		gap = -gap
	}
	if gap < 0 {
		return fmt.Sprintf("RMS:Rule: Trigger price %s is beyond the limit price %s", t.trigger, t.price)
	}
	if d, ok := in.StopGap(x.date, t.trigger); ok && gap > d {
		return fmt.Sprintf("RMS:Rule: Limit price %s is more than %s from the trigger price %s", t.price, d, t.trigger)
	}
	return ""
}

func (x *Exchange) checkDisclosed(in *instrument, t *terms) string {
	if t.disclosed == 0 || t.disclosed == t.quantity {
		return ""
	}
	switch least, ok := in.Disclosable(t.quantity); {
	case !ok:
		return "RMS:Rule: Disclosed quantity is not allowed for " + in.Segment.String()
	case t.validity == IOC:
		return "RMS:Rule: Disclosed quantity is not allowed for IOC"
	case t.kind == Stop || t.kind == StopMarket:
		return "RMS:Rule: Disclosed quantity is not allowed for stop loss orders"
	case t.disclosed%in.Lot != 0:
		return "RMS:Rule: Disclosed quantity is not a multiple of the lot"
	case t.disclosed < least:
		return fmt.Sprintf("RMS:Rule: Disclosed quantity %d is too small a part of the quantity %d", t.disclosed, t.quantity)
	}
	return ""
}

// beyond reports whether a limit is further on the wrong side of the last price than the
// exchange lets in (limit price protection).
func (x *Exchange) beyond(in *instrument, side Side, p listing.Price) bool {
	if !in.protected {
		return false
	}
	low, high, _ := in.Aggressive(x.date, x.look(in))
	return side == Buy && p > high || side == Sell && p < low
}

// protected returns the limit of a market order, inside the band.
func (x *Exchange) protected(in *instrument, s Side, last listing.Price, percent int) listing.Price {
	p := in.Protected(x.date, last, s == Buy, percent)
	return max(in.low, min(in.high, p))
}

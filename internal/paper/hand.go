package paper

import (
	"strconv"
	"time"

	"neoapi/internal/paper/listing"
)

// hand is what somebody does to the market by hand.
type hand struct {
	kind     handKind
	key      listing.Key
	price    listing.Price // of a band: its low end
	high     listing.Price
	quantity int64
}

type handKind uint8

const (
	handSet handKind = iota + 1
	handPrint
	handHalt
	handResume
	handBand
	handGap
	handRelease
)

// SetPrice prints one lot at a price, moves the market there, fills what it goes
// through, and holds the price until [Exchange.Release].
func (x *Exchange) SetPrice(now time.Time, key listing.Key, p listing.Price) *Refusal {
	return x.byHand(now, hand{kind: handSet, key: key, price: p})
}

// Print makes a trade of the market at a price.
func (x *Exchange) Print(now time.Time, key listing.Key, p listing.Price, quantity int64) *Refusal {
	return x.byHand(now, hand{kind: handPrint, key: key, price: p, quantity: quantity})
}

// Halt stops matching in an instrument, or lets it go on.
func (x *Exchange) Halt(now time.Time, key listing.Key, halted bool) *Refusal {
	if halted {
		return x.byHand(now, hand{kind: handHalt, key: key})
	}
	return x.byHand(now, hand{kind: handResume, key: key})
}

// SetBand sets an instrument's price band of the day. What rests outside it is cancelled.
func (x *Exchange) SetBand(now time.Time, key listing.Key, low, high listing.Price) *Refusal {
	return x.byHand(now, hand{kind: handBand, key: key, price: low, high: high})
}

// Gap moves the market to a price without trades between: stops fire at the new price.
func (x *Exchange) Gap(now time.Time, key listing.Key, p listing.Price) *Refusal {
	return x.byHand(now, hand{kind: handGap, key: key, price: p})
}

// Release lets an instrument's price move again by itself; a zero key, all of them.
func (x *Exchange) Release(now time.Time, key listing.Key) {
	x.byHand(now, hand{kind: handRelease, key: key})
}

// byHand checks and does it.
func (x *Exchange) byHand(now time.Time, h hand) *Refusal {
	x.Run(now)
	in := x.find(h.key)
	if in == nil && !(h.kind == handRelease && h.key == listing.Key{}) {
		return invalid("symbol", "please provide valid instrument")
	}
	if r := x.screenHand(in, &h); r != nil {
		return r
	}
	if r := x.logHand(&h); r != nil {
		return r
	}
	for _, i := range x.instruments {
		if i.ownLast != 0 {
			x.look(i) // before the tape becomes another one
		}
	}
	switch h.kind {
	case handRelease:
		x.letGo(in)
	case handHalt:
		in.halted = true
	case handResume:
		x.resume(in)
	case handBand:
		x.moveBand(in, h.price, h.high)
	case handPrint:
		x.market.Record(in.Instrument, at(x.now), h.price, h.quantity)
		x.print(in, h.price, h.quantity)
	case handSet:
		x.move(in, h.price, true)
	case handGap:
		x.move(in, h.price, false)
	}
	return nil
}

func (x *Exchange) screenHand(in *instrument, h *hand) *Refusal {
	switch h.kind {
	case handSet, handPrint, handGap:
		x.look(in)
		if in.replayed && h.kind != handPrint {
			return invalid("symbol", "has the prices of a recording, which are not set by hand")
		}
		if h.price <= 0 || h.price > maxPrice || h.price%in.Tick != 0 {
			return invalid("price", "must be a multiple of the tick "+in.Tick.String())
		}
		if in.Kind != listing.Index && (h.price < in.low || h.price > in.high) {
			return invalid("price", "must be within the day's band, "+in.low.String()+" to "+in.high.String()+": set the band first")
		}
		if h.kind == handPrint && in.Kind == listing.Index {
			return invalid("symbol", "is an index, in which nobody trades: set its price")
		}
		if h.kind == handPrint && (h.quantity <= 0 || h.quantity > maxQuantity || h.quantity%in.Lot != 0) {
			return invalid("quantity", "must be a multiple of the lot "+strconv.FormatInt(in.Lot, 10))
		}
		if in.halted {
			return invalid("symbol", "is halted: end that with run")
		}
	case handBand:
		if in.Kind == listing.Index {
			return invalid("symbol", "is an index, which has no band")
		}
		if h.price <= 0 || h.price >= h.high || h.high > maxPrice || h.price%in.Tick != 0 || h.high%in.Tick != 0 {
			return invalid("low", "must be below high, and both multiples of the tick "+in.Tick.String())
		}
	case handHalt, handResume, handRelease:
	default:
		return invalid("set", "please provide what to set")
	}
	return nil
}

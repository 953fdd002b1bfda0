package paper

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"neoapi/internal/paper/book"
	"neoapi/internal/paper/listing"
)

// order is an order as it is kept: small, because a day may have a million. What reports
// show is made from it and its rows when somebody asks.
type order struct {
	number           Number
	price, trigger   listing.Price
	quantity, filled int64
	amount           listing.Price // of what has filled
	rowAt            int64         // when its last row was made
	account          uint32
	instrument       uint32
	ref              book.Ref // in the book; 0 if it does not rest there
	next             uint32   // the account's next order
	last             uint32   // row
	tag              uint32   // where it begins in tags
	extra            uint32   // what few orders have
	tagLen           uint8
	source           uint8
	kind             PriceType
	product          Product
	state            State
	modified         uint8 // accepted changes
	flags            flags
}

// flags are what is true of an order.
type flags uint16

const (
	sells     flags = 1 << iota
	immediate       // IOC
	market          // it came as a market order
	amo             // it came after market hours
	entered         // it has been at the exchange
	waiting         // it is a stop that has not been triggered
	blocked         // the ledger holds its money
	changing        // a change of it is under way
	leaving         // a cancellation of it is under way
	stuck           // it never gets to the exchange
	exited          // Exit was called for it
	free            // its money is not blocked
)

func (o *order) side() Side {
	if o.flags&sells != 0 {
		return Sell
	}
	return Buy
}

func (o *order) validity() Validity {
	if o.flags&immediate != 0 {
		return IOC
	}
	return Day
}

func (o *order) final() bool { return o.state.Final() }

// Final reports whether an order in the state cannot change any more.
func (s State) Final() bool {
	return s == Complete || s == Cancelled || s == Rejected || s == CancelledAfterMarket
}

// extra is what few orders have.
type extra struct {
	disclosed  int64
	protection int
	stop       listing.Price // distances of a cover or bracket order's legs
	target     listing.Price
	trail      listing.Price
	cover      listing.Price // of a cover order: its stop's trigger
	parent     uint32        // of a leg: its entry
	sibling    uint32        // of a leg: the other one
	best       listing.Price // of a trailing stop: the best price seen
	legs       uint32        // of an entry: the legs of its last fill; they are chained by older
	older      uint32        // of a leg: the leg before it
	versions   uint32        // how the order was before its last change
	parts      int           // of a fault: how many fills it takes
	rejection  uint32        // of a fault: the text
}

// version is how an order was before a change.
type version struct {
	price, trigger      listing.Price
	quantity, disclosed int64
	before              uint32
	kind                PriceType
	validity            Validity
}

// row is a row of an order's history: when, the state, and the number of changes accepted
// before it; and in arg, what it refers to and of which kind that is.
type row struct {
	bits   uint64
	before uint32
	arg    uint32
}

type argument uint8

const (
	noArgument     argument = iota
	fillArgument            // a trade
	reasonArgument          // a text
	remarkArgument          // a text
)

const (
	rowTimeBits = 52 // microseconds since the epoch: 142 years
	rowArgBits  = 30
	maxModified = 127
)

// epoch is where times of rows begin. No clock that can be set is outside of what
// follows: years from 2000 to 2100.
var epoch = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (r *row) at() int64          { return int64(r.bits&(1<<rowTimeBits-1)) + epoch }
func (r *row) state() State       { return State(r.bits >> rowTimeBits & 31) }
func (r *row) version() uint8     { return uint8(r.bits >> (rowTimeBits + 5)) }
func (r *row) argument() argument { return argument(r.arg >> rowArgBits) }
func (r *row) index() uint32      { return r.arg & (1<<rowArgBits - 1) }

func (r *row) refer(a argument, index uint32) { r.arg = uint32(a)<<rowArgBits | index }

// fill is a trade of an order.
type fill struct {
	order, next uint32 // next: of the account
	price       listing.Price
	quantity    int64
	at          int64
}

// row adds a row to an order's history. Times of one order's rows differ, so that they
// can be sorted by them.
func (x *Exchange) row(i uint32, s State) { x.rowWith(i, s, noArgument, 0) }

func (x *Exchange) rowWith(i uint32, s State, a argument, arg uint32) {
	o := x.orders.at(i)
	r, k := x.rows.add()
	at := max(x.now, o.rowAt+1)
	r.before = o.last
	o.last, o.rowAt, o.state = k, at, s
	r.bits = uint64(at-epoch) | uint64(s)<<rowTimeBits | uint64(o.modified)<<(rowTimeBits+5)
	r.refer(a, arg)
	x.events.add(event{order: i, row: k})
}

// text keeps a text and returns its index. The texts of the exchange are few.
func (x *Exchange) text(s string) uint32 {
	if s == "" {
		return 0
	}
	if n := len(x.texts); n > 0 && x.texts[n-1] == s {
		return uint32(n)
	}
	x.texts = append(x.texts, s)
	return uint32(len(x.texts))
}

func (x *Exchange) textAt(i uint32) string {
	if i == 0 {
		return ""
	}
	return x.texts[i-1]
}

// rare returns an order's extra, which it then has.
func (x *Exchange) rare(o *order) *extra {
	if o.extra == 0 {
		_, o.extra = x.extras.add()
	}
	return x.extras.at(o.extra)
}

func (x *Exchange) disclosed(o *order) int64 {
	if o.extra == 0 {
		return 0
	}
	return x.extras.at(o.extra).disclosed
}

// rowsOf returns an order's rows up to the row last, oldest first.
func (x *Exchange) rowsOf(o *order, last uint32, all []uint32) []uint32 {
	for k := last; k != 0; k = x.rows.at(k).before {
		all = append(all, k)
	}
	slices.Reverse(all)
	return all
}

// history calls f with each row of an order's history up to the row last, or with that
// one alone.
func (x *Exchange) history(i, last uint32, each bool, f func(Order)) {
	o := x.orders.at(i)
	in := x.instruments[o.instrument]
	var few [16]uint32
	rows := x.rowsOf(o, last, few[:0])
	out := Order{
		Number: o.number, Account: x.accounts[o.account].name, Instrument: in.Instrument,
		Side: o.side(), Product: o.product, AfterHours: o.flags&amo != 0,
		Source: x.sources[o.source], Placed: at(x.rows.at(rows[0]).at()), FirstTag: x.tagOf(o),
	}
	var all [1]version
	versions := x.versionsOf(o, all[:0])
	modified, cancelled := int64(0), int64(0) // when the tag was replaced
	for _, k := range rows {
		r := x.rows.at(k)
		v := &versions[min(int(r.version()), len(versions)-1)]
		out.Type, out.Validity, out.Price, out.Trigger, out.Quantity, out.Disclosed = v.kind, v.validity, v.price, v.trigger, v.quantity, v.disclosed
		out.State, out.Modified, out.Entered = r.state(), int(r.version()), at(r.at())
		out.Reason, out.Remark = "", ""
		switch r.argument() {
		case fillArgument:
			f := x.fills.at(r.index())
			out.Filled += f.quantity
			out.FilledAmount += f.price * listing.Price(f.quantity)
		case reasonArgument:
			out.Reason = x.textAt(r.index())
		case remarkArgument:
			out.Remark = x.textAt(r.index())
		}
		out.Cancelled = 0
		switch out.State {
		case PutReceived, ValidationPending, AfterMarketReceived:
			if o.flags&market != 0 && out.Modified == 0 {
				out.Type, out.Price = Market, 0
			}
		case Open, TriggerPending:
			if out.Confirmed.IsZero() {
				out.Confirmed = out.Entered
			}
		case Modified:
			modified = r.at()
		case Cancelled, CancelledAfterMarket:
			out.Cancelled = out.Quantity - out.Filled
			if out.Remark == "" {
				cancelled = r.at()
			}
		}
		if each || k == last {
			out.Exchange = ""
			if !out.Confirmed.IsZero() {
				out.Exchange = exchangeNumber(in.Segment, o.number)
			}
			out.Tag = x.tagNow(&out, modified, cancelled)
			f(out)
		}
	}
}

// tagNow returns how an order's tag reads once it was changed or cancelled, at times
// that are 0 if it was not.
func (x *Exchange) tagNow(o *Order, modified, cancelled int64) string {
	tag := o.FirstTag
	switch {
	case modified > 0:
		tag = strconv.FormatInt(modified/1_000_000, 10) + "-" + strconv.FormatUint(uint64(o.Number), 10) + "-" + o.Account + "-ADMINAPI"
	case tag == "":
		tag = o.Account + "-" + pseudoUUID(x.cfg.Seed, uint64(o.Number))
	}
	if cancelled > 0 {
		tag += "-" + strconv.FormatInt(cancelled/1_000_000, 10)
	}
	return tag
}

// versionsOf returns how an order was after each of its changes, in all if there is room.
func (x *Exchange) versionsOf(o *order, all []version) []version {
	all = slices.Grow(all, int(o.modified)+1)[:int(o.modified)+1]
	all[o.modified] = version{price: o.price, trigger: o.trigger, quantity: o.quantity, disclosed: x.disclosed(o), kind: o.kind, validity: o.validity()}
	if o.modified > 0 {
		v := x.extras.at(o.extra).versions
		for n := int(o.modified) - 1; n >= 0; n-- {
			all[n] = *x.versions.at(v)
			v = all[n].before
		}
	}
	return all
}

// asIs returns an order as its last row has it.
func (x *Exchange) asIs(i uint32) (out Order) { return x.asOf(i, x.orders.at(i).last) }

func (x *Exchange) asOf(i, row uint32) (out Order) {
	x.history(i, row, false, func(o Order) { out = o })
	return out
}

func (x *Exchange) tradeOf(k uint32) Trade {
	f := x.fills.at(k)
	o := x.orders.at(f.order)
	in := x.instruments[o.instrument]
	kind := o.kind
	return Trade{
		Order: o.number, Exchange: exchangeNumber(in.Segment, o.number), ID: x.tradeID(k),
		Instrument: in.Instrument, Account: x.accounts[o.account].name, Side: o.side(), Product: o.product, Type: kind,
		Price: f.price, Quantity: f.quantity, Tag: x.shownTag(o), At: at(f.at),
	}
}

// tradeID numbers trades: day and running number.
func (x *Exchange) tradeID(k uint32) uint64 { return uint64(x.prefix)%1_000_000*10_000_000 + uint64(k) }

// exchangeNumber returns the exchange's number of an order: its exchange, then our own.
func exchangeNumber(s listing.Segment, n Number) string {
	return strconv.FormatUint(uint64(s)*1_000_000_000_000_000+uint64(n), 10)
}

func at(micro int64) time.Time { return time.UnixMicro(micro).In(listing.India) }

// mix scatters a number's bits.
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

func pseudoUUID(seed, n uint64) string {
	a, b := mix(seed^mix(n)), mix(seed+mix(n^0xa5a5))
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

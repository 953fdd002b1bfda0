// Package recording is the form in which a market feed is written down: what came of
// each instrument, with the times at which it came and those that the exchange gives.
// Package feed writes it, the exchange on paper replays it.
//
// A recording is a first line and then blocks. A block is a mark, its length, a checksum
// and records: each instrument once, before its first quote; quotes as what changed since
// the one before; gaps; the market's status; and the end. So a recording can be read while
// it is written, a block that was cut off at the end is left out, and a block that was
// damaged is an error with its place. Kinds of records that a reader does not know it
// leaves out.
//
// Start with [Encoder] and [Reader]. docs/recording.md describes the form.
package recording

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// first begins every recording; the number is the form's version.
const first = "neoapi recording 1\n"

const (
	mark     = 0xb5
	maxBlock = 1 << 20 // bytes of a block's records

	// mostInstruments is how many a reader takes, which needs 1.2 KB for each: a feed has
	// 3,000 at once.
	mostInstruments = 1 << 17

	spare = 2 << 10 // room that any record but an instrument's fits in
)

// A record of a block begins with 0 and its kind, its length and its content; or, of a
// quote, with the number of its instrument, from 1.
const (
	kindStart = iota + 1
	kindInstrument
	kindGap
	kindStatus
	kindEnd
)

// A Start is what a recording begins with. It has nothing secret.
type Start struct {
	Service string    `json:"service,omitempty"` // whose feed it was
	At      time.Time `json:"at"`                // when the recording began
}

// An Instrument is what a recording says of an instrument. Prices are in ten-millionths of
// a rupee, 0 if unknown; what is 0 or "" was not known.
type Instrument struct {
	Segment string `json:"segment"` // its name on the wire, such as nse_cm
	Token   uint32 `json:"token"`
	Symbol  string `json:"symbol"`         // the trading symbol; of an index its name in quotes
	Name    string `json:"name,omitempty"` // the underlying's
	Company string `json:"company,omitempty"`
	ISIN    string `json:"isin,omitempty"`
	Series  string `json:"series,omitempty"`
	Kind    string `json:"kind"`             // share, index, future, call or put
	Expiry  string `json:"expiry,omitempty"` // such as 2026-09-29
	Strike  int64  `json:"strike,omitempty"`
	Lot     int64  `json:"lot,omitempty"`
	Tick    int64  `json:"tick,omitempty"`
	Freeze  int64  `json:"freeze,omitempty"` // the first quantity that is refused
	Lower   int64  `json:"lower,omitempty"`  // the day's band
	Upper   int64  `json:"upper,omitempty"`

	Precision  int   `json:"precision,omitempty"`
	Multiplier int64 `json:"multiplier,omitempty"`
	GenNum     int64 `json:"genNum,omitempty"`
	GenDen     int64 `json:"genDen,omitempty"`
	PriceNum   int64 `json:"priceNum,omitempty"`
	PriceDen   int64 `json:"priceDen,omitempty"`
}

// Rupee is a price of one rupee.
const Rupee = 10_000_000

// A Field is a part of a quote.
type Field uint8

// The fields. Those that change most often come first. Times are in microseconds since
// 1970, prices in ten-millionths of a rupee.
const (
	At     Field = iota // of the exchange
	LastAt              // of the last trade
	Last
	LastQty
	Volume
	Average
	TotalBuy
	TotalSell
	levels // price and quantity of the best bid, of the best offer, of the second bid, …
)

// Depth is how many bids and offers a recording has at most.
const Depth = 5

// The fields that change less often.
const (
	orders Field = levels + 4*Depth + iota // of the best bid, of the best offer, of the second bid, …
	_
	_
	_
	_
	_
	_
	_
	_
	_
	Open
	High
	Low
	PrevClose
	OpenInterest
	Upper
	Lower
	YearHigh
	YearLow
	IndicativeClose
	fields
)

// BidPrice and the like return the field of a level, from 0.
func BidPrice(level int) Field { return levels + 4*Field(level) }

// BidQty returns the field of a bid's quantity.
func BidQty(level int) Field { return BidPrice(level) + 1 }

// AskPrice returns the field of an offer's price.
func AskPrice(level int) Field { return BidPrice(level) + 2 }

// AskQty returns the field of an offer's quantity.
func AskQty(level int) Field { return BidPrice(level) + 3 }

// BidOrders returns the field of how many orders a bid is.
func BidOrders(level int) Field { return orders + 2*Field(level) }

// AskOrders returns the field of how many orders an offer is.
func AskOrders(level int) Field { return BidOrders(level) + 1 }

// A Set is a set of fields.
type Set uint64

// Has reports whether the set has a field.
func (s Set) Has(f Field) bool { return s>>f&1 != 0 }

// A Quote is the picture of an instrument. What is not in Known was never sent. A level
// that is known and has no quantity is not there.
type Quote struct {
	Known Set
	Value [fields]int64
}

// Set sets a field.
func (q *Quote) Set(f Field, v int64) {
	q.Known |= 1 << f
	q.Value[f] = v
}

// Get returns a field, and whether it is known.
func (q *Quote) Get(f Field) (v int64, known bool) { return q.Value[f], q.Known.Has(f) }

// units are what a field's change is mostly a multiple of, and what else it is: a change
// in units is shorter.
type units struct{ usual, other int64 }

// unitsOf returns the units of each field of an instrument.
func unitsOf(i *Instrument) (u [fields]units) {
	const paise = Rupee / 100
	for f := range u {
		switch f := Field(f); {
		case f.Time():
			u[f] = units{1_000_000, 1_000}
		case f == Average:
			u[f] = units{paise, paise}
		case f.Price():
			u[f] = units{max(i.Tick, 1), paise}
		case f >= orders && f < Open:
			u[f] = units{1, 1}
		default:
			u[f] = units{max(i.Lot, 1), 1}
		}
	}
	return u
}

// Time reports whether a field is a time.
func (f Field) Time() bool { return f == At || f == LastAt }

// Price reports whether a field is a price.
func (f Field) Price() bool {
	switch {
	case f >= levels && f < orders:
		return (f-levels)%2 == 0
	case f >= orders && f < Open:
		return false
	}
	return f == Last || f == Average || f >= Open && f != OpenInterest
}

// appendChange appends what is different in a quote. One that has lost fields begins
// anew: its set of changes has a field that there is none of.
func appendChange(b []byte, u *[fields]units, old, q *Quote) []byte {
	anew := old.Known&^q.Known != 0
	if anew {
		*old = Quote{}
	}
	changed := q.Known &^ old.Known
	for s := q.Known & old.Known; s != 0; s &= s - 1 {
		if f := bits.TrailingZeros64(uint64(s)); q.Value[f] != old.Value[f] {
			changed |= 1 << f
		}
	}
	head := uint64(changed) << 1
	if anew {
		head |= 1
	}
	b = appendUint(b, head)
	for s := changed; s != 0; s &= s - 1 {
		f := bits.TrailingZeros64(uint64(s))
		v := q.Value[f]
		if !fits(v) {
			v = 0
		}
		b = appendDelta(b, &u[f], v-old.Value[f])
		old.Value[f] = v
	}
	old.Known = q.Known
	return b
}

// fits reports whether a value can be written: there is no such price or quantity
// otherwise.
func fits(v int64) bool { return v > -1<<60 && v < 1<<60 }

// appendDelta appends a number as a multiple of the first of the units that it is one of.
func appendDelta(b []byte, u *units, d int64) []byte {
	switch {
	case u.usual == 1:
		return appendUint(b, zigzag(d)<<1)
	case d%u.usual == 0:
		return appendUint(b, zigzag(d/u.usual)<<1)
	case u.other > 1 && d%u.other == 0:
		return appendUint(b, zigzag(d/u.other)<<2|1)
	default:
		return appendUint(b, zigzag(d)<<2|3)
	}
}

// delta undoes appendDelta.
func (u *units) delta(v uint64) int64 {
	switch {
	case v&1 == 0:
		return unzigzag(v>>1) * u.usual
	case v&3 == 1:
		return unzigzag(v>>2) * u.other
	default:
		return unzigzag(v >> 2)
	}
}

// AppendQuote appends what is different in a quote from one before it, for
// [Quote.Change].
func AppendQuote(b []byte, before, q *Quote) []byte {
	old := *before
	return appendChange(b, &plain, &old, q)
}

var plain = func() (u [fields]units) {
	for f := range u {
		u[f] = units{1, 1}
	}
	return u
}()

// Change makes the quote what it is after a change, and returns what follows it; false if
// it is none.
func (q *Quote) Change(b []byte) (rest []byte, ok bool) { return q.change(b, &plain) }

func (q *Quote) change(b []byte, u *[fields]units) (rest []byte, ok bool) {
	head, n := binary.Uvarint(b)
	changed := Set(head >> 1)
	if n <= 0 || changed>>fields != 0 {
		return nil, false
	}
	b = b[n:]
	if head&1 != 0 {
		*q = Quote{}
	}
	for s := changed; s != 0; s &= s - 1 {
		f := bits.TrailingZeros64(uint64(s))
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		b = b[n:]
		if q.Value[f] += u[f].delta(v); !fits(q.Value[f]) {
			return nil, false
		}
	}
	q.Known |= changed
	return b, true
}

func zigzag(d int64) uint64   { return uint64(d)<<1 ^ uint64(d>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func appendUint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

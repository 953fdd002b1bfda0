package sfeed

import (
	"bytes"
	"encoding/binary"
	"math"
)

// An Index is an index's value.
type Index struct {
	Token             uint32
	Open, Close       int32 // Close is of the day before
	High, Low         int32
	Value             int32
	LastAt            uint64
	YearHigh, YearLow int32
	ChangePercent     int32
	MarketCap         float64
	Precision         uint8
	Multiplier        int32  // to be divided like a price
	Name              []byte // valid as long as the frame is
}

// nameSize is the room for an index's name, which is padded with zeros.
const nameSize = 21

// Decode reads a packet of [KindIndex]; it panics on one of another kind.
func (x *Index) Decode(p Packet) {
	b, le := (*[indexSize - headerSize]byte)(p.Body), binary.LittleEndian
	x.Token = le.Uint32(b[0:])
	x.Open = int32(le.Uint32(b[4:]))
	x.Close = int32(le.Uint32(b[8:]))
	x.High = int32(le.Uint32(b[12:]))
	x.Low = int32(le.Uint32(b[16:]))
	x.Value = int32(le.Uint32(b[20:]))
	x.LastAt = le.Uint64(b[24:])
	x.YearHigh = int32(le.Uint32(b[32:]))
	x.YearLow = int32(le.Uint32(b[36:]))
	x.ChangePercent = int32(le.Uint32(b[40:]))
	x.MarketCap = math.Float64frombits(le.Uint64(b[44:]))
	x.Precision = b[52]
	x.Multiplier = int32(le.Uint32(b[53:]))
	x.Name = untilZero(b[57:])
}

// Append appends the packet to a frame. The header needs an exchange. A name that is too
// long is cut.
func (x *Index) Append(b []byte, h Header) []byte {
	h.Level = 0
	le := binary.LittleEndian
	b = h.start(b, CodeIndex, indexSize)
	b = le.AppendUint32(b, x.Token)
	for _, v := range [...]int32{x.Open, x.Close, x.High, x.Low, x.Value} {
		b = le.AppendUint32(b, uint32(v))
	}
	b = le.AppendUint64(b, x.LastAt)
	for _, v := range [...]int32{x.YearHigh, x.YearLow, x.ChangePercent} {
		b = le.AppendUint32(b, uint32(v))
	}
	b = le.AppendUint64(b, math.Float64bits(x.MarketCap))
	b = append(b, x.Precision)
	b = le.AppendUint32(b, uint32(x.Multiplier))
	return padded(b, x.Name, nameSize)
}

// An Auction is the state of an instrument's closing auction.
type Auction struct {
	Token             int32
	Reference         int32
	Imbalance         int64
	ImbalanceAtMarket int64
}

// reserved is what an auction's packet has at its end.
var reserved [15]byte

// Decode reads a packet of [KindAuction]; it panics on one of another kind.
func (a *Auction) Decode(p Packet) {
	b, le := (*[auctionSize - headerSize]byte)(p.Body), binary.LittleEndian
	a.Token = int32(le.Uint32(b[0:]))
	a.Reference = int32(le.Uint32(b[4:]))
	a.Imbalance = int64(le.Uint64(b[8:]))
	a.ImbalanceAtMarket = int64(le.Uint64(b[16:]))
}

// Append appends the packet to a frame. The header needs an exchange.
func (a *Auction) Append(b []byte, h Header) []byte {
	h.Level = 0
	le := binary.LittleEndian
	b = h.start(b, CodeAuction, auctionSize)
	b = le.AppendUint32(b, uint32(a.Token))
	b = le.AppendUint32(b, uint32(a.Reference))
	b = le.AppendUint64(b, uint64(a.Imbalance))
	b = le.AppendUint64(b, uint64(a.ImbalanceAtMarket))
	return append(b, reserved[:]...)
}

// States of a market.
const (
	StatusOpen           = 1
	StatusClose          = 2
	StatusPreOpenShut    = 3
	StatusPreOpenEnded   = 4
	StatusAuction        = 5
	StatusClosingStart   = 6
	StatusClosingEnd     = 7
	StatusClosedForCAS   = 8 // continuous trading has ended before the closing auction
	StatusBandRevised    = 9
	StatusCASStart       = 10
	StatusNoMarketOrders = 11
	StatusCASEnd         = 12
)

// A Status is what the market of an exchange is doing.
type Status struct {
	Code uint16
	Text []byte // mostly empty; valid as long as the frame is
}

// textSize is the room for a status's text, which is padded with zeros.
const textSize = 5

// Decode reads a packet of [KindStatus]; it panics on one of another kind. The older
// packets that only say that a market opens or closes are read as such a status.
func (s *Status) Decode(p Packet) {
	switch p.Code() {
	case CodeOpen:
		*s = Status{Code: StatusOpen}
	case CodeClose:
		*s = Status{Code: StatusClose}
	default:
		b := (*[statusSize - headerSize]byte)(p.Body)
		s.Code = binary.LittleEndian.Uint16(b[:])
		s.Text = untilZero(b[2:])
	}
}

// Append appends the packet to a frame. The header needs an exchange. A text that is too
// long is cut.
func (s *Status) Append(b []byte, h Header) []byte {
	h.Level = 0
	b = h.start(b, CodeStatus, statusSize)
	b = binary.LittleEndian.AppendUint16(b, s.Code)
	return padded(b, s.Text, textSize)
}

// AppendOld appends the older form of a status, which has no body: that a market opens
// or, for every other status, closes. The header needs an exchange.
func (s *Status) AppendOld(b []byte, h Header) []byte {
	h.Level = 0
	if s.Code == StatusOpen {
		return h.start(b, CodeOpen, headerSize)
	}
	return h.start(b, CodeClose, headerSize)
}

// untilZero returns text without the zeros that it is padded with.
func untilZero(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b[:len(b):len(b)]
}

// padded appends text in a field of a fixed size.
func padded(b, text []byte, size int) []byte {
	b = append(b, text[:min(size, len(text))]...)
	for range size - len(text) {
		b = append(b, 0)
	}
	return b
}

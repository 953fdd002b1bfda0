// Package sfeed is generation 3's market feed as it is on the wire ("native_batch"): the
// packets of its binary frames, little-endian, and its control messages. The client
// decodes and the exchange on paper encodes with it.
//
// Start with [Next], which cuts a frame into packets, and [Packet.Kind], which says which
// of [Mini], [Quote], [Index], [Auction] and [Status] decodes one. The control messages
// are in text frames: [First] and [Request] go to the server, [Answer] and [Ack] come
// back.
//
// Prices are integers: to be divided by the divider of their exchange ([Dividers]), never
// by one of another. Percentages are hundredths, times are Unix seconds.
package sfeed

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Codes of packets.
const (
	CodeAuction = 104
	CodeStatus  = 105
	CodeOpen    = 6511
	CodeClose   = 6521
	CodeIndex   = 7207
	CodeQuote   = 7208
)

// Levels of quotes.
const (
	LevelMini  = 1
	LevelBest  = 2
	LevelTouch = 4
	LevelDepth = 8
	LevelFull  = 16
)

// Never is the time of the last update of an instrument that has never been updated.
const Never = -2209008600

// headerSize is the length of what every packet begins with: its length u16, code u16,
// exchange i8, level u8, auction u8, seq u8, bitmask length u8.
const headerSize = 9

// The least lengths of packets, header included; a quote's rows come after its fixed part.
const (
	miniSize    = 54
	quoteSize   = 144
	touchSize   = quoteSize + 2*rowSize
	indexSize   = 87
	statusSize  = 16
	auctionSize = 48
)

// maxPacket is the longest packet: its length is a u16.
const maxPacket = 1<<16 - 1

// A Header is what a packet says before its body.
type Header struct {
	Code     uint16
	Exchange int8
	Level    uint8 // of a quote; else 0
	Auction  uint8 // greater than 0 during an auction
	Seq      uint8
}

// A Packet is a packet whose length fits its kind: decoding it cannot fail.
type Packet struct {
	Header
	Body []byte // from byte 9
}

// A Kind says how a packet is decoded.
type Kind uint8

// The kinds of packets.
const (
	KindUnknown Kind = iota // to be passed over
	KindMini
	KindQuote
	KindIndex
	KindAuction
	KindStatus
)

// ErrCut is a frame that ends within a packet, or has a packet too short for its kind.
var ErrCut = errors.New("sfeed: a packet is cut short")

// Next returns the first packet of a frame and what follows it. A packet of an unknown
// kind is returned too: its Body is whatever it has. A packet that is too short for its
// kind is an error that leaves what follows it in rest; after any other error rest is nil.
//
// The packet is valid as long as the frame is.
func Next(frame []byte) (p Packet, rest []byte, err error) {
	if len(frame) < headerSize {
		return Packet{}, nil, cutFrame(frame)
	}
	h := binary.LittleEndian.Uint64(frame)
	n := int(uint16(h))
	if n < headerSize || n > len(frame) {
		return Packet{}, nil, cutFrame(frame)
	}
	p = Packet{
		Header{
			Code: uint16(h >> 16), Exchange: int8(h >> 32), Level: uint8(h >> 40),
			Auction: uint8(h >> 48), Seq: uint8(h >> 56),
		}, frame[headerSize:n:n],
	}
	if least := p.least(); n < least {
		return Packet{}, frame[n:], cutPacket(p.Header, n, least)
	}
	return p, frame[n:], nil
}

// Kind returns how the packet is decoded.
func (h Header) Kind() Kind {
	switch h.Code {
	case CodeQuote:
		switch h.Level {
		case LevelMini:
			return KindMini
		case LevelBest, LevelTouch, LevelDepth, LevelFull:
			return KindQuote
		}
	case CodeIndex:
		return KindIndex
	case CodeAuction:
		return KindAuction
	case CodeStatus, CodeOpen, CodeClose:
		return KindStatus
	}
	return KindUnknown
}

// least returns how long a packet of this kind is at least. Its body may be too short for
// that.
func (p *Packet) least() int {
	if p.Code != CodeQuote {
		return p.leastOther()
	}
	switch p.Level {
	case LevelMini:
		return miniSize
	case LevelTouch:
		return touchSize
	case LevelBest, LevelDepth, LevelFull:
		if len(p.Body) < quoteSize-headerSize {
			return quoteSize
		}
		b := (*[quoteSize - headerSize]byte)(p.Body)
		buys, sells := binary.LittleEndian.Uint32(b[offBuys:]), binary.LittleEndian.Uint32(b[offSells:])
		if buys > maxPacket || sells > maxPacket {
			return maxPacket + 1
		}
		return quoteSize + int(buys+sells)*rowSize
	}
	return headerSize
}

func (p *Packet) leastOther() int {
	switch p.Code {
	case CodeIndex:
		return indexSize
	case CodeAuction:
		return auctionSize
	case CodeStatus:
		return statusSize
	}
	return headerSize
}

//go:noinline
func cutFrame(frame []byte) error {
	if len(frame) < headerSize {
		return fmt.Errorf("%w: %d bytes, and a header has %d", ErrCut, len(frame), headerSize)
	}
	return fmt.Errorf("%w: its length is %d, and the frame has %d bytes left", ErrCut, binary.LittleEndian.Uint16(frame), len(frame))
}

//go:noinline
func cutPacket(h Header, n, least int) error {
	return fmt.Errorf("%w: code %d, level %d has %d bytes, and needs %d", ErrCut, h.Code, h.Level, n, least)
}

// start appends the header of a packet of n bytes.
func (h Header) start(b []byte, n int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	b = binary.LittleEndian.AppendUint16(b, h.Code)
	return append(b, byte(h.Exchange), h.Level, h.Auction, h.Seq, 0)
}

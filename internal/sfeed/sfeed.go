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

// A Header is what a packet is appended with.
type Header struct {
	Exchange int8
	Level    uint8 // of a [Quote]
	Auction  uint8 // greater than 0 during an auction
	Seq      uint8
}

// A Packet is a packet whose length fits its kind: decoding it cannot fail.
type Packet struct {
	// head is the packet's first eight bytes, with the kind in place of the length. As one
	// number it leaves Next and Decode with what fits into registers.
	head uint64

	Body []byte // from byte 9
}

// Code returns what the packet says it is.
func (p Packet) Code() uint16 { return uint16(p.head >> 16) }

// Exchange returns the number of the packet's exchange: see [Segment].
func (p Packet) Exchange() int8 { return int8(p.head >> 32) }

// Level returns the level of a quote, or 0.
func (p Packet) Level() uint8 { return uint8(p.head >> 40) }

// Auction reports whether there is an auction.
func (p Packet) Auction() bool { return uint8(p.head>>48) > 0 }

// Seq returns the packet's number.
func (p Packet) Seq() uint8 { return uint8(p.head >> 56) }

// Kind returns how the packet is decoded.
func (p Packet) Kind() Kind { return Kind(p.head) }

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
	head := binary.LittleEndian.Uint64(frame)
	n := int(uint16(head))
	if n < headerSize || n > len(frame) {
		return Packet{}, nil, cutFrame(frame)
	}
	kind, least := KindUnknown, uint64(headerSize)
	switch uint16(head >> 16) {
	case CodeQuote:
		switch uint8(head >> 40) {
		case LevelMini:
			kind, least = KindMini, miniSize
		case LevelTouch:
			kind, least = KindQuote, touchSize
		case LevelBest, LevelDepth, LevelFull:
			kind, least = KindQuote, quoteSize
			if n >= quoteSize {
				b := (*[quoteSize]byte)(frame)
				buys, sells := binary.LittleEndian.Uint32(b[headerSize+offBuys:]), binary.LittleEndian.Uint32(b[headerSize+offSells:])
				least += (uint64(buys) + uint64(sells)) * rowSize
			}
		}
	case CodeIndex:
		kind, least = KindIndex, indexSize
	case CodeAuction:
		kind, least = KindAuction, auctionSize
	case CodeStatus:
		kind, least = KindStatus, statusSize
	case CodeOpen, CodeClose:
		kind = KindStatus
	}
	if uint64(n) < least {
		return Packet{}, frame[n:], cutPacket(head, n, least)
	}
	return Packet{head&^(1<<16-1) | uint64(kind), frame[headerSize:n:n]}, frame[n:], nil
}

//go:noinline
func cutFrame(frame []byte) error {
	if len(frame) < headerSize {
		return fmt.Errorf("%w: %d bytes, and a header has %d", ErrCut, len(frame), headerSize)
	}
	return fmt.Errorf("%w: its length is %d, and the frame has %d bytes left", ErrCut, binary.LittleEndian.Uint16(frame), len(frame))
}

//go:noinline
func cutPacket(head uint64, n int, least uint64) error {
	return fmt.Errorf("%w: code %d, level %d has %d bytes, and needs %d", ErrCut, uint16(head>>16), uint8(head>>40), n, least)
}

// start appends the header of a packet of n bytes.
func (h Header) start(b []byte, code uint16, n int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	b = binary.LittleEndian.AppendUint16(b, code)
	return append(b, byte(h.Exchange), h.Level, h.Auction, h.Seq, 0)
}

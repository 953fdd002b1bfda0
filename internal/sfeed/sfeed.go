// Package sfeed is generation 3's market feed as it is on the wire ("native_batch"): the
// packets of its binary frames, little-endian, and its control messages. The client
// decodes and the exchange on paper encodes with it.
//
// Start with [Next], which cuts a frame into packets.
package sfeed

import "errors"

// Codes of packets.
const (
	CodeIndex   = 7207
	CodeQuote   = 7208
	CodeAuction = 104
	CodeStatus  = 105
	CodeOpen    = 6511
	CodeClose   = 6521
)

// Levels of quotes.
const (
	LevelMini  = 1
	LevelBest  = 2
	LevelTouch = 4
	LevelDepth = 8
	LevelFull  = 16
)

// A Packet is a packet whose length fits its kind: decoding it cannot fail.
type Packet struct {
	Code     uint16
	Exchange int8
	Level    uint8
	Auction  uint8
	Seq      uint8
	Body     []byte // from byte 9
}

// ErrCut is a frame that ends within a packet, or has a packet too short for its kind.
var ErrCut = errors.New("sfeed: a packet is cut short")

// Next returns the first packet of a frame and what follows it. A packet of an unknown
// kind is returned too: its Body is whatever it has.
func Next(frame []byte) (p Packet, rest []byte, err error) { return p, nil, ErrCut }

// Mini, Quote, Index, Auction, Status: a struct each, in the wire's integers, with
// func (x *X) Decode(p Packet) and func (x *X) Append(b []byte, …) []byte; exchanges by segment, dividers; First,
// Answer, Subscribe, Ack as JSON.

package paperfeed

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// This file has HSM as it is on the wire: big-endian, requests of fields, data of values
// by position.

// Types of HSM's messages.
const (
	hsmConnect     = 1
	hsmThrottle    = 2
	hsmAck         = 3
	hsmSubscribe   = 4
	hsmUnsubscribe = 5
	hsmData        = 6
	hsmPause       = 7
	hsmResume      = 8
	hsmSnapshot    = 9
)

// An hsmRequest is a message of a client.
type hsmRequest struct {
	kind   byte
	fields [4][]byte // by their ids; nil for what is missing. They are valid as long as the frame is
}

var errHSM = errors.New("a frame is cut, or is no message")

// parseHSM reads a message of a client: its length, then its type, then its fields. Those
// to pause, resume and throttle come without the length.
func parseHSM(frame []byte) (r hsmRequest, err error) {
	b := frame
	switch {
	case len(b) >= 2 && (b[0] == hsmThrottle || b[0] == hsmPause || b[0] == hsmResume) && b[1] == 1:
		// A message of such a length would have more than 512 bytes, and a type of 1 to 9 here.
	case len(b) >= 4 && int(binary.BigEndian.Uint16(b)) <= len(b)-2:
		b = b[2:][:binary.BigEndian.Uint16(b)]
	default:
		return r, errHSM
	}
	if len(b) < 2 {
		return r, errHSM
	}
	r.kind = b[0]
	count := b[1]
	b = b[2:]
	for range count {
		if len(b) < 3 || int(binary.BigEndian.Uint16(b[1:])) > len(b)-3 {
			return r, errHSM
		}
		id, n := int(b[0]), int(binary.BigEndian.Uint16(b[1:]))
		if id < len(r.fields) {
			r.fields[id] = b[3:][:n:n]
		}
		b = b[3+n:]
	}
	return r, nil
}

// hsmTopics reads the topics of a field: how many there are, and each with its length.
func hsmTopics(b []byte) (topics []string, err error) {
	if len(b) < 2 {
		return nil, errHSM
	}
	count := int(binary.BigEndian.Uint16(b))
	for b = b[2:]; len(topics) < count; b = b[1+int(b[0]):] {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return nil, errHSM
		}
		topics = append(topics, string(b[1:][:b[0]]))
	}
	return topics, nil
}

// hsmNumber reads a field of one number.
func hsmNumber(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, errHSM
	}
	return binary.BigEndian.Uint32(b), nil
}

// hsmChannels reads the channels of a field: two masks, of which the first is for 33 to 64
// and the second for 1 to 32. Channel n is bit n, counted round: bit 0 is the last one.
func hsmChannels(b []byte) (channels uint64, err error) {
	if len(b) != 8 {
		return 0, errHSM
	}
	for n := 1; n <= 64; n++ {
		mask := binary.BigEndian.Uint32(b[4:])
		if n > 32 {
			mask = binary.BigEndian.Uint32(b)
		}
		if mask>>(n%32)&1 == 1 {
			channels |= hsmChannel(n)
		}
	}
	return channels, nil
}

// hsmChannel returns the bit of a channel from 1 to 64.
func hsmChannel(n int) uint64 { return 1 << (n - 1) }

// hsmStatus returns the answer to a request: it went well, or it did not. every is after how
// many messages of data the client has to acknowledge one, or 0 in all but the answer to a
// connect.
func hsmStatus(kind byte, ok bool, every uint32) []byte {
	status := byte('N')
	if ok {
		status = 'K'
	}
	b := []byte{0, 0, kind, 1, 1, 0, 1, status}
	if every > 0 {
		b[3] = 2
		b = binary.BigEndian.AppendUint32(append(b, 2, 0, 4), every)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

// beginHSM begins a message of data; endHSM ends it. The number is what the client
// acknowledges.
func beginHSM(b []byte, number uint32) []byte {
	b = append(b, 0, 0, hsmData)
	b = binary.BigEndian.AppendUint32(b, number)
	return append(b, 0, 0)
}

// numberHSM numbers a message that beginHSM has begun.
func numberHSM(b []byte, number uint32) { binary.BigEndian.PutUint32(b[3:], number) }

func endHSM(b []byte, packets int) []byte {
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	binary.BigEndian.PutUint16(b[7:], uint16(packets))
	return b
}

// hsmUnchanged is a value that an update does not tell, and that a snapshot does not have.
const hsmUnchanged = math.MinInt32

// hsmValues are a topic's values by position, as many as its kind has.
type hsmValues [34]int32

// An hsmKind is what a topic is about.
type hsmKind uint8

// The kinds of topics.
const (
	hsmScrip hsmKind = iota
	hsmIndex
	hsmDepth
)

// hsmKinds are the kinds' names and numbers of values.
var hsmKinds = [...]struct {
	name   string
	values int
}{hsmScrip: {"sf", 25}, hsmIndex: {"if", 10}, hsmDepth: {"dp", 34}}

// splitTopic splits a topic such as sf|nse_cm|11536.
func splitTopic(topic string) (kind hsmKind, segment, name string, ok bool) {
	prefix, rest, _ := strings.Cut(topic, "|")
	segment, name, ok = strings.Cut(rest, "|")
	for k := range hsmKinds {
		if hsmKinds[k].name == prefix {
			return hsmKind(k), segment, name, ok && segment != "" && name != ""
		}
	}
	return 0, "", "", false
}

// hsmID returns a topic's number: the same for all connections, since old clients keep the
// topics of all of theirs in one list. An index has one for its name and one for its token.
func hsmID(kind hsmKind, i *listing.Instrument, byName bool) uint32 {
	id := uint32(kind)<<29 | uint32(i.Segment)<<26 | i.Token&(1<<25-1)
	if byName {
		id |= 1 << 25
	}
	return id
}

// of returns the values of a kind of topic.
func (v *hsmValues) of(kind hsmKind, q *paper.Quote) {
	n := hsmScale{unit: listing.Rupee}
	for range q.Precision {
		n.unit /= 10
	}
	for k := range v {
		v[k] = 0
	}
	switch kind {
	case hsmScrip:
		v.scrip(n, q)
	case hsmIndex:
		v[0], v[1], v[4] = n.time(q.At.Unix()), n.time(q.At.Unix()), n.time(q.LastTime.Unix())
		v[2], v[3], v[5], v[6], v[7] = n.price(q.Last), n.price(q.Close), n.price(q.High), n.price(q.Low), n.price(q.Open)
		v[8], v[9] = 1, int32(q.Precision)
	case hsmDepth:
		v[0], v[1] = n.time(q.At.Unix()), n.time(q.At.Unix())
		for k, side := range [...]*[5]paper.Level{&q.Bids, &q.Asks} {
			for i, l := range side {
				// A level that is not there is zeros, for which old clients look.
				v[2+5*k+i], v[12+5*k+i], v[22+5*k+i] = int32(l.Price/n.unit), clamp(l.Quantity), int32(l.Orders)
			}
		}
		v[32], v[33] = 1, int32(q.Precision)
	}
}

func (v *hsmValues) scrip(n hsmScale, q *paper.Quote) {
	traded := n.time(q.LastTime.Unix())
	v[0], v[1], v[2], v[3] = n.time(q.At.Unix()), n.time(q.At.Unix()), traded, traded
	v[4], v[5], v[6] = clamp(q.Volume), n.price(q.Last), clamp(q.LastQuantity)
	v[7], v[8] = clamp(q.TotalBuy), clamp(q.TotalSell)
	v[9], v[10] = int32(q.Bids[0].Price/n.unit), int32(q.Asks[0].Price/n.unit)
	v[11], v[12] = clamp(q.Bids[0].Quantity), clamp(q.Asks[0].Quantity)
	v[13] = hsmUnchanged
	if q.Volume > 0 {
		v[13] = n.price(q.Traded / listing.Price(q.Volume))
	}
	v[14], v[15] = n.price(q.Low), n.price(q.High)
	v[16], v[17] = n.price(q.BandLow), n.price(q.BandHigh)
	v[18], v[19] = n.price(q.YearHigh), n.price(q.YearLow)
	v[20], v[21] = n.price(q.Open), n.price(q.Close)
	v[22] = clamp(q.OpenInterest)
	v[23], v[24] = 1, int32(q.Precision)
}

// An hsmScale makes the values of an instrument: its unit is one of the last decimal of its
// prices.
type hsmScale struct{ unit listing.Price }

// price returns a price, or that there is none.
func (n hsmScale) price(p listing.Price) int32 {
	if p == 0 {
		return hsmUnchanged
	}
	return int32(p / n.unit)
}

// time returns a time in seconds, or that there is none.
func (n hsmScale) time(seconds int64) int32 {
	if seconds <= 0 {
		return hsmUnchanged
	}
	return clamp(seconds)
}

// clamp returns a quantity as far as a value can tell it.
func clamp(n int64) int32 { return int32(min(max(n, 0), math.MaxInt32)) }

// appendHSMSnapshot appends a packet with all of a topic. asked is the instrument's token or
// an index's name, as the client has asked for it.
func appendHSMSnapshot(b []byte, id uint32, topic, asked string, kind hsmKind, i *listing.Instrument, v *hsmValues) []byte {
	start := len(b)
	b = append(b, 0, 0, 'S')
	b = binary.BigEndian.AppendUint32(b, id)
	b = appendHSMText(b, topic)
	b = v.append(b, hsmKinds[kind].values)
	strings := [...]string{i.Symbol, asked, i.Segment.String(), i.Name}
	b = append(b, byte(len(strings)))
	for k, s := range strings {
		b = appendHSMText(append(b, byte(51+k)), s)
	}
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-2))
	return b
}

// appendHSMUpdate appends a packet with what has changed since last, if something has.
func appendHSMUpdate(b []byte, id uint32, kind hsmKind, last, v *hsmValues) []byte {
	var changed hsmValues
	n := 0
	for k := range hsmKinds[kind].values {
		if changed[k] = v[k]; v[k] == last[k] {
			changed[k] = hsmUnchanged
		}
		if changed[k] != hsmUnchanged {
			n = k + 1
		}
	}
	if n == 0 {
		return b
	}
	start := len(b)
	b = append(b, 0, 0, 'U')
	b = binary.BigEndian.AppendUint32(b, id)
	b = changed.append(b, n)
	binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start-2))
	return b
}

// append appends the first n values, after their number.
func (v *hsmValues) append(b []byte, n int) []byte {
	b = append(b, byte(n))
	for _, value := range v[:n] {
		b = binary.BigEndian.AppendUint32(b, uint32(value))
	}
	return b
}

func appendHSMText(b []byte, text string) []byte {
	text = text[:min(len(text), math.MaxUint8)]
	return append(append(b, byte(len(text))), text...)
}

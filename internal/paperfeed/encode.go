package paperfeed

import (
	"bytes"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/sfeed"
)

// levels are those of SFeed that packets are made of, and an index's for the value of an
// index.
var levels = [...]uint8{sfeed.LevelMini, sfeed.LevelTouch, sfeed.LevelDepth, sfeed.LevelFull, levelIndex}

const levelIndex = 255

// slot returns the index of a level in levels, or -1.
func slot(level uint8) int {
	for i, l := range levels {
		if l == level {
			return i
		}
	}
	return -1
}

// onEncode, if a test has set it, is called for each packet that is made.
var onEncode func()

// encode makes a tick's packet of a level, once.
func (h *hub) encode(t *tick, level uint8) {
	if i := slot(level); i >= 0 && t.packets[i] == nil {
		t.packets[i] = appendTick(nil, t, level)
		if onEncode != nil {
			onEncode()
		}
	}
}

// samePacket reports whether two packets of an instrument say the same.
func samePacket(a, b []byte) bool {
	const seq = 7 // its place
	return len(a) == len(b) && bytes.Equal(a[:seq], b[:seq]) && bytes.Equal(a[seq+1:], b[seq+1:])
}

// packet returns the packet of a level that encode has made.
func (t *tick) packet(level uint8) []byte { return t.packets[slot(level)] }

// appendTick appends a packet of a level.
func appendTick(b []byte, t *tick, level uint8) []byte {
	q := &t.quote
	segment := q.Segment.String()
	header := sfeed.Header{Exchange: sfeed.Exchange(segment), Level: level, Seq: t.seq}
	n := scale(sfeed.Divider(segment))
	if level == levelIndex {
		header.Level = 0
		x := sfeed.Index{
			Token: q.Token, Open: int32(n.of(q.Open)), Close: int32(n.of(q.Close)), High: int32(n.of(q.High)), Low: int32(n.of(q.Low)), Value: int32(n.of(q.Last)),
			LastAt: uint64(q.LastTime.Unix()), YearHigh: int32(n.of(q.YearHigh)), YearLow: int32(n.of(q.YearLow)),
			ChangePercent: percent(q), Precision: uint8(q.Precision), Multiplier: int32(n.of(listing.Rupee)), Name: []byte(q.Name),
		}
		return x.Append(b, header)
	}
	change := q.Last - q.Close
	if q.Last == 0 {
		change = 0
	}
	if level == sfeed.LevelMini {
		m := sfeed.Mini{
			Token: q.Token, LastAt: q.LastTime.Unix(), Last: n.of(q.Last), LastQty: q.LastQuantity, Close: n.of(q.Close),
			ChangePercent: percent(q), Change: int32(n.of(change)), Lot: uint32(q.Lot), Precision: uint8(q.Precision), Multiplier: uint32(q.Multiplier),
		}
		return m.Append(b, header)
	}
	x := sfeed.Quote{
		Token: q.Token, TotalBuy: q.TotalBuy, TotalSell: q.TotalSell, Volume: q.Volume, LastAt: q.LastTime.Unix(), UpdatedAt: q.At.Unix(),
		Open: n.of(q.Open), Close: n.of(q.Close), High: n.of(q.High), Low: n.of(q.Low), Last: n.of(q.Last), LastQty: q.LastQuantity,
		ChangePercent: percent(q), OpenInterest: uint32(q.OpenInterest), Traded: float64(q.Traded) / float64(listing.Rupee) * float64(sfeed.Divider(segment)),
		Change: int32(n.of(change)), Upper: n.of(q.BandHigh), Lower: n.of(q.BandLow), YearHigh: n.of(q.YearHigh), YearLow: n.of(q.YearLow),
		Lot: uint32(q.Lot), Precision: uint8(q.Precision), Multiplier: uint32(q.Multiplier),
	}
	if q.Volume > 0 {
		x.Average = n.of(q.Traded / listing.Price(q.Volume))
	}
	rows := len(q.Bids)
	if level == sfeed.LevelTouch {
		rows = 1
	}
	var space [2][16 * len(q.Bids)]byte
	x.Buys, x.Sells = n.rows(space[0][:0], q.Bids[:rows]), n.rows(space[1][:0], q.Asks[:rows])
	return x.Append(b, header)
}

// A scale is what a rupee is in an exchange's integers.
type scale int64

// of returns a price in the exchange's integers. A negative one is the integer of its two's
// complement.
func (n scale) of(p listing.Price) uint32 { return uint32(int64(p) * int64(n) / int64(listing.Rupee)) }

// rows appends the levels that there are.
func (n scale) rows(b []byte, all []paper.Level) sfeed.Rows {
	rows := sfeed.Rows(b)
	for _, l := range all {
		if l.Price > 0 {
			rows = rows.Append(sfeed.Row{Qty: l.Quantity, Price: int32(n.of(l.Price)), Orders: int32(l.Orders)})
		}
	}
	return rows
}

// percent returns how far the last price is from the close before, in hundredths.
func percent(q *paper.Quote) int32 {
	if q.Close == 0 || q.Last == 0 {
		return 0
	}
	return int32(int64(q.Last-q.Close) * 10_000 / int64(q.Close))
}

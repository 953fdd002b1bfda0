package sfeed

import (
	"encoding/binary"
	"math"
)

// A Mini is a quote of level 1.
type Mini struct {
	Token         uint32
	LastAt        int64 // 0: it has not traded
	Last          uint32
	LastQty       int64
	Close         uint32 // of the day before
	ChangePercent int32
	Change        int32
	Lot           uint32
	Precision     uint8
	Multiplier    uint32
}

// Decode reads a packet of [KindMini]; it panics on one of another kind.
func (m *Mini) Decode(p Packet) {
	b, le := (*[miniSize - headerSize]byte)(p.Body), binary.LittleEndian
	m.Token = le.Uint32(b[0:])
	m.LastAt = int64(le.Uint64(b[4:]))
	m.Last = le.Uint32(b[12:])
	m.LastQty = int64(le.Uint64(b[16:]))
	m.Close = le.Uint32(b[24:])
	m.ChangePercent = int32(le.Uint32(b[28:]))
	m.Change = int32(le.Uint32(b[32:]))
	m.Lot = le.Uint32(b[36:])
	m.Precision = b[40]
	m.Multiplier = le.Uint32(b[41:])
}

// Append appends the packet to a frame. The header needs an exchange.
func (m *Mini) Append(b []byte, h Header) []byte {
	h.Level = LevelMini
	le := binary.LittleEndian
	b = h.start(b, CodeQuote, miniSize)
	b = le.AppendUint32(b, m.Token)
	b = le.AppendUint64(b, uint64(m.LastAt))
	b = le.AppendUint32(b, m.Last)
	b = le.AppendUint64(b, uint64(m.LastQty))
	b = le.AppendUint32(b, m.Close)
	b = le.AppendUint32(b, uint32(m.ChangePercent))
	b = le.AppendUint32(b, uint32(m.Change))
	b = le.AppendUint32(b, m.Lot)
	b = append(b, m.Precision)
	return le.AppendUint32(b, m.Multiplier)
}

// A Quote is a quote of level 2, 4, 8 or 16.
type Quote struct {
	Token             uint32
	TotalBuy          int64
	TotalSell         int64
	Volume            int64
	LastAt            int64 // 0: it has not traded
	UpdatedAt         int64 // [Never]: it never was
	Open              uint32
	Close             uint32 // of the day before
	High, Low         uint32
	Last              uint32
	LastQty           int64
	Average           uint32
	IndicativeClose   uint32
	Status            int16
	ChangePercent     int32
	OpenInterest      uint32
	Traded            float64 // to be divided like a price
	Change            int32
	Upper, Lower      uint32 // of the day's band
	YearHigh, YearLow uint32
	Lot               uint32
	Precision         uint8
	Multiplier        uint32
	Buys, Sells       Rows // best first; valid as long as the frame is
}

// Where a quote's body has its numbers of rows.
const (
	offBuys  = 80
	offSells = 84
)

// Decode reads a packet of [KindQuote]; it panics on one of another kind.
func (q *Quote) Decode(p Packet) {
	b, le := (*[quoteSize - headerSize]byte)(p.Body), binary.LittleEndian
	q.Token = le.Uint32(b[0:])
	q.TotalBuy = int64(le.Uint64(b[4:]))
	q.TotalSell = int64(le.Uint64(b[12:]))
	q.Volume = int64(le.Uint64(b[20:]))
	q.LastAt = int64(le.Uint64(b[28:]))
	q.UpdatedAt = int64(le.Uint64(b[36:]))
	q.Open = le.Uint32(b[44:])
	q.Close = le.Uint32(b[48:])
	q.High = le.Uint32(b[52:])
	q.Low = le.Uint32(b[56:])
	q.Last = le.Uint32(b[60:])
	q.LastQty = int64(le.Uint64(b[64:]))
	q.Average = le.Uint32(b[72:])
	q.IndicativeClose = le.Uint32(b[76:])
	q.Status = int16(le.Uint16(b[88:]))
	q.ChangePercent = int32(le.Uint32(b[90:]))
	q.OpenInterest = le.Uint32(b[94:])
	q.Traded = math.Float64frombits(le.Uint64(b[98:]))
	q.Change = int32(le.Uint32(b[106:]))
	q.Upper = le.Uint32(b[110:])
	q.Lower = le.Uint32(b[114:])
	q.YearHigh = le.Uint32(b[118:])
	q.YearLow = le.Uint32(b[122:])
	q.Lot = le.Uint32(b[126:])
	q.Precision = b[130]
	q.Multiplier = le.Uint32(b[131:])

	rows := p.Body[quoteSize-headerSize:]
	buys, sells := rowSize, rowSize
	if p.Level() != LevelTouch {
		buys, sells = int(le.Uint32(b[offBuys:]))*rowSize, int(le.Uint32(b[offSells:]))*rowSize
	}
	q.Buys, q.Sells = Rows(rows[:buys:buys]), Rows(rows[buys:buys+sells:buys+sells])
}

// maxRows is how many rows of a side a packet has at most.
const maxRows = (maxPacket - quoteSize) / rowSize / 2

// Append appends the packet to a frame. The header needs an exchange and one of the levels
// 2, 4, 8 and 16. Level 4 has one row of each side: the first, or one of zeros.
func (q *Quote) Append(b []byte, h Header) []byte {
	buys, sells := q.Buys.first(maxRows), q.Sells.first(maxRows)
	if h.Level == LevelTouch {
		buys, sells = q.Buys.first(1), q.Sells.first(1)
		if len(buys) == 0 {
			buys = noRow[:]
		}
		if len(sells) == 0 {
			sells = noRow[:]
		}
	}
	le := binary.LittleEndian
	b = h.start(b, CodeQuote, quoteSize+len(buys)+len(sells))
	b = le.AppendUint32(b, q.Token)
	for _, v := range [...]int64{q.TotalBuy, q.TotalSell, q.Volume, q.LastAt, q.UpdatedAt} {
		b = le.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]uint32{q.Open, q.Close, q.High, q.Low, q.Last} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint64(b, uint64(q.LastQty))
	for _, v := range [...]uint32{q.Average, q.IndicativeClose, uint32(buys.Len()), uint32(sells.Len())} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint16(b, uint16(q.Status))
	b = le.AppendUint32(b, uint32(q.ChangePercent))
	b = le.AppendUint32(b, q.OpenInterest)
	b = le.AppendUint64(b, math.Float64bits(q.Traded))
	b = le.AppendUint32(b, uint32(q.Change))
	for _, v := range [...]uint32{q.Upper, q.Lower, q.YearHigh, q.YearLow, q.Lot} {
		b = le.AppendUint32(b, v)
	}
	b = append(b, q.Precision)
	b = le.AppendUint32(b, q.Multiplier)
	b = append(b, buys...)
	return append(b, sells...)
}

// rowSize is the length of a row: quantity i64, price i32, orders i32.
const rowSize = 16

// noRow is a side with nothing in it.
var noRow [rowSize]byte

// A Row is a price at which orders wait.
type Row struct {
	Qty    int64
	Price  int32
	Orders int32
}

// Rows are the rows of a side as they are in a packet.
type Rows []byte

// Len returns how many there are.
func (r Rows) Len() int { return len(r) / rowSize }

// At returns a row.
func (r Rows) At(i int) Row {
	b, le := r[i*rowSize:][:rowSize], binary.LittleEndian
	return Row{int64(le.Uint64(b)), int32(le.Uint32(b[8:])), int32(le.Uint32(b[12:]))}
}

// Append appends a row.
func (r Rows) Append(row Row) Rows {
	le := binary.LittleEndian
	r = le.AppendUint64(r, uint64(row.Qty))
	r = le.AppendUint32(r, uint32(row.Price))
	return le.AppendUint32(r, uint32(row.Orders))
}

// first returns at most the first n rows, whole ones.
func (r Rows) first(n int) Rows { return r[:min(n, r.Len())*rowSize] }

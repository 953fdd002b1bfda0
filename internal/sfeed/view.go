package sfeed

import (
	"encoding/binary"
	"math"
)

// A View is the fixed part of a packet of [KindQuote] as it is in its frame: who needs each
// field once reads it there, in half the time of [Quote.Decode]. Its methods are the fields
// of a [Quote].
type View [quoteSize - headerSize]byte

// ViewOf returns the fixed part of a packet of [KindQuote]; it panics on one of another
// kind.
func ViewOf(p Packet) *View { return (*View)(p.Body) }

// RowsOf returns the rows of a packet of [KindQuote].
func RowsOf(p Packet) (buys, sells Rows) {
	v, rows := ViewOf(p), p.Body[quoteSize-headerSize:]
	b, s := rowSize, rowSize
	if p.Level() != LevelTouch {
		b, s = int(v.u32(offBuys))*rowSize, int(v.u32(offSells))*rowSize
	}
	return Rows(rows[:b:b]), Rows(rows[b : b+s : b+s])
}

// BestOf returns the rows of a packet of level 4: of zeros where nobody waits.
func BestOf(p Packet) (buy, sell Row) {
	b := (*[touchSize - headerSize]byte)(p.Body)
	return rowAt((*[rowSize]byte)(b[quoteSize-headerSize:])), rowAt((*[rowSize]byte)(b[quoteSize-headerSize+rowSize:]))
}

func rowAt(b *[rowSize]byte) Row {
	le := binary.LittleEndian
	return Row{int64(le.Uint64(b[0:])), int32(le.Uint32(b[8:])), int32(le.Uint32(b[12:]))}
}

func (v *View) u32(at int) uint32 { return binary.LittleEndian.Uint32(v[at:]) }
func (v *View) u64(at int) uint64 { return binary.LittleEndian.Uint64(v[at:]) }

// The fields.
func (v *View) Token() uint32           { return v.u32(0) }
func (v *View) TotalBuy() int64         { return int64(v.u64(4)) }
func (v *View) TotalSell() int64        { return int64(v.u64(12)) }
func (v *View) Volume() int64           { return int64(v.u64(20)) }
func (v *View) LastAt() int64           { return int64(v.u64(28)) }
func (v *View) UpdatedAt() int64        { return int64(v.u64(36)) }
func (v *View) Open() uint32            { return v.u32(44) }
func (v *View) Close() uint32           { return v.u32(48) }
func (v *View) High() uint32            { return v.u32(52) }
func (v *View) Low() uint32             { return v.u32(56) }
func (v *View) Last() uint32            { return v.u32(60) }
func (v *View) LastQty() int64          { return int64(v.u64(64)) }
func (v *View) Average() uint32         { return v.u32(72) }
func (v *View) IndicativeClose() uint32 { return v.u32(76) }
func (v *View) ChangePercent() int32    { return int32(v.u32(90)) }
func (v *View) OpenInterest() uint32    { return v.u32(94) }
func (v *View) Traded() float64         { return math.Float64frombits(v.u64(98)) }
func (v *View) Change() int32           { return int32(v.u32(106)) }
func (v *View) Upper() uint32           { return v.u32(110) }
func (v *View) Lower() uint32           { return v.u32(114) }
func (v *View) YearHigh() uint32        { return v.u32(118) }
func (v *View) YearLow() uint32         { return v.u32(122) }

package trade

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// scrips are the instruments of a segment's scrip master, in little memory: their texts
// end to end, fixed-size rows in the order of their symbols, and two hash tables. An
// [Instrument] is made when somebody asks for it.
type scrips struct {
	segment Segment
	date    Date
	rows    []scrip
	text    string   // the texts of all rows, in their order; ends with padding
	starts  []uint32 // where the text of each row begins, and where the last one ends
	rare    [256]uint32
	names   []string
	nameIDs map[string]uint32
	named   []uint32 // the rows of each name, name by name, in their order
	nameAt  []uint32 // where those of a name begin in named, and where the last end
	series  []string
	terms   []terms
	symbols table
	tokens  table
	bad     []BadRow
	badRows int // how many rows were left out, also those that are not in bad
}

// A scrip is a row. Its texts follow each other: symbol, company, ISIN, its name unless
// the symbol contains it, and its token, which is not searched. It has 64 bytes, one line
// of a processor's cache.
type scrip struct {
	strike, lower, upper Rupees
	freeze               int64
	at                   uint32
	name, series, terms  uint32
	expiry               day
	symbol, company      uint8 // lengths
	isin, alias, token   uint8
	kind                 uint8
}

func (s *scrip) length() uint32 {
	return uint32(s.symbol) + uint32(s.company) + uint32(s.isin) + uint32(s.alias) + uint32(s.token)
}

// terms are what few rows have of their own.
type terms struct {
	tick                                                Rupees
	precision                                           int
	lot, multiplier, genNum, genDen, priceNum, priceDen int64
}

var kinds = [...]Kind{Share, IndexKind, Future, Call, Put}

const (
	kindShare = iota
	kindIndex
	kindFuture
	kindCall
	kindPut
)

// A BadRow is a row of a scrip master that is not as it should be.
type BadRow struct {
	Segment Segment
	Line    int // of the file; the header is line 1
	Symbol  string
	Problem string
	Kept    bool // the instrument is there all the same, without what Problem names
}

// Error says where the row is and what is wrong with it.
func (b BadRow) Error() string {
	return fmt.Sprintf("scrip master of %s, line %d (%s): %s", b.Segment, b.Line, b.Symbol, b.Problem)
}

// finish orders the rows by symbol and makes the tables.
func (p *reading) finish() (*scrips, error) {
	f := p.scrips
	n := 0
	for _, c := range p.chunks {
		n += len(c)
	}
	switch {
	case p.line == 0:
		return nil, p.fail("is empty")
	case n == 0 && f.badRows > 0:
		return nil, errorf("%w: and all other rows are bad too", f.bad[0])
	case n == 0:
		return nil, p.fail("has a header and no rows")
	case n < f.badRows:
		return nil, p.fail("has %d bad rows and %d good ones; the first: %w", f.badRows, n, f.bad[0])
	}
	type key struct {
		hi, lo uint64
		row    uint32
	}
	row := func(n uint32) *scrip { return &p.chunks[n/chunk][n%chunk] }
	symbol := func(n uint32) []byte { s := row(n); return p.text[s.at:][:s.symbol] }
	keys := make([]key, 0, n)
	for i := range uint32(n) { //nolint:gosec // at most maxMasterRows
		s := symbol(i)
		keys = append(keys, key{eight(s), eight(s[min(8, len(s)):]), i})
	}
	slices.SortFunc(keys, func(x, y key) int {
		switch {
		case x.hi != y.hi:
			return cmp.Compare(x.hi, y.hi)
		case x.lo != y.lo:
			return cmp.Compare(x.lo, y.lo)
		}
		return cmp.Or(bytes.Compare(symbol(x.row), symbol(y.row)), cmp.Compare(x.row, y.row))
	})
	var text strings.Builder
	text.Grow(len(p.text) + padding)
	f.rows, f.starts = make([]scrip, 0, n), make([]uint32, 0, n+1)
	f.nameAt = make([]uint32, len(f.names)+1)
	for _, k := range keys {
		s := *row(k.row)
		from := p.text[s.at:][:s.length()]
		s.at = uint32(text.Len()) //nolint:gosec // at most maxMasterBytes
		text.Write(from)
		f.rows, f.starts = append(f.rows, s), append(f.starts, s.at)
		f.nameAt[s.name+1]++
	}
	f.starts = append(f.starts, uint32(text.Len())) //nolint:gosec // at most maxMasterBytes
	text.Write(make([]byte, padding))
	f.text = text.String()
	p.chunks, p.text = nil, nil
	f.index()
	return f, nil
}

// index makes what finds rows: the tables, and the rows of each name.
func (f *scrips) index() {
	for i := 0; i < len(f.text); i += 16 {
		f.rare[f.text[i]|fold]++
	}
	for i := 1; i < len(f.nameAt); i++ {
		f.nameAt[i] += f.nameAt[i-1]
	}
	next := slices.Clone(f.nameAt)
	f.named = make([]uint32, len(f.rows))
	f.symbols, f.tokens = newTable(len(f.rows)), newTable(len(f.rows))
	for i := range f.rows {
		row, s := uint32(i), &f.rows[i] //nolint:gosec // at most maxMasterRows
		f.named[next[s.name]] = row
		next[s.name]++
		f.symbols.add(f.symbol(s), row, f.symbolOf)
		f.tokens.add(f.token(s), row, f.tokenOf)
	}
}

// eight returns the first bytes of a text as a number of the same order.
func eight(s []byte) (n uint64) {
	if len(s) >= 8 {
		return binary.BigEndian.Uint64(s)
	}
	for i := range 8 {
		n <<= 8
		if i < len(s) {
			n |= uint64(s[i])
		}
	}
	return n
}

func (f *scrips) symbol(s *scrip) string { return f.text[s.at:][:s.symbol] }
func (f *scrips) token(s *scrip) string  { return f.text[s.at+s.length()-uint32(s.token):][:s.token] }

// fill sets the instrument of a row.
func (f *scrips) fill(i *Instrument, s *scrip) {
	t := &f.terms[s.terms]
	rest := f.text[s.at:]
	i.Segment, i.Name, i.Series, i.Kind = f.segment, f.names[s.name], f.series[s.series], kinds[s.kind]
	i.Symbol, rest = rest[:s.symbol], rest[s.symbol:]
	i.Company, rest = rest[:s.company], rest[s.company:]
	i.ISIN, rest = rest[:s.isin], rest[s.isin:]
	i.Token = rest[s.alias:][:s.token]
	i.Expiry, i.Strike, i.Lot, i.Tick, i.Freeze, i.Lower, i.Upper = s.expiry.date(), s.strike, t.lot, t.tick, s.freeze, s.lower, s.upper
	i.Precision, i.Multiplier, i.GenNum, i.GenDen, i.PriceNum, i.PriceDen = t.precision, t.multiplier, t.genNum, t.genDen, t.priceNum, t.priceDen
}

package trade

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The bounds of what a service may send.
const (
	maxMasterBytes = 256 << 20
	maxMasterRows  = 1_000_000
	maxLine        = 64 << 10
	maxBadRows     = 100 // whose problem is kept
)

// The columns that are read, by their names without blanks and semicolons.
const (
	colToken = iota
	colSegment
	colType
	colName
	colSymbol
	colOption
	colISIN
	colDesc
	colRefKey
	colTick
	colLot
	colPrecision
	colMultiplier
	colLExpiry
	colPExpiry
	colStrike
	colFreeze
	colHigh
	colLow
	colRating
	colGroup
	colGenNum
	colGenDen
	colPriceNum
	colPriceDen
	columns
)

var columnNames = [columns]string{
	"pSymbol", "pExchSeg", "pInstType", "pSymbolName", "pTrdSymbol", "pOptionType", "pISIN", "pDesc", "pScripRefKey", "dTickSize", "lLotSize",
	"lPrecision", "lMultiplier", "lExpiryDate", "pExpiryDate", "dStrikePrice", "lFreezeQty", "dHighPriceRange", "dLowPriceRange", "pCreditRating",
	"pGroup", "dGenNum", "dGenDen", "dPriceNum", "dPriceDen",
}

// needed are the columns without which a file is of no use.
func needed(s Segment) []int {
	all := []int{colToken, colName, colSymbol, colTick, colLot, colFreeze}
	if s.Cash() {
		return append(all, colISIN)
	}
	return append(all, colOption, colStrike)
}

// A reading is a scrip master while it is read.
type reading struct {
	*scrips
	slots   []int8 // what each column of the file is, -1 for one that is not read
	cells   [columns][]byte
	line    int
	text    []byte
	chunks  [][]scrip
	serIDs  map[string]uint32
	termIDs map[terms]uint32
	seconds int64 // the last expiry, and its day: rows of one follow each other
	day     day
	unquote []byte
}

// readScrips reads a scrip master row by row; the file is never in memory as a whole. A
// bad row costs that row. The error is about the file: no header, no rows, or cut off.
func readScrips(r io.Reader, segment Segment, date Date) (*scrips, error) {
	p := reading{
		scrips: &scrips{segment: segment, date: date, nameIDs: map[string]uint32{}}, serIDs: map[string]uint32{}, termIDs: map[terms]uint32{},
	}
	limited := &io.LimitedReader{R: r, N: maxMasterBytes}
	b := bufio.NewReaderSize(limited, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			p.line++
			long := errors.Is(err, bufio.ErrBufferFull)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = b.ReadSlice('\n')
			}
			if failed := p.read(line, long, err != nil); failed != nil {
				return nil, failed
			}
		}
		switch {
		case err == io.EOF && limited.N <= 0: //nolint:errorlint // a broken connection may wrap it
			return nil, p.fail("is longer than %d MB", maxMasterBytes>>20)
		case err == io.EOF: //nolint:errorlint // the same
			return p.finish()
		case err != nil:
			return nil, err
		}
	}
}

func (p *reading) fail(format string, args ...any) error {
	return errorf("the scrip master of %s "+format, append([]any{p.segment}, args...)...)
}

// read takes a line: the header, a row, or nothing.
func (p *reading) read(line []byte, long, last bool) error {
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case p.line == 1 && long:
		return p.fail("begins with a line of more than %d bytes: it is no CSV file", maxLine)
	case p.line == 1:
		return p.header(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))
	case len(bytes.TrimSpace(line)) == 0:
		return nil
	case long:
		p.refuse("the row is longer than %d bytes", maxLine)
	case !p.split(line):
		if last {
			return p.fail("was cut off in line %d", p.line)
		}
	default:
		p.row()
	}
	if len(p.chunks)*chunk > maxMasterRows {
		return p.fail("has more than %d rows", maxMasterRows)
	}
	return nil
}

func (p *reading) header(line []byte) error {
	byName := map[string]int8{}
	for n, name := range columnNames {
		byName[name] = int8(n) //nolint:gosec // few
	}
	var have [columns]bool
	for name := range strings.SplitSeq(string(line), ",") {
		n, ok := byName[strings.Trim(name, " ;\t\"")]
		if !ok || have[n] {
			n = -1
		} else {
			have[n] = true
		}
		p.slots = append(p.slots, n)
	}
	var missing []string
	for _, n := range needed(p.segment) {
		if !have[n] {
			missing = append(missing, columnNames[n])
		}
	}
	if !p.segment.Cash() && !have[colLExpiry] && !have[colPExpiry] {
		missing = append(missing, columnNames[colPExpiry])
	}
	if len(missing) > 0 {
		return p.fail("has no column %s: its form is new, or it is no scrip master", strings.Join(missing, ", "))
	}
	return nil
}

// split cuts a row into the cells that are read.
func (p *reading) split(line []byte) bool {
	p.cells = [columns][]byte{}
	if bytes.IndexByte(line, '"') >= 0 {
		return p.splitQuoted(line)
	}
	col := 0
	for ; ; col++ {
		end := bytes.IndexByte(line, ',')
		cell := line
		if end >= 0 {
			cell = line[:end]
		}
		if !p.cell(col, cell) {
			return false
		}
		if end < 0 {
			return p.whole(col + 1)
		}
		line = line[end+1:]
	}
}

func (p *reading) whole(cells int) bool {
	if cells < len(p.slots) {
		p.refuse("the row has %d cells, the header %d", cells, len(p.slots))
		return false
	}
	return true
}

// cell takes a cell. If there are more than the header has something in the row has moved.
func (p *reading) cell(col int, cell []byte) bool {
	if col >= len(p.slots) {
		p.refuse("the row has more than the %d cells of the header", len(p.slots))
		return false
	}
	if n := p.slots[col]; n >= 0 {
		if len(cell) > 0 && (cell[0] <= ' ' || cell[len(cell)-1] <= ' ') {
			cell = bytes.TrimSpace(cell)
		}
		p.cells[n] = cell
	}
	return true
}

// splitQuoted is split for a row with quotation marks: two of them inside a quoted cell
// are one. A cell does not go on in the next line.
func (p *reading) splitQuoted(line []byte) bool {
	p.unquote = p.unquote[:0]
	if cap(p.unquote) < len(line) {
		p.unquote = make([]byte, 0, 2*len(line)) // cells are parts of it: it must not move
	}
	for col := 0; ; col++ {
		start := len(p.unquote)
		quoted := len(line) > 0 && line[0] == '"'
		if quoted {
			line = line[1:]
		}
		for {
			if len(line) == 0 {
				if quoted {
					p.refuse("a quotation mark is not closed")
					return false
				}
				break
			}
			c := line[0]
			if quoted && c == '"' {
				if len(line) > 1 && line[1] == '"' {
					line = line[1:]
				} else {
					quoted = false
					line = line[1:]
					continue
				}
			} else if !quoted && c == ',' {
				break
			}
			p.unquote = append(p.unquote, c)
			line = line[1:]
		}
		if !p.cell(col, p.unquote[start:len(p.unquote):len(p.unquote)]) {
			return false
		}
		if len(line) == 0 {
			return p.whole(col + 1)
		}
		line = line[1:]
	}
}

// refuse leaves a row out.
func (p *reading) refuse(format string, args ...any) {
	p.badRows++
	p.note(false, format, args...)
}

func (p *reading) note(kept bool, format string, args ...any) {
	if len(p.bad) < maxBadRows {
		p.bad = append(p.bad, BadRow{p.segment, p.line, clip(strings.ToValidUTF8(string(p.cells[colSymbol]), "?")), fmt.Sprintf(format, args...), kept})
	}
}

const chunk = 4096

// row takes the row whose cells have been cut.
func (p *reading) row() {
	var s scrip
	c := &p.cells
	for _, n := range [...]int{colToken, colSymbol, colName} {
		if len(c[n]) == 0 {
			p.refuse("%s is empty", columnNames[n])
			return
		}
	}
	for _, n := range [...]int{colToken, colSymbol, colName, colDesc, colISIN, colGroup} {
		if len(c[n]) > 255 {
			p.refuse("%s has %d bytes: more than 255", columnNames[n], len(c[n]))
			return
		}
	}
	if seg := c[colSegment]; len(seg) > 0 && string(seg) != string(p.segment) {
		p.refuse("the row is of the segment %q", clip(string(seg)))
		return
	}
	if !p.kind(&s) || !p.numbers(&s) || (s.kind >= kindFuture && !p.contract(&s)) {
		return
	}
	series := c[colGroup]
	if !p.segment.Cash() {
		series = nil // "XX"
	}
	s.name, s.series = intern(p.nameIDs, &p.names, c[colName]), intern(p.serIDs, &p.series, series)
	s.at = uint32(len(p.text)) //nolint:gosec // at most maxMasterBytes
	s.symbol, s.company, s.isin = p.add(c[colSymbol]), p.add(c[colDesc]), p.add(c[colISIN])
	if !bytes.Contains(c[colSymbol], c[colName]) {
		s.alias = p.add(c[colName])
	}
	s.token = p.add(c[colToken])
	if n := len(p.chunks); n == 0 || len(p.chunks[n-1]) == chunk {
		p.chunks = append(p.chunks, make([]scrip, 0, chunk))
	}
	last := &p.chunks[len(p.chunks)-1]
	*last = append(*last, s)
}

func (p *reading) add(text []byte) uint8 {
	p.text = append(p.text, text...)
	return uint8(len(text)) //nolint:gosec // checked
}

// kind finds out what the row is.
func (p *reading) kind(s *scrip) bool {
	c := &p.cells
	if p.segment.Cash() {
		if len(c[colISIN]) == 0 {
			s.kind = kindIndex
		}
		return true
	}
	switch option := c[colOption]; string(option) {
	case "CE":
		s.kind = kindCall
	case "PE":
		s.kind = kindPut
	case "", "XX":
		s.kind = kindFuture
		if bytes.HasPrefix(c[colType], []byte("OPT")) {
			p.refuse("an option without an option type")
			return false
		}
	default:
		p.refuse("pOptionType is %q", clip(string(option)))
		return false
	}
	return true
}

// number reads a cell that holds a whole number; empty is absent, -1.
func (p *reading) number(column int) (n int64, ok bool) {
	cell := p.cells[column]
	if len(cell) == 0 {
		return -1, true
	}
	if n, ok = scaled(cell, 0); !ok {
		p.refuse("%s is %q: not a whole number", columnNames[column], clip(string(cell)))
	}
	return n, ok
}

// price reads a cell in paise; what is empty or not above 0 is absent.
func (p *reading) price(column int) (r Rupees, ok bool) {
	cell := p.cells[column]
	if len(cell) == 0 {
		return Rupees{}, true
	}
	n, ok := scaled(cell, paise)
	if !ok {
		p.refuse("%s is %q: not an amount in paise", columnNames[column], clip(string(cell)))
	}
	if n <= 0 {
		return Rupees{}, ok
	}
	return rupees(n), ok
}

// noFreeze is the freeze quantity of rows that have none.
const noFreeze = 99_999_999

func (p *reading) numbers(s *scrip) bool {
	var t terms
	var ok bool
	var precision int64
	if t.lot, ok = p.number(colLot); !ok {
		return false
	}
	if t.lot <= 0 {
		if s.kind != kindIndex {
			p.refuse("lLotSize is %q: not above 0", clip(string(p.cells[colLot])))
			return false
		}
		t.lot = 1
	}
	if s.freeze, ok = p.number(colFreeze); !ok {
		return false
	}
	switch {
	case s.freeze <= 0 || s.freeze == noFreeze:
		s.freeze = 0
	case s.freeze <= t.lot:
		p.note(true, "the freeze quantity %d is not above the lot of %d: taken for none", s.freeze, t.lot)
		s.freeze = 0
	}
	if t.tick, ok = p.price(colTick); !ok {
		return false
	}
	if precision, ok = p.number(colPrecision); !ok {
		return false
	}
	t.precision = 2
	if precision >= 0 && precision <= decimals {
		t.precision = int(precision)
	}
	for _, f := range [...]struct {
		column int
		to     *int64
	}{{colMultiplier, &t.multiplier}, {colGenNum, &t.genNum}, {colGenDen, &t.genDen}, {colPriceNum, &t.priceNum}, {colPriceDen, &t.priceDen}} {
		if *f.to, ok = p.number(f.column); !ok {
			return false
		}
		if *f.to <= 0 {
			*f.to = 1
		}
	}
	s.lower, s.upper = band(p.cells[colLow], p.cells[colHigh], p.cells[colRating])
	id, ok := p.termIDs[t]
	if !ok {
		id = uint32(len(p.terms)) //nolint:gosec // at most maxMasterRows
		p.terms = append(p.terms, t)
		p.termIDs[t] = id
	}
	s.terms = id
	return true
}

// contract reads expiry and strike, and compares them with what pScripRefKey says.
func (p *reading) contract(s *scrip) bool {
	seconds, ok := p.number(colPExpiry)
	if ok && seconds <= 0 {
		seconds, ok = p.number(colLExpiry)
	}
	if !ok {
		return false
	}
	if seconds != p.seconds || p.day == 0 {
		d, known := expiryOf(p.segment, seconds)
		if !known {
			p.refuse("a contract without an expiry: pExpiryDate is %q, lExpiryDate %q", clip(string(p.cells[colPExpiry])), clip(string(p.cells[colLExpiry])))
			return false
		}
		p.seconds, p.day = seconds, d
	}
	s.expiry = p.day
	if s.kind != kindFuture {
		if s.strike, ok = p.price(colStrike); !ok {
			return false
		}
		if !s.strike.Known() {
			p.refuse("an option without a strike: dStrikePrice is %q", clip(string(p.cells[colStrike])))
			return false
		}
	}
	key, ok := refKey(p.cells[colRefKey], p.cells[colName])
	switch {
	case !ok:
		return true
	case key.expiry != s.expiry:
		p.refuse("expires on %s by its expiry, on %s by its pScripRefKey %s", s.expiry.date(), key.expiry.date(), clip(string(p.cells[colRefKey])))
		return false
	case s.kind != kindFuture && key.kind != "" && key.kind != kinds[s.kind]:
		p.refuse("is a %s by its option type, a %s by its pScripRefKey %s", kinds[s.kind], key.kind, clip(string(p.cells[colRefKey])))
		return false
	case s.kind != kindFuture && key.strike.Known() && key.strike != s.strike:
		p.refuse("has the strike %s by dStrikePrice, %s by its pScripRefKey %s", s.strike, key.strike, clip(string(p.cells[colRefKey])))
		return false
	}
	return true
}

func intern(ids map[string]uint32, all *[]string, text []byte) uint32 {
	id, ok := ids[string(text)]
	if !ok {
		id = uint32(len(*all)) //nolint:gosec // at most maxMasterRows
		*all = append(*all, string(text))
		ids[(*all)[id]] = id
	}
	return id
}

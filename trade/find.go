package trade

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// A Search describes instruments. What is "" or zero fits all.
type Search struct {
	Text     string  // a part of symbol, underlying, company or ISIN, in any case
	Prefix   string  // how the symbol begins
	Segment  Segment // one of those of the master
	Name     string  // the underlying, exactly: NIFTY is not NIFTYNXT50
	Kind     Kind
	Expiry   Date
	Strike   Rupees // this strike or, with StrikeTo, from this strike
	StrikeTo Rupees
	Limit    int // at most so many; 0 is no limit
}

// A query is a search in one file.
type query struct {
	Search
	text   string // Search.Text in upper case
	expiry day
	kind   int
	found  []Instrument
}

// Find returns the instruments that a search describes: those whose symbol or underlying
// is the text or prefix first, then in the order of their symbols, segment by segment.
func (m *Master) Find(s Search) []Instrument {
	q := query{Search: s, text: strings.ToUpper(s.Text), expiry: dayOf(s.Expiry), kind: slices.Index(kinds[:], s.Kind)}
	if s.Kind != "" && q.kind < 0 {
		return nil
	}
	if s.Segment != "" {
		q.Segment = s.Segment.wire()
	}
	if s.Limit > 0 {
		q.found = make([]Instrument, 0, min(s.Limit, m.Len()))
	}
	for _, exact := range [...]bool{true, false} {
		for _, f := range m.files {
			if q.Segment == "" || q.Segment == f.segment {
				f.find(&q, exact)
			}
		}
	}
	return q.found
}

// exactly returns the text that a symbol or underlying has to be to come first.
func (q *query) exactly() string {
	if q.text != "" {
		return q.text
	}
	return q.Prefix
}

// find adds the rows that fit: those whose symbol or name is the text, or the others.
func (f *scrips) find(q *query, exact bool) {
	text := q.exactly()
	take := func(row uint32) (more bool) {
		s := &f.rows[row]
		if exact == (text != "" && (f.names[s.name] == text || f.symbol(s) == text)) && q.fits(f, s) {
			if n := len(q.found); n < cap(q.found) {
				q.found = q.found[:n+1] // made, and not yet used
			} else {
				q.found = append(q.found, Instrument{})
			}
			f.fill(&q.found[len(q.found)-1], s)
		}
		return q.Limit <= 0 || len(q.found) < q.Limit
	}
	switch {
	case q.Limit > 0 && len(q.found) >= q.Limit:
	case exact && text == "":
	case exact:
		if row, ok := f.bySymbol(text); ok && f.names[f.rows[row].name] != text && !take(row) {
			return
		}
		each(f.ofName(text), take)
	case q.Name != "":
		each(f.ofName(q.Name), take)
	case q.Prefix != "":
		for row := f.from(q.Prefix); row < len(f.rows) && strings.HasPrefix(f.symbolOf(uint32(row)), q.Prefix); row++ { //nolint:gosec // at most maxMasterRows
			if !take(uint32(row)) { //nolint:gosec // at most maxMasterRows
				return
			}
		}
	case q.text != "":
		f.with(q.text, take)
	default:
		for row := range f.rows {
			if !take(uint32(row)) { //nolint:gosec // at most maxMasterRows
				return
			}
		}
	}
}

func each(rows []uint32, take func(uint32) bool) {
	for _, row := range rows {
		if !take(row) {
			return
		}
	}
}

// fits reports whether a row has what the search names.
func (q *query) fits(f *scrips, s *scrip) bool {
	switch {
	case q.kind >= 0 && int(s.kind) != q.kind,
		q.expiry != 0 && s.expiry != q.expiry,
		q.Name != "" && f.names[s.name] != q.Name,
		q.Prefix != "" && !strings.HasPrefix(f.symbol(s), q.Prefix),
		q.StrikeTo.Known() && (!s.strike.Known() || s.strike.Less(q.Strike) || s.strike.More(q.StrikeTo)),
		!q.StrikeTo.Known() && q.Strike.Known() && s.strike != q.Strike:
		return false
	}
	return q.text == "" || f.has(s, q.text)
}

// has reports whether a text that is searched has a part, which is in upper case.
func (f *scrips) has(s *scrip, part string) bool {
	rest := f.text[s.at:]
	for _, n := range [...]uint8{s.symbol, s.company, s.isin, s.alias} {
		for i := 0; i+len(part) <= int(n); i++ {
			if begins(rest[i:], part) {
				return true
			}
		}
		rest = rest[n:]
	}
	return false
}

// begins reports whether a text begins with a part, which is in upper case.
func begins(text, part string) bool {
	if len(text) < len(part) {
		return false
	}
	for i := range len(part) {
		if upper(text[i]) != part[i] {
			return false
		}
	}
	return true
}

const (
	padding = 32   // after the texts, so that a whole step can be read anywhere
	fold    = 0x20 // makes letters lower, and lets digits and signs be what they are
	ones    = 0x0101010101010101
	tops    = 0x80 * ones
)

// with takes the rows in whose texts a part is, given in upper case. It looks for the two
// neighbours of the part that are rarest, sixteen places at a time, and then at the whole.
func (f *scrips) with(part string, take func(uint32) bool) {
	if len(part) == 1 {
		f.withByte(part, take)
		return
	}
	k := 0
	rarity := func(i int) uint64 { return uint64(f.rare[part[i]|fold]) * uint64(f.rare[part[i+1]|fold]) }
	for i := 1; i+1 < len(part); i++ {
		if rarity(i) < rarity(k) {
			k = i
		}
	}
	first, second := uint64(part[k]|fold)*ones, uint64(part[k+1]|fold)*ones
	row, least, end := uint32(0), 0, len(f.text)-padding
	for i := 0; i < end; i += 16 {
		t := f.text[i:]
		if len(t) < padding {
			break // never
		}
		x := (load(t) | fold*ones) ^ first | (load(t[1:]) | fold*ones) ^ second
		y := (load(t[8:]) | fold*ones) ^ first | (load(t[9:]) | fold*ones) ^ second
		x, y = (x-ones)&^x&tops, (y-ones)&^y&tops
		for x|y != 0 { // a bit for each place that may be one
			var at int
			if x != 0 {
				at, x = i+bits.TrailingZeros64(x)/8-k, x&(x-1)
			} else {
				at, y = i+8+bits.TrailingZeros64(y)/8-k, y&(y-1)
			}
			if at < least || at+len(part) > end || !begins(f.text[at:], part) {
				continue
			}
			for int(f.starts[row+1]) <= at {
				row++
			}
			if !f.has(&f.rows[row], part) { // else it is across two texts, or in a token
				continue
			}
			if !take(row) {
				return
			}
			least = int(f.starts[row+1])
		}
	}
}

// withByte is with for a single character, which most rows have.
func (f *scrips) withByte(part string, take func(uint32) bool) {
	for row := range f.rows {
		if f.has(&f.rows[row], part) && !take(uint32(row)) { //nolint:gosec // at most maxMasterRows
			return
		}
	}
}

// load reads eight bytes at once.
func load(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// from returns the first row whose symbol is not before a text.
func (f *scrips) from(text string) int {
	low, high := 0, len(f.rows)
	for low < high {
		middle := int(uint(low+high) / 2)      //nolint:gosec // not negative
		if f.symbolOf(uint32(middle)) < text { //nolint:gosec // at most maxMasterRows
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (f *scrips) symbolOf(row uint32) string { return f.symbol(&f.rows[row]) }
func (f *scrips) tokenOf(row uint32) string  { return f.token(&f.rows[row]) }

// ofName returns the rows of an underlying.
func (f *scrips) ofName(name string) []uint32 {
	id, ok := f.nameIDs[name]
	if !ok {
		return nil
	}
	return f.named[f.nameAt[id]:f.nameAt[id+1]]
}

// A table finds the row of a text, by open addressing.
type table struct {
	slots []uint32 // a row + 1; 0 is free
	mask  uint64
}

var seed = maphash.MakeSeed()

func newTable(rows int) table {
	size := 8
	for size < 2*rows {
		size *= 2
	}
	return table{make([]uint32, size), uint64(size) - 1} //nolint:gosec // above 0
}

// add adds a row by its text. The first of several with one text stays.
func (t table) add(text string, row uint32, textOf func(uint32) string) {
	for h := maphash.String(seed, text) & t.mask; ; h = (h + 1) & t.mask {
		switch have := t.slots[h]; {
		case have == 0:
			t.slots[h] = row + 1
			return
		case textOf(have-1) == text:
			return
		}
	}
}

func (f *scrips) bySymbol(symbol string) (row uint32, ok bool) {
	t := &f.symbols
	for h := maphash.String(seed, symbol) & t.mask; t.slots[h] != 0; h = (h + 1) & t.mask {
		if row = t.slots[h] - 1; f.symbolOf(row) == symbol {
			return row, true
		}
	}
	return 0, false
}

func (f *scrips) byToken(token string) (row uint32, ok bool) {
	t := &f.tokens
	for h := maphash.String(seed, token) & t.mask; t.slots[h] != 0; h = (h + 1) & t.mask {
		if row = t.slots[h] - 1; f.tokenOf(row) == token {
			return row, true
		}
	}
	return 0, false
}

package trade

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Master is the scrip masters of some segments: every instrument that they list. It
// never changes, and is safe for concurrent use.
type Master struct {
	files []*scrips // one a segment
	stale error
}

// Date returns the day that the masters are of: the oldest, if they differ.
func (m *Master) Date() Date {
	var oldest Date
	for _, f := range m.files {
		if oldest.IsZero() || f.date.Before(oldest) {
			oldest = f.date
		}
	}
	return oldest
}

// Stale returns why a segment has the master of an earlier day, or nil if all are of
// today: today's could not be had, or was not complete.
func (m *Master) Stale() error { return m.stale }

// Len returns the number of instruments.
func (m *Master) Len() (n int) {
	for _, f := range m.files {
		n += len(f.rows)
	}
	return n
}

// Bad returns the rows that are not as they should be, at most a hundred a segment, and
// how many were left out in all.
func (m *Master) Bad() (rows []BadRow, left int) {
	for _, f := range m.files {
		rows = append(rows, f.bad...)
		left += f.badRows
	}
	return rows, left
}

func (m *Master) file(segment Segment) (*scrips, error) {
	segment = segment.wire()
	for _, f := range m.files {
		if f.segment == segment {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%w: the instruments of %s were not asked for", ErrNotFound, segment)
}

// wire returns the segment by its name on the wire, for a name that a person may write.
func (s Segment) wire() Segment {
	switch s {
	case NSE, BSE, NFO, BFO, MCX, CDS:
		return s
	}
	if known, err := ParseSegment(string(s)); err == nil {
		return known
	}
	return s
}

// Symbol returns the instrument with a trading symbol, such as "TCS-EQ". The error is
// [ErrNotFound] if there is none, and names what comes near, or the problem of its row.
func (m *Master) Symbol(segment Segment, symbol string) (Instrument, error) {
	f, err := m.file(segment)
	if err != nil {
		return Instrument{}, err
	}
	if s := f.bySymbol(symbol); s != nil {
		return f.at(s), nil
	}
	return Instrument{}, f.missing(symbol)
}

// missing returns the error for a symbol that is not there.
func (f *scrips) missing(symbol string) error {
	wanted := strings.ToUpper(strings.TrimSpace(symbol))
	for _, b := range f.bad {
		if !b.Kept && strings.EqualFold(b.Symbol, wanted) {
			return fmt.Errorf("%w with the symbol %q: %w", ErrNotFound, clip(symbol), b)
		}
	}
	var near []string
	for _, s := range f.prefixed(wanted) {
		if near = append(near, f.symbol(&s)); len(near) == 3 {
			break
		}
	}
	if len(near) > 0 && wanted != "" {
		return fmt.Errorf("%w in %s with the symbol %q: did you mean %s?", ErrNotFound, f.segment, clip(symbol), strings.Join(near, ", "))
	}
	return fmt.Errorf("%w in %s with the symbol %q", ErrNotFound, f.segment, clip(symbol))
}

// Token returns the instrument with a token, such as "11536". Tokens repeat between
// segments.
func (m *Master) Token(segment Segment, token string) (Instrument, error) {
	f, err := m.file(segment)
	if err != nil {
		return Instrument{}, err
	}
	if s := f.byToken(token); s != nil {
		return f.at(s), nil
	}
	return Instrument{}, fmt.Errorf("%w in %s with the token %q", ErrNotFound, f.segment, clip(token))
}

// A Search describes instruments. What is "" or zero fits all.
type Search struct {
	Text     string  // a part of symbol, underlying or company, in any case
	Prefix   string  // how the symbol begins
	Segment  Segment // one of those of the master
	Name     string  // the underlying, exactly: NIFTY is not NIFTYNXT50
	Kind     Kind
	Expiry   Date
	Strike   Rupees // this strike or, with StrikeTo, from this strike
	StrikeTo Rupees
	Limit    int // at most so many; 0 is no limit
}

// Find returns the instruments that a search describes: those whose symbol or underlying
// is Text or Prefix first, then in the order of their symbols, segment by segment.
func (m *Master) Find(s Search) []Instrument {
	var found []Instrument
	if s.Limit > 0 {
		found = make([]Instrument, 0, min(s.Limit, m.Len()))
	}
	full := func() bool { return s.Limit > 0 && len(found) == s.Limit }
	text := strings.ToUpper(s.Text)
	q := query{Search: s, text: text, marks: marks(text), expiry: dayOf(s.Expiry), kind: slices.Index(kinds[:], s.Kind)}
	if s.Kind != "" && q.kind < 0 {
		return nil
	}
	exactly := ""
	if s.Text != "" {
		exactly = text
	} else {
		exactly = s.Prefix
	}
	for _, exact := range []bool{true, false} {
		if exact && exactly == "" {
			continue
		}
		for _, f := range m.files {
			if s.Segment != "" && f.segment != s.Segment.wire() {
				continue
			}
			rows := f.prefixed(s.Prefix)
			for i := range rows {
				r := &rows[i]
				if full() {
					return found
				}
				if q.fits(f, r) && (exactly == "" || exact == (f.symbol(r) == exactly || f.names[r.name] == exactly)) {
					found = append(found, f.at(r))
				}
			}
		}
	}
	return found
}

type query struct {
	Search
	text   string
	marks  uint64
	expiry day
	kind   int
}

func (q *query) fits(f *scrips, r *scrip) bool {
	switch {
	case q.kind >= 0 && int(r.kind) != q.kind,
		q.expiry != 0 && r.expiry != q.expiry,
		q.Name != "" && f.names[r.name] != q.Name,
		q.StrikeTo.Known() && (!r.strike.Known() || r.strike.Less(q.Strike) || r.strike.More(q.StrikeTo)),
		!q.StrikeTo.Known() && q.Strike.Known() && r.strike != q.Strike,
		r.marks&q.marks != q.marks:
		return false
	}
	return q.text == "" || contains(f.symbol(r), q.text) || contains(f.names[r.name], q.text) || contains(f.company(r), q.text)
}

// contains reports whether a part, in upper case, is in a text of any case.
func contains(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		n := 0
		for n < len(part) && upper(text[i+n]) == part[n] {
			n++
		}
		if n == len(part) {
			return true
		}
	}
	return false
}

// prefixed returns the rows whose symbols begin with a prefix.
func (f *scrips) prefixed(prefix string) []scrip {
	from, _ := slices.BinarySearchFunc(f.rows, prefix, func(s scrip, p string) int { return strings.Compare(f.symbol(&s), p) })
	rows := f.rows[from:]
	to, _ := slices.BinarySearchFunc(rows, prefix, func(s scrip, p string) int {
		if strings.HasPrefix(f.symbol(&s), p) {
			return -1
		}
		return 1
	})
	return rows[:to]
}

var errNoSegments = errors.New("the service lists no scrip master")

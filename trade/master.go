package trade

import (
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
	for _, f := range m.files {
		if f.segment == segment {
			return f, nil
		}
	}
	if wire := segment.wire(); wire != segment {
		return m.file(wire)
	}
	return nil, noSuch(nil, "the instruments of %s were not asked for", segment)
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
func (m *Master) Symbol(segment Segment, symbol string) (i Instrument, err error) {
	f, err := m.file(segment)
	if err != nil {
		return i, err
	}
	if row, ok := f.bySymbol(symbol); ok {
		f.fill(&i, &f.rows[row])
		return i, nil
	}
	return i, f.missing(symbol)
}

// missing returns the error for a symbol that is not there.
func (f *scrips) missing(symbol string) error {
	wanted := strings.ToUpper(strings.TrimSpace(symbol))
	for _, b := range f.bad {
		if !b.Kept && strings.EqualFold(b.Symbol, wanted) {
			return noSuch(b, "there is nothing in %s with the symbol %q that can be used: %v", f.segment, clip(symbol), b)
		}
	}
	var near []string
	for row := f.from(wanted); row < len(f.rows) && len(near) < 3 && strings.HasPrefix(f.symbolOf(uint32(row)), wanted); row++ { //nolint:gosec // at most maxMasterRows
		near = append(near, f.symbolOf(uint32(row))) //nolint:gosec // at most maxMasterRows
	}
	if len(near) > 0 && wanted != "" {
		return noSuch(nil, "there is nothing in %s with the symbol %q: did you mean %s?", f.segment, clip(symbol), strings.Join(near, ", "))
	}
	return noSuch(nil, "there is nothing in %s with the symbol %q", f.segment, clip(symbol))
}

// Token returns the instrument with a token, such as "11536". Tokens repeat between
// segments.
func (m *Master) Token(segment Segment, token string) (i Instrument, err error) {
	f, err := m.file(segment)
	if err != nil {
		return i, err
	}
	if row, ok := f.byToken(token); ok {
		f.fill(&i, &f.rows[row])
		return i, nil
	}
	return i, noSuch(nil, "there is nothing in %s with the token %q", f.segment, clip(token))
}

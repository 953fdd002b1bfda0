package paperapi

import (
	"encoding/json"
	"strconv"
	"time"

	"neoapi/internal/paper/listing"
)

// A row is a JSON object that grows key by key: reports have hundreds of rows of seventy
// keys.
type row []byte

// begin begins an object.
func (r *row) begin() { *r = append(*r, '{') }

// end ends it.
func (r *row) end() {
	if (*r)[len(*r)-1] == ',' {
		(*r)[len(*r)-1] = '}'
		return
	}
	*r = append(*r, '}')
}

func (r *row) key(name string) {
	*r = append(*r, '"')
	*r = append(*r, name...)
	*r = append(*r, '"', ':')
}

// text adds a string.
func (r *row) text(name, value string) {
	r.key(name)
	*r = appendText(*r, value)
	*r = append(*r, ',')
}

// texts adds the same string under several keys.
func (r *row) texts(value string, names ...string) {
	for _, name := range names {
		r.text(name, value)
	}
}

// number adds a number.
func (r *row) number(name string, value int64) {
	r.key(name)
	*r = strconv.AppendInt(*r, value, 10)
	*r = append(*r, ',')
}

// digits adds a number as a string.
func (r *row) digits(name string, value int64) {
	r.key(name)
	*r = append(*r, '"')
	*r = strconv.AppendInt(*r, value, 10)
	*r = append(*r, '"', ',')
}

// price adds a price as a string.
func (r *row) price(name string, p listing.Price, decimals int) {
	r.key(name)
	*r = append(*r, '"')
	*r = appendPrice(*r, p, decimals)
	*r = append(*r, '"', ',')
}

// amount adds a price as a number.
func (r *row) amount(name string, p listing.Price, decimals int) {
	r.key(name)
	*r = appendPrice(*r, p, decimals)
	*r = append(*r, ',')
}

// Forms of times.
const (
	dayAndTime = "02-Jan-2006 15:04:05"
	sorted     = "2006/01/02 15:04:05"
)

// at adds a time in India's, or "NA" for none.
func (r *row) at(name string, t time.Time, form string) {
	if t.IsZero() {
		r.text(name, "NA")
		return
	}
	r.key(name)
	*r = append(*r, '"')
	*r = appendTime(*r, t.In(listing.India), form)
	*r = append(*r, '"', ',')
}

// appendTime appends a time in a form. A report has thousands of two of them.
func appendTime(b []byte, t time.Time, form string) []byte {
	if form != dayAndTime && form != sorted {
		return t.AppendFormat(b, form)
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if form == sorted {
		b = appendTwo(appendTwo(b, year/100), year%100)
		b = appendTwo(append(b, '/'), int(month))
		b = appendTwo(append(b, '/'), day)
	} else {
		b = append(appendTwo(b, day), '-')
		b = append(append(b, month.String()[:3]...), '-')
		b = appendTwo(appendTwo(b, year/100), year%100)
	}
	b = appendTwo(append(b, ' '), hour)
	b = appendTwo(append(b, ':'), minute)
	return appendTwo(append(b, ':'), second)
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

// appendPrice appends a price: [listing.Price.Append] has up to four decimals.
func appendPrice(b []byte, p listing.Price, decimals int) []byte {
	b = p.Append(b, min(4, decimals))
	for ; decimals > 4; decimals-- {
		b = append(b, '0')
	}
	return b
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

package trade

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// A row reads the values of a report's row by their columns. A value that does not have
// the form that its field needs costs that field, never the row.
type row struct {
	values []value
	n      uint32 // of the row, from 1
	raw    Raw
	unread uint64 // the columns whose values could not be read
}

// none is the value of a key that a row does not have.
var none value

// value returns what the row has in a column.
func (r *row) value(column int) *value {
	if v := &r.values[column]; v.row == r.n {
		return v
	}
	return &none
}

// absent reports whether a value means that there is none.
func (v *value) absent() bool {
	switch v.kind {
	case 0, kindNull:
		return true
	case kindString:
		switch v.text {
		case "", "-", "--", "- ", "NA":
			return true
		}
	}
	return false
}

// bad notes that a column could not be read.
func (r *row) bad(column int) { r.unread |= 1 << uint(column) }

// unreadKeys returns the keys that could not be read, with commas between them.
func (r *row) unreadKeys(l *layout) string {
	if r.unread == 0 {
		return ""
	}
	var keys []string
	for column, key := range l.keys {
		if r.unread&(1<<uint(column)) != 0 {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, ",")
}

// text reads a string, or a number's digits.
func (r *row) text(column int) string {
	v := r.value(column)
	switch {
	case v.absent():
		return ""
	case v.kind == kindString, v.kind == kindNumber:
		return v.text
	}
	r.bad(column)
	return ""
}

// rupees reads an amount.
func (r *row) rupees(column int) Rupees {
	v := r.value(column)
	if v.absent() {
		return Rupees{}
	}
	if n, ok := v.decimal(); ok {
		return rupees(n)
	}
	r.bad(column)
	return Rupees{}
}

// count reads a whole number; one that is absent is 0.
func (r *row) count(column int) int64 {
	v := r.value(column)
	if v.absent() {
		return 0
	}
	n, ok := v.whole()
	if !ok {
		r.bad(column)
	}
	return n
}

// whole reads a whole number, which may have decimals that are zeros.
func (v *value) whole() (n int64, ok bool) {
	if v.kind != kindString && v.kind != kindNumber {
		return 0, false
	}
	if n, ok := digits(v.text); ok {
		return n, true
	}
	if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return n, true
	}
	if n, ok := v.decimal(); ok && n%scale == 0 {
		return n / scale, true
	}
	return 0, false
}

// quantity reads a whole number that a row has to have.
func (r *row) quantity(column int) int64 {
	if r.value(column).absent() {
		r.bad(column)
	}
	return r.count(column)
}

// digits reads a number of at most 18 digits and nothing else, as most are.
func digits(s string) (n int64, ok bool) {
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, 0 < len(s) && len(s) <= 18
}

// decimal reads a number as ten-millionths. Services write amounts of a floating point
// type, too: with an exponent, or with more than seven decimals, which are rounded.
func (v *value) decimal() (n int64, ok bool) {
	if v.kind != kindString && v.kind != kindNumber {
		return 0, false
	}
	if n, ok := parse(v.text); ok {
		return n, true
	}
	text := strings.TrimSpace(v.text)
	if len(text) == 0 || len(text) > 50 || strings.Trim(text, "0123456789.eE+-") != "" {
		return 0, false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if e, err := strconv.Atoi(text[i+1:]); err != nil || e < -50 || e > 50 {
			return 0, false
		}
	}
	x, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, false
	}
	return rounded(x.Mul(x, new(big.Rat).SetInt64(scale)))
}

// rounded returns the whole number nearest to x, halves away from zero.
func rounded(x *big.Rat) (n int64, ok bool) {
	num := new(big.Int).Abs(x.Num())
	num.Lsh(num, 1).Add(num, x.Denom())
	num.Quo(num, new(big.Int).Lsh(x.Denom(), 1))
	if x.Sign() < 0 {
		num.Neg(num)
	}
	return num.Int64(), num.IsInt64() && num.Int64() != nothing
}

// Raw is a row as the service sent it, for fields that the package does not know.
type Raw string

// Get returns what the row has under a key, and whether it has it: a string without its
// quotes, anything else as it came.
func (r Raw) Get(key string) (text string, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(r), &fields) != nil {
		return "", false
	}
	raw, ok := fields[key]
	if json.Unmarshal(raw, &text) != nil || string(raw) == "null" {
		return string(raw), ok
	}
	return text, ok
}

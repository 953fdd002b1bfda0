package neoapi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// What an answer may contain at most: decoded, a row of three bytes takes a hundred times
// as much. An order book of 32 MB has some 30,000 rows and 2,000,000 values.
const (
	maxRows   = 1 << 17
	maxValues = 1 << 21
	maxDepth  = 10000 // of encoding/json
)

// An object is a JSON object whose values are not yet read. Answers are read
// this way because existing servers disagree about the types of nearly
// everything. The zero object is none.
type object struct {
	raw     []byte // all of it
	members []member
	excess  bool // it has more than maxRows or maxValues, and members is nil
}

type member struct{ name, value []byte }

// at returns the value of a name, the last one if there are several, as encoding/json
// does. It is nil if there is none.
func (o object) at(name string) json.RawMessage {
	for i := len(o.members) - 1; i >= 0; i-- {
		if string(o.members[i].name) == name {
			return o.members[i].value
		}
	}
	return nil
}

// none reports whether there was no object to read.
func (o object) none() bool { return o.raw == nil }

// toObject reads a JSON object, also one that was encoded twice or thrice into
// a string. It returns none for all else.
func toObject(raw []byte) object {
	raw = bytes.TrimPrefix(bytes.TrimSpace(raw), []byte("\uFEFF"))
	for range 3 {
		s := scanner{data: raw}
		if s.whole(true); s.excess {
			return object{excess: true}
		} else if s.ok {
			return s.top
		}
		var inner string
		if len(raw) == 0 || json.Unmarshal(raw, &inner) != nil {
			return object{}
		}
		raw = []byte(inner)
	}
	return object{}
}

// A scanner checks that data is JSON, as encoding/json does, without decoding it, and
// counts what it contains.
type scanner struct {
	data         []byte
	rows, values int

	top    object // what data is, if it is an object and wanted
	ok     bool   // data is JSON, and an object if that was wanted
	excess bool   // it has more than maxRows or maxValues
}

// whole scans all of data. If objects is set, anything but an object is not ok.
func (s *scanner) whole(objects bool) {
	start := s.space(0)
	if start == len(s.data) || objects && s.data[start] != '{' {
		return
	}
	var end int
	if s.data[start] == '{' && objects {
		end = s.object(start+1, 1, &s.top.members)
	} else {
		end = s.value(start, 0)
	}
	s.excess = s.rows > maxRows || s.values > maxValues
	if end < 0 || s.excess || s.space(end) != len(s.data) {
		s.top = object{}
		return
	}
	s.ok = true
	if objects {
		s.top.raw = s.data[start:end:end]
	}
}

// The methods below return where what they scan ends, or -1 if it is not JSON.

func (s *scanner) value(i, depth int) int {
	if i >= len(s.data) {
		return -1
	}
	switch c := s.data[i]; c {
	case '"':
		return s.text(i + 1)
	case '{':
		return s.object(i+1, depth+1, nil)
	case '[':
		return s.list(i+1, depth+1)
	case 't':
		return s.word(i, "true")
	case 'f':
		return s.word(i, "false")
	case 'n':
		return s.word(i, "null")
	}
	return s.number(i)
}

// object scans an object after its brace, and keeps its members in keep if that is not nil.
func (s *scanner) object(i, depth int, keep *[]member) int {
	if s.rows++; depth > maxDepth || s.rows > maxRows {
		return -1
	}
	if i = s.space(i); i < len(s.data) && s.data[i] == '}' {
		return i + 1
	}
	data := s.data
	for {
		if i >= len(data) || data[i] != '"' {
			return -1
		}
		name := i
		if i = s.text(i + 1); i < 0 {
			return -1
		}
		named := i
		if i = s.space(i); i >= len(data) || data[i] != ':' {
			return -1
		}
		start := s.space(i + 1)
		if start < len(data) && data[start] == '"' {
			i = s.text(start + 1)
		} else {
			i = s.value(start, depth)
		}
		if i < 0 {
			return -1
		}
		if keep != nil {
			if *keep == nil {
				*keep = make([]member, 0, 8)
			}
			*keep = append(*keep, member{unquoted(data[name:named]), data[start:i:i]})
		}
		if i = s.space(i); i >= len(data) {
			return -1
		}
		switch data[i] {
		case '}':
			return i + 1
		case ',':
			if s.values++; s.values > maxValues {
				return -1
			}
			i = s.space(i + 1)
		default:
			return -1
		}
	}
}

func (s *scanner) list(i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	if i = s.space(i); i < len(s.data) && s.data[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(i, depth); i < 0 {
			return -1
		}
		if i = s.space(i); i >= len(s.data) {
			return -1
		}
		switch s.data[i] {
		case ']':
			return i + 1
		case ',':
			if s.values++; s.values > maxValues {
				return -1
			}
			i = s.space(i + 1)
		default:
			return -1
		}
	}
}

func (s *scanner) space(i int) int {
	if i < len(s.data) && s.data[i] > ' ' {
		return i // as nearly always: this much is inlined
	}
	return s.blanks(i)
}

func (s *scanner) blanks(i int) int {
	for ; i < len(s.data); i++ {
		if c := s.data[i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			break
		}
	}
	return i
}

func (s *scanner) word(i int, word string) int {
	if end := i + len(word); end <= len(s.data) && string(s.data[i:end]) == word {
		return end
	}
	return -1
}

// text scans a string after its first quote, eight bytes at a time as long as they are
// neither a quote, nor a backslash, nor a control character.
func (s *scanner) text(i int) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	data := s.data
	for {
		for i+8 <= len(data) {
			w := binary.LittleEndian.Uint64(data[i:])
			quote, slash := w^('"'*each), w^('\\'*each)
			special := ((quote-each)&^quote | (slash-each)&^slash | (w-' '*each)&^w) & high
			if special != 0 { // its lowest bit is exact; a borrow may have set higher ones
				if i += bits.TrailingZeros64(special) >> 3; data[i] == '"' {
					return i + 1
				}
				break
			}
			i += 8
		}
		for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
			i++ // the last seven bytes
		}
		switch {
		case i >= len(data) || data[i] < ' ':
			return -1
		case data[i] == '"':
			return i + 1
		case i+1 >= len(data):
			return -1
		}
		switch data[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if i+6 > len(data) {
				return -1
			}
			for _, c := range data[i+2 : i+6] {
				if c -= '0'; c > 9 {
					if c = (c + '0') | ' '; c < 'a' || c > 'f' {
						return -1
					}
				}
			}
			i += 6
		default:
			return -1
		}
	}
}

func (s *scanner) number(i int) int {
	if i < len(s.data) && s.data[i] == '-' {
		i++
	}
	whole := i
	if i = s.digits(i); i == whole || s.data[whole] == '0' && i > whole+1 {
		return -1
	}
	if i < len(s.data) && s.data[i] == '.' {
		fraction := i + 1
		if i = s.digits(fraction); i == fraction {
			return -1
		}
	}
	if i < len(s.data) && s.data[i]|' ' == 'e' {
		if i++; i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		exponent := i
		if i = s.digits(i); i == exponent {
			return -1
		}
	}
	return i
}

func (s *scanner) digits(i int) int {
	for i < len(s.data) && s.data[i]-'0' <= 9 {
		i++
	}
	return i
}

// unquoted returns what a JSON string says.
func unquoted(quoted []byte) []byte {
	inside := quoted[1 : len(quoted)-1]
	if plain(inside) {
		return inside
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return nil // cannot happen: it was scanned
	}
	return []byte(text)
}

// plain reports whether a JSON string says what is between its quotes.
func plain(inside []byte) bool {
	for _, c := range inside {
		if c == '\\' || c < ' ' || c > '~' || c == '"' {
			return false
		}
	}
	return true
}

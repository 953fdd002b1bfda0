package trade

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A layout is the keys of a report's rows that are read, each with its column.
type layout struct {
	keys    []string
	columns map[string]int
}

func newLayout(keys []string) *layout {
	l := &layout{keys: keys, columns: map[string]int{}}
	for column, key := range keys {
		l.columns[key] = column
	}
	return l
}

// A value is what a row has under a key.
type value struct {
	text string // of a string without quotes and escapes, of all else as it came
	kind byte   // a constant below; 0 if the row does not have the key
	row  uint32 // which row has it: values of earlier rows stay where they are
}

// Kinds of values.
const (
	kindString = '"'
	kindNumber = '0'
	kindBool   = 't'
	kindNull   = 'n'
	kindNested = '{' // an object or a list, which no row of the service has
)

// A scanner reads a list of JSON objects whose values are strings and numbers. It takes
// what encoding/json takes, refuses what that refuses, and costs a fraction of it: strings
// are parts of the text, and keys are compared with those of the row before.
type scanner struct {
	text string
	at   int
	*layout
	last []scannedKey // the keys of the row before
	row  row
}

// A scannedKey is a key as it is written, with the colon.
type scannedKey struct {
	text   string
	column int
}

// maxKeys is how many keys of a row are remembered.
const maxKeys = 256

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10_000

// scan calls each with every row of a list of objects, or returns what is wrong with it.
// The row is valid until each returns; its texts stay.
func scan(text string, l *layout, each func(*row)) error {
	if !utf8.ValidString(text) {
		text = valid(text)
	}
	s := scanner{text: text, layout: l, row: row{values: make([]value, len(l.keys))}}
	if s.space(); !s.take('[') {
		return s.wrong("is not a list")
	}
	if s.space(); s.take(']') {
		return s.end()
	}
	for n := 1; ; n++ {
		start := s.at
		s.row.n = uint32(n) //nolint:gosec // an answer has some 100,000 rows
		if !s.object() {
			return s.wrong(fmt.Sprintf("is not a list of objects: row %d cannot be read", n))
		}
		s.row.raw, s.row.unread = Raw(s.text[start:s.at]), 0
		each(&s.row)
		if s.space(); s.take(']') {
			return s.end()
		}
		if !s.take(',') {
			return s.wrong(fmt.Sprintf("breaks off after row %d", n))
		}
		s.space()
	}
}

// scanOne calls one with a single object, or returns what is wrong with it.
func scanOne(text string, l *layout, one func(*row)) error {
	if !utf8.ValidString(text) {
		text = valid(text)
	}
	s := scanner{text: text, layout: l, row: row{values: make([]value, len(l.keys)), n: 1}}
	s.space()
	start := s.at
	if !s.object() {
		return fmt.Errorf("it is not an object of JSON (at byte %d of %d)", s.at, len(text))
	}
	s.row.raw = Raw(text[start:s.at])
	if s.space(); s.at < len(text) {
		return fmt.Errorf("it is followed by something else (at byte %d of %d)", s.at, len(text))
	}
	one(&s.row)
	return nil
}

// valid replaces what is not UTF-8 as encoding/json does, byte by byte.
func valid(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(r)
	}
	return b.String()
}

func (s *scanner) wrong(problem string) error {
	return fmt.Errorf("the list %s (at byte %d of %d)", problem, s.at, len(s.text))
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.space(); s.at < len(s.text) {
		return s.wrong("is followed by something else")
	}
	return nil
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take moves past a byte if it is next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// object reads an object into the row. Most of the time is spent here: the usual forms of
// keys, values and what is between them are read without a call.
func (s *scanner) object() bool {
	if !s.take('{') {
		return false
	}
	if s.space(); s.take('}') {
		return true
	}
	for n := 0; ; n++ {
		column, ok := s.key(n)
		if !ok {
			return false
		}
		kind, text, ok := s.plainString()
		if !ok {
			if kind, text, ok = s.value(); !ok {
				return false
			}
		}
		if column >= 0 { // of a key that comes twice, the last value
			v := &s.row.values[column]
			v.text, v.kind, v.row = text, kind, s.row.n
		}
		if at := s.at; at+1 < len(s.text) && s.text[at] == ',' && s.text[at+1] == '"' {
			s.at++
			continue
		}
		if s.space(); s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
}

// plainString reads a string without escapes that is next.
func (s *scanner) plainString() (kind byte, text string, ok bool) {
	all, i := s.text, s.at
	if i >= len(all) || all[i] != '"' {
		return 0, "", false
	}
	start := i + 1
	for i = start; i < len(all) && plain[all[i]]; i++ {
	}
	if i == len(all) || all[i] != '"' {
		return 0, "", false
	}
	s.at = i + 1
	return kindString, all[start:i], true
}

// key reads the n-th key of a row with its colon, and returns its column, or -1 if it is
// not read.
func (s *scanner) key(n int) (column int, ok bool) {
	if n < len(s.last) {
		k := &s.last[n]
		if end := s.at + len(k.text); end <= len(s.text) && s.text[s.at:end] == k.text {
			s.at = end
			return k.column, true
		}
	}
	return s.newKey(n)
}

// newKey reads a key that is not that of the row before.
func (s *scanner) newKey(n int) (column int, ok bool) {
	start := s.at
	name, ok := s.string()
	if s.space(); !ok || !s.take(':') {
		return 0, false
	}
	column, ok = s.columns[name]
	if !ok {
		column = -1
	}
	k := scannedKey{s.text[start:s.at], column}
	switch {
	case n < len(s.last):
		s.last[n] = k
	case n < maxKeys:
		s.last = append(s.last, k)
	}
	return column, true
}

func (s *scanner) value() (kind byte, text string, ok bool) {
	if s.space(); s.at == len(s.text) {
		return 0, "", false
	}
	start := s.at
	switch s.text[s.at] {
	case '"':
		text, ok = s.string()
		return kindString, text, ok
	case '{', '[':
		kind, ok = kindNested, s.nested()
	case 't':
		kind, ok = kindBool, s.word("true")
	case 'f':
		kind, ok = kindBool, s.word("false")
	case 'n':
		kind, ok = kindNull, s.word("null")
	default:
		kind, ok = kindNumber, s.number()
	}
	return kind, s.text[start:s.at], ok
}

func (s *scanner) word(w string) bool {
	if !strings.HasPrefix(s.text[s.at:], w) {
		return false
	}
	s.at += len(w)
	return true
}

// plain are the bytes that mean themselves in a string.
var plain = func() (is [256]bool) {
	for c := range is {
		is[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return is
}()

// string reads a string.
func (s *scanner) string() (text string, ok bool) {
	if _, text, ok = s.plainString(); ok {
		return text, true
	}
	start := s.at
	if s.at == len(s.text) || s.text[s.at] != '"' || !s.skipString() {
		return "", false
	}
	return unquote(s.text[start:s.at])
}

// unquote reads a string with escapes.
func unquote(quoted string) (text string, ok bool) {
	err := json.Unmarshal([]byte(quoted), &text)
	return text, err == nil
}

// skipString moves past a string, whose escapes it does not check.
func (s *scanner) skipString() bool {
	for i := s.at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case plain[c]:
		case c == '\\':
			i++
		case c == '"':
			s.at = i + 1
			return true
		default:
			return false
		}
	}
	return false
}

// number reads a number.
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('-') {
			s.take('+')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && s.text[s.at]-'0' <= 9 {
		s.at++
	}
	return s.at > start
}

// nested moves past an object or a list.
func (s *scanner) nested() bool {
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			if !s.skipString() {
				return false
			}
			continue
		case '{', '[':
			if depth++; depth > maxDepth-2 { // it is in an object in a list
				return false
			}
		case '}', ']':
			if depth--; depth == 0 {
				s.at++
				return json.Valid([]byte(s.text[start:s.at]))
			}
		}
		s.at++
	}
	return false
}

package operator

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"neoapi/internal/login"
)

// A header describes the columns and the encoding of a file.
type header struct {
	at    map[string]int
	text  string // the line itself
	n     int    // columns
	comma string // what parts the fields
	wide  binary.ByteOrder
}

// number returns the number of a line in the file that was imported first: a file with
// rejected lines has it in a column. It is n for all others.
func (h header) number(text string, n int64) int64 {
	i, ok := h.at["line"]
	if !ok {
		return n
	}
	for j, field := range h.fields(text) {
		first, err := strconv.ParseInt(strings.Trim(field, ` "`), 10, 64)
		if j == i && err == nil && first > 0 {
			return first
		}
	}
	return n
}

// own returns a line without the additional columns of a file with rejected lines, so
// that a line rejected again has them only once.
func (h header) own(text string) string {
	names, err := split(h.text, h.comma)
	if err != nil {
		return text
	}
	var own []string
	for i, field := range h.fields(text) {
		if i >= len(names) || !slices.Contains(ignored, columnOf(names[i])) {
			own = append(own, field)
		}
	}
	return strings.Join(own, h.comma)
}

// fields splits a line into its fields, unchanged and with their quotes, even if the
// line is not valid CSV.
func (h header) fields(text string) (all []string) {
	for {
		end := strings.Index(text, h.comma)
		if strings.HasPrefix(text, `"`) {
			end = closing(text, h.comma)
		}
		if end < 0 {
			return append(all, text)
		}
		all, text = append(all, text[:end]), text[end+len(h.comma):]
	}
}

// closing returns where a quoted field that a text begins with ends, before a comma, or
// -1: then it is the last one, or is not closed.
func closing(text, comma string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
		case strings.HasPrefix(text[i+1:], `"`):
			i++
		case strings.HasPrefix(text[i+1:], comma):
			return i + 1
		}
	}
	return -1
}

// columnOf is the name of a column of a first line, in which people write it with
// capitals, blanks and hyphens: "User ID".
func columnOf(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return unicode.IsSpace(r) || r == '-' || r == '_' })
	return strings.Join(words, "_")
}

// commas are the possible separators of fields: spreadsheets write each of them.
var commas = []string{",", ";", "\t"}

// readHeader reads the first line, and returns where the second one begins.
func readHeader(f *os.File) (h header, start login.Import, err error) {
	if h.wide, err = encodingOf(f); err != nil {
		return h, start, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return h, start, err
	}
	lines := lineReader{bufio.NewReaderSize(f, 2*maxLine), h.wide}
	raw, n, err := lines.next()
	if err != nil && !errors.Is(err, io.EOF) || raw == nil {
		return h, start, errors.New("the first line must name the columns")
	}
	start.Offset, start.Line = n, 1
	h.text = strings.TrimPrefix(string(raw), "\ufeff")
	if strings.TrimSpace(h.text) == "" {
		if errors.Is(err, io.EOF) {
			return h, start, errors.New("the file is empty")
		}
		return h, start, errors.New("the first line is empty: it must name the columns")
	}
	if strings.Contains(h.text, "\r") {
		return h, start, errors.New("its lines end with a carriage return alone, as old Macintosh programs write them: save it as CSV UTF-8")
	}
	names, err := h.columns()
	if err != nil {
		return h, start, fmt.Errorf("the first line: %w", err)
	}
	h.at, h.n = map[string]int{}, len(names)
	var problems []error
	var unknown []string
	for i, written := range names {
		name := columnOf(written)
		_, twice := h.at[name]
		switch {
		case slices.Contains(ignored, name):
		case !slices.Contains(columns, name):
			unknown = append(unknown, strings.TrimSpace(written))
		case twice:
			problems = append(problems, fmt.Errorf("the first line names %s twice", name))
		}
		h.at[name] = i
	}
	if len(unknown) > 0 {
		problems = append(problems, unknownColumns(unknown, len(names)))
	}
	for _, name := range required {
		if _, ok := h.at[name]; !ok {
			problems = append(problems, fmt.Errorf("the first line lacks the column %s", name))
		}
	}
	if len(problems) > 0 {
		problems = append(problems, errors.New("nothing was imported: correct the first line, and run the same command again"))
	}
	return h, start, errors.Join(problems...)
}

// unknownColumns returns an error that names the unknown ones of the n columns of a first line.
func unknownColumns(names []string, n int) error {
	known := "known are " + strings.Join(columns, ", ")
	if n == 1 { // perhaps the separator is another one
		known += "; separate them with commas, semicolons or tabs"
	}
	if len(names) == 1 {
		return fmt.Errorf("the first line names a column %.40q: %s", names[0], known)
	}
	var said []string
	for _, name := range names[:min(len(names), 5)] {
		said = append(said, fmt.Sprintf("%.40q", name))
	}
	if more := len(names) - len(said); more > 0 {
		said = append(said, fmt.Sprintf("%d more", more))
	}
	last := len(said) - 1
	return fmt.Errorf("the first line names columns that are not known, %s and %s: %s", strings.Join(said[:last], ", "), said[last], known)
}

// columns determines the separator of the first line, the one that gives the most
// names of columns, and returns the fields.
func (h *header) columns() (names []string, err error) {
	most := -1
	for _, comma := range commas {
		fields, serr := split(h.text, comma)
		known := 0
		for _, written := range fields {
			if name := columnOf(written); slices.Contains(columns, name) || slices.Contains(ignored, name) {
				known++
			}
		}
		if known > most {
			most, h.comma, names, err = known, comma, fields, serr
		}
	}
	return names, err
}

// encodingOf determines a file's encoding from its first bytes: the byte order for
// UTF-16, nil for UTF-8, or an error that names what it is instead.
func encodingOf(f *os.File) (wide binary.ByteOrder, err error) {
	first := make([]byte, 8)
	n, err := f.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch first = first[:n]; {
	case bytes.HasPrefix(first, []byte{0xff, 0xfe}):
		return binary.LittleEndian, nil
	case bytes.HasPrefix(first, []byte{0xfe, 0xff}):
		return binary.BigEndian, nil
	case bytes.HasPrefix(first, []byte("PK\x03\x04")), bytes.HasPrefix(first, []byte{0xd0, 0xcf, 0x11, 0xe0}):
		return nil, errors.New("it is a spreadsheet or an archive: save it as CSV UTF-8")
	case bytes.IndexByte(first, 0) >= 0:
		return nil, errors.New("it is UTF-16 without a byte-order mark, or no text: save it as CSV UTF-8")
	}
	return nil, nil
}

// A lineReader reads lines as UTF-8. wide is the order of bytes of UTF-16.
type lineReader struct {
	r    *bufio.Reader
	wide binary.ByteOrder
}

// next returns a line without its end, nil if it is too long, and how many bytes it
// has in the file.
func (l lineReader) next() (raw []byte, n int64, err error) {
	if l.wide != nil {
		return l.nextWide()
	}
	raw, err = l.r.ReadSlice('\n')
	n = int64(len(raw))
	if !errors.Is(err, bufio.ErrBufferFull) {
		if len(raw) > maxLine {
			return nil, n, err
		}
		return noEnd(raw), n, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		raw, err = l.r.ReadSlice('\n')
		n += int64(len(raw))
	}
	return nil, n, err
}

func (l lineReader) nextWide() (raw []byte, n int64, err error) {
	var unit [2]byte
	var units []uint16
	for len(units) == 0 || units[len(units)-1] != '\n' {
		read, rerr := io.ReadFull(l.r, unit[:])
		n += int64(read)
		if read == 1 { // half of a character, at the end
			units, rerr = append(units, utf8.RuneError), io.EOF
		}
		if rerr != nil {
			err = rerr
			break
		}
		if len(units) > maxLine {
			units = units[:maxLine] // it is too long already
		}
		units = append(units, l.wide.Uint16(unit[:]))
	}
	if raw = []byte(string(utf16.Decode(units))); len(raw) > maxLine {
		return nil, n, err
	}
	return noEnd(raw), n, err
}

// noEnd removes a line's end. It never returns nil.
func noEnd(raw []byte) []byte {
	if raw = bytes.TrimRight(raw, "\r\n"); raw == nil {
		raw = []byte{}
	}
	return raw
}

// split splits a line into its fields. A quoted field does not continue on the next
// line: one missing quote would swallow the rest of the file.
func split(text, comma string) ([]string, error) {
	if !strings.Contains(text, `"`) {
		return strings.Split(text, comma), nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	r.Comma, _ = utf8.DecodeRuneInString(comma)
	fields, err := r.Read()
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return nil, errors.New("a quote that is not closed, or is in the middle of a field")
	}
	return fields, err
}

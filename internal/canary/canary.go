// Package canary finds secrets where there must be none: in what a program has logged,
// printed, answered or stored, plain or in any usual encoding (security.md L1). It is for
// tests.
package canary

import (
	"bytes"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	_ "modernc.org/sqlite" // reads the database's values one by one
)

// A Flock is secrets to look for. The zero value is an empty one.
type Flock struct {
	birds []bird
}

// A bird is one secret, in all its forms.
type bird struct {
	name, secret string
	forms        map[string][]byte // by what each is called
}

// Add adds a secret, under a name for what is found, and returns it.
func (f *Flock) Add(name, secret string) string {
	known := func(b bird) bool { return b.secret == secret }
	if secret != "" && !slices.ContainsFunc(f.birds, known) {
		f.birds = append(f.birds, bird{name, secret, forms(secret)})
	}
	return secret
}

// AddToken adds a JWT's text, claims and signature. Its header is the same for all tokens.
func (f *Flock) AddToken(name, token string) string {
	f.Add(name, token)
	parts := strings.Split(token, ".")
	f.Add(name+", claims", parts[1])
	f.Add(name+", signature", parts[2])
	return token
}

// Without returns the flock without some of its secrets, by name.
func (f *Flock) Without(names ...string) *Flock {
	rest := slices.Clone(f.birds)
	return &Flock{slices.DeleteFunc(rest, func(b bird) bool { return slices.Contains(names, b.name) })}
}

// In returns the secrets of the flock found in text, each as "password (hex)".
func (f *Flock) In(text []byte) (found []string) {
	for _, b := range f.birds {
		for how, form := range b.forms {
			if stands(text, form) && !(isNumber(b.secret) && strings.HasPrefix(how, "base64") && withinNumbers(text, form, b.secret)) {
				found = append(found, fmt.Sprintf("%s (%s)", b.name, how))
			}
		}
	}
	slices.Sort(found)
	return found
}

// InDump is In for the dump of a crashed process by the Go runtime, in which memory
// can also appear as machine words.
func (f *Flock) InDump(text []byte) []string {
	found := f.In(text)
	const wordLen = len("0x") + 16
	words := map[string]bool{} // the eight-byte words in the text
	for i := 0; i+wordLen <= len(text); i++ {
		if text[i] == '0' && text[i+1] == 'x' {
			words[string(text[i:i+wordLen])] = true
		}
	}
	for _, b := range f.birds {
		for i := 0; i == 0 || i+8 <= len(b.secret); i++ {
			word := []byte(b.secret[i:min(i+8, len(b.secret))])
			slices.Reverse(word) // little endian
			written := "0x" + hex.EncodeToString(word)
			if words[written] || len(written) < wordLen && bytes.Contains(text, []byte(written)) {
				found = append(found, fmt.Sprintf("%s (machine word at byte %d)", b.name, i))
			}
		}
	}
	return found
}

// InFiles is In for every file below a directory but those of some names. Of an
// SQLite database it reads the values as well as the bytes. Each find begins with
// the file's name.
func (f *Flock) InFiles(dir string, but ...string) (found []string, err error) {
	files := 0
	var databases []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.Contains(but, d.Name()) {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, what := range f.In(text) {
			found = append(found, fmt.Sprintf("%s: %s", path, what))
		}
		if bytes.HasPrefix(text, []byte("SQLite format 3\x00")) {
			databases = append(databases, path)
		}
		return nil
	})
	for _, path := range databases { // last: opening one cleans up its log
		values, derr := f.inDatabase(path)
		found, err = append(found, values...), errors.Join(err, derr)
	}
	if err == nil && files == 0 {
		err = fmt.Errorf("there is no file in %s", dir)
	}
	return found, err
}

// inDatabase searches each value separately: in the file they are adjacent, so the
// start of a short number cannot be recognised.
func (f *Flock) inDatabase(path string) (found []string, err error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tables, err := f.values(db, `SELECT name FROM sqlite_schema WHERE type = 'table'`)
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		values, err := f.values(db, `SELECT * FROM "`+string(table)+`"`)
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			for _, what := range f.In(v) {
				found = append(found, fmt.Sprintf("%s, table %s: %s", path, table, what))
			}
		}
	}
	return found, nil
}

// values returns every value of a query's result.
func (f *Flock) values(db *sql.DB, query string) (all [][]byte, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]sql.RawBytes, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for _, v := range values {
			all = append(all, bytes.Clone(v))
		}
	}
	return all, rows.Err()
}

// Planted returns, for each form of each secret, a copy of text that contains it, by
// what In must find there. A search that finds nothing is trusted only if it finds
// all of these.
func (f *Flock) Planted(text []byte) map[string][]byte {
	all := map[string][]byte{}
	for _, b := range f.birds {
		for how, form := range b.forms {
			middle := len(text) / 2
			all[fmt.Sprintf("%s (%s)", b.name, how)] = slices.Concat(text[:middle], []byte(" "), form, []byte(" "), text[middle:])
		}
	}
	return all
}

// stands reports whether text contains a form of a secret. A number must not be part
// of something longer: six digits within a UUID or a longer number are not a code.
func stands(text, form []byte) bool {
	for from := 0; ; {
		i := bytes.Index(text[from:], form)
		if i < 0 {
			return false
		}
		if i += from; !isNumber(string(form)) || alone(text, i-1) && alone(text, i+len(form)) {
			return true
		}
		from = i + 1
	}
}

// alone reports whether what is at i in text cannot belong to a number beside it.
func alone(text []byte, i int) bool {
	return i < 0 || i >= len(text) || !bytes.ContainsAny(text[i:i+1], "0123456789abcdef-")
}

// isNumber reports whether a secret is a code's few digits, which are found by chance in
// longer numbers.
func isNumber(secret string) bool {
	return len(secret) <= 8 && strings.Trim(secret, "0123456789") == ""
}

// encoded is a run of base64, of either alphabet.
var encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]+`)

// withinNumbers reports whether all that looks like a number in base64 is a part of
// longer numbers when the text around it is decoded, as a token's times and ids are.
func withinNumbers(text, form []byte, secret string) bool {
	for _, run := range encoded.FindAll(text, -1) {
		if !bytes.Contains(run, form) {
			continue
		}
		within := false
		for from := range min(4, len(run)) { // what precedes it may not belong to it
			part := run[from:]
			if len(part)%4 == 1 {
				part = part[:len(part)-1]
			}
			plain, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(string(part)))
			if err != nil || !bytes.Contains(plain, []byte(secret)) {
				continue
			}
			if stands(plain, []byte(secret)) {
				return false
			}
			within = true
		}
		if !within {
			return false
		}
	}
	return true
}

// forms returns the ways in which a secret could be written.
func forms(secret string) map[string][]byte {
	b := []byte(secret)
	all := map[string][]byte{}
	add := func(how, text string) {
		for _, same := range all {
			if string(same) == text {
				return
			}
		}
		all[how] = []byte(text)
	}
	each := func(format, between string) string {
		parts := make([]string, len(b))
		for i := range b {
			parts[i] = fmt.Sprintf(format, b[i])
		}
		return strings.Join(parts, between)
	}
	inJSON, _ := json.Marshal(secret) // a string has no error
	units := func(high int) string {
		var text []byte
		for _, u := range utf16.Encode([]rune(secret)) {
			pair := [2]byte{byte(u), byte(u)}
			pair[high], pair[1-high] = byte(u>>8), byte(u)
			text = append(text, pair[:]...)
		}
		return string(text)
	}
	backwards := slices.Clone(b)
	slices.Reverse(backwards)
	codes := ""
	for _, u := range utf16.Encode([]rune(secret)) {
		codes += fmt.Sprintf(`\u%04x`, u)
	}

	add("plain", secret)
	add("lower case", strings.ToLower(secret))
	add("upper case", strings.ToUpper(secret))
	add("JSON", strings.Trim(string(inJSON), `"`))
	add("Go", strings.Trim(strconv.Quote(secret), `"`))
	add("Go, ASCII", strings.Trim(strconv.QuoteToASCII(secret), `"`))
	add("JSON, escaped throughout", codes)
	add("in a query", url.QueryEscape(secret))
	add("in a path", url.PathEscape(secret))
	add("percent", each("%%%02X", ""))
	add("percent, lower case", each("%%%02x", ""))
	add("hex", each("%02x", ""))
	add("hex, upper case", each("%02X", ""))
	add("hex, spaced", each("%02x", " "))
	add("Go bytes", each("0x%02x", ", "))
	add("numbers", each("%d", " "))
	add("numbers in JSON", each("%d", ","))
	add("UTF-16, little endian", units(1))
	add("UTF-16, big endian", units(0))
	add("reversed", string(backwards))
	add("base32", strings.TrimRight(base32.StdEncoding.EncodeToString(b), "="))
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for URLs": base64.RawURLEncoding} {
		for shift := range 3 { // how many bytes precede it, modulo three
			text := encoding.EncodeToString(slices.Concat(make([]byte, shift), b))
			text = text[(shift*8+5)/6:] // what those before it have a part in
			if (shift+len(b))%3 > 0 {   // and those after it
				text = text[:len(text)-1]
			}
			add(fmt.Sprintf("%s, shifted by %d", name, shift), text)
		}
	}
	for name, decode := range map[string]func(string) ([]byte, error){
		"base64": base64.RawURLEncoding.DecodeString, "base32": base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString,
	} {
		if plain, err := decode(secret); err == nil && len(plain) >= 16 {
			add("decoded from "+name, string(plain))
			add("decoded from "+name+", hex", hex.EncodeToString(plain))
			add("decoded from "+name+", base64", base64.RawStdEncoding.EncodeToString(plain)[:len(plain)*4/3])
		}
	}
	return all
}

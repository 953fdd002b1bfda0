package paperapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/paper/listing"
)

// The codes of failures.
const (
	codeTagUsed     = 32
	codeNotAMO      = 14
	codeMoney       = 1004
	codeInternal    = 1005
	codeMalformed   = 1007
	codeField       = 1009
	codeFinal       = 1021
	codeLimit       = 1041
	codeNoData      = 5203
	codeSession     = 100022
	codeAddress     = 100008
	codeAddressGone = 1037
)

// A failure is an answer that says what is wrong, in the protocol's form.
type failure struct {
	status int // 0 for 200
	code   int
	stat   string // "Not_Ok" unless the service says more in it
	text   string
	retry  time.Duration // when it may work, 0 if that is not known
}

// Error implements error.
func (f *failure) Error() string { return f.text }

func invalid(text string) *failure { return &failure{code: codeField, text: text} }

// names are what the failures call the fields of an order.
var names = map[string]string{
	"es": "exchange segment", "pc": "product", "pr": "price", "pt": "price type", "qt": "quantity", "rt": "validity", "vd": "validity",
	"ts": "trading symbol", "tt": "transaction type", "am": "after market order", "dq": "disclosed quantity", "mp": "market protection",
	"tp": "trigger price", "ig": "tag", "no": "order number", "on": "order number", "nOrdNo": "order number", "tk": "token",
	"slv": "stop loss value", "sov": "square off value", "tsv": "trailing stop loss value",
	"exSeg": "exchange segment", "prc": "price", "prcTp": "price type", "prod": "product", "qty": "quantity", "tok": "token",
	"trnsTp": "transaction type", "trgPrc": "trigger price", "seg": "segment", "exch": "exchange",
}

// notValid is the failure of a field.
func notValid(field string) *failure {
	name := names[field]
	if name == "" {
		name = field
	}
	return invalid("please provide valid " + name + " (" + field + ")")
}

// fields are the values of jData as text: numbers as they were written, booleans as true
// and false. A null counts as absent.
type fields map[string]string

// maxBody bounds a body.
const maxBody = 64 << 10

var errNoForm = &failure{code: codeMalformed, text: "please send the form field jData with one JSON object"}

// fields returns the form field jData of a call.
func (c *call) fields() (fields, error) { return c.form, c.formErr }

// parse reads it.
func (c *call) parse() (fields, error) {
	if t, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, errNoForm
	}
	return formFields(c.body)
}

// formFields reads the field jData of a form.
func formFields(body []byte) (fields, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["jData"]) != 1 {
		return nil, errNoForm
	}
	return parseFields([]byte(form.Get("jData")))
}

// parseFields reads a flat JSON object in which each name occurs once.
func parseFields(text []byte) (fields, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoForm
	}
	f := fields{}
	null := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errNoForm
		}
		value, err := d.Token()
		if err != nil {
			return nil, errNoForm
		}
		if _, twice := f[name]; twice || null[name] {
			return nil, invalid("please provide " + strconv.QuoteToASCII(cut(name)) + " once")
		}
		switch v := value.(type) {
		case string:
			f[name] = v
		case json.Number:
			f[name] = v.String()
		case bool:
			f[name] = strconv.FormatBool(v)
		case nil:
			null[name] = true
		default: // an object or a list
			return nil, notValid(cut(name))
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoForm
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoForm
	}
	return f, nil
}

// cut cuts what a stranger wrote for an error.
func cut(s string) string {
	if len(s) > 20 {
		return s[:20] + "…"
	}
	return s
}

// choice returns which of the values a field has, in upper or lower case.
func choice[T any](f fields, field string, values map[string]T) (value T, err error) {
	value, ok := values[strings.ToLower(strings.TrimSpace(f[field]))]
	if !ok {
		return value, notValid(field)
	}
	return value, nil
}

// quantity returns a whole number of at least least.
func (f fields) quantity(field string, least int64) (int64, error) {
	text := strings.TrimSpace(f[field])
	whole, decimals, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(decimals, "0") != "" || n < least || n > maxQuantity {
		return 0, notValid(field)
	}
	return n, nil
}

// percent returns a whole per cent.
func (f fields) percent(field string) (int64, error) {
	n, err := f.quantity(field, 0)
	if err != nil || n > 100 {
		return 0, notValid(field)
	}
	return n, nil
}

// maxQuantity is more than anybody can order, and small enough that amounts stay exact.
const maxQuantity = 10_000_000

// maxPrice bounds prices for the same reason.
const maxPrice = 10_000_000 * listing.Rupee

// price returns a price of at least zero.
func (f fields) price(field string) (listing.Price, error) {
	p, err := listing.ParsePrice(strings.TrimSpace(f[field]))
	if err != nil || p < 0 || p > maxPrice {
		return 0, notValid(field)
	}
	return p, nil
}

// optional reads a field with read, or returns none if it is absent or empty.
func optional[T any](f fields, field string, none T, read func(field string) (T, error)) (T, error) {
	if strings.TrimSpace(f[field]) == "" {
		return none, nil
	}
	return read(field)
}

// yes reads YES and NO in the forms that programs write.
func (f fields) yes(field string) (bool, error) {
	return choice(f, field, map[string]bool{"yes": true, "no": false, "y": true, "n": false, "true": true, "false": false, "": false})
}

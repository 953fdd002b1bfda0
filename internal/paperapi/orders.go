package paperapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// The values of an order's fields, in lower case.
var (
	sides = map[string]paper.Side{"b": paper.Buy, "buy": paper.Buy, "s": paper.Sell, "sell": paper.Sell}

	priceTypes = map[string]paper.PriceType{
		"l": paper.Limit, "limit": paper.Limit, "mkt": paper.Market, "market": paper.Market,
		"sl": paper.Stop, "stop loss limit": paper.Stop, "sl-m": paper.StopMarket, "stop loss market": paper.StopMarket,
	}

	products = map[string]paper.Product{
		"cnc": paper.CNC, "mis": paper.MIS, "intraday": paper.MIS, "nrml": paper.NRML, "mtf": paper.MTF,
		"co": paper.Cover, "bo": paper.Bracket, "bracket order": paper.Bracket,
	}

	validities = map[string]paper.Validity{"day": paper.Day, "ioc": paper.IOC}

	segments = func() map[string]listing.Segment {
		all := map[string]listing.Segment{"bcs-fo": listing.Currency}
		for _, s := range listing.Segments {
			all[s.String()] = s
		}
		return all
	}()
)

// maxSource is the longest source (os) that is kept, in bytes.
const maxSource = 40

// place places an order.
func (c *call) place() ([]byte, error) {
	f, err := c.fields()
	if err != nil {
		return nil, err
	}
	p, err := c.order(f)
	if err != nil {
		return nil, err
	}
	p.Twist = c.fault.twist()
	n, refusal := c.exchange.Place(c.now, p)
	if refusal != nil {
		return nil, refused(refusal)
	}
	if c.fault.Name == faultTwice {
		p.Tag = "" // which is used now
		_, _ = c.exchange.Place(c.now, p)
	}
	return accepted(n), nil
}

// order reads the fields of a new order.
func (c *call) order(f fields) (p paper.Place, err error) {
	instrument, err := c.named(f, "es", "ts")
	if err != nil {
		return p, err
	}
	p = paper.Place{Account: c.account, Instrument: instrument.Key, Tag: f["ig"], Source: f["os"]}
	read := reader{f: f, err: &err}
	p.Side = pick(read, "tt", sides)
	p.Type = pick(read, "pt", priceTypes)
	p.Product = pick(read, "pc", products)
	p.Validity = pick(read, "rt", validities)
	p.Price = take(read, "pr", f.price)
	p.Quantity = take(read, "qt", func(field string) (int64, error) { return f.quantity(field, 1) })
	p.Trigger = maybe(read, "tp", 0, f.price)
	p.Disclosed = maybe(read, "dq", 0, func(field string) (int64, error) { return f.quantity(field, 0) })
	p.Protection = int(maybe(read, "mp", 0, f.percent))
	p.AfterHours = take(read, "am", f.yes)
	p.StopDistance = maybe(read, "slv", 0, f.price)
	p.TargetDistance = maybe(read, "sov", 0, f.price)
	p.Trail = maybe(read, "tsv", 0, f.price)
	if err != nil {
		return p, err
	}
	if len(p.Source) > maxSource || !printable(p.Source) {
		p.Source = ""
	}
	if len(p.Tag) > maxTag || !printable(p.Tag) {
		return p, notValid("ig")
	}
	return p, nil
}

// maxTag is the longest tag, in bytes.
const maxTag = 50

func printable(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}

// A reader reads fields until one is invalid.
type reader struct {
	f   fields
	err *error
}

func take[T any](r reader, field string, read func(string) (T, error)) (v T) {
	if *r.err == nil {
		v, *r.err = read(field)
	}
	return v
}

func maybe[T any](r reader, field string, none T, read func(string) (T, error)) (v T) {
	if *r.err == nil {
		v, *r.err = optional(r.f, field, none, read)
	}
	return v
}

func pick[T any](r reader, field string, values map[string]T) T {
	return take(r, field, func(field string) (T, error) { return choice(r.f, field, values) })
}

// named returns the instrument that two fields name by segment and trading symbol.
func (c *call) named(f fields, segment, symbol string) (*listing.Instrument, error) {
	s, err := choice(f, segment, segments)
	if err != nil {
		return nil, err
	}
	i, ok := c.exchange.Listing(c.now).Named(s, strings.TrimSpace(f[symbol]))
	if !ok || i.Kind == listing.Index {
		return nil, notValid(symbol)
	}
	return i, nil
}

// number reads an order's number.
func (f fields) number(field string) (paper.Number, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(f[field]), 10, 64)
	if err != nil {
		return 0, notValid(field)
	}
	return paper.Number(n), nil
}

// modify changes an order. What is absent stays as it is.
func (c *call) modify() ([]byte, error) {
	f, err := c.fields()
	if err != nil {
		return nil, err
	}
	n, err := f.number("no")
	if err != nil {
		return nil, err
	}
	now, err := c.known(n, "no")
	if err != nil {
		return nil, err
	}
	x := paper.Change{
		Account: c.account, Number: n, Type: now.Type, Validity: now.Validity,
		Price: now.Price, Trigger: now.Trigger, Quantity: now.Quantity, Disclosed: now.Disclosed,
	}
	read := reader{f: f, err: &err}
	x.Type = maybe(read, "pt", x.Type, func(field string) (paper.PriceType, error) { return choice(f, field, priceTypes) })
	x.Validity = maybe(read, "vd", x.Validity, func(field string) (paper.Validity, error) { return choice(f, field, validities) })
	if _, given := f["pr"]; given {
		x.Price = take(read, "pr", f.price)
	}
	if _, given := f["qt"]; given {
		x.Quantity = take(read, "qt", func(field string) (int64, error) { return f.quantity(field, 1) })
	}
	maybe(read, "mp", 0, f.percent) // what is left is priced by the table
	maybe(read, "am", false, f.yes)
	x.Trigger = maybe(read, "tp", x.Trigger, f.price)
	x.Disclosed = maybe(read, "dq", x.Disclosed, func(field string) (int64, error) { return f.quantity(field, 0) })
	if err != nil {
		return nil, err
	}
	if x.Type == paper.Limit || x.Type == paper.Market {
		x.Trigger = 0 // which some clients repeat
	}
	if refusal := c.exchange.Modify(c.now, x); refusal != nil {
		return nil, refused(refusal)
	}
	return accepted(n), nil
}

// known returns an order of the caller's as it is.
func (c *call) known(n paper.Number, field string) (paper.Order, error) {
	o, refusal := c.exchange.Order(c.now, c.account, n)
	if refusal != nil {
		return o, notValid(field)
	}
	return o, nil
}

// cancel cancels an order.
func (c *call) cancel() ([]byte, error) {
	n, after, err := c.ended()
	if err != nil {
		return nil, err
	}
	if refusal := c.exchange.Cancel(c.now, c.account, n, after); refusal != nil {
		return nil, refused(refusal)
	}
	return accepted(n), nil
}

// exit ends a cover or bracket order.
func (c *call) exit() ([]byte, error) {
	n, _, err := c.ended()
	if err != nil {
		return nil, err
	}
	if refusal := c.exchange.Exit(c.now, c.account, n); refusal != nil {
		return nil, refused(refusal)
	}
	return accepted(n), nil
}

// ended reads which order shall end.
func (c *call) ended() (n paper.Number, after bool, err error) {
	f, err := c.fields()
	if err != nil {
		return 0, false, err
	}
	if n, err = f.number("on"); err != nil {
		return 0, false, err
	}
	if _, err = c.known(n, "on"); err != nil {
		return 0, false, err
	}
	after, err = f.yes("am")
	return n, after, err
}

// convert moves a position to another product. The fields are those of the one public
// client that uses it.
func (c *call) convert() ([]byte, error) {
	f, err := c.fields()
	if err != nil {
		return nil, err
	}
	instrument, err := c.named(f, "exSeg", "trdSym")
	if err != nil {
		return nil, err
	}
	read := reader{f: f, err: &err}
	side := pick(read, "trnsTp", sides)
	from, to := pick(read, "frmProd", products), pick(read, "toProd", products)
	quantity := take(read, "qty", func(field string) (int64, error) { return f.quantity(field, 1) })
	if err != nil {
		return nil, err
	}
	if refusal := c.exchange.Convert(c.now, c.account, instrument.Key, side, from, to, quantity); refusal != nil {
		return nil, refused(refusal)
	}
	return []byte(`{"stat":"Ok","stCode":200}`), nil
}

// accepted is the answer to an order that has a number.
func accepted(n paper.Number) []byte {
	return fmt.Appendf(nil, `{"stat":"Ok","nOrdNo":"%015d","stCode":200}`, n)
}

// refused is the failure that a refusal of the exchange becomes.
func refused(r *paper.Refusal) *failure {
	switch r.Reason {
	case paper.TagUsed:
		return &failure{status: http.StatusBadRequest, code: codeTagUsed, stat: "Client Order Id Error Client OrderID already exists", text: "error from core"}
	case paper.Final:
		return &failure{code: codeFinal, stat: "please provide valid order number", text: "order is completed"}
	case paper.NotAMO:
		return &failure{code: codeNotAMO, text: "error from core"}
	case paper.NotWritten:
		return &failure{status: http.StatusInternalServerError, code: codeInternal, text: r.Text}
	case paper.NoAccount:
		return invalid("please provide a valid account")
	}
	switch {
	case r.Text == "":
		return notValid(r.Field)
	case r.Field == "" || strings.Contains(r.Text, "lotwise"): // as the service says it
		return invalid(r.Text)
	}
	return invalid(r.Text + " (" + r.Field + ")")
}

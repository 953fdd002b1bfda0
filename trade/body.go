package trade

import (
	"encoding/json"
	"strconv"
)

// generation returns the generation of the session's clients, which decides the fields of
// a body: 1 for a login by password, 3 for one by TOTP, 0 if there is no session yet.
func (t *Client) generation() int {
	s, ok := t.api.Session()
	switch {
	case !ok:
		return 0
	case s.KType == "":
		return 1
	}
	return 3
}

// A body is the JSON object of a call about an order. All its values are strings, but for
// the nulls that generation 2 sends.
type body []byte

func (b *body) key(name string) {
	if len(*b) == 0 {
		*b = append(*b, '{')
	} else {
		*b = append(*b, ',')
	}
	*b = append(append(append(*b, '"'), name...), '"', ':')
}

func (b *body) text(name, value string) {
	b.key(name)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // a string always marshals
			*b = append(*b, quoted...)
			return
		}
	}
	*b = append(append(append(*b, '"'), value...), '"')
}

func (b *body) number(name string, n int64) {
	b.key(name)
	*b = append(strconv.AppendInt(append(*b, '"'), n, 10), '"')
}

// price adds a price as the shortest exact decimal, and "0" for an absent one: the service
// refuses "0.0" and "".
func (b *body) price(name string, r Rupees) {
	b.key(name)
	*b = append(*b, '"')
	if r.Sign() == 0 {
		*b = append(*b, '0', '"')
		return
	}
	s := r.Append(*b)
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	*b = append(s, '"')
}

func (b *body) yes(name string, yes bool) {
	if yes {
		b.text(name, "YES")
	} else {
		b.text(name, "NO")
	}
}

func (b *body) nulls(names ...string) {
	for _, name := range names {
		b.key(name)
		*b = append(*b, "null"...)
	}
}

func (b *body) end() string { return string(append(*b, '}')) }

// source is what the clients of a generation call themselves.
func (b *body) source(generation int) {
	switch generation {
	case 1:
	case 2:
		b.text("os", "NEOFINTECH001")
	default:
		b.text("os", "NEOTRADEAPI")
	}
}

// placing returns the body of an order with the fields that clients of a generation send.
func (o *Ticket) placing(tag string, generation int) string {
	b := body(make([]byte, 0, 384))
	b.yes("am", o.after)
	b.number("dq", o.disclosed)
	b.text("es", string(o.instrument.Segment))
	b.number("mp", o.protection)
	b.text("pc", string(o.product))
	if generation == 1 || generation == 2 {
		b.text("pf", "N")
	}
	b.price("pr", o.price)
	b.text("pt", string(o.kind))
	b.number("qt", o.quantity)
	validity := o.validity
	if validity == "" {
		validity = Day
	}
	b.text("rt", string(validity))
	b.price("tp", o.trigger)
	b.text("ts", o.instrument.Symbol)
	b.text("tt", string(o.side))
	b.text("ig", tag)
	b.source(generation)
	if generation == 2 {
		b.nulls("tk", "sot", "slt", "slv", "sov", "lat", "tlt", "tsv")
	}
	return b.end()
}

// modifying returns the body that makes an order what o says, in full: the service clears
// what is left out.
func (o *Order) modifying(generation int, after bool) string {
	b := body(make([]byte, 0, 384))
	b.text("no", o.Number)
	b.price("pr", o.Price)
	b.text("pt", string(o.PriceType))
	b.number("qt", o.Quantity)
	b.price("tp", o.Trigger)
	b.number("dq", o.DisclosedQty)
	b.text("vd", string(o.Validity))
	b.text("mp", "0")
	b.yes("am", after)
	if generation == 1 || generation == 2 {
		b.text("tk", o.Token)
		b.text("es", string(o.Segment))
		b.text("pc", string(o.Product))
		b.text("ts", o.Symbol)
		b.text("tt", string(o.Side))
		b.text("dd", "NA")
		b.text("fq", "0")
	}
	b.source(generation)
	return b.end()
}

// ending returns the body that cancels or exits an order.
func ending(number string, after bool) string {
	b := body(make([]byte, 0, 64))
	b.text("on", number)
	b.yes("am", after)
	return b.end()
}

package trade

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// generation returns the generation of the session's clients, which decides the fields of
// a body: 1 for a login by password, 3 for one by TOTP, 0 if there is no session yet. It
// looks at the session once a second, because that copies it.
func (t *Client) generation() int {
	now := time.Now().Unix()
	if known := t.looked.Load(); known>>8 == now {
		return int(known & 0xff)
	}
	generation := 0
	if s, ok := t.api.Session(); ok {
		if generation = 3; s.KType == "" {
			generation = 1
		}
		t.looked.Store(now<<8 | int64(generation))
	}
	return generation
}

// A body is the JSON object of a call about an order. All its values are strings, but for
// the nulls that generation 2 sends.
type body struct{ strings.Builder }

func (b *body) key(name string) {
	if b.Len() == 0 {
		b.Grow(288) // more than most bodies
		b.WriteByte('{')
	} else {
		b.WriteByte(',')
	}
	b.WriteByte('"')
	b.WriteString(name)
	b.WriteString(`":`)
}

func (b *body) text(name, value string) {
	b.key(name)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // a string always marshals
			b.Write(quoted)
			return
		}
	}
	b.WriteByte('"')
	b.WriteString(value)
	b.WriteByte('"')
}

func (b *body) number(name string, n int64) {
	var digits [20]byte
	b.key(name)
	b.WriteByte('"')
	b.Write(strconv.AppendInt(digits[:0], n, 10))
	b.WriteByte('"')
}

// price adds a price as the shortest exact decimal, and "0" for an absent one: the service
// refuses "0.0" and "".
func (b *body) price(name string, r Rupees) {
	if r.Sign() == 0 {
		b.number(name, 0)
		return
	}
	var digits [24]byte
	s := r.Append(digits[:0])
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	b.key(name)
	b.WriteByte('"')
	b.Write(s)
	b.WriteByte('"')
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
		b.WriteString("null")
	}
}

func (b *body) end() string {
	b.WriteByte('}')
	return b.String()
}

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
	var b body
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
	b.text("rt", string(o.validity.sent()))
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
	var b body
	b.text("no", o.Number)
	b.price("pr", o.Price)
	b.text("pt", string(o.PriceType))
	b.number("qt", o.Quantity)
	b.price("tp", o.Trigger)
	b.number("dq", o.DisclosedQty)
	b.text("vd", string(o.Validity.sent()))
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
	var b body
	b.text("on", number)
	b.yes("am", after)
	return b.end()
}

package trade

import (
	"encoding/json"
	"strconv"
)

// A body is the JSON object of a call about an order, as far as it is written. All its
// values are strings, but for the nulls that generation 2 sends.
type body []byte

func (b body) key(name string) body {
	return append(append(append(b, '"'), name...), `":"`...)
}

func (b body) text(name, value string) body {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // a string always marshals
			b = b.key(name)
			return append(append(b[:len(b)-1], quoted...), ',')
		}
	}
	return append(append(b.key(name), value...), `",`...)
}

func (b body) number(name string, n int64) body {
	return append(strconv.AppendInt(b.key(name), n, 10), `",`...)
}

// price adds a price as the shortest exact decimal, and "0" for an absent one: the service
// refuses "0.0" and "".
func (b body) price(name string, r Rupees) body {
	if r.Sign() == 0 {
		return b.number(name, 0)
	}
	b = r.Append(b.key(name))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return append(b, `",`...)
}

func (b body) yes(name string, yes bool) body {
	if yes {
		return b.text(name, "YES")
	}
	return b.text(name, "NO")
}

func (b body) nulls(names ...string) body {
	for _, name := range names {
		b = b.key(name)
		b = append(b[:len(b)-1], "null,"...)
	}
	return b
}

func (b body) end() string {
	b[len(b)-1] = '}' // for the comma
	return string(b)
}

// bodySize is more than most bodies need.
const bodySize = 320

// source is what the clients of a generation call themselves.
func (b body) source(generation int) body {
	switch generation {
	case 1:
		return b
	case 2:
		return b.text("os", "NEOFINTECH001")
	}
	return b.text("os", "NEOTRADEAPI")
}

// placing returns the body of an order with the fields that clients of a generation send.
func (o *Ticket) placing(tag string, generation int) string {
	var room [bodySize]byte
	b := append(body(room[:0]), '{')
	b = b.yes("am", o.after)
	b = b.number("dq", o.disclosed)
	b = b.text("es", string(o.instrument.Segment))
	b = b.number("mp", o.protection)
	b = b.text("pc", string(o.product))
	if generation == 1 || generation == 2 {
		b = b.text("pf", "N")
	}
	b = b.price("pr", o.price)
	b = b.text("pt", string(o.kind))
	b = b.number("qt", o.quantity)
	b = b.text("rt", string(o.validity.sent()))
	b = b.price("tp", o.trigger)
	b = b.text("ts", o.instrument.Symbol)
	b = b.text("tt", string(o.side))
	b = b.text("ig", tag)
	b = b.source(generation)
	if generation == 2 {
		b = b.nulls("tk", "sot", "slt", "slv", "sov", "lat", "tlt", "tsv")
	}
	return b.end()
}

// modifying returns the body that makes an order what o says, in full: the service clears
// what is left out.
func (o *Order) modifying(generation int, after bool) string {
	var room [bodySize]byte
	b := append(body(room[:0]), '{')
	b = b.text("no", o.Number)
	b = b.price("pr", o.Price)
	b = b.text("pt", string(o.PriceType))
	b = b.number("qt", o.Quantity)
	b = b.price("tp", o.Trigger)
	b = b.number("dq", o.DisclosedQty)
	b = b.text("vd", string(o.Validity.sent()))
	b = b.text("mp", "0")
	b = b.yes("am", after)
	if generation == 1 || generation == 2 {
		b = b.text("tk", o.Token)
		b = b.text("es", string(o.Segment))
		b = b.text("pc", string(o.Product))
		b = b.text("ts", o.Symbol)
		b = b.text("tt", string(o.Side))
		b = b.text("dd", "NA")
		b = b.text("fq", "0")
	}
	b = b.source(generation)
	return b.end()
}

// ending returns the body that cancels or exits an order.
func ending(number string, after bool) string {
	var room [bodySize]byte
	b := append(body(room[:0]), '{')
	b = b.text("on", number)
	b = b.yes("am", after)
	return b.end()
}

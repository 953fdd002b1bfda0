package trade

import (
	"encoding/json"
	"strings"
	"time"
)

// fields are an object of an answer. A field of another form than the asked one is absent.
type fields map[string]json.RawMessage

func fieldsOf(raw json.RawMessage) fields {
	var o fields
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

func (o fields) object(name string) fields { return fieldsOf(o[name]) }

// text returns a field's text or number, as a text, and "" for what means nothing.
func (o fields) text(name string) string { return textOf(o[name]) }

func textOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		switch s = strings.TrimSpace(s); s {
		case "NA", "--", "-":
			return ""
		}
		return s
	}
	if raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9' {
		return string(raw)
	}
	return ""
}

// amount returns a decimal, 0 included.
func (o fields) amount(name string) Rupees {
	n, ok := scaled(o.text(name), decimals)
	if !ok {
		return Rupees{}
	}
	return rupees(n)
}

// price returns a price: one that is not above 0 is none.
func (o fields) price(name string) Rupees {
	if r := o.amount(name); r.Sign() > 0 {
		return r
	}
	return Rupees{}
}

// count returns a whole number, 0 if there is none.
func (o fields) count(name string) int64 {
	n, _ := scaled(o.text(name), 0)
	return n
}

// seconds returns a time given in seconds since 1970; those before 2000 are none.
func (o fields) seconds(name string) time.Time {
	n, ok := scaled(o.text(name), 0)
	if !ok || n < 946_684_800 || n > 1<<33 {
		return time.Time{}
	}
	return time.Unix(n, 0).In(IST)
}

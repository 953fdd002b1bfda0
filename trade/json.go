package trade

import (
	"encoding/json"
	"time"
)

// JSON keeps a time's offset but not its zone's name: the types below read their times
// back in [IST], so that they are the same values as before.

// UnmarshalJSON implements [json.Unmarshaler].
func (o *Order) UnmarshalJSON(data []byte) error {
	type plain Order
	err := json.Unmarshal(data, (*plain)(o))
	india(&o.Sent, &o.Entered, &o.Confirmed, &o.Updated)
	return err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Trade) UnmarshalJSON(data []byte) error {
	type plain Trade
	err := json.Unmarshal(data, (*plain)(t))
	india(&t.At)
	return err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Position) UnmarshalJSON(data []byte) error {
	type plain Position
	err := json.Unmarshal(data, (*plain)(p))
	india(&p.Updated)
	return err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (l *Limits) UnmarshalJSON(data []byte) error {
	type plain Limits
	err := json.Unmarshal(data, (*plain)(l))
	india(&l.At)
	return err
}

// india puts times into India's time zone.
func india(times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.In(IST)
		}
	}
}

// UnmarshalJSON implements [json.Unmarshaler].
func (q *Quote) UnmarshalJSON(data []byte) error {
	type plain Quote
	err := json.Unmarshal(data, (*plain)(q))
	india(&q.At, &q.Received)
	return err
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *Candle) UnmarshalJSON(data []byte) error {
	type plain Candle
	err := json.Unmarshal(data, (*plain)(c))
	india(&c.Start)
	return err
}

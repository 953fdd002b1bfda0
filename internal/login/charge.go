package login

import (
	"time"

	"neoapi/internal/limit"
)

// A Charge takes one from an allowance before something is judged. It is given back if
// nothing was.
type Charge struct {
	Key  string // the allowance's
	Rate limit.Rate
	ID   string // random: the charge's name
	Now  time.Time
}

// ChargeKept is how long stores remember a charge. Allowances are those of a minute.
const ChargeKept = 2 * time.Minute

// Mark returns the allowance by which stores remember a charge: its key, and when it is
// full, which is another time if the charge was given back before it was taken. It is
// swept like any other allowance.
func (c Charge) Mark() (key string, taken, given time.Time) {
	at := c.Now.UTC().Truncate(time.Second).Add(ChargeKept)
	return "charge " + c.ID, at, at.Add(time.Second)
}

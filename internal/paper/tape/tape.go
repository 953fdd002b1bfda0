// Package tape makes the prices: what each instrument's last price is at a time, and
// the bars of its past, from a seed alone.
package tape

import (
	"time"

	"neoapi/internal/paper/listing"
)

// A Market has the prices of all instruments. The price of an instrument at a time is
// a function of the seed, the instrument and the time, until it is set by hand.
type Market struct{}

// New returns the market of a seed.
func New(seed uint64) *Market { panic("not written") }

// Step is how often a price moves.
const Step = 500 * time.Millisecond

// At returns an instrument's price at a time, on its tick, without its band.
func (m *Market) At(i *listing.Instrument, t time.Time) listing.Price { panic("not written") }

// Close returns an instrument's closing price of a day.
func (m *Market) Close(i *listing.Instrument, d listing.Date) listing.Price { panic("not written") }

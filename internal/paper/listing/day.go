package listing

import "io"

// A Day is what is listed on one date.
type Day struct {
	Date Date
}

// On returns what is listed on a date.
func On(d Date) *Day { panic("not written") }

// Instruments returns all, in an order that does not change.
func (d *Day) Instruments() []*Instrument { panic("not written") }

// Find returns the instrument of a key.
func (d *Day) Find(k Key) (*Instrument, bool) { panic("not written") }

// Named returns the instrument with a trading symbol (or an index's name) in a segment.
func (d *Day) Named(s Segment, name string) (*Instrument, bool) { panic("not written") }

// Expiries returns the expiries of an underlying's contracts of the kinds, ascending.
func (d *Day) Expiries(s Segment, symbol string, kinds ...Kind) []Date { panic("not written") }

// WriteCSV writes a segment's scrip master. base returns an instrument's base price of the day.
func (d *Day) WriteCSV(w io.Writer, s Segment, base func(*Instrument) Price) error {
	panic("not written")
}

// Bands returns the day's price band around a base price, on the instrument's ticks.
func (i *Instrument) Bands(base Price) (low, high Price) { panic("not written") }

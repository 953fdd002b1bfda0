package listing

import "slices"

// A Day is what is listed on one date. It does not change: everybody may share it.
type Day struct {
	Date Date

	all   []*Instrument
	byKey map[Key]*Instrument
	named map[named]*Instrument
	cash  *cash
}

// On returns what is listed on a date. It takes a millisecond or two: keep the day.
func On(d Date) *Day {
	c := cashOn(d)
	day := &Day{Date: d, all: slices.Clone(c.all), cash: c}
	for i := range data().Contracts {
		day.all = data().Contracts[i].list(day.all, d, c)
	}
	listed := day.all[len(c.all):]
	day.byKey = make(map[Key]*Instrument, len(listed))
	day.named = make(map[named]*Instrument, len(listed))
	for _, i := range listed {
		day.byKey[i.Key] = i
		day.named[named{i.Segment, i.Name}] = i
	}
	return day
}

// Instruments returns all, in an order that does not change. Nobody may change the slice.
func (d *Day) Instruments() []*Instrument { return d.all }

// Find returns the instrument of a key. It also finds the spot prices of currencies and
// commodities, which contracts follow and nobody lists: they are of kind [Index].
func (d *Day) Find(k Key) (*Instrument, bool) {
	if i, ok := d.byKey[k]; ok {
		return i, true
	}
	i, ok := d.cash.byKey[k]
	if ok && d.replaced(i) {
		return nil, false
	}
	return i, ok
}

// replaced reports whether an instrument was listed until another one took its place: its
// name is that one's.
func (d *Day) replaced(i *Instrument) bool {
	other, ok := d.named[named{i.Segment, i.Name}]
	return ok && other.Key != i.Key
}

// Named returns the instrument with a trading symbol, or an index's name, in a segment.
// Like [Day.Find] it also finds spot prices, by their symbol.
func (d *Day) Named(s Segment, name string) (*Instrument, bool) {
	if i, ok := d.named[named{s, name}]; ok {
		return i, true
	}
	i, ok := d.cash.named[named{s, name}]
	if ok && d.byKey[i.Key] != nil && d.byKey[i.Key].Name != name {
		return nil, false // another one has its place
	}
	return i, ok
}

// Expiries returns the expiries of an underlying's contracts of the kinds, ascending;
// without kinds, of all of its contracts.
func (d *Day) Expiries(s Segment, symbol string, kinds ...Kind) []Date {
	var dates []Date
	for _, i := range d.all {
		if i.Segment == s && i.Symbol == symbol && !i.Expiry.IsZero() && (len(kinds) == 0 || slices.Contains(kinds, i.Kind)) &&
			!slices.Contains(dates, i.Expiry) {
			dates = append(dates, i.Expiry)
		}
	}
	slices.SortFunc(dates, Date.Compare)
	return dates
}

// Chain returns an underlying's options of an expiry, by strike and then calls first.
func (d *Day) Chain(s Segment, symbol string, expiry Date) []*Instrument {
	var chain []*Instrument
	for _, i := range d.all {
		if i.Segment == s && i.Symbol == symbol && i.Expiry == expiry && i.Kind.Option() {
			chain = append(chain, i)
		}
	}
	return chain // they were listed so
}

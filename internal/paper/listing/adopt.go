package listing

import (
	"fmt"
	"slices"
	"time"

	"neoapi/internal/recording"
)

// priceOf returns a recording's price.
func priceOf(p int64) Price { return Price(p / (recording.Rupee / int64(Rupee))) }

var kindNames = map[string]Kind{"share": Share, "index": Index, "future": Future, "call": Call, "put": Put}

// Adopt returns the instrument that a recording has, to be listed a number of days later
// than it was recorded: its expiry is as far away as it was then. What the recording does
// not say is as of the same instrument in the listing, or of one like it.
func (d *Day) Adopt(r *recording.Instrument, days int) (*Instrument, error) {
	segment, known := ParseSegment(r.Segment)
	kind, named := kindNames[r.Kind]
	if !known || !named || r.Symbol == "" {
		return nil, fmt.Errorf("the recording has an instrument %s %q of kind %q, which is not known", r.Segment, r.Symbol, r.Kind)
	}
	for _, v := range []int64{r.Lot, r.Multiplier, r.GenNum, r.GenDen, r.PriceNum, r.PriceDen, r.Strike / recording.Rupee, r.Tick / recording.Rupee} {
		if v < 0 || v > 1_000_000 { // amounts of it could not be reckoned with
			return nil, fmt.Errorf("the recording has %s with terms that no instrument has", r.Symbol)
		}
	}
	i := d.like(Key{segment, r.Token}, kind, r.Name)
	i.Key, i.Symbol, i.Name, i.Kind = Key{segment, r.Token}, r.Name, r.Symbol, kind
	i.Description, i.ISIN, i.Series, i.RefKey = r.Company, r.ISIN, r.Series, ""
	i.Strike, i.Expiry = priceOf(r.Strike), Date{}
	if r.Expiry != "" {
		t, err := time.Parse(time.DateOnly, r.Expiry)
		if err != nil {
			return nil, fmt.Errorf("the recording has %s with the expiry %q, which is no date", r.Symbol, r.Expiry)
		}
		i.Expiry = Date{t.Year(), t.Month(), t.Day()}.Add(days)
	}
	i.Lot = max(r.Lot, 1)
	if i.Tick = priceOf(r.Tick); i.Tick <= 0 {
		i.Tick = Rupee / 100
	}
	i.Precision = min(max(r.Precision, 2), 4)
	i.MaxOrder = max(r.Freeze-1, 0)
	for _, factor := range []struct {
		to   *int64
		from int64
	}{{&i.Multiplier, r.Multiplier}, {&i.GenNum, r.GenNum}, {&i.GenDen, r.GenDen}, {&i.PriceNum, r.PriceNum}, {&i.PriceDen, r.PriceDen}} {
		*factor.to = max(factor.from, 1)
	}
	i.Volume = 0
	return i, nil
}

// like returns a copy of the listed instrument of a key, if it is of the kind, or of one
// of the kind that has the underlying, or of any of the kind.
func (d *Day) like(k Key, kind Kind, symbol string) *Instrument {
	found, ok := d.Find(k)
	if !ok || found.Kind != kind || found.Symbol != symbol {
		found = nil
		for _, i := range d.all {
			if i.Segment != k.Segment || i.Kind != kind {
				continue
			}
			if i.Symbol == symbol {
				found = i
				break
			}
			if found == nil {
				found = i
			}
		}
	}
	if found == nil {
		return &Instrument{Margin: Margin{Intraday: 10_000, Span: 10_000}}
	}
	i := *found
	i.Underlying = nil
	return &i
}

// With returns the day with other instruments listed too. One that has the key or the
// name of a listed one takes its place, and one that has expired is not listed. A contract
// follows the share or index of its name among them or, if there is none, in the listing.
func (d *Day) With(more []*Instrument) *Day {
	day := &Day{Date: d.Date, cash: d.cash, byKey: map[Key]*Instrument{}, named: map[named]*Instrument{}}
	of := map[string]*Instrument{}
	for _, i := range more {
		if !i.Expiry.IsZero() && i.Expiry.Before(d.Date) {
			continue
		}
		day.byKey[i.Key], day.named[named{i.Segment, i.Name}] = i, i
		if was := of[i.Symbol]; (i.Kind == Index || i.Kind == Share) && (was == nil || i.Kind == Index && was.Kind != Index) {
			of[i.Symbol] = i
		}
	}
	added := len(day.byKey)
	for _, i := range d.all {
		_, sameKey := day.byKey[i.Key]
		_, sameName := day.named[named{i.Segment, i.Name}]
		if sameKey || sameName {
			continue
		}
		if under := of[i.Symbol]; i.Underlying != nil && under != nil && i.Underlying.Kind == under.Kind {
			follows := *i
			follows.Underlying = under
			i = &follows
		}
		day.all = append(day.all, i)
	}
	for _, i := range more {
		if day.byKey[i.Key] != i {
			continue
		}
		if i.Kind != Index && i.Kind != Share {
			i.Underlying = of[i.Symbol]
		}
		day.all = append(day.all, i)
	}
	for _, i := range day.all[:len(day.all)-added] {
		day.byKey[i.Key], day.named[named{i.Segment, i.Name}] = i, i
	}
	day.all = slices.Clip(day.all)
	return day
}

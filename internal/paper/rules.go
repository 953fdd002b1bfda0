package paper

import (
	_ "embed"
	"encoding/json"
	"time"

	"neoapi/internal/paper/listing"
)

//go:embed rules.json
var rulesJSON []byte

// A rule is a row of a table of rules.json: the first that fits an instrument and a
// price on a day counts, of those with the latest date.
type rule struct {
	From       string
	Segment    string // "" for all
	Kind       string // share (and futures, if there is no row for them), future, option; "" for all
	Below, To  string // of the price; "" for any
	Hundredths int64  // of a per cent of the price
	Absolute   string // or a fixed distance

	from                int64 // when it begins, in seconds
	below, to, absolute listing.Price
}

// rules are the tables of the exchanges and of the broker.
var rules = func() (r struct{ Protection, StopGap, LeastDisclosed []rule }) {
	if err := json.Unmarshal(rulesJSON, &r); err != nil {
		panic("paper: rules.json: " + err.Error())
	}
	for _, table := range [][]rule{r.Protection, r.StopGap, r.LeastDisclosed} {
		for k := range table {
			table[k].parse()
		}
	}
	return r
}()

func (r *rule) parse() {
	t, err := time.Parse(time.DateOnly, r.From)
	if err != nil {
		panic("paper: rules.json: " + err.Error())
	}
	r.from = listing.DateOf(t).Start().Unix()
	for _, f := range []struct {
		text  string
		price *listing.Price
	}{{r.Below, &r.below}, {r.To, &r.to}, {r.Absolute, &r.absolute}} {
		if f.text == "" {
			continue
		}
		if *f.price, err = listing.ParsePrice(f.text); err != nil {
			panic("paper: rules.json: " + err.Error())
		}
	}
}

func (r *rule) fits(i *listing.Instrument, day int64, p listing.Price) bool {
	switch {
	case day < r.from, r.Segment != "" && r.Segment != i.Segment.String():
		return false
	case r.Kind == "option" && !i.Kind.Option(), r.Kind == "share" && i.Kind.Option(), r.Kind == "future" && i.Kind != listing.Future:
		return false
	}
	return (r.below == 0 || p < r.below) && (r.to == 0 || p <= r.to)
}

// distance returns what a table says for an instrument, a day's begin and a price, and
// whether it says anything. Rows of a table stand from the oldest date to the newest; within a date, by
// price.
func distance(table []rule, i *listing.Instrument, day int64, p listing.Price) (listing.Price, bool) {
	var found *rule
	for k := range table {
		r := &table[k]
		if r.fits(i, day, p) && (found == nil || found.from != r.from) {
			found = r
		}
	}
	if found == nil {
		return 0, false
	}
	if found.absolute > 0 {
		return found.absolute, true
	}
	return listing.Price(int64(p) * found.Hundredths / 10_000), true
}

// protected returns the limit of a market order: the last price and the protection,
// rounded to a tick towards the last price, inside the band.
func (x *Exchange) protected(in *instrument, s Side, last listing.Price, percent int) listing.Price {
	d := listing.Price(int64(last) * int64(percent) / 100)
	if percent == 0 {
		d, _ = distance(rules.Protection, in.Instrument, x.dayStart/1_000_000, last)
	}
	if s == Buy {
		return min(in.high, floor(last+d, in.Tick))
	}
	return max(in.low, ceil(last-d, in.Tick), in.Tick)
}

func floor(p, tick listing.Price) listing.Price { return p / tick * tick }

func ceil(p, tick listing.Price) listing.Price { return (p + tick - 1) / tick * tick }

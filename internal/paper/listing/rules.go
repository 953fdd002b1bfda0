package listing

import "slices"

// rule is a table with the date from which it holds and what it holds for.
type rule struct {
	From     Date
	Segments []Segment // empty for all
	Types    []string  // empty for all
	Kind     string    // option, other, or "" for both
	Below    []step    // by price, ascending
}

// step is what holds below a price: an amount, a share of the price in hundredths of a
// per cent, or a value.
type step struct {
	Price   decimal
	Amount  decimal
	Percent int
	Value   decimal
}

func (r *rule) step(p Price) step {
	for _, s := range r.Below {
		if p < Price(s.Price) {
			return s
		}
	}
	return r.Below[len(r.Below)-1]
}

// distance returns how far from a price a step reaches.
func (s step) distance(p Price) Price { return Price(s.Amount) + p*Price(s.Percent)/10_000 }

// find returns the rule that holds for an instrument on a date: the last in the table.
func find(table []rule, i *Instrument, d Date) *rule {
	for n := len(table) - 1; n >= 0; n-- {
		r := &table[n]
		if !d.Before(r.From) &&
			(len(r.Segments) == 0 || slices.Contains(r.Segments, i.Segment)) &&
			(len(r.Types) == 0 || slices.Contains(r.Types, i.Type)) &&
			(r.Kind == "" || (r.Kind == "option") == i.Kind.Option()) {
			return r
		}
	}
	return nil
}

// OnTick reports whether a price is a multiple of the tick.
func (i *Instrument) OnTick(p Price) bool { return p%i.Tick == 0 }

// Floor returns the price on the tick at or below p.
func (i *Instrument) Floor(p Price) Price {
	if p < 0 {
		return -i.Ceil(-p)
	}
	return p - p%i.Tick
}

// Ceil returns the price on the tick at or above p.
func (i *Instrument) Ceil(p Price) Price {
	if p < 0 {
		return -i.Floor(-p)
	}
	return i.Floor(p + i.Tick - 1)
}

// Nearest returns the price on the tick nearest to p, the higher one if two are.
func (i *Instrument) Nearest(p Price) Price { return i.Floor(p + i.Tick/2) }

// Bands returns the day's price band around a base price, on the instrument's ticks. An
// instrument without a band, such as an index, has the band 0, 0. An option's band begins
// at its tick and is as wide as a move of the underlying through its band could make it.
func (i *Instrument) Bands(base Price) (low, high Price) {
	switch {
	case i.Kind == Index:
		return 0, 0
	case i.Kind.Option():
		move := max(i.Opening, i.Strike) * 12 / 100
		return i.Tick, i.Ceil(max(base+base/2+move, base+20*Rupee))
	}
	part := base * Price(i.Band) / 10_000
	return max(i.Ceil(base-part), i.Tick), i.Floor(base + part)
}

// Protected returns the limit price that a market order becomes: the last price and what
// the table allows beyond it, or percent if that is not 0. It is rounded to a tick
// towards the last price and is at least one tick.
func (i *Instrument) Protected(d Date, last Price, buy bool, percent int) Price {
	distance := step{Percent: percent * 100}.distance(last)
	if percent == 0 {
		distance = find(data().Protection, i, d).step(last).distance(last)
	}
	if buy {
		return max(i.Floor(last+distance), i.Ceil(last))
	}
	return max(min(i.Ceil(last-distance), i.Floor(last)), i.Tick)
}

// StopGap returns how far a stop order's limit may be from its trigger, and false where
// there is no such rule.
func (i *Instrument) StopGap(d Date, trigger Price) (Price, bool) {
	r := find(data().StopGap, i, d)
	if r == nil {
		return 0, false
	}
	return r.step(trigger).distance(trigger), true
}

// Aggressive returns the exchange's limits round a reference price (limit price
// protection): a buy above high and a sell below low are refused. It is false where there
// is no such rule.
func (i *Instrument) Aggressive(d Date, reference Price) (low, high Price, ok bool) {
	r := find(data().PriceProtection, i, d)
	if r == nil {
		return 0, 0, false
	}
	distance := r.step(reference).distance(reference)
	return max(i.Ceil(reference-distance), i.Tick), i.Floor(reference + distance), true
}

// TradeForTrade reports whether each trade is delivered by itself: nothing is bought and
// sold again before it has arrived.
func (i *Instrument) TradeForTrade() bool {
	if i.Segment == NSE {
		return slices.Contains([]string{"BE", "BZ", "ST", "SZ", "X1"}, i.Series)
	}
	return i.Segment == BSE && slices.Contains([]string{"T", "XT", "Z", "ZP", "MT", "TS"}, i.Series)
}

// Intraday reports whether MIS is allowed.
func (i *Instrument) Intraday() bool { return i.Kind != Index && i.Margin.Intraday > 0 }

// Delivery reports whether CNC is allowed.
func (i *Instrument) Delivery() bool { return i.Kind == Share }

// Funded reports whether MTF is allowed.
func (i *Instrument) Funded() bool { return i.Kind == Share && i.Margin.Funded > 0 }

// Immediate reports whether IOC is allowed.
func (i *Instrument) Immediate() bool { return i.Segment != MCX }

// Disclosable returns the smallest part of a quantity that an order may disclose, and
// false where it must disclose all of it.
func (i *Instrument) Disclosable(quantity int64) (least int64, ok bool) {
	switch i.Segment {
	case NSE, BSE, Currency:
		return (quantity + 9) / 10, true
	case MCX:
		return (quantity + 3) / 4, true
	default:
		return 0, false
	}
}

// StopMarket reports whether the exchange takes a stop order without a limit.
func (i *Instrument) StopMarket() bool {
	return i.Segment != BSE && i.Segment != BSEDeriv && !i.Kind.Option()
}

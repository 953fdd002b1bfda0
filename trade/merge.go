package trade

import "strings"

// Merge returns what is known of an order, o, after another report of it has come, by a
// live feed or from the book. Neither is believed because it is the one or the other:
// nothing follows an end; else what the service recorded later holds; of one record, the
// report that has more of it. What the newer report lacks is taken from the older one, for a
// feed's frames lack much; what has filled stays filled.
func (o Order) Merge(report Order) Order {
	if report.supersedes(&o) {
		return report.onto(o)
	}
	return o.onto(report)
}

// supersedes reports whether o, which came after old, is to be believed before it. If the
// reports do not say which is newer, it is the one in which more has filled.
func (o *Order) supersedes(old *Order) bool {
	ended := old.State.Final()
	switch {
	case o.State == "" || old.State == "":
		return o.State != ""
	case ended != o.State.Final():
		return !ended
	case ended && o.State != old.State:
		return false
	case o.Sequence > 0 && old.Sequence > 0 && o.Sequence != old.Sequence:
		return o.Sequence > old.Sequence
	case o.Sequence > 0 && o.Sequence == old.Sequence && (o.Unread == "") != (old.Unread == ""):
		return o.Unread == ""
	}
	if now, was := o.State.once(), old.State.once(); now != was && now >= 0 && was >= 0 && (o.Sequence == 0 || old.Sequence == 0) {
		return now > was
	}
	if second, was := o.Updated.Unix(), old.Updated.Unix(); second != was && !o.Updated.IsZero() && !old.Updated.IsZero() {
		return second > was
	}
	return o.FilledQty >= old.FilledQty || o.lacks("fldQty")
}

// once returns the place of a state among those in which an order is once, at its
// beginning; all later ones have one place. It is -1 for a state that is not known.
func (s State) once() int {
	switch s {
	case AfterMarket, AfterMarketModified:
		return 0
	case Received, Validating, OpenPending:
		return s.stage()
	}
	if s.stage() == len(stages) {
		return -1
	}
	return len(stages)
}

// onto returns o with what it lacks taken from another report. What has filled stays
// filled, a complete order has filled, and Sequence does not go back to nothing.
func (o Order) onto(other Order) Order {
	fill(&o.Number, other.Number)
	fill(&o.ExchangeNumber, other.ExchangeNumber)
	fill(&o.Segment, other.Segment)
	fill(&o.Token, other.Token)
	fill(&o.Symbol, other.Symbol)
	fill(&o.Name, other.Name)
	fill(&o.Series, other.Series)
	fill(&o.Side, other.Side)
	fill(&o.Product, other.Product)
	fill(&o.PriceType, other.PriceType)
	fill(&o.Validity, other.Validity)
	if !o.Price.Known() && o.PriceType == other.PriceType {
		o.Price = other.Price
	}
	if !o.Trigger.Known() && o.PriceType == other.PriceType {
		o.Trigger = other.Trigger
	}
	fill(&o.State, other.State)
	if o.State == other.State {
		fill(&o.Reason, other.Reason)
	}
	fill(&o.Sequence, other.Sequence)
	fill(&o.Raw, other.Raw)
	if o.Tag == "" || replaced(o.Tag, o.Number) || other.Tag != "" && carries(o.Tag, other.Tag) {
		fill(&other.Tag, o.Tag)
		o.Tag = other.Tag
	}
	o.count(&other)
	if o.Sent.IsZero() {
		o.Sent = other.Sent
	}
	if o.Entered.IsZero() {
		o.Entered = other.Entered
	}
	if o.Confirmed.IsZero() {
		o.Confirmed = other.Confirmed
	}
	if o.Updated.IsZero() {
		o.Updated = other.Updated
	}
	return o
}

// count takes from another report the quantities that o lacks, and what has filled.
func (o *Order) count(other *Order) {
	lean := o.Quantity == 0 || o.lacks("qty")
	if o.Quantity == 0 && other.Quantity != 0 {
		o.Quantity = other.Quantity
		if !pending(o.State) && !pending(other.State) && !other.lacks("qty") { // no change is under way
			o.read("qty")
		}
	}
	if lean {
		fill(&o.DisclosedQty, other.DisclosedQty)
	}
	filled := o.FilledQty
	switch {
	case o.FilledQty < other.FilledQty:
		o.FilledQty = other.FilledQty
	case o.State == Complete && o.Quantity > 0 && (o.FilledQty == 0 || o.lacks("fldQty")):
		o.FilledQty = o.Quantity
		o.read("fldQty")
	}
	if o.FilledQty != filled || lean {
		o.PendingQty = 0
		if !o.State.Final() {
			o.PendingQty = max(0, o.Quantity-o.FilledQty)
		}
	}
	if o.FilledQty == other.FilledQty && (!o.AvgPrice.Known() || filled < o.FilledQty && other.AvgPrice.Known()) {
		o.AvgPrice = other.AvgPrice
	} else if filled < o.FilledQty {
		o.AvgPrice = Rupees{}
	}
}

// lacks reports whether Unread names a key.
func (o *Order) lacks(key string) bool { return missesAny(o.Unread, key) }

// read takes a key out of Unread.
func (o *Order) read(key string) {
	if o.Unread == "" {
		return
	}
	keys := strings.Split(o.Unread, ",")
	for i := range keys {
		if keys[i] == key {
			o.Unread = strings.Join(append(keys[:i:i], keys[i+1:]...), ",")
			return
		}
	}
}

func fill[T comparable](field *T, with T) {
	var none T
	if *field == none {
		*field = with
	}
}

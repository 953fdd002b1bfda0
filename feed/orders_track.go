package feed

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"neoapi/trade"
)

// A tracked is what the feed knows of an order.
type tracked struct {
	last  trade.Order // as it was last told; its Number is "" before that
	queue []report    // what waits for reports of earlier states, as it came
	since time.Time   // when the first of the queue came
	asked bool        // its history is to be read, or is being read
	start bool        // what waits is how the feed begins
}

// A report is an order as the stream or a read has it.
type report struct {
	trade.Order
	recovered bool
}

// A step is from one state to the next.
type step struct {
	from, to trade.State
	filled   bool
}

func stepOf(from, to *trade.Order) step {
	return step{from.State, to.State, to.FilledQty > from.FilledQty}
}

// track returns what is known of an order. o.mu is held, as below.
func (o *OrderFeed) track(number string) *tracked {
	t := o.orders[number]
	if t == nil {
		t = &tracked{}
		o.orders[strings.Clone(number)] = t
	}
	return t
}

// hear takes what the stream says of an order.
func (o *OrderFeed) hear(order trade.Order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.track(order.Number)
	r := report{Order: order}
	if o.holding || len(t.queue) > 0 || t.asked {
		o.wait(t, r)
		return
	}
	o.offer(t, r)
}

// offer tells of an order what a report has news of, unless something is missing before
// it: then the report waits for the order's history.
func (o *OrderFeed) offer(t *tracked, r report) {
	switch {
	case !news(&t.last, &r) && !hides(&t.last, &r):
		o.absorb(t, r)
	case !news(&t.last, &r) || !o.follows(t, &r):
		o.losing = time.Now()
		o.soon(lossyPause)
		o.wait(t, r)
		o.ask(t, r.Number)
	default:
		o.deliver(t, r)
	}
}

// follows reports whether nothing is known to be missing between what was told of an order
// and a report. Of an order that was there before the feed nothing is.
func (o *OrderFeed) follows(t *tracked, r *report) bool {
	return r.Follows(t.last) || o.steps[stepOf(&t.last, &r.Order)] >= habit || t.last.Number == "" && !o.caught
}

// news reports whether a report has news of an order.
func news(last *trade.Order, r *report) bool {
	if last.Number == "" {
		return true
	}
	now := last.Merge(r.Order)
	if now.FilledQty > last.FilledQty {
		return true
	}
	if last.State.Final() {
		return false
	}
	differ := func(now, was trade.Rupees) bool { return now != was && was.Known() }
	return now.State != last.State || now.Quantity != last.Quantity && last.Quantity != 0 || differ(now.Price, last.Price) || differ(now.Trigger, last.Trigger) ||
		now.PriceType != last.PriceType && last.PriceType != "" || now.Reason != last.Reason && now.Reason != ""
}

// hides reports whether a report without news of an order was recorded after what was told:
// then states that came in between ended where they began, as a change to what was does.
func hides(last *trade.Order, r *report) bool {
	return last.Sequence > 0 && r.Sequence > last.Sequence && !last.State.Final()
}

// absorb takes from a report without news what was not known.
func (o *OrderFeed) absorb(t *tracked, r report) {
	t.learn(r.Order)
	if !r.recovered {
		o.repeated.Add(1)
	}
}

// learn takes from a row what an order's reports have lacked, if they have.
func (t *tracked) learn(row trade.Order) {
	if last := &t.last; last.Unread != "" || last.Symbol == "" || last.Quantity == 0 || !last.Price.Known() || last.FilledQty > 0 && !last.AvgPrice.Known() || row.Sequence > last.Sequence {
		t.last = merge(*last, apart(row))
	}
}

// merge merges a report. What it returns has the time of no other state than its own.
func merge(last, r trade.Order) trade.Order {
	now := last.Merge(r)
	of := func(o *trade.Order) bool { return o.State == now.State && o.Sequence == now.Sequence }
	if !of(&last) && !of(&r) {
		now.Sequence = 0
	}
	return now
}

// apart returns an order that is no part of a report with many: it would keep all of that
// in memory.
func apart(row trade.Order) trade.Order {
	if own, err := trade.ParseOrder([]byte(row.Raw)); err == nil {
		return own
	}
	return row
}

// deliver tells of an order what a report has news of.
func (o *OrderFeed) deliver(t *tracked, r report) {
	now := merge(t.last, r.Order)
	fill := now.FilledQty - t.last.FilledQty
	o.moved = o.moved || r.recovered && fill > 0
	if r.recovered = r.recovered && !o.starts(t); r.recovered {
		o.recovered.Add(1)
	}
	t.last = now
	if now.Unread != "" || now.Symbol == "" && now.Token == "" { // the book has more
		o.soon(leanPause)
	}
	o.tell(OrderUpdate{Order: now, Fill: fill, Recovered: r.recovered})
}

// starts reports whether what is told of an order now is how the feed begins: no break hid it.
func (o *OrderFeed) starts(t *tracked) bool {
	return t.start || !o.caught && (o.lost.IsZero() || t.last.Number == "")
}

// settle tells of an order all that waits and the rows that were read, in the order's own
// sequence.
func (o *OrderFeed) settle(t *tracked, rows []report) {
	all := slices.Clone(rows)
	for _, r := range t.queue {
		same := slices.IndexFunc(all, func(a report) bool { return same(&r.Order, &a.Order) })
		if same >= 0 {
			all[same].recovered = all[same].recovered && r.recovered
		} else {
			all = append(all, r)
		}
	}
	t.queue, t.start = nil, o.starts(t)
	slices.SortStableFunc(all, func(a, b report) int { return cmp.Compare(noLater(&a.Order), noLater(&b.Order)) })
	for _, r := range all {
		if news(&t.last, &r) {
			o.deliver(t, r)
		} else {
			o.absorb(t, r)
		}
	}
	t.start = false
	o.settled(t)
}

// same reports whether a report is one of a state in which an order was. Without the
// service's finest time it is where nothing speaks against it.
func same(r, was *trade.Order) bool {
	if r.State != was.State || r.FilledQty != was.FilledQty && !strings.Contains(r.Unread, "fldQty") {
		return false
	}
	if r.Sequence != 0 && was.Sequence != 0 {
		return r.Sequence == was.Sequence
	}
	return (r.Quantity == was.Quantity || r.Quantity == 0 || was.Quantity == 0) && (r.Price == was.Price || !r.Price.Known() || !was.Price.Known())
}

// noLater is the latest moment at which the service can have recorded a state: a report may
// name the second alone, or nothing.
func noLater(o *trade.Order) int64 {
	switch {
	case o.Sequence != 0:
		return o.Sequence
	case o.Updated.IsZero():
		return math.MaxInt64
	}
	return o.Updated.Truncate(time.Second).Add(time.Second - 1).UnixNano()
}

// when is when the service recorded a state.
func when(o *trade.Order) int64 {
	if o.Sequence != 0 || o.Updated.IsZero() {
		return o.Sequence
	}
	return o.Updated.UnixNano()
}

// history takes the states of an order, the oldest first.
func (o *OrderFeed) history(t *tracked, states []trade.Order) {
	o.answered = time.Now()
	from := 0
	exact := slices.ContainsFunc(states, func(s trade.Order) bool {
		return s.Sequence == t.last.Sequence && s.State == t.last.State && s.Sequence != 0
	})
	for i := range states {
		if i > 0 && !states[i].Follows(states[i-1]) && len(o.steps) < maxSteps {
			o.steps[stepOf(&states[i-1], &states[i])]++
		}
		if told := &t.last; told.Number != "" && (when(&states[i]) <= when(told) || !exact && same(told, &states[i])) {
			from = i + 1
		}
	}
	t.queue = slices.DeleteFunc(t.queue, func(r report) bool {
		is := func(s trade.Order) bool { return same(&r.Order, &s) }
		return slices.ContainsFunc(states[:from], is) && !slices.ContainsFunc(states[from:], is)
	})
	rows := make([]report, 0, len(states)-from)
	for _, s := range states[from:] {
		rows = append(rows, report{apart(s), true})
	}
	t.asked = false
	o.settle(t, rows)
}

// habit is how often a service's histories have a step that is not usual before it is: then
// it is a way of that service.
const habit = 20

// maxSteps is more than there are steps between the states that are known.
const maxSteps = 1000

// inTime returns the orders that have been told of, the oldest state first.
func (o *OrderFeed) inTime() []*tracked {
	all := slices.DeleteFunc(slices.Collect(maps.Values(o.orders)), func(t *tracked) bool { return t.last.Number == "" })
	slices.SortFunc(all, func(a, b *tracked) int {
		return cmp.Or(cmp.Compare(when(&a.last), when(&b.last)), cmp.Compare(a.last.Number, b.last.Number))
	})
	return all
}

// open reports whether an order is not final.
func (o *OrderFeed) open() bool {
	for _, t := range o.orders {
		if !t.last.State.Final() {
			return true
		}
	}
	return false
}

// A positionKey identifies a position.
type positionKey struct {
	segment trade.Segment
	name    string // the token, or the symbol if there is none
	product trade.Product
}

func keyOfPosition(p *trade.Position) positionKey {
	return positionKey{p.Segment, cmp.Or(p.Symbol, p.Token), p.Product}
}

// position tells of a position that has changed. What is older than what was told changes
// nothing: in a day, what was bought or sold does not become less.
func (o *OrderFeed) position(p trade.Position) {
	key := keyOfPosition(&p)
	was, known := o.positions[key]
	quantity := func(p *trade.Position) int64 { return p.BuyQty + p.SellQty + p.CarriedBuyQty + p.CarriedSellQty }
	timed := !p.Updated.IsZero() && !was.Updated.IsZero() && !p.Updated.Equal(was.Updated)
	switch {
	case !known:
	case timed && p.Updated.Before(was.Updated), !timed && quantity(&p) < quantity(&was):
		return
	case p.Net == was.Net && p.BuyQty == was.BuyQty && p.SellQty == was.SellQty && p.BuyAmount == was.BuyAmount && p.SellAmount == was.SellAmount &&
		p.CarriedBuyQty == was.CarriedBuyQty && p.CarriedSellQty == was.CarriedSellQty:
		return
	}
	if p.Updated.IsZero() {
		p.Updated = was.Updated
	}
	o.positions[key] = p
	o.tell(PositionUpdate{p})
}

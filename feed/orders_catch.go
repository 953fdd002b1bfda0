package feed

import (
	"cmp"
	"slices"
	"time"

	"neoapi/trade"
)

// catching is how a feed catches up after it has connected. OrderFeed.mu guards it, as what
// follows.
type catching struct {
	connected bool
	wire      *wire
	behind    bool            // the book has not been read since the feed connected
	holding   bool            // reports of all orders wait for it
	heldSince time.Time       // when holding began
	live      bool            // nothing is missing
	caught    bool            // the feed has once been live
	missing   map[string]bool // orders whose histories are needed before it is live
	lost      time.Time       // when the connection was lost, zero if that is told
	holds     *time.Timer     // of what waits
	answered  time.Time       // when the service last answered a read
}

// connect notes that the session was proved on a new connection.
func (o *OrderFeed) connect(w *wire) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wire, o.connected, o.behind, o.holding, o.heldSince = w, true, true, true, time.Now()
	o.missing, o.deaf, o.failed = map[string]bool{}, 0, 0
	o.from, o.before = time.Time{}, time.Time{}
	o.due = time.Now()
	o.holds.Reset(reportPatience)
	o.stir()
}

// disconnect notes that a connection was lost, or could not be had.
func (o *OrderFeed) disconnect(why error, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wire, o.connected, o.live = nil, false, false
	if o.lost.IsZero() {
		o.lost = at
		o.tell(Lost{At: at, Err: why})
		o.soon(downPause)
	}
}

// wait makes a report wait.
func (o *OrderFeed) wait(t *tracked, r report) {
	if len(t.queue) == 0 {
		t.since, t.start = time.Now(), o.starts(t)
		o.holds.Reset(reportPatience)
	}
	if t.queue = append(t.queue, r); len(t.queue) >= maxWaiting {
		o.settle(t, nil)
	}
}

// maxWaiting is how many reports of one order may wait.
const maxWaiting = 1000

// ask has the history of an order read.
func (o *OrderFeed) ask(t *tracked, number string) {
	if !t.asked {
		t.asked = true
		o.wanted = append(o.wanted, number)
		o.stir()
	}
}

// release tells what has waited for too long.
func (o *OrderFeed) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	var next time.Time
	late := func(since time.Time) bool {
		end := since.Add(reportPatience)
		if answered := o.answered.Add(reportPatience); answered.After(end) {
			end = answered
		}
		if last := since.Add(longest); last.Before(end) {
			end = last
		}
		if now.Before(end) {
			if next.IsZero() || end.Before(next) {
				next = end
			}
			return false
		}
		return true
	}
	if o.holding && late(o.heldSince) {
		o.holding = false
	}
	for _, t := range o.inOrder() {
		if len(t.queue) > 0 && late(t.since) {
			o.ahead.Add(1)
			o.settle(t, nil)
		}
	}
	if !next.IsZero() && o.err == nil {
		o.holds.Reset(max(time.Millisecond, time.Until(next)))
	}
}

// inOrder returns the orders of which something waits, in the order in which it came.
func (o *OrderFeed) inOrder() (all []*tracked) {
	for _, t := range o.orders {
		if len(t.queue) > 0 {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *tracked) int { return a.since.Compare(b.since) })
	return all
}

// flush tells all that waits.
func (o *OrderFeed) flush() {
	for _, t := range o.inOrder() {
		o.settle(t, nil)
	}
}

// settled notes that nothing of an order waits any more.
func (o *OrderFeed) settled(t *tracked) {
	delete(o.missing, t.last.Number)
	o.catchUp()
}

// catchUp makes the feed live once nothing is missing.
func (o *OrderFeed) catchUp() {
	if !o.connected || o.behind || o.live || len(o.missing) > 0 {
		return
	}
	o.live, o.caught = true, true
	if !o.lost.IsZero() {
		o.tell(gap(o.lost, o.client.Now()))
		o.lost = time.Time{}
	}
}

// compare takes a book after a time in which the stream was not heard. The histories of
// the orders that have changed are read.
func (o *OrderFeed) compare(book []trade.Order) {
	slices.SortStableFunc(book, func(a, b trade.Order) int { return cmp.Compare(when(&a), when(&b)) })
	o.forget(book)
	for _, row := range book {
		if row.Number == "" || row.State == "" {
			continue
		}
		t, r := o.track(row.Number), report{row, true}
		if len(t.queue) == 0 && t.last.Number != "" && !news(&t.last, &r) && !hides(&t.last, &r) {
			o.absorb(t, r)
			continue
		}
		r.Order = apart(row)
		switch {
		case !o.caught && t.last.Number == "" && !begins(t): // as it is now
			o.settle(t, []report{r})
		case begins(t) && t.last.Number == "": // the stream has all of it
			o.again(t, &r)
		case news(&t.last, &r) || hides(&t.last, &r) || slices.ContainsFunc(t.queue, func(q report) bool { return news(&t.last, &q) }):
			o.missing[r.Number] = true
			o.wait(t, r)
			o.ask(t, r.Number)
		default:
			o.settle(t, []report{r})
		}
	}
	for _, t := range o.inOrder() { // those that the book does not have
		if !t.asked {
			o.again(t, nil)
		}
	}
}

// begins reports whether what waits of an order begins with its first state.
func begins(t *tracked) bool { return len(t.queue) > 0 && t.queue[0].Follows(trade.Order{}) }

// again offers what waits of an order, and then a row.
func (o *OrderFeed) again(t *tracked, row *report) {
	queue := t.queue
	t.queue, t.start = nil, false
	if row != nil {
		queue = append(queue, *row)
	}
	for _, r := range queue {
		if len(t.queue) > 0 || t.asked {
			o.wait(t, r)
		} else {
			o.offer(t, r)
		}
	}
}

// forget drops orders of other days.
func (o *OrderFeed) forget(book []trade.Order) {
	if len(o.orders) <= len(book) {
		return
	}
	there := map[string]bool{}
	for i := range book {
		there[book[i].Number] = true
	}
	for number, t := range o.orders {
		if !there[number] && len(t.queue) == 0 && !t.asked && o.client.Now().Sub(t.last.Updated) > forgetAfter && (t.last.State.Final() || !today(t.last.Updated, o.client.Now())) {
			delete(o.orders, number)
		}
	}
}

func today(at, now time.Time) bool { return trade.DateOf(at) == trade.DateOf(now) }

package feed

import (
	"context"
	"iter"
	"maps"
	"slices"

	"neoapi/trade"
)

// maxEvents is how many updates other than quotes wait for a reader before they are
// summed up.
const maxEvents = 256

// A reader is a loop over a feed's updates. What waits for it is bounded: an instrument
// waits once, whatever the number of its quotes, and gives the latest when it is read.
// Guarded by the feed's lock.
type reader struct {
	queue  []entry // what waits, the oldest first
	gone   int     // entries that have left the queue at its front
	head   int     // of queue
	live   int     // entries that are not void
	events int     // of them are no quotes
	marks  []marks // by item.slot
	wake   chan struct{}
}

// An entry is a quote, an auction or another update; one with neither is void.
type entry struct {
	item    *item
	auction bool
	event   Update
}

// marks are where an item waits.
type marks struct {
	quote, auction int // number of its entry + 1; 0: it does not wait
	epoch          uint32
	skipped        int
}

func (r *reader) push(e entry) (number int) {
	if len(r.queue)-r.head > 2*r.live+1024 || r.head > 1024 && r.head > len(r.queue)/2 {
		r.compact()
	}
	r.queue = append(r.queue, e)
	r.live++
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return r.gone + len(r.queue)
}

// compact takes out what is void.
func (r *reader) compact() {
	kept := r.queue[:0]
	for _, e := range r.queue[r.head:] {
		if e.item == nil && e.event == nil {
			continue
		}
		kept = append(kept, e)
		if e.item != nil {
			if mk := &r.marks[e.item.slot]; e.auction {
				mk.auction = len(kept)
			} else {
				mk.quote = len(kept)
			}
		}
	}
	clear(r.queue[len(kept):])
	r.queue, r.head, r.gone = kept, 0, 0
}

// void takes an entry out of the queue.
func (r *reader) void(number int) {
	r.queue[number-1-r.gone] = entry{}
	r.live--
}

func (r *reader) mark(it *item) {
	if it.slot >= len(r.marks) {
		r.marks = append(r.marks, make([]marks, it.slot+1-len(r.marks))...)
	}
	mk := &r.marks[it.slot]
	if mk.quote != 0 {
		mk.skipped++
		if mk.epoch == it.epoch {
			return
		}
		r.void(mk.quote) // it waits from before a break: what waits for it now comes after the gap
	}
	mk.epoch = it.epoch
	mk.quote = 0 // so that a compacting push leaves it alone
	n := r.push(entry{item: it})
	r.marks[it.slot].quote = n
}

func (r *reader) markAuction(it *item) {
	if it.slot >= len(r.marks) {
		r.marks = append(r.marks, make([]marks, it.slot+1-len(r.marks))...)
	}
	if r.marks[it.slot].auction == 0 {
		n := r.push(entry{item: it, auction: true})
		r.marks[it.slot].auction = n
	}
}

// forget takes out what waits of an instrument that nobody wants any more.
func (r *reader) forget(it *item) {
	if it.slot >= len(r.marks) {
		return
	}
	mk := &r.marks[it.slot]
	if mk.quote != 0 {
		r.void(mk.quote)
	}
	if mk.auction != 0 {
		r.void(mk.auction)
	}
	*mk = marks{}
}

// tell adds an update that is no quote.
func (r *reader) tell(u Update) {
	if r.events >= maxEvents {
		r.sumUp()
	}
	r.events++
	r.push(entry{event: u})
}

// sumUp makes one of many updates that wait: of several breaks the first loss and one gap
// over all of them, the latest status of each market, and all that is missing.
func (r *reader) sumUp() {
	r.compact()
	type doing struct {
		segment trade.Segment
		event   bool
	}
	statuses := map[doing]bool{}
	missing := map[string]bool{}
	var gap, miss *Update // the later one, which the earlier ones are added to
	losses := 0
	for _, e := range r.queue {
		if _, ok := e.event.(Lost); ok {
			losses++
		}
	}
	for i := len(r.queue) - 1; i >= 0; i-- {
		e := &r.queue[i]
		switch u := e.event.(type) {
		case Gap:
			if gap == nil {
				gap = &e.event
				continue
			}
			all := (*gap).(Gap)
			if u.From.Before(all.From) {
				all.From = u.From
			}
			*gap = all
		case Lost:
			if losses--; losses == 0 || gap == nil { // the first, and those that last
				continue
			}
		case Status:
			if what := (doing{u.Segment, u.State.event()}); !statuses[what] {
				statuses[what] = true
				continue
			}
		case Missing:
			if miss == nil {
				miss = &e.event
				for _, m := range u.Instruments {
					missing[m.Key()] = true
				}
				continue
			}
			all := (*miss).(Missing)
			for _, m := range u.Instruments {
				if !missing[m.Key()] {
					missing[m.Key()] = true
					all.Instruments = append(slices.Clip(all.Instruments), m)
				}
			}
			*miss = all
		default:
			continue
		}
		*e = entry{}
		r.live--
		r.events--
	}
	r.compact()
}

// take returns the next update, or nil if there is none.
func (r *reader) take() Update {
	for r.head < len(r.queue) {
		e := r.queue[r.head]
		r.queue[r.head] = entry{}
		r.head++
		switch {
		case e.event != nil:
			r.live--
			r.events--
			return e.event
		case e.item == nil:
			continue
		}
		r.live--
		mk := &r.marks[e.item.slot]
		if e.auction {
			mk.auction = 0
			return e.item.auctioned
		}
		q := e.item.copy()
		q.Skipped = mk.skipped
		mk.quote, mk.skipped = 0, 0
		return q
	}
	r.queue, r.head, r.gone = r.queue[:0], 0, 0
	return nil
}

// Updates returns what the feed tells, from now on: first the present quotes. Any number of
// loops may read a feed; each gets everything. A loop that reads slowly gets the latest
// quote of an instrument, which says how many it skipped; Lost, Gap, Status, Auction and
// Missing are summed up where more than a few hundred of them wait.
//
// An error ends the loop: that of ctx, or what the feed has ended with.
func (m *MarketFeed) Updates(ctx context.Context) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		r := m.join()
		defer m.leave(r)
		for {
			u, err := m.next(ctx, r)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(u, nil) {
				return
			}
		}
	}
}

// join adds a reader, which begins with what is now.
func (m *MarketFeed) join() *reader {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &reader{wake: make(chan struct{}, 1), marks: make([]marks, m.slots)}
	for _, l := range m.lines {
		if l.lost {
			r.tell(l.lostAs)
		}
	}
	for _, x := range slices.Sorted(maps.Keys(m.told)) {
		r.tell(m.told[x])
	}
	var missing []*item
	for _, it := range m.inOrder() {
		switch {
		case it.fresh() && it.q.Level != 0:
			r.mark(it)
		case it.missing:
			missing = append(missing, it)
		}
	}
	if len(missing) > 0 {
		r.tell(missed(missing))
	}
	m.readers = append(m.readers, r)
	return r
}

func (m *MarketFeed) leave(r *reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.readers, r); i >= 0 {
		m.readers = slices.Delete(slices.Clone(m.readers), i, i+1)
	}
}

// next waits for a reader's next update.
func (m *MarketFeed) next(ctx context.Context, r *reader) (Update, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		m.mu.Lock()
		err := m.err
		var u Update
		if err == nil || !m.shut {
			u = r.take()
		}
		m.mu.Unlock()
		switch {
		case u != nil:
			return u, nil
		case err != nil:
			return nil, err
		}
		select {
		case <-r.wake:
		case <-m.done:
		case <-ctx.Done():
		}
	}
}

// tell adds an update that is no quote for every reader. The feed's lock is held.
func (m *MarketFeed) tell(u Update) {
	for _, r := range m.readers {
		r.tell(u)
	}
}

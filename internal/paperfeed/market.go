package paperfeed

import (
	"context"
	"sync"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/paper/tape"
	"neoapi/internal/paperapi"
)

// A hub reads what clients have subscribed once a step of the market, and hands it to
// them. Each quote is read and encoded once, for however many.
type hub struct {
	api *paperapi.API
	now func() time.Time

	mu      sync.Mutex
	tickers map[listing.Key]*ticker
	order   []*ticker // as they were subscribed, so that those of a client are together
	encoded int       // packets, for tests
}

// A ticker is an instrument that somebody has subscribed.
type ticker struct {
	key   listing.Key
	place int // in the hub's order
	last  *tick
	subs  []*subscription
}

// A tick is what an instrument does at a time. It does not change, but for packets of
// levels nobody has asked for yet.
type tick struct {
	quote   paper.Quote // At is when it changed, LastTime when it last traded
	seq     uint8
	packets [len(levels)][]byte // by the index of the level in levels
}

// A subscription is what one client gets of an instrument.
type subscription struct {
	client *client
	level  uint8 // of SFeed, or 0 for one that reads the quote itself
	of     any   // what the protocol needs to know of it

	ticker *ticker // under the hub's lock
	place  int     // in the ticker's subs; the same

	queued bool // under the client's lock
	latest *tick
}

func (h *hub) init(cfg Config) {
	h.api, h.now = cfg.API, cfg.Now
	h.tickers = map[listing.Key]*ticker{}
}

// subscribe gives a subscription what an instrument does now and, until unsubscribe, each
// time it has moved. It reports whether the instrument is listed.
func (h *hub) subscribe(s *subscription, key listing.Key) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tickers[key]
	if t == nil {
		t = &ticker{key: key}
	}
	if !h.read(t) {
		return false
	}
	if len(t.subs) == 0 {
		t.place = len(h.order)
		h.order = append(h.order, t)
		h.tickers[key] = t
	}
	s.ticker, s.place = t, len(t.subs)
	t.subs = append(t.subs, s)
	h.encode(t.last, s.level)
	s.client.tick(s, t.last)
	s.client.wakeUp()
	return true
}

// unsubscribe ends a subscription.
func (h *hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := s.ticker
	if t == nil {
		return
	}
	s.ticker = nil
	last := t.subs[len(t.subs)-1]
	t.subs[s.place], last.place = last, s.place
	t.subs = t.subs[:len(t.subs)-1]
	if len(t.subs) > 0 {
		return
	}
	other := h.order[len(h.order)-1]
	h.order[t.place], other.place = other, t.place
	h.order = h.order[:len(h.order)-1]
	delete(h.tickers, t.key)
}

// snapshot returns what an instrument does now, and whether it is listed.
func (h *hub) snapshot(key listing.Key, level uint8) (*tick, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tickers[key]
	if t == nil {
		t = &ticker{key: key}
	}
	if !h.read(t) {
		return nil, false
	}
	h.encode(t.last, level)
	return t.last, true
}

// read brings a ticker up to the present, and reports whether its instrument is listed.
func (h *hub) read(t *ticker) (ok bool) {
	h.api.Exchange(func(x *paper.Exchange, now time.Time) { _, ok = t.update(x, now) })
	return ok
}

// update brings a ticker up to the present, and reports whether something has moved and
// whether its instrument is listed.
func (t *ticker) update(x *paper.Exchange, now time.Time) (moved, ok bool) {
	q, ok := x.Quote(now, t.key)
	if !ok {
		return false, false
	}
	if t.last == nil {
		t.last = &tick{quote: q, seq: 1}
		return true, true
	}
	was := &t.last.quote
	if q.Volume == was.Volume && q.Last == was.Last { // the market's step is no trade
		q.LastTime = was.LastTime
	}
	at := q.At
	if q.At = was.At; q == *was {
		return false, true
	}
	q.At = at
	t.last = &tick{quote: q, seq: t.last.seq + 1}
	return true, true
}

// Bounds of what is done at once in a step.
const (
	pieceInstruments = 64   // the exchange's lock is held for so many
	pieceDeliveries  = 4000 // to clients
	stepShare        = 400 * time.Millisecond
)

// run moves the market, and tells what has moved, until the context is done.
func (h *hub) run(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		wait.Reset(h.untilStep())
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		h.api.Step()
		h.step(ctx, wait)
	}
}

// untilStep returns how long it is until the market moves.
func (h *hub) untilStep() time.Duration {
	now := h.now()
	return now.Truncate(tape.Step).Add(tape.Step).Sub(now) + time.Millisecond
}

// step tells what has moved. Much of it is told piece by piece over the step, so that the
// last client gets its piece as soon after it was made as the first one.
func (h *hub) step(ctx context.Context, wait *time.Timer) {
	h.mu.Lock()
	instruments, deliveries := len(h.order), 0
	for _, t := range h.order {
		deliveries += len(t.subs)
	}
	h.mu.Unlock()
	pieces := max(1, (instruments+pieceInstruments-1)/pieceInstruments, (deliveries+pieceDeliveries-1)/pieceDeliveries)
	gap := stepShare / time.Duration(pieces)
	for from := 0; from < instruments; {
		began := time.Now()
		n, told := h.piece(from, max(1, min(pieceInstruments, (instruments+pieces-1)/pieces)))
		if from += n; n == 0 || from >= instruments {
			return
		}
		rest := min(gap, time.Millisecond+time.Duration(told)*8*time.Microsecond) - time.Since(began)
		if rest <= 0 {
			continue
		}
		wait.Reset(rest)
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
	}
}

// piece tells what has moved of n instruments, and returns of how many there were and how
// many clients were told.
func (h *hub) piece(from, n int) (seen, told int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if from >= len(h.order) {
		return 0, 0
	}
	all := h.order[from:min(from+n, len(h.order))]
	moved := make([]*ticker, 0, len(all))
	h.api.Exchange(func(x *paper.Exchange, now time.Time) {
		for _, t := range all {
			if m, _ := t.update(x, now); m {
				moved = append(moved, t)
			}
		}
	})
	var clients []*client
	for _, t := range moved {
		for _, s := range t.subs {
			h.encode(t.last, s.level)
			if s.client.tick(s, t.last) {
				clients = append(clients, s.client)
			}
			told++
		}
	}
	for _, c := range clients {
		c.wakeUp()
	}
	return len(all), told
}

// tick queues what an instrument does now, in place of what is queued of it. It reports
// whether nothing else was queued: then the client has to be woken up.
func (c *client) tick(s *subscription, t *tick) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.latest = t
	if s.queued || c.closed {
		return false
	}
	s.queued = true
	c.moved = append(c.moved, s)
	return len(c.moved) == 1
}

// wakeUp makes the client write what is queued.
func (c *client) wakeUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal()
}

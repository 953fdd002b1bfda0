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
	subs    int       // of all clients

	// What was announced: see announce.go.
	statuses map[listing.Segment]status
	auctions map[listing.Key][]byte
	watchers map[*client]bool
}

// A ticker is an instrument that somebody has subscribed.
type ticker struct {
	key   listing.Key
	place int // in the hub's order
	last  *tick
	was   *tick // before it, or nil
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

	// Under the client's lock: what waits to be sent.
	queued  bool
	ended   bool // nothing more is sent
	latest  *tick
	auction []byte // a packet
}

func (h *hub) init(cfg Config) {
	h.api, h.now = cfg.API, cfg.Now
	h.tickers = map[listing.Key]*ticker{}
	h.statuses, h.auctions, h.watchers = map[listing.Segment]status{}, map[listing.Key][]byte{}, map[*client]bool{}
	h.api.Announcements(h.announced)
}

// mostSubscriptions is how many subscriptions all clients may have: they hold some 300
// bytes each.
const mostSubscriptions = 500_000

// subscribe gives a subscription what an instrument does now and, until unsubscribe, each
// time it has moved. It reports whether there is room for it. The client has to be woken
// up.
func (h *hub) subscribe(s *subscription, key listing.Key) (room bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs >= mostSubscriptions {
		return false
	}
	t := h.read(key)
	if t == nil { // it was listed until today
		return true
	}
	h.subs++
	if len(t.subs) == 0 {
		t.place = len(h.order)
		h.order = append(h.order, t)
		h.tickers[key] = t
	}
	s.ticker, s.place = t, len(t.subs)
	t.subs = append(t.subs, s)
	h.encode(t.last, s.level)
	s.client.tick(s, t.last, h.auctionOf(t, s.level))
	return true
}

// unsubscribe ends a subscription.
func (h *hub) unsubscribe(s *subscription) {
	s.client.mu.Lock()
	s.ended = true
	s.client.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	t := s.ticker
	if t == nil {
		return
	}
	s.ticker = nil
	h.subs--
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

// snapshot returns what an instrument does now, or nil if it is not listed.
func (h *hub) snapshot(key listing.Key, level uint8) *tick {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.read(key)
	if t == nil {
		return nil
	}
	h.encode(t.last, level)
	return t.last
}

// read returns a ticker that is up to date, or nil if its instrument is not listed.
func (h *hub) read(key listing.Key) *ticker {
	t := h.tickers[key]
	if t == nil {
		t = &ticker{key: key}
	}
	moved, ok := false, false
	h.api.Exchange(func(x *paper.Exchange, now time.Time) { moved, ok = t.update(x, now) })
	if !ok {
		return nil
	}
	if moved {
		wake(h.tell(t, nil))
	}
	return t
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
	t.was, t.last = t.last, &tick{quote: q, seq: t.last.seq + 1}
	return true, true
}

// Bounds of what is done at once in a step.
const (
	pieceInstruments = 64
	pieceDeliveries  = 4000                   // to clients
	mostHold         = 200 * time.Microsecond // how long orders wait for the exchange
	deliveryTime     = 8 * time.Microsecond   // more than one takes
	stepShare        = 400 * time.Millisecond // of the half second that there is
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
	gap := min(stepShare, time.Millisecond+time.Duration(deliveries)*deliveryTime) / time.Duration(pieces)
	began := time.Now()
	for n := range pieces {
		wait.Reset(gap*time.Duration(n) - time.Since(began))
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		h.piece(n*instruments/pieces, (n+1)*instruments/pieces)
	}
}

// piece tells what has moved of some instruments.
func (h *hub) piece(from, to int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.order[min(from, len(h.order)):min(to, len(h.order))]
	moved := make([]*ticker, 0, len(all))
	for rest := all; len(rest) > 0; {
		h.api.Exchange(func(x *paper.Exchange, now time.Time) {
			for began := time.Now(); len(rest) > 0 && time.Since(began) < mostHold; rest = rest[1:] {
				if m, _ := rest[0].update(x, now); m {
					moved = append(moved, rest[0])
				}
			}
		})
	}
	var clients []*client
	for _, t := range moved {
		if onTick != nil {
			onTick(t.key, t.last.seq)
		}
		if !h.closed(t.key.Segment) {
			clients = h.tell(t, clients)
		}
	}
	wake(clients)
}

// onTick, if a benchmark has set it, is told when an instrument has moved.
var onTick func(key listing.Key, seq uint8)

// tell queues what an instrument does now for those who have subscribed it, and appends
// those who have to be woken up. Of what has moved a level may have nothing.
func (h *hub) tell(t *ticker, clients []*client) []*client {
	var same [len(levels)]bool
	for i, l := range levels {
		if t.was != nil && t.was.packets[i] != nil {
			h.encode(t.last, l)
			same[i] = samePacket(t.was.packets[i], t.last.packets[i])
		}
	}
	for _, s := range t.subs {
		if i := slot(s.level); i >= 0 && same[i] {
			continue
		}
		h.encode(t.last, s.level)
		if s.client.tick(s, t.last, nil) {
			clients = append(clients, s.client)
		}
	}
	t.was = nil
	return clients
}

// tick queues what an instrument does now, in place of what is queued of it, and the state
// of its auction unless that is nil. It reports whether nothing else was queued: then the
// client has to be woken up.
func (c *client) tick(s *subscription, t *tick, auction []byte) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if t != nil {
		s.latest = t
	}
	if auction != nil {
		s.auction = auction
	}
	if s.queued {
		return false
	}
	s.queued = true
	c.moved = append(c.moved, s)
	return len(c.moved) == 1
}

// wake makes clients write what is queued.
func wake(clients []*client) {
	for _, c := range clients {
		c.mu.Lock()
		c.signal()
		c.mu.Unlock()
	}
}

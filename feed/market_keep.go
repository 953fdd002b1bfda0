package feed

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// patience is how long a market feed waits for what.
type patience struct {
	silence time.Duration // without data in an open market, until it asks for a snapshot; and then for the snapshot
	ack     time.Duration // for an acknowledgement
	first   time.Duration // for an instrument's first packet in an open market
}

func newPatience(haste time.Duration) patience {
	return patience{silence: 5 * time.Second / haste, ack: 5 * time.Second / haste, first: 10 * time.Second / haste}
}

// maxTokens is how many instruments one request names.
const maxTokens = 100

// A keeper keeps a connection at what is wanted: it asks for it, and looks whether it comes.
type keeper struct {
	line   *line
	wire   *wire
	begun  bool
	heard  time.Time // when a quote came last, or was not to be expected
	probed time.Time // when a snapshot was asked for to see whether the service answers; zero if it was not
	vague  bool      // nothing is known to have a snapshot: an acknowledgement will do
	acked  int       // how many there were then
	tidied time.Time // when all snapshots were asked for, because a frame was spoilt
}

// An ack is an acknowledgement that is awaited.
type ack struct {
	of    []*item
	topic sfeed.Topic
	since time.Time
	again bool // it was asked for twice
}

// run works until the connection has ended.
func (k *keeper) run(ctx context.Context) {
	ticker := time.NewTicker(k.line.feed.patience.silence / 10)
	defer ticker.Stop()
	for {
		requests, unanswered, err := k.turn(time.Now())
		for _, n := range unanswered {
			k.line.feed.opts.log.LogAttrs(ctx, slog.LevelWarn, "feed: the service does not acknowledge a subscription", slog.Int("instruments", n))
		}
		for _, r := range requests {
			if err != nil {
				break
			}
			err = k.wire.write(r.Append(nil))
		}
		if err != nil {
			k.wire.end(err) // has no effect if it has ended
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-k.line.poke:
		}
	}
}

// turn returns what to ask for now, and how many instruments each request had that was
// not acknowledged. Its error ends the connection.
func (k *keeper) turn(now time.Time) (requests []sfeed.Request, unanswered []int, err error) {
	l, m := k.line, k.line.feed
	m.mu.Lock()
	defer m.mu.Unlock()
	if !k.begun {
		k.begun, k.heard = true, now
		if l.first {
			requests = append(requests, sfeed.Request{Action: sfeed.Subscribe, Topic: sfeed.Statuses})
		}
	}
	requests = append(requests, l.changes(now)...)
	again, unanswered, err := l.overdue(now)
	if err != nil {
		return nil, unanswered, err
	}
	requests = append(requests, again...)
	l.name(now)
	probe, err := k.listen(now)
	if err != nil {
		return nil, unanswered, err
	}
	return append(append(requests, probe...), k.tidy(now)...), unanswered, nil
}

// changes returns the requests that make the connection carry what is wanted.
func (l *line) changes(now time.Time) []sfeed.Request {
	drop, add := map[sfeed.Topic][]*item{}, map[sfeed.Topic][]*item{}
	for _, it := range l.moved {
		it.moved = false
		was, is := it.topic(it.carried), it.topic(it.want)
		it.carried = it.want
		if was == is {
			continue
		}
		if was != 0 {
			drop[was] = append(drop[was], it)
		}
		if is != 0 {
			add[is] = append(add[is], it)
			if !it.fresh() {
				it.asked = now
				l.waiting[it] = true
			}
		}
	}
	clear(l.moved)
	l.moved = l.moved[:0]
	var requests []sfeed.Request
	for topic := sfeed.Minis; topic <= sfeed.Indices; topic++ { // dropped first: the service may have one level an instrument
		for some := range slices.Chunk(drop[topic], maxTokens) {
			requests = append(requests, request(sfeed.Unsubscribe, topic, some))
		}
	}
	for topic := sfeed.Minis; topic <= sfeed.Indices; topic++ {
		for some := range slices.Chunk(add[topic], maxTokens) {
			requests = append(requests, request(sfeed.Subscribe, topic, some))
			l.acks = append(l.acks, &ack{of: some, topic: topic, since: now})
		}
	}
	return requests
}

func request(a sfeed.Action, t sfeed.Topic, of []*item) sfeed.Request {
	r := sfeed.Request{Action: a, Topic: t, Ack: a != sfeed.Unsubscribe}
	for _, it := range of {
		r.Tokens = append(r.Tokens, it.name)
	}
	return r
}

// topic returns what an instrument is subscribed by at a level, or 0.
func (it *item) topic(l Level) sfeed.Topic {
	switch {
	case l == 0:
		return 0
	case it.index:
		return sfeed.Indices
	}
	return [...]sfeed.Topic{Mini: sfeed.Minis, Touch: sfeed.Touches, Depth: sfeed.Depths, Full: sfeed.Fulls}[l]
}

// acknowledged takes an acknowledgement off the list. One without tokens is of the oldest
// request.
func (l *line) acknowledged(r *sfeed.Reply) {
	l.acked++
	for i, a := range l.acks {
		if len(r.Symbols) == 0 || slices.ContainsFunc(a.of, func(it *item) bool { _, ok := r.Symbols[it.name]; return ok }) {
			l.acks = slices.Delete(l.acks, i, i+1)
			return
		}
	}
}

// overdue returns the subscriptions to ask for again, because the service did not
// acknowledge them in time. That is done once; where nothing has proved the session yet it
// is a refusal, because the service leaves such connections open and silent.
func (l *line) overdue(now time.Time) (again []sfeed.Request, unanswered []int, err error) {
	m := l.feed
	l.acks = slices.DeleteFunc(l.acks, func(a *ack) bool {
		switch {
		case now.Sub(a.since) < m.patience.ack:
			return false
		case !l.proved:
			err = &SessionError{Err: fmt.Errorf("the service acknowledged no subscription within %v", m.patience.ack), doubtful: true}
			return false
		case a.again:
			unanswered = append(unanswered, len(a.of))
			return true
		}
		a.of = slices.DeleteFunc(a.of, func(it *item) bool { return it.fresh() || it.topic(it.carried) != a.topic || it.gone.Load() })
		if len(a.of) == 0 {
			return true // there is data
		}
		a.again, a.since = true, now
		again = append(again, request(sfeed.Subscribe, a.topic, a.of))
		return false
	})
	return again, unanswered, err
}

// name tells which instruments have sent nothing although their market is open.
func (l *line) name(now time.Time) {
	m := l.feed
	var missing []*item
	for it := range l.waiting {
		if it.missing || !m.open(it.exchange) {
			continue
		}
		since := it.asked
		if opened := m.opened[uint8(it.exchange)]; opened.After(since) {
			since = opened
		}
		if now.Sub(since) >= m.patience.first {
			it.missing = true
			missing = append(missing, it)
		}
	}
	if len(missing) > 0 {
		m.tell(missed(missing))
	}
}

// missed returns the update for instruments of which nothing came.
func missed(items []*item) Missing {
	slices.SortFunc(items, func(a, b *item) int { return strings.Compare(a.name, b.name) })
	var u Missing
	for _, it := range items {
		u.Instruments = append(u.Instruments, it.instrument)
	}
	return u
}

// listen notices silence in an open market. It asks for a snapshot, which a service that
// works sends of any instrument, also of one in which nobody trades; without one the
// connection is given up.
func (k *keeper) listen(now time.Time) ([]sfeed.Request, error) {
	l, m := k.line, k.line.feed
	if l.heard || !l.expects() || k.vague && l.acked > k.acked {
		l.heard, k.vague, k.heard, k.probed = false, false, now, time.Time{}
		return nil, nil
	}
	switch {
	case !k.probed.IsZero() && now.Sub(k.probed) >= m.patience.silence:
		return nil, &ConnectionError{Err: fmt.Errorf("the service sent no quote for %v, and no snapshot when asked for one", now.Sub(k.heard).Round(time.Millisecond))}
	case k.probed.IsZero() && now.Sub(k.heard) >= m.patience.silence:
		it, known := l.sample()
		if it == nil {
			return nil, nil
		}
		k.probed, k.vague, k.acked = now, !known, l.acked
		return []sfeed.Request{request(sfeed.Snapshot, it.topic(it.carried), []*item{it})}, nil
	}
	return nil, nil
}

// expects reports whether the connection carries an instrument whose market is open.
func (l *line) expects() bool {
	for x, n := range l.per {
		if n > 0 && l.feed.open(int8(x)) {
			return true
		}
	}
	return false
}

// sample returns an instrument to ask a snapshot of: one that has had a packet if there is
// one, for the others may be unknown to the service.
func (l *line) sample() (it *item, known bool) {
	for _, i := range l.feed.items {
		if i.line != l || i.carried == 0 || !l.feed.open(i.exchange) {
			continue
		}
		if i.fresh() {
			return i, true
		}
		if it == nil || i.epoch > 0 {
			it, known = i, known || i.epoch > 0
		}
	}
	return it, known
}

// tidy asks for all pictures, because a frame could not be read and nobody knows what was
// in it; not more often than silence is looked for.
func (k *keeper) tidy(now time.Time) (requests []sfeed.Request) {
	l := k.line
	if !l.stale || now.Sub(k.tidied) < l.feed.patience.silence {
		return nil
	}
	l.stale, k.tidied = false, now
	by := map[sfeed.Topic][]*item{}
	for _, it := range l.feed.inOrder() {
		if it.line == l && it.carried != 0 {
			by[it.topic(it.carried)] = append(by[it.topic(it.carried)], it)
		}
	}
	for topic := sfeed.Minis; topic <= sfeed.Indices; topic++ {
		for some := range slices.Chunk(by[topic], maxTokens) {
			requests = append(requests, request(sfeed.Snapshot, topic, some))
		}
	}
	return requests
}

// open reports whether a market is open: by its feed, else by the hours of the original
// service, and elsewhere always.
func (m *MarketFeed) open(exchange int8) bool {
	if s := m.statuses[uint8(exchange)]; s != 0 {
		return s == MarketOpen
	}
	return !original(m.client) || openByHours(trade.Segment(sfeed.Segment(exchange)), m.client.Now())
}

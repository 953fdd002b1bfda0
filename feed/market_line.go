package feed

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"neoapi"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// A line is one connection of a market feed, with the instruments that it carries. It is
// the protocol of its link, which alone calls it.
type line struct {
	feed  *MarketFeed
	link  *link
	first bool // it has the markets' status

	// Guarded by the feed's lock.
	table   table
	indices []*item
	count   int            // of instruments
	moved   []*item        // whose wants differ from what the connection carries
	waiting map[*item]bool // asked for, and nothing has come yet
	per     [1 << 8]int    // items by exchange
	poke    chan struct{}  // of capacity 1: moved has something
	epoch   uint32         // counts connections; no picture is older
	lost    bool           // since a Lost, until the Gap
	lostAs  Lost
	from    time.Time // when something came last, before it was lost
	heard   bool      // a quote has come since the keeper looked
	stale   bool      // a frame was spoilt: pictures are to be asked for again
	acks    []*ack    // that are awaited, the oldest first
	acked   int       // how many have come
	proved  bool      // the session is good

	// Of the reader's goroutine.
	started  bool          // what is wanted is being asked for
	greeted  bool          // by 1119, which proves nothing
	answered bool          // by 1117
	divided  bool          // the dividers are known
	held     []*item       // that have a packet from before that
	scales   [1 << 8]scale // by exchange
	mini     sfeed.Mini
	value    sfeed.Index
	changed  []*item
}

// addresses implements [protocol].
func (l *line) addresses(ctx context.Context, s neoapi.Session) ([]string, error) {
	return marketAddresses(ctx, l.feed.client, s)
}

// beat implements [protocol].
func (l *line) beat(neoapi.Session) beat { return beat{ping: 20 * time.Second} }

// What the first frame says of the client: the service's own is of this kind.
const (
	firstSource   = "NEOTRADEAPI"
	firstPlatform = "Web"
	firstVersion  = "3.0.8"
	firstSDK      = 2
	firstSDKDate  = "2026-09-01"
)

// greet implements [protocol]. The documented answer is 1117 or 1120. The service answers
// with 1119, which ours sends to everybody who connects: it counts once something else
// follows, for which something has to be asked.
func (l *line) greet(ctx context.Context, w *wire, s neoapi.Session) error {
	l.begin()
	first := sfeed.First{
		User: s.UCC, Auth: s.SID, Format: sfeed.FormatBatch, Source: firstSource, Platform: firstPlatform, Version: firstVersion,
		SDKVersion: firstSDK, SDKDate: firstSDKDate, ConnReqTime: time.Now().UnixMilli(),
	}
	if err := w.write(first.Append(nil)); err != nil {
		return err
	}
	for {
		kind, data, err := w.read(ctx)
		if err != nil {
			return err
		}
		if err := l.frame(kind, data, l.feed.client.Now()); err != nil {
			return err
		}
		switch {
		case l.answered || l.proved:
			return nil
		case l.greeted && l.idle():
			return nil // the first subscription will prove it
		case l.greeted:
			l.start(w.ctx, w)
		}
	}
}

// begin forgets the connection before.
func (l *line) begin() {
	m := l.feed
	m.mu.Lock()
	defer m.mu.Unlock()
	l.epoch++
	l.heard, l.stale, l.acks = false, false, nil
	clear(l.waiting)
	l.proved = false
	l.started, l.greeted, l.answered, l.divided, l.held = false, false, false, false, nil
	l.moved = l.moved[:0]
	for _, it := range m.inOrder() {
		if it.line == l {
			it.carried, it.held, it.moved = 0, nil, true
			l.moved = append(l.moved, it)
		}
	}
}

// idle reports whether the line has nothing to ask for.
func (l *line) idle() bool {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	return l.count == 0
}

// up implements [protocol].
func (l *line) up(ctx context.Context, w *wire) error {
	l.start(ctx, w)
	if l.idle() {
		l.feed.mu.Lock()
		l.back(l.feed.client.Now())
		l.feed.mu.Unlock()
	}
	return nil
}

// start makes a goroutine ask for what is wanted, until the connection ends.
func (l *line) start(ctx context.Context, w *wire) {
	if l.started {
		return
	}
	l.started = true
	k := &keeper{line: l, wire: w}
	w.tasks.Go(func() { k.run(ctx) })
}

// down implements [protocol].
func (l *line) down(why error, at time.Time) {
	m := l.feed
	m.mu.Lock()
	defer m.mu.Unlock()
	l.epoch++ // the old pictures are gone
	if l.first {
		m.statuses = [1 << 8]MarketState{}
	}
	if l.lost {
		return
	}
	l.lost = true
	l.lostAs = Lost{At: at.In(trade.IST), Err: why}
	m.tell(l.lostAs)
}

// back tells that the line works again. The feed's lock is held.
func (l *line) back(at time.Time) {
	if l.lost {
		l.lost = false
		l.feed.tell(gap(l.from, at))
	}
}

// frame implements [protocol].
func (l *line) frame(kind frameKind, data []byte, at time.Time) error {
	at = at.In(trade.IST)
	if kind == textFrame {
		return l.control(data, at)
	}
	return l.batch(data, at)
}

// control takes a text frame.
func (l *line) control(data []byte, at time.Time) error {
	m := l.feed
	r, err := sfeed.ParseReply(data)
	if err != nil {
		m.counts.bad.Add(1)
		return nil // one frame of nonsense is not worth a connection: what is missing is noticed
	}
	switch {
	case r.Format == sfeed.FormatFallback:
		return &ProtocolError{Err: fmt.Errorf("the service offers %s in place of %s", sfeed.FormatFallback, sfeed.FormatBatch)}
	case r.Code == sfeed.ReplyRefused:
		return &SessionError{Err: fmt.Errorf("the service refused the session (%d)", r.Code)}
	case r.Dividers != nil:
		if err := l.divide(r.Dividers, at); err != nil {
			return err
		}
	}
	if (r.Code == sfeed.ReplyAnswer || r.Code == sfeed.ReplyAck) && !l.divided { // it names none: they are as documented
		if err := l.divide(sfeed.AllDividers(), at); err != nil {
			return err
		}
	}
	switch r.Code {
	case sfeed.ReplyAnswer:
		l.answered = true
		m.mu.Lock()
		l.proved = true
		m.mu.Unlock()
	case sfeed.ReplyGreeting:
		l.greeted = true
	case sfeed.ReplyAck:
		m.mu.Lock()
		l.proved = true
		l.acknowledged(&r)
		l.back(at)
		m.mu.Unlock()
		if r.ErrorCode != 0 {
			m.opts.log.LogAttrs(m.life.ctx, slog.LevelWarn, "feed: the service refused a subscription", slog.Int("code", r.ErrorCode))
		}
	}
	return nil
}

// divide takes the dividers of the service's answer, and the packets that came before.
func (l *line) divide(d *sfeed.Dividers, at time.Time) error {
	l.divided = true
	for i := range l.scales {
		by := d.Of(int8(uint8(i)))
		l.scales[i] = scale{trade.DividerOf(by), float64(by)}
	}
	m := l.feed
	m.mu.Lock()
	held := l.held
	l.held = nil
	m.mu.Unlock()
	for _, it := range held {
		frame := it.held
		it.held = nil
		if err := l.batch(frame, at); err != nil {
			return err
		}
	}
	return nil
}

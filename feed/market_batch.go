package feed

import (
	"time"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// batch takes a binary frame: packets end to end. The feed's lock is held while they are
// put into the pictures, once a frame, and never while the program's code runs.
func (l *line) batch(frame []byte, at time.Time) error {
	m := l.feed
	m.mu.Lock()
	for len(frame) > 0 {
		p, rest, err := sfeed.Next(frame)
		raw := frame[:len(frame)-len(rest)]
		frame = rest
		if err != nil { // rest is nil where the frame is lost
			m.counts.bad.Add(1)
			l.stale = true
			continue
		}
		it := l.packet(p, raw, at)
		if it == nil {
			continue
		}
		l.heard = true
		m.recorder.quote(&it.q)
		for _, r := range m.readers {
			r.mark(it)
		}
		if m.opts.onQuote == nil {
			continue
		}
		if it.called { // twice in a frame: the program gets both
			m.mu.Unlock()
			if err := l.call(); err != nil {
				return err
			}
			m.mu.Lock()
		}
		it.called = true
		l.changed = append(l.changed, it)
	}
	if !l.lost {
		l.from = at
	}
	m.mu.Unlock()
	return l.call()
}

// packet puts a packet into the picture of its instrument, and returns it if there is
// something new. The feed's lock is held.
func (l *line) packet(p sfeed.Packet, raw []byte, at time.Time) *item {
	var it *item
	kind := p.Kind()
	switch kind {
	case sfeed.KindQuote:
		it = l.table.find(keyOf(p.Exchange(), sfeed.ViewOf(p).Token()))
	case sfeed.KindMini:
		l.mini.Decode(p)
		it = l.table.find(keyOf(p.Exchange(), l.mini.Token))
	case sfeed.KindIndex:
		l.value.Decode(p)
		it = l.indexOf(p.Exchange(), &l.value)
	case sfeed.KindAuction:
		l.auction(p, at)
		return nil
	case sfeed.KindStatus:
		l.status(p, at)
		return nil
	}
	switch {
	case it == nil:
		l.feed.counts.unknown.Add(1)
		return nil
	case !l.divided:
		l.hold(it, raw)
		return nil
	case !it.fresh():
		l.arrived(it, at)
	}
	if !l.take(it, kind, p, at) && !l.again(it, kind, p, at) {
		return nil
	}
	it.behind = 0
	return it
}

// again counts a packet that is older than the picture. If all that has come for a while was,
// it begins the picture anew with the packet, and reports that.
func (l *line) again(it *item, kind sfeed.Kind, p sfeed.Packet, at time.Time) bool {
	same := kind == sfeed.KindQuote && sfeed.ViewOf(p).UpdatedAt() == it.updated
	if !same && it.stuck(at, l.feed.patience.silence) {
		it.epoch = 0
		if l.take(it, kind, p, at) {
			return true
		}
	}
	l.feed.counts.old.Add(1)
	l.heard = l.heard || same
	return false
}

// take puts a packet into the picture of its instrument, and reports whether it was newer.
func (l *line) take(it *item, kind sfeed.Kind, p sfeed.Packet, at time.Time) bool {
	by := &l.scales[uint8(p.Exchange())]
	if kind == sfeed.KindQuote {
		return it.takeQuote(p, by, at)
	}
	return l.takeOther(it, kind, p, by, at)
}

func (l *line) takeOther(it *item, kind sfeed.Kind, p sfeed.Packet, by *scale, at time.Time) bool {
	if kind == sfeed.KindMini {
		return it.takeMini(&l.mini, p, by, at)
	}
	return it.takeIndex(&l.value, p, by, at)
}

// arrived notes that the first packet of an instrument has come.
func (l *line) arrived(it *item, at time.Time) {
	delete(l.waiting, it)
	l.proved = true
	l.back(at)
}

// hold keeps an instrument's newest packet until the dividers are known.
func (l *line) hold(it *item, raw []byte) {
	if it.held == nil {
		l.held = append(l.held, it)
	}
	it.held = append(it.held[:0], raw...)
}

// indexOf returns the index of a packet: by its name, which is what was asked for, or by
// its token.
func (l *line) indexOf(exchange int8, x *sfeed.Index) *item {
	it := l.table.find(indexKey(exchange, x.Token))
	if it != nil && string(x.Name) == it.instrument.QuoteName() {
		return it
	}
	for _, named := range l.indices {
		if named.exchange == exchange && string(x.Name) == named.instrument.QuoteName() {
			return named
		}
	}
	return it
}

// status takes what a market is doing.
func (l *line) status(p sfeed.Packet, at time.Time) {
	m := l.feed
	segment := trade.Segment(sfeed.Segment(p.Exchange()))
	if segment == "" {
		m.counts.unknown.Add(1)
		return
	}
	var s sfeed.Status
	s.Decode(p)
	told := Status{Segment: segment, State: MarketState(s.Code), Text: string(s.Text), At: at}
	x := uint8(p.Exchange())
	if !told.State.event() {
		if told.State == MarketOpen && m.statuses[x] != MarketOpen {
			m.opened[x] = time.Now()
		}
		m.statuses[x] = told.State
	}
	if was := m.told[segment]; was.State == told.State && was.Text == told.Text {
		return // each connection gets the present one
	}
	m.told[segment] = told
	m.tell(told)
}

// auction takes the state of a closing auction. Outside of one it comes with zeros, which
// are told once after one.
func (l *line) auction(p sfeed.Packet, at time.Time) {
	var a sfeed.Auction
	a.Decode(p)
	it := l.table.find(keyOf(p.Exchange(), uint32(a.Token)))
	switch {
	case it == nil:
		l.feed.counts.unknown.Add(1)
		return
	case !l.divided:
		return // another one follows; it is no price to wait for
	}
	if a.Token = 0; a == it.auction {
		return
	}
	it.auction = a
	it.auctioned = Auction{
		Instrument: it.instrument, Reference: l.scales[uint8(p.Exchange())].price.Price(int64(a.Reference)),
		Imbalance: a.Imbalance, ImbalanceAtMarket: a.ImbalanceAtMarket, At: at,
	}
	for _, r := range l.feed.readers {
		r.markAuction(it)
	}
}

// call calls the program with what has changed. Nothing is locked.
func (l *line) call() (err error) {
	if len(l.changed) == 0 {
		return nil
	}
	m := l.feed
	err = m.life.call(func() {
		for _, it := range l.changed {
			if !it.gone.Load() && !m.over.Load() {
				m.opts.onQuote(&it.q)
			}
		}
	})
	for _, it := range l.changed {
		it.called = false
	}
	l.changed = l.changed[:0]
	if err != nil {
		m.end(err)
	}
	return err
}

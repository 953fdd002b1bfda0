package feed

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// newItems returns what a call names, each once, or why an instrument cannot be subscribed.
func newItems(l Level, of []trade.Instrument) (items []*item, err error) {
	if l < Mini || l > Full {
		return nil, &trade.Invalid{Field: "level", Value: strconv.Itoa(int(l)), Problem: "is none of Mini, Touch, Depth and Full"}
	}
	named := make(map[string]bool, len(of))
	for _, i := range of {
		it := &item{instrument: i, exchange: sfeed.Exchange(string(i.Segment)), index: i.Kind == trade.IndexKind, name: nameOf(i), id: idOf(i)}
		token, err := strconv.ParseUint(i.Token, 10, 32)
		it.token, it.numeric = uint32(token), err == nil
		switch {
		case it.exchange == 0:
			return nil, invalid(i, fmt.Sprintf("is of the segment %q, which the market feed does not have", i.Segment))
		case !it.numeric && (!it.index || i.QuoteName() == ""):
			return nil, invalid(i, fmt.Sprintf("has the token %q, which is no number: take it from Client.Instrument", i.Token))
		case strings.ContainsAny(it.name, ",\x00"):
			return nil, invalid(i, "has a name that cannot be sent")
		}
		if !named[it.id] {
			named[it.id] = true
			items = append(items, it)
		}
	}
	return items, nil
}

func invalid(i trade.Instrument, problem string) error {
	return &trade.Invalid{Field: "instrument", Value: i.Symbol, Problem: problem}
}

// add gives an instrument a slot and a line with room. The feed's lock is held; there is
// room somewhere.
func (m *MarketFeed) add(it *item) {
	if n := len(m.free); n > 0 {
		it.slot, m.free = m.free[n-1], m.free[:n-1]
	} else {
		it.slot = m.slots
		m.slots++
	}
	for _, l := range m.lines {
		if l.count < perLine {
			it.line = l
			break
		}
	}
	if it.line == nil {
		it.line = m.newLine()
		if m.live {
			m.run(it.line)
		}
	}
	l := it.line
	m.items[it.id] = it
	l.count++
	l.per[uint8(it.exchange)]++
	if it.index {
		l.indices = append(l.indices, it)
	}
	if it.numeric {
		l.table.put(it.key(), it)
	}
}

// inOrder returns the instruments, more or less as they were subscribed.
func (m *MarketFeed) inOrder() []*item {
	return slices.SortedFunc(maps.Values(m.items), func(a, b *item) int { return a.slot - b.slot })
}

// remove takes out an instrument that nobody wants.
func (m *MarketFeed) remove(it *item) {
	l := it.line
	it.gone.Store(true)
	delete(m.items, it.id)
	delete(l.waiting, it)
	l.count--
	l.per[uint8(it.exchange)]--
	for i, index := range l.indices {
		if index == it {
			l.indices[i] = l.indices[len(l.indices)-1]
			l.indices = l.indices[:len(l.indices)-1]
			break
		}
	}
	if it.numeric {
		l.table.remove(it.key())
	}
	for _, r := range m.readers {
		r.forget(it)
	}
	m.free = append(m.free, it.slot)
}

// key returns what the line's table finds the instrument by.
func (it *item) key() uint64 {
	if it.index {
		return indexKey(it.exchange, it.token)
	}
	return keyOf(it.exchange, it.token)
}

// settle finds out what is wanted of an instrument, and has it asked for. The feed's lock
// is held.
func (it *item) settle() {
	want := Full
	for want > 0 && it.wants[want] == 0 {
		want--
	}
	if want == it.want {
		return
	}
	it.want = want
	if want == 0 {
		it.line.feed.remove(it)
	}
	l := it.line
	if !it.moved {
		it.moved = true
		l.moved = append(l.moved, it)
	}
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

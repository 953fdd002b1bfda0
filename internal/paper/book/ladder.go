package book

import "math/bits"

// ladder has the levels of one side: an array by tick, in pages that come into being
// with their first order, and a bit for each level with orders to find the next one.
type ladder struct {
	up    bool // the best is the highest
	n     int  // orders
	total int64
	best  int32 // tick of the best level, if n > 0

	base  int32 // page number of pages[0]
	pages []*[1 << pageBits]level
	bits  []uint64 // of each page, the levels with orders
	some  []uint64 // the pages with orders
}

// at returns a level whose page is there.
func (l *ladder) at(tick int32) *level {
	return &l.pages[tick>>pageBits-l.base][tick&(1<<pageBits-1)]
}

// find returns a level with orders, or nil.
func (l *ladder) find(tick int32) *level {
	p := tick>>pageBits - l.base
	if p < 0 || int(p) >= len(l.pages) || l.bits[p]&(1<<(tick&63)) == 0 {
		return nil
	}
	return &l.pages[p][tick&63]
}

// add counts an order at a level.
func (l *ladder) add(tick int32) *level {
	p := tick>>pageBits - l.base
	if p < 0 || int(p) >= len(l.pages) {
		l.grow(tick >> pageBits)
		p = tick>>pageBits - l.base
	}
	if l.pages[p] == nil {
		l.pages[p] = new([1 << pageBits]level)
	}
	l.bits[p] |= 1 << (tick & 63)
	l.some[p>>6] |= 1 << (p & 63)
	if l.n == 0 || l.up == (tick > l.best) {
		l.best = tick
	}
	l.n++
	lv := &l.pages[p][tick&63]
	lv.orders++
	return lv
}

// remove counts an order at a level off.
func (l *ladder) remove(tick int32, lv *level) {
	l.n--
	lv.orders--
	if lv.orders > 0 {
		return
	}
	p := tick>>pageBits - l.base
	l.bits[p] &^= 1 << (tick & 63)
	if l.bits[p] == 0 {
		l.some[p>>6] &^= 1 << (p & 63)
	}
	if tick == l.best && l.n > 0 {
		l.best, _ = l.next(tick)
	}
}

// next returns the next level with orders that is worse than a tick's.
func (l *ladder) next(tick int32) (int32, bool) {
	p := int(tick>>pageBits - l.base)
	if l.up {
		if w := l.bits[p] & (1<<(tick&63) - 1); w != 0 {
			return l.tick(p, 63-bits.LeadingZeros64(w)), true
		}
		w := l.some[p>>6] & (1<<(p&63) - 1)
		for i := p >> 6; ; w = l.some[i] {
			if w != 0 {
				p = i<<6 + 63 - bits.LeadingZeros64(w)
				return l.tick(p, 63-bits.LeadingZeros64(l.bits[p])), true
			}
			if i--; i < 0 {
				return 0, false
			}
		}
	}
	if w := l.bits[p] &^ (1<<(tick&63+1) - 1); w != 0 {
		return l.tick(p, bits.TrailingZeros64(w)), true
	}
	w := l.some[p>>6] &^ (1<<(p&63+1) - 1)
	for i := p >> 6; ; w = l.some[i] {
		if w != 0 {
			p = i<<6 + bits.TrailingZeros64(w)
			return l.tick(p, bits.TrailingZeros64(l.bits[p])), true
		}
		if i++; i == len(l.some) {
			return 0, false
		}
	}
}

func (l *ladder) tick(page, bit int) int32 { return (l.base+int32(page))<<pageBits + int32(bit) }

// grow makes room for a page, and for some beside it.
func (l *ladder) grow(page int32) {
	const margin = 8
	low, high := page-margin, page+margin+1
	if len(l.pages) > 0 {
		low, high = min(low, l.base), max(high, l.base+int32(len(l.pages)))
	}
	pages, words := make([]*[1 << pageBits]level, high-low), make([]uint64, high-low)
	copy(pages[max(0, l.base-low):], l.pages)
	copy(words[max(0, l.base-low):], l.bits)
	l.base, l.pages, l.bits = low, pages, words
	l.some = make([]uint64, (len(pages)+63)/64)
	for p, w := range words {
		if w != 0 {
			l.some[p>>6] |= 1 << (p & 63)
		}
	}
}

// Package book matches the orders of accounts in one instrument against each other and
// against the market's own liquidity, by price and then by time.
//
// Start with [Book]. The package knows neither accounts nor rules: an order that comes
// in may rest, and the caller decides what to do with what did not fill.
package book

import "neoapi/internal/paper/listing"

// A Side is buy or sell.
type Side uint8

// The sides.
const (
	Buy Side = iota + 1
	Sell
)

// Other returns the other side.
func (s Side) Other() Side { return Buy + Sell - s }

// A Ref is a resting order. It is free for another one once the order has gone. Zero is
// no order.
type Ref int32

// An Order is an order that rests.
type Order struct {
	ID        uint32 // the caller's
	Owner     uint32 // orders of one owner do not trade with each other
	Side      Side
	Price     listing.Price
	Quantity  int64
	Disclosed int64 // how much of it is shown at a time; 0 for all
	Ahead     int64 // what the market's own liquidity has ahead of it at its price
}

// An Incoming is an order that takes what it finds.
type Incoming struct {
	Owner         uint32
	Side          Side
	Limit         listing.Price
	Quantity      int64 // what is left of it after the match
	CancelPassive bool  // on meeting its owner's order, cancel that one and go on
	Own           bool  // set: it met its owner's order and stopped
}

// A Level is a price and what is shown there.
type Level struct {
	Price    listing.Price
	Quantity int64
	Orders   int
}

// A Fill is what a match did to a resting order, or took of the market's liquidity.
type Fill struct {
	Ref      Ref    // zero: the market's
	ID       uint32 // of the resting order
	Price    listing.Price
	Quantity int64 // 0: the order was removed because it met its owner's
	Left     int64 // of the resting order; at 0 it has gone
}

// node is a resting order. Its size counts: a day may have a million of them.
type node struct {
	id, owner  uint32
	prev, next Ref
	tick       int32 // its price, in ticks
	side       Side
	rest       int64 // what is left of it
	shown      int64 // of that, what others see
	disclosed  int64
	until      int64 // how much has to print at its level before it is first in the queue
}

// level is the queue of orders at a price.
type level struct {
	head, tail Ref
	orders     int32
	shown      int64
	printed    int64 // how much of the market traded at it, since some time
}

const (
	pageBits  = 6
	chunkBits = 9
	chunkSize = 1 << chunkBits
)

// A Book has the resting orders of one instrument.
type Book struct {
	tick   listing.Price
	sides  [Sell + 1]ladder
	chunks []*[chunkSize]node
	used   Ref // the nodes up to it have been handed out
	free   Ref // the first of those that came back
}

// New returns an empty book of an instrument with the tick.
func New(tick listing.Price) *Book {
	b := &Book{tick: tick}
	b.sides[Buy].up, b.sides[Sell].up = true, false
	return b
}

func (b *Book) node(r Ref) *node { return &b.chunks[r>>chunkBits][r&(chunkSize-1)] }

func (b *Book) price(tick int32) listing.Price { return listing.Price(tick) * b.tick }

// Len returns how many orders rest on a side.
func (b *Book) Len(s Side) int { return b.sides[s].n }

// Total returns how much is left of the orders of a side, what is hidden too.
func (b *Book) Total(s Side) int64 { return b.sides[s].total }

// Best returns the best price of a side; false if there is no order.
func (b *Book) Best(s Side) (listing.Price, bool) {
	l := &b.sides[s]
	return b.price(l.best), l.n > 0
}

// Add puts an order behind those that rest at its price. It does not match it. The price
// has to be a multiple of the tick.
func (b *Book) Add(o Order) Ref {
	r := b.free
	if r != 0 {
		b.free = b.node(r).next
	} else {
		b.used++
		r = b.used
		if int(r>>chunkBits) == len(b.chunks) {
			b.chunks = append(b.chunks, new([chunkSize]node))
		}
	}
	n := b.node(r)
	*n = node{id: o.ID, owner: o.Owner, side: o.Side, tick: int32(o.Price / b.tick), rest: o.Quantity, shown: o.Quantity, disclosed: o.Disclosed}
	if n.disclosed > 0 {
		n.shown = min(n.disclosed, n.rest)
	}
	l := &b.sides[n.side]
	l.total += n.rest
	lv := b.join(r, n)
	n.until = lv.printed + o.Ahead
	return r
}

// join puts an order at the end of its level's queue.
func (b *Book) join(r Ref, n *node) *level {
	lv := b.sides[n.side].add(n.tick)
	n.prev, n.next = lv.tail, 0
	if lv.tail != 0 {
		b.node(lv.tail).next = r
	} else {
		lv.head = r
	}
	lv.tail = r
	lv.shown += n.shown
	return lv
}

// leave takes an order out of its level's queue.
func (b *Book) leave(n *node) {
	l := &b.sides[n.side]
	lv := l.at(n.tick)
	if n.prev != 0 {
		b.node(n.prev).next = n.next
	} else {
		lv.head = n.next
	}
	if n.next != 0 {
		b.node(n.next).prev = n.prev
	} else {
		lv.tail = n.prev
	}
	lv.shown -= n.shown
	l.remove(n.tick, lv)
}

// Remove takes an order out of the book.
func (b *Book) Remove(r Ref) {
	n := b.node(r)
	b.sides[n.side].total -= n.rest
	b.leave(n)
	n.next, b.free = b.free, r
}

// Left returns how much is left of an order, and how much of that is shown.
func (b *Book) Left(r Ref) (left, shown int64) {
	n := b.node(r)
	return n.rest, n.shown
}

// Reduce makes an order smaller, or shows less of it. It keeps its place. Nothing may
// grow: for that, remove the order and add it again.
func (b *Book) Reduce(r Ref, left, disclosed int64) {
	n := b.node(r)
	l := &b.sides[n.side]
	l.total -= n.rest - left
	shown := min(n.shown, left)
	if disclosed > 0 {
		shown = min(shown, disclosed)
	}
	l.at(n.tick).shown -= n.shown - shown
	n.rest, n.shown, n.disclosed = left, shown, disclosed
}

// fill takes a quantity of a resting order's shown part, and shows the next part once
// that is used up: behind the other orders at the price.
func (b *Book) fill(r Ref, n *node, lv *level, quantity int64) Fill {
	n.rest -= quantity
	f := Fill{Ref: r, ID: n.id, Price: b.price(n.tick), Quantity: quantity, Left: n.rest}
	b.sides[n.side].total -= quantity
	n.shown -= quantity
	lv.shown -= quantity
	switch {
	case n.rest == 0:
		b.leave(n)
		n.next, b.free = b.free, r
	case n.shown == 0:
		b.leave(n)
		n.shown = min(n.disclosed, n.rest)
		b.join(r, n)
	}
	return f
}

// Match fills an order that comes in, best price first and at one price the market's
// liquidity before the accounts' orders, which it was ahead of. market has the levels
// of the other side, best first, and Match takes from them. What happened is appended to
// fills. The rest of the order does not rest by itself.
func (b *Book) Match(in *Incoming, market []Level, fills []Fill) []Fill {
	other := &b.sides[in.Side.Other()]
	buy := in.Side == Buy
	for in.Quantity > 0 {
		for len(market) > 0 && market[0].Quantity == 0 {
			market = market[1:]
		}
		fromMarket := len(market) > 0
		var price listing.Price
		switch {
		case other.n > 0:
			price = b.price(other.best)
			if fromMarket {
				if buy && market[0].Price > price || !buy && market[0].Price < price {
					fromMarket = false
				} else {
					price = market[0].Price
				}
			}
		case fromMarket:
			price = market[0].Price
		default:
			return fills
		}
		if buy && price > in.Limit || !buy && price < in.Limit {
			return fills
		}
		if fromMarket {
			q := min(in.Quantity, market[0].Quantity)
			market[0].Quantity -= q
			in.Quantity -= q
			if lv := other.find(int32(price / b.tick)); lv != nil {
				lv.printed += q
			}
			fills = append(fills, Fill{Price: price, Quantity: q})
			continue
		}
		lv := other.at(other.best)
		r := lv.head
		n := b.node(r)
		if n.owner == in.Owner {
			if !in.CancelPassive {
				in.Own = true
				return fills
			}
			fills = append(fills, Fill{Ref: r, ID: n.id, Price: price, Left: n.rest})
			b.Remove(r)
			continue
		}
		q := min(in.Quantity, n.shown)
		in.Quantity -= q
		fills = append(fills, b.fill(r, n, lv, q))
	}
	return fills
}

// Print fills what a trade of the market at a price fills: whole, what rests at better
// prices than that, each at its own price; and at that very price what the quantity
// reaches in the queue.
func (b *Book) Print(price listing.Price, quantity int64, fills []Fill) []Fill {
	for _, s := range [...]Side{Buy, Sell} {
		l := &b.sides[s]
		for l.n > 0 && (s == Buy && b.price(l.best) > price || s == Sell && b.price(l.best) < price) {
			lv := l.at(l.best)
			n := b.node(lv.head)
			lv.shown += n.rest - n.shown // all of it trades, the hidden part too
			n.shown = n.rest
			fills = append(fills, b.fill(lv.head, n, lv, n.rest))
		}
		if lv := l.find(int32(price / b.tick)); lv != nil && quantity > 0 {
			fills = b.reach(lv, quantity, fills)
		}
	}
	return fills
}

// reach fills what a trade of the market reaches at a level.
func (b *Book) reach(lv *level, quantity int64, fills []Fill) []Fill {
	before := lv.printed
	var filled, market int64 // of the quantity, what accounts and the market's orders got
	for lv.orders > 0 {
		r := lv.head
		n := b.node(r)
		market = max(market, n.until-before)
		q := min(quantity-market-filled, n.shown)
		if q <= 0 {
			break
		}
		filled += q
		fills = append(fills, b.fill(r, n, lv, q))
	}
	lv.printed += quantity - filled // the rest went to the market's orders
	return fills
}

// Depth appends the best levels of a side, at most n.
func (b *Book) Depth(s Side, n int, levels []Level) []Level {
	l := &b.sides[s]
	if l.n == 0 {
		return levels
	}
	for t, ok := l.best, true; ok && n > 0; t, ok = l.next(t) {
		lv := l.at(t)
		levels = append(levels, Level{Price: b.price(t), Quantity: lv.shown, Orders: int(lv.orders)})
		n--
	}
	return levels
}

// Each calls f for the orders of a side by priority until it returns false. f must not
// change the book.
func (b *Book) Each(s Side, f func(Ref, Order) bool) {
	l := &b.sides[s]
	if l.n == 0 {
		return
	}
	for t, ok := l.best, true; ok; t, ok = l.next(t) {
		lv := l.at(t)
		for r := lv.head; r != 0; r = b.node(r).next {
			n := b.node(r)
			if !f(r, Order{ID: n.id, Owner: n.owner, Side: s, Price: b.price(t), Quantity: n.rest, Disclosed: n.disclosed, Ahead: max(0, n.until-lv.printed)}) {
				return
			}
		}
	}
}

package book

import (
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"neoapi/internal/paper/listing"
)

// naive is a second matcher: one slice of orders, looked through from the start for
// each unit that trades.
type naive struct {
	orders []naiveOrder
	clock  int
}

type naiveOrder struct {
	Order
	entered int
	left    int64
	shown   int64
	queue   int64 // what of the market is ahead
}

func (m *naive) add(o Order) {
	m.clock++
	n := naiveOrder{Order: o, entered: m.clock, left: o.Quantity, shown: o.Quantity, queue: o.Ahead}
	if o.Disclosed > 0 && o.Disclosed < o.Quantity {
		n.shown = o.Disclosed
	}
	m.orders = append(m.orders, n)
}

func (m *naive) drop(id uint32) {
	m.orders = slices.DeleteFunc(m.orders, func(o naiveOrder) bool { return o.ID == id })
}

// first returns the index of the order with priority on a side, or -1.
func (m *naive) first(s Side) int {
	best := -1
	for i, o := range m.orders {
		if o.Side != s {
			continue
		}
		if best < 0 {
			best = i
			continue
		}
		b := m.orders[best]
		if s == Buy && o.Price > b.Price || s == Sell && o.Price < b.Price || o.Price == b.Price && o.entered < b.entered {
			best = i
		}
	}
	return best
}

// unit trades one unit of an order.
func (m *naive) unit(i int) {
	o := &m.orders[i]
	o.left--
	o.shown--
	switch {
	case o.left == 0:
		m.drop(o.ID)
	case o.shown == 0:
		m.clock++
		o.entered = m.clock
		o.shown = min(o.Disclosed, o.left)
	}
}

// trades is what happened, unit by unit: the market's have ID 0.
type trade struct {
	ID    uint32
	Price listing.Price
}

func (m *naive) match(in Incoming, market []Level) (trades []trade, left int64, own bool) {
	for in.Quantity > 0 {
		i := m.first(in.Side.Other())
		market = slices.DeleteFunc(market, func(l Level) bool { return l.Quantity == 0 })
		within := func(p listing.Price) bool { return in.Side == Buy && p <= in.Limit || in.Side == Sell && p >= in.Limit }
		better := func(p, q listing.Price) bool { return in.Side == Buy && p < q || in.Side == Sell && p > q }
		if len(market) > 0 && (i < 0 || !better(m.orders[i].Price, market[0].Price)) {
			if !within(market[0].Price) {
				break
			}
			market[0].Quantity--
			in.Quantity--
			trades = append(trades, trade{Price: market[0].Price})
			for k := range m.orders {
				if o := &m.orders[k]; o.Side == in.Side.Other() && o.Price == market[0].Price {
					o.queue--
				}
			}
			continue
		}
		if i < 0 || !within(m.orders[i].Price) {
			break
		}
		if m.orders[i].Owner == in.Owner {
			if !in.CancelPassive {
				return trades, in.Quantity, true
			}
			m.drop(m.orders[i].ID)
			continue
		}
		trades = append(trades, trade{m.orders[i].ID, m.orders[i].Price})
		in.Quantity--
		m.unit(i)
	}
	return trades, in.Quantity, false
}

func (m *naive) print(price listing.Price, quantity int64) (trades []trade) {
	for _, s := range []Side{Buy, Sell} {
		for {
			i := m.first(s)
			if i < 0 || s == Buy && m.orders[i].Price <= price || s == Sell && m.orders[i].Price >= price {
				break
			}
			for range m.orders[i].left {
				trades = append(trades, trade{m.orders[i].ID, m.orders[i].Price})
			}
			m.drop(m.orders[i].ID)
		}
		for range quantity { // each unit goes to the market's orders that are ahead, then to the first
			i := m.first(s)
			if i < 0 || m.orders[i].Price != price {
				break
			}
			if m.orders[i].queue > 0 {
				for k := range m.orders {
					if o := &m.orders[k]; o.Side == s && o.Price == price {
						o.queue--
					}
				}
				continue
			}
			trades = append(trades, trade{m.orders[i].ID, price})
			m.unit(i)
		}
	}
	return trades
}

func units(fills []Fill) (trades []trade) {
	for _, f := range fills {
		for range f.Quantity {
			trades = append(trades, trade{f.ID, f.Price})
		}
	}
	return trades
}

const tick = listing.Price(500)

func TestBook_matchesAsANaiveOneDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, m := New(tick), &naive{}
		refs := map[uint32]Ref{}
		orders := map[uint32]Order{}
		id := uint32(0)
		var fills []Fill
		quantity := rapid.Int64Range(1, 12)
		side := rapid.SampledFrom([]Side{Buy, Sell})
		price := rapid.Custom(func(t *rapid.T) listing.Price {
			return tick * listing.Price(rapid.OneOf(rapid.IntRange(995, 1005), rapid.IntRange(1, 20_000)).Draw(t, "ticks"))
		})
		gone := func(fills []Fill) {
			for _, f := range fills {
				if f.Ref != 0 && (f.Left == 0 || f.Quantity == 0) {
					delete(refs, f.ID)
				}
			}
		}
		compare := func(want, got []trade) {
			if !slices.Equal(want, got) {
				t.Fatalf("the naive matcher trades %v, the book %v", want, got)
			}
		}
		actions := map[string]func(*rapid.T){
			"place": func(t *rapid.T) {
				id++
				o := Order{ID: id, Owner: rapid.Uint32Range(1, 3).Draw(t, "owner"), Side: side.Draw(t, "side"), Price: price.Draw(t, "price"), Quantity: quantity.Draw(t, "quantity")}
				if rapid.Bool().Draw(t, "disclosed") {
					o.Disclosed = rapid.Int64Range(1, o.Quantity).Draw(t, "shown")
				}
				in := Incoming{Owner: o.Owner, Side: o.Side, Limit: o.Price, Quantity: o.Quantity, CancelPassive: rapid.Bool().Draw(t, "passive")}
				var market []Level
				if rapid.Bool().Draw(t, "market") {
					step := tick
					if o.Side == Sell {
						step = -step
					}
					at := price.Draw(t, "best")
					for range 3 {
						if at > 0 {
							market = append(market, Level{Price: at, Quantity: rapid.Int64Range(0, 6).Draw(t, "depth")})
						}
						at += step
					}
				}
				want, left, own := m.match(in, slices.Clone(market))
				fills = b.Match(&in, market, fills[:0])
				compare(want, units(fills))
				if in.Quantity != left || in.Own != own {
					t.Fatalf("left %d (own %t), the naive matcher says %d (%t)", in.Quantity, in.Own, left, own)
				}
				gone(fills)
				if left > 0 && !own {
					o.Quantity, o.Ahead = left, rapid.Int64Range(0, 5).Draw(t, "ahead")
					m.add(o)
					refs[id], orders[id] = b.Add(o), o
				}
			},
			"cancel": func(t *rapid.T) {
				if len(refs) == 0 {
					return
				}
				i := rapid.SampledFrom(sorted(refs)).Draw(t, "order")
				b.Remove(refs[i])
				m.drop(i)
				delete(refs, i)
			},
			"reduce": func(t *rapid.T) {
				if len(refs) == 0 {
					return
				}
				i := rapid.SampledFrom(sorted(refs)).Draw(t, "order")
				left, _ := b.Left(refs[i])
				left = rapid.Int64Range(1, left).Draw(t, "left")
				b.Reduce(refs[i], left, orders[i].Disclosed)
				for k := range m.orders {
					if o := &m.orders[k]; o.ID == i {
						o.left, o.shown = left, min(o.shown, left)
					}
				}
			},
			"print": func(t *rapid.T) {
				p, q := price.Draw(t, "price"), rapid.Int64Range(0, 30).Draw(t, "quantity")
				want := m.print(p, q)
				fills = b.Print(p, q, fills[:0])
				compare(want, units(fills))
				gone(fills)
			},
			"": func(t *rapid.T) { same(t, b, m) },
		}
		t.Repeat(actions)
	})
}

func sorted(refs map[uint32]Ref) []uint32 {
	ids := make([]uint32, 0, len(refs))
	for id := range refs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// same checks that the book has what the naive matcher has, in its order.
func same(t *rapid.T, b *Book, m *naive) {
	for _, s := range []Side{Buy, Sell} {
		rest := &naive{orders: slices.Clone(m.orders)}
		n, total := 0, int64(0)
		shown := map[listing.Price]int64{}
		b.Each(s, func(_ Ref, o Order) bool {
			i := rest.first(s)
			if i < 0 || rest.orders[i].ID != o.ID || rest.orders[i].left != o.Quantity || max(0, rest.orders[i].queue) != o.Ahead {
				t.Fatalf("side %d: the book has %+v where the naive matcher has %+v", s, o, rest.orders)
			}
			shown[o.Price] += rest.orders[i].shown
			rest.drop(o.ID)
			n++
			total += o.Quantity
			return true
		})
		if rest.first(s) >= 0 || n != b.Len(s) || total != b.Total(s) {
			t.Fatalf("side %d: the book has %d orders of %d, says %d of %d; the naive matcher has %d more", s, n, total, b.Len(s), b.Total(s), len(rest.orders))
		}
		for _, l := range b.Depth(s, 1_000, nil) {
			if shown[l.Price] != l.Quantity {
				t.Fatalf("side %d at %s: %d shown, want %d", s, l.Price, l.Quantity, shown[l.Price])
			}
		}
	}
}

// mixed does the operations of the bar: of ten, seven limit orders near the touch, one
// order that takes what there is, and two cancels of live orders.
type mixed struct {
	book  *Book
	live  []Ref // by ID
	alive []uint32
	rng   uint64
	fills []Fill
}

func (m *mixed) next(n uint64) uint64 {
	m.rng ^= m.rng << 13
	m.rng ^= m.rng >> 7
	m.rng ^= m.rng << 17
	return m.rng % n
}

func (m *mixed) do(id uint32) {
	side := Buy + Side(m.next(2))
	in := Incoming{Owner: id, Side: side, Quantity: 1 + int64(m.next(100))}
	switch kind := m.next(10); {
	case kind < 7:
		in.Limit = tick * listing.Price(10_000-24+int64(m.next(45))-4*int64(side-Buy)+4)
		if side == Sell {
			in.Limit = tick * listing.Price(10_000+24-int64(m.next(45)))
		}
	case kind < 8:
		in.Limit = tick
		if side == Buy {
			in.Limit = tick * 20_000
		}
	default:
		for len(m.alive) > 0 {
			k := m.next(uint64(len(m.alive)))
			i := m.alive[k]
			m.alive[k] = m.alive[len(m.alive)-1]
			m.alive = m.alive[:len(m.alive)-1]
			if r := m.live[i%uint32(len(m.live))]; r != 0 {
				m.book.Remove(r)
				m.live[i%uint32(len(m.live))] = 0
				return
			}
		}
		return
	}
	m.fills = m.book.Match(&in, nil, m.fills[:0])
	for _, f := range m.fills {
		if f.Left == 0 {
			m.live[f.ID%uint32(len(m.live))] = 0
		}
	}
	if in.Quantity > 0 && in.Limit != tick && in.Limit != tick*20_000 {
		m.live[id%uint32(len(m.live))] = m.book.Add(Order{ID: id, Owner: id, Side: side, Price: in.Limit, Quantity: in.Quantity})
		m.alive = append(m.alive, id)
	}
}

func BenchmarkMatch(b *testing.B) {
	m := &mixed{book: New(tick), live: make([]Ref, 1<<22), alive: make([]uint32, 0, 1<<22), rng: 1, fills: make([]Fill, 0, 1_000)}
	for id := range uint32(100_000) {
		m.do(id)
	}
	b.ReportAllocs()
	id := uint32(100_000)
	for b.Loop() {
		m.do(id)
		id++
	}
}

func BenchmarkRest(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		book := New(tick)
		for i := range uint32(n) {
			book.Add(Order{ID: i, Owner: i, Side: Buy, Price: tick * listing.Price(10_000+i%1_000), Quantity: 1})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/order")
		runtime.KeepAlive(book)
	}
}

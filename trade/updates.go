package trade

import (
	"slices"
	"sync"
)

// Updates is what a live feed of orders has to have so that a [Client] follows it.
type Updates interface {
	// OnOrder makes the feed call f with every state of an order that it learns of, those
	// of one order one after the other. f does not wait for anything.
	OnOrder(f func(Order))

	// Live reports whether the feed hears of every change now: that it is connected, and
	// has caught up with what it missed.
	Live() bool
}

// Follow makes the client learn from a live feed what becomes of orders. [Client.Await]
// then returns when the feed has the state that is awaited, even if the order book does
// not answer; without a feed, or while it is not live, Await asks for the order again and
// again.
func Follow(u Updates) Option {
	return func(t *Client) {
		if t.live == nil {
			t.live = &live{orders: map[string]Order{}, waiting: map[string][]chan<- Order{}}
		}
		t.live.feeds = append(t.live.feeds, u)
		u.OnOrder(t.live.update)
	}
}

// live has what a feed said of orders, also of those whose number the program does not
// know yet, because their answer has not come.
type live struct {
	feeds []Updates

	mu      sync.Mutex
	orders  map[string]Order          // by number, as last known
	waiting map[string][]chan<- Order // of capacity 1: the newest state
}

// maxLive is more orders than an account has in a day.
const maxLive = 100_000

func (l *live) update(o Order) {
	if o.Number == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.orders[o.Number]
	if known {
		o = last.Merge(o)
	}
	if known || len(l.orders) < maxLive {
		l.orders[o.Number] = o
	}
	for _, c := range l.waiting[o.Number] {
		put(c, o)
	}
}

// put leaves the newest state in a channel whose reader may be busy.
func put(c chan<- Order, o Order) {
	select {
	case c <- o:
	default: // the reader takes what is known when it comes: see [live.last]
	}
}

// last returns an order with what the feed said of it.
func (l *live) last(o Order) Order {
	if l == nil {
		return o
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.orders[o.Number]; ok {
		return o.Merge(known)
	}
	return o
}

// hears reports whether a feed hears of every change now.
func (l *live) hears() bool { return l != nil && slices.ContainsFunc(l.feeds, Updates.Live) }

// watch returns a channel that gets something whenever the feed has news of an order.
func (l *live) watch(number string) (news <-chan Order, stop func()) {
	if l == nil {
		return nil, func() {}
	}
	c := make(chan Order, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[number] = append(l.waiting[number], c)
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		all := l.waiting[number]
		for i := range all {
			if all[i] == c {
				all[i] = all[len(all)-1]
				l.waiting[number] = all[:len(all)-1]
				break
			}
		}
		if len(l.waiting[number]) == 0 {
			delete(l.waiting, number)
		}
	}
}

// newest returns an order with what the feed said of it.
func (t *Client) newest(o Order) Order { return t.live.last(o) }

package trade

import "sync"

// Updates is what a live feed of orders has to have so that a [Client] follows it.
type Updates interface {
	// OnOrder makes the feed call f with every state of an order that it learns of, those
	// of one order one after the other. f does not wait for anything.
	OnOrder(f func(Order))
}

// Follow makes the client learn from a live feed what becomes of orders. [Client.Await]
// then returns when the feed has the state that is awaited, even if the order book does
// not answer; without a feed it asks for the order again and again.
func Follow(u Updates) Option {
	return func(t *Client) {
		if t.live == nil {
			t.live = &live{orders: map[string]Order{}, waiting: map[string][]chan<- Order{}}
		}
		u.OnOrder(t.live.update)
	}
}

// live has what a feed said of orders, also of those whose number the program does not
// know yet, because their answer has not come.
type live struct {
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
		o = later(last, o)
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
		return later(o, known)
	}
	return o
}

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

// later returns what is known of an order after two reports of it, old having come first.
// A final state stays, what has filled stays filled, and a report that the service made
// before the other changes nothing. What a report lacks is as it was.
func later(old, report Order) Order {
	if old.State.Final() || old.Sequence > report.Sequence && report.Sequence > 0 || report.FilledQty < old.FilledQty && !report.State.Final() {
		return filled(old, report)
	}
	return filled(report, old)
}

// filled returns o, and what it lacks from other.
func filled(o, other Order) Order {
	fill(&o.Number, other.Number)
	fill(&o.ExchangeNumber, other.ExchangeNumber)
	fill(&o.Segment, other.Segment)
	fill(&o.Token, other.Token)
	fill(&o.Symbol, other.Symbol)
	fill(&o.Name, other.Name)
	fill(&o.Series, other.Series)
	fill(&o.Side, other.Side)
	fill(&o.Product, other.Product)
	fill(&o.PriceType, other.PriceType)
	fill(&o.Validity, other.Validity)
	fill(&o.Price, other.Price)
	fill(&o.Trigger, other.Trigger)
	fill(&o.Quantity, other.Quantity)
	fill(&o.State, other.State)
	fill(&o.Raw, other.Raw)
	if o.Tag == "" || replaced(o.Tag, o.Number) || other.Tag != "" && carries(o.Tag, other.Tag) {
		fill(&other.Tag, o.Tag)
		o.Tag = other.Tag
	}
	if o.FilledQty < other.FilledQty {
		o.FilledQty, o.PendingQty = other.FilledQty, other.PendingQty
	}
	if !o.AvgPrice.Known() && o.FilledQty == other.FilledQty {
		o.AvgPrice = other.AvgPrice
	}
	if o.Sent.IsZero() {
		o.Sent = other.Sent
	}
	if o.Entered.IsZero() {
		o.Entered = other.Entered
	}
	if o.Confirmed.IsZero() {
		o.Confirmed = other.Confirmed
	}
	if o.Updated.IsZero() {
		o.Updated = other.Updated
	}
	return o
}

func fill[T comparable](field *T, with T) {
	var none T
	if *field == none {
		*field = with
	}
}

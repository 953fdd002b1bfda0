package feed

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"neoapi"
	"neoapi/trade"
)

// An OrderFeed is a live feed of an account's orders and positions: of all programs that
// trade for it, and of the account's owner.
//
// Every state that an order goes through is told once, in the order's own sequence, and
// never an earlier one after a later one. What a break hid is read from the service: the
// book, the trades and, of the orders that changed, their histories. What comes meanwhile is
// told after it, up to half a second later if the service does not answer; then the feed's
// word goes ahead, and of the states before it only what filled is told. So it is with a
// state that cannot follow the last one, because a frame in between was lost. While an order
// is open the book is read every five seconds, though all looks well, for the frame that was
// lost can be the last one; while the feed is not connected, every two; while no order is
// open, every ten.
//
// Of the many orders that change in one break, some twenty have their histories read, to
// leave most of the consumer's rate to the program. Of the others the newest state is told.
// The one thing that can go missing by itself, where frames are lost on a connection that
// goes on, is a partial fill: the next one then has both.
type OrderFeed struct {
	client *neoapi.Client
	trade  *trade.Client
	opts   *options
	life   *life
	link   *link

	unknown, unread, repeated, recovered, ahead atomic.Int64

	mu        sync.Mutex // guards what follows; never held while the program's code runs or anything is waited for
	orders    map[string]*tracked
	positions map[positionKey]trade.Position
	readers   map[*orderReader]bool
	err       error        // why the feed is over
	steps     map[step]int // how often the service's histories have steps that are not usual
	catching
	reading
}

// Orders opens a feed that lives until Close or the end of ctx. It returns at once: an
// error if there is no session or no such feed, else a feed that connects by itself. Of the
// options, those that subscribe to quotes mean nothing.
func Orders(ctx context.Context, c *neoapi.Client, opts ...Option) (*OrderFeed, error) {
	o := &OrderFeed{
		client: c, opts: newOptions(opts), life: newLife(ctx),
		orders: map[string]*tracked{}, positions: map[positionKey]trade.Position{}, readers: map[*orderReader]bool{}, steps: map[step]int{},
	}
	var by []trade.Option
	if o.opts.sessions != nil {
		by = append(by, trade.With(neoapi.WithKeeper(&reads{o.opts.sessions, o})))
	}
	o.trade = trade.New(c, by...)
	o.link = newLink(c, o.opts, newSessions(c, o.opts), &orderProtocol{feed: o})
	if err := o.link.prepare(o.life.ctx); err != nil {
		o.life.end(ErrClosed)
		return nil, err
	}
	o.wake, o.odd = make(chan struct{}, 1), map[string]bool{}
	o.holds = time.AfterFunc(time.Hour, o.release)
	o.holds.Stop()
	o.life.start(o.read)
	o.life.start(func() { o.over(o.link.run(o.life.ctx)) })
	return o, nil
}

// Close ends the feed. Loops over Updates end with [ErrClosed] after what they have not
// told yet.
func (o *OrderFeed) Close() error { return o.life.close() }

// String returns a fixed text: what is in a feed changes while it is printed.
func (o *OrderFeed) String() string { return "an order feed" }

// Format prints [OrderFeed.String] for every verb.
func (o *OrderFeed) Format(s fmt.State, _ rune) { io.WriteString(s, o.String()) }

// over notes why the feed is over. The first reason counts.
func (o *OrderFeed) over(why error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = why
	}
	o.live, o.connected = false, false
	o.holds.Stop()
	o.flush()
	for r := range o.readers {
		r.stir()
	}
	o.mu.Unlock()
	o.life.end(why)
}

// Live implements [trade.Updates].
func (o *OrderFeed) Live() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.live
}

// OrderStats are what an [OrderFeed] has counted.
type OrderStats struct {
	Connections int64
	Frames      int64
	Unknown     int64 // frames of a type that is not known
	Unread      int64 // frames that could not be read
	Repeated    int64 // reports of orders that said nothing new
	Recovered   int64 // updates of orders that a break or a loss hid
	Ahead       int64 // times that an order's newest state did not wait for its history any longer
}

// Stats returns what the feed has counted.
func (o *OrderFeed) Stats() OrderStats {
	return OrderStats{
		Connections: o.link.stats.connections.Load(), Frames: o.link.stats.frames.Load(), Unknown: o.unknown.Load(), Unread: o.unread.Load(),
		Repeated: o.repeated.Load(), Recovered: o.recovered.Load(), Ahead: o.ahead.Load(),
	}
}

// maxUnread is how many updates a reader may be behind.
const maxUnread = 10_000

// An orderReader is a loop or a callback, and what it has not had yet.
type orderReader struct {
	queue   []Update // guarded by OrderFeed.mu, as what follows
	most    int
	slow    bool
	stirred chan struct{}
}

func (r *orderReader) stir() {
	select {
	case r.stirred <- struct{}{}:
	default:
	}
}

// join returns a new reader, which first has every order and position as it is now.
func (o *OrderFeed) join() *orderReader {
	r := &orderReader{stirred: make(chan struct{}, 1)}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.inTime() {
		r.queue = append(r.queue, OrderUpdate{Order: t.last, Fill: t.last.FilledQty})
	}
	for _, p := range o.positions {
		r.queue = append(r.queue, PositionUpdate{p})
	}
	r.most = maxUnread + len(r.queue)
	o.readers[r] = true
	return r
}

func (o *OrderFeed) leave(r *orderReader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.readers, r)
}

// tell gives an update to every reader. o.mu is held.
func (o *OrderFeed) tell(u Update) {
	for r := range o.readers {
		switch {
		case r.slow:
		case len(r.queue) >= r.most:
			r.slow = true
		default:
			r.queue = append(r.queue, u)
		}
		r.stir()
	}
}

// next returns what a reader has not had yet, in place of what it has, or why there is
// nothing more. It waits until there is something, or ctx is done.
func (o *OrderFeed) next(ctx context.Context, r *orderReader, had []Update) ([]Update, error) {
	clear(had)
	for {
		o.mu.Lock()
		news, err := r.queue, o.err
		r.queue = had[:0]
		if len(news) > 0 {
			r.most = maxUnread
		}
		if r.slow {
			err = ErrSlow
		}
		o.mu.Unlock()
		if len(news) > 0 {
			return news, nil
		}
		had = news
		if err != nil {
			return nil, err
		}
		select {
		case <-r.stirred:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Updates returns what the feed tells: first every order of the day and every position as
// it is now, then each [OrderUpdate] and [PositionUpdate] as it comes, and [Lost] and [Gap].
// The loop ends with an error: that of ctx, why the feed is over, or [ErrSlow] once more than
// ten thousand updates wait to be read, after those. Each loop has all updates; one that is
// slow disturbs no other.
func (o *OrderFeed) Updates(ctx context.Context) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		r := o.join()
		defer o.leave(r)
		var news []Update
		for {
			var err error
			if news, err = o.next(ctx, r, news); err != nil {
				yield(nil, err)
				return
			}
			for _, u := range news {
				if ctx.Err() != nil {
					yield(nil, context.Cause(ctx))
					return
				}
				if !yield(u, nil) {
					return
				}
			}
		}
	}
}

// OnOrder makes the feed call f with every state of an order that it tells: first with the
// orders of the day as they are now, then with each as it comes, one after the other, from
// a goroutine of its own. A panic of f ends the feed with a [*ProgramError]. f is not called
// any more once more than ten thousand updates wait for it, which is logged: a program that
// has to know of that uses [OrderFeed.Updates].
//
// It makes an OrderFeed something that [trade.Follow] follows.
func (o *OrderFeed) OnOrder(f func(trade.Order)) {
	r := o.join()
	o.life.start(func() {
		defer o.leave(r)
		closed := func() bool { return o.life.ctx.Err() != nil && !final(context.Cause(o.life.ctx)) }
		var news []Update
		for {
			var err error
			if news, err = o.next(o.life.ctx, r, news); err != nil {
				if err == ErrSlow { //nolint:errorlint // from next
					o.opts.log.LogAttrs(o.life.ctx, slog.LevelError, "feed: the callback is not called any more", slog.Any("why", err))
				}
				return
			}
			for _, u := range news {
				if u, is := u.(OrderUpdate); is && !closed() {
					if err := o.life.call(func() { f(u.Order) }); err != nil {
						o.over(err)
						return
					}
				}
			}
		}
	})
}

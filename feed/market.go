package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"neoapi"
	"neoapi/trade"
)

// Quotes subscribes instruments at [Touch]; an index as an index.
func Quotes(i ...trade.Instrument) Option { return subscribe(Touch, i) }

// Minis subscribes instruments at [Mini].
func Minis(i ...trade.Instrument) Option { return subscribe(Mini, i) }

// Depths subscribes instruments at [Depth].
func Depths(i ...trade.Instrument) Option { return subscribe(Depth, i) }

// FullDepths subscribes instruments at [Full].
func FullDepths(i ...trade.Instrument) Option { return subscribe(Full, i) }

func subscribe(l Level, i []trade.Instrument) Option {
	return func(o *options) { o.subscribe = append(o.subscribe, subscription{l, i}) }
}

// OnQuote makes a market feed call f with every quote, none skipped, as soon as it has come
// and before anything else is read: f must be quick. The quote is valid, and is not to be
// changed, until f returns. The calls of an instrument come one after the other; with more
// than 3,000 instruments, which need several connections, those of others may come at the
// same time. f may be called before [Market] has returned: a callback that needs the feed
// is for instruments that are subscribed afterwards. If f panics the feed ends with a
// [*ProgramError].
func OnQuote(f func(*Quote)) Option { return func(o *options) { o.onQuote = f } }

// What the service allows.
const (
	perLine  = 3000 // instruments on a connection
	maxLines = 3
)

// A MarketFeed is a live feed of quotes.
type MarketFeed struct {
	client   *neoapi.Client
	opts     *options
	sessions *sessions
	patience patience
	life     *life
	done     chan struct{} // closed at the end
	over     atomic.Bool   // the same
	recorder *recorder     // nil: nothing is written down
	counts   struct{ bad, old, unknown atomic.Int64 }

	mu       sync.Mutex
	err      error // what it ended with
	shut     bool  // by the program, which reads no more
	live     bool  // lines are to be run
	items    map[string]*item
	free     []int // slots of items that are gone
	slots    int
	lines    []*line
	readers  []*reader // a copy is changed
	statuses [1 << 8]MarketState
	opened   [1 << 8]time.Time // when a market opened, as seen
	told     map[trade.Segment]Status

	unrecorded *NotRecorded // once it is
}

// Market opens a feed of quotes that lives until Close or the end of ctx. Its error is what
// is known at once: there is no session, the session names no market feed ([ErrNoFeed]), an
// instrument cannot be subscribed, or there are more than the service allows
// ([ErrTooMany]). Trouble with the network is no error: the feed tells it as [Lost], and tries
// again.
func Market(ctx context.Context, c *neoapi.Client, opts ...Option) (*MarketFeed, error) {
	m, err := newMarket(ctx, c, newOptions(opts))
	if err != nil {
		return nil, err
	}
	if err := m.lines[0].link.prepare(ctx); err != nil {
		m.life.end(ErrClosed)
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	context.AfterFunc(m.life.ctx, func() { m.end(closed(m.life.ctx)) }) // also while a callback holds up the line
	m.live = true
	m.record(m.recorder)
	for _, l := range m.lines {
		m.run(l)
	}
	return m, nil
}

// newMarket returns a feed that is not connected yet.
func newMarket(ctx context.Context, c *neoapi.Client, o *options) (*MarketFeed, error) {
	m := &MarketFeed{
		client: c, opts: o, sessions: newSessions(c, o), patience: newPatience(o.haste), done: make(chan struct{}),
		items: map[string]*item{}, told: map[trade.Segment]Status{}, life: newLife(ctx),
		recorder: newRecorder(o.record, c.Service(), c.Now),
	}
	m.newLine()
	for _, s := range o.subscribe {
		if err := m.Subscribe(s.level, s.instruments...); err != nil {
			m.life.end(ErrClosed)
			return nil, err
		}
	}
	return m, nil
}

// newLine adds a connection. The feed's lock is held, or nobody knows the feed yet.
func (m *MarketFeed) newLine() *line {
	l := &line{
		feed: m, first: len(m.lines) == 0, epoch: 1, from: m.client.Now().In(trade.IST),
		waiting: map[*item]bool{}, poke: make(chan struct{}, 1),
	}
	l.link = newLink(m.client, m.opts, m.sessions, l)
	m.lines = append(m.lines, l)
	return l
}

// run starts a line. The feed's lock is held.
func (m *MarketFeed) run(l *line) {
	m.life.start(func() {
		err := error(&ProgramError{Value: "runtime.Goexit in the callback"})
		defer func() { m.end(err) }()
		err = l.link.run(m.life.ctx)
	})
}

// end ends the feed; the first reason counts.
func (m *MarketFeed) end(why error) {
	m.mu.Lock()
	if m.err == nil {
		m.err, m.shut = why, errors.Is(why, ErrClosed)
		m.over.Store(true)
		close(m.done)
	}
	m.mu.Unlock()
	m.life.end(why)
}

// Close ends the feed, and the loops over its updates with [ErrClosed]. It waits until the
// connections are closed, but not for a callback that is running: it may be called from
// one. Closing it again does nothing.
func (m *MarketFeed) Close() error {
	m.end(ErrClosed)
	return m.life.close()
}

// String returns a fixed text: what is in a feed changes while it is printed.
func (m *MarketFeed) String() string { return "a market feed" }

// Format prints [MarketFeed.String] for every verb.
func (m *MarketFeed) Format(s fmt.State, _ rune) { io.WriteString(s, m.String()) }

// Subscribe asks for quotes of instruments at a level, whether or not the feed is connected.
// Per instrument the feed sends the highest level that anybody wants; a subscription lasts
// until as many calls of [MarketFeed.Unsubscribe] with the same level. If there would be
// more instruments than the service allows the error is an [ErrTooMany], and nothing has
// changed.
func (m *MarketFeed) Subscribe(l Level, of ...trade.Instrument) error {
	wanted, err := newItems(l, of)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	more := 0
	for _, it := range wanted {
		if m.items[it.id] == nil {
			more++
		}
	}
	if n := len(m.items) + more; n > perLine*maxLines {
		return fmt.Errorf("%d instruments, and %d are allowed: %w", n, perLine*maxLines, ErrTooMany)
	}
	for _, it := range wanted {
		if had := m.items[it.id]; had != nil {
			it = had
		} else {
			m.add(it)
		}
		it.wants[l]++
		it.settle()
	}
	return nil
}

// Unsubscribe takes back a [MarketFeed.Subscribe] with the same level. What nobody wants
// any more is forgotten at once. Instruments that were not subscribed are passed over.
func (m *MarketFeed) Unsubscribe(l Level, of ...trade.Instrument) error {
	wanted, err := newItems(l, of)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, named := range wanted {
		if it := m.items[named.id]; it != nil && it.wants[l] > 0 {
			it.wants[l]--
			it.settle()
		}
	}
	return nil
}

// Quote returns the present picture of an instrument. It is not ok if there is none: the
// instrument is not subscribed, nothing has come yet, or the connection is lost.
func (m *MarketFeed) Quote(i trade.Instrument) (q Quote, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.items[idOf(i)]
	if it == nil || !it.fresh() || it.q.Level == 0 || m.err != nil {
		return Quote{}, false
	}
	return it.copy(), true
}

// nameOf returns how requests name an instrument.
func nameOf(i trade.Instrument) string { return string(i.Segment) + "|" + i.QuoteName() }

// idOf returns what an instrument is known by. An index whose name is not known goes by its
// token, which may be one of a share too.
func idOf(i trade.Instrument) string {
	if i.Kind == trade.IndexKind {
		return "index " + nameOf(i)
	}
	return nameOf(i)
}

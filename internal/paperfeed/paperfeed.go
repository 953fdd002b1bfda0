// Package paperfeed has the live feeds of the exchange on paper: the order feed, and the
// market feeds of generation 3 (SFeed) and of generations 1 and 2 (HSM).
//
// Start with [New]. A [Feeds] answers upgrades at the feeds' addresses, which the gateway
// lets through without an identity: the first frame proves a session.
package paperfeed

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/paperapi"
	"neoapi/internal/tradewire"
	"neoapi/internal/wire"
)

// The feeds' paths.
const (
	PathOrders = "/realtime"
	PathMarket = "/apifeed" // SFeed
	PathOld    = "/"        // HSM, with an upgrade
)

// atOnce is how many connections there may be, unless Config says otherwise.
const atOnce = 1536

// limits are those of connections. A stranger can hold one that has not proved a session
// for proveTime.
type limits struct {
	ofAccount      int // connections of one account
	unprovenAtOnce int // that have not proved a session, in all
	unprovenOfOne  int // and from one network
}

func limitsOf(atOnce int) limits {
	return limits{max(1, atOnce*2/3), max(1, atOnce/6), max(1, atOnce/24)}
}

// Other limits.
const (
	closeTime     = 500 * time.Millisecond
	lookEvery     = 500 * time.Millisecond // at sessions (security.md S4)
	looksAtOnce   = 8
	strangerTime  = time.Millisecond // between two frames or pings of who has proved no session
	firstFrame    = 16 << 10         // the longest first frame
	comeAgain     = 2 * time.Second  // what a refused client is told to wait
	longestFrame  = 128 << 10        // and any other: 3,000 instruments need 60 KB
	mostWaiting   = 4 << 20          // bytes of frames that wait for a client to read
	enoughWaiting = 64 << 10         // beyond them no more is read from it
	frameBytes    = 128              // that a frame costs besides its own
	enoughMoved   = 20_000           // nor beyond as many subscriptions; a client has up to 15,000
	batchBytes    = 16 << 10         // of packets in a frame
)

// How long a client is waited for, and the store. Tests shorten them.
var (
	proveTime   = 10 * time.Second  // for its first frame
	silentTime  = 120 * time.Second // for a sign of life: clients of generation 3 send a ping every 20 s, older ones every 5 s
	stalledTime = 10 * time.Second  // until it has read a frame
	frameTime   = 10 * time.Second  // for the rest of a frame
	lookTime    = 3 * time.Second   // for the store's word on all sessions
	trustTime   = 10 * time.Second  // feeds go on while it does not give it
)

// Config configures [Feeds].
type Config struct {
	API *paperapi.API
	Now func() time.Time
	Log *slog.Logger

	AtOnce int // how many connections there may be; default 1,536

	// Prove checks what a first frame says of itself: a trade session's sid and token or,
	// for SFeed, which sends no token, its UCC and sid. An error is its refusal.
	// One of login.KindUnavailable says nothing of the session: the client is told to come
	// again.
	Prove func(ctx context.Context, ucc, sid, token string) (Session, error)

	Faults Strike // deliberate ones; nil for none
}

// A Session is a trade session that a feed was opened with.
type Session struct {
	UCC    string
	SID    string
	Stands func(context.Context) (bool, error) // reports whether it has not ended
}

// Feeds are the feeds of an exchange on paper.
type Feeds struct {
	cfg  Config
	most limits
	hub  hub

	mu       sync.Mutex
	ended    bool
	ending   chan struct{}    // closed when ended
	places   int              // connections, and those that are being upgraded
	open     map[*client]bool // connections
	unproven int
	from     map[string]int // unproven connections by network
	of       map[string]int // proven connections by account
	busy     sync.WaitGroup
}

// New returns the feeds. Call [Feeds.Start] while they are used.
func New(cfg Config) *Feeds {
	cfg.AtOnce = cmp.Or(cfg.AtOnce, atOnce)
	f := &Feeds{cfg: cfg, most: limitsOf(cfg.AtOnce), ending: make(chan struct{}), open: map[*client]bool{}, from: map[string]int{}, of: map[string]int{}}
	f.hub.init(cfg)
	return f
}

// protocols are the feeds by their paths.
var protocols = map[string]struct {
	op  wire.Op
	new func(*client) protocol
}{
	PathOrders: {tradewire.OpOrderFeed, newOrders},
	PathMarket: {tradewire.OpMarketFeed, newSFeed},
	PathOld:    {tradewire.OpMarketFeedOld, newHSM},
}

// OpOf returns the name of the feed at a path, for metrics and the log, and whether there
// is one.
func OpOf(path string) (op wire.Op, ok bool) {
	p, ok := protocols[path]
	return p.op, ok
}

// Refusals of an upgrade, or of a session that is valid: the client has to come again.
var (
	errTooMany = &login.Error{Kind: login.KindUnavailable, Detail: "as many live feeds are open as there may be: close one, or connect again later", RetryAfter: comeAgain}
	errEnding  = &login.Error{Kind: login.KindUnavailable, Detail: "the service is about to stop: connect again", RetryAfter: comeAgain}
)

// Serve upgrades a request and serves the feed at its path until its connection ends. It
// returns how many bytes were sent. address is where the request comes from; upgraded is
// called once the answer, 101, has been sent. An error before that is returned with
// nothing written.
func (f *Feeds) Serve(w http.ResponseWriter, r *http.Request, address string, upgraded func()) (sent int64, err error) {
	of := protocols[r.URL.Path]
	if spoilt, err := f.spoilUpgrade(w, r, of.op); err != nil {
		return 0, err
	} else if spoilt {
		upgraded()
		return 0, nil
	}
	c := &client{feeds: f, op: of.op, network: cmp.Or(login.NetworkOf(address), address), wake: make(chan struct{}, 1)}
	c.room.L = &c.mu
	if err := f.admit(c); err != nil {
		return 0, err
	}
	defer f.leave(c)
	if err := c.accept(w, r); err != nil {
		return 0, err
	}
	upgraded()
	c.protocol = of.new(c)
	f.opened(c)
	c.serve()
	return c.sent.Load(), nil
}

// Open returns how many connections there are: by feed, and those that have not proved a
// session.
func (f *Feeds) Open() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := map[string]int{"unproven": f.unproven}
	for _, p := range protocols {
		n[string(p.op)] = 0
	}
	for c := range f.open {
		if c.session.Stands != nil {
			n[string(c.op)]++
		}
	}
	return n
}

// admit counts a connection that has not proved a session.
func (f *Feeds) admit(c *client) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return errEnding
	case f.places >= f.cfg.AtOnce || f.from[c.network] >= f.most.unprovenOfOne:
		return errTooMany
	case f.unproven >= f.most.unprovenAtOnce && !f.replace(c):
		return errTooMany
	}
	f.places++
	f.unproven++
	f.from[c.network]++
	f.busy.Add(1)
	return nil
}

// replace ends a connection of the network that has the most unproven ones, for another
// network's: a few networks keep nobody out. It reports whether there is one.
func (f *Feeds) replace(c *client) bool {
	var other *client
	for x := range f.open {
		if x.session.Stands == nil && !x.replaced && (other == nil || f.from[x.network] > f.from[other.network]) {
			other = x
		}
	}
	if other == nil || f.from[other.network] <= f.from[c.network]+1 {
		return false
	}
	other.replaced = true
	f.known(other)
	other.cut()
	return true
}

// opened makes a connection known, which is closed at once if the service is stopping.
func (f *Feeds) opened(c *client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = true
	if f.ended {
		c.stopping()
	}
}

// proven counts a connection as one of an account, if there may be another one.
func (f *Feeds) proven(c *client, s Session) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return errEnding
	case c.replaced || f.of[s.UCC] >= f.most.ofAccount:
		return errTooMany
	}
	f.known(c)
	f.of[s.UCC]++
	c.session, c.stood = s, time.Now()
	return nil
}

// known counts a connection as unproven no longer.
func (f *Feeds) known(c *client) {
	f.unproven--
	if f.from[c.network]--; f.from[c.network] == 0 {
		delete(f.from, c.network)
	}
}

func (f *Feeds) leave(c *client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.busy.Done()
	f.places--
	delete(f.open, c)
	switch {
	case c.replaced:
		return
	case c.session.Stands == nil:
		f.known(c)
		return
	}
	if f.of[c.session.UCC]--; f.of[c.session.UCC] == 0 {
		delete(f.of, c.session.UCC)
	}
}

// Start sends what happens until the context is done; then it closes the connections.
// wait returns when all that it started has ended.
func (f *Feeds) Start(ctx context.Context) (wait func()) {
	var parts sync.WaitGroup
	parts.Go(func() { f.hub.run(ctx) })
	parts.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
				f.look(ctx)
			case <-ctx.Done():
			}
		}
		f.end()
	})
	return func() {
		parts.Wait()
		f.busy.Wait()
	}
}

// Follow makes the feeds notice at once that the clock has been moved.
func (f *Feeds) Follow() {
	select {
	case f.hub.moved <- struct{}{}:
	default:
	}
}

// end closes all connections, and lets no more begin.
func (f *Feeds) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	close(f.ending)
	for c := range f.open {
		c.stopping()
	}
}

package feed_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

var (
	faultTime = flag.Duration("feed.faults", 1500*time.Millisecond, "how long the feeds have random faults; ten seconds or more have those too that take a client long to find out")
	faultSeed = flag.Uint64("feed.seed", 0, "which faults; 0 is random")
)

// refusals are the faults that refuse a session, which another one replaces, and
// hindrances the others that a connection can begin with.
var (
	refusals   = []string{"401", "403", "nk", "1120"}
	hindrances = []string{"429", "502", "503", "upgrade_close", "upgrade_hang", "close", "hang", "slow", "native_fallback"}
)

// slowFaults are those that a client finds out only after ten seconds or more.
var slowFaults = map[string][]string{
	"order_feed": {"hang", "upgrade_hang", "dead", "slow", "silent"}, "market_feed": {"hang", "upgrade_hang", "dead", "slow"},
}

// A chance draws faults for a feed of a service.
type chance struct {
	t      *testing.T
	srv    *neoapitest.Server
	op     string
	random *rand.Rand
	names  []string
	drawn  map[string]int
	most   int // refusals; 0: any number

	hindered int64 // how many connections there had been when one was last kept from beginning
}

func newChance(t *testing.T, srv *neoapitest.Server, op string) *chance {
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-feed.seed %d", seed)
	c := &chance{t: t, srv: srv, op: op, random: rand.New(rand.NewPCG(seed, 1)), drawn: map[string]int{}, hindered: -1}
	for _, name := range neoapitest.FeedFaults() {
		switch {
		case slices.Contains(slowFaults[op], name) && *faultTime < 10*time.Second,
			name == "nk" && op == "market_feed", name == "bare" && op == "market_feed", (name == "1120" || name == "native_fallback") && op == "order_feed":
		default:
			c.names = append(c.names, name)
		}
	}
	return c
}

// strike draws a fault. One keeps a connection from beginning: two sessions that are refused
// in a row end a feed, and many tries have long waits.
func (c *chance) strike(connections int64) {
	name := c.names[c.random.IntN(len(c.names))]
	if slices.Contains(refusals, name) || slices.Contains(hindrances, name) {
		if c.hindered == connections {
			return
		}
		c.hindered = connections
	}
	if c.most > 0 && slices.Contains(refusals, name) {
		if c.most == 1 {
			return
		}
		c.most--
	}
	f := neoapitest.OrderFault{Op: c.op, Fault: name, Times: 1}
	switch name {
	case "twice", "lost", "reordered", "cut", "garbage", "unknown", "bare":
		f.N, f.Times = 1+c.random.IntN(4), 1+c.random.IntN(4)
	}
	c.drawn[name]++
	c.srv.FailOrder(c.t, f)
}

// renewals log in again and again, as a Keeper would.
type renewals struct {
	login func(context.Context) (neoapi.Session, error)

	mu      sync.Mutex
	session neoapi.Session
	ended   bool
	logins  int
}

func (r *renewals) Session(ctx context.Context) (neoapi.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.session.Token == "" {
		s, err := r.login(ctx)
		if err != nil {
			return s, err
		}
		r.session, r.ended = s, false
		r.logins++
	}
	return r.session, nil
}

func (r *renewals) Ended(s neoapi.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = r.ended || s.Token == r.session.Token
}

// Whatever the service does to the order feed, a program is told what became of every
// order, as the exchange's log has it: complete, in order, once.
func TestOrders_underRandomFaultsAreThoseOfTheExchange(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 2)
	api := d.client(t, 2) // the desk's own session stays
	keeper := &renewals{login: func(ctx context.Context) (neoapi.Session, error) {
		if err := api.Login(ctx, neoapi.Credentials{Mobile: d.srv.Account.Mobile, Password: d.srv.Account.Password, NoOTP: true}); err != nil {
			return neoapi.Session{}, err
		}
		return api.Session2FA(ctx, d.srv.Account.MPIN)
	}}
	f := must.Get(feed.Orders(t.Context(), d.api, feed.WithKeeper(keeper), feed.Hasty(20)))(t)
	defer f.Close()
	until(t, "the feed is live", f.Live)
	c := newChance(t, d.srv, "order_feed")
	h := &history{orderDesk: d, t: t, feed: f, told: listen(t.Context(), f), random: c.random}
	for end := time.Now().Add(*faultTime); time.Now().Before(end); {
		h.step()
		if c.random.IntN(3) == 0 {
			c.strike(f.Stats().Connections)
		}
		time.Sleep(time.Duration(c.random.IntN(20)) * time.Millisecond)
	}
	d.srv.Works()
	if *faultTime < 10*time.Second { // to wait for no look at the book
		d.srv.Fail(t, "order_feed", "drop", 1)
		must.Get(d.Place(t.Context(), trade.Buy(d.tcs, 1).Market().Product(trade.MIS)))(t)
	}
	until(t, "the exchange has done what it was told", func() bool {
		return !slices.ContainsFunc(d.srv.Orders(t, d.srv.Account.UCC), func(o neoapitest.Order) bool {
			return o.State != "open" && !trade.State(o.State).Final()
		})
	})
	defer func() { t.Logf("%v; %d sessions; %+v", c.drawn, keeper.logins, f.Stats()) }()
	// An order that a silent stream kept to itself is found by the look at the book that comes
	// every half minute.
	told := func() bool {
		return !slices.ContainsFunc(d.srv.Orders(t, d.srv.Account.UCC), func(o neoapitest.Order) bool {
			last := h.told.last(o.Number)
			return string(last.State) != o.State || last.FilledQty != o.Filled
		})
	}
	for end := time.Now().Add(45 * time.Second); !told() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	h.check(true)
	if h.told.err != nil {
		t.Error(h.told.err)
	}
}

// Whatever the service does to the market feed, a program has the exchange's picture of
// every instrument when it is over.
func TestMarketFeed_underRandomFaultsHasWhatTheExchangeHas(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var spare []neoapi.Session // for those that are refused
	for range 8 {
		d.srv.Advance(30 * time.Second) // to another code
		must.Do(t, d.api.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: d.srv.Account.Mobile, UCC: d.srv.Account.UCC, Code: d.srv.TOTP(t)}))
		spare = append(spare, must.Get(d.api.ValidateMPIN(t.Context(), d.srv.Account.MPIN))(t))
	}
	keeper := &renewals{login: func(context.Context) (s neoapi.Session, err error) {
		s, spare = spare[0], spare[1:]
		return s, nil
	}}
	var all []trade.Instrument
	for _, i := range must.Get(d.Instruments(t.Context(), trade.NSE))(t).Find(trade.Search{Segment: trade.NSE, Kind: trade.Share, Limit: 20}) {
		if strings.HasSuffix(i.Symbol, "-EQ") {
			all = append(all, i)
		}
	}
	c := newChance(t, d.srv, "market_feed")
	c.most = len(spare) - 1
	m := must.Get(feed.Market(t.Context(), d.api, feed.Depths(all...), feed.WithKeeper(keeper), feed.Hasty(20)))(t)
	defer m.Close()
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	counts := map[string]int{}
	reading.Go(func() {
		for u, err := range m.Updates(ctx) {
			switch u := u.(type) {
			case feed.Quote:
				counts["quote"]++
				if !u.Last.Known() || !u.PrevClose.Known() {
					t.Errorf("a picture that is not whole: %+v", u)
				}
			case feed.Lost:
				counts["lost"]++
			case feed.Gap:
				counts["gap"]++
			case feed.Missing:
				counts["missing"]++
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("the feed ends: %v", err)
			}
		}
	})
	price := func(round int) string {
		return trade.MustRupees("3500").Add(trade.MustRupees("0.05").Times(int64(2 * round))).String()
	}
	round := 0
	move := func() {
		round++
		d.market.SetPrice("nse_cm", d.tcs.Symbol, price(round))
	}
	for end := time.Now().Add(*faultTime); time.Now().Before(end); {
		move()
		c.strike(m.Stats().Connections)
		time.Sleep(time.Duration(c.random.IntN(60)) * time.Millisecond)
	}
	d.srv.Works()
	polled := func() map[string]trade.Quote {
		quotes := map[string]trade.Quote{}
		for _, q := range must.Get(d.Quotes(t.Context(), all))(t) {
			quotes[q.Symbol] = q
		}
		return quotes
	}
	differs := ""
	until(t, "every instrument is as at the exchange", func() bool {
		for _, i := range all { // the market stands still, and has moved once
			move()
			d.market.SetPrice("nse_cm", i.Symbol, polled()[i.Symbol].Last.String())
		}
		time.Sleep(600 * time.Millisecond) // a step of the market: what stands still is told no more
		differs = ""
		quotes := polled()
		for _, i := range all {
			q, ok := m.Quote(i)
			want := quotes[i.Symbol]
			if !ok || q.Last != want.Last || len(q.Bids) != len(want.Bids) || len(q.Bids) > 0 && q.Bids[0] != want.Bids[0] || len(q.Asks) > 0 && q.Asks[0] != want.Asks[0] {
				differs += i.Symbol + " "
			}
		}
		if differs != "" {
			t.Logf("%s: differs", differs)
		}
		return differs == ""
	})
	stop()
	reading.Wait()
	t.Logf("%v; %v; %+v; %d sessions", c.drawn, counts, m.Stats(), keeper.logins)
}

package feed_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// A desk is an account of generation 3 at an exchange on paper whose TCS stands at 3500.
type desk struct {
	*trade.Client
	srv    *neoapitest.Server
	market neoapitest.Market
	api    *neoapi.Client
	tcs    trade.Instrument
}

func newDesk(t testing.TB, opts ...neoapitest.Option) *desk {
	t.Helper()
	srv := neoapitest.NewServer(t, append([]neoapitest.Option{neoapitest.WithConsumerRate(0)}, opts...)...)
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	d := &desk{srv: srv, market: srv.Market(t)}
	srv.Fund(t, srv.Account.UCC, "100000000.00")
	d.market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	d.market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	d.api = must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Rate: -1, Clock: srv.Now,
	}))(t)
	must.Do(t, d.api.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}))
	must.Get(d.api.ValidateMPIN(t.Context(), srv.Account.MPIN))(t)
	d.Client = trade.New(d.api)
	d.tcs = d.instrument(t, "TCS-EQ")
	return d
}

func (d *desk) instrument(t testing.TB, symbol string) trade.Instrument {
	t.Helper()
	return must.Get(d.Instrument(t.Context(), trade.NSE, symbol))(t)
}

func (d *desk) index(t testing.TB) trade.Instrument {
	t.Helper()
	all := must.Get(d.Instruments(t.Context()))(t).Find(trade.Search{Segment: trade.NSE, Kind: trade.IndexKind, Text: "NIFTY"})
	return all[0]
}

// untilUpdate reads updates until one of them is what a test waits for.
func untilUpdate(t testing.TB, m *feed.MarketFeed, is func(feed.Update) bool) feed.Update {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for u, err := range m.Updates(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if is(u) {
			return u
		}
	}
	return nil
}

func TestMarketFeed_hasWhatTheExchangeHas(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	nifty, infy := d.index(t), d.instrument(t, "INFY-EQ")
	m := must.Get(feed.Market(t.Context(), d.api, feed.Quotes(d.tcs, nifty), feed.Depths(infy)))(t)
	defer m.Close()
	at := func(price string) func(feed.Update) bool {
		return func(u feed.Update) bool {
			q, ok := u.(feed.Quote)
			return ok && q.Instrument.Symbol == "TCS-EQ" && q.Last == trade.MustRupees(price)
		}
	}
	untilUpdate(t, m, at("3500.00"))
	d.market.SetPrice("nse_cm", "TCS-EQ", "3512.40")
	live := untilUpdate(t, m, at("3512.40")).(feed.Quote)
	polled := must.Get(d.Quote(t.Context(), d.tcs))(t)
	if live.PrevClose != polled.PrevClose || live.Upper != polled.Upper || live.YearLow != polled.YearLow || live.Level != feed.Touch || len(live.Bids) != 1 ||
		live.Bids[0].Price != polled.Bids[0].Price || live.Asks[0].Price != polled.Asks[0].Price || live.Crossed || live.Instrument != d.tcs {
		t.Errorf("live %+v\npolled %+v", live, polled)
	}
	if age, known := live.Age(); !known || age > 3*time.Second || live.At.Location().String() != "IST" {
		t.Errorf("of %v, %v old", live.At, age)
	}
	index := untilUpdate(t, m, func(u feed.Update) bool { q, ok := u.(feed.Quote); return ok && q.Instrument.Kind == trade.IndexKind }).(feed.Quote)
	if !index.Last.Known() || index.Instrument != nifty {
		t.Errorf("the index: %+v", index)
	}
	book := untilUpdate(t, m, func(u feed.Update) bool { q, ok := u.(feed.Quote); return ok && q.Level == feed.Depth }).(feed.Quote)
	if len(book.Bids) != 5 || len(book.Asks) != 5 || book.Instrument.Symbol != "INFY-EQ" {
		t.Errorf("depth: %+v", book)
	}
	if q, ok := m.Quote(d.tcs); !ok || q.Last != trade.MustRupees("3512.40") {
		t.Errorf("Quote: %v %v", ok, q.Last)
	}
}

// Rule 43: everything may be called within a callback, and between two values of a loop.
func TestMarketFeed_everythingMayBeCalledFromItsCallbacks(t *testing.T) {
	d := newDesk(t)
	infy := d.instrument(t, "INFY-EQ")
	all := func(m *feed.MarketFeed) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		order, err := d.Place(ctx, trade.Buy(d.tcs, 1).Limit(trade.MustRupees("3200")).Product(trade.CNC))
		if err == nil {
			_, err = d.Cancel(ctx, order)
		}
		err = errors.Join(err, m.Subscribe(feed.Full, d.tcs, infy), m.Unsubscribe(feed.Touch, d.tcs))
		m.Quote(d.tcs)
		for range m.Updates(ctx) {
			break
		}
		return errors.Join(err, m.Close())
	}
	t.Run("a callback", func(t *testing.T) {
		defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
		var m atomic.Pointer[feed.MarketFeed]
		done := make(chan error, 1)
		var calls atomic.Int32
		f := must.Get(feed.Market(t.Context(), d.api, feed.OnQuote(func(*feed.Quote) {
			if calls.Add(1) == 1 {
				done <- all(m.Load())
			}
		})))(t)
		m.Store(f)
		must.Do(t, f.Subscribe(feed.Touch, d.tcs, infy))
		if err := <-done; err != nil {
			t.Error(err)
		}
		must.Do(t, f.Close())
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls: one after Close", n)
		}
	})
	t.Run("a loop", func(t *testing.T) {
		defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
		m := must.Get(feed.Market(t.Context(), d.api, feed.Quotes(d.tcs, infy)))(t)
		values := 0
		for _, err := range m.Updates(t.Context()) {
			if err != nil {
				if !errors.Is(err, feed.ErrClosed) {
					t.Error(err)
				}
				break
			}
			values++
			if err := all(m); err != nil {
				t.Error(err)
			}
		}
		if values != 1 {
			t.Errorf("%d values", values)
		}
	})
}

// A panic of the program is its own kind of error, which ends the feed.
func TestMarketFeed_endsWithAPanicOfTheProgram(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cause := errors.New("the program's")
	m := must.Get(feed.Market(t.Context(), d.api, feed.Quotes(d.tcs), feed.OnQuote(func(*feed.Quote) { panic(cause) })))(t)
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	for _, err = range m.Updates(ctx) {
		if err != nil {
			break
		}
	}
	program, ok := errors.AsType[*feed.ProgramError](err)
	if !ok || !errors.Is(err, cause) || len(program.Stack) == 0 {
		t.Errorf("it ended with %v", err)
	}
}

// Closing does not wait for the program, and ends a feed whose callback is stuck.
func TestMarketFeed_isClosedWhileACallbackIsStuck(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stuck, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	m := must.Get(feed.Market(t.Context(), d.api, feed.Quotes(d.tcs), feed.OnQuote(func(*feed.Quote) {
		if calls.Add(1) == 1 {
			close(stuck)
			<-release
		}
	})))(t)
	<-stuck
	began := time.Now()
	must.Do(t, m.Close())
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("Close took %v", took)
	}
	for u, err := range m.Updates(t.Context()) {
		if u != nil || !errors.Is(err, feed.ErrClosed) {
			t.Errorf("%v, %v", u, err)
		}
	}
	close(release)
}

// What the exchange announces comes.
func TestMarketFeed_tellsWhatTheMarketDoes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	m := must.Get(feed.Market(t.Context(), d.api, feed.Quotes(d.tcs)))(t)
	defer m.Close()
	next, stop := iter.Pull2(m.Updates(t.Context()))
	defer stop()
	next()
	d.market.Status("nse_cm", 10, "")
	d.market.Auction("nse_cm", "TCS-EQ", "3501.00", -500, 20)
	var status, auction bool
	for !status || !auction {
		u, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		switch u := u.(type) {
		case feed.Status:
			status = status || u.Segment == trade.NSE && u.State == feed.ClosingAuctionStarted
		case feed.Auction:
			auction = true
			if u.Instrument != d.tcs || u.Reference != trade.MustRupees("3501.00") || u.Imbalance != -500 || u.ImbalanceAtMarket != 20 {
				t.Errorf("%+v", u)
			}
		}
	}
}

// Whatever the scrip master lists has a picture.
func TestMarketFeed_hasEveryInstrumentOfTheExchange(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	all := must.Get(d.Instruments(t.Context()))(t).Find(trade.Search{})
	m := must.Get(feed.Market(t.Context(), d.api, feed.Minis(all...)))(t)
	defer m.Close()
	seen := map[string]bool{}
	untilUpdate(t, m, func(u feed.Update) bool {
		if q, ok := u.(feed.Quote); ok {
			seen[q.Instrument.Key()] = true
		}
		return len(seen) == len(all)
	})
	if len(all) < 100 {
		t.Errorf("%d instruments", len(all))
	}
	t.Logf("%d instruments, %+v", len(all), m.Stats())
}

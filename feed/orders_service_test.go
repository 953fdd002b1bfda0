package feed_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// resting is an order that rests below the market.
func (d *orderDesk) resting() trade.Ticket {
	return trade.Buy(d.tcs, 10).Limit(trade.MustRupees("3450")).Product(trade.CNC)
}

// filling is an order that fills at once.
func (d *orderDesk) filling() trade.Ticket { return trade.Buy(d.tcs, 10).Market().Product(trade.CNC) }

// A market order goes through its states, each told once, in every generation; and its
// position is told.
func TestOrders_everyStateIsTold(t *testing.T) {
	t.Parallel()
	for _, generation := range []int{1, 3} {
		d := newOrderDesk(t, generation)
		f := d.open(t)
		got := listen(t.Context(), f)
		order := must.Get(d.Place(t.Context(), d.filling()))(t)
		until(t, "its position", func() bool { return got.count(isPosition) > 0 })
		want := []trade.State{trade.Received, trade.Validating, trade.OpenPending, trade.Open, trade.Complete}
		all := got.of(order.Number)
		if !slices.Equal(states(all), want) {
			t.Fatalf("generation %d: %v", generation, states(all))
		}
		for i, u := range all {
			if last := i == len(all)-1; u.AvgPrice.Known() != last || (u.Fill == 10) != last || u.Recovered || u.Symbol != "TCS-EQ" {
				t.Errorf("%+v", u)
			}
		}
		must.Do(t, f.Close())
		if <-got.done; !errors.Is(got.err, feed.ErrClosed) {
			t.Error(got.err)
		}
	}
}

func isPosition(u feed.Update) bool { _, is := u.(feed.PositionUpdate); return is }

// The fill comes before the answer to the order: it is kept until Place returns, and told
// once.
func TestOrders_aFillBeforeTheAnswerIsKept(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	f := d.open(t)
	got := listen(t.Context(), f)
	api := trade.New(d.api, trade.Follow(f))
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "delayed", N: 1})
	order := must.Get(api.Place(t.Context(), d.filling()))(t)
	if order.State != trade.Complete || order.FilledQty != 10 {
		t.Errorf("placed %+v", order)
	}
	d.srv.Fail(t, "orders", "hang", 1) // it is not asked
	order, err := api.Await(t.Context(), order, trade.Complete)
	if err != nil || order.FilledQty != 10 || !order.AvgPrice.Known() || order.Sent.IsZero() {
		t.Errorf("%+v, %v", order, err)
	}
	d.srv.Works()
	fills := slices.DeleteFunc(got.of(order.Number), func(u feed.OrderUpdate) bool { return u.Fill == 0 })
	if len(fills) != 1 || fills[0].Fill != 10 {
		t.Errorf("%d fills", len(fills))
	}
}

// An order that filled, one that was cancelled, one that was changed and one that another
// program placed during a break: each is told in full, then the Gap.
func TestOrders_aBreakHidesNothing(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	f := d.open(t)
	got := listen(t.Context(), f)
	var orders []trade.Order
	for range 3 {
		orders = append(orders, must.Get(d.Place(t.Context(), d.resting()))(t))
	}
	d.between.shut(true)
	until(t, "Lost", func() bool { return got.count(isLost) > 0 })
	if f.Live() {
		t.Error("it says that it is live")
	}
	must.Get(d.Cancel(t.Context(), orders[1]))(t)
	must.Get(d.Modify(t.Context(), orders[2], trade.Change{Price: trade.MustRupees("3440"), Quantity: 20}))(t)
	for filled := int64(0); filled == 0; filled = d.srv.Orders(t, d.srv.Account.UCC)[0].Filled { // behind others in the queue
		d.market.Trade("nse_cm", "TCS-EQ", "3450.00", 4)
	}
	other := trade.New(d.client(t, 3))
	placed := must.Get(other.Place(t.Context(), d.filling()))(t)
	d.market.SetPrice("nse_cm", "TCS-EQ", "3445.00")
	d.between.shut(false)
	until(t, "Gap", func() bool { return got.count(isGap) > 0 })
	for _, number := range []string{orders[0].Number, orders[1].Number, orders[2].Number, placed.Number} {
		compare(t, number, d.srv.History(t, d.srv.Account.UCC, number), got.of(number), false, f.Stats().Ahead > 0)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	gap := slices.IndexFunc(got.all, isGap)
	for _, u := range got.all[gap:] {
		if u, is := u.(feed.OrderUpdate); is {
			t.Errorf("after the gap came %s", u.State)
		}
	}
}

// Of an account, each of two programs hears of the other's orders.
func TestOrders_ofAnotherProgramAppear(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	var heard [2]*told
	var apis [2]*trade.Client
	for i := range heard {
		c := d.client(t, 3)
		f := must.Get(feed.Orders(t.Context(), c))(t)
		t.Cleanup(func() { f.Close() })
		until(t, "the feed is live", f.Live)
		heard[i], apis[i] = listen(t.Context(), f), trade.New(c, trade.Follow(f))
	}
	for i := range apis {
		order := must.Get(apis[i].Place(t.Context(), d.filling()))(t)
		for k := range heard {
			until(t, "the order", func() bool { return heard[k].last(order.Number).State == trade.Complete })
			if all := heard[k].of(order.Number); len(all) != 5 {
				t.Errorf("program %d was told %v of an order of program %d", k, states(all), i)
			}
		}
	}
}

// A renewed session goes on where the ended one was, without the program.
func TestOrders_aRenewedSessionGoesOn(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	keep := must.Get(d.api.Keep(neoapi.KeepConfig{Login: neoapi.Login{
		UCC: d.srv.Account.UCC, MPIN: func(context.Context) (string, error) { return d.srv.Account.MPIN, nil },
		TOTP: func(context.Context) (neoapi.TOTP, error) {
			return neoapi.TOTP{Mobile: d.srv.Account.Mobile, UCC: d.srv.Account.UCC, Code: d.srv.TOTP(t)}, nil
		},
	}}))(t)
	first := must.Get(keep.Session(t.Context()))(t)
	f := d.open(t)
	got := listen(t.Context(), f)
	before := must.Get(d.Place(t.Context(), d.resting()))(t)
	until(t, "an order before", func() bool { return got.last(before.Number).State == trade.Open })
	d.srv.EndSession(t, first.SID)
	until(t, "Gap", func() bool { return got.count(isGap) > 0 })
	after := must.Get(d.Place(t.Context(), d.filling()))(t)
	until(t, "an order after", func() bool { return got.last(after.Number).State == trade.Complete })
	if now := must.Get(keep.Session(t.Context()))(t); now.Token == first.Token {
		t.Error("the session is the same")
	}
	if n := len(got.of(before.Number)); n != 4 {
		t.Errorf("the order before was told %d times", n)
	}
}

// A program that comes later, or again, has the orders of the day first.
func TestOrders_aLaterLoopHasTheDayFirst(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	done := must.Get(d.Place(t.Context(), d.filling()))(t)
	f := d.open(t)
	resting := must.Get(d.Place(t.Context(), d.resting()))(t)
	first := listen(t.Context(), f)
	until(t, "both", func() bool {
		return first.last(done.Number).State == trade.Complete && first.last(resting.Number).State == trade.Open
	})
	for range 2 {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		why := errors.New("enough")
		var had []trade.State
		for u, err := range f.Updates(ctx) {
			if err != nil {
				if !errors.Is(err, why) {
					t.Error(err)
				}
				break
			}
			if u, is := u.(feed.OrderUpdate); is {
				if had = append(had, u.State); u.Fill != u.FilledQty || u.Recovered {
					t.Errorf("%+v", u)
				}
			}
			if len(had) == 2 {
				cancel(why)
			}
		}
		if !slices.Equal(had, []trade.State{trade.Complete, trade.Open}) {
			t.Errorf("first it had %v", had)
		}
	}
}

// The book hangs for a minute, and the feed has the end: Await has it at once.
func TestAwait_feedEndsItWhileTheBookHangs(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	f := d.open(t)
	api := trade.New(d.api, trade.Follow(f))
	order := must.Get(api.Place(t.Context(), d.resting()))(t)
	d.srv.Fail(t, "orders", "hang", 100)
	defer d.srv.Works()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a book that hangs is given up after ten
	defer cancel()
	time.AfterFunc(100*time.Millisecond, func() { d.market.SetPrice("nse_cm", "TCS-EQ", "3440.00") })
	began := time.Now()
	order, err := api.Await(ctx, order, trade.Complete)
	if err != nil || order.FilledQty != 10 || time.Since(began) > 4*time.Second { // less than one try of a read
		t.Errorf("after %v: %+v, %v", time.Since(began), order, err)
	}
}

// The feed's connection is broken, and the book has the end: Await has it as soon as
// without a feed.
func TestAwait_asksWhileTheFeedIsDown(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	f := d.open(t)
	api := trade.New(d.api, trade.Follow(f))
	order := must.Get(api.Place(t.Context(), d.resting()))(t)
	d.between.shut(true)
	until(t, "the feed is down", func() bool { return !f.Live() })
	time.AfterFunc(100*time.Millisecond, func() { d.market.SetPrice("nse_cm", "TCS-EQ", "3440.00") })
	if order, err := api.Await(t.Context(), order, trade.Complete); err != nil || order.FilledQty != 10 {
		t.Errorf("%+v, %v", order, err)
	}
}

// From a callback and between two updates the program may call anything.
func TestOrders_callbacksMayCallAnything(t *testing.T) {
	t.Parallel()
	d := newOrderDesk(t, 3)
	f := d.open(t)
	api := trade.New(d.api, trade.Follow(f))
	var called, in atomic.Int32
	done := make(chan struct{})
	f.OnOrder(func(o trade.Order) {
		if in.Add(1) != 1 {
			t.Error("two calls at once")
		}
		defer in.Add(-1)
		switch {
		case called.Add(1) == 1:
			placed, err := api.Place(t.Context(), d.resting())
			if err != nil {
				t.Error(err)
			}
			if now, err := api.Cancel(t.Context(), placed); err != nil || now.State != trade.Cancelled {
				t.Errorf("%+v, %v", now, err)
			}
		case o.State == trade.Cancelled:
			f.Stats()
			f.OnOrder(func(trade.Order) {})
			must.Do(t, f.Close())
			must.Do(t, f.Close())
			close(done)
		}
	})
	must.Get(d.Place(t.Context(), d.resting()))(t)
	for _, err := range f.Updates(t.Context()) {
		if err != nil {
			if !errors.Is(err, feed.ErrClosed) {
				t.Error(err)
			}
			break
		}
	}
	<-done
}

// Every method is called by many at once, while connections break; nothing is left.
func TestOrders_methodsAtOnceLeaveNothing(t *testing.T) {
	d := newOrderDesk(t, 3)
	before := goleak.IgnoreCurrent()
	f := must.Get(feed.Orders(t.Context(), d.api))(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				for range f.Updates(ctx) {
					f.Live()
					if f.Stats().Frames%3 == 0 {
						break
					}
				}
			}
		})
		all.Go(func() {
			for range 20 {
				f.OnOrder(func(trade.Order) { f.Live() })
				d.between.cut()
				time.Sleep(20 * time.Millisecond)
			}
		})
		all.Go(func() {
			for ctx.Err() == nil {
				_, _ = d.Place(ctx, d.filling())
			}
		})
	}
	all.Wait()
	must.Do(t, f.Close())
	must.Do(t, f.Close())
	if err := lastOf(f); !errors.Is(err, feed.ErrClosed) {
		t.Error(err)
	}
	d.between.cut()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreAnyFunction("net/http.(*conn).serve"))
}

// lastOf reads a feed that is over to its end.
func lastOf(f *feed.OrderFeed) error {
	for _, err := range f.Updates(context.Background()) {
		if err != nil {
			return err
		}
	}
	return nil
}

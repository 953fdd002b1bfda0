package trade_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"

	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// What a change does not name stays, on the wire too.
func TestModify_sendsTheWholeOrder(t *testing.T) {
	t.Parallel()
	for _, generation := range []int{1, 3} {
		d := newDesk(t, generation)
		stop := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 10).Stop(rupees("3400"), rupees("3390")).Product(trade.MIS)))(t)
		changed := must.Get(d.Modify(t.Context(), trade.Order{Number: stop.Number}, trade.Change{Quantity: 20}))(t)
		if changed.Quantity != 20 || changed.Trigger != rupees("3400") || changed.Price != rupees("3390") || changed.State != trade.TriggerPending {
			t.Errorf("generation %d: %+v", generation, changed)
		}
		changed = must.Get(d.Modify(t.Context(), changed, trade.Change{Trigger: rupees("3405"), Price: rupees("3395")}))(t)
		if changed.Quantity != 20 || changed.Trigger != rupees("3405") || changed.Price != rupees("3395") {
			t.Errorf("generation %d: %+v", generation, changed)
		}
		limit := must.Get(d.Modify(t.Context(), changed, trade.Change{Type: trade.Limit, Price: rupees("3600")}))(t)
		if limit.PriceType != trade.Limit || limit.Trigger.Sign() != 0 || limit.Price != rupees("3600") || limit.State != trade.Open {
			t.Errorf("generation %d: a stop made a limit order: %+v", generation, limit)
		}
		market := must.Get(d.Modify(t.Context(), limit, trade.Change{Type: trade.Market}))(t)
		if done, err := d.Await(t.Context(), market, trade.Complete); err != nil || done.FilledQty != 20 {
			t.Errorf("generation %d: made a market order: %+v, %v", generation, done, err)
		}
		calls := d.sent.modifies.Load()
		if late, err := d.Modify(t.Context(), trade.Order{Number: stop.Number}, trade.Change{Quantity: 30}); !errors.Is(err, trade.ErrEnded) || late.State != trade.Complete || d.sent.modifies.Load() != calls {
			t.Errorf("generation %d: after its end: %+v, %v", generation, late, err)
		}
		if _, err := d.Modify(t.Context(), trade.Order{Number: "261130000009999"}, trade.Change{Quantity: 1}); err == nil || d.sent.modifies.Load() != calls {
			t.Errorf("generation %d: another's: %v", generation, err)
		}
	}
}

// An HTTP answer of Ok is not the exchange's.
func TestModify_refusedChangeIsAnError(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	unread := d.again()                                   // which has not read the master: the exchange checks
	for _, price := range []string{"9000", "3440.0003"} { // beyond the band, off the tick
		now, err := unread.Modify(t.Context(), order, trade.Change{Price: rupees(price)})
		refused, ok := errors.AsType[*trade.Rejection](err)
		if !ok || !refused.Change || now.State != trade.Open || now.Price != rupees("3450") || now.Quantity != 10 {
			t.Errorf("%s: %+v, %v", price, now, err)
		}
	}
	now := must.Get(d.Modify(t.Context(), order, trade.Change{Price: rupees("3440")}))(t)
	if now.Price != rupees("3440") || now.State != trade.Open {
		t.Errorf("a good change after them: %+v", now)
	}
	for name, change := range map[string]trade.Change{
		"a trigger": {Trigger: rupees("3440")}, "no quantity": {Quantity: -1}, "a stop without a trigger": {Type: trade.StopLimit},
		"a stop on the wrong side": {Type: trade.StopLimit, Trigger: rupees("3500")},
	} {
		calls := d.sent.modifies.Load()
		if _, err := d.Modify(t.Context(), order, change); !errors.Is(err, trade.ErrInvalid) || d.sent.modifies.Load() != calls {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// again is another client of the desk's session.
func (d *desk) again() *trade.Client {
	d.t.Helper()
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(d.srv.URL), ConsumerKey: d.srv.ConsumerKey, ConsumerSecret: d.srv.ConsumerSecret, Rate: -1, Clock: d.srv.Now,
		HTTPClient: &http.Client{Transport: &d.sent, Timeout: 30 * time.Second},
	}))(d.t)
	session, _ := d.api.Session()
	must.Do(d.t, c.Use(session))
	return trade.New(c)
}

// Where the master has been read, a change keeps to the rules that an order does, and names
// what would do; what it leaves as it is was good enough for the exchange.
func TestModify_checksAgainstTheInstrument(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	listed := must.Get(d.Instrument(t.Context(), trade.NSE, "TCS-EQ"))(t)
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	stop := must.Get(d.Place(t.Context(), trade.Sell(d.tcs, 10).Stop(rupees("3400"), rupees("3390")).Product(trade.MIS)))(t)
	for _, x := range []struct {
		order   trade.Order
		change  trade.Change
		field   string
		nearest []string
	}{
		{order, trade.Change{Price: rupees("3440.07")}, "price", []string{"3440.00", "3440.10"}},
		{order, trade.Change{Price: rupees("9000")}, "price", []string{listed.Upper.String()}},
		{stop, trade.Change{Trigger: rupees("3400.03")}, "trigger", []string{"3400.00", "3400.10"}},
		{stop, trade.Change{Trigger: rupees("3300")}, "trigger", []string{"3390.00"}},
		{order, trade.Change{Quantity: listed.Freeze}, "quantity", []string{fmt.Sprint(listed.Freeze - 1)}},
		{order, trade.Change{}, "change", nil},
	} {
		_, err := d.Modify(t.Context(), x.order, x.change)
		if bad, ok := errors.AsType[*trade.Invalid](err); !ok || bad.Field != x.field || !slices.Equal(bad.Nearest, x.nearest) {
			t.Errorf("%+v: %v", x.change, err)
		}
	}
	if d.sent.modifies.Load() != 0 {
		t.Errorf("%d changes were sent", d.sent.modifies.Load())
	}
	option := must.Get(d.Instruments(t.Context(), trade.NFO))(t).Find(trade.Search{Name: "NIFTY", Kind: trade.Call})[0]
	contract := must.Get(d.Place(t.Context(), trade.Buy(option, option.Lot).Limit(option.Tick).Product(trade.NRML)))(t)
	if contract = must.Get(d.Order(t.Context(), contract.Number))(t); contract.State == trade.Open {
		_, err := d.Modify(t.Context(), contract, trade.Change{Quantity: option.Lot + 1})
		if bad, ok := errors.AsType[*trade.Invalid](err); !ok || bad.Field != "quantity" || len(bad.Nearest) != 2 {
			t.Errorf("off the lot: %v", err)
		}
	}

	// Without it, no master is downloaded for a change.
	unread := d.again()
	calls := d.sent.all.Load()
	if now, err := unread.Modify(t.Context(), order, trade.Change{Price: rupees("3440.10")}); err != nil || now.Price != rupees("3440.10") {
		t.Errorf("%+v, %v", now, err)
	}
	if n := d.sent.all.Load() - calls; n > 5 {
		t.Errorf("%d calls", n)
	}
}

// A cancel, a change or an exit of an order that there is not says so, and does not speak of
// prices.
func TestCancel_ofAnOrderThatThereIsNotSaysSo(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 1)
	none := trade.Order{Number: "123"}
	bracket := trade.Order{Number: "123", Product: trade.Bracket}
	for name, call := range map[string]func() (trade.Order, error){
		"Cancel": func() (trade.Order, error) { return d.Cancel(t.Context(), none) },
		"Modify": func() (trade.Order, error) { return d.Modify(t.Context(), none, trade.Change{Quantity: 1}) },
		"Exit":   func() (trade.Order, error) { return d.Exit(t.Context(), bracket) },
	} {
		if _, err := call(); !errors.Is(err, trade.ErrNotFound) || errors.Is(err, trade.ErrRejected) || err.Error() != "trade: there is no order 123" {
			t.Errorf("%s: %v", name, err)
		}
	}
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	d.srv.Fail(t, "cancel", "1004", 1)
	if _, err := d.Cancel(t.Context(), order); !errors.Is(err, trade.ErrRejected) || !strings.HasPrefix(err.Error(), "trade: the cancel of order "+order.Number) || strings.Contains(err.Error(), "price") {
		t.Errorf("refused: %v", err)
	}
}

// Whatever happens to the answer of a change or a cancel, the order's state is returned,
// and the call is sent once.
func TestChange_lostAnswerIsLookedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	for _, fault := range []string{"lost", "truncated", "lost_502", "html_502", "close", "empty", "500"} {
		order := must.Get(d.Place(t.Context(), d.resting()))(t)
		d.srv.Fail(t, "modify", fault, 1)
		calls := d.sent.modifies.Load()
		now, err := d.Modify(t.Context(), order, trade.Change{Price: rupees("3440")})
		real := d.last()
		if d.sent.modifies.Load() != calls+1 || now.State != trade.Open || now.Price.String() != real.Price ||
			(err == nil) != (real.Price == "3440.00") || err != nil && !errors.Is(err, trade.ErrUnchanged) {
			t.Errorf("modify, %s: %+v, %v; the exchange has %+v", fault, now, err, real)
		}
		d.srv.Fail(t, "cancel", fault, 1)
		calls = d.sent.cancels.Load()
		now, err = d.Cancel(t.Context(), order)
		real = d.last()
		if d.sent.cancels.Load() != calls+1 || string(now.State) != real.State || (err == nil) != (real.State == "cancelled") || err != nil && !errors.Is(err, trade.ErrUnchanged) {
			t.Errorf("cancel, %s: %+v, %v; the exchange has %+v", fault, now, err, real)
		}
	}
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	d.srv.Fail(t, "orders", "500", 100)
	d.srv.Fail(t, "cancel", "lost", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	now, err := d.Cancel(ctx, order)
	if unknown, ok := errors.AsType[*trade.Unknown](err); !ok || unknown.Op != "cancel" || unknown.Order.Number != order.Number || now.State.Final() {
		t.Errorf("what cannot be seen: %+v, %v", now, err)
	}
}

// last is the newest order that the exchange has.
func (d *desk) last() neoapitest.Order {
	book := d.book()
	return book[len(book)-1]
}

func TestCancel_returnsTheOrdersState(t *testing.T) {
	t.Parallel()
	for _, generation := range []int{1, 3} {
		d := newDesk(t, generation)
		order := must.Get(d.Place(t.Context(), d.resting()))(t)
		if now, err := d.Cancel(t.Context(), order); err != nil || now.State != trade.Cancelled {
			t.Errorf("cancelled: %+v, %v", now, err)
		}
		if now, err := d.Cancel(t.Context(), order); err != nil || now.State != trade.Cancelled {
			t.Errorf("cancelled twice: %+v, %v", now, err)
		}
		filled := must.Get(d.Place(t.Context(), trade.Buy(d.tcs, 10).Market().Product(trade.MIS)))(t)
		must.Get(d.Await(t.Context(), filled, trade.Complete))(t)
		if now, err := d.Cancel(t.Context(), filled); err != nil || now.State != trade.Complete || now.FilledQty != 10 { // its state was not known
			t.Errorf("after the fill: %+v, %v", now, err)
		}
		order = must.Get(d.Place(t.Context(), d.resting()))(t)
		d.srv.Fail(t, "cancel", "1004", 1)
		now, err := d.Cancel(t.Context(), order)
		if refused, ok := errors.AsType[*trade.Rejection](err); !ok || !refused.Change || now.State != trade.Open {
			t.Errorf("refused: %+v, %v", now, err)
		}
		d.srv.Fail(t, "cancel", "address", 1)
		if now, err = d.Cancel(t.Context(), order); !errors.Is(err, trade.ErrAddress) || now.State != trade.Open {
			t.Errorf("from another address: %+v, %v", now, err)
		}
	}
}

// An order for the next day is cancelled as such, whether its state is known or not.
func TestCancel_ofAnOrderForTheNextDay(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	for _, known := range []bool{false, true} {
		order := must.Get(d.Place(t.Context(), d.resting().AfterMarket()))(t)
		if known {
			order = must.Get(d.Await(t.Context(), order, trade.AfterMarket))(t)
			if order.State.Final() {
				t.Error("it is final")
			}
			order = must.Get(d.Modify(t.Context(), order, trade.Change{Price: rupees("3440")}))(t)
			if order.State != trade.AfterMarketModified || order.Price != rupees("3440") || order.State.Final() {
				t.Errorf("changed: %+v", order)
			}
		}
		if now, err := d.Cancel(t.Context(), order); err != nil || now.State != trade.AfterMarketCancelled || !now.State.Final() {
			t.Errorf("%+v, %v", now, err)
		}
	}
}

func TestExit_endsACoverOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 1)
	var placed struct{ NOrdNo string }
	must.Do(t, d.api.Do(t.Context(), "POST", "/quick/order/rule/ms/place", map[string][]string{"jData": {
		`{"es":"nse_cm","ts":"TCS-EQ","tt":"B","qt":"10","pt":"L","pr":"3450","pc":"CO","rt":"DAY","am":"NO","tp":"3400"}`}}, &placed))
	order := must.Get(d.Order(t.Context(), placed.NOrdNo))(t)
	if now, err := d.Exit(t.Context(), order); err != nil || now.State != trade.Cancelled {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err := d.Exit(t.Context(), trade.Order{Number: placed.NOrdNo}); err != nil || now.State != trade.Cancelled { // 1021
		t.Errorf("again: %+v, %v", now, err)
	}
	limit := must.Get(d.Place(t.Context(), d.resting()))(t)
	if _, err := d.Exit(t.Context(), limit); !errors.Is(err, trade.ErrInvalid) {
		t.Errorf("of an ordinary order: %v", err)
	}
}

// A feed that a test speaks for.
type feed struct {
	update func(trade.Order)
	down   atomic.Bool
}

func (f *feed) OnOrder(update func(trade.Order)) { f.update = update }
func (f *feed) Live() bool                       { return !f.down.Load() }

// The feed's word counts while the book hangs, and before the answer is there.
func TestAwait_feedIsHeardWhileTheBookHangs(t *testing.T) {
	t.Parallel()
	var f feed
	d := newDesk(t, 3, trade.Follow(&f))
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	d.srv.Fail(t, "orders", "hang", 10)
	began := time.Now()
	time.AfterFunc(100*time.Millisecond, func() {
		f.update(trade.Order{Number: order.Number, State: trade.Complete, FilledQty: 10, Sequence: 1}) // as lean as real frames are
	})
	done, err := d.Await(t.Context(), order, trade.Complete)
	if err != nil || done.FilledQty != 10 || done.Symbol != "TCS-EQ" || done.Price != rupees("3450") || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %+v, %v", time.Since(began), done, err)
	}
	d.srv.Works()

	// The feed is faster than the answer.
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "place", Fault: "delayed", N: 1})
	time.AfterFunc(500*time.Millisecond, func() {
		number := d.last().Number
		f.update(trade.Order{Number: number, State: trade.Complete, FilledQty: 10})
		f.update(trade.Order{Number: number, State: trade.Open, FilledQty: 4}) // out of turn
	})
	order = must.Get(d.Place(t.Context(), d.resting()))(t)
	if order.State != trade.Complete || order.FilledQty != 10 {
		t.Errorf("placed: %+v", order)
	}
	d.srv.Fail(t, "orders", "hang", 1)
	reads := d.sent.reads.Load()
	if done, err := d.Await(t.Context(), order, trade.Complete); err != nil || done.FilledQty != 10 || d.sent.reads.Load() != reads {
		t.Errorf("%+v, %v", done, err)
	}
}

// Neither the feed nor the book is believed because it is the one or the other: the feed
// that is late or has stopped hides nothing, and the book that lags behind takes nothing back.
func TestAwait_believesWhatCameLast(t *testing.T) {
	t.Parallel()
	var f feed
	d := newDesk(t, 3, trade.Follow(&f))
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	old := must.Get(d.Order(t.Context(), order.Number))(t)
	f.update(old)
	d.market.SetPrice("nse_cm", "TCS-EQ", "3440.00")
	stop := make(chan struct{})
	var saying sync.WaitGroup
	saying.Go(func() { // it has been open for ever
		for {
			select {
			case <-stop:
				return
			default:
				f.update(old)
			}
		}
	})
	if now, err := d.Await(t.Context(), order, trade.Complete); err != nil || now.FilledQty != 10 {
		t.Errorf("a late feed: %+v, %v", now, err)
	}
	close(stop)
	saying.Wait()

	d.market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	order = must.Get(d.Place(t.Context(), d.resting()))(t)
	d.srv.FailOrder(t, neoapitest.OrderFault{Op: "orders", Fault: "book_lag", Times: 1000, N: 1000})
	time.AfterFunc(50*time.Millisecond, func() {
		done := old
		done.Number, done.State, done.FilledQty, done.Sequence = order.Number, trade.Complete, 10, old.Sequence+1e12
		f.update(done)
		done.State, done.FilledQty, done.Sequence = trade.Open, 0, done.Sequence+1 // and takes it back
		f.update(done)
	})
	now, err := d.Await(t.Context(), order, trade.Complete)
	if err != nil || now.FilledQty != 10 || now.State != trade.Complete {
		t.Errorf("a book that lags: %+v, %v", now, err)
	}
	if now, err = d.Await(t.Context(), order); err != nil || now.State != trade.Complete || now.FilledQty != 10 {
		t.Errorf("again: %+v, %v", now, err)
	}
}

// Beside a feed that is down Await asks as often as without one; beside one that is live
// and knows the order, not at once.
func TestAwait_paceIsThatOfTheFeed(t *testing.T) {
	t.Parallel()
	var f feed
	d := newDesk(t, 3, trade.Follow(&f))
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	f.update(must.Get(d.Order(t.Context(), order.Number))(t))
	before := d.sent.reads.Load()
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = d.Await(ctx, order, trade.Complete) })
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) { // haste makes 100 ms of the five seconds
		if n := d.sent.reads.Load() - before; n > 4 {
			t.Fatalf("it asked %d times beside a live feed", n)
		}
	}
	f.down.Store(true)
	before = d.sent.reads.Load()
	for d.sent.reads.Load() < before+20 { // hangs if it does not ask
		time.Sleep(time.Millisecond)
	}
	cancel()
	waiting.Wait()
}

// An end is an end, also for those who await something else; time-outs tell the state.
func TestAwait_saysHowAnOrderEnded(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	order := must.Get(d.Place(t.Context(), d.resting()))(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	now, err := d.Await(ctx, order, trade.Complete)
	if !errors.Is(err, context.DeadlineExceeded) || now.State != trade.Open || !strings.Contains(err.Error(), "open, 0 of 10 filled, L at 3450.00") {
		t.Errorf("%+v, %v", now, err)
	}
	must.Get(d.Cancel(t.Context(), order))(t)
	now, err = d.Await(t.Context(), order, trade.Complete)
	if !errors.Is(err, trade.ErrEnded) || errors.Is(err, trade.ErrRejected) || now.State != trade.Cancelled {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err = d.Await(t.Context(), order); err != nil || now.State != trade.Cancelled {
		t.Errorf("any end: %+v, %v", now, err)
	}

	// A market order that rests is a limit order, and says so.
	d.market.Halt("nse_cm", "TCS-EQ")
	market := must.Get(d.Place(t.Context(), trade.Buy(d.tcs, 10).Market().Product(trade.MIS)))(t)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	now, err = d.Await(ctx, market, trade.Complete)
	if err == nil || now.State != trade.Open || now.PriceType != trade.Limit || !now.Price.Known() || now.FilledQty != 0 {
		t.Errorf("it rests as %+v, %v", now, err)
	}
}

// An outage changes nothing of what is known: the states after it are the exchange's.
func TestAwait_outageLosesNoOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 3)
	var orders []trade.Order
	for range 6 {
		orders = append(orders, must.Get(d.Place(t.Context(), d.resting()))(t))
	}
	for _, fault := range []string{"close", "500", "503", "html_502", "rate_limit", "truncated", "empty"} {
		d.srv.Fail(t, "orders", fault, 5)
	}
	d.market.SetPrice("nse_cm", "TCS-EQ", "3440.00")
	for _, o := range orders {
		if now, err := d.Await(t.Context(), o, trade.Complete); err != nil || now.FilledQty != 10 {
			t.Errorf("%+v, %v", now, err)
		}
	}
	if book := d.book(); len(book) != 6 || slices.ContainsFunc(book, func(o neoapitest.Order) bool { return o.State != "complete" }) {
		t.Errorf("%+v", book)
	}
}

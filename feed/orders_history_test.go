package feed_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"neoapi/feed"
	"neoapi/neoapitest"
	"neoapi/trade"
)

var (
	histories = flag.Duration("feed.histories", 1500*time.Millisecond, "how long orders have random histories, under each kind of fault")
	soak      = flag.Duration("feed.soak", 2*time.Second, "how long the order feed is cut every five seconds, or ten times if that is less than a minute")
)

// Whatever the network does, a program is told what became of every order, as the
// exchange's log has it: complete, in order, once.
func TestOrders_toldAreThoseOfTheExchange(t *testing.T) {
	for _, fault := range []string{"none", "cuts", "stalls", "losses", "all"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, uint64(len(fault)), feed.Hasty(20))
			switch fault {
			case "losses":
				h.between.losing(oneInFive(rand.New(rand.NewPCG(7, 7))))
			case "all":
				h.between.losing(oneInFive(rand.New(rand.NewPCG(8, 8))))
			}
			pace := 30
			if *histories > 10*time.Second { // the histories of so many orders would not be read
				pace = 300
			}
			for end := time.Now().Add(*histories); time.Now().Before(end); {
				h.step()
				if n := h.random.IntN(40); n == 0 && (fault == "cuts" || fault == "all") {
					h.between.cut()
				} else if n == 1 && (fault == "stalls" || fault == "all") {
					h.between.stall(true)
					time.AfterFunc(time.Duration(h.random.IntN(300))*time.Millisecond, func() { h.between.stall(false) })
				}
				time.Sleep(time.Duration(h.random.IntN(pace)) * time.Millisecond)
			}
			h.check(fault == "losses" || fault == "all")
		})
	}
}

// A history is what a program does at random, and what it is told of it.
type history struct {
	*orderDesk
	t      *testing.T
	feed   *feed.OrderFeed
	told   *told
	random *rand.Rand
	open   []trade.Order
}

func newHistory(t *testing.T, seed uint64, opts ...feed.Option) *history {
	d := newOrderDesk(t, 3)
	f := d.open(t, opts...)
	h := &history{orderDesk: d, t: t, feed: f, told: listen(t.Context(), f), random: rand.New(rand.NewPCG(seed, 20))}
	return h
}

// price is a price near the market's.
func (h *history) price() trade.Rupees {
	return trade.MustRupees("3490").Add(trade.MustRupees("0.05").Times(int64(h.random.IntN(400))))
}

// step does something to an order.
func (h *history) step() {
	ctx := h.t.Context()
	if len(h.open) > 4 || len(h.open) > 0 && h.random.IntN(4) > 0 {
		i := h.random.IntN(len(h.open))
		o := h.open[i]
		switch h.random.IntN(6) {
		case 0:
			if o, _ = h.Cancel(ctx, o); o.State.Final() {
				h.open = slices.Delete(h.open, i, i+1)
			}
		case 1:
			_, _ = h.Modify(ctx, o, trade.Change{Quantity: int64(10 + h.random.IntN(50))})
		case 2:
			_, _ = h.Modify(ctx, o, trade.Change{Price: h.price()})
		case 3: // refused: it is outside the band
			_, _ = h.Modify(ctx, o, trade.Change{Quantity: 99_999_999})
		default: // a part, or all of it
			h.market.Trade("nse_cm", "TCS-EQ", o.Price.String(), int64(1+h.random.IntN(30)))
		}
		return
	}
	side := trade.Buy
	price := h.price()
	if h.random.IntN(2) == 0 {
		side = trade.Sell
	}
	ticket := side(h.tcs, int64(10+h.random.IntN(40))).Product(trade.MIS)
	switch h.random.IntN(5) {
	case 0:
		ticket = ticket.Market()
	case 1:
		ticket = ticket.Limit(trade.MustRupees("5000")) // outside the band
	default:
		ticket = ticket.Limit(price)
	}
	o, err := h.Place(ctx, ticket)
	if err == nil {
		if o, err = h.Order(ctx, o.Number); err == nil && !o.State.Final() {
			h.open = append(h.open, o)
		}
	}
}

// check compares what was told with the exchange's log.
func (h *history) check(losses bool) {
	h.t.Helper()
	h.between.losing(nil)
	h.between.stall(false)
	h.between.shut(false)
	book := h.srv.Orders(h.t, h.srv.Account.UCC)
	log := map[string][]neoapitest.Order{}
	for _, o := range book {
		log[o.Number] = h.srv.History(h.t, h.srv.Account.UCC, o.Number)
	}
	wrong := ""
	defer func() {
		if wrong != "" {
			h.told.mu.Lock()
			defer h.told.mu.Unlock()
			h.t.Logf("%s; %+v, live: %t; %v", wrong, h.feed.Stats(), h.feed.Live(), h.told.err)
		}
	}()
	until(h.t, "everything is told", func() bool {
		for number, rows := range log {
			last, row := h.told.last(number), rows[len(rows)-1]
			if string(last.State) != row.State || last.FilledQty != row.Filled || last.Quantity != row.Quantity {
				wrong = fmt.Sprintf("order %s is %+v, and %+v was told", number, row, last)
				return false
			}
		}
		wrong = ""
		return true
	})
	stats := h.feed.Stats()
	h.t.Logf("%d orders, %+v", len(book), stats)
	for number, rows := range log {
		compare(h.t, number, rows, h.told.of(number), losses, stats.Ahead > 0)
	}
	if h.told.count(isLost) < h.told.count(isGap) {
		h.t.Errorf("%d Lost, %d Gap", h.told.count(isLost), h.told.count(isGap))
	}
}

// compare compares what was told of an order with its rows. Where frames are lost on a
// connection that goes on a partial fill can be told with the next, and where the service
// was too slow any state can be left out, but for the last.
func compare(t testing.TB, number string, rows []neoapitest.Order, got []feed.OrderUpdate, losses, hasty bool) {
	t.Helper()
	story := func() (all string) {
		for _, u := range got {
			all += fmt.Sprintf("\n\ttold %s, %d of %d at %s, %q, recovered %t, %d", u.State, u.FilledQty, u.Quantity, u.Price, u.Reason, u.Recovered, u.Sequence)
		}
		for _, r := range rows {
			all += fmt.Sprintf("\n\tlog  %s, %d of %d at %s, %q, %d", r.State, r.Filled, r.Quantity, r.Price, r.Reason, r.Updated.UnixNano())
		}
		return all
	}
	var filled, before int64
	i := 0
	for _, row := range rows {
		// What a frame lacked of an order's first states is unknown.
		same := i < len(got) && string(got[i].State) == row.State && got[i].FilledQty == row.Filled && (got[i].Quantity == row.Quantity || got[i].Quantity == 0) &&
			(got[i].Price == trade.MustRupees(row.Price) || !got[i].Price.Known()) && (row.Reason == "" || got[i].Reason == row.Reason)
		partial := row.State == "open" && row.Filled > before
		before = row.Filled
		switch {
		case same:
			filled += got[i].Fill
			if filled != got[i].FilledQty {
				t.Errorf("%s: fills make %d, of %d", number, filled, got[i].FilledQty)
			}
			i++
		case !hasty && !(losses && partial):
			t.Errorf("%s: %s with %d of %d was not told, or not in its place:%s", number, row.State, row.Filled, row.Quantity, story())
			return
		}
	}
	if i != len(got) {
		t.Errorf("%s: told what the log does not have, or not in its order:%s", number, story())
	}
}

// For an hour, or as long as is asked for, connections are cut every five seconds: no
// update of an order is lost against the exchange's log, none told twice, and nothing grows
// but the day's orders.
func TestOrders_soakLosesNothingAndGrowsNot(t *testing.T) {
	every, pace, haste := 5*time.Second, 250*time.Millisecond, time.Duration(1)
	if *soak < time.Minute {
		every, pace, haste = *soak/10, 10*time.Millisecond, 20
	}
	h := newHistory(t, 5, feed.Hasty(haste))
	cut := time.NewTicker(every)
	defer cut.Stop()
	began := time.Now()
	early, goroutines, first := uint64(0), 0, 0
	for time.Since(began) < *soak {
		h.step()
		select {
		case <-cut.C:
			h.between.cut()
		case <-time.After(time.Duration(h.random.Int64N(int64(2 * pace)))):
		}
		if early == 0 && time.Since(began) > *soak/5 {
			early, goroutines, first = heap(), runtime.NumGoroutine(), len(h.srv.Orders(t, h.srv.Account.UCC))
		}
	}
	h.check(false)
	late, orders := heap(), len(h.srv.Orders(t, h.srv.Account.UCC))
	t.Logf("%d cuts; from %d to %d kB and from %d to %d goroutines, from %d to %d orders", int(time.Since(began)/every), early>>10, late>>10, goroutines, runtime.NumGoroutine(), first, orders)
	const each, slack = 32 << 10, 16 << 20 // what the service, the feed and this test keep of an order: some eight rows, each with its text
	if late > early+slack+uint64(orders-first)*each {
		t.Error("memory grows")
	}
	if runtime.NumGoroutine() > goroutines+20 {
		t.Error("goroutines are left")
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

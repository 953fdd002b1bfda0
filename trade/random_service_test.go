package trade_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"neoapi"
	"neoapi/neoapitest"
	"neoapi/trade"
)

var runs = flag.Int("trade.runs", 80, "how many orders of random fates are placed")

// What can go wrong with an order, and with the reports by which it is looked for. With
// "twice" it is the exchange that makes a second order, without a tag.
var (
	orderFates = []string{"", "", "lost", "truncated", "lost_502", "lost_hang", "html_502", "html_504", "close", "empty", "hang", "500", "502", "503", "504", "fault", "redirect",
		"delayed", "twice", "rejected", "rejected_later", "stuck", "parts", "duplicate_tag", "address", "address_changed", "1004", "1005", "1006", "1017", "1041", "5204", "100022", "900802"}
	bookFates = []string{"", "", "", "500", "503", "html_502", "close", "empty", "truncated", "missing_row", "book_lag", "rate_limit"}
)

// After any fate of an order, its answer and the reports, and after the program's death
// and restart, the exchange has the order once or not at all, and the program knows which.
func TestOrders_randomFatesDoubleNothingAndLoseNothing(t *testing.T) {
	const each = 50 // to a server, so that books stay short
	for first := 0; first < *runs; first += each {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, 1+2*(first/each%2))
			for n := first; n < min(first+each, *runs); n++ {
				f := &fate{desk: d, t: t, seed: n, random: rand.New(rand.NewPCG(uint64(n), 19))}
				f.live()
				if t.Failed() {
					return
				}
			}
		})
	}
}

// A fate is that of one order.
type fate struct {
	*desk
	t      *testing.T
	seed   int
	random *rand.Rand
	story  []string
}

func (f *fate) one(of []string) string { return of[f.random.IntN(len(of))] }

// strike makes one call fail.
func (f *fate) strike(op string, fault neoapitest.OrderFault) {
	if fault.Fault == "" {
		return
	}
	fault.Op = op
	f.story = append(f.story, fmt.Sprintf("%s: %s × %d", op, fault.Fault, max(1, fault.Times)))
	f.srv.FailOrder(f.t, fault)
}

func (f *fate) within() (context.Context, context.CancelFunc) {
	d := 200*time.Millisecond + time.Duration(f.random.IntN(800))*time.Millisecond
	if strings.Contains(strings.Join(f.story, " "), "hang") {
		d = 200 * time.Millisecond
	}
	return context.WithTimeout(f.t.Context(), d)
}

func (f *fate) live() {
	label := fmt.Sprintf("r%d", f.seed)
	ticket := f.resting()
	if f.random.IntN(3) == 0 {
		ticket = f.market10(trade.SideBuy, trade.MIS)
	}
	once := f.random.IntN(2) == 0
	if ticket = ticket.Tag(trade.Label(label)); once {
		ticket = ticket.Tag(trade.DayTag(label))
	}
	f.strike("place", neoapitest.OrderFault{Fault: f.one(orderFates), N: 1 + f.random.IntN(2)})
	f.strike("orders", neoapitest.OrderFault{Fault: f.one(bookFates), Times: 1 + f.random.IntN(3), N: 1 + f.random.IntN(5)})
	f.strike("history", neoapitest.OrderFault{Fault: f.one(bookFates[:7])})
	ctx, cancel := f.within()
	defer cancel()
	var order trade.Order
	var err error
	if once {
		if f.random.IntN(2) == 0 { // it dies
			f.story = append(f.story, "dies")
			short, die := context.WithTimeout(ctx, time.Duration(f.random.IntN(20_000))*time.Microsecond)
			_, _ = trade.New(f.api).PlaceOnce(short, ticket)
			die()
			if f.random.IntN(2) == 0 {
				f.srv.Works()
			}
		}
		for n := range 4 { // and starts again
			if order, err = trade.New(f.api).PlaceOnce(ctx, ticket); err == nil || errors.Is(err, trade.ErrRejected) && order.Number != "" {
				break
			}
			if f.story = append(f.story, err.Error()); n > 0 {
				f.srv.Works()
			}
			var again context.CancelFunc
			ctx, again = context.WithTimeout(f.t.Context(), 20*time.Second)
			defer again()
		}
	} else {
		order, err = f.Place(ctx, ticket)
	}
	f.srv.Works()
	f.judge(label, once, order, err)
}

// judge compares what the program knows with what the exchange has.
func (f *fate) judge(label string, once bool, order trade.Order, err error) {
	fail := func(format string, args ...any) {
		f.t.Errorf("seed %d, %s\n%s: %v", f.seed, strings.Join(f.story, "\n"), fmt.Sprintf(format, args...), err)
	}
	has := func() (all []neoapitest.Order) {
		for _, o := range f.book() {
			if strings.HasPrefix(o.Tag, label+"-") {
				all = append(all, o)
			}
		}
		return all
	}
	there := has()
	if len(there) > 1 {
		fail("the exchange has the order %d times", len(there))
		return
	}
	unknown, isUnknown := errors.AsType[*trade.Unknown](err)
	switch {
	case isUnknown: // the error says what to do
		found, gone := f.Find(f.t.Context(), unknown.Tag)
		if len(there) == 0 && !errors.Is(gone, trade.ErrNotFound) || len(there) == 1 && found.Number != there[0].Number {
			fail("found %+v, %v; the exchange has %+v", found, gone, there)
		}
		order = found
	case err == nil || errors.Is(err, trade.ErrRejected) && order.Number != "":
		if len(there) != 1 || there[0].Number != order.Number {
			fail("the program knows %s, the exchange %+v", order.Number, there)
			return
		}
	case len(there) != 0:
		fail("the program knows nothing of %+v", there)
		return
	case once && !errors.Is(err, trade.ErrNotPlaced) && !errors.Is(err, trade.ErrRejected):
		fail("the program was not told what became of it after four tries")
	}
	if len(there) == 0 {
		return
	}
	if order.State != trade.Rejected {
		f.change(order, fail)
	}
}

// change changes and cancels the order, with answers that get lost.
func (f *fate) change(order trade.Order, fail func(string, ...any)) {
	agree := func(op string, now trade.Order, err error) {
		for _, o := range f.book() {
			if o.Number != order.Number || errors.Is(err, trade.ErrUnknown) {
				continue
			}
			if _, ok := errors.AsType[*neoapi.Error](err); ok && !errors.Is(err, trade.ErrRejected) && !errors.Is(err, trade.ErrUnchanged) && !errors.Is(err, trade.ErrAddress) {
				continue // it was not read or sent
			}
			moving := o.State == "open pending" || o.State == "open" || o.State == "complete" || o.State == "rejected" // by itself
			if string(now.State) != o.State && !moving || now.State.Final() && string(now.State) != o.State {
				fail("%s: it is %s, the exchange has %s (%v)", op, now.State, o.State, err)
			}
		}
	}
	f.strike("modify", neoapitest.OrderFault{Fault: f.one(orderFates[:17])})
	ctx, cancel := f.within()
	now, err := f.Modify(ctx, order, trade.Change{Quantity: 12})
	cancel()
	agree("modify", now, err)
	f.srv.Works()
	f.strike("cancel", neoapitest.OrderFault{Fault: f.one(orderFates[:17])})
	ctx, cancel = f.within()
	now, err = f.Cancel(ctx, order)
	cancel()
	agree("cancel", now, err)
	f.srv.Works()
}

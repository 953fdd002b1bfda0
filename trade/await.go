package trade

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrEnded is what [Client.Await] returns for an order that has ended in another state
// than those awaited, and [Client.Modify] for one that has ended before its change.
var ErrEnded = errors.New("the order has ended")

// asks are the pauses between two reads of an order that is awaited; the last one repeats.
var asks = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Second}

// asksBesideFeed is the pause between two reads while a feed tells of orders.
const asksBesideFeed = 5 * time.Second

// Await waits until an order is in one of the states, or in any final one if none is
// given, and returns it. It returns at once, with an error, when the order ends in
// another state: a [*Rejection] if it was rejected, else [ErrEnded]. When ctx ends first
// the error says what the order is doing, and errors.Is finds ctx's. Give ctx a deadline:
// without one Await waits for as long as the order rests, and what is halted does not fill.
//
// The order that it returns with an error is the order as it was last seen, in its real
// state: a market order may rest as a limit order.
//
// Await asks for the order again and again, within the consumer's rate, or learns of it
// from a feed (see [Follow]), and then asks every five seconds while the feed is live: of
// the two, what the service recorded last holds, and an end stays one. A read that fails
// changes nothing: only what the service says of the order does.
func (t *Client) Await(ctx context.Context, order Order, states ...State) (Order, error) {
	if order.Number == "" {
		return order, noNumber("await")
	}
	return t.await(ctx, order, func(o Order) bool {
		return slices.Contains(states, o.State) || len(states) == 0 && o.State.Final()
	})
}

// await waits until done says so.
func (t *Client) await(ctx context.Context, order Order, done func(Order) bool) (Order, error) {
	news, stop := t.live.watch(order.Number)
	defer stop()
	order = t.newest(order)
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	type read struct {
		order Order
		err   error
	}
	reads, number := make(chan read, 1), order.Number
	ask := func() {
		go func() {
			o, err := t.Order(reading, number)
			reads <- read{o, err}
		}()
	}
	settled := func() bool { return done(order) || order.State.Final() }
	var failed error
	var asked time.Time // when the last read ended
	busy := false
	look := func() { // unless the feed does
		if busy || failed == nil && t.live.hears() && time.Since(asked) < asksBesideFeed/haste {
			return
		}
		busy = true
		ask()
	}
	if order.State != "" && t.live.hears() {
		asked = time.Now()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; !settled(); {
		select {
		case <-ctx.Done():
			return order, unsettled(order, failed, ctx.Err())
		case o := <-news:
			order = t.newest(order.Merge(o))
		case r := <-reads:
			busy, asked = false, time.Now()
			if failed = r.err; r.err == nil {
				order = t.newest(order.Merge(r.order))
			} else if hopeless(r.err) && !t.live.hears() {
				return order, unsettled(order, nil, r.err)
			}
			timer.Reset(asks[min(n, len(asks)-1)] / haste)
			n++
		case <-timer.C:
			if look(); !busy { // see whether the feed is still live
				timer.Reset(asks[len(asks)-1] / haste)
			}
		}
	}
	switch {
	case done(order):
		return order, nil
	case order.State == Rejected:
		return order, &Rejection{Order: order, Reason: order.Reason}
	}
	return order, errorf("order %s is %s: %w", order.Number, order.short(), ErrEnded)
}

func unsettled(order Order, failed, why error) error {
	if failed != nil {
		return errorf("order %s was last seen %s: %w (the last read failed: %w)", order.Number, order.short(), why, failed)
	}
	return errorf("order %s is %s: %w", order.Number, order.short(), why)
}

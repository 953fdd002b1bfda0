package trade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi"
	"neoapi/internal/tradewire"
)

// A Change is what [Client.Modify] changes of an order. What is not set stays as it is.
type Change struct {
	Quantity  int64     // the new total, with what has filled; 0 leaves it
	Price     Rupees    // unknown leaves it
	Trigger   Rupees    // unknown leaves it
	Type      PriceType // "" leaves it; Limit and Market drop the trigger, Market the price
	Validity  Validity  // "" leaves it
	Disclosed int64     // 0 leaves it
}

// ErrUnchanged is what [Client.Modify], [Client.Cancel] and [Client.Exit] return when
// their answer was lost and the order is as it was before: the call can be made again.
var ErrUnchanged = errors.New("the order is as it was")

// looksAtChange is how often an order is read, over six seconds, before it counts as
// unchanged by a call whose answer was lost.
const looksAtChange = 9

// settleWithin is how long a change or a cancel that the service has accepted may take
// until the order shows it.
const settleWithin = 10 * time.Second

// Modify changes an order that rests and returns the order as it then is. It sends the
// order in full, from its newest state, because the service clears what is left out. The
// change is sent once; if its answer is lost the order is read, for up to six seconds, to
// see what became of it. The error is [ErrUnchanged] if it is as before then, and an
// [*Unknown] if it could not be read.
//
// The service accepts a change before it checks it. A change that is then refused is a
// [*Rejection] whose Change is true, and the order rests as it was. If the order has ended
// before the change could be made the error is an [ErrEnded], and nothing is sent if that
// is known before.
//
// A change that cannot be made is an [*Invalid], and nothing is sent: one that changes
// nothing, whose prices do not belong to the type of the order, or, if this client has read
// the instrument's scrip master today, whose quantity or prices break a rule of the
// instrument. Modify downloads no master for that.
func (t *Client) Modify(ctx context.Context, order Order, change Change) (Order, error) {
	if change == (Change{}) {
		return order, &Invalid{Field: "change", Problem: "is missing: say what of the order to change"}
	}
	now, err := t.current(ctx, order)
	if err != nil {
		return order, err
	}
	if now.State.Final() {
		return now, errorf("modify: order %s is %s: %w", now.Number, now.short(), ErrEnded)
	}
	if missesAny(now.Unread, "qty", "fldQty", "dscQty", "prc", "trgPrc", "prcTp", "vldt") {
		return now, errorf("modify: nothing was sent, because the report of order %s cannot be read: %s", now.Number, now.Unread)
	}
	want := change.apply(now)
	if bad := want.check(t.rules(now, change)); bad != nil {
		return now, bad
	}
	_, err = t.submit(ctx, tradewire.PathModify, want.modifying(t.api.Generation(), afterMarket(now)))
	changed := func(o Order) bool {
		switch {
		case o.Quantity != want.Quantity || o.Validity.sent() != want.Validity.sent(), change.Disclosed != 0 && o.DisclosedQty != want.DisclosedQty:
			return false
		case want.PriceType == Market: // the exchange makes a limit order of it, at a price of its own
			return o.Sequence > now.Sequence && o.PriceType != StopLimit
		}
		return o.PriceType == want.PriceType && o.Price.same(want.Price) && o.Trigger.same(want.Trigger)
	}
	return t.settle(ctx, "modify", now, err, changed)
}

// apply returns the order with a change.
func (c Change) apply(o Order) Order {
	if c.Type != "" {
		o.PriceType = c.Type
		if c.Type == Limit || c.Type == Market {
			o.Trigger = Rupees{}
		}
		if c.Type == Market || c.Type == StopMarket {
			o.Price = Rupees{}
		}
	}
	if c.Quantity != 0 {
		o.Quantity = c.Quantity
	}
	if c.Price.Known() {
		o.Price = c.Price
	}
	if c.Trigger.Known() {
		o.Trigger = c.Trigger
	}
	if c.Validity != "" {
		o.Validity = c.Validity
	}
	if c.Disclosed != 0 {
		o.DisclosedQty = c.Disclosed
	}
	return o
}

// sent is the validity as orders have it: BSE's reports call DAY EOS, the end of the
// session.
func (v Validity) sent() Validity {
	if v == "" || v == "EOS" {
		return Day
	}
	return v
}

// missesAny reports whether a list of keys that could not be read has one of names.
func missesAny(unread string, names ...string) bool {
	return unread != "" && slices.ContainsFunc(strings.Split(unread, ","), func(key string) bool { return slices.Contains(names, key) })
}

// same reports whether two prices are the same to the service, which has no absent one.
func (r Rupees) same(s Rupees) bool { return r.value() == s.value() }

// rules returns an order's instrument with what a change of it has to keep to: what of the
// order stays as it is was good enough for the exchange. A report has neither tick nor
// band; without the day's master they are the exchange's to check.
func (t *Client) rules(o Order, change Change) Instrument {
	i := Instrument{Segment: o.Segment, Symbol: o.Symbol, Kind: Share}
	listed, ok := t.atHand(o.Segment, o.Token, o.Symbol)
	if ok && change.Quantity != 0 {
		i.Lot, i.Freeze = listed.Lot, listed.Freeze
	}
	if ok && (change.Price.Known() || change.Trigger.Known()) {
		i.Tick, i.Lower, i.Upper = listed.Tick, listed.Lower, listed.Upper
	}
	return i
}

// check checks an order as a change makes it.
func (o *Order) check(i Instrument) *Invalid {
	t := Ticket{
		instrument: i, side: o.Side, quantity: o.Quantity, kind: o.PriceType,
		price: o.Price, trigger: o.Trigger, product: o.Product, validity: o.Validity, disclosed: o.DisclosedQty, anyway: true,
	}
	if o.Quantity <= o.FilledQty {
		return &Invalid{Field: "quantity", Value: fmt.Sprint(o.Quantity), Problem: fmt.Sprintf("is the new total, and %d of it have filled already", o.FilledQty)}
	}
	for _, check := range []func() *Invalid{t.checkQuantity, t.checkKind, t.checkPrices, t.checkValidity, t.checkDisclosed} {
		if bad := check(); bad != nil {
			return bad
		}
	}
	return nil
}

// current reads an order, which need only have its number.
func (t *Client) current(ctx context.Context, order Order) (Order, error) {
	if order.Number == "" {
		return order, noNumber("modify")
	}
	now, err := t.Order(ctx, order.Number)
	if err != nil {
		return order, err
	}
	return t.newest(order.Merge(now)), nil
}

// afterMarket reports whether an order waits for the next trading day.
func afterMarket(o Order) bool {
	return o.State == AfterMarket || o.State == AfterMarketModified || strings.Contains(string(o.State), "after market")
}

// pending reports whether a change or a cancel is under way.
func pending(s State) bool {
	switch s {
	case ModifyValidating, ModifyPending, Modified, NotModified, CancelPending, NotCancelled:
		return true
	}
	return false
}

// Cancel cancels an order and returns it as it then is. An order that has filled or ended
// before the cancel came is no error: its state says so. If the exchange refuses the
// cancel the error is a [*Rejection] whose Change is true, and the order still rests. If
// the answer is lost the errors are those of [Client.Modify].
func (t *Client) Cancel(ctx context.Context, order Order) (Order, error) {
	if order.Number == "" {
		return order, noNumber("cancel")
	}
	if order = t.newest(order); order.State.Final() {
		return order, nil
	}
	after := afterMarket(order)
	_, err := t.submit(ctx, tradewire.PathCancel, ending(order.Number, after))
	if e, ok := errors.AsType[*neoapi.Error](err); ok && e.Code == codeNotAMO && judge(err) == denied {
		_, err = t.submit(ctx, tradewire.PathCancel, ending(order.Number, !after)) // the first one was refused for this alone
	}
	return t.settle(ctx, "cancel", order, err, nil)
}

// Exit ends a cover or bracket order: what rests of it is cancelled, and what has filled
// is closed. It returns the order as it then is. The service has discontinued these
// orders; where it does not offer the call the error is [ErrNotOffered].
func (t *Client) Exit(ctx context.Context, order Order) (Order, error) {
	if order.Product == "" {
		now, err := t.current(ctx, order)
		if err != nil {
			return order, err
		}
		order = now
	}
	path := tradewire.PathExitCover
	switch order.Product {
	case Cover:
	case Bracket:
		path = tradewire.PathExitBracket
	default:
		return order, &Invalid{Field: "product", Value: string(order.Product), Problem: "has no exit: cancel the order, or place the opposite one", Nearest: []string{string(Cover), string(Bracket)}}
	}
	_, err := t.submit(ctx, path, ending(order.Number, afterMarket(order)))
	if notOffered(err) {
		return order, errorf("exit: %w: %w", ErrNotOffered, err)
	}
	if err == nil { // what has filled stays filled, and its leg is closed
		return t.current(ctx, order)
	}
	return t.settle(ctx, "exit", order, err, nil)
}

// notOffered reports whether the service has nothing at a call's address.
func notOffered(err error) bool {
	e, ok := errors.AsType[*neoapi.Error](err)
	return ok && e.Status == 404
}

// wasRefused reports whether a change of an order was refused after a state of it. The
// reason in a report can be that of an older change.
func (t *Client) wasRefused(ctx context.Context, order Order, refused State, since int64) bool {
	rows, _ := t.History(ctx, order.Number) // without it nobody has said so
	return slices.ContainsFunc(rows, func(row Order) bool { return row.State == refused && row.Sequence > since })
}

// settle reads an order after a change of it was sent, with err for an answer, until the
// order shows what became of the change. changed reports whether the order is what the
// change makes of it; nil means that it shall have ended.
func (t *Client) settle(ctx context.Context, op string, before Order, err error, changed func(Order) bool) (Order, error) {
	cancels, refused := changed == nil, NotModified
	if cancels {
		refused = NotCancelled
	}
	verdict := judge(err)
	if verdict == unsent {
		return before, err
	}
	if e, ok := errors.AsType[*neoapi.Error](err); ok && verdict == denied && e.Code != codeFinal && e.Code != codeExecuted {
		order := before
		now, failed := t.current(ctx, before)
		if failed == nil { // which also knows of an end
			if order = now; cancels && order.State.Final() {
				return order, nil
			}
		}
		err = refusal(err, order, true)
		if r, ok := errors.AsType[*Rejection](err); ok && errors.Is(failed, ErrNotFound) {
			return before, failed
		} else if ok {
			r.cancel = cancels
		}
		return order, err
	}
	if verdict == duplicate {
		verdict = lost
	}

	reading, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	order, last, looks := before, error(nil), 0
	for n := 0; ; n++ {
		now, failed := t.current(reading, order)
		if last = failed; failed == nil {
			order = now
			looks++
			switch {
			case order.State.Final():
				if cancels || changed(order) {
					return order, nil
				}
				return order, errorf("%s: order %s is %s: %w", op, order.Number, order.short(), ErrEnded)
			case pending(order.State):
			case !cancels && changed(order):
				return order, nil
			case order.Reason != "" && order.Sequence > before.Sequence && t.wasRefused(reading, order, refused, before.Sequence):
				return order, &Rejection{Order: order, Reason: order.Reason, Change: true, cancel: cancels}
			case verdict == denied: // the service knows better than the book
			case verdict == lost && looks >= 3 && n >= looksAtChange:
				return order, errorf("%s of order %s, whose answer was lost (%w): %w: %s", op, order.Number, resolved(err), ErrUnchanged, order.short())
			}
		} else if hopeless(failed) {
			break
		}
		if t.pause(reading, asks[min(n, len(asks)-1)]) != nil {
			break
		}
	}
	return order, &Unknown{Op: op, Order: order, Cause: errors.Join(err, last, context.Cause(reading))}
}

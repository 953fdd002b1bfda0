package trade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"neoapi"
)

// looks are the pauses before each look for an order whose answer was lost: the book is
// read five times in seven seconds. See [Client.Place] for the rule that they make.
var looks = []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 3500 * time.Millisecond}

// A search is for an order by the tag that was sent.
type search struct {
	tag    string
	ticket *Ticket         // what it says about the order, or nil if that is not known
	others map[string]bool // orders whose history has another tag
}

// may reports whether an order whose tag was replaced can be the one.
func (s *search) may(o *Order) bool {
	if !replaced(o.Tag, o.Number) || s.others[o.Number] {
		return false
	}
	t := s.ticket
	return t == nil || t.describes(o)
}

// find looks for the order once: in the book, and in the histories of those orders whose
// tag a change has replaced, the newest first. Without an error, found says for certain
// whether the service has the order now.
func (t *Client) find(ctx context.Context, s *search) (order Order, found bool, err error) {
	book, err := t.Orders(ctx)
	if err != nil {
		return Order{}, false, err
	}
	for _, o := range book {
		if carries(o.Tag, s.tag) {
			o.Tag = s.tag
			return t.newest(o), true, nil
		}
	}
	slices.SortStableFunc(book, func(a, b Order) int { return cmp.Compare(b.Number, a.Number) })
	for _, o := range book {
		if !s.may(&o) {
			continue
		}
		tag, known, fail := t.firstTag(ctx, o.Number)
		switch {
		case fail != nil:
			err = fail
		case known && tag == s.tag:
			o.Tag = s.tag
			return t.newest(o), true, nil
		case known:
			if s.others == nil {
				s.others = map[string]bool{}
			}
			s.others[o.Number] = true
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Order{}, false, err
}

// firstTag returns the tag that an order was sent with, by its history. It is not known
// if no row of the history has one.
func (t *Client) firstTag(ctx context.Context, number string) (tag string, known bool, err error) {
	rows, err := t.History(ctx, number)
	if err != nil {
		return "", false, err
	}
	for _, row := range rows {
		if row.Tag != "" && !replaced(row.Tag, number) {
			return original(row.Tag), true, nil
		}
	}
	return "", false, nil
}

// look looks for an order whose answer was lost because of cause, again and again for
// seven seconds, and then among the trades, or until the context is done. arrived says that the service is known to
// have got it.
func (t *Client) look(ctx context.Context, s *search, cause error, arrived bool) (Order, error) {
	unknown := func(why error) error { return &Unknown{Op: "place", Tag: s.tag, Cause: why} }
	reads := 0
	for _, pause := range looks {
		if err := t.pause(ctx, pause); err != nil {
			return Order{}, unknown(errors.Join(cause, err))
		}
		order, found, err := t.find(ctx, s)
		switch {
		case found:
			return order, stands(order)
		case err == nil:
			reads++
		case hopeless(err):
			return Order{}, unknown(errors.Join(cause, err))
		default:
			reads = 0 // the last looks have to succeed
		}
	}
	if arrived || reads < 2 {
		return Order{}, unknown(cause)
	}
	fills, err := t.Trades(ctx) // a book that lags behind can lack an order that has filled
	if err != nil {
		return Order{}, unknown(errors.Join(cause, err))
	}
	for _, f := range fills {
		if carries(f.Tag, s.tag) {
			return t.newest(Order{Number: f.OrderNumber, Tag: s.tag, Segment: f.Segment, Token: f.Token, Symbol: f.Symbol, Side: f.Side, Product: f.Product}), nil
		}
	}
	return Order{}, &notPlaced{tag: s.tag, cause: cause}
}

// hopeless reports whether the next read fails like this one.
func hopeless(err error) bool {
	return errors.Is(err, neoapi.ErrSessionEnded) || errors.Is(err, neoapi.ErrNotLoggedIn) || errors.Is(err, neoapi.ErrAccessToken)
}

// stands returns the error for an order that was found rejected, or nil.
func stands(o Order) error {
	if o.State == Rejected {
		return &Rejection{Order: o, Reason: o.Reason}
	}
	return nil
}

// notPlaced is an [ErrNotPlaced].
type notPlaced struct {
	tag   string
	cause error
}

func (e *notPlaced) Error() string {
	return fmt.Sprintf("trade: place: the order was not placed: its answer was lost (%v), and no order has its tag %s; it can be placed again", e.cause, e.tag)
}

func (e *notPlaced) Is(target error) bool { return target == ErrNotPlaced }
func (e *notPlaced) Unwrap() error        { return e.cause }

// pause waits.
func (t *Client) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d / haste)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// haste divides pauses, for tests that run thousands of them.
var haste time.Duration = 1

// Find returns today's order that was sent with a tag, also after a change or a cancel
// has replaced the tag, or [ErrNotFound]. tag is that of an [*Unknown] or of an [Order].
func (t *Client) Find(ctx context.Context, tag string) (Order, error) {
	order, found, err := t.find(ctx, &search{tag: tag})
	switch {
	case err != nil && !found:
		return Order{}, err
	case !found:
		return Order{}, fmt.Errorf("trade: no order has the tag %s: %w", clip(tag), ErrNotFound)
	}
	return order, nil
}

// Open returns today's orders whose label begins with prefix and that are still open, the
// oldest first: what a program that starts again has to know. Their tags are those that
// were sent, also where a change has replaced them. "" returns every open order.
func (t *Client) Open(ctx context.Context, prefix string) ([]Order, error) {
	book, err := t.labelled(ctx, prefix)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(book, func(o Order) bool { return o.State.Final() }), nil
}

// labelled returns the orders of today whose tag, as it was sent, begins with prefix, the
// oldest first.
func (t *Client) labelled(ctx context.Context, prefix string) ([]Order, error) {
	book, err := t.Orders(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(book, func(a, b Order) int { return cmp.Compare(a.Number, b.Number) })
	var mine []Order
	for _, o := range book {
		tag := original(o.Tag)
		if replaced(o.Tag, o.Number) && prefix != "" {
			first, known, err := t.firstTag(ctx, o.Number)
			if err != nil {
				return nil, fmt.Errorf("trade: the history of order %s, which has its first tag: %w", o.Number, err)
			}
			if !known {
				continue
			}
			tag = first
		}
		if len(tag) >= len(prefix) && tag[:len(prefix)] == prefix {
			o.Tag = tag
			mine = append(mine, t.newest(o))
		}
	}
	return mine, nil
}

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

// may reports whether an order that does not show the tag that it was sent with can be the
// one.
func (s *search) may(o *Order) bool {
	if !hides(o) || s.others[o.Number] {
		return false
	}
	t := s.ticket
	return t == nil || t.describes(o)
}

// hides reports whether a row does not have the tag that its order was sent with: a change
// has replaced it, or it is absent or cannot be read.
func hides(o *Order) bool { return o.Tag == "" || replaced(o.Tag, o.Number) }

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
			if o.Number == "" {
				return Order{}, false, errorf("the order is in the book, and its number cannot be read")
			}
			o.Tag = s.tag
			return t.newest(o), true, nil
		}
	}
	slices.SortStableFunc(book, func(a, b Order) int { return cmp.Compare(b.Number, a.Number) })
	for _, o := range book {
		if !s.may(&o) {
			continue
		}
		tag, fail := t.firstTag(ctx, o)
		switch {
		case fail != nil:
			err = fail
		case tag == s.tag:
			o.Tag = s.tag
			return t.newest(o), true, nil
		default:
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

// firstTag returns the tag that an order was sent with, by its history: "" for an order
// that the service shows without one everywhere. It fails if the history does not say.
func (t *Client) firstTag(ctx context.Context, o Order) (tag string, err error) {
	rows, err := t.History(ctx, o.Number)
	if err != nil {
		return "", errorf("the history of order %s, which has the tag that it was sent with: %w", clip(o.Number), err)
	}
	hidden := len(rows) == 0 || replaced(o.Tag, o.Number) || missesAny(o.Unread, "GuiOrdId")
	for i := range rows {
		if row := &rows[i]; !hides(row) {
			return original(row.Tag), nil
		} else if row.Tag != "" || missesAny(row.Unread, "GuiOrdId") {
			hidden = true
		}
	}
	if hidden {
		return "", errorf("neither the book nor its history says with which tag order %s was sent", clip(o.Number))
	}
	return "", nil
}

// look looks for an order whose answer was lost because of cause, again and again for
// seven seconds, and then among the trades, or until the context is done. arrived says that the service is known to
// have got it.
func (t *Client) look(ctx context.Context, s *search, cause error, arrived bool) (Order, error) {
	unknown := func(why error) error { return &Unknown{Op: "place", Tag: s.tag, Cause: why} }
	reads := 0
	var last error
	for _, pause := range looks {
		if err := t.pause(ctx, pause); err != nil {
			return Order{}, unknown(errors.Join(cause, err))
		}
		order, found, err := t.find(ctx, s)
		last = err
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
		return Order{}, unknown(errors.Join(cause, last))
	}
	fills, err := t.Trades(ctx) // a book that lags behind can lack an order that has filled
	if err != nil {
		return Order{}, unknown(errors.Join(cause, err))
	}
	for _, f := range fills {
		switch found := carries(f.Tag, s.tag); {
		case found && f.OrderNumber == "", missesAny(f.Unread, "GuiOrdId"):
			return Order{}, unknown(errors.Join(cause, errors.New("a trade can be its fill, and cannot be read")))
		case found:
			return t.newest(Order{Number: f.OrderNumber, Tag: s.tag, Segment: f.Segment, Token: f.Token, Symbol: f.Symbol, Side: f.Side, Product: f.Product}), nil
		}
	}
	return Order{}, &notPlaced{tag: s.tag, cause: resolved(cause)}
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
	return withName(fmt.Sprintf("place: the order was not placed: its answer was lost (%v), and no order has its tag %s; it can be placed again", e.cause, e.tag))
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
		return Order{}, noSuch(nil, "no order of today has the tag %s", clip(tag))
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
		if hides(&o) && prefix != "" {
			if tag, err = t.firstTag(ctx, o); err != nil {
				return nil, err
			}
		}
		if len(tag) >= len(prefix) && tag[:len(prefix)] == prefix {
			o.Tag = tag
			mine = append(mine, t.newest(o))
		}
	}
	return mine, nil
}

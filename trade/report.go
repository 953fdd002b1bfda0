package trade

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"neoapi"
	"neoapi/internal/tradewire"
)

// Orders returns the day's orders, in the service's order, which is not that of time. No
// orders are an empty list; anything but a list is an error.
func (t *Client) Orders(ctx context.Context, opts ...neoapi.CallOption) ([]Order, error) {
	return list(ctx, t, tradewire.PathOrders, orderLayout, decodeOrder, opts)
}

// Order returns one order by its number, or [ErrNotFound].
func (t *Client) Order(ctx context.Context, number string, opts ...neoapi.CallOption) (Order, error) {
	if number == "" {
		return Order{}, noNumber("order")
	}
	all, err := t.oneOrder(ctx, number, opts)
	if err != nil {
		return Order{}, noOrder(number, err)
	}
	for _, o := range all {
		if o.Number == number {
			return o, nil
		}
	}
	return Order{}, noSuch(nil, "there is no order %s", clip(number))
}

// noNumber is the error of a call about an order that has no number.
func noNumber(op string) error { return noSuch(nil, "%s: the order has no number", op) }

// noOrder adds ErrNotFound to the refusal of a number that is not that of an order.
func noOrder(number string, err error) error {
	if fail, ok := errors.AsType[*neoapi.Error](err); ok && fail.Code == "1009" {
		return noSuch(err, "there is no order %s", clip(number))
	}
	return err
}

// oneOrder returns a list that contains an order, if it exists: by its own address, or
// the whole book where the service has no such address.
func (t *Client) oneOrder(ctx context.Context, number string, opts []neoapi.CallOption) ([]Order, error) {
	if t.noOrder.Load() {
		return t.Orders(ctx, opts...)
	}
	all, err := list(ctx, t, tradewire.PathOrders+"/"+url.PathEscape(number), orderLayout, decodeOrder, opts)
	if !notThere(err) {
		return all, err
	}
	if all, err = t.Orders(ctx, opts...); err == nil {
		t.noOrder.Store(true)
	}
	return all, err
}

// notThere reports whether the service has nothing at an address.
func notThere(err error) bool {
	fail, ok := errors.AsType[*neoapi.Error](err)
	return ok && fail.Status == http.StatusNotFound
}

// Trades returns the day's fills, in the service's order.
func (t *Client) Trades(ctx context.Context, opts ...neoapi.CallOption) ([]Trade, error) {
	return list(ctx, t, tradewire.PathTrades, tradeLayout, decodeTrade, opts)
}

// Positions returns the day's positions, those that were closed today too. It asks for the
// new report, which has last prices; where the service does not have that, for the old one
// from then on.
func (t *Client) Positions(ctx context.Context, opts ...neoapi.CallOption) ([]Position, error) {
	if !t.oldPositions.Load() {
		all, err := list(ctx, t, tradewire.PathPositionsNew, positionLayout, decodePosition, opts)
		if !notThere(err) {
			return all, err
		}
	}
	all, err := list(ctx, t, tradewire.PathPositions, positionLayout, decodePosition, opts)
	if err == nil {
		t.oldPositions.Store(true)
	}
	return all, err
}

// Holdings returns the shares that the account owns.
func (t *Client) Holdings(ctx context.Context, opts ...neoapi.CallOption) ([]Holding, error) {
	return list(ctx, t, tradewire.PathHoldings, holdingLayout, decodeHolding, opts)
}

// Limits returns the account's money, for all segments together.
func (t *Client) Limits(ctx context.Context, opts ...neoapi.CallOption) (Limits, error) {
	answer, err := t.post(ctx, tradewire.PathLimits, `{"seg":"ALL","exch":"ALL","prod":"ALL"}`, opts)
	if err != nil {
		return Limits{}, err
	}
	l, err := single(tradewire.PathLimits, answer, limitsLayout, decodeLimits)
	if err == nil && !l.Available.Known() && !l.Cash.Known() {
		err = unreadable(tradewire.PathLimits, errors.New("the answer has no limits"))
	}
	if err != nil {
		return Limits{}, err
	}
	return l, nil
}

// list calls for a report and decodes its rows.
func list[T any](ctx context.Context, t *Client, path string, l *layout, decode func(*row, *T), opts []neoapi.CallOption) ([]T, error) {
	answer, err := t.get(ctx, path, nil, opts)
	if err != nil {
		return nil, err
	}
	return rows(path, answer, l, decode)
}

// rows decodes a list. An answer that is missing is the service's word that there are no
// rows (code 5203): neoapi returns it for nothing else.
func rows[T any](path string, answer json.RawMessage, l *layout, decode func(*row, *T)) ([]T, error) {
	if answer == nil {
		return []T{}, nil
	}
	text := string(answer)
	all := make([]T, 0, min(strings.Count(text, "{"), len(text)/leastRow+1))
	err := scan(text, l, func(r *row) {
		all = slices.Grow(all, 1)
		all = all[:len(all)+1]
		decode(r, &all[len(all)-1])
	})
	if err != nil {
		return nil, unreadable(path, err)
	}
	return all, nil
}

// leastRow is shorter than any row of the service, in bytes.
const leastRow = 256

// single decodes an answer that is one object.
func single[T any](path string, answer json.RawMessage, l *layout, decode func(*row, *T)) (one T, err error) {
	if err := scan("["+string(answer)+"]", l, func(r *row) { decode(r, &one) }); err != nil {
		return one, unreadable(path, err)
	}
	return one, nil
}

// unreadable is the error of an answer that is not what a call promises.
func unreadable(path string, err error) error {
	return &neoapi.Error{
		Op: string(tradewire.OpOf(path)), Status: http.StatusOK, Category: neoapi.ErrBadAnswer, Retry: neoapi.RetryLater,
		Message: "the answer cannot be read: " + err.Error(), Err: err,
	}
}

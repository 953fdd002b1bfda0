package trade

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotReached is the error of a leg that was not placed because one before it failed.
var ErrNotReached = errors.New("not placed, because the basket stopped before")

// Basket places orders leg after leg: those that buy first, in their order, then those
// that sell. Each is awaited until it is complete before the next one is placed, so that
// nothing is sold before what protects it is there. It stops at the first leg that is not
// complete when ctx ends, or that fails.
//
// There is one result a leg, in the order in which they were given. A leg whose Order has a
// Number stands at the exchange, as its State says; one that was not reached has
// [ErrNotReached]. Nothing is undone: the error says which legs stand. If a leg is invalid
// nothing is placed. A basket whose legs have a [DayTag] each can be placed again, also by a
// program that starts again: it goes on with the legs that are missing, and a leg that is
// there at another price counts, as the Order in its result says.
//
// Each leg is awaited as long as ctx allows: give it a deadline, because what is halted
// does not fill.
func (t *Client) Basket(ctx context.Context, legs ...Ticket) ([]Result, error) {
	results := make([]Result, len(legs))
	var invalid []error
	for i, leg := range legs {
		results[i] = Result{Ticket: leg, Err: t.Check(ctx, leg)}
		if results[i].Err != nil {
			invalid = append(invalid, errorf("leg %d: %w", i+1, results[i].Err))
		}
	}
	if len(invalid) > 0 {
		for i := range results {
			if results[i].Err == nil {
				results[i].Err = ErrNotReached
			}
		}
		return results, errors.Join(invalid...)
	}
	var failed error
	for _, side := range []Side{SideBuy, SideSell} {
		for i, leg := range legs {
			r := &results[i]
			switch {
			case leg.side != side:
			case failed != nil:
				r.Err = ErrNotReached
			default:
				if r.Order, r.Err = t.complete(ctx, leg); r.Err != nil {
					failed = errorf("basket: leg %d: %w", i+1, r.Err)
				}
			}
		}
	}
	if failed == nil {
		return results, nil
	}
	return results, errorf("%w; %s", failed, standing(results))
}

// standing says which legs of a basket stand.
func standing(results []Result) string {
	line := ""
	for i, r := range results {
		if r.Order.Number == "" || r.Order.State.Final() && r.Order.FilledQty == 0 {
			continue
		}
		if line != "" {
			line += ", "
		}
		line += fmt.Sprintf("leg %d (order %s: %s)", i+1, r.Order.Number, r.Order.short())
	}
	if line == "" {
		return "no leg stands"
	}
	return "what stands: " + line
}

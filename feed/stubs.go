package feed

import (
	"context"
	"errors"
	"iter"

	"neoapi"
	"neoapi/trade"
)

// This file has what is not built yet. Who builds a thing deletes it here.

var errNotBuilt = errors.New("not built yet")

// orders.go ----------------------------------------------------------------------------

// An OrderFeed is a live feed of an account's orders and positions.
type OrderFeed struct{}

// Orders opens a feed that lives until Close or the end of ctx.
func Orders(ctx context.Context, c *neoapi.Client, opts ...Option) (*OrderFeed, error) {
	return nil, errNotBuilt
}

func (o *OrderFeed) Updates(ctx context.Context) iter.Seq2[Update, error] { return nil }
func (o *OrderFeed) OnOrder(f func(trade.Order))                          {} // trade.Updates
func (o *OrderFeed) Close() error                                         { return errNotBuilt }

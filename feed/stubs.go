package feed

import (
	"context"
	"errors"
	"io"
	"iter"

	"neoapi"
	"neoapi/trade"
)

// This file has what is not built yet. Who builds a thing deletes it here.

var errNotBuilt = errors.New("not built yet")

// Quotes, Minis, Depths, FullDepths (subscriptions), OnQuote: market. Record: record.go.

// Quotes subscribes instruments at [Touch]; an index as an index.
func Quotes(i ...trade.Instrument) Option {
	return func(o *options) { o.subscribe = append(o.subscribe, subscription{Touch, i}) }
}

// Record writes what comes to w: see docs/feeds.md for the form. (record.go)
func Record(w io.Writer) Option { return func(o *options) { o.record = w } }

// market.go ----------------------------------------------------------------------------

// A MarketFeed is a live feed of quotes.
type MarketFeed struct{}

// Market opens a feed that lives until Close or the end of ctx.
func Market(ctx context.Context, c *neoapi.Client, opts ...Option) (*MarketFeed, error) {
	return nil, errNotBuilt
}

func (m *MarketFeed) Updates(ctx context.Context) iter.Seq2[Update, error] { return nil }
func (m *MarketFeed) Subscribe(l Level, i ...trade.Instrument) error       { return errNotBuilt }
func (m *MarketFeed) Unsubscribe(l Level, i ...trade.Instrument) error     { return errNotBuilt }
func (m *MarketFeed) Quote(i trade.Instrument) (q Quote, ok bool)          { return Quote{}, false }
func (m *MarketFeed) Close() error                                         { return errNotBuilt }

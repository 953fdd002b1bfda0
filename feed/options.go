package feed

import (
	"io"
	"log/slog"
	"time"

	"neoapi"
	"neoapi/trade"
)

// An Option sets up a feed.
type Option func(*options)

type options struct {
	sessions  neoapi.SessionSource // nil: the client's
	log       *slog.Logger
	subscribe []subscription
	record    io.Writer
	onQuote   func(*Quote)
	haste     time.Duration // divides the waits between tries, for tests
}

type subscription struct {
	level       Level
	instruments []trade.Instrument
}

func newOptions(opts []Option) *options {
	o := &options{log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(o)
	}
	o.haste = max(1, o.haste)
	return o
}

// WithKeeper makes the feed use the sessions of a [neoapi.Keeper], or another source.
// Without it a feed uses the client's Keeper or, if the client has none, its current
// session.
func WithKeeper(source neoapi.SessionSource) Option {
	return func(o *options) { o.sessions = source }
}

// Log makes the feed log what it does: that it is connected, why it lost a connection,
// that it has a new session. It logs no secrets. nil means that nothing is logged.
func Log(to *slog.Logger) Option {
	return func(o *options) {
		if to != nil {
			o.log = to
		}
	}
}

// Package paperfeed has the live feeds of the exchange on paper: the order feed, and the
// market feeds of generation 3 (SFeed) and of generations 1 and 2 (HSM).
//
// Start with [New]. A [Feeds] is the handler of upgrades at the feeds' addresses, which
// the gateway lets through without an identity: the first frame proves a session.
package paperfeed

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"neoapi/internal/paperapi"
)

// The feeds' paths.
const (
	PathOrders = "/realtime"
	PathMarket = "/apifeed" // SFeed
	PathOld    = "/"        // HSM, with an upgrade
)

// Config configures [Feeds].
type Config struct {
	API *paperapi.API
	Now func() time.Time
	Log *slog.Logger

	// Prove checks what a first frame says of itself: a trade session's sid and token or,
	// for SFeed, which sends no token, its UCC and sid. An error is its refusal.
	Prove func(ctx context.Context, ucc, sid, token string) (Session, error)
}

// A Session is a trade session that a feed was opened with.
type Session struct {
	UCC    string
	Stands func(context.Context) (bool, error) // reports whether it has not ended
}

// Feeds are the feeds of an exchange on paper.
type Feeds struct{ cfg Config }

// New returns the feeds. Call [Feeds.Run] while they are used.
func New(cfg Config) *Feeds { return &Feeds{cfg} }

// IsFeed reports whether an upgrade at a path is one of a feed.
func IsFeed(path string) bool { return path == PathOrders || path == PathMarket || path == PathOld }

// ServeHTTP implements [http.Handler].
func (f *Feeds) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Run sends what happens until the context is done; then it closes the connections.
func (f *Feeds) Run(ctx context.Context) error { return errors.New("not built yet") }

package login

import (
	"context"
	"errors"
	"fmt"

	"neoapi/internal/background"
)

// A queue is where hashes of passwords or MPINs wait for their turn: as many run
// as there are turns, as many wait as there are places (security.md P4). Whoever has the
// turn asks the store, so the wait is a part of the request's patience: a store
// that is slow makes the queue slow.
type queue struct {
	turns  chan struct{}
	places chan struct{}
}

func newQueue(turns, waiting int) *queue {
	return &queue{make(chan struct{}, turns), make(chan struct{}, turns+waiting)}
}

// errQueue is why a hash was not computed.
var errQueue = errors.New("the queue of hashes is full")

func busy(err error) *Error {
	return &Error{Kind: KindUnavailable, Detail: "the service is busy", RetryAfter: busyRetry, Err: err}
}

// hashing runs f, which hashes a secret for tens of milliseconds: nobody else
// waits for a processor meanwhile, and the request's patience is not touched.
func hashing(ctx context.Context, f func()) {
	unhurried(ctx, func() { background.Run(f) })
}

// enter takes a place, which leave gives back, or refuses at once.
func (q *queue) enter() (leave func(), err error) {
	select {
	case q.places <- struct{}{}:
		return func() { <-q.places }, nil
	default:
		return nil, busy(errQueue)
	}
}

// turn runs f when it is its turn. Whoever calls it has entered.
func (q *queue) turn(ctx context.Context, f func() error) error {
	select {
	case q.turns <- struct{}{}:
	case <-ctx.Done():
		return busy(fmt.Errorf("waiting for a turn to hash: %w", ctx.Err()))
	}
	defer func() { <-q.turns }()
	return f()
}

package login

import (
	"context"
	"errors"
	"fmt"

	"neoapi/internal/background"
)

// A queue is where password or MPIN hashes wait for their turn. The numbers of running
// and of waiting hashes are limited (security.md P4). A request asks the store during
// its turn, so waiting counts against its patience: a slow store makes the queue slow.
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

// hashing runs f, which hashes a secret for tens of milliseconds, without making
// others wait for a processor and without using up the request's patience.
func hashing(ctx context.Context, f func()) {
	unhurried(ctx, func() { background.Run(f) })
}

// Full returns the refusal of a login by password or MPIN if no more can wait, so that
// nothing need be done for one that would be refused. A place may be gone a moment later.
func (s *Service) Full() error {
	if q := s.first; len(q.places) == cap(q.places) {
		return errFull
	}
	return nil
}

var errFull = busy(errQueue)

// Busy returns the error that [Service.Full] returns if no more can wait.
func Busy() error { return errFull }

// enter takes a place, which leave gives back, or refuses at once.
func (q *queue) enter() (leave func(), err error) {
	select {
	case q.places <- struct{}{}:
		return func() { <-q.places }, nil
	default:
		return nil, busy(errQueue)
	}
}

// turn runs f when it is its turn. The caller must have entered the queue.
func (q *queue) turn(ctx context.Context, f func() error) error {
	select {
	case q.turns <- struct{}{}:
	case <-ctx.Done():
		return busy(fmt.Errorf("waiting for a turn to hash: %w", ctx.Err()))
	}
	defer func() { <-q.turns }()
	return f()
}

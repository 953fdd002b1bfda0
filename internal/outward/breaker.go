package outward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"neoapi/internal/front"
	"neoapi/internal/login"
)

// The failures in a row after which a breaker opens, and how long it stays open.
const (
	Failures = 5
	OpenFor  = 10 * time.Second
)

// ErrOpen is the error of calls while the breaker is open.
var ErrOpen = circuitbreaker.ErrOpen

// A Breaker refuses calls for [OpenFor] after five that failed in a row, and then
// lets one through to see. A refused call ([login.ErrRefused]) has not failed: the
// server answered.
type Breaker struct {
	breaker circuitbreaker.CircuitBreaker[any]
	policy  failsafe.Executor[any]
}

// NewBreaker returns a closed breaker. If again is true, a failed call is repeated
// once, after a moment.
func NewBreaker(again bool) *Breaker {
	failed := func(_ any, err error) bool {
		return err != nil && !errors.Is(err, login.ErrRefused) && !errors.Is(err, context.Canceled)
	}
	b := circuitbreaker.NewBuilder[any]().HandleIf(failed).WithFailureThreshold(Failures).WithSuccessThreshold(1).WithDelay(OpenFor).Build()
	policies := []failsafe.Policy[any]{b}
	if again {
		retry := retrypolicy.NewBuilder[any]().WithMaxRetries(1).WithBackoff(250*time.Millisecond, time.Second).ReturnLastFailure().
			HandleIf(func(x any, err error) bool { return failed(x, err) && !errors.Is(err, ErrOpen) }).Build()
		policies = []failsafe.Policy[any]{retry, b}
	}
	return &Breaker{b, failsafe.With(policies...)}
}

// lingers is how long a call may go on after its context is done.
const lingers = time.Second

// errLingers is the error of a call that ignores its context.
var errLingers = fmt.Errorf("the call was given up: it did not end in its time: %w", context.DeadlineExceeded)

// Do makes a call, with a time limit for each try. A call that panics has failed, and so
// has one that goes on for a second after its time, which is left behind: neither keeps
// the breaker from letting others through.
func (b *Breaker) Do(ctx context.Context, within time.Duration, call func(ctx context.Context) error) error {
	return b.policy.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) error {
		ctx, cancel := context.WithTimeout(e.Context(), within)
		defer cancel()
		return guarded(ctx, call)
	})
}

// guarded makes a call, and gives it up if it ignores its context.
func guarded(ctx context.Context, call func(ctx context.Context) error) error {
	ended := make(chan error, 1)
	go func() {
		err := errors.New("the call has ended its goroutine")
		defer func() { ended <- err }()
		defer func() {
			if p := recover(); p != nil {
				err = front.Panicked(p)
			}
		}()
		err = call(ctx)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(lingers):
		return errLingers
	}
}

// Open reports whether the next call would be refused.
func (b *Breaker) Open() bool { return b.breaker.IsOpen() && b.breaker.RemainingDelay() > 0 }

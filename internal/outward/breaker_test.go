package outward_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/outward"
)

var errDown = errors.New("down")

// asked makes a call that ends like this and reports whether it was made.
func asked(t *testing.T, b *outward.Breaker, end error) (made bool) {
	t.Helper()
	err := b.Do(t.Context(), time.Second, func(context.Context) error { made = true; return end })
	if want := map[bool]error{true: end, false: outward.ErrOpen}[made]; !errors.Is(err, want) {
		t.Errorf("a call that was made: %v, and its error is %v", made, err)
	}
	return made
}

func TestBreaker_leavesWhoFailsAloneForAWhileAndThenAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := outward.NewBreaker(false)
		for range 2 {
			for i := range outward.Failures {
				if b.Open() || !asked(t, b, errDown) {
					t.Errorf("left alone after %d failures", i)
				}
			}
			for range 2 { // a first call after the pause that fails begins another
				if !b.Open() || asked(t, b, nil) {
					t.Error("asked though it has failed so often")
				}
				time.Sleep(outward.OpenFor - time.Millisecond)
				if !b.Open() || asked(t, b, nil) {
					t.Error("asked before its time")
				}
				time.Sleep(2 * time.Millisecond)
				if b.Open() || !asked(t, b, errDown) {
					t.Error("not asked again in its time")
				}
			}
			time.Sleep(outward.OpenFor + time.Millisecond)
			if b.Open() || !asked(t, b, nil) || b.Open() {
				t.Error("not asked again, or left alone after a success")
			}
		}
	})
}

func TestBreaker_countsNoRefusalAndNoCancelledCall(t *testing.T) {
	b := outward.NewBreaker(false)
	for range 3 * outward.Failures {
		for _, end := range []error{fmt.Errorf("no: %w", login.ErrRefused), context.Canceled, nil} {
			if !asked(t, b, end) {
				t.Fatalf("left alone after %v", end)
			}
		}
	}
	for i := range 3 * outward.Failures { // what fails now and then is no reason
		if end := []error{errDown, nil}[i%2]; !asked(t, b, end) {
			t.Fatal("left alone between successes")
		}
	}
}

func TestBreaker_makesAFailedCallOnceMoreIfItMay(t *testing.T) {
	for again, want := range map[bool]int{false: 1, true: 2} {
		synctest.Test(t, func(t *testing.T) {
			b, made := outward.NewBreaker(again), 0
			err := b.Do(t.Context(), time.Second, func(ctx context.Context) error {
				made++
				<-ctx.Done() // each try has its own time
				return ctx.Err()
			})
			if made != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("made %d times, want %d: %v", made, want, err)
			}
		})
	}
}

// The one call that an open breaker lets through to see may itself never return: then
// another one is let through after the next pause.
func TestBreaker_isNotHeldByACallThatPanicsOrIgnoresItsContext(t *testing.T) {
	freed := make(chan struct{})
	for name, x := range map[string]struct {
		call func(context.Context) error
		most time.Duration
	}{
		"panics":        {func(context.Context) error { panic("a fault") }, 0},
		"ends":          {func(context.Context) error { runtime.Goexit(); return nil }, 0},
		"never returns": {func(context.Context) error { <-freed; return nil }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				freed = make(chan struct{})
				b := outward.NewBreaker(false)
				for range outward.Failures {
					asked(t, b, errDown)
				}
				for range 3 {
					time.Sleep(outward.OpenFor + time.Millisecond)
					began := time.Now()
					err := b.Do(t.Context(), time.Second, x.call)
					if took := time.Since(began); err == nil || errors.Is(err, outward.ErrOpen) || took > x.most {
						t.Errorf("after %s: %v", took, err)
					}
				}
				time.Sleep(outward.OpenFor + time.Millisecond)
				if !asked(t, b, nil) || b.Open() || !asked(t, b, nil) {
					t.Error("a server that is well again is not asked")
				}
				close(freed)
			})
		})
	}
}

// A caller that goes away is not held by a call either.
func TestBreaker_returnsToACallerWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Second, cancel)
		err := outward.NewBreaker(true).Do(ctx, time.Hour, func(context.Context) error { <-freed; return nil })
		if took := time.Since(began); err == nil || took > 3*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
		close(freed)
	})
}

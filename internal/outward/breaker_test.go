package outward_test

import (
	"context"
	"errors"
	"fmt"
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

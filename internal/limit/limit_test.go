package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 8, 3, 9, 15, 0, 0, time.UTC)

// rates are drawn so that both those that divide a second and those that do
// not occur.
func rates() *rapid.Generator[int] {
	return rapid.OneOf(rapid.IntRange(1, 12), rapid.SampledFrom([]int{7, 33, 100, 999, 1000}))
}

// pauses are drawn from nothing at all to longer than the whole allowance.
func pauses() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.OneOf(
			rapid.Just(int64(0)),
			rapid.Int64Range(0, int64(2*time.Millisecond)),
			rapid.Int64Range(0, int64(200*time.Millisecond)),
			rapid.Int64Range(0, int64(3*time.Second)),
		).Draw(t, "pause"))
	})
}

// The allowance is N at once and N a second after that: a span of time sees at
// most N requests beside those that the rate pays for in it.
func TestTake_allowsNoMoreThanTheBurstAndTheRateInAnySpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rates().Draw(t, "N")
		var s State
		var allowed []time.Time
		now := start
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now = now.Add(pauses().Draw(t, "pause"))
			var wait time.Duration
			if s, wait = Take(s, Rate{n, time.Second}, 1, now); wait == 0 {
				allowed = append(allowed, now)
			}
		}
		interval := time.Second / time.Duration(n)
		for i := range allowed {
			for j := i; j < len(allowed); j++ {
				span := allowed[j].Sub(allowed[i])
				if got, most := j-i+1, n+int(span/interval); got > most {
					t.Fatalf("N %d: %d requests in %s, at most %d may be", n, got, span, most)
				}
			}
		}
	})
}

func TestTake_allowsNAtOnce(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 10, 33, 1000} {
		var s State
		for i := range n {
			var wait time.Duration
			if s, wait = Take(s, Rate{n, time.Second}, 1, start); wait != 0 {
				t.Fatalf("N %d: request %d of a burst must wait %s", n, i+1, wait)
			}
		}
		after, wait := Take(s, Rate{n, time.Second}, 1, start)
		if want := time.Second / time.Duration(n); wait != want {
			t.Errorf("N %d: one request more must wait %s, not %s", n, wait, want)
		}
		if after != s {
			t.Errorf("N %d: the refused request changed the state", n)
		}
	}
}

func TestTake_neverRefusesASteadyRateOfNASecond(t *testing.T) {
	for _, n := range []int{1, 3, 7, 10, 999} {
		var s State
		// A tick of the steady rate, rounded up to the nanosecond.
		tick := (time.Second + time.Duration(n) - 1) / time.Duration(n)
		for i := range 5 * n {
			var wait time.Duration
			if s, wait = Take(s, Rate{n, time.Second}, 1, start.Add(time.Duration(i)*tick)); wait != 0 {
				t.Fatalf("N %d: request %d must wait %s", n, i+1, wait)
			}
		}
	}
}

func TestTake_givesTheWholeAllowanceBackAfterASecondOfSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rates().Draw(t, "N")
		s, now := arbitrary(t, n)
		now = now.Add(time.Second)
		for i := range n {
			var wait time.Duration
			if s, wait = Take(s, Rate{n, time.Second}, 1, now); wait != 0 {
				t.Fatalf("N %d: request %d after a second of silence must wait %s", n, i+1, wait)
			}
		}
	})
}

// arbitrary returns a state that some requests led to, and the time of the last.
func arbitrary(t *rapid.T, n int) (State, time.Time) {
	var s State
	now := start
	for range rapid.IntRange(0, 3*n).Draw(t, "requests before") {
		now = now.Add(pauses().Draw(t, "pause before"))
		s, _ = Take(s, Rate{n, time.Second}, 1, now)
	}
	return s, now
}

// full is arbitrary with the allowance used up.
func full(t *rapid.T, n int) (State, time.Time, time.Duration) {
	s, now := arbitrary(t, n)
	for range n + 1 {
		var wait time.Duration
		if s, wait = Take(s, Rate{n, time.Second}, 1, now); wait > 0 {
			return s, now, wait
		}
	}
	t.Fatalf("N %d: %d requests at once are all allowed", n, n+1)
	return s, now, 0
}

func TestTake_worksAfterExactlyTheReturnedTimeAndNoLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rates().Draw(t, "N")
		s, now, wait := full(t, n)
		if wait > time.Second/time.Duration(n) {
			t.Fatalf("N %d: must wait %s, longer than one request's share of a second", n, wait)
		}
		if _, more := Take(s, Rate{n, time.Second}, 1, now.Add(wait)); more != 0 {
			t.Fatalf("N %d: after waiting %s must wait %s more", n, wait, more)
		}
		if _, more := Take(s, Rate{n, time.Second}, 1, now.Add(wait-1)); more != 1 {
			t.Fatalf("N %d: a nanosecond before the wait of %s is over must wait %s more", n, wait, more)
		}
	})
}

func TestTake_chargesNothingForARefusedRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rates().Draw(t, "N")
		patient, now, wait := full(t, n)
		hasty := patient
		for range rapid.IntRange(1, 50).Draw(t, "refused requests") {
			at := now.Add(time.Duration(rapid.Int64Range(0, int64(wait-1)).Draw(t, "early by")))
			var refused time.Duration
			if hasty, refused = Take(hasty, Rate{n, time.Second}, 1, at); refused == 0 {
				t.Fatalf("N %d: allowed %s before the wait was over", n, now.Add(wait).Sub(at))
			}
		}
		if hasty != patient {
			t.Fatalf("N %d: who kept asking is worse off than who waited", n)
		}
	})
}

func TestTake_allowsEverythingAtARateOfNothing(t *testing.T) {
	for _, n := range []int{0, -1, -1000} {
		var s State
		for range 10_000 {
			var wait time.Duration
			if s, wait = Take(s, Rate{n, time.Second}, 1, start); wait != 0 {
				t.Fatalf("N %d: must wait %s", n, wait)
			}
		}
	}
}

// A caller whose clock is set back must not be locked out until the clock has
// caught up: the debt is a second at most, so two seconds are enough.
func TestTake_locksNobodyOutForLongWhenTheClockGoesBack(t *testing.T) {
	for _, back := range []time.Duration{time.Second, time.Minute, time.Hour, 365 * 24 * time.Hour} {
		s := State{}
		for range 10 {
			s, _ = Take(s, Rate{10, time.Second}, 1, start)
		}
		now := start.Add(-back)
		s, wait := Take(s, Rate{10, time.Second}, 1, now)
		if wait > 2*time.Second {
			t.Errorf("clock set back by %s: must wait %s", back, wait)
			continue
		}
		if _, more := Take(s, Rate{10, time.Second}, 1, now.Add(wait)); more != 0 {
			t.Errorf("clock set back by %s: after waiting %s must wait %s more", back, wait, more)
		}
	}
}

// Two machines whose clocks differ share an allowance as if there were one.
func TestTake_givesNoMoreToClocksThatDiffer(t *testing.T) {
	rate := Rate{30, time.Minute}
	for _, skew := range []time.Duration{0, 100 * time.Millisecond, 2 * time.Second, 20 * time.Second} {
		s, taken := State{}, 0
		for i := range 6000 { // every 10 ms for a minute, in turn
			now := start.Add(time.Duration(i) * 10 * time.Millisecond)
			if i%2 == 1 {
				now = now.Add(-skew)
			}
			var wait time.Duration
			if s, wait = Take(s, rate, 1, now); wait == 0 {
				taken++
			}
		}
		if taken > 60 {
			t.Errorf("clocks that differ by %s: %d are taken in a minute, want 60 at most", skew, taken)
		}
	}
}

// What is given back can be taken again, and no more than that.
func TestTake_takesAgainWhatWasGivenBackAndNoMore(t *testing.T) {
	rate := Rate{2, time.Minute}
	s, _ := Take(State{}, rate, 2, start)
	s, _ = Take(s, rate, -1, start)
	s, wait := Take(s, rate, 1, start)
	if wait != 0 {
		t.Errorf("what was given back must wait %s", wait)
	}
	if _, wait = Take(s, rate, 1, start); wait == 0 {
		t.Error("more was given back than was taken")
	}
	whole, _ := Take(State{}, rate, -5, start) // nothing had been taken
	for range 2 {
		whole, _ = Take(whole, rate, 1, start)
	}
	if _, wait := Take(whole, rate, 1, start); wait == 0 {
		t.Error("giving back has made the allowance larger")
	}
}

// Asking for nothing tells what one request would be told, and costs nothing;
// asking for several is all or nothing.
func TestTake_forNothingIsFreeAndForSeveralIsAllOrNone(t *testing.T) {
	rate := Rate{30, time.Minute}
	s, wait := Take(State{}, rate, 28, start)
	if wait != 0 {
		t.Fatalf("28 of 30 must wait %s", wait)
	}
	if after, wait := Take(s, rate, 3, start); wait != 2*time.Second || after != s {
		t.Errorf("3 where 2 are left: wait %s", wait)
	}
	for want := range 2 {
		if after, wait := Take(s, rate, 0, start); wait != 0 || after != s {
			t.Errorf("with %d left, asking must wait %s", 2-want, wait)
		}
		s, _ = Take(s, rate, 1, start)
	}
	if after, wait := Take(s, rate, 0, start); wait != 2*time.Second || after != s {
		t.Errorf("with none left, asking must wait %s, not 2s", wait)
	}
	if _, wait := Take(State{}, rate, 31, start); wait == 0 {
		t.Error("more than ever fit were allowed")
	}
}

// Package limit holds the rate-limit decision: a pure function over a state of
// one instant (GCRA, the generic cell rate algorithm). Whoever keeps the state
// decides where it lives.
package limit

import "time"

// A Rate allows N requests a second in the long run, and up to N at once after
// a second of silence.
type Rate struct {
	N int // requests a second; 0 or less allows everything
}

// A State is what is remembered of one caller: the instant at which the
// allowance is whole again. The zero State has its whole allowance.
type State struct {
	whole time.Time
}

// Take asks for one request at now. It returns the state to remember and how
// long to wait: 0 means allowed. A refused request costs nothing, and waiting
// exactly the returned time is enough (bar T7).
func Take(s State, r Rate, now time.Time) (State, time.Duration) {
	if r.N <= 0 {
		return s, 0
	}
	cost := time.Second / time.Duration(r.N)
	whole := s.whole
	if whole.Before(now) || whole.After(now.Add(cost*time.Duration(r.N))) { // after: the clock was set back
		whole = now
	}
	whole = whole.Add(cost)
	// A whole second's allowance may be used at once: the debt never exceeds it.
	if wait := whole.Sub(now) - cost*time.Duration(r.N); wait > 0 {
		return s, wait
	}
	return State{whole}, 0
}

// Package limit holds the rate-limit decision: a pure function over a state of one
// instant (GCRA, the generic cell rate algorithm). The caller keeps the state.
package limit

import "time"

// A Rate allows N requests per Per in the long run, and up to N at once after an idle
// Per.
type Rate struct {
	N   int // 0 or less allows everything
	Per time.Duration
}

// A State is the state of one caller: the instant at which its allowance is full
// again. The zero State has its full allowance.
type State struct {
	Whole time.Time
}

// Take asks for n requests at now. It returns the state to remember and how
// long to wait: 0 means allowed. A refused request costs nothing, and waiting
// exactly the returned time is enough (security.md T7). With n = 0 it reports how long one
// request would have to wait, and takes nothing. More than N at once are never
// allowed; with n < 0 it gives back.
func Take(s State, r Rate, n int, now time.Time) (State, time.Duration) {
	if r.N <= 0 {
		return s, 0
	}
	cost, whole := r.Per/time.Duration(r.N), s.Whole
	most := cost * time.Duration(r.N)
	if whole.Before(now) {
		whole = now
	}
	if whole.After(now.Add(2 * most)) { // the clock was set back; less is another machine's, which is ahead
		whole = now
	}
	if n < 0 {
		return State{whole.Add(cost * time.Duration(n))}, 0
	}
	// The whole allowance may be used at once: the debt never exceeds it.
	if wait := whole.Add(cost*time.Duration(max(n, 1))).Sub(now) - most; wait > 0 {
		return s, wait
	}
	if n == 0 {
		return s, 0
	}
	return State{whole.Add(cost * time.Duration(n))}, 0
}

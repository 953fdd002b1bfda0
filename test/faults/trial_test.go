//go:build linux

package faults

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/sandbox"
)

// A trial is what clients are at when a fault of the store begins, what they try
// while it lasts, and what must be true when it is over.
type trial struct {
	s     *service
	all   *everybody
	steps []step

	mu      sync.Mutex
	slowest answer
	count   map[string]int // by operation and status
}

// A step is a call that is tried during the fault.
type step struct {
	name  string
	reads bool // it needs no write
	do    func() answer
	// over looks at what the step has led to, when the fault is over. Only those
	// answers are given that were no 503.
	over func(t *testing.T, during []answer)

	during   []answer
	quickest time.Duration // of all answers during the fault
}

// inTrial is how many accounts a trial uses.
const inTrial = 40

func startTrial(t *testing.T, s *service) *trial {
	t.Helper()
	x := &trial{s: s, all: &everybody{last: inTrial}, count: map[string]int{}}
	add := func(name string, do func() answer, over func(t *testing.T, during []answer)) *step {
		x.steps = append(x.steps, step{name: name, do: do, over: over})
		return &x.steps[len(x.steps)-1]
	}
	// A view session that was given must be good for a second factor.
	views := func(p person) func(t *testing.T, during []answer) {
		return func(t *testing.T, during []answer) {
			for _, a := range during {
				x.trades(t, must(t, p, s.secondMPIN(must(t, p, a), sandbox.DemoMPIN, "over-"+p.ucc)))
			}
		}
	}
	refused := func(t *testing.T, during []answer) {
		for _, a := range during {
			if !a.refused() {
				t.Error(a)
			}
		}
	}
	good := func(t *testing.T, during []answer) {
		for _, a := range during {
			if !a.good() {
				t.Error(a)
			}
		}
	}

	add("access token", func() answer { return s.getAccess(sandbox.DemoConsumerKey, sandbox.DemoConsumerSecret) }, good)
	byPassword, byMPIN, byTOTP, wrong := x.all.next(t), x.all.next(t), x.all.next(t), x.all.next(t)
	add("login by password", func() answer { return s.password(byPassword, sandbox.DemoPassword) }, views(byPassword))
	add("login by MPIN", func() answer { return s.mpin(byMPIN, sandbox.DemoMPIN) }, func(t *testing.T, during []answer) {
		for _, a := range during {
			view := must(t, byMPIN, a)
			x.trades(t, must(t, byMPIN, s.second(view, s.codeFor(t, view), "over")))
		}
	})
	step := stepNow()
	add("login by TOTP", func() answer { return s.totp(byTOTP, totpAt(step)) }, func(t *testing.T, during []answer) {
		var given []answer
		for _, a := range during {
			if a.good() {
				given = append(given, a)
			}
		}
		if len(given) > 1 {
			t.Errorf("one TOTP code has opened %d sessions", len(given))
		}
		views(byTOTP)(t, given)
	})
	add("login by a wrong password", func() answer { return s.password(wrong, "not the password") }, refused)

	asks := s.view(t, x.all.next(t))
	add("otp", func() answer { return s.otp(asks) }, func(t *testing.T, during []answer) {
		a := repeatedly(func() answer { return s.otp(asks) })
		if sent := a.good() || len(during) > 0 && a.status == 429; !sent {
			t.Errorf("no code can be had any more: %v", a)
			return
		}
		x.trades(t, must(t, asks.person, s.second(asks, string(s.inbox(asks.person).body), "over")))
	})

	// A second factor is complete, or its code still works; and never twice.
	second := func(name string, view session, send func(name string) answer) {
		add(name, func() answer { return send("one-attempt") }, func(t *testing.T, during []answer) {
			for _, d := range during {
				if !d.good() && d.status != 429 { // 429: the try before had no answer and is not yet given back
					t.Error(d)
				}
			}
			a := repeatedly(func() answer { return send("one-attempt") })
			trade := must(t, view.person, a)
			for _, d := range during {
				if d.good() && d.session(view.person) != trade {
					t.Errorf("%s: a repeat has given another session", name)
				}
			}
			x.trades(t, trade)
			if a := send("another-attempt"); !a.refused() {
				t.Errorf("a used code: %v", a)
			}
			if n := count(s.events(t), "second factor", "ok", view.sid); n != 1 {
				t.Errorf("%s: %d events of its success, want 1", name, n)
			}
		})
	}
	view := s.view(t, x.all.next(t))
	code := s.codeFor(t, view)
	second("session_2fa", view, func(name string) answer { return s.second(view, code, name) })
	other := s.view(t, x.all.next(t))
	second("MPIN validate", other, func(name string) answer { return s.secondMPIN(other, sandbox.DemoMPIN, name) })
	guess := s.view(t, x.all.next(t))
	add("session_2fa with a wrong code", func() answer { return s.second(guess, "1234", "") }, func(t *testing.T, during []answer) {
		for _, a := range during {
			if !a.refused() && a.status != 429 { // as above
				t.Error(a)
			}
		}
	})

	live := s.trading(t, x.all.next(t))
	still := func(t *testing.T, during []answer) { good(t, during); x.trades(t, live) }
	add("positions", func() answer { return s.trade(live) }, still).reads = true
	add("client IP", func() answer { return s.clientIP(live) }, still).reads = true
	leaves := s.trading(t, x.all.next(t))
	add("logout", func() answer { return s.logout(leaves) }, func(t *testing.T, during []answer) {
		if a := repeatedly(func() answer { return s.logout(leaves) }); !a.good() && !a.refused() {
			t.Error(a)
		}
		if a := s.trade(leaves); !a.refused() {
			t.Errorf("after a logout: %v", a)
		}
		if n := count(s.events(t), "logout", "ok", leaves.sid); n != 1 {
			t.Errorf("%d events of a logout", n)
		}
	})
	return x
}

// trades reports if a trade session is not good.
func (x *trial) trades(t *testing.T, trade session) {
	t.Helper()
	if a := x.s.trade(trade); !a.good() {
		t.Errorf("a session that was given: %v", a)
	}
}

// tryAll makes all calls at once.
func (x *trial) tryAll() {
	x.s.again = false
	var all sync.WaitGroup
	for i := range x.steps {
		all.Go(func() {
			a := x.steps[i].do()
			x.saw(x.steps[i].name, a)
			x.mu.Lock()
			defer x.mu.Unlock()
			if step := &x.steps[i]; step.quickest == 0 || a.took < step.quickest {
				step.quickest = a.took
			}
			if !a.unavailable() {
				x.steps[i].during = append(x.steps[i].during, a)
			}
		})
	}
	all.Wait()
}

// crowd makes many log in by password at once.
func (x *trial) crowd(t *testing.T, n int) {
	t.Helper()
	x.s.again = false
	var all sync.WaitGroup
	for range n {
		p := x.all.next(t)
		all.Go(func() {
			a := x.s.password(p, sandbox.DemoPassword)
			x.saw("crowd", a)
			if !a.unavailable() && !a.good() {
				t.Error(a)
			}
		})
	}
	all.Wait()
}

// allUnavailable reports each answer so far that was no 503.
func (x *trial) allUnavailable(t *testing.T) {
	t.Helper()
	for _, step := range x.steps {
		for _, a := range step.during {
			t.Errorf("%s: without a store: %v", step.name, a)
		}
	}
}

// onlyReads reports each answer so far to a call that writes that was no 503, and
// each call that only reads without a good answer.
func (x *trial) onlyReads(t *testing.T, rounds int) {
	t.Helper()
	for _, step := range x.steps {
		if want := map[bool]int{true: rounds}[step.reads]; len(step.during) != want {
			t.Errorf("%s: %d of %d were answered otherwise than by 503, want %d", step.name, len(step.during), rounds, want)
		}
	}
}

func (x *trial) saw(name string, a answer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a.took > x.slowest.took {
		x.slowest = a
		x.slowest.op = name
	}
	x.count[fmt.Sprintf("%s: %d", name, a.status)]++
}

// judge reports what is wrong with the answers during the fault, waits until the
// service is well again, and looks at what the steps have led to.
func (x *trial) judge(t *testing.T) {
	t.Helper()
	if x.slowest.took > noisy(answerWithin) {
		t.Errorf("the slowest answer: %v", x.slowest)
	}
	for _, step := range x.steps { // a busy machine delays some answers; a call that waits for too long delays all of its own
		if step.quickest > 2*answerWithin {
			t.Errorf("%s: the quickest answer took %s", step.name, step.quickest)
		}
	}
	recovered := within(t, noisy(recoverWithin), "recovery", func() bool {
		view := x.s.totp(demo(inTrial), totpAt(stepNow()))
		return view.good() || view.refused() // refused: the code was used in the round before, whose answer is lost
	})
	x.s.again = true
	t.Logf("slowest answer: %s after %s; recovered after %s; %v", x.slowest.op, x.slowest.took, recovered, x.count)
	for _, step := range x.steps {
		for _, a := range step.during {
			if err := a.wrong(); err != nil {
				t.Errorf("%s, during the fault: %v", step.name, err)
			}
		}
		t.Run(strings.ReplaceAll(step.name, " ", "_"), func(t *testing.T) { step.over(t, step.during) })
	}
}

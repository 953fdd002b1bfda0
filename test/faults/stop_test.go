//go:build linux

package faults

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/sandbox"
)

// Of two processes on one store one is stopped in the middle of second factors
// and goes on later. Meanwhile the other one works, for these logins too; and
// each code opens one session in all (security.md R3).
func TestProcess_thatIsStoppedDisturbsNobody(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		const n, others = 24, 6
		stops := startSandbox(t, database, n+others)
		goesOn := sandboxIn(t, stops.dir, database, n+others)
		var views []session
		var codes []string
		for i := range n {
			view := stops.view(t, demo(1+i))
			views, codes = append(views, view), append(codes, stops.codeFor(t, view))
		}

		// Every other one takes as long as a hash.
		try := func(s *service, i int, name string) answer {
			if i%2 == 0 {
				return s.secondMPIN(views[i], sandbox.DemoMPIN, name)
			}
			return s.second(views[i], codes[i], name)
		}
		first := make([]answer, n) // by the process that is stopped
		stops.again, goesOn.again = false, false
		var sent sync.WaitGroup
		turn := make(chan int, n)
		for i := range n {
			turn <- i
		}
		close(turn)
		for range 4 {
			sent.Go(func() {
				for i := range turn {
					first[i] = try(stops, i, "first-"+views[i].sid)
				}
			})
		}
		time.Sleep(time.Duration(20+rand.IntN(100)) * time.Millisecond) // the moment
		stops.signal(t, syscall.SIGSTOP)
		stopped := time.Now()

		// Who stops while it writes to a file keeps it locked, for as long as it is
		// stopped, and if that was in the middle of the log's header, readers try for ten
		// seconds. In PostgreSQL nothing is locked while a process thinks: what a busy
		// machine has refused is done when it is asked again.
		limit := noisy(answerWithin)
		if database == "" {
			limit += 10 * time.Second
		}
		var asked sync.WaitGroup
		for i := range others {
			asked.Go(func() {
				ask := func() answer { return goesOn.password(demo(1+n+i), sandbox.DemoPassword) }
				var a answer
				if database == "" {
					a = ask()
				} else {
					a = repeatedly(ask)
				}
				if !a.good() && !(database == "" && a.unavailable()) || a.took > limit {
					t.Errorf("somebody else: %v", a)
				}
			})
		}
		asked.Wait()
		second := make([]answer, n)
		for i := range n {
			asked.Go(func() { second[i] = try(goesOn, i, "second-"+views[i].sid) })
		}
		asked.Wait()
		time.Sleep(time.Until(stopped.Add(2 * time.Second)))
		stops.signal(t, syscall.SIGCONT)
		sent.Wait()

		stops.again, goesOn.again = true, true
		events := stops.events(t)
		outcomes := map[[2]int]int{}
		for i, view := range views {
			a, b := first[i], second[i]
			outcomes[[2]int{a.status, b.status}]++
			for _, x := range []answer{a, b} {
				if err := x.wrong(); err != nil || !x.good() && !x.refused() && x.status != 429 && !x.unavailable() {
					t.Errorf("%v (%v)", x, err)
				}
			}
			if b.took > limit {
				t.Errorf("beside a stopped process: %v", b)
			}
			if a.good() && b.good() {
				t.Errorf("one code has opened two sessions:\n%v\n%v", a, b)
			}
			done := count(events, "second factor", "ok", view.sid)
			if done > 1 || done == 0 && (a.good() || b.good()) {
				t.Errorf("%d events of success for %v and %v", done, a, b)
			}
			for _, x := range []answer{a, b} {
				if !x.good() {
					continue
				}
				for _, s := range []*service{stops, goesOn} {
					if trade := s.trade(x.session(view.person)); !trade.good() {
						t.Errorf("a session that was given: %v", trade)
					}
				}
			}
		}
		t.Logf("statuses of the stopped process and of the other: %v", outcomes)
	})
}

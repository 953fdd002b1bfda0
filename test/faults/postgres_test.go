//go:build linux

package faults

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"neoapi/internal/sandbox"
	"neoapi/internal/store/postgres/pgtest"
)

// The store is down, slow or silent: every call is answered in time, by 503 or,
// where a slow store lets it, as ever; no token leaves without its session; and
// when the store is back everything works again (security.md R1, R4).
func TestPostgreSQL_downSlowOrSilentIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		pgtest.Weather
	}{
		{"down", pgtest.Weather{Down: true}},
		{"silent", pgtest.Weather{Silent: true}},
		{"slow 0.1s", pgtest.Weather{Delay: 100 * time.Millisecond}},
		{"slow 0.3s", pgtest.Weather{Delay: 300 * time.Millisecond}},
		{"slow 0.7s", pgtest.Weather{Delay: 700 * time.Millisecond}},
		{"slow 1s", pgtest.Weather{Delay: time.Second}},
		{"slow 5s", pgtest.Weather{Delay: 5 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, url := pgtest.NewProxy(t, pgtest.Database(t))
			x := startTrial(t, startSandbox(t, url, inTrial))
			p.Set(c.Weather)
			x.tryAll() // here connections that were good turn out not to be
			x.crowd(t, 24)
			x.tryAll()
			p.Set(pgtest.Weather{})
			x.judge(t)
		})
	}
}

// PostgreSQL ends, in order or as when its machine is lost, and comes back: what
// was acknowledged is there, and the service goes on by itself (security.md R1, R4).
func TestPostgreSQL_stoppedAndStartedAgainLosesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*pgtest.Cluster) error
	}{
		{"stop", (*pgtest.Cluster).Stop},
		{"crash", (*pgtest.Cluster).Crash},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Private(t)
			x := startTrial(t, startSandbox(t, server.URL("postgres"), inTrial))
			if err := c.end(server); err != nil {
				t.Fatal(err)
			}
			x.tryAll()
			x.crowd(t, 8)
			x.allUnavailable(t)
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			x.judge(t)
		})
	}
}

// Connections end at any statement, before it was done, after it, or nobody knows:
// what was done counts once, and what was not can be done again (security.md R1, R4).
func TestPostgreSQL_cutConnectionsCountEachStepOnce(t *testing.T) {
	t.Parallel()
	p, url := pgtest.NewProxy(t, pgtest.Database(t))
	x := startTrial(t, startSandbox(t, url, inTrial))
	p.SetPlan(func() pgtest.Fault {
		if rand.IntN(4) > 0 {
			return pgtest.Pass
		}
		return pgtest.CutBefore + pgtest.Fault(rand.IntN(int(pgtest.CutAtOnce)))
	})
	for range 3 {
		x.tryAll()
	}
	x.crowd(t, 12)
	p.SetPlan(nil)
	x.judge(t)
}

// Right logins whose connections to the store are cut, or that fall into an outage, charge
// their address nothing: as soon as the store is well none is told of too many wrong ones.
func TestPostgreSQL_outageChargesRightLoginsNothing(t *testing.T) {
	t.Parallel()
	p, url := pgtest.NewProxy(t, pgtest.Database(t))
	s := startSandbox(t, url, 60, "--wrong-logins=4")
	s.again = false
	crowd := func(n int, good func(a answer) bool) {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if a := s.mpin(demo(i+1), sandbox.DemoMPIN); !good(a) {
					t.Errorf("a right login: %v", a)
				}
			})
		}
		all.Wait()
	}
	cut := func(a answer) bool { return a.good() || a.unavailable() }
	for range 2 {
		p.SetPlan(func() pgtest.Fault {
			if rand.IntN(6) > 0 {
				return pgtest.Pass
			}
			return pgtest.CutBefore + pgtest.Fault(rand.IntN(int(pgtest.CutAtOnce)))
		})
		crowd(20, cut)
		p.SetPlan(nil)
		p.Set(pgtest.Weather{Down: true})
		crowd(5, cut)
		p.Set(pgtest.Weather{Silent: true})
		crowd(5, cut)
		p.Set(pgtest.Weather{})
		within(t, noisy(recoverWithin), "a right login", func() bool {
			a := s.mpin(demo(60), sandbox.DemoMPIN)
			if !cut(a) {
				t.Errorf("after an outage: %v", a)
			}
			return a.good()
		})
		crowd(10, cut)
	}
	for range 4 {
		if a := s.mpin(demo(59), "000000"); a.status != 401 {
			t.Errorf("a wrong MPIN: %v", a)
		}
	}
	if a := s.mpin(demo(58), sandbox.DemoMPIN); a.status != 429 {
		t.Errorf("after four wrong ones: %v", a)
	}
}

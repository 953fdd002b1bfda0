//go:build linux

package faults

import (
	"math/rand/v2"
	"testing"
	"time"

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

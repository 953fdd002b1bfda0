//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"neoapi/internal/sandbox"
)

const (
	soakers   = 4   // persons at a time
	soakPace  = 100 // milliseconds between one person and the next
	perSoaker = 100 // accounts of each soaker: each gets fewer than 1,000 codes an hour
	longSoak  = 10 * time.Minute
)

// Mixed traffic for a while: what the process holds afterwards is what it held
// when it had warmed up (security.md R5). In so short a time as by default that shows
// only what leaks with each request.
func TestSoak_changesNothing(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s := startSandbox(t, database, soakers*perSoaker)
		s.again = false
		seen := newTally()
		end := make(chan struct{})
		var all sync.WaitGroup
		for i := range soakers {
			all.Go(func() {
				next := time.NewTicker(soakPace * time.Millisecond)
				defer next.Stop()
				for n := 0; ; n++ {
					select {
					case <-end:
						return
					case <-next.C:
						s.oneOfMany(demo(1+i*perSoaker+n%perSoaker), n, seen)
					}
				}
			})
		}
		time.Sleep(max(2*time.Second, *soak/6))
		begin := time.Now()
		var held []use
		for time.Since(begin) < *soak {
			time.Sleep(*soak / 60)
			held = append(held, s.use(t))
		}
		close(end)
		all.Wait()
		seen.judge(t, "login by password", "login by MPIN", "login by TOTP", "otp", "session_2fa", "MPIN validate", "positions", "logout")

		third := len(held) / 3
		for i, kind := range []struct {
			name string
			more int // what may be added in a short soak
		}{{"threads", 12}, {"file descriptors", 24}, {"KiB of memory", 96 << 10}} {
			first, last := median(held[:third], i), median(held[len(held)-third:], i)
			t.Logf("%s: %d, at the end %d", kind.name, first, last)
			limit := 2*first + kind.more // the race detector's own memory grows for a while
			if *soak >= longSoak {
				limit = first + first/20
			}
			if last > limit {
				t.Errorf("%s: %d in the first third, %d in the last", kind.name, first, last)
			}
		}
	})
}

// oneOfMany is what a person does who comes once: logs in in one way or another,
// mistypes a code, trades, and leaves. A person who is refused goes away.
func (s *service) oneOfMany(p person, n int, seen *tally) {
	var a answer
	switch n % 3 {
	case 0:
		a = s.password(p, sandbox.DemoPassword)
	case 1:
		a = s.mpin(p, sandbox.DemoMPIN)
	default:
		a = s.totp(p, totpAt(stepNow()))
	}
	if seen.add(a); !a.good() {
		return
	}
	view := a.session(p)
	if n%3 == 2 && n%2 == 0 {
		a = s.secondMPIN(view, sandbox.DemoMPIN, "")
	} else {
		if a = s.otp(view); !seen.add(a) {
			return
		}
		code := s.inbox(p)
		if !code.good() {
			return
		}
		seen.add(s.second(view, "1234", ""))
		a = s.second(view, string(code.body), view.sid)
		if n%5 == 0 { // its answer was lost, say
			seen.add(a)
			a = s.second(view, string(code.body), view.sid)
		}
	}
	if !seen.add(a) {
		return
	}
	trade := a.session(p)
	for range 5 {
		seen.add(s.trade(trade))
	}
	seen.add(s.logout(trade))
	seen.add(s.trade(trade))
}

// A tally counts answers by call and status, and keeps what was wrong with them.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	good  map[string]int
	wrong []error
}

func newTally() *tally { return &tally{count: map[string]int{}, good: map[string]int{}} }

// add tells whether the answer was a success.
func (c *tally) add(a answer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[fmt.Sprintf("%s: %d", a.op, a.status)]++
	if a.good() {
		c.good[a.op]++
	}
	if err := a.wrong(); err != nil || a.status >= 500 && !a.unavailable() {
		c.wrong = append(c.wrong, fmt.Errorf("%v (%v)", a, err))
	}
	return a.good()
}

// judge reports wrong answers, and calls that never succeeded.
func (c *tally) judge(t *testing.T, calls ...string) {
	t.Helper()
	t.Log(c.count)
	for _, err := range c.wrong[:min(len(c.wrong), 10)] {
		t.Error(err)
	}
	for _, op := range calls {
		if c.good[op] == 0 {
			t.Errorf("%s never succeeded; calls that did: %v", op, slices.Sorted(maps.Keys(c.good)))
		}
	}
}

// use is what a process holds: threads, file descriptors, KiB of memory.
type use [3]int

func (s *service) use(t *testing.T) use {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(s.pid()))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return use{field(status, "Threads:"), len(open), field(status, "VmRSS:")}
}

// field returns a number out of /proc/PID/status.
func field(status []byte, name string) int {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name))
	n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		panic(err)
	}
	return n
}

func median(all []use, kind int) int {
	var values []int
	for _, u := range all {
		values = append(values, u[kind])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// Package linear checks that a store's sessions are linearizable: clients change and
// read one sid at the same time, over several handles or processes, and the history
// must be one that the rules of package login give for some order of the calls.
//
// Start with [Check].
package linear

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

const usual = 50

var histories = flag.Int("storetest.histories", usual, "how many histories each linearizability test checks; with more than usual, tests also run in their long form")

// Long reports whether more histories than usual are checked: then tests run in their
// long form.
func Long() bool { return *histories > usual }

// A Handle is what the clients use of a store.
type Handle interface {
	login.Sessions
	login.Allowances
}

// Check makes clients change and read one sid at the same time, and reports the
// history if no order of its calls explains it; that as often as the flag
// -storetest.histories says. The clients share out s and the others, which are
// further handles on the same store, perhaps in other processes.
func Check(t *testing.T, s store.Store, others ...Handle) {
	t.Helper()
	check(t, *histories, s, others...)
}

// Sample is Check with a fifth of the histories.
func Sample(t *testing.T, s store.Store, others ...Handle) {
	t.Helper()
	check(t, *histories/5, s, others...)
}

func check(t *testing.T, n int, s store.Store, others ...Handle) {
	t.Helper()
	if testing.Short() {
		n = min(n, 10)
	}
	handles := append([]Handle{s}, others...)
	seed := rand.Uint64()
	c := login.Consumer{Key: view("").Consumer, Incarnation: view("").Incarnation, SecretHash: []byte("secret")}
	if err := s.AddConsumer(t.Context(), c, event("consumer", "")); err != nil && !errors.Is(err, login.ErrExists) {
		t.Fatal(err)
	}
	for h := range n {
		sid := fmt.Sprintf("history-%d-%d", seed, h)
		v := view(sid)
		if err := s.OpenView(t.Context(), v, 0, "try", event("opened", sid)); err != nil {
			t.Fatal(err)
		}
		history, err := record(t.Context(), v, handles, rand.New(rand.NewPCG(seed, uint64(h))))
		if err != nil {
			t.Fatalf("history %d: %v", h, err)
		}
		if result, info := porcupine.CheckOperationsVerbose(model(v), history, 5*time.Minute); result != porcupine.Ok {
			path := filepath.Join(t.ArtifactDir(), "history.html")
			if err := porcupine.VisualizePath(model(v), info, path); err != nil {
				path = err.Error()
			}
			t.Fatalf("history %d is not linearizable (%s; go test -artifacts keeps %s):\n%s", h, result, path, describe(history))
		}
		checkEvents(t, s, sid, history)
	}
}

const (
	clients       = 5
	callsOfClient = 6
)

// record runs the clients on one view session and returns what they saw.
func record(ctx context.Context, v login.Session, handles []Handle, random *rand.Rand) ([]porcupine.Operation, error) {
	begin := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	seeds := make([]uint64, clients)
	for i := range seeds {
		seeds[i] = random.Uint64()
	}
	errs := make([]error, clients)
	ready := make(chan struct{})
	work := func(i int) error {
		c := client{view: v, name: fmt.Sprintf("c%d", i), random: rand.New(rand.NewPCG(seeds[i], 0))}
		for range callsOfClient {
			in := c.next()
			call := time.Since(begin).Nanoseconds()
			out, err := in.do(ctx, handles[i%len(handles)], v)
			returned := time.Since(begin).Nanoseconds()
			if err != nil {
				return fmt.Errorf("%s: %w", in, err)
			}
			c.saw(in, out)
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: i, Input: in, Call: call, Output: out, Return: returned})
			mu.Unlock()
		}
		return nil
	}
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { <-ready; errs[i] = work(i) })
	}
	close(ready)
	all.Wait()
	return history, errors.Join(errs...)
}

// A client chooses calls, knowing what it has seen itself.
type client struct {
	view   login.Session
	name   string
	n      int
	random *rand.Rand
	held   string // a claim that it was given and has not given back
	tried  string // a try that it has not ended
	last   seen   // the record as it last saw it
}

// times are when claims are taken: a lease may have run out from one to the next.
var times = []time.Duration{time.Second, time.Second, time.Second, 10 * time.Second, time.Second + lease, 30*time.Second + lease}

func (c *client) next() input {
	c.n++
	in := input{id: fmt.Sprintf("%s-%d", c.name, c.n), now: times[c.random.IntN(len(times))]}
	pick := c.random.IntN(100)
	switch {
	case c.held != "" && pick < 80:
		in.method = []string{"Fail", "Refund", "Refund", "Complete"}[pick%4]
		in.claim = c.held
		if in.method == "Complete" {
			in.token = "token of " + in.id
		}
	case c.tried != "" && pick < 60:
		in.method, in.claim, in.failed = "EndTry", c.tried, pick%4 > 0
	case pick < 10:
		in.method, in.sends = "SetOTP", c.last.sends
	case pick < 15:
		in.method, in.code = "DropOTP", c.last.code
	case pick < 30 && c.last.token != "":
		in.method, in.token = "End", c.last.token
	case pick < 40:
		in.method = "Session"
	case pick < 45:
		in.method = "State"
	case pick < 46:
		in.method = "Revoke"
	case pick < 60:
		in.method = "Try"
	default:
		in.method = "Claim"
		if pick%2 == 0 {
			in.repeat = c.last.repeat
		}
	}
	return in
}

// saw remembers what a call has shown.
func (c *client) saw(in input, out output) {
	switch {
	case in.method == "Session" && out.err == "ok":
		c.last = out.seen
	case in.method == "SetOTP" && out.err == "ok":
		c.last.sends++
		c.last.code = in.id
	case in.method == "Claim" && out.err == "ok":
		c.last = out.seen
		if out.seen.kind == login.View {
			c.held = in.id
		}
	case in.method == "Complete" && out.err == "ok":
		c.last = seen{kind: login.Trade, token: in.token, repeat: in.claim}
		c.held = ""
	case in.method == "Try" && out.err == "ok":
		c.tried = in.id
	case in.method == "EndTry":
		c.tried = ""
	case in.claim != "":
		c.held = ""
	}
}

// checkEvents reports calls whose event is not there though it should be, and
// events of calls that were refused.
func checkEvents(t *testing.T, s store.Store, account string, history []porcupine.Operation) {
	t.Helper()
	want := []string{"opened"}
	for _, o := range history {
		in, done := o.Input.(input), o.Output.(output).err == "ok"
		switch in.method {
		case "Fail", "Refund", "EndTry":
			want = append(want, in.id)
		case "Complete", "End", "Revoke":
			if done {
				want = append(want, in.id)
			}
		}
	}
	all, err := s.Events(t.Context(), login.EventQuery{UCC: account, N: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.RequestID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("events: got %q, want %q", got, want)
	}
}

// describe prints a history, one call a line.
func describe(history []porcupine.Operation) string {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range history {
		fmt.Fprintf(&b, "%9d to %9d ns, client %d: %v -> %+v\n", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	return b.String()
}

package storetest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"neoapi/internal/login"
)

var histories = flag.Int("storetest.histories", 50, "how many histories each linearizability test checks")

// Linearize makes clients change and read one sid at the same time, and reports
// the history if no order of its calls explains it; that as often as the flag
// -storetest.histories says. The clients share out s and the others, which are
// further handles on the same store, perhaps in other processes.
func Linearize(t *testing.T, s Store, others ...login.Sessions) {
	t.Helper()
	n := *histories
	if testing.Short() {
		n = min(n, 10)
	}
	handles := append([]login.Sessions{s}, others...)
	seed := rand.Uint64()
	for h := range n {
		sid := fmt.Sprintf("history-%d-%d", seed, h)
		v := open(t, s, sid, sid)
		history, err := record(t.Context(), v, handles, rand.New(rand.NewPCG(seed, uint64(h))))
		if err != nil {
			t.Fatalf("history %d: %v", h, err)
		}
		if result, info := porcupine.CheckOperationsVerbose(model, history, 5*time.Minute); result != porcupine.Ok {
			path := filepath.Join(t.ArtifactDir(), "history.html")
			if err := porcupine.VisualizePath(model, info, path); err != nil {
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
func record(ctx context.Context, v login.Session, handles []login.Sessions, random *rand.Rand) ([]porcupine.Operation, error) {
	begin := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	seeds := make([]uint64, clients)
	for i := range seeds {
		seeds[i] = random.Uint64()
	}
	errs := together(clients, func(i int) error {
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
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return history, nil
}

// An input is one call: of which method, and with which arguments.
type input struct {
	method string        // of login.Sessions
	id     string        // unique: the event's name, the code, or the new claim
	claim  string        // Fail, Refund, Complete
	token  string        // End; Complete: the trade token's id
	code   string        // DropOTP
	sends  int           // SetOTP
	repeat string        // Claim: the claim whose completion this repeats
	now    time.Duration // after start: Claim, Complete, Try
	failed bool          // EndTry
}

// A state is what the model knows of a sid.
type state struct {
	kind      login.SessionKind // "" when the session has ended
	tries     int
	before    int // tries that the current code replaced
	sends     int
	code      string
	claim     string
	until     time.Duration
	token     string
	repeat    string
	completed time.Duration

	failures int    // of the account's second factor
	open     string // its tries that are being judged, as text: see tries
}

// tries are open tries: when each counts as failed.
type tries map[string]time.Duration

func parseTries(text string) tries {
	open := tries{}
	for word := range strings.FieldsSeq(text) {
		id, lease, _ := strings.Cut(word, "=")
		open[id], _ = time.ParseDuration(lease)
	}
	return open
}

func (open tries) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(open)) {
		fmt.Fprintf(&b, "%s=%s ", id, open[id])
	}
	return b.String()
}

// An output is what a call gave: the name of its error and, from Session and
// Claim, the record.
type output struct {
	err string
	x   state
}

func (in input) String() string {
	return fmt.Sprintf("%s(%s claim=%s token=%s code=%s sends=%d repeat=%s now=%v)",
		in.method, in.id, in.claim, in.token, in.code, in.sends, in.repeat, in.now)
}

// do makes the call. Its error is one that the ports do not promise.
func (in input) do(ctx context.Context, s login.Sessions, v login.Session) (output, error) {
	e := newEvent(in.id, v.Account)
	var x login.Session
	var err error
	switch in.method {
	case "Session":
		x, err = s.Session(ctx, v.SID)
	case "SetOTP":
		_, err = s.SetOTP(ctx, login.NewOTP{
			SID: v.SID, Sends: in.sends, Hash: []byte(in.id), Expires: at(time.Hour), Now: at(0), PerHour: clients*callsOfClient + 1,
		})
	case "DropOTP":
		err = s.DropOTP(ctx, v.SID, []byte(in.code))
	case "Claim":
		c := newClaim(v, in.id, at(in.now))
		c.Repeat = []byte(in.repeat)
		x, err = s.Claim(ctx, c)
	case "Fail":
		err = s.Fail(ctx, v.SID, in.claim, e)
	case "Refund":
		err = s.Refund(ctx, v.SID, in.claim, e)
	case "Complete":
		t := newTrade(v, at(in.now))
		t.TradeID, t.Repeat = in.token, []byte(in.claim)
		err = s.Complete(ctx, in.claim, t, e)
	case "End":
		err = s.End(ctx, v.SID, in.token, e)
	case "EndAccount":
		err = s.EndAccount(ctx, v.Account)
	case "Try":
		err = s.Try(ctx, login.Try{Account: v.Account, Factor: login.OTP, ID: in.id, Now: at(in.now), Lease: lease})
	case "EndTry":
		err = s.EndTry(ctx, login.Try{Account: v.Account, Factor: login.OTP, ID: in.claim}, in.failed, e)
	case "State":
		var a login.AccountState
		a, err = s.State(ctx, v.Account)
		open := tries{}
		for id, lease := range a.Failures[login.OTP].Open {
			open[id] = after(lease)
		}
		if err == nil {
			return output{"ok", state{failures: a.Failures[login.OTP].Count, open: open.String()}}, nil
		}
	}
	out := output{err: errorName(err)}
	if out.err == "" {
		return out, err
	}
	if x.SID != "" {
		out.x = state{
			kind: x.Kind, tries: x.Tries, before: x.TriesBefore, sends: x.Sends, code: string(x.OTP), claim: x.ClaimID, until: after(x.ClaimUntil),
			token: x.TradeID, repeat: string(x.Repeat), completed: after(x.Completed),
		}
	}
	return out, nil
}

// after returns how long after start a time is, 0 for none.
func after(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(start)
}

// A client chooses calls, knowing what it has seen itself.
type client struct {
	view   login.Session
	name   string
	n      int
	random *rand.Rand
	held   string // a claim that it was given and has not given back
	tried  string // a try that it has not ended
	last   state  // the record as it last saw it
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
		in.method = "EndAccount"
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
		c.last = out.x
	case in.method == "SetOTP" && out.err == "ok":
		c.last.sends++
		c.last.code = in.id
	case in.method == "Claim" && out.err == "ok":
		c.last = out.x
		if out.x.kind == login.View {
			c.held = in.id
		}
	case in.method == "Complete" && out.err == "ok":
		c.last = state{kind: login.Trade, token: in.token, repeat: in.claim}
		c.held = ""
	case in.method == "Try" && out.err == "ok":
		c.tried = in.id
	case in.method == "EndTry":
		c.tried = ""
	case in.claim != "":
		c.held = ""
	}
}

// model is a sid as the ports describe it, one call after another. It knows
// nothing of how package login or a store goes about it.
var model = porcupine.Model{
	Init: func() any { return state{kind: login.View} },
	Step: func(s, in, out any) (bool, any) {
		want, next := s.(state).step(in.(input))
		return out.(output) == want, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}

// step returns what a call gives in a state, and the state after it.
func (s state) step(in input) (output, state) {
	refuse := func(err error) (output, state) { return output{err: errorName(err)}, s }
	open := s.kind == login.View
	switch in.method {
	case "Session":
		if s.kind == "" {
			return refuse(login.ErrNotFound)
		}
		return output{"ok", s.session()}, s

	case "State":
		return output{"ok", state{failures: s.failures, open: s.open}}, s

	case "SetOTP":
		switch {
		case !open:
			return refuse(login.ErrNotFound)
		case s.sends != in.sends:
			return refuse(login.ErrClaimed)
		}
		s.code, s.before, s.tries, s.sends = in.id, s.tries, 0, s.sends+1

	case "DropOTP":
		if open && s.code != "" && s.code == in.code {
			s.code, s.sends, s.tries, s.before = "", s.sends-1, s.tries+s.before, 0
		}

	case "Claim":
		switch {
		case s.kind == "":
			return refuse(login.ErrNotFound)
		case s.kind == login.Trade && s.tries < maxTries && s.repeat == in.repeat && in.now-s.completed <= repeatFor:
			return output{"ok", s.session()}, s
		case s.kind == login.Trade:
			s.tries = min(s.tries+1, maxTries)
			return refuse(login.ErrNotFound)
		case s.claim != "" && in.now < s.until:
			return refuse(login.ErrClaimed)
		case s.failures >= lockAfter:
			return refuse(login.ErrLocked)
		case s.tries >= maxTries:
			return refuse(login.ErrTriesUsed)
		}
		// A claim that is not given saves nothing, not even that leases have run out.
		tried, err := s.try(in)
		if err != nil {
			return refuse(err)
		}
		s = tried
		s.tries, s.claim, s.until = s.tries+1, in.id, in.now+lease
		return output{"ok", s.session()}, s

	case "Fail", "Refund", "Complete":
		lost := !open || s.claim != in.claim
		if in.method != "Complete" || !lost {
			s = s.endTry(in.claim, in.method == "Fail")
		}
		if lost {
			return refuse(login.ErrClaimLost)
		}
		s.claim, s.until = "", 0
		switch in.method {
		case "Refund":
			s.tries = max(0, s.tries-1)
		case "Complete":
			s = state{kind: login.Trade, token: in.token, repeat: in.claim, completed: in.now, open: s.open}
		}

	case "End":
		if s.kind != login.Trade || s.token != in.token {
			return refuse(login.ErrNotFound)
		}
		s = state{failures: s.failures, open: s.open}

	case "EndAccount":
		s = state{failures: s.failures, open: s.open}

	case "Try":
		var err error
		if s, err = s.try(in); err != nil {
			return refuse(err)
		}

	case "EndTry":
		s = s.endTry(in.claim, in.failed)
	}
	return output{err: "ok"}, s
}

// lockAfter is when a factor locks: for longer than a history's times reach.
const lockAfter = 10

// session is what the session's record shows of a state.
func (s state) session() state {
	s.failures, s.open = 0, ""
	return s
}

// try counts a try of the account's second factor.
func (s state) try(in input) (state, error) {
	open := parseTries(s.open)
	for id, lease := range open {
		if lease > 0 && in.now >= lease {
			s.failures++
		}
		if in.now >= lease { // or it was refused
			delete(open, id)
		}
	}
	var err error
	switch {
	case s.failures >= lockAfter:
		err = login.ErrLocked
	case s.failures+len(open) >= lockAfter:
		err = login.ErrClaimed
	}
	open[in.id] = 0
	if err == nil {
		open[in.id] = in.now + lease
	}
	s.open = open.String()
	return s, err
}

// endTry ends a try if it is open.
func (s state) endTry(id string, failed bool) state {
	open := parseTries(s.open)
	if open[id] > 0 && failed {
		s.failures++
	}
	delete(open, id)
	s.open = open.String()
	return s
}

// checkEvents reports calls whose event is not there though it should be, and
// events of calls that were refused.
func checkEvents(t *testing.T, s Store, account string, history []porcupine.Operation) {
	t.Helper()
	want := []string{"opened " + account}
	for _, o := range history {
		in, done := o.Input.(input), o.Output.(output).err == "ok"
		switch in.method {
		case "Fail", "Refund", "EndTry":
			want = append(want, in.id)
		case "Complete", "End":
			if done {
				want = append(want, in.id)
			}
		}
	}
	got := eventNames(t, s, account)
	slices.Sort(got)
	slices.Sort(want)
	same(t, "events", got, want)
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

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neoapi/internal/limit"
	"neoapi/internal/login"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
)

// now is when every test happens.
var now = time.Date(2026, time.March, 2, 9, 15, 0, 0, time.UTC)

func view(sid string) login.Session {
	return login.Session{
		SID: sid, Kind: login.View, Account: "account of " + sid, Consumer: "consumer", Incarnation: "incarnation", First: login.Password,
		ViewID: "view", Issued: now, Expires: now.Add(time.Hour),
	}
}

func event(sid, action string) login.Event {
	return login.Event{Time: now, Action: action, Account: "account of " + sid, UCC: sid, SID: sid}
}

// A step is one of those that make a login, on the session of a sid.
type step struct {
	name      string
	questions int // to the database, of which the last one changes something
	do        func(ctx context.Context, s *postgres.Store, sid string) error
}

var steps = []step{
	{"Try", 2, func(ctx context.Context, s *postgres.Store, sid string) error {
		return s.Try(ctx, login.Try{Account: "account of " + sid, Factor: login.Password, ID: "try", Now: now, Lease: time.Minute})
	}},
	{"OpenView", 2, func(ctx context.Context, s *postgres.Store, sid string) error {
		return s.OpenView(ctx, view(sid), 0, "try", event(sid, "OpenView"))
	}},
	{"SetOTP", 2, func(ctx context.Context, s *postgres.Store, sid string) error {
		_, err := s.SetOTP(ctx, login.NewOTP{SID: sid, Hash: []byte("code"), Expires: now.Add(time.Minute), Now: now, PerHour: 10})
		return err
	}},
	{"Claim", 2, func(ctx context.Context, s *postgres.Store, sid string) error {
		v := view(sid)
		_, _, err := s.Claim(ctx, login.Claim{
			SID: sid, Account: v.Account, Consumer: v.Consumer, Incarnation: v.Incarnation, ViewID: v.ViewID, ID: "claim", Now: now, Lease: time.Minute, MaxTries: 3,
		})
		return err
	}},
	{"Complete", 2, func(ctx context.Context, s *postgres.Store, sid string) error {
		x := view(sid)
		x.Kind, x.TradeID = login.Trade, "trade"
		return s.Complete(ctx, "claim", x, event(sid, "Complete"))
	}},
	{"Take", 2, func(ctx context.Context, s *postgres.Store, sid string) error {
		_, err := s.Take(ctx, sid, limit.Rate{N: 10, Per: time.Hour}, 1, now)
		return err
	}},
	{"Record", 1, func(ctx context.Context, s *postgres.Store, sid string) error {
		return s.Record(ctx, event(sid, "Record"))
	}},
	{"End", 1, func(ctx context.Context, s *postgres.Store, sid string) error {
		return s.End(ctx, sid, "trade", event(sid, "End"))
	}},
}

// trace is all that a login has left.
type trace struct {
	session login.Session
	state   login.AccountState
	events  string
	taken   time.Duration
}

func traceOf(t *testing.T, s *postgres.Store, sid string) string {
	t.Helper()
	var x trace
	var err error
	if x.session, err = s.Session(t.Context(), sid); err != nil && !errors.Is(err, login.ErrNotFound) {
		t.Fatal(err)
	}
	if x.state, err = s.State(t.Context(), "account of "+sid); err != nil {
		t.Fatal(err)
	}
	all, err := s.Events(t.Context(), login.EventQuery{UCC: sid, N: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		x.events += e.Action + " "
	}
	if x.taken, err = s.Take(t.Context(), sid, limit.Rate{N: 1, Per: time.Hour}, 0, now); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v", x)
}

// likeOther checks that one login has left what the other has.
func likeOther(t *testing.T, s *postgres.Store, when string) {
	t.Helper()
	if got, want := traceOf(t, s, "login"), strings.ReplaceAll(traceOf(t, s, "other"), "other", "login"); got != want {
		t.Errorf("%s:\n%s, want\n%s", when, got, want)
	}
}

// take takes steps of a login.
func take(t *testing.T, s *postgres.Store, sid string, steps ...step) {
	t.Helper()
	for _, step := range steps {
		if err := step.do(t.Context(), s, sid); err != nil {
			t.Fatalf("%s of %s: %v", step.name, sid, err)
		}
	}
}

// withConsumer returns the store with the consumer of view's sessions in it.
func withConsumer(t *testing.T, s *postgres.Store) *postgres.Store {
	t.Helper()
	c := login.Consumer{Key: view("").Consumer, Incarnation: view("").Incarnation, SecretHash: []byte("secret"), Created: now}
	if err := s.AddConsumer(t.Context(), c, event("", "consumer added")); err != nil && !errors.Is(err, login.ErrExists) {
		t.Fatal(err)
	}
	return s
}

// openProxied opens the store by so many connections through a proxy.
func openProxied(t *testing.T, connections int) (p *pgtest.Proxy, s *postgres.Store, direct string) {
	t.Helper()
	direct = pgtest.Database(t)
	p, url := pgtest.NewProxy(t, direct)
	return p, withConsumer(t, openAt(t, fmt.Sprintf("%s&pool_max_conns=%d", url, connections))), direct
}

// once plans one fault, for the question after so many, and sees to it that it happens.
func once(t *testing.T, p *pgtest.Proxy, f pgtest.Fault, after int) {
	t.Helper()
	var questions atomic.Int64
	p.SetPlan(func() pgtest.Fault {
		if questions.Add(1) == int64(after)+1 {
			return f
		}
		return pgtest.Pass
	})
	t.Cleanup(func() {
		if n := questions.Load(); n <= int64(after) {
			t.Errorf("%d questions, and a fault was planned after %d", n, after)
		}
	})
}

func TestStep_whoseAnswerIsLostIsAnErrorAndHasHappenedOnce(t *testing.T) {
	p, s, _ := openProxied(t, 1)
	for _, step := range steps {
		take(t, s, "other", step) // shows what must have happened
		once(t, p, pgtest.CutAfter, step.questions-1)
		if err := step.do(t.Context(), s, "login"); err == nil {
			t.Errorf("%s says that it is done, and nobody could know", step.name)
		}
		likeOther(t, s, "after "+step.name)
	}
}

func TestStep_thatDoesNotArriveIsAnErrorAndHasNotHappened(t *testing.T) {
	p, s, _ := openProxied(t, 1)
	for _, step := range steps {
		take(t, s, "other", step)
		before := traceOf(t, s, "login")
		once(t, p, pgtest.CutBefore, step.questions-1)
		if err := step.do(t.Context(), s, "login"); err == nil {
			t.Errorf("%s says that it is done, and it never arrived", step.name)
		}
		if got := traceOf(t, s, "login"); got != before {
			t.Errorf("after %s:\n%s, want\n%s", step.name, got, before)
		}
		if err := step.do(t.Context(), s, "login"); err != nil {
			t.Errorf("%s, once more: %v", step.name, err)
		}
	}
	likeOther(t, s, "in the end")
}

func TestConnections_brokenBeforeAChangeAreReplacedQuietly(t *testing.T) {
	for _, f := range []pgtest.Fault{pgtest.CutBefore, pgtest.CutAfter} {
		p, s, _ := openProxied(t, 1)
		for _, step := range steps {
			take(t, s, "other", step)
			if step.questions > 1 {
				once(t, p, f, 0)
			}
			take(t, s, "login", step)
		}
		likeOther(t, s, "in the end")
	}
}

// Whatever happens to a session between the two questions of an operation, the
// operation sees it.
func TestSession_thatEndsBetweenLoadingAndSavingIsNotSaved(t *testing.T) {
	for name, end := range map[string]func(s *postgres.Store) error{
		"Revoke": func(s *postgres.Store) error { return s.Revoke(t.Context(), "account of login", "", login.Event{}) },
		"Sweep": func(s *postgres.Store) error {
			n, err := s.Sweep(t.Context(), now.Add(time.Hour), 10)
			if err == nil && n == 0 {
				err = errors.New("nothing was swept")
			}
			return err
		},
		"RemoveAccount": func(s *postgres.Store) error {
			a := login.Account{ID: "account of login", UCC: "U", UserID: "u", Mobile: "m"}
			return errors.Join(s.AddAccount(t.Context(), a, login.Event{}), s.RemoveAccount(t.Context(), a.ID, login.Event{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, s, url := openProxied(t, 1)
			direct := openAt(t, url)
			take(t, s, "login", steps[:4]...)
			var questions atomic.Int64
			loaded, ended := make(chan struct{}), make(chan struct{})
			p.SetPlan(func() pgtest.Fault {
				if questions.Add(1) == 2 {
					close(loaded)
					<-ended
				}
				return pgtest.Pass
			})
			completed := make(chan error, 1)
			go func() { completed <- steps[4].do(t.Context(), s, "login") }()
			<-loaded
			if err := end(direct); err != nil {
				t.Error(err)
			}
			close(ended)
			if err := <-completed; err == nil { // claim lost, or too late on a machine that stood still
				t.Error("Complete says that it is done")
			}
			if got := traceOf(t, direct, "login"); strings.Contains(got, "OpenView Complete") || strings.Contains(got, "TradeID:trade") {
				t.Errorf("left is %s", got)
			}
		})
	}
}

// A login that is stored while Revoke waits for it is before it.
func TestSession_storedWhileAllAreEndedIsEndedToo(t *testing.T) {
	url := pgtest.Database(t)
	s := withConsumer(t, openAt(t, url))
	take(t, s, "first", steps[:2]...)
	tx, err := raw(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE account_states SET version = version + 1`,
		`INSERT INTO sessions OVERRIDING USER VALUE SELECT (jsonb_populate_record(sessions, '{"sid": "second"}')).* FROM sessions`,
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Revoke(t.Context(), "account of first", "", login.Event{}) }()
	someoneWaits(t, url)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, sid := range []string{"first", "second"} {
		if _, err := s.Session(t.Context(), sid); !errors.Is(err, login.ErrNotFound) {
			t.Errorf("the %s session: %v", sid, err)
		}
	}
}

// everyStep runs all steps at once, each on a login of its own, and returns their
// errors.
func everyStep(ctx context.Context, s *postgres.Store, sid string) []error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i, step := range steps {
		all.Go(func() { errs[i] = step.do(ctx, s, fmt.Sprint(sid, step.name)) })
	}
	all.Wait()
	return errs
}

// until runs f until it gives no error, and ends the test if that takes too long.
func until(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// someoneWaits returns when a connection to the database waits for a lock.
func someoneWaits(t *testing.T, url string) {
	t.Helper()
	look := raw(t, url)
	until(t, func() error {
		var waiting bool
		err := look.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err == nil && !waiting {
			err = errors.New("nobody waits")
		}
		return err
	})
}

// security.md R1: no call waits for a database that does not answer, and security.md R4: it works
// again when the database does.
func TestDatabase_thatHangsIsGivenUpAndUsedAgain(t *testing.T) {
	t.Parallel()
	p, s, _ := openProxied(t, 3)
	everyStep(t.Context(), s, "before ") // all connections are open
	p.Set(pgtest.Weather{Silent: true})
	for i, err := range everyStep(context.WithoutCancel(t.Context()), s, "during ") { // without a deadline of their own
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got error %v", steps[i].name, err)
		}
	}
	if _, err := s.ListAccounts(shortly(t), "", 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a list: got error %v", err)
	}
	p.Set(pgtest.Weather{})
	back := time.Now()
	until(t, func() error { return steps[0].do(t.Context(), s, "after") })
	if took := time.Since(back); took > 10*time.Second { // closing a connection that is silent takes 15 s
		t.Errorf("it works again %s after the database does", took)
	}
	take(t, s, "login", steps...)
}

// shortly returns a context that ends soon.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestDatabase_thatCrashesIsUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	c := pgtest.Private(t)
	s := withConsumer(t, openAt(t, c.URL("postgres")))
	for i, end := range []func() error{c.Crash, c.Stop} {
		take(t, s, fmt.Sprint("before ", i), steps...)
		everyStep(t.Context(), s, fmt.Sprint("at once ", i)) // many connections are open
		if err := end(); err != nil {
			t.Fatal(err)
		}
		for j, err := range everyStep(t.Context(), s, fmt.Sprint("during ", i)) {
			if err == nil {
				t.Errorf("%s worked without a database", steps[j].name)
			}
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, func() error { return s.Record(t.Context(), event("after", "back")) })
		take(t, s, fmt.Sprint("after ", i), steps...)
		if got := traceOf(t, s, fmt.Sprint("before ", i)); !strings.Contains(got, "Complete Record End") {
			t.Errorf("what was stored is gone: %s", got)
		}
	}
}

func TestConnections_thatTheServerEndsAreReplaced(t *testing.T) {
	url := pgtest.Database(t)
	s := withConsumer(t, openAt(t, url))
	for i := range 5 {
		everyStep(t.Context(), s, fmt.Sprint("at once ", i))
		query(t, url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		for _, step := range steps {
			if step.questions == 1 { // it cannot tell whether it was done
				until(t, func() error { return step.do(t.Context(), s, fmt.Sprint("login ", i)) })
			} else if err := step.do(t.Context(), s, fmt.Sprint("login ", i)); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	}
}

// Somebody else's lock, such as a table's that is being changed by hand.
func TestCall_waitingForALockEndsWithItsContextOrInTime(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := withConsumer(t, openAt(t, url))
	other := raw(t, url)
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE account_states`); err != nil {
		t.Fatal(err)
	}
	if err := steps[0].do(shortly(t), s, "login"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want that of the context", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := steps[0].do(cancelled, s, "login"); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that of the context", err)
	}
	if err := steps[0].do(t.Context(), s, "login"); err == nil {
		t.Error("a call has passed a lock")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	take(t, s, "login", steps...)
}

func TestConnections_outliveAContextThatEnds(t *testing.T) {
	url := pgtest.Database(t)
	s := withConsumer(t, openAt(t, url+"&pool_max_conns=1"))
	take(t, s, "first", steps...)
	pid := func() (pid int) {
		err := raw(t, url).QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'neo'`).Scan(&pid)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	for round := 1; ; round++ { // a machine that stands still can be why it was given up
		before := pid()
		for i := range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(i)*time.Microsecond, cancel)
			_ = s.Record(ctx, event("cancelled", "Record"))
			cancel()
		}
		take(t, s, fmt.Sprint("login ", round), steps...)
		if pid() == before {
			return
		}
		if round == 5 {
			t.Fatal("the connection is another, each time")
		}
	}
}

func TestClose_leavesNothingBehind(t *testing.T) {
	url := pgtest.Database(t)
	before := goleak.IgnoreCurrent()
	for range 3 {
		s, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		everyStep(t.Context(), s, "login ")
		_, _ = s.Session(shortly(t), "sid")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := postgres.Open(t.Context(), url+"&dbname=nowhere"); err == nil {
			t.Fatal("opened what does not exist")
		}
	}
	goleak.VerifyNone(t, before)
}

package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store/sqlite"
)

var kills = flag.Int("sqlite.kills", 5, "how often the process is killed that writes to the database")

// A life is what a crashing process does with one sid, step by step. Each step
// is acknowledged by a line with the sid and the number of steps so far.
var life = []struct {
	name  string
	event bool // the step stores one
	do    func(ctx context.Context, s *sqlite.Store, v login.Session, e login.Event) error
}{
	{"open", true, func(ctx context.Context, s *sqlite.Store, v login.Session, e login.Event) error {
		return s.OpenView(ctx, v, totpStep, "", e)
	}},
	{"code", false, func(ctx context.Context, s *sqlite.Store, v login.Session, _ login.Event) error {
		_, err := s.SetOTP(ctx, login.NewOTP{
			SID: v.SID, Hash: []byte("code"), Expires: v.Expires, Now: v.Issued, PerHour: 1,
		})
		return err
	}},
	{"claim", false, func(ctx context.Context, s *sqlite.Store, v login.Session, _ login.Event) error {
		_, _, err := s.Claim(ctx, claimOf(v, "wrong", 3))
		return err
	}},
	{"fail", true, func(ctx context.Context, s *sqlite.Store, v login.Session, e login.Event) error {
		return s.Fail(ctx, v.SID, "wrong", e)
	}},
	{"claim again", false, func(ctx context.Context, s *sqlite.Store, v login.Session, _ login.Event) error {
		_, _, err := s.Claim(ctx, claimOf(v, "right", 3))
		return err
	}},
	{"complete", true, func(ctx context.Context, s *sqlite.Store, v login.Session, e login.Event) error {
		return s.Complete(ctx, "right", tradeOf(v), e)
	}},
	{"end", true, func(ctx context.Context, s *sqlite.Store, v login.Session, e login.Event) error {
		return s.End(ctx, v.SID, "trade of "+v.SID, e)
	}},
}

const totpStep = 59_081_400

func viewOf(sid string) login.Session {
	now := time.Date(2026, time.March, 2, 9, 15, 0, 0, time.UTC)
	return login.Session{
		SID: sid, RID: "rid", Kind: login.View, Account: sid, UCC: sid, Consumer: "consumer", Incarnation: "incarnation", First: login.TOTP,
		ViewID: "view of " + sid, KeyID: "key", Issued: now, Expires: now.Add(time.Hour),
	}
}

func claimOf(v login.Session, id string, tries int) login.Claim {
	return login.Claim{
		SID: v.SID, Account: v.Account, Consumer: v.Consumer, Incarnation: v.Incarnation, ViewID: v.ViewID, ID: id,
		Now: v.Issued, Lease: time.Minute, MaxTries: tries, RepeatFor: time.Minute,
	}
}

func tradeOf(v login.Session) login.Session {
	v.Kind, v.TradeID, v.Home = login.Trade, "trade of "+v.SID, "server1"
	return v
}

func eventOf(sid string, steps int) login.Event {
	return login.Event{Time: viewOf(sid).Issued, Action: life[steps-1].name, Account: sid, UCC: sid, SID: sid}
}

// workUntilKilled lives one life after another in several goroutines and prints
// each step that the store has acknowledged.
func workUntilKilled(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	c := login.Consumer{Key: viewOf("").Consumer, Incarnation: viewOf("").Incarnation, SecretHash: []byte("secret")}
	if err := s.AddConsumer(context.Background(), c, login.Event{}); err != nil && !errors.Is(err, login.ErrExists) {
		return err
	}
	errs := make(chan error)
	for worker := range 3 {
		go func() {
			for i := 0; ; i++ {
				sid := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				for step := range life {
					if err := life[step].do(context.Background(), s, viewOf(sid), eventOf(sid, step+1)); err != nil {
						errs <- fmt.Errorf("%s: %w", life[step].name, err)
						return
					}
					if _, err := fmt.Fprintf(os.Stdout, "%s %d\n", sid, step+1); err != nil { // one write: never half a line
						errs <- err
						return
					}
					if step == 5 && i%3 == 0 { // some stay
						break
					}
				}
			}
		}()
	}
	return <-errs
}

// What was acknowledged survives kill -9 at any moment (security.md R2).
func TestKill_losesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	acknowledged := map[string]int{}
	n := *kills
	if testing.Short() {
		n = 2
	}
	for range n {
		fresh := killOnce(t, path)
		checkDatabase(t, path, fresh)
		for sid, steps := range fresh {
			acknowledged[sid] = steps
		}
	}
	t.Logf("%d kills, %d sessions", n, len(acknowledged))
	checkLives(t, openAt(t, path), acknowledged) // no later round has undone anything
}

// killOnce lets a process work on the database, kills it at a random moment and
// returns how many steps of each sid it had acknowledged.
func killOnce(t *testing.T, path string) map[string]int {
	t.Helper()
	cmd := processes.Command(t.Context(), "crash", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]int{}
	lines := bufio.NewScanner(out)
	killAfter := 1 + rand.IntN(80)
	for n := 1; lines.Scan(); n++ {
		sid, steps, _ := strings.Cut(lines.Text(), " ")
		if acknowledged[sid], err = strconv.Atoi(steps); err != nil {
			t.Fatalf("line %q", lines.Text())
		}
		if n == killAfter {
			time.AfterFunc(rand.N(3*time.Millisecond), func() { _ = cmd.Process.Kill() }) // in the middle of something
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the process was not killed: %v", err)
	}
	return acknowledged
}

// checkDatabase opens what a killed process has left and looks at every life.
func checkDatabase(t *testing.T, path string, acknowledged map[string]int) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	checkLives(t, s, acknowledged)
	var verdict string
	beside := raw(t, path)
	if err := beside.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
	if err := beside.Close(); err != nil { // before the store, which would take its locks away
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// checkLives holds each life against what was acknowledged of it: no step is
// missing, and at most one more was under way.
func checkLives(t *testing.T, s *sqlite.Store, acknowledged map[string]int) {
	t.Helper()
	for sid, want := range acknowledged {
		got := stepsOf(t, s, sid, want)
		if got != want && got != want+1 {
			t.Errorf("%s: %d steps were acknowledged, and %d are stored", sid, want, got)
			continue
		}
		var events []string
		for i, step := range life[:got] {
			if step.event {
				events = append(events, life[i].name)
			}
		}
		stored, err := s.Events(t.Context(), login.EventQuery{UCC: sid, N: 10})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range stored {
			names = append(names, e.Action)
		}
		if strings.Join(names, ",") != strings.Join(events, ",") {
			t.Errorf("%s: events %v are stored after %d steps, want %v", sid, names, got, events)
		}
		checkRefusals(t, s, sid, got)
	}
}

// stepsOf returns how many steps of a life are stored.
func stepsOf(t *testing.T, s *sqlite.Store, sid string, acknowledged int) int {
	t.Helper()
	x, err := s.Session(t.Context(), sid)
	if errors.Is(err, login.ErrNotFound) {
		if acknowledged < 6 {
			return 0 // it cannot have ended
		}
		return 7
	}
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case x.Kind == login.Trade && x.TradeID == "trade of "+sid && len(x.OTP) == 0:
		return 6
	case x.Kind == login.View && x.Tries == 2 && x.ClaimID == "right" && x.Sends == 1:
		return 5
	case x.Kind == login.View && x.Tries == 1 && x.ClaimID == "" && x.Sends == 1:
		return 4
	case x.Kind == login.View && x.Tries == 1 && x.ClaimID == "wrong" && x.Sends == 1:
		return 3
	case x.Kind == login.View && x.Tries == 0 && x.ClaimID == "" && string(x.OTP) == "code" && x.Sends == 1:
		return 2
	case x.Kind == login.View && x.Tries == 0 && x.ClaimID == "" && len(x.OTP) == 0 && x.Sends == 0:
		return 1
	}
	t.Errorf("%s: no step of its life leaves it like this: %+v", sid, x)
	return -1
}

// checkRefusals tries what must not work again. It changes nothing.
func checkRefusals(t *testing.T, s *sqlite.Store, sid string, steps int) {
	t.Helper()
	v := viewOf(sid)
	again := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s after %d steps: %s gave %v, want %q", sid, steps, what, err, want)
		}
	}
	if steps >= 1 {
		other := viewOf(sid)
		other.SID += " again"
		again("the used TOTP code", s.OpenView(t.Context(), other, totpStep, "", eventOf(sid, 1)), login.ErrStepUsed)
	}
	if steps == 4 {
		_, _, err := s.Claim(t.Context(), claimOf(v, "again", 1))
		again("a try beyond the last", err, login.ErrTriesUsed)
	}
	if steps >= 6 {
		_, _, err := s.Claim(t.Context(), claimOf(v, "again", 3))
		again("the used code", err, login.ErrNotFound)
		again("a second completion", s.Complete(t.Context(), "right", tradeOf(v), eventOf(sid, 6)), login.ErrClaimLost)
	}
	if steps == 7 {
		again("a second end", s.End(t.Context(), sid, "trade of "+sid, eventOf(sid, 7)), login.ErrNotFound)
	}
}

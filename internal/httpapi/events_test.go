package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/login"
	"neoapi/internal/store"
	"neoapi/neoapitest"
)

// lines are a service's log in JSON. It is whole when the service has stopped.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// audited returns the events that the log tells of.
func (l *lines) audited(t *testing.T) (all []login.Event) {
	t.Helper()
	for line := range strings.Lines(l.text.String()) {
		var e struct {
			Time                                      time.Time
			Level, Msg                                string
			Action, Outcome, UCC, Account             string
			Consumer, SID, Address, Factor, RequestID string
		}
		d := json.NewDecoder(strings.NewReader(strings.Replace(line, `"request_id"`, `"RequestID"`, 1)))
		if !strings.Contains(line, `"msg":"audit"`) {
			continue
		}
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil || e.Level != "INFO" {
			t.Errorf("%v: %s", err, line)
		}
		all = append(all, login.Event{
			Action: e.Action, Outcome: e.Outcome, UCC: e.UCC, Account: e.Account, Factor: login.Factor(e.Factor),
			Consumer: e.Consumer, SID: e.SID, Address: e.Address, RequestID: e.RequestID,
		})
	}
	return all
}

// sameEvents checks that each event of a request that is stored has been logged
// once.
func sameEvents(t *testing.T, store store.Store, logged []login.Event) {
	t.Helper()
	byContent := func(a, b login.Event) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	var stored []login.Event
	for _, e := range events(t, store, 0) {
		if slices.Contains([]string{"access token", "login", "otp", "second factor", "logout"}, e.Action) {
			e.Seq, e.Time = 0, time.Time{}
			stored = append(stored, e)
		}
	}
	slices.SortFunc(stored, byContent)
	slices.SortFunc(logged, byContent)
	if len(stored) == 0 {
		t.Error("no event was stored")
	}
	if diff := cmp.Diff(stored, logged); diff != "" {
		t.Errorf("-stored +logged:\n%s", diff)
	}
}

func TestAudit_hasEachLoginOfAnAddressThatMustWait(t *testing.T) {
	t.Parallel()
	c := newHouse(t, neoapitest.WithAccounts(1), neoapitest.WithAddressRate(2))
	x := &trail{store: c.data.Store}
	x.next(t, 1)
	login := func(user, password string) reply {
		return c.post(t, validatePath, object("userid", user, "password", password))
	}
	login("nobody", "wrong-password").refused(t, 401, "10020")
	login("testuser000001", "wrong-password").refused(t, 401, "10020")
	login(c.Account.UserID, c.Account.Password).refused(t, 429, "900807")
	late := login("nobody", "wrong-password")
	late.refused(t, 429, "900807")
	c.Advance(late.retryAfter(t))
	login(c.Account.UserID, c.Account.Password).session(t)
	var got []string
	for _, e := range x.next(t, 5) {
		got = append(got, e.Outcome+" "+e.UCC+" "+e.Address)
	}
	const waits = "too many wrong ones from this address  127.0.0.1"
	want := []string{"refused  127.0.0.1", "refused TEST000001 127.0.0.1", waits, waits, "ok TESTYA24 127.0.0.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAudit_hasNoEventOfOverload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log lines
	t.Run("storm", func(t *testing.T) {
		c := houseIn(t, dir, neoapitest.WithLog(slog.NewJSONHandler(&log, nil)))
		x := &trail{store: c.data.Store}
		x.next(t, 1)
		const storm = 300
		n := map[int]int{}
		together(storm, func(int) reply {
			return c.post(t, validatePath, object("userid", "nobody", "password", "wrong-password"))
		}, func(r reply) { n[r.status]++ })
		if n[401] == 0 || n[503] == 0 || n[401]+n[503] != storm {
			t.Errorf("statuses %v: no storm that the service could not take", n)
		}
		// A login whose time ran out between its turn and its count is none that was judged.
		got := outcomes(x.next(t, n[401]), "login")
		delete(got, "not judged")
		if got["refused"] != n[401] || len(got) != 1 {
			t.Errorf("%d logins were judged, events: %v", n[401], got)
		}
	})
	sameEvents(t, openStore(t, dir), log.audited(t))
}

func TestAudit_hasEachOfManyRequestsForACode(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	x := &trail{store: c.data.Store}
	view := c.login(t)
	x.next(t, 1)
	const many = 30
	statuses := make(chan int)
	writersWait(t, c.dir, func() { // so that all of them find the login without a code
		for range many {
			go func() { statuses <- c.askOTP(t, view, view.pairs()...).status }()
		}
	})
	n := map[int]int{}
	for range many {
		n[<-statuses]++
	}
	got := outcomes(x.next(t, many), "otp")
	if n[201] != 1 || n[429] != many-1 || got["ok"] != 1 || got["asked again too soon"] != many-1 || len(got) != 2 {
		t.Errorf("statuses %v, events %v", n, got)
	}
}

// Without couriers, too, the event says whose login it is.
func TestAudit_hasEachCodeAskedForWithoutCourier(t *testing.T) {
	t.Parallel()
	c := realService(t)
	view := c.login(t)
	x := &trail{store: c.data.Store}
	x.next(t, 2)
	c.post(t, otpPath, object("userId", "3b0bd1b4-7a3f-4b5a-9a0e-0d3a41d7b2a1")).refused(t, 500, "10522")
	c.askOTP(t, view).refused(t, 500, "10522")
	c.askOTP(t, view, view.pairs()...).refused(t, 500, "10522")
	got := x.next(t, 3)
	if n := outcomes(got, "otp"); len(got) != 3 || n["no courier"] != 3 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []login.Event{{}, {UCC: c.Account.UCC, Account: c.demo(t).ID, SID: view.SID}, {UCC: c.Account.UCC, Account: c.demo(t).ID, SID: view.SID}} {
		if e := got[i]; e.UCC != want.UCC || e.Account != want.Account || e.SID != want.SID {
			t.Errorf("event %d is %+v", i+1, e)
		}
	}
}

// A client that ends its side of the connection at once still reads the answer:
// its tries must not go unrecorded.
func TestAudit_hasTheEventOfAClientThatHasLeft(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	x := &trail{store: c.data.Store}
	view := c.login(t)
	head := func(path, who, body string, pairs ...string) string {
		return written("POST", path, body, append(pairs, "Authorization", who, "Content-Type", "application/json")...)
	}
	for name, request := range map[string]string{
		"access token":  head(tokenPath, basic(c.ConsumerKey, "a wrong secret"), grantBody),
		"second factor": head(validatePath, c.who, object("otp", "123456"), "Sid", view.SID, "Auth", forged(view.Token)),
	} {
		t.Run(name, func(t *testing.T) {
			c.Advance(time.Second) // the service has to read the consumer again
			x.next(t, 0)
			answers := make(chan []reply, 1)
			writersWait(t, c.dir, func() { go func() { answers <- raw(t, c.Server, request, true) }() })
			for _, r := range <-answers {
				r.want(t, 401)
			}
			if got := outcomes(x.next(t, 1), name); got["refused"]+got["token refused"] != 1 || len(got) != 1 {
				t.Errorf("events: %v", got)
			}
		})
	}
	t.Run("login", func(t *testing.T) {
		account := c.demo(t)
		for range 5 {
			x.next(t, 0)
			conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, head(validatePath, c.who, object("userid", c.Account.UserID, "password", "wrong-password"))); err != nil {
				t.Fatal(err)
			}
			for open := false; !open; { // until the try is being judged
				state, err := x.store.State(t.Context(), account.ID)
				if err != nil {
					t.Fatal(err)
				}
				open = len(state.Failures[login.Password].Open) > 0 || len(events(t, x.store, x.last)) > 0
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if got := outcomes(x.next(t, 1), "login"); got["refused"] != 1 || len(got) != 1 {
				t.Fatalf("events: %v", got)
			}
		}
	})
}

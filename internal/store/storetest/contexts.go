package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"neoapi/internal/limit"
	"neoapi/internal/login"
	"neoapi/internal/store"
)

// A call is one method of a store with arguments that it accepts.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// A prepared store is one in which each method but Close succeeds once, in the order of
// its calls.
type prepared struct {
	s       store.Store
	free    login.Session            // nobody has claimed it
	held    map[string]login.Session // that are claimed
	trade   login.Session
	claimed []login.Job
	event   login.Event
}

func prepare(t *testing.T, s store.Store) prepared {
	t.Helper()
	add(t, s, newAccount(1), newAccount(2), newAccount(5))
	good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
	open(t, s, "code", "account-1")
	open(t, s, "drop", "account-2")
	put(t, s, newCode("drop", 0, at(0)))
	expired := newView("expired", "account-4")
	expired.Expires = at(-time.Hour)
	good(t, s.OpenView(t.Context(), expired, 0, "try", newEvent("opened", "account-4")))
	x := prepared{s: s, free: open(t, s, "claim", "account-1"), held: map[string]login.Session{}, event: newEvent("call", "account-1")}
	for _, sid := range []string{"fail", "refund", "complete"} {
		x.held[sid] = open(t, s, sid, "account-1")
		claim(t, s, newClaim(x.held[sid], "claim", at(0)))
	}
	x.trade = trade(t, s, "end", "account-1")
	trade(t, s, "revoke", "account-1")
	for _, id := range []string{"put off", "end"} {
		good(t, s.AddJob(t.Context(), login.Job{ID: id, Kind: "claimed", SID: "sid", Account: "account-1", Created: at(0), Expires: at(time.Hour)}))
	}
	claimed, err := s.ClaimJobs(t.Context(), newJobClaim("claimed", "held", at(0)))
	good(t, err)
	x.claimed = claimed
	return x
}

// everyCall prepares a store and returns the calls of all its methods, in their order, and
// the sids that they touch.
func everyCall(t *testing.T, s store.Store) (calls []call, sids []string) {
	t.Helper()
	x := prepare(t, s)
	return slices.Concat(x.directory(), x.keysAndTrail(), x.sessions(), x.jobsAndNames()),
		[]string{"new", "code", "drop", "claim", "fail", "refund", "complete", "end", "expired", "revoke"}
}

// only is a call's error without its result.
func only[T any](_ T, err error) error { return err }

// only2 is only for a call of two results.
func only2[T, U any](_ T, _ U, err error) error { return err }

// directory are the calls about accounts and consumers.
func (x prepared) directory() []call {
	return []call{
		{"Account", func(ctx context.Context) error { return only(x.s.Account(ctx, byID(1))) }},
		{"AddAccount", func(ctx context.Context) error { return x.s.AddAccount(ctx, newAccount(3), x.event) }},
		{"SetHash", func(ctx context.Context) error {
			return x.s.SetHash(ctx, newAccount(1).ID, login.Password, newAccount(1).PasswordHash, "new")
		}},
		{"RemoveAccount", func(ctx context.Context) error { return x.s.RemoveAccount(ctx, newAccount(2).ID, x.event) }},
		{"ListAccounts", func(ctx context.Context) error { return only(x.s.ListAccounts(ctx, "", 10)) }},
		{"Consumer", func(ctx context.Context) error { return only(x.s.Consumer(ctx, "consumer-1")) }},
		{"AddConsumer", func(ctx context.Context) error { return x.s.AddConsumer(ctx, newConsumer("consumer-2"), x.event) }},
		{"ChangeConsumer", func(ctx context.Context) error {
			return x.s.ChangeConsumer(ctx, "consumer-1", x.event, func(c *login.Consumer) error { c.Rate = 5; return nil })
		}},
		{"ChangeAccount", func(ctx context.Context) error {
			return x.s.ChangeAccount(ctx, newAccount(1).ID, x.event, func(a *login.Account) (bool, error) { a.MPINHash = "new"; return true, nil })
		}},
		{"SetCaches", func(ctx context.Context) error {
			return x.s.SetCaches(ctx, newAccount(1).ID, map[string]int64{"watchlist": 5}, x.event)
		}},
		{"SampleAccounts", func(ctx context.Context) error { return only(x.s.SampleAccounts(ctx, 3)) }},
		{"EraseAccount", func(ctx context.Context) error { return x.s.EraseAccount(ctx, newAccount(5).ID, x.event) }},
		{"ForgetEvents", func(ctx context.Context) error {
			return only2(x.s.ForgetEvents(ctx, uccOf("account-1"), "ERASED", 0, 5))
		}},
		{"Import", func(ctx context.Context) error { return only(x.s.Import(ctx, "file")) }},
		{"AddAccounts", func(ctx context.Context) error {
			return x.s.AddAccounts(ctx, login.Import{File: "file"}, []login.Account{newAccount(4)}, func([]error) (login.Import, login.Event, error) {
				return login.Import{File: "file", Offset: 1}, x.event, nil
			})
		}},
		{"SessionsOf", func(ctx context.Context) error { return only(x.s.SessionsOf(ctx, "account-1", at(0))) }},
		{"Revoke", func(ctx context.Context) error { return x.s.Revoke(ctx, "account-1", "revoke", x.event) }},
		{"RemoveConsumer", func(ctx context.Context) error { return x.s.RemoveConsumer(ctx, "consumer-2", x.event) }},
		{"ListConsumers", func(ctx context.Context) error { return only(x.s.ListConsumers(ctx, "", 10)) }},
	}
}

// keysAndTrail are those about signing keys and events.
func (x prepared) keysAndTrail() []call {
	return []call{
		{"SigningKeys", func(ctx context.Context) error { return only(x.s.SigningKeys(ctx)) }},
		{"AddFirstSigningKey", func(ctx context.Context) error {
			return x.s.AddFirstSigningKey(ctx, login.SigningKey{ID: "key-1", Sealed: []byte("sealed"), Created: at(0)})
		}},
		{"AddSigningKey", func(ctx context.Context) error { return x.s.AddSigningKey(ctx, newKey("key-2", time.Second), x.event) }},
		{"RemoveSigningKey", func(ctx context.Context) error { return x.s.RemoveSigningKey(ctx, "key-2", x.event) }},
		{"LastEvent", func(ctx context.Context) error { return only(x.s.LastEvent(ctx)) }},
		{"Record", func(ctx context.Context) error { return x.s.Record(ctx, x.event) }},
		{"Events", func(ctx context.Context) error { return only(x.s.Events(ctx, login.EventQuery{N: 10})) }},
	}
}

// sessions are those about logins.
func (x prepared) sessions() []call {
	return []call{
		{"State", func(ctx context.Context) error { return only(x.s.State(ctx, "account-1")) }},
		{"Try", func(ctx context.Context) error { return x.s.Try(ctx, newTry("account-1", login.Password, "try")) }},
		{"EndTry", func(ctx context.Context) error {
			return x.s.EndTry(ctx, newTry("account-1", login.Password, "try"), true, x.event)
		}},
		{"Take", func(ctx context.Context) error {
			return only(x.s.Take(ctx, "key", limit.Rate{N: 10, Per: time.Minute}, 1, at(0)))
		}},
		{"Charge", func(ctx context.Context) error { return only(x.s.Charge(ctx, newCharge("charge"))) }},
		{"GiveBack", func(ctx context.Context) error { return x.s.GiveBack(ctx, newCharge("charge"), at(0)) }},
		{"Unlock", func(ctx context.Context) error { return x.s.Unlock(ctx, "account-1", x.event) }},
		{"OpenView", func(ctx context.Context) error {
			return x.s.OpenView(ctx, newView("new", "account-1"), 7, "try", x.event)
		}},
		{"TryView", func(ctx context.Context) error {
			return only(x.s.TryView(ctx, newTry("account-1", login.TOTP, "try view"), newView("tried", "account-1"), 8, x.event))
		}},
		{"Session", func(ctx context.Context) error { return only(x.s.Session(ctx, "claim")) }},
		{"SessionOf", func(ctx context.Context) error { return only(x.s.SessionOf(ctx, "account-1", x.free.ViewID)) }},
		{"Revocations", func(ctx context.Context) error { return only2(x.s.Revocations(ctx, 0, at(0), 10)) }},
		{"PendingView", func(ctx context.Context) error {
			return only(x.s.PendingView(ctx, "account-1", consumerOf("consumer-1"), time.Time{}, at(0)))
		}},
		{"SetOTP", func(ctx context.Context) error { return only(x.s.SetOTP(ctx, newCode("code", 0, at(0)))) }},
		{"DropOTP", func(ctx context.Context) error { return x.s.DropOTP(ctx, "drop", newCode("drop", 0, at(0)).Hash) }},
		{"Claim", func(ctx context.Context) error { return only2(x.s.Claim(ctx, newClaim(x.free, "claim", at(0)))) }},
		{"Fail", func(ctx context.Context) error { return x.s.Fail(ctx, "fail", "claim", x.event) }},
		{"Refund", func(ctx context.Context) error { return x.s.Refund(ctx, "refund", "claim", x.event) }},
		{"Complete", func(ctx context.Context) error {
			return x.s.Complete(ctx, "claim", newTrade(x.held["complete"], at(0)), x.event)
		}},
		{"KeyInUse", func(ctx context.Context) error { return only(x.s.KeyInUse(ctx, "key-2", at(0))) }},
		{"End", func(ctx context.Context) error { return x.s.End(ctx, "end", x.trade.TradeID, x.event) }},
		{"Count", func(ctx context.Context) error { return only2(x.s.Count(ctx, at(0))) }},
	}
}

// jobsAndNames are the rest.
func (x prepared) jobsAndNames() []call {
	return []call{
		{"SetReach", func(ctx context.Context) error {
			return x.s.SetReach(ctx, newAccount(1).ID, login.Reach{Email: "new@example.com"}, x.event)
		}},
		{"AddJob", func(ctx context.Context) error { return x.s.AddJob(ctx, newJob("job", "sid")) }},
		{"ClaimJobs", func(ctx context.Context) error {
			return only(x.s.ClaimJobs(ctx, newJobClaim(login.JobCode, "claim", at(0))))
		}},
		{"PutOffJob", func(ctx context.Context) error { return x.s.PutOffJob(ctx, "put off", "held", at(time.Minute)) }},
		{"EndJob", func(ctx context.Context) error { return x.s.EndJob(ctx, x.claimed[1], nil, &x.event) }},
		{"Jobs", func(ctx context.Context) error { return only(x.s.Jobs(ctx, login.JobCode)) }},
		{"PutOnce", func(ctx context.Context) error { return only(x.s.PutOnce(ctx, "name", []byte("value"))) }},
		{"Names", func(ctx context.Context) error { return only(x.s.Names(ctx, "na")) }},
		{"Forget", func(ctx context.Context) error { return x.s.Forget(ctx, "name", x.event) }},
		{"DropExpired", func(ctx context.Context) error { return x.s.DropExpired(ctx, at(0)) }},
		{"Rehearse", func(ctx context.Context) error { return x.s.Rehearse(ctx, at(0)) }},
		{"Sweep", func(ctx context.Context) error { return only(x.s.Sweep(ctx, at(0), 10)) }},
	}
}

var contextTests = []test{
	{"each method has a call here", func(t *testing.T, s store.Store) {
		calls, _ := everyCall(t, s)
		have := map[string]bool{"Close": true}
		for _, c := range calls {
			have[c.name] = true
		}
		for m := range reflect.TypeFor[store.Store]().Methods() {
			if !have[m.Name] {
				t.Errorf("no test calls %s", m.Name)
			}
		}
	}},
	{"a call whose context has ended returns its error and changes nothing", func(t *testing.T, s store.Store) {
		calls, sids := everyCall(t, s)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		unchanged(t, s, sids, func() {
			for _, c := range calls {
				if err := c.do(cancelled); !errors.Is(err, context.Canceled) {
					t.Errorf("%s, cancelled: got error %v", c.name, err)
				}
				if err := c.do(late); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s, too late: got error %v", c.name, err)
				}
			}
		})
		for _, c := range calls { // the arguments were good: it was the context
			if err := c.do(t.Context()); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}},
	{"a call whose context ends half-way happens with its event or not at all, and is done if it says so", func(t *testing.T, s store.Store) {
		var done, undone int
		for i := range rounds(100) {
			sid := fmt.Sprint("sid-", i)
			v := open(t, s, sid, sid)
			claim(t, s, newClaim(v, "claim", at(0)))
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*15*time.Microsecond)
			err := s.Complete(ctx, "claim", newTrade(v, at(0)), newEvent("completed", sid))
			cancel()
			isTrade := stored(t, s, sid).Kind == login.Trade
			if event := len(events(t, s, sid)) == 2; event != isTrade {
				t.Fatalf("complete: %v, event: %v", isTrade, event)
			}
			if err == nil && !isTrade {
				t.Fatal("Complete gave no error, but the session is not complete")
			}
			if errors.Is(err, login.ErrClaimLost) || errors.Is(err, login.ErrNotFound) {
				t.Fatalf("got error %v, but the claim was ours", err)
			}
			if isTrade {
				done++
			} else {
				undone++
			}
		}
		t.Logf("%d done, %d not", done, undone)
	}},
	{"calls that are cancelled at random leave a store that works", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		for range rounds(10) {
			together(8, func(i int) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
				defer cancel()
				id := fmt.Sprint("claim ", i)
				if _, _, err := s.Claim(ctx, newClaim(v, id, at(0))); err != nil {
					return err
				}
				return s.Refund(ctx, "sid", id, newEvent(id, "account-1"))
			})
		}
		x := stored(t, s, "sid")
		if (x.Tries == 0) != (x.ClaimID == "") && x.Tries < maxTries {
			t.Errorf("%d tries are counted with the claim %q", x.Tries, x.ClaimID)
		}
		calls, _ := everyCall(t, s)
		for _, c := range calls {
			if err := c.do(t.Context()); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}},
}

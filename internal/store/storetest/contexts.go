package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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

// everyCall prepares a store so that each method but Close succeeds once, in the
// order given, and returns the calls and the sids that they touch.
func everyCall(t *testing.T, s store.Store) (calls []call, sids []string) {
	t.Helper()
	add(t, s, newAccount(1), newAccount(2), newAccount(5))
	good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
	a := newAccount(1)
	open(t, s, "code", "account-1")
	open(t, s, "drop", "account-2")
	put(t, s, newCode("drop", 0, at(0)))
	expired := newView("expired", "account-4")
	expired.Expires = at(-time.Hour)
	good(t, s.OpenView(t.Context(), expired, 0, "try", newEvent("opened", "account-4")))
	free := open(t, s, "claim", "account-1")
	held := map[string]login.Session{}
	for _, sid := range []string{"fail", "refund", "complete"} {
		held[sid] = open(t, s, sid, "account-1")
		claim(t, s, newClaim(held[sid], "claim", at(0)))
	}
	x := trade(t, s, "end", "account-1")
	trade(t, s, "revoke", "account-1")
	for _, id := range []string{"put off", "end"} {
		good(t, s.AddJob(t.Context(), login.Job{ID: id, Kind: "claimed", SID: "sid", Account: "account-1", Created: at(0), Expires: at(time.Hour)}))
	}
	claimed, err := s.ClaimJobs(t.Context(), newJobClaim("claimed", "held", at(0)))
	good(t, err)
	e := newEvent("call", "account-1")
	sids = []string{"new", "code", "drop", "claim", "fail", "refund", "complete", "end", "expired", "revoke"}

	return []call{
		{"Account", func(ctx context.Context) error { _, err := s.Account(ctx, byID(1)); return err }},
		{"AddAccount", func(ctx context.Context) error { return s.AddAccount(ctx, newAccount(3), e) }},
		{"SetHash", func(ctx context.Context) error { return s.SetHash(ctx, a.ID, login.Password, a.PasswordHash, "new") }},
		{"RemoveAccount", func(ctx context.Context) error { return s.RemoveAccount(ctx, newAccount(2).ID, e) }},
		{"ListAccounts", func(ctx context.Context) error { _, err := s.ListAccounts(ctx, "", 10); return err }},
		{"Consumer", func(ctx context.Context) error { _, err := s.Consumer(ctx, "consumer-1"); return err }},
		{"AddConsumer", func(ctx context.Context) error { return s.AddConsumer(ctx, newConsumer("consumer-2"), e) }},
		{"ChangeConsumer", func(ctx context.Context) error {
			return s.ChangeConsumer(ctx, "consumer-1", e, func(c *login.Consumer) error { c.Rate = 5; return nil })
		}},
		{"ChangeAccount", func(ctx context.Context) error {
			return s.ChangeAccount(ctx, a.ID, e, func(a *login.Account) (bool, error) { a.MPINHash = "new"; return true, nil })
		}},
		{"SetCaches", func(ctx context.Context) error { return s.SetCaches(ctx, a.ID, map[string]int64{"watchlist": 5}, e) }},
		{"SampleAccounts", func(ctx context.Context) error { _, err := s.SampleAccounts(ctx, 3); return err }},
		{"EraseAccount", func(ctx context.Context) error { return s.EraseAccount(ctx, newAccount(5).ID, e) }},
		{"ForgetEvents", func(ctx context.Context) error {
			_, _, err := s.ForgetEvents(ctx, uccOf("account-1"), "ERASED", 0, 5)
			return err
		}},
		{"Import", func(ctx context.Context) error { _, err := s.Import(ctx, "file"); return err }},
		{"AddAccounts", func(ctx context.Context) error {
			return s.AddAccounts(ctx, login.Import{File: "file"}, []login.Account{newAccount(4)}, func([]error) (login.Import, login.Event, error) {
				return login.Import{File: "file", Offset: 1}, e, nil
			})
		}},
		{"SessionsOf", func(ctx context.Context) error { _, err := s.SessionsOf(ctx, "account-1", at(0)); return err }},
		{"Revoke", func(ctx context.Context) error { return s.Revoke(ctx, "account-1", "revoke", e) }},
		{"RemoveConsumer", func(ctx context.Context) error { return s.RemoveConsumer(ctx, "consumer-2", e) }},
		{"ListConsumers", func(ctx context.Context) error { _, err := s.ListConsumers(ctx, "", 10); return err }},
		{"SigningKeys", func(ctx context.Context) error { _, err := s.SigningKeys(ctx); return err }},
		{"AddFirstSigningKey", func(ctx context.Context) error {
			return s.AddFirstSigningKey(ctx, login.SigningKey{ID: "key-1", Sealed: []byte("sealed"), Created: at(0)})
		}},
		{"AddSigningKey", func(ctx context.Context) error { return s.AddSigningKey(ctx, newKey("key-2", time.Second), e) }},
		{"RemoveSigningKey", func(ctx context.Context) error { return s.RemoveSigningKey(ctx, "key-2", e) }},
		{"LastEvent", func(ctx context.Context) error { _, err := s.LastEvent(ctx); return err }},
		{"Record", func(ctx context.Context) error { return s.Record(ctx, e) }},
		{"Events", func(ctx context.Context) error { _, err := s.Events(ctx, login.EventQuery{N: 10}); return err }},

		{"State", func(ctx context.Context) error { _, err := s.State(ctx, "account-1"); return err }},
		{"Try", func(ctx context.Context) error { return s.Try(ctx, newTry("account-1", login.Password, "try")) }},
		{"EndTry", func(ctx context.Context) error {
			return s.EndTry(ctx, newTry("account-1", login.Password, "try"), true, e)
		}},
		{"Take", func(ctx context.Context) error {
			_, err := s.Take(ctx, "key", limit.Rate{N: 10, Per: time.Minute}, 1, at(0))
			return err
		}},
		{"Unlock", func(ctx context.Context) error { return s.Unlock(ctx, "account-1", e) }},
		{"OpenView", func(ctx context.Context) error { return s.OpenView(ctx, newView("new", "account-1"), 7, "try", e) }},
		{"Session", func(ctx context.Context) error { _, err := s.Session(ctx, "claim"); return err }},
		{"SessionOf", func(ctx context.Context) error { _, err := s.SessionOf(ctx, "account-1", free.ViewID); return err }},
		{"Revocations", func(ctx context.Context) error { _, _, err := s.Revocations(ctx, 0, at(0), 10); return err }},
		{"PendingView", func(ctx context.Context) error {
			_, err := s.PendingView(ctx, "account-1", consumerOf("consumer-1"), time.Time{}, at(0))
			return err
		}},
		{"SetOTP", func(ctx context.Context) error { _, err := s.SetOTP(ctx, newCode("code", 0, at(0))); return err }},
		{"DropOTP", func(ctx context.Context) error { return s.DropOTP(ctx, "drop", newCode("drop", 0, at(0)).Hash) }},
		{"Claim", func(ctx context.Context) error { _, _, err := s.Claim(ctx, newClaim(free, "claim", at(0))); return err }},
		{"Fail", func(ctx context.Context) error { return s.Fail(ctx, "fail", "claim", e) }},
		{"Refund", func(ctx context.Context) error { return s.Refund(ctx, "refund", "claim", e) }},
		{"Complete", func(ctx context.Context) error {
			return s.Complete(ctx, "claim", newTrade(held["complete"], at(0)), e)
		}},
		{"KeyInUse", func(ctx context.Context) error { _, err := s.KeyInUse(ctx, "key-2", at(0)); return err }},
		{"End", func(ctx context.Context) error { return s.End(ctx, "end", x.TradeID, e) }},
		{"Count", func(ctx context.Context) error { _, _, err := s.Count(ctx, at(0)); return err }},
		{"SetReach", func(ctx context.Context) error {
			return s.SetReach(ctx, a.ID, login.Reach{Email: "new@example.com"}, e)
		}},
		{"AddJob", func(ctx context.Context) error { return s.AddJob(ctx, newJob("job", "sid")) }},
		{"ClaimJobs", func(ctx context.Context) error {
			_, err := s.ClaimJobs(ctx, newJobClaim(login.JobCode, "claim", at(0)))
			return err
		}},
		{"PutOffJob", func(ctx context.Context) error { return s.PutOffJob(ctx, "put off", "held", at(time.Minute)) }},
		{"EndJob", func(ctx context.Context) error { return s.EndJob(ctx, claimed[1], nil, &e) }},
		{"Jobs", func(ctx context.Context) error { _, err := s.Jobs(ctx, login.JobCode); return err }},
		{"PutOnce", func(ctx context.Context) error { _, err := s.PutOnce(ctx, "name", []byte("value")); return err }},
		{"Names", func(ctx context.Context) error { _, err := s.Names(ctx, "na"); return err }},
		{"Forget", func(ctx context.Context) error { return s.Forget(ctx, "name", e) }},
		{"DropExpired", func(ctx context.Context) error { return s.DropExpired(ctx, at(0)) }},
		{"Sweep", func(ctx context.Context) error { _, err := s.Sweep(ctx, at(0), 10); return err }},
	}, sids
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

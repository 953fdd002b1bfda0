package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/limit"
	"neoapi/internal/login"
	"neoapi/internal/store"
)

// failures returns what is counted for an account.
func failures(t *testing.T, s store.Store, account string) map[login.Factor]login.Failures {
	t.Helper()
	a, err := s.State(t.Context(), account)
	good(t, err)
	if a.Account != account {
		t.Errorf("the state is of account %q, want %q", a.Account, account)
	}
	return a.Failures
}

// lockedFor checks that an error is a lock of a certain length.
func lockedFor(t *testing.T, err error, want time.Duration) {
	t.Helper()
	var locked *login.LockedError
	if !errors.As(err, &locked) || locked.Wait != want {
		t.Errorf("got %v, want a lock of %s", err, want)
	}
}

// newTry returns a try that begins at start.
func newTry(account string, f login.Factor, id string) login.Try {
	return login.Try{Account: account, Factor: f, ID: id, Now: at(0), Lease: lease}
}

// endTry ends a try at a time.
func endTry(t *testing.T, s store.Store, x login.Try, failed bool, now time.Time) {
	t.Helper()
	e := newEvent("ended", x.Account)
	e.Time = now
	good(t, s.EndTry(t.Context(), x, failed, e))
}

// wrong makes a try that fails at once.
func wrong(t *testing.T, s store.Store, account string, f login.Factor, now time.Time) {
	t.Helper()
	x := newTry(account, f, "wrong")
	x.Now = now
	good(t, s.Try(t.Context(), x))
	endTry(t, s, x, true, now)
}

// locked returns what a try gives at a time, which must be a lock.
func locked(t *testing.T, s store.Store, account string, f login.Factor, now time.Time) error {
	t.Helper()
	x := newTry(account, f, "locked")
	x.Now = now
	err := s.Try(t.Context(), x)
	refused(t, err, login.ErrLocked)
	endTry(t, s, x, true, now) // counts nothing
	return err
}

var lockTests = []test{
	{"wrong tries are counted for each account and factor, and the tenth locks for a minute", func(t *testing.T, s store.Store) {
		for range 10 {
			wrong(t, s, "account-1", login.Password, at(0))
		}
		wrong(t, s, "account-1", login.TOTP, at(0))
		wrong(t, s, "account-2", login.Password, at(0))
		want := map[login.Factor]login.Failures{login.Password: {Count: 10, Until: at(time.Minute)}, login.TOTP: {Count: 1}}
		same(t, "failures", failures(t, s, "account-1"), want)
		lockedFor(t, locked(t, s, "account-1", login.Password, at(time.Second)), 59*time.Second)
		same(t, "failures", failures(t, s, "account-1"), want)
		wrong(t, s, "account-1", login.Password, at(time.Minute))
		lockedFor(t, locked(t, s, "account-1", login.Password, at(time.Minute)), 2*time.Minute)
	}},
	{"a lock grows to a day, and after a hundred tries only unlocking ends it", func(t *testing.T, s store.Store) {
		now := at(0)
		for range 100 {
			wrong(t, s, "account-1", login.MPIN, now)
			now = now.Add(24 * time.Hour)
		}
		lockedFor(t, locked(t, s, "account-1", login.MPIN, now.Add(1000*time.Hour)), 24*time.Hour)
		good(t, s.Unlock(t.Context(), "account-1", newEvent("unlocked", "account-1")))
		wrong(t, s, "account-1", login.MPIN, now)
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{login.MPIN: {Count: 1}})
	}},
	{"a try is counted before it ends, and its event is stored when it does", func(t *testing.T, s store.Store) {
		x := newTry("account-1", login.Password, "try")
		good(t, s.Try(t.Context(), x))
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{
			login.Password: {Open: map[string]time.Time{"try": at(lease)}},
		})
		endTry(t, s, x, true, at(time.Second))
		endTry(t, s, x, true, at(time.Second)) // it has ended: its event is stored, and nothing counted
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{login.Password: {Count: 1}})
		same(t, "events", eventNames(t, s, "account-1"), []string{"ended", "ended"})
	}},
	{"a try that was no try leaves nothing", func(t *testing.T, s store.Store) {
		x := newTry("account-1", login.Password, "try")
		good(t, s.Try(t.Context(), x))
		endTry(t, s, x, false, at(time.Second))
		if left := failures(t, s, "account-1"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
	}},
	{"a try that nobody ends counts as failed once its lease has run out", func(t *testing.T, s store.Store) {
		for i := range 10 {
			good(t, s.Try(t.Context(), newTry("account-1", login.Password, fmt.Sprint("left ", i))))
		}
		x := newTry("account-1", login.Password, "next")
		x.Now = at(lease - time.Millisecond)
		refused(t, s.Try(t.Context(), x), login.ErrClaimed)
		x.Now = at(lease)
		lockedFor(t, s.Try(t.Context(), x), time.Minute)
		endTry(t, s, x, true, at(lease))
		endTry(t, s, newTry("account-1", login.Password, "left 3"), true, at(lease)) // too late: it was counted
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{
			login.Password: {Count: 10, Until: at(lease + time.Minute)},
		})
	}},
	{"of many tries at once no more are open than can fail without passing the lock", func(t *testing.T, s store.Store) {
		many := func(now time.Time, n, allowed int, rest string) {
			t.Helper()
			got := outcomes(t, together(n, func(i int) error {
				x := newTry("account-1", login.Password, fmt.Sprint(now.Unix(), " ", i))
				x.Now = now
				return s.Try(t.Context(), x)
			}))
			want := map[string]int{rest: n - allowed}
			if allowed > 0 {
				want["ok"] = allowed
			}
			same(t, "outcomes", got, want)
			for i := range n {
				endTry(t, s, newTry("account-1", login.Password, fmt.Sprint(now.Unix(), " ", i)), true, now)
			}
		}
		many(at(0), 30, 10, "claim is held")
		many(at(time.Second), 5, 0, "locked")
		many(at(time.Minute), 5, 1, "claim is held") // the lock has ended: one at a time
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{
			login.Password: {Count: 11, Until: at(3 * time.Minute)},
		})
	}},
	{"of wrong tries at once that wait for one another ten are judged", func(t *testing.T, s store.Store) {
		var judged atomic.Int64
		got := outcomes(t, together(30, func(i int) error {
			x := newTry("account-1", login.Password, fmt.Sprint("try ", i))
			for {
				err := s.Try(t.Context(), x)
				if errors.Is(err, login.ErrClaimed) {
					runtime.Gosched()
					continue
				}
				if err != nil {
					return err
				}
				judged.Add(1)
				return s.EndTry(t.Context(), x, true, newEvent("wrong", "account-1"))
			}
		}))
		same(t, "outcomes", got, map[string]int{"ok": 10, "locked": 20})
		if n := judged.Load(); n != 10 {
			t.Errorf("%d tries were judged, want 10", n)
		}
	}},
	{"a good first factor ends its try and forgets its own failures only", func(t *testing.T, s store.Store) {
		for _, f := range []login.Factor{login.Password, login.MPIN, login.OTP} {
			wrong(t, s, "account-1", f, at(0))
		}
		mine, other := newTry("account-1", login.Password, "mine"), newTry("account-1", login.Password, "other")
		good(t, s.Try(t.Context(), mine))
		good(t, s.Try(t.Context(), other))
		v := newView("sid", "account-1")
		v.First = login.Password
		good(t, s.OpenView(t.Context(), v, 0, "mine", newEvent("opened", "account-1")))
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{
			login.MPIN: {Count: 1}, login.OTP: {Count: 1}, login.Password: {Open: map[string]time.Time{"other": at(lease)}},
		})
	}},
	{"failed codes of all logins count together, a refunded one does not, and a good one forgets them", func(t *testing.T, s store.Store) {
		fail := func(n int) {
			v := open(t, s, fmt.Sprint("sid-", n), "account-1")
			claim(t, s, newClaim(v, "claim", at(0)))
			e := newEvent("wrong", "account-1")
			e.Time = at(0)
			good(t, s.Fail(t.Context(), v.SID, "claim", e))
		}
		refunded := open(t, s, "refunded", "account-1")
		claim(t, s, newClaim(refunded, "claim", at(0)))
		good(t, s.Refund(t.Context(), "refunded", "claim", newEvent("refunded", "account-1")))
		for n := range 10 {
			fail(n)
		}
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{login.OTP: {Count: 10, Until: at(time.Minute)}})

		v := open(t, s, "sid", "account-1")
		before := stored(t, s, "sid")
		_, _, err := s.Claim(t.Context(), newClaim(v, "claim", at(time.Second)))
		lockedFor(t, err, 59*time.Second)
		same(t, "the session", stored(t, s, "sid"), before)
		claim(t, s, newClaim(v, "claim", at(time.Minute)))
		good(t, s.Complete(t.Context(), "claim", newTrade(v, at(time.Minute)), newEvent("completed", "account-1")))
		if left := failures(t, s, "account-1"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
	}},
	{"codes for many logins at once are not judged beyond the lock", func(t *testing.T, s store.Store) {
		views := make([]login.Session, 30)
		for i := range views {
			views[i] = open(t, s, fmt.Sprint("sid-", i), "account-1")
		}
		got := outcomes(t, together(30, func(i int) error {
			_, _, err := s.Claim(t.Context(), newClaim(views[i], fmt.Sprint("claim ", i), at(0)))
			return err
		}))
		same(t, "outcomes", got, map[string]int{"ok": 10, "claim is held": 20})
		for i := range views { // a claim that was not given has no try to end
			e := newEvent("wrong", "account-1")
			e.Time = at(time.Second)
			if err := s.Fail(t.Context(), views[i].SID, fmt.Sprint("claim ", i), e); err != nil {
				refused(t, err, login.ErrClaimLost)
			}
		}
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{
			login.OTP: {Count: 10, Until: at(time.Second + time.Minute)},
		})
	}},
	{"the MPIN's try under a claim's name ends with the claim", func(t *testing.T, s store.Store) {
		for i, end := range []struct {
			do   func(v login.Session) error
			want map[login.Factor]login.Failures
		}{
			{func(v login.Session) error {
				return s.Fail(t.Context(), v.SID, "claim", newEvent("failed", v.Account))
			}, map[login.Factor]login.Failures{login.MPIN: {Count: 2}, login.OTP: {Count: 2}}},
			{func(v login.Session) error {
				return s.Refund(t.Context(), v.SID, "claim", newEvent("refunded", v.Account))
			}, map[login.Factor]login.Failures{login.MPIN: {Count: 1}, login.OTP: {Count: 1}}},
			{func(v login.Session) error {
				return s.Complete(t.Context(), "claim", newTrade(v, at(0)), newEvent("completed", v.Account))
			}, nil},
		} {
			account := fmt.Sprint("account-", i)
			for _, f := range []login.Factor{login.MPIN, login.OTP} {
				wrong(t, s, account, f, at(0))
			}
			v := open(t, s, fmt.Sprint("sid-", i), account)
			claim(t, s, newClaim(v, "claim", at(0)))
			good(t, s.Try(t.Context(), newTry(account, login.MPIN, "claim")))
			good(t, end.do(v))
			same(t, "failures", failures(t, s, account), end.want)
		}
	}},
	{"the tries of a claim end though its session has ended", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		claim(t, s, newClaim(v, "claim", at(0)))
		good(t, endAll(t.Context(), s, "account-1"))
		refused(t, s.Complete(t.Context(), "claim", newTrade(v, at(0)), newEvent("completed", "account-1")), login.ErrClaimLost)
		refused(t, s.Refund(t.Context(), "sid", "claim", newEvent("refunded", "account-1")), login.ErrClaimLost)
		if left := failures(t, s, "account-1"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
		same(t, "events", eventNames(t, s, "account-1"), []string{"opened sid", "revoked", "refunded"})
	}},
}

// newCharge takes one of an address that may take ten a minute.
func newCharge(id string) login.Charge {
	return login.Charge{Key: "address", Rate: limit.Rate{N: 10, Per: time.Minute}, ID: id, Now: at(0)}
}

var allowanceTests = []test{
	{"an allowance is shared by all who name it, and grows again", func(t *testing.T, s store.Store) {
		rate := limit.Rate{N: 10, Per: 10 * time.Second}
		take := func(key string, n int, now time.Duration, want time.Duration) {
			t.Helper()
			wait, err := s.Take(t.Context(), key, rate, n, at(now))
			good(t, err)
			if wait != want {
				t.Errorf("%d of %s: wait %s, want %s", n, key, wait, want)
			}
		}
		take("a", 8, 0, 0)
		take("a", 3, 0, time.Second)
		take("a", 0, 0, 0)
		take("a", 2, 0, 0)
		take("a", 0, 0, time.Second)
		take("a", 1, 999*time.Millisecond, time.Millisecond)
		take("b", 10, 0, 0)
		take("a", 1, time.Second, 0)
		take("a", 0, time.Second, time.Second)
	}},
	{"of takers at once no more are served than the allowance has", func(t *testing.T, s store.Store) {
		errs := together(50, func(int) error {
			wait, err := s.Take(t.Context(), "key", limit.Rate{N: 20, Per: time.Minute}, 1, at(0))
			if err == nil && wait > 0 {
				err = login.ErrTooMany
			}
			return err
		})
		same(t, "outcomes", outcomes(t, errs), map[string]int{"ok": 20, login.ErrTooMany.Error(): 30})
	}},
	{"a charge is given back once, whatever else is charged meanwhile", func(t *testing.T, s store.Store) {
		left := func(want int) {
			t.Helper()
			n := 0
			for ; n <= want; n++ { // the rate is ten a minute
				wait, err := s.Charge(t.Context(), newCharge(fmt.Sprint("left ", n)))
				good(t, err)
				if wait > 0 {
					break
				}
			}
			for i := range n {
				good(t, s.GiveBack(t.Context(), newCharge(fmt.Sprint("left ", i)), at(0)))
			}
			if n != want {
				t.Errorf("%d are left, want %d", n, want)
			}
		}
		for i := range 10 {
			wait, err := s.Charge(t.Context(), newCharge(fmt.Sprint(i)))
			good(t, err)
			same(t, "wait", wait, time.Duration(0))
		}
		wait, err := s.Charge(t.Context(), newCharge("refused"))
		good(t, err)
		same(t, "wait", wait, 6*time.Second)
		good(t, s.GiveBack(t.Context(), newCharge("refused"), at(0))) // it took nothing
		wait, err = s.Take(t.Context(), "address", newCharge("").Rate, 0, at(0))
		good(t, err)
		same(t, "wait", wait, 6*time.Second)
		for range 3 {
			errs := together(4, func(i int) error { return s.GiveBack(t.Context(), newCharge(fmt.Sprint(i)), at(0)) })
			same(t, "outcomes", outcomes(t, errs), map[string]int{"ok": 4})
		}
		left(4)
	}},
	{"a charge that comes after it was given back takes nothing", func(t *testing.T, s store.Store) {
		good(t, s.GiveBack(t.Context(), newCharge("late"), at(0)))
		_, err := s.Charge(t.Context(), newCharge("late"))
		refused(t, err, login.ErrClaimLost)
		good(t, s.GiveBack(t.Context(), newCharge("late"), at(0)))
		for i := range 20 { // whichever comes first
			errs := together(2, func(j int) error {
				if j == 0 {
					return s.GiveBack(t.Context(), newCharge(fmt.Sprint("race ", i)), at(0))
				}
				_, err := s.Charge(t.Context(), newCharge(fmt.Sprint("race ", i)))
				if errors.Is(err, login.ErrClaimLost) {
					err = nil
				}
				return err
			})
			same(t, "outcomes", outcomes(t, errs), map[string]int{"ok": 2})
		}
		wait, err := s.Take(t.Context(), "address", newCharge("").Rate, 10, at(0))
		good(t, err)
		same(t, "wait for all ten", wait, time.Duration(0))
	}},
	{"a charge is forgotten after its time, and giving it back then does no harm", func(t *testing.T, s store.Store) {
		_, err := s.Charge(t.Context(), newCharge("old"))
		good(t, err)
		if _, err = s.Sweep(t.Context(), at(time.Minute), 10); err != nil { // its allowance is full
			t.Fatal(err)
		}
		good(t, s.GiveBack(t.Context(), newCharge("old"), at(time.Minute)))
		_, err = s.Charge(t.Context(), newCharge("older"))
		good(t, err)
		n, err := s.Sweep(t.Context(), at(login.ChargeKept+time.Second), 10)
		good(t, err)
		if n < 2 {
			t.Errorf("%d were swept, want an allowance and a charge", n)
		}
		good(t, s.GiveBack(t.Context(), newCharge("older"), at(login.ChargeKept+time.Second)))
	}},
	{"allowances that are whole again are swept, others stay", func(t *testing.T, s store.Store) {
		rate := limit.Rate{N: 2, Per: 2 * time.Second}
		for i := range 5 {
			_, err := s.Take(t.Context(), fmt.Sprint("whole-", i), rate, 1, at(0))
			good(t, err)
		}
		_, err := s.Take(t.Context(), "owing", rate, 2, at(0))
		good(t, err)
		for want, left := 3, 5; left > 0; left -= want {
			n, err := s.Sweep(t.Context(), at(time.Second), 3)
			good(t, err)
			if want = min(want, left); n != want {
				t.Fatalf("swept %d, want %d", n, want)
			}
		}
		wait, err := s.Take(t.Context(), "owing", rate, 2, at(time.Second))
		good(t, err)
		if wait != time.Second {
			t.Errorf("wait %s, want 1s: the allowance was swept too early", wait)
		}
	}},
}

package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
)

// failures returns what is counted for an account.
func failures(t *testing.T, s Store, account string) map[login.Factor]login.Failures {
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

var lockTests = []test{
	{"wrong tries are counted for each account and factor, and the tenth locks for a minute", func(t *testing.T, s Store) {
		for range 10 {
			good(t, s.CountTry(t.Context(), "account-1", login.Password, at(0)))
		}
		good(t, s.CountTry(t.Context(), "account-1", login.TOTP, at(0)))
		good(t, s.CountTry(t.Context(), "account-2", login.Password, at(0)))
		want := map[login.Factor]login.Failures{login.Password: {Count: 10, Until: at(time.Minute)}, login.TOTP: {Count: 1}}
		same(t, "failures", failures(t, s, "account-1"), want)
		lockedFor(t, s.CountTry(t.Context(), "account-1", login.Password, at(time.Second)), 59*time.Second)
		same(t, "failures", failures(t, s, "account-1"), want)
		good(t, s.CountTry(t.Context(), "account-1", login.Password, at(time.Minute)))
		lockedFor(t, s.CountTry(t.Context(), "account-1", login.Password, at(time.Minute)), 2*time.Minute)
	}},
	{"a lock grows to a day, and after a hundred tries only unlocking ends it", func(t *testing.T, s Store) {
		now := at(0)
		for range 100 {
			good(t, s.CountTry(t.Context(), "account-1", login.MPIN, now))
			now = now.Add(24 * time.Hour)
		}
		lockedFor(t, s.CountTry(t.Context(), "account-1", login.MPIN, now.Add(1000*time.Hour)), 24*time.Hour)
		good(t, s.Unlock(t.Context(), "account-1", newEvent("unlocked", "account-1")))
		good(t, s.CountTry(t.Context(), "account-1", login.MPIN, now))
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{login.MPIN: {Count: 1}})
		same(t, "events", eventNames(t, s, "account-1"), []string{"unlocked"})
	}},
	{"tries at once are all counted, and none after the lock", func(t *testing.T, s Store) {
		got := outcomes(t, together(30, func(int) error {
			return s.CountTry(t.Context(), "account-1", login.Password, at(0))
		}))
		same(t, "outcomes", got, map[string]int{"ok": 10, "locked": 20})
	}},
	{"a good first factor forgets its own failures only", func(t *testing.T, s Store) {
		for _, f := range []login.Factor{login.Password, login.MPIN, login.OTP} {
			good(t, s.CountTry(t.Context(), "account-1", f, at(0)))
		}
		v := newView("sid", "account-1")
		v.First = login.Password
		good(t, s.OpenView(t.Context(), v, 0, newEvent("opened", "account-1")))
		same(t, "failures", failures(t, s, "account-1"), map[login.Factor]login.Failures{login.MPIN: {Count: 1}, login.OTP: {Count: 1}})
	}},
	{"failed codes of all logins count together, a refunded one does not, and a good one forgets them", func(t *testing.T, s Store) {
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
		_, err := s.Claim(t.Context(), newClaim(v, "claim", at(time.Second)))
		lockedFor(t, err, 59*time.Second)
		same(t, "the session", stored(t, s, "sid"), before)
		claim(t, s, newClaim(v, "claim", at(time.Minute)))
		good(t, s.Complete(t.Context(), "claim", newTrade(v, at(time.Minute)), newEvent("completed", "account-1")))
		if left := failures(t, s, "account-1"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
	}},
}

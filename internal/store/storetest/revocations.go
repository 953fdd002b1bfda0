package storetest

import (
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// revoked returns the tokens that are revoked after a number, and the highest
// number.
func revoked(t *testing.T, s store.Store, after int64, now time.Time) (ids []string, last int64) {
	t.Helper()
	all, last, err := s.Revocations(t.Context(), after, now, 1000)
	good(t, err)
	for _, x := range all {
		if x.Seq <= after {
			t.Errorf("number %d is not after %d", x.Seq, after)
		}
		after = x.Seq
		ids = append(ids, x.TokenID)
	}
	return ids, last
}

var revocationTests = []test{
	{"whatever removes a trade session revokes its token", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1))
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		x := trade(t, s, "ended", "account-1")
		trade(t, s, "with the account", "account-2")
		trade(t, s, "with the account's record", newAccount(1).ID)
		open(t, s, "a view", "account-2")
		trade(t, s, "of the consumer", "account-3")
		for _, end := range []struct {
			how   string
			do    func() error
			token string
		}{
			{"End", func() error { return s.End(t.Context(), "ended", x.TradeID, newEvent("ended", "account-1")) }, "trade-id-of-ended"},
			{"Revoke", func() error { return endAll(t.Context(), s, "account-2") }, "trade-id-of-with the account"},
			{"RemoveAccount", func() error { return s.RemoveAccount(t.Context(), newAccount(1).ID, newEvent("removed", "")) }, "trade-id-of-with the account's record"},
			{"RemoveConsumer", func() error { return s.RemoveConsumer(t.Context(), "consumer-1", newEvent("removed", "")) }, "trade-id-of-of the consumer"},
		} {
			_, before := revoked(t, s, 0, at(0))
			good(t, end.do())
			ids, last := revoked(t, s, before, at(0))
			same(t, "revoked by "+end.how, ids, []string{end.token})
			if last <= before {
				t.Errorf("%s: the highest number is %d, and was %d", end.how, last, before)
			}
		}
		all, _, err := s.Revocations(t.Context(), 0, at(0), 1)
		good(t, err)
		same(t, "the first", all, []login.Revocation{{Seq: all[0].Seq, TokenID: "trade-id-of-ended", Expires: at(time.Hour)}})
	}},
	{"what is refused revokes nothing", func(t *testing.T, s store.Store) {
		trade(t, s, "sid", "account-1")
		refused(t, s.End(t.Context(), "sid", "another", newEvent("refused", "account-1")), login.ErrNotFound)
		refused(t, s.RemoveConsumer(t.Context(), "consumer-2", newEvent("refused", "")), login.ErrNotFound)
		refused(t, s.RemoveAccount(t.Context(), "account-1", newEvent("refused", "")), login.ErrNotFound)
		ids, _ := revoked(t, s, 0, at(0))
		same(t, "revoked", ids, []string(nil))
	}},
	{"tokens that have expired are no revocations, and are swept, but for a day what was ended before", func(t *testing.T, s store.Store) {
		x := trade(t, s, "ended", "account-1")
		trade(t, s, "expired", "account-1")
		good(t, s.End(t.Context(), "ended", x.TradeID, newEvent("ended", "account-1")))
		ids, _ := revoked(t, s, 0, at(time.Hour))
		same(t, "revoked", ids, []string(nil))
		for _, now := range []time.Duration{time.Hour, time.Hour, time.Hour + login.RevocationKept - time.Millisecond} {
			_, err := s.Sweep(t.Context(), at(now), 100)
			good(t, err)
			ids, _ := revoked(t, s, 0, at(0))
			same(t, "kept", ids, []string{x.TradeID})
		}
		_, err := s.Sweep(t.Context(), at(time.Hour+login.RevocationKept), 100)
		good(t, err)
		if ids, last := revoked(t, s, 0, at(0)); len(ids) > 0 || last != 0 {
			t.Errorf("left are %v, to number %d", ids, last)
		}
	}},
	{"a number is not given twice, even if all before it are gone", func(t *testing.T, s store.Store) {
		var before int64
		for i := range 3 {
			x := trade(t, s, fmt.Sprint("sid-", i), "account-1")
			good(t, s.End(t.Context(), x.SID, x.TradeID, newEvent("ended", "account-1")))
			ids, last := revoked(t, s, before, at(0))
			same(t, "revoked", ids, []string{x.TradeID})
			if before = last; i == 1 {
				_, err := s.Sweep(t.Context(), at(time.Hour+login.RevocationKept), 100)
				good(t, err)
			}
		}
	}},
	{"who reads on while sessions end misses none", func(t *testing.T, s store.Store) {
		const n = 40
		for i := range n {
			trade(t, s, fmt.Sprint("sid-", i), fmt.Sprint("account-", i))
		}
		seen := map[string]bool{}
		done := make(chan []error, 1)
		go func() {
			done <- together(n, func(i int) error { return endAll(t.Context(), s, fmt.Sprint("account-", i)) })
		}()
		var after int64
		for ended := false; !ended || len(seen) < n; {
			select {
			case errs := <-done:
				for _, err := range errs {
					good(t, err)
				}
				ended = true
			default:
			}
			all, _, err := s.Revocations(t.Context(), after, at(0), 1000)
			good(t, err)
			if ended && len(all) == 0 && len(seen) < n {
				t.Fatalf("of %d revocations %d were seen", n, len(seen))
			}
			for _, x := range all {
				seen[x.TokenID], after = true, x.Seq
			}
		}
	}},
	{"a session is found by the id of its current token, in its account only", func(t *testing.T, s store.Store) {
		v := open(t, s, "view", "account-1")
		x := trade(t, s, "trade", "account-1")
		for id, want := range map[string]login.Session{v.ViewID: v, x.TradeID: x} {
			got, err := s.SessionOf(t.Context(), "account-1", id)
			good(t, err)
			same(t, "session", got, want)
			_, err = s.SessionOf(t.Context(), "account-2", id)
			refused(t, err, login.ErrNotFound)
		}
		for _, id := range []string{x.ViewID, "", "other"} {
			_, err := s.SessionOf(t.Context(), "account-1", id)
			refused(t, err, login.ErrNotFound)
		}
	}},
}

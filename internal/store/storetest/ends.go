package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

var endTests = []test{
	{"a trade session is ended by its token id, and the event is stored", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		trade(t, s, "other", "account-1")
		good(t, s.End(t.Context(), "sid", x.TradeID, newEvent("ended", "account-1")))
		_, err := s.Session(t.Context(), "sid")
		refused(t, err, login.ErrNotFound)
		stored(t, s, "other")
		names := eventNames(t, s, "account-1")
		same(t, "last event", names[len(names)-1], "ended")
		unchanged(t, s, []string{"sid", "other"}, func() {
			refused(t, s.End(t.Context(), "sid", x.TradeID, newEvent("again", "account-1")), login.ErrNotFound)
			c := newClaim(x, "repeat", at(0))
			c.Repeat = x.Repeat
			_, _, err := s.Claim(t.Context(), c)
			refused(t, err, login.ErrNotFound)
			refused(t, s.Complete(t.Context(), "claim of sid", x, newEvent("again", "account-1")), login.ErrClaimLost)
		})
	}},
	{"a view session is ended by its token id", func(t *testing.T, s store.Store) {
		v := open(t, s, "view", "account-1")
		good(t, s.End(t.Context(), "view", v.ViewID, newEvent("ended", "account-1")))
		_, err := s.Session(t.Context(), "view")
		refused(t, err, login.ErrNotFound)
	}},
	{"a session is not ended by another token id", func(t *testing.T, s store.Store) {
		x := trade(t, s, "trade", "account-1")
		open(t, s, "view", "account-1")
		unchanged(t, s, []string{"trade", "view"}, func() {
			for _, c := range [][2]string{
				{"trade", ""}, {"trade", x.ViewID}, {"trade", "trade-id-of-other"}, {"trade", "%"},
				{"view", ""}, {"view", x.TradeID}, {"unknown", x.TradeID}, {"", x.TradeID},
			} {
				refused(t, s.End(t.Context(), c[0], c[1], newEvent("refused", "account-1")), login.ErrNotFound)
			}
		})
	}},
	{"of ends of one session at once one succeeds", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		before := len(events(t, s, ""))
		got := outcomes(t, together(20, func(i int) error {
			return s.End(t.Context(), "sid", x.TradeID, newEvent(fmt.Sprint("ended ", i), "account-1"))
		}))
		same(t, "outcomes", got, map[string]int{"ok": 1, "not found": 19})
		if n := len(events(t, s, "")) - before; n != 1 {
			t.Errorf("%d events are stored, want one", n)
		}
	}},
	{"all sessions of an account are ended, claimed ones included, and no other's", func(t *testing.T, s store.Store) {
		open(t, s, "view", "account-1")
		v := open(t, s, "claimed", "account-1")
		claim(t, s, newClaim(v, "claim", at(0)))
		trade(t, s, "trade", "account-1")
		open(t, s, "other", "account-2")
		other := trade(t, s, "other-trade", "account-2")
		before := events(t, s, "")
		good(t, endAll(t.Context(), s, "account-1"))
		for _, sid := range []string{"view", "claimed", "trade"} {
			_, err := s.Session(t.Context(), sid)
			refused(t, err, login.ErrNotFound)
		}
		_, err := s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), time.Time{}, at(0))
		refused(t, err, login.ErrNotFound)
		same(t, "the other account's session", stored(t, s, "other-trade"), other)
		stored(t, s, "other")
		after := events(t, s, "")
		same(t, "last event", after[len(after)-1].RequestID, "revoked")
		same(t, "events before", after[:len(after)-1], before)
	}},
	{"ending an account that has no session does nothing", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		unchanged(t, s, []string{"sid"}, func() {
			refused(t, endAll(t.Context(), s, "account-2"), login.ErrNotFound)
			refused(t, endAll(t.Context(), s, ""), login.ErrNotFound)
		})
	}},
	{"ending an account's sessions does not make its used TOTP step good again", func(t *testing.T, s store.Store) {
		good(t, s.OpenView(t.Context(), newView("sid", "account-1"), 7, "try", newEvent("opened", "account-1")))
		good(t, endAll(t.Context(), s, "account-1"))
		refused(t, s.OpenView(t.Context(), newView("sid-2", "account-1"), 7, "try", newEvent("refused", "account-1")), login.ErrStepUsed)
	}},
	{"a session that is ended while its code is judged does not come back", func(t *testing.T, s store.Store) {
		for i := range rounds(10) {
			sid, account := fmt.Sprint("sid-", i), fmt.Sprint("account-", i)
			v := open(t, s, sid, account)
			claim(t, s, newClaim(v, "claim", at(0)))
			errs := together(2, func(j int) error {
				if j == 0 {
					return endAll(t.Context(), s, account)
				}
				return s.Complete(t.Context(), "claim", newTrade(v, at(0)), newEvent("completed", account))
			})
			good(t, errs[0])
			if errs[1] != nil {
				refused(t, errs[1], login.ErrClaimLost)
			}
			if n := len(events(t, s, account)); (n == 3) != (errs[1] == nil) {
				t.Errorf("Complete gave %v, and %d events are stored", errs[1], n)
			}
			_, err := s.Session(t.Context(), sid)
			refused(t, err, login.ErrNotFound)
		}
	}},

	{"unexpired sessions are counted, by their kind", func(t *testing.T, s store.Store) {
		counts := func(now time.Time, views, trades int) {
			t.Helper()
			v, x, err := s.Count(t.Context(), now)
			good(t, err)
			if v != views || x != trades {
				t.Errorf("%d view and %d trade sessions, want %d and %d", v, x, views, trades)
			}
		}
		counts(at(0), 0, 0)
		for i := range 3 {
			v := newView(fmt.Sprint("view-", i), "account-1")
			v.Expires = at(time.Duration(i+1) * time.Minute)
			good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		}
		trade(t, s, "trade-1", "account-1") // completed at start, for an hour
		trade(t, s, "trade-2", "account-2")
		counts(at(0), 3, 2)
		counts(at(time.Minute), 2, 2)
		counts(at(time.Hour-time.Millisecond), 0, 2)
		counts(at(time.Hour), 0, 0)
	}},

	{"expired sessions are swept in batches, and no others", func(t *testing.T, s store.Store) {
		for i := range 5 {
			v := newView(fmt.Sprint("expired-", i), "account-1")
			v.Expires = at(time.Duration(i-4) * time.Minute) // the last one just now
			good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		}
		old := trade(t, s, "expired-trade", "account-1") // completed at start, for an hour
		late := newView("live", "account-1")
		late.Expires = at(time.Hour + time.Millisecond)
		good(t, s.OpenView(t.Context(), late, 0, "try", newEvent("opened", "account-1")))
		before := events(t, s, "")

		sweep := func(now time.Time, n, want int) {
			t.Helper()
			got, err := s.Sweep(t.Context(), now, n)
			good(t, err)
			if got != want {
				t.Errorf("swept %d sessions, want %d", got, want)
			}
		}
		sweep(at(-time.Hour), 10, 0)
		sweep(at(0), 0, 0)
		sweep(at(0), 2, 2)
		sweep(at(0), 2, 2)
		sweep(at(0), 2, 1)
		sweep(at(0), 2, 0)
		for i := range 5 {
			_, err := s.Session(t.Context(), fmt.Sprint("expired-", i))
			refused(t, err, login.ErrNotFound)
		}
		same(t, "the trade session", stored(t, s, "expired-trade"), old)
		sweep(at(time.Hour-time.Millisecond), 10, 0)
		sweep(at(time.Hour), 10, 1)
		same(t, "the session that is live", stored(t, s, "live"), late)
		same(t, "events", events(t, s, ""), before)
	}},
	{"sweeps at once remove each session once", func(t *testing.T, s store.Store) {
		for i := range 20 {
			open(t, s, fmt.Sprint("sid-", i), "account-1")
		}
		swept := make([]int, 4)
		errs := together(4, func(i int) (err error) {
			swept[i], err = s.Sweep(t.Context(), at(time.Hour), 7)
			return err
		})
		good(t, errors.Join(errs...))
		// Two that look at the same time may find the same: what is left is for the next.
		rest, err := s.Sweep(t.Context(), at(time.Hour), 100)
		good(t, err)
		if n := swept[0] + swept[1] + swept[2] + swept[3]; n < 7 || n+rest != 20 {
			t.Errorf("swept %v and then %d, want 20 in all", swept, rest)
		}
	}},
	{"a session that is swept while its code is judged is complete with its event, or gone without", func(t *testing.T, s store.Store) {
		for i := range rounds(10) {
			sid := fmt.Sprint("sid-", i)
			v := open(t, s, sid, sid)
			claim(t, s, newClaim(v, "claim", at(time.Hour-time.Millisecond)))
			errs := together(2, func(j int) error {
				if j == 0 {
					_, err := s.Sweep(t.Context(), at(time.Hour), 10)
					return err
				}
				return s.Complete(t.Context(), "claim", newTrade(v, at(time.Hour)), newEvent("completed", sid))
			})
			good(t, errs[0])
			_, err := s.Session(t.Context(), sid)
			if events := len(events(t, s, sid)); errs[1] == nil {
				if err != nil || events != 2 {
					t.Errorf("it is complete, but: %v, and %d events", err, events)
				}
				continue
			} else if events != 1 {
				t.Errorf("it is not complete, but there are %d events", events)
			}
			refused(t, errs[1], login.ErrClaimLost)
			refused(t, err, login.ErrNotFound)
		}
	}},
}

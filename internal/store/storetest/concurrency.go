package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store"
	"neoapi/internal/store/storetest/linear"
)

var concurrencyTests = []test{
	{"of 50 logins with the same TOTP step at once exactly one succeeds", func(t *testing.T, s store.Store) {
		got := outcomes(t, together(50, func(i int) error {
			sid := fmt.Sprint("sid-", i)
			return s.OpenView(t.Context(), newView(sid, "account-1"), 59_081_400, "try", newEvent(sid, "account-1"))
		}))
		same(t, "outcomes", got, map[string]int{"ok": 1, "TOTP step already used": 49})
		names := eventNames(t, s, "account-1")
		if len(names) != 1 {
			t.Fatalf("events %v are stored, want one", names)
		}
		stored(t, s, names[0])
	}},
	{"100 concurrent claims and completes on one view session make one trade session, the rest are refused", func(t *testing.T, s store.Store) {
		withConsumer(t, s)
		for round := range rounds(10) {
			sid := fmt.Sprint("sid-", round)
			v := open(t, s, sid, sid)
			var winner atomic.Int64
			errs := together(100, func(i int) error {
				id := fmt.Sprint("claim ", i)
				if _, _, err := s.Claim(t.Context(), newClaim(v, id, at(0))); err != nil {
					return err
				}
				x := newTrade(v, at(0))
				x.TradeID, x.Repeat = id, nil
				if err := s.Complete(t.Context(), id, x, newEvent(id, sid)); err != nil {
					return fmt.Errorf("complete: %w", err)
				}
				winner.Store(int64(i))
				return nil
			})
			got := outcomes(t, errs)
			if got["ok"] != 1 || got["ok"]+got["claim is held"]+got["not found"] != 100 {
				t.Fatalf("outcomes %v, want one ok and 99 refused", got)
			}
			id := fmt.Sprint("claim ", winner.Load())
			if x := stored(t, s, sid); x.Kind != login.Trade || x.TradeID != id {
				t.Errorf("stored is the session of %s, want that of %s", x.TradeID, id)
			}
			same(t, "events", eventNames(t, s, sid), []string{"opened " + sid, id})
		}
	}},
	{"of 50 wrong codes at once no more than allowed are judged", func(t *testing.T, s store.Store) {
		for round := range rounds(3) {
			sid := fmt.Sprint("sid-", round)
			v := open(t, s, sid, sid)
			var judged, holders atomic.Int64
			errs := together(50, func(i int) error {
				id := fmt.Sprint("claim ", i)
				for {
					_, _, err := s.Claim(t.Context(), newClaim(v, id, at(0)))
					if errors.Is(err, login.ErrClaimed) {
						runtime.Gosched()
						continue
					}
					if err != nil {
						return err
					}
					judged.Add(1)
					if holders.Add(1) > 1 {
						return errors.New("two hold the claim")
					}
					holders.Add(-1)
					return s.Fail(t.Context(), sid, id, newEvent(id, sid))
				}
			})
			same(t, "outcomes", outcomes(t, errs), map[string]int{"ok": maxTries, "tries are used up": 50 - maxTries})
			if n := judged.Load(); n != maxTries {
				t.Errorf("%d codes were judged, want %d", n, maxTries)
			}
			if n := len(events(t, s, sid)); n != 1+maxTries {
				t.Errorf("%d events are stored, want one a judged code and the first", n)
			}
		}
	}},
	{"sessions of different accounts do not disturb one another", func(t *testing.T, s store.Store) {
		withConsumer(t, s)
		errs := together(20, func(i int) error {
			sid := fmt.Sprint("sid-", i)
			v := newView(sid, sid)
			if err := s.OpenView(t.Context(), v, 1, "try", newEvent("opened", sid)); err != nil {
				return err
			}
			if _, err := s.SetOTP(t.Context(), newCode(sid, 0, at(0))); err != nil {
				return err
			}
			if _, _, err := s.Claim(t.Context(), newClaim(v, "wrong", at(0))); err != nil {
				return err
			}
			if err := s.Fail(t.Context(), sid, "wrong", newEvent("failed", sid)); err != nil {
				return err
			}
			if _, _, err := s.Claim(t.Context(), newClaim(v, "right", at(0))); err != nil {
				return err
			}
			return s.Complete(t.Context(), "right", newTrade(v, at(0)), newEvent("completed", sid))
		})
		good(t, errors.Join(errs...))
		for i := range 20 {
			sid := fmt.Sprint("sid-", i)
			same(t, "session", stored(t, s, sid), completed(newTrade(newView(sid, sid), at(0))))
			same(t, "events", eventNames(t, s, sid), []string{"opened", "failed", "completed"})
		}
	}},
	{"claims, codes and ends on one sid are linearizable", func(t *testing.T, s store.Store) { linear.Check(t, s) }},
}

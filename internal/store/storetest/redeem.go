package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// redemption returns a claim that carries a session's code, and the trade session that
// results if the code is right.
func redemption(v login.Session, o login.NewOTP, now time.Time) (login.Claim, login.Session) {
	c := newClaim(v, "claim of "+v.SID, now)
	x := newTrade(v, now)
	c.Redeem = &login.Redemption{OTP: o.Hash, Trade: x, Event: newEvent("completed "+v.SID, v.Account)}
	return c, completed(x)
}

// enabled adds an account that is not disabled, and returns its id.
func enabled(t *testing.T, s store.Store, n int) string {
	t.Helper()
	a := newAccount(n)
	a.Disabled = false
	add(t, s, a)
	return a.ID
}

// code sets a code on an open session.
func code(t *testing.T, s store.Store, v login.Session) login.NewOTP {
	t.Helper()
	o := newCode(v.SID, 0, at(0))
	put(t, s, o)
	return o
}

var redeemTests = []test{
	{"a claim with the right code completes the session and returns it with its account", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		a.Disabled = false
		add(t, s, a)
		v := open(t, s, "sid", a.ID)
		c, want := redemption(v, code(t, s, v), at(time.Second))
		withConsumer(t, s)
		got, account, err := s.Claim(t.Context(), c)
		good(t, err)
		same(t, "session returned", got, want)
		same(t, "account", account, a)
		same(t, "session stored", stored(t, s, "sid"), want)
		same(t, "events", eventNames(t, s, a.ID), []string{"added", "opened sid", "completed sid"})
		state, err := s.State(t.Context(), a.ID)
		good(t, err)
		same(t, "failures", state.Failures, map[login.Factor]login.Failures(nil))
		refused(t, s.Complete(t.Context(), c.ID, want, newEvent("again", a.ID)), login.ErrClaimLost)
	}},
	{"a claim with a wrong code, an expired one or none is an ordinary claim", func(t *testing.T, s store.Store) {
		for i, spoil := range []func(c *login.Claim, o login.NewOTP){
			func(c *login.Claim, _ login.NewOTP) { c.Redeem.OTP = []byte("another") },
			func(c *login.Claim, _ login.NewOTP) { c.Redeem.OTP = nil },
			func(c *login.Claim, o login.NewOTP) { c.Now = o.Expires },
			func(c *login.Claim, _ login.NewOTP) { c.Redeem = nil },
		} {
			v := open(t, s, fmt.Sprint("sid ", i), enabled(t, s, i))
			o := code(t, s, v)
			c, _ := redemption(v, o, at(time.Second))
			spoil(&c, o)
			got := claim(t, s, c)
			if got.Kind != login.View || got.ClaimID != c.ID || got.Tries != 1 {
				t.Errorf("%d: %s, claim %q, %d tries", i, got, got.ClaimID, got.Tries)
			}
			good(t, s.Fail(t.Context(), v.SID, c.ID, newEvent("failed", v.Account)))
		}
		v := open(t, s, "without", enabled(t, s, 7))
		c, _ := redemption(v, login.NewOTP{}, at(time.Second))
		if got := claim(t, s, c); got.Kind != login.View {
			t.Errorf("without a code: %s", got)
		}
	}},
	{"the code of a disabled or missing account is not redeemed", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		for _, id := range []string{a.ID, "account-1"} {
			v := open(t, s, "sid of "+id, id)
			c, _ := redemption(v, code(t, s, v), at(time.Second))
			if got := claim(t, s, c); got.Kind != login.View || got.ClaimID != c.ID {
				t.Errorf("%s, claim %q", got, got.ClaimID)
			}
		}
	}},
	{"a code is redeemed with its account's name and not with another's", func(t *testing.T, s store.Store) {
		id := enabled(t, s, 1)
		a := newAccount(1)
		for i, x := range []struct {
			id   login.Identifier
			good bool
		}{
			{named(login.ByMobile, newAccount(2).Mobile), false}, {named(login.ByMobile, a.Mobile), true},
			{named(login.ByPAN, string(newAccount(2).PANIndex)), false}, {named(login.ByPAN, string(a.PANIndex)), true},
			{named(login.ByUserID, newAccount(2).UserID), false}, {named(login.ByUserID, a.UserID), true},
			{named(login.ByUCC, newAccount(2).UCC), false}, {named(login.ByUCC, a.UCC), true}, {byID(2), false}, {byID(1), true},
		} {
			v := open(t, s, fmt.Sprint("sid ", i), id)
			o := newCode(v.SID, 0, at(0))
			o.PerHour = 100
			put(t, s, o)
			c, _ := redemption(v, o, at(time.Second))
			c.Redeem.ID = x.id
			if got := claim(t, s, c); (got.Kind == login.Trade) != x.good {
				t.Errorf("by %s: %s", x.id.Kind, got)
			}
		}
	}},
	{"repeating a claim that completed its session returns the session", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", enabled(t, s, 1))
		c, want := redemption(v, code(t, s, v), at(time.Second))
		claim(t, s, c)
		c.Repeat = want.Repeat
		c.Redeem.Trade.RID = "another"
		same(t, "session", claim(t, s, c), want)
	}},
	{"of many claims with the right code one completes the session", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", enabled(t, s, 1))
		o := code(t, s, v)
		withConsumer(t, s)
		errs := together(8, func(i int) error {
			c, _ := redemption(v, o, at(time.Second))
			c.ID, c.Redeem.Trade.RID = fmt.Sprint("claim ", i), fmt.Sprint("rid ", i)
			x, _, err := s.Claim(context.WithoutCancel(t.Context()), c)
			if err == nil && x.RID != c.Redeem.Trade.RID {
				t.Errorf("got the session of %s", x.RID)
			}
			return err
		})
		n := 0
		for _, err := range errs {
			if err == nil {
				n++
			} else {
				refused(t, err, login.ErrNotFound)
			}
		}
		same(t, "completed", n, 1)
		same(t, "events", eventNames(t, s, v.Account), []string{"added", "opened sid", "completed sid"})
	}},

	{"a session completed after its consumer was removed ends at once", func(t *testing.T, s store.Store) {
		held, whole := open(t, s, "held", enabled(t, s, 1)), open(t, s, "whole", enabled(t, s, 2))
		claim(t, s, newClaim(held, "claim", at(0)))
		c, _ := redemption(whole, code(t, s, whole), at(0))
		good(t, s.RemoveConsumer(t.Context(), "consumer-1", newEvent("removed", "")))
		again := newConsumer("consumer-1")
		again.Incarnation = "another"
		good(t, s.AddConsumer(t.Context(), again, newEvent("added again", "")))
		x := newTrade(held, at(0))
		x.Remote = true
		refused(t, s.Complete(t.Context(), "claim", x, newEvent("completed", held.Account)), login.ErrOvertaken)
		_, _, err := s.Claim(t.Context(), c)
		refused(t, err, login.ErrOvertaken)
		for _, v := range []login.Session{held, whole} {
			_, err := s.Session(t.Context(), v.SID)
			refused(t, err, login.ErrNotFound)
			all := events(t, s, v.Account)
			same(t, "outcome", all[len(all)-1].Outcome, login.Event{}.Overtaken().Outcome)
			same(t, "events", len(all), 3) // added, opened and overtaken
		}
		revoked, _, err := s.Revocations(t.Context(), 0, at(0), 10)
		good(t, err)
		same(t, "revoked", len(revoked), 2)
		q, err := s.Jobs(t.Context(), login.JobClose)
		good(t, err)
		same(t, "closings", q.Length, 1)
	}},
	// In either order, the consumer keeps no session that is not revoked.
	{"a completion and a concurrent removal of its consumer see each other", func(t *testing.T, s store.Store) {
		withConsumer(t, s)
		for round := range 20 {
			v := open(t, s, fmt.Sprint("sid ", round), enabled(t, s, round))
			c, _ := redemption(v, code(t, s, v), at(0))
			c.Redeem.Trade.TradeID = v.SID
			errs := together(2, func(i int) error {
				if i == 0 {
					return s.RemoveConsumer(context.WithoutCancel(t.Context()), "consumer-1", newEvent("removed", ""))
				}
				_, _, err := s.Claim(context.WithoutCancel(t.Context()), c)
				return err
			})
			good(t, errs[0])
			if errs[1] != nil {
				refused(t, errs[1], login.ErrOvertaken)
			}
			all, _, err := s.Revocations(t.Context(), 0, at(0), 1000)
			good(t, err)
			found := false
			for _, r := range all {
				found = found || r.TokenID == v.SID
			}
			if !found {
				t.Fatalf("round %d: the token is not revoked (%v)", round, errs[1])
			}
			good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		}
	}},
}

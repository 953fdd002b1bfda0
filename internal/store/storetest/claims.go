package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

var claimTests = []test{
	{"a claim counts the try and returns the session as it is then", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		o := newCode("sid", 0, at(0))
		put(t, s, o)
		got := claim(t, s, newClaim(v, "claim", at(time.Second)))
		want := v
		want.OTP, want.OTPExpires, want.LastSend, want.Sends = o.Hash, o.Expires, o.Now, 1
		want.Tries, want.ClaimID, want.ClaimUntil = 1, "claim", at(time.Second+lease)
		same(t, "session returned", got, want)
		same(t, "session stored", stored(t, s, "sid"), want)
		same(t, "events", eventNames(t, s, "account-1"), []string{"opened sid"})
	}},
	{"a claim is refused to another account, consumer or token, counts no try and takes nothing", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		open(t, s, "sid-2", "account-2")
		good1 := newClaim(v, "claim", at(0))
		for name, spoil := range map[string]func(c *login.Claim){
			"another account":       func(c *login.Claim) { c.Account = "account-2" },
			"no account":            func(c *login.Claim) { c.Account = "" },
			"another consumer":      func(c *login.Claim) { c.Consumer = "consumer-2" },
			"another token":         func(c *login.Claim) { c.ViewID = "view-id-of-sid-2" },
			"no token":              func(c *login.Claim) { c.ViewID = "" },
			"another account's sid": func(c *login.Claim) { c.SID = "sid-2" },
			"an unknown sid":        func(c *login.Claim) { c.SID = "sid-3" },
			"no sid":                func(c *login.Claim) { c.SID = "" },
			"an expired session":    func(c *login.Claim) { c.Now = v.Expires },
		} {
			c := good1
			spoil(&c)
			unchanged(t, s, []string{"sid", "sid-2"}, func() {
				got, _, err := s.Claim(t.Context(), c)
				if !errors.Is(err, login.ErrNotFound) {
					t.Errorf("%s: got error %v, want not found", name, err)
				}
				same(t, name+": session returned", got, login.Session{})
			})
		}
		good1.Now = v.Expires.Add(-time.Millisecond)
		claim(t, s, good1)
	}},
	{"a claim is refused while another holds it, and counts no try", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		claim(t, s, newClaim(v, "first", at(0)))
		unchanged(t, s, []string{"sid"}, func() {
			for _, d := range []time.Duration{0, time.Second, lease - time.Millisecond} {
				for _, id := range []string{"second", "first"} {
					got, _, err := s.Claim(t.Context(), newClaim(v, id, at(d)))
					refused(t, err, login.ErrClaimed)
					same(t, "session returned", got, login.Session{})
				}
			}
		})
	}},
	{"a claim whose lease has run out is taken over, and its holder has lost it", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		claim(t, s, newClaim(v, "first", at(0)))
		got := claim(t, s, newClaim(v, "second", at(lease)))
		if got.Tries != 2 || got.ClaimID != "second" || !got.ClaimUntil.Equal(at(2*lease)) {
			t.Errorf("after the takeover: %d tries, claim %q until %v", got.Tries, got.ClaimID, got.ClaimUntil)
		}
		refused(t, s.Fail(t.Context(), "sid", "first", newEvent("failed", "account-1")), login.ErrClaimLost)
		refused(t, s.Refund(t.Context(), "sid", "first", newEvent("refunded", "account-1")), login.ErrClaimLost)
		refused(t, s.Complete(t.Context(), "first", newTrade(v, at(lease)), newEvent("completed", "account-1")), login.ErrClaimLost)
		same(t, "session", stored(t, s, "sid"), got)
		same(t, "events", eventNames(t, s, "account-1"), []string{"opened sid", "failed", "refunded"})
		good(t, s.Complete(t.Context(), "second", newTrade(v, at(lease)), newEvent("completed", "account-1")))
	}},
	{"a try is refused once all have been counted, also those whose lease ran out", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		for i := range maxTries {
			got := claim(t, s, newClaim(v, fmt.Sprint("claim ", i), at(time.Duration(i)*lease)))
			if got.Tries != i+1 {
				t.Errorf("try %d was counted as %d", i+1, got.Tries)
			}
		}
		unchanged(t, s, []string{"sid"}, func() {
			_, _, err := s.Claim(t.Context(), newClaim(v, "early", at((maxTries-1)*lease)))
			refused(t, err, login.ErrClaimed) // the last try may still be given back
			_, _, err = s.Claim(t.Context(), newClaim(v, "late", at(maxTries*lease)))
			refused(t, err, login.ErrTriesUsed)
		})
		good(t, s.Fail(t.Context(), "sid", fmt.Sprint("claim ", maxTries-1), newEvent("failed", "account-1")))
		unchanged(t, s, []string{"sid"}, func() {
			_, _, err := s.Claim(t.Context(), newClaim(v, "late", at(0)))
			refused(t, err, login.ErrTriesUsed)
		})
	}},

	{"a claim that fails is given back, and its try stays counted", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		claim(t, s, newClaim(v, "claim", at(0)))
		want := newEvent("failed", "account-1")
		good(t, s.Fail(t.Context(), "sid", "claim", want))
		v.Tries = 1
		same(t, "session", stored(t, s, "sid"), v)
		got := events(t, s, "account-1")
		want.Seq = got[len(got)-1].Seq
		same(t, "event", got[len(got)-1], want)
		claim(t, s, newClaim(v, "again", at(0)))
	}},
	{"a claim that is refunded is given back with its try", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		for i := range 2 * maxTries {
			id := fmt.Sprint("claim ", i)
			claim(t, s, newClaim(v, id, at(0)))
			good(t, s.Refund(t.Context(), "sid", id, newEvent(id, "account-1")))
			same(t, "session", stored(t, s, "sid"), v)
		}
		if n := len(events(t, s, "account-1")); n != 1+2*maxTries {
			t.Errorf("%d events are stored, want one a refund and the first", n)
		}
	}},
	{"a claim that is not held cannot be given back, and the event is stored all the same", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		claim(t, s, newClaim(v, "given back", at(0)))
		good(t, s.Fail(t.Context(), "sid", "given back", newEvent("first", "account-1")))
		trade(t, s, "trade", "account-2")
		before := read(t, s, "sid", "trade")
		names := []string{"opened sid", "first"}
		for _, sid := range []string{"sid", "trade", "unknown"} {
			for _, id := range []string{"given back", "never taken", "", "claim of trade"} {
				fail, refund := "failed "+sid+id, "refunded "+sid+id
				refused(t, s.Fail(t.Context(), sid, id, newEvent(fail, "account-1")), login.ErrClaimLost)
				refused(t, s.Refund(t.Context(), sid, id, newEvent(refund, "account-1")), login.ErrClaimLost)
				names = append(names, fail, refund)
			}
		}
		same(t, "sessions", read(t, s, "sid", "trade").Sessions, before.Sessions)
		same(t, "events", eventNames(t, s, "account-1"), names)
	}},
}

var completeTests = []test{
	{"the record becomes the trade session under the same sid, with every field and its event", func(t *testing.T, s store.Store) {
		v := newView("sid", "account-1")
		v.First = login.TOTP
		good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		put(t, s, newCode("sid", 0, at(0)))
		claim(t, s, newClaim(v, "claim", at(0)))
		x := newTrade(v, at(time.Second+crumb))
		x.Tries, x.TriesBefore, x.Sends, x.Remote = 1, 2, 2, true
		full(t, x, "OTP", "OTPExpires", "LastSend", "Undelivered", "ClaimID", "ClaimUntil", "Completed")
		good(t, s.Complete(t.Context(), "claim", x, newEvent("completed", "account-1")))
		got := stored(t, s, "sid")
		same(t, "session", got, completed(x))
		if len(got.OTP) != 0 || got.ClaimID != "" {
			t.Error("the code or the claim of the view session is still there")
		}
		same(t, "events", eventNames(t, s, "account-1"), []string{"opened", "completed"})
	}},
	{"a view session that is complete takes no other claim, code or completion", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		put(t, s, newCode("sid", 0, at(0)))
		claim(t, s, newClaim(v, "claim", at(0)))
		x := newTrade(v, at(0))
		x.Repeat = nil
		good(t, s.Complete(t.Context(), "claim", x, newEvent("completed", "account-1")))
		_, _, err := s.Claim(t.Context(), newClaim(v, "again", at(1)))
		refused(t, err, login.ErrNotFound)
		x.TradeID = "another"
		unchanged(t, s, []string{"sid"}, func() {
			for _, id := range []string{"claim", "again", ""} {
				refused(t, s.Complete(t.Context(), id, x, newEvent("refused", "account-1")), login.ErrClaimLost)
			}
			_, err = s.SetOTP(t.Context(), newCode("sid", 0, at(1)))
			refused(t, err, login.ErrNotFound)
			_, err = s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), time.Time{}, at(1))
			refused(t, err, login.ErrNotFound)
		})
	}},
	{"a claim that is lost completes nothing, and nothing is stored", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		lost := func(why, id string) {
			t.Helper()
			unchanged(t, s, []string{"sid"}, func() {
				err := s.Complete(t.Context(), id, newTrade(v, at(0)), newEvent("refused", "account-1"))
				if !errors.Is(err, login.ErrClaimLost) {
					t.Errorf("%s: got error %v, want claim lost", why, err)
				}
			})
		}
		lost("never claimed", "")
		lost("never claimed", "claim 0")
		claim(t, s, newClaim(v, "claim 1", at(0)))
		lost("held by another", "claim 0")
		lost("held by another", "")
		good(t, s.Fail(t.Context(), "sid", "claim 1", newEvent("failed", "account-1")))
		lost("failed", "claim 1")
		lost("failed", "")
		claim(t, s, newClaim(v, "claim 2", at(0)))
		good(t, s.Refund(t.Context(), "sid", "claim 2", newEvent("refunded", "account-1")))
		lost("refunded", "claim 2")
		claim(t, s, newClaim(v, "claim 3", at(0)))
		good(t, endAll(t.Context(), s, "account-1"))
		lost("ended", "claim 3")
	}},

	{"a repeat of the request that completed the session returns it, without a claim", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		c := newClaim(x, "repeat", at(0))
		c.Repeat = x.Repeat
		unchanged(t, s, []string{"sid"}, func() {
			for _, d := range []time.Duration{0, time.Second, repeatFor} {
				for range maxTries {
					c.Now = at(d)
					same(t, "session", claim(t, s, c), x)
				}
			}
			c.Now = at(repeatFor + time.Millisecond)
			got, _, err := s.Claim(t.Context(), c)
			refused(t, err, login.ErrNotFound)
			same(t, "session returned too late", got, login.Session{})
		})
	}},
	{"a wrong repeat counts a try, and after the last one the right one is refused too", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		right, wrong := newClaim(x, "right", at(0)), newClaim(x, "wrong", at(0))
		right.Repeat = x.Repeat
		for i := range maxTries {
			same(t, "session", claim(t, s, right), stored(t, s, "sid"))
			wrong.Repeat = [][]byte{[]byte("wrong"), nil, x.Repeat[1:]}[i%3]
			got, _, err := s.Claim(t.Context(), wrong)
			refused(t, err, login.ErrNotFound)
			same(t, "session returned", got, login.Session{})
			if tries := stored(t, s, "sid").Tries; tries != i+1 {
				t.Errorf("%d tries are counted after wrong repeat %d", tries, i+1)
			}
		}
		_, _, err := s.Claim(t.Context(), right)
		refused(t, err, login.ErrNotFound)
		want := x
		want.Tries = maxTries
		same(t, "session", stored(t, s, "sid"), want)
	}},
	{"wrong repeats at once are all counted", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		wrong := newClaim(x, "wrong", at(0))
		wrong.MaxTries, wrong.Repeat = 100, []byte("wrong")
		got := outcomes(t, together(20, func(int) error {
			_, _, err := s.Claim(t.Context(), wrong)
			return err
		}))
		same(t, "outcomes", got, map[string]int{"not found": 20})
		if tries := stored(t, s, "sid").Tries; tries != 20 {
			t.Errorf("%d tries are counted, want 20", tries)
		}
	}},
	{"a repeat is refused to another account, consumer or token, and counts no try", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		for _, spoil := range []func(c *login.Claim){
			func(c *login.Claim) { c.Account = "account-2" },
			func(c *login.Claim) { c.Consumer = "consumer-2" },
			func(c *login.Claim) { c.ViewID = x.TradeID },
			func(c *login.Claim) { c.ViewID = "" },
			func(c *login.Claim) { c.SID = "unknown" },
			func(c *login.Claim) { c.Now, c.RepeatFor = x.Expires, 2*time.Hour },
		} {
			c := newClaim(x, "repeat", at(0))
			c.Repeat = x.Repeat
			spoil(&c)
			unchanged(t, s, []string{"sid"}, func() {
				_, _, err := s.Claim(t.Context(), c)
				refused(t, err, login.ErrNotFound)
			})
		}
	}},
	{"a session that was completed without a request id is not repeated", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		claim(t, s, newClaim(v, "claim", at(0)))
		x := newTrade(v, at(0))
		x.Repeat = nil
		good(t, s.Complete(t.Context(), "claim", x, newEvent("completed", "account-1")))
		for _, repeat := range [][]byte{nil, {}, []byte("repeat of sid")} {
			c := newClaim(v, "repeat", at(0))
			c.Repeat = repeat
			_, _, err := s.Claim(t.Context(), c)
			refused(t, err, login.ErrNotFound)
		}
	}},
}

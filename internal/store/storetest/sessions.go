package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

var viewTests = []test{
	{"a view session is stored with every field and its event", func(t *testing.T, s store.Store) {
		want := login.Session{
			SID: "sid", RID: "rid", Kind: login.View, Account: "account-1", UCC: "UCC1", Consumer: "consumer-1", Incarnation: "incarnation of consumer-1", First: login.TOTP,
			ViewID: "view-id", TradeID: "trade-id", KeyID: "key-1", Home: "server1", Issued: at(1 + crumb), Expires: at(time.Hour + crumb),
			Tries: 1, TriesBefore: 3, Sends: 2, OTP: []byte("\x00\xffotp"), OTPExpires: at(2*time.Second + crumb), LastSend: at(3*time.Second + crumb),
			ClaimID: "claim", ClaimUntil: at(4*time.Second + crumb), Completed: at(5*time.Second + crumb), Repeat: []byte("\x00\xffrepeat"),
			Undelivered: true, Remote: true,
		}
		full(t, want)
		good(t, s.OpenView(t.Context(), want, 0, "try", newEvent("opened", "account-1")))
		same(t, "session", stored(t, s, "sid"), want)
		same(t, "events", eventNames(t, s, "account-1"), []string{"opened"})
	}},
	{"a view session without what is optional is stored as such", func(t *testing.T, s store.Store) {
		want := open(t, s, "sid", "account-1")
		same(t, "session", stored(t, s, "sid"), want)
	}},
	{"a sid that nobody has is not found", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		for _, sid := range []string{"", "si", "sid ", "SID", "%", "view-id-of-sid"} {
			got, err := s.Session(t.Context(), sid)
			refused(t, err, login.ErrNotFound)
			same(t, "session of no sid", got, login.Session{})
		}
	}},
	{"a sid that is taken is not stored twice, and no TOTP step is marked", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		v := newView("sid", "account-2")
		unchanged(t, s, []string{"sid"}, func() {
			if s.OpenView(t.Context(), v, 7, "try", newEvent("refused", "account-2")) == nil {
				t.Error("a second session took the place of the first")
			}
		})
		good(t, s.OpenView(t.Context(), newView("another", "account-2"), 7, "try", newEvent("opened", "account-2")))
	}},
	{"a session that has expired is returned all the same", func(t *testing.T, s store.Store) {
		v := newView("sid", "account-1")
		v.Expires = at(-time.Hour)
		good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		same(t, "session", stored(t, s, "sid"), v)
	}},

	{"a TOTP step is used once, and no earlier one after it", func(t *testing.T, s store.Store) {
		n := 0
		login1 := func(account string, step int64) error {
			n++
			sid := fmt.Sprint("sid-", n)
			err := s.OpenView(t.Context(), newView(sid, account), step, "try", newEvent("opened "+sid, account))
			if _, serr := s.Session(t.Context(), sid); (err == nil) != (serr == nil) {
				t.Errorf("OpenView gave %v, but the session: %v", err, serr)
			}
			return err
		}
		const step = 59_081_400
		good(t, login1("account-1", step))
		refused(t, login1("account-1", step), login.ErrStepUsed)
		refused(t, login1("account-1", step-1), login.ErrStepUsed)
		refused(t, login1("account-1", 1), login.ErrStepUsed)
		good(t, login1("account-1", 0)) // a login without TOTP
		refused(t, login1("account-1", step), login.ErrStepUsed)
		good(t, login1("account-2", step)) // an account for itself
		good(t, login1("account-1", step+2))
		refused(t, login1("account-1", step+1), login.ErrStepUsed)
		good(t, login1("account-1", step+3))
		same(t, "events of what was opened", eventNames(t, s, "account-1"),
			[]string{"opened sid-1", "opened sid-5", "opened sid-8", "opened sid-10"})
	}},
	{"codes that are counted for an account leave its TOTP step as it is", func(t *testing.T, s store.Store) {
		good(t, s.OpenView(t.Context(), newView("sid", "account-1"), 7, "try", newEvent("opened", "account-1")))
		put(t, s, newCode("sid", 0, at(0)))
		refused(t, s.OpenView(t.Context(), newView("sid-2", "account-1"), 7, "try", newEvent("refused", "account-1")), login.ErrStepUsed)
		good(t, s.OpenView(t.Context(), newView("sid-3", "account-1"), 8, "try", newEvent("opened", "account-1")))
		for i := 1; i < perHour; i++ {
			put(t, s, newCode("sid", i, at(0)))
		}
		_, err := s.SetOTP(t.Context(), newCode("sid", perHour, at(0)))
		refused(t, err, login.ErrTooMany)
	}},

	{"a code is meant for the newest view session without a live code, or else for the newest", func(t *testing.T, s store.Store) {
		pending := func(now time.Time, want string) {
			t.Helper()
			got, err := s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), time.Time{}, now)
			good(t, err)
			if got.SID != want {
				t.Errorf("got session %s, want %s", got.SID, want)
			}
			same(t, "session", got, stored(t, s, want))
		}
		for i, sid := range []string{"oldest", "middle", "newest"} {
			v := newView(sid, "account-1")
			v.Issued = at(time.Duration(i) * time.Minute)
			good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		}
		now := at(4 * time.Minute)
		pending(now, "newest")
		put(t, s, newCode("newest", 0, now))
		pending(now, "middle")
		put(t, s, newCode("oldest", 0, now))
		pending(now, "middle")
		put(t, s, newCode("middle", 0, now))
		pending(now, "newest")
		good(t, s.DropOTP(t.Context(), "oldest", newCode("oldest", 0, now).Hash))
		pending(now, "oldest")
		put(t, s, newCode("oldest", 0, now.Add(time.Minute)))
		pending(now.Add(5*time.Minute-time.Millisecond), "newest")
		pending(now.Add(5*time.Minute), "newest") // the codes of newest and middle have just expired
	}},
	{"a login that was given up does not take the code of the newest one", func(t *testing.T, s store.Store) {
		for i, sid := range []string{"given up", "current"} {
			v := newView(sid, "account-1")
			v.Issued = at(time.Duration(i) * time.Minute)
			good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		}
		now := at(2 * time.Minute)
		put(t, s, newCode("current", 0, now))
		for fresh, want := range map[time.Duration]string{-time.Millisecond: "given up", 0: "current"} { // opened after fresh, or not
			got, err := s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), at(fresh), now)
			good(t, err)
			if got.SID != want {
				t.Errorf("of sessions opened after %v: %s, want %s", fresh, got.SID, want)
			}
		}
	}},
	{"a code is not meant for a session of another account or consumer, nor for one that is expired or complete", func(t *testing.T, s store.Store) {
		other := newView("other-consumer", "account-1")
		other.Consumer = "consumer-2"
		good(t, s.OpenView(t.Context(), other, 0, "try", newEvent("opened", "account-1")))
		open(t, s, "other-account", "account-2")
		trade(t, s, "trade", "account-1")
		expired := newView("expired", "account-1")
		expired.Expires = at(time.Minute)
		good(t, s.OpenView(t.Context(), expired, 0, "try", newEvent("opened", "account-1")))

		got, err := s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), time.Time{}, at(time.Minute-time.Millisecond))
		good(t, err)
		same(t, "the session just before it expires", got, expired)
		got, err = s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), time.Time{}, at(time.Minute))
		refused(t, err, login.ErrNotFound)
		same(t, "no session", got, login.Session{})
		_, err = s.PendingView(t.Context(), "account-3", consumerOf("consumer-1"), time.Time{}, at(0))
		refused(t, err, login.ErrNotFound)
		_, err = s.PendingView(t.Context(), "", consumerOf("consumer-1"), time.Time{}, at(0))
		refused(t, err, login.ErrNotFound)
	}},
}

// put stores a code that must be accepted.
func put(t *testing.T, s store.Store, o login.NewOTP) {
	t.Helper()
	if wait, err := s.SetOTP(t.Context(), o); err != nil {
		t.Fatalf("code %d of %s: %v (wait %v)", o.Sends+1, o.SID, err, wait)
	}
}

// tooMany asks for one code more than an account may have, and returns the wait.
func tooMany(t *testing.T, s store.Store, o login.NewOTP) time.Duration {
	t.Helper()
	var wait time.Duration
	unchanged(t, s, []string{o.SID}, func() {
		var err error
		wait, err = s.SetOTP(t.Context(), o)
		refused(t, err, login.ErrTooMany)
	})
	return wait
}

var codeTests = []test{
	{"a code takes the place of any other, is counted and gives fresh tries", func(t *testing.T, s store.Store) {
		want := open(t, s, "sid", "account-1")
		for n := range 2 {
			now := at(time.Duration(n) * time.Minute)
			for i := range maxTries {
				id := fmt.Sprint("claim ", n, i)
				claim(t, s, newClaim(want, id, now))
				good(t, s.Fail(t.Context(), "sid", id, newEvent(id, "account-1")))
			}
			_, err := s.Claim(t.Context(), newClaim(want, "one too many", now))
			refused(t, err, login.ErrTriesUsed)

			o := newCode("sid", n, now.Add(crumb))
			put(t, s, o)
			want.OTP, want.OTPExpires, want.LastSend, want.Sends, want.Tries, want.TriesBefore = o.Hash, o.Expires, o.Now, n+1, 0, maxTries
			same(t, "session", stored(t, s, "sid"), want)
		}
	}},
	{"a code does not disturb the claim of a try that is being judged", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		want := claim(t, s, newClaim(v, "claim", at(0)))
		put(t, s, newCode("sid", 0, at(1)))
		got := stored(t, s, "sid")
		if got.ClaimID != "claim" || !got.ClaimUntil.Equal(want.ClaimUntil) {
			t.Errorf("the claim is %q until %v, want it as it was", got.ClaimID, got.ClaimUntil)
		}
		good(t, s.Refund(t.Context(), "sid", "claim", newEvent("refund", "account-1")))
		if got := stored(t, s, "sid"); got.Tries != 0 || got.ClaimID != "" {
			t.Errorf("after the refund there are %d tries and the claim %q, want none", got.Tries, got.ClaimID)
		}
	}},
	{"a code that was decided on with another count of sends is refused", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		put(t, s, newCode("sid", 0, at(0)))
		for _, sends := range []int{0, 2, -1} {
			unchanged(t, s, []string{"sid"}, func() {
				_, err := s.SetOTP(t.Context(), newCode("sid", sends, at(1)))
				refused(t, err, login.ErrClaimed)
			})
		}
		put(t, s, newCode("sid", 1, at(1))) // the refused ones were not counted for the account
		put(t, s, newCode("sid", 2, at(1)))
	}},
	{"a session that is complete, expired, ended or unknown takes no code", func(t *testing.T, s store.Store) {
		trade(t, s, "trade", "account-1")
		open(t, s, "view", "account-1")
		unchanged(t, s, []string{"trade", "view"}, func() {
			for sid, now := range map[string]time.Time{"trade": at(0), "view": at(time.Hour), "unknown": at(0)} {
				_, err := s.SetOTP(t.Context(), newCode(sid, 0, now))
				refused(t, err, login.ErrNotFound)
			}
		})
		put(t, s, newCode("view", 0, at(time.Hour-time.Millisecond)))
	}},
	{"an account has no more codes an hour than allowed, and one more exactly after the wait", func(t *testing.T, s store.Store) {
		for i := range perHour {
			sid := fmt.Sprint("sid-", i)
			open(t, s, sid, "account-1")
			put(t, s, newCode(sid, 0, at(time.Duration(i)*time.Minute)))
		}
		long := newView("long", "account-1")
		long.Expires = at(24 * time.Hour)
		good(t, s.OpenView(t.Context(), long, 0, "try", newEvent("opened", "account-1")))
		now := at(10 * time.Minute)
		wait := tooMany(t, s, newCode("long", 0, now))
		if wait != 50*time.Minute {
			t.Errorf("the wait is %v, want 50m: until the first code is an hour old", wait)
		}
		open(t, s, "other", "account-2")
		put(t, s, newCode("other", 0, now))

		if wait := tooMany(t, s, newCode("long", 0, at(time.Hour-time.Millisecond))); wait != time.Millisecond {
			t.Errorf("the wait is %v, want the last millisecond", wait)
		}
		put(t, s, newCode("long", 0, now.Add(wait)))
	}},
	{"no hour at all has more codes than allowed, wherever it begins", func(t *testing.T, s store.Store) {
		v := newView("sid", "account-1")
		v.Expires = at(24 * time.Hour)
		good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		put(t, s, newCode("sid", 0, at(0)))
		put(t, s, newCode("sid", 1, at(58*time.Minute)))
		put(t, s, newCode("sid", 2, at(59*time.Minute)))
		put(t, s, newCode("sid", 3, at(60*time.Minute))) // the first is an hour old
		now := at(61 * time.Minute)
		if wait := tooMany(t, s, newCode("sid", 4, now)); wait != at(118*time.Minute).Sub(now) {
			t.Errorf("the wait is %v, want 57m: until the second code is an hour old", wait)
		}
	}},
	{"codes for one account's sessions at once are no more than allowed", func(t *testing.T, s store.Store) {
		for i := range 12 {
			open(t, s, fmt.Sprint("sid-", i), "account-1")
		}
		got := outcomes(t, together(12, func(i int) error {
			_, err := s.SetOTP(t.Context(), newCode(fmt.Sprint("sid-", i), 0, at(0)))
			return err
		}))
		same(t, "outcomes", got, map[string]int{"ok": perHour, "too many one-time codes": 12 - perHour})
	}},
	{"of codes for one session at once one is stored", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		codes := make([]login.NewOTP, 12)
		errs := together(len(codes), func(i int) error {
			codes[i] = newCode("sid", 0, at(0))
			codes[i].Hash = []byte(fmt.Sprint("code ", i))
			_, err := s.SetOTP(t.Context(), codes[i])
			return err
		})
		same(t, "outcomes", outcomes(t, errs), map[string]int{"ok": 1, "claim is held": 11})
		for i, err := range errs {
			if err == nil {
				same(t, "code", stored(t, s, "sid").OTP, codes[i].Hash)
			}
		}
	}},

	{"a code that is taken back leaves session and account as if it had not been asked for", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		failing(t, s, "sid")
		unchanged(t, s, []string{"sid"}, func() {
			for range 2 * perHour { // never too many
				failing(t, s, "sid")
			}
		})
		for i := range perHour {
			put(t, s, newCode("sid", i, at(0)))
		}
		_, err := s.SetOTP(t.Context(), newCode("sid", perHour, at(0)))
		refused(t, err, login.ErrTooMany)
	}},
	{"a code that is taken back gives no fresh tries", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		for i := range maxTries {
			id := fmt.Sprint("claim ", i)
			claim(t, s, newClaim(v, id, at(0)))
			good(t, s.Fail(t.Context(), "sid", id, newEvent(id, "account-1")))
		}
		failing(t, s, "sid")
		unchanged(t, s, []string{"sid"}, func() { failing(t, s, "sid") })
		_, err := s.Claim(t.Context(), newClaim(v, "one too many", at(0)))
		refused(t, err, login.ErrTriesUsed)
	}},
	{"a code that has been replaced, used or never was is not taken back", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		put(t, s, newCode("sid", 0, at(0)))
		put(t, s, newCode("sid", 1, at(1)))
		trade(t, s, "trade", "account-1")
		open(t, s, "without", "account-1")
		unchanged(t, s, []string{"sid", "trade", "without"}, func() {
			good(t, s.DropOTP(t.Context(), "sid", newCode("sid", 0, at(0)).Hash))
			good(t, s.DropOTP(t.Context(), "sid", nil))
			good(t, s.DropOTP(t.Context(), "sid", []byte("never was")))
			good(t, s.DropOTP(t.Context(), "trade", []byte("never was")))
			good(t, s.DropOTP(t.Context(), "trade", nil))
			good(t, s.DropOTP(t.Context(), "without", nil))
			good(t, s.DropOTP(t.Context(), "unknown", []byte("never was")))
		})
		put(t, s, newCode("sid", 2, at(1))) // the account's count is what it was: two
		_, err := s.SetOTP(t.Context(), newCode("without", 0, at(1)))
		refused(t, err, login.ErrTooMany)
	}},
	{"a second code that is taken back leaves the first one's place empty", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		put(t, s, newCode("sid", 0, at(0)))
		put(t, s, newCode("sid", 1, at(1)))
		good(t, s.DropOTP(t.Context(), "sid", newCode("sid", 1, at(1)).Hash))
		got := stored(t, s, "sid")
		if len(got.OTP) != 0 || !got.OTPExpires.IsZero() || got.Sends != 1 {
			t.Errorf("code %q until %v after %d sends, want none after one", got.OTP, got.OTPExpires, got.Sends)
		}
		put(t, s, newCode("sid", 1, at(2)))
	}},
}

var claimTests = []test{
	{"a claim counts the try and returns the session as it then stands", func(t *testing.T, s store.Store) {
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
				got, err := s.Claim(t.Context(), c)
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
					got, err := s.Claim(t.Context(), newClaim(v, id, at(d)))
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
			_, err := s.Claim(t.Context(), newClaim(v, "early", at((maxTries-1)*lease)))
			refused(t, err, login.ErrClaimed) // the last try may still be given back
			_, err = s.Claim(t.Context(), newClaim(v, "late", at(maxTries*lease)))
			refused(t, err, login.ErrTriesUsed)
		})
		good(t, s.Fail(t.Context(), "sid", fmt.Sprint("claim ", maxTries-1), newEvent("failed", "account-1")))
		unchanged(t, s, []string{"sid"}, func() {
			_, err := s.Claim(t.Context(), newClaim(v, "late", at(0)))
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
		_, err := s.Claim(t.Context(), newClaim(v, "again", at(1)))
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
			got, err := s.Claim(t.Context(), c)
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
			got, err := s.Claim(t.Context(), wrong)
			refused(t, err, login.ErrNotFound)
			same(t, "session returned", got, login.Session{})
			if tries := stored(t, s, "sid").Tries; tries != i+1 {
				t.Errorf("%d tries are counted after wrong repeat %d", tries, i+1)
			}
		}
		_, err := s.Claim(t.Context(), right)
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
			_, err := s.Claim(t.Context(), wrong)
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
				_, err := s.Claim(t.Context(), c)
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
			_, err := s.Claim(t.Context(), c)
			refused(t, err, login.ErrNotFound)
		}
	}},
}

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
			_, err := s.Claim(t.Context(), c)
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

package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"neoapi/internal/credential"
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
	{"a try and its view session are one change, or the try stays open", func(t *testing.T, s store.Store) {
		account := newAccount(1).ID
		good(t, s.AddAccount(t.Context(), newAccount(1), newEvent("added", account)))
		version := func() int64 {
			a, err := s.Account(t.Context(), login.Identifier{Kind: login.ByID, Value: credential.Secret(account)})
			good(t, err)
			return a.Version
		}
		tryView := func(account, sid string, step int64) (int64, error) {
			v := newView(sid, account)
			v.First = login.TOTP
			return s.TryView(t.Context(), newTry(account, login.TOTP, "try "+sid), v, step, newEvent("opened "+sid, account))
		}
		tries := func() (count, open int) {
			state, err := s.State(t.Context(), account)
			good(t, err)
			return state.Failures[login.TOTP].Count, len(state.Failures[login.TOTP].Open)
		}
		got, err := tryView(account, "one", 7)
		good(t, err)
		same(t, "version", got, version())
		stored(t, s, "one")
		good(t, s.ChangeAccount(t.Context(), account, newEvent("changed", account), func(*login.Account) (bool, error) { return false, nil }))
		got, err = tryView(account, "two", 8)
		good(t, err)
		same(t, "version after a change", got, version())
		got, err = tryView("nobody", "of nobody", 8)
		good(t, err)
		same(t, "version of nobody", got, int64(-1))

		_, err = tryView(account, "again", 8)
		refused(t, err, login.ErrStepUsed)
		if count, open := tries(); count != 0 || open != 1 {
			t.Errorf("a used step: %d failures and %d open tries", count, open)
		}
		good(t, s.EndTry(t.Context(), newTry(account, login.TOTP, "try again"), true, newEvent("refused", account)))
		got, err = tryView(account, "three", 9)
		good(t, err)
		same(t, "version", got, version())
		if count, open := tries(); count != 0 || open != 0 {
			t.Errorf("a good try: %d failures and %d open tries", count, open)
		}
		for i := range 10 {
			x := newTry(account, login.TOTP, fmt.Sprint("wrong ", i))
			good(t, s.Try(t.Context(), x))
			good(t, s.EndTry(t.Context(), x, true, newEvent("refused", account)))
		}
		_, err = tryView(account, "locked", 10)
		refused(t, err, login.ErrLocked)
		_, err = s.Session(t.Context(), "locked")
		refused(t, err, login.ErrNotFound)
		names := eventNames(t, s, account)
		same(t, "events", slices.DeleteFunc(names, func(name string) bool { return name == "refused" }),
			[]string{"added", "opened one", "changed", "opened two", "opened three"})
		good(t, s.Unlock(t.Context(), account, newEvent("unlocked", account)))
		_, err = tryView(account, "unlocked", 10) // its step was not marked
		good(t, err)
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
			_, _, err := s.Claim(t.Context(), newClaim(want, "one too many", now))
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
		_, _, err := s.Claim(t.Context(), newClaim(v, "one too many", at(0)))
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

package login

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 8, 3, 12, 0, 0, 0, IST)

func openView() Session {
	return Session{
		SID: "sid", Kind: View, Account: "account", UCC: "TESTYA24", Consumer: "consumer", First: Password,
		ViewID: "view-jti", Issued: noon, Expires: noon.Add(12 * time.Hour),
	}
}

func claimOf(id string, now time.Time) Claim {
	return Claim{
		SID: "sid", Account: "account", Consumer: "consumer", ViewID: "view-jti", ID: id, Now: now,
		Lease: 13 * time.Second, MaxTries: 3, RepeatFor: time.Minute,
	}
}

func otpOf(hash string, sends int, now time.Time) NewOTP {
	return NewOTP{SID: "sid", Sends: sends, Hash: []byte(hash), Expires: now.Add(5 * time.Minute), Now: now, PerHour: 10}
}

func TestTOTP_stepIsUsedOnceAndNoEarlierOneAfterIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a AccountState
		var last int64
		for _, step := range rapid.SliceOfN(rapid.Int64Range(1, 20), 1, 50).Draw(t, "steps") {
			err := a.UseTOTPStep(step, time.Unix(20*30, 0))
			if fresh := step > last; fresh != (err == nil) || !fresh && !errors.Is(err, ErrStepUsed) {
				t.Fatalf("step %d after %d: %v", step, last, err)
			}
			last = max(last, step)
			if a.TOTPStep != last {
				t.Fatalf("after step %d the last one used is said to be %d, not %d", step, a.TOTPStep, last)
			}
		}
	})
}

func TestOTP_replacesTheOneBeforeAndGivesFreshTries(t *testing.T) {
	x, a := openView(), AccountState{Account: "account"}
	x.Tries = 3
	for i, hash := range []string{"one", "two"} {
		now := noon.Add(time.Duration(i) * time.Minute)
		if wait, err := x.PutOTP(&a, otpOf(hash, i, now)); wait != 0 || err != nil {
			t.Fatalf("code %d: %s, %v", i+1, wait, err)
		}
		if string(x.OTP) != hash || !x.OTPExpires.Equal(now.Add(5*time.Minute)) || !x.LastSend.Equal(now) || x.Sends != i+1 || x.Tries != 0 || len(a.Sent) != i+1 {
			t.Errorf("code %d: %+v, %+v", i+1, x, a)
		}
	}
}

func TestOTP_thatMayNotBePutChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Session, *AccountState, *NewOTP)
		want  error
	}{
		"the session is complete":       {func(x *Session, _ *AccountState, _ *NewOTP) { x.Kind = Trade }, ErrNotFound},
		"the session ends now":          {func(x *Session, _ *AccountState, o *NewOTP) { x.Expires = o.Now }, ErrNotFound},
		"the session has ended":         {func(x *Session, _ *AccountState, o *NewOTP) { x.Expires = o.Now.Add(-1) }, ErrNotFound},
		"another code came first":       {func(x *Session, _ *AccountState, _ *NewOTP) { x.Sends = 1 }, ErrClaimed},
		"it was decided on a later one": {func(_ *Session, _ *AccountState, o *NewOTP) { o.Sends = 1 }, ErrClaimed},
		"the hour's codes are used up":  {func(_ *Session, a *AccountState, _ *NewOTP) { a.Sent = slices.Repeat([]time.Time{noon}, 10) }, ErrTooMany},
	} {
		x, a, o := openView(), AccountState{Account: "account"}, otpOf("hash", 0, noon.Add(time.Minute))
		x.Tries = 2
		c.spoil(&x, &a, &o)
		beforeX, beforeA := x, a
		if _, err := x.PutOTP(&a, o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if diff := cmp.Diff(beforeX, x) + cmp.Diff(beforeA, a); diff != "" {
			t.Errorf("%s: refused, but changed\n%s", name, diff)
		}
	}
}

func TestOTP_isTakenInTheLastMomentOfASession(t *testing.T) {
	x, a := openView(), AccountState{}
	if _, err := x.PutOTP(&a, otpOf("hash", 0, x.Expires.Add(-1))); err != nil {
		t.Error(err)
	}
}

// The port's words: "fewer than o.PerHour codes in the hour before o.Now", and
// security.md O6: at most 10 codes an hour for an account. Whenever the hour begins.
func TestOTP_isSentNoMoreOftenInAnyHourThanAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const perHour = 4
		var a AccountState
		var sent []time.Time
		now := noon
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			x := openView()
			x.Expires = now.Add(time.Hour)
			o := otpOf("hash", 0, now)
			o.PerHour = perHour
			if _, err := x.PutOTP(&a, o); err != nil {
				continue
			}
			sent = append(sent, now)
			if n := len(sent); n > perHour && now.Sub(sent[n-1-perHour]) < time.Hour {
				t.Fatalf("%d codes within %s, at most %d an hour are allowed", perHour+1, now.Sub(sent[n-1-perHour]), perHour)
			}
		}
	})
}

func TestOTP_isAllowedAfterExactlyTheWaitThatWasTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a AccountState
		now := noon
		for range 50 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "pause")))
			x := openView()
			x.Expires = now.Add(3 * time.Hour)
			wait, err := x.PutOTP(&a, otpOf("hash", 0, now))
			if err == nil {
				continue
			}
			if !errors.Is(err, ErrTooMany) || wait <= 0 || wait > time.Hour {
				t.Fatalf("refused with %v, to wait %s", err, wait)
			}
			early := a
			if more, err := x.PutOTP(&early, otpOf("hash", 0, now.Add(wait-1))); !errors.Is(err, ErrTooMany) || more != 1 {
				t.Fatalf("a nanosecond early: %v, to wait %s", err, more)
			}
			if _, err := x.PutOTP(&a, otpOf("hash", 0, now.Add(wait))); err != nil {
				t.Fatalf("after %s: %v", wait, err)
			}
			return
		}
		t.Fatal("50 codes, at most five minutes apart, and none is refused")
	})
}

func TestOTP_takenBackLeavesTheCountsAsTheyWere(t *testing.T) {
	x, a := openView(), AccountState{Account: "account", Sent: slices.Repeat([]time.Time{noon}, 4)}
	x.Sends = 1
	if _, err := x.PutOTP(&a, otpOf("hash", 1, noon.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	if !x.TakeBackOTP(&a, []byte("hash")) {
		t.Fatal("not taken back")
	}
	if len(x.OTP) != 0 || !x.OTPExpires.IsZero() || x.Sends != 1 || len(a.Sent) != 4 {
		t.Errorf("left %+v, %+v", x, a)
	}
	if x.TakeBackOTP(&a, []byte("hash")) || x.TakeBackOTP(&a, nil) || x.Sends != 1 || len(a.Sent) != 4 {
		t.Error("taken back twice")
	}
}

// "The session and the account are as if it had not been asked for": codes that
// never arrive must not be a source of fresh tries at the MPIN.
func TestOTP_takenBackGivesNoFreshTries(t *testing.T) {
	x, a := openView(), AccountState{Account: "account"}
	judged := 0
	for round := range 5 {
		for try := range 5 {
			now := noon.Add(time.Duration(round*10+try) * time.Second)
			id := fmt.Sprint(round, try)
			if _, err := x.TakeClaim(new(AccountState), claimOf(id, now)); err != nil {
				continue
			}
			judged++
			if err := x.LeaveClaim(id, false); err != nil {
				t.Fatal(err)
			}
		}
		// The code cannot be delivered.
		now := noon.Add(time.Duration(round*10+9) * time.Second)
		if _, err := x.PutOTP(&a, otpOf("hash", x.Sends, now)); err != nil {
			t.Fatal(err)
		}
		if !x.TakeBackOTP(&a, []byte("hash")) {
			t.Fatal("not taken back")
		}
	}
	if judged > 3 {
		t.Errorf("%d tries without a single code delivered, want 3", judged)
	}
}

func TestOTP_isTakenBackOnlyIfCurrentInAnOpenSession(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Session)
		otp   string
	}{
		"another code":          {func(*Session) {}, "other"},
		"no code":               {func(*Session) {}, ""},
		"no code where none is": {func(x *Session) { x.OTP = nil }, ""},
		"a complete session":    {func(x *Session) { x.Kind = Trade }, "hash"},
	} {
		x, a := openView(), AccountState{Sent: []time.Time{noon}}
		x.OTP, x.Sends = []byte("hash"), 1
		c.spoil(&x)
		before := x
		if x.TakeBackOTP(&a, []byte(c.otp)) || !cmp.Equal(before, x) || len(a.Sent) != 1 {
			t.Errorf("%s: taken back", name)
		}
	}
}

func TestClaim_countsItsTryBeforeAnythingIsJudged(t *testing.T) {
	x := openView()
	changed, err := x.TakeClaim(new(AccountState), claimOf("c1", noon))
	if !changed || err != nil || x.Tries != 1 || x.ClaimID != "c1" || !x.ClaimUntil.Equal(noon.Add(13*time.Second)) {
		t.Errorf("changed %t, %v: %+v", changed, err, x)
	}
}

func TestClaim_thatIsRefusedChangesNothing(t *testing.T) {
	held := func(x *Session) { x.ClaimID, x.ClaimUntil, x.Tries = "other", noon.Add(time.Second), 1 }
	for name, c := range map[string]struct {
		spoil func(*Session, *Claim)
		want  error
	}{
		"another account":                  {func(_ *Session, c *Claim) { c.Account = "account2" }, ErrNotFound},
		"no account":                       {func(_ *Session, c *Claim) { c.Account = "" }, ErrNotFound},
		"another consumer":                 {func(_ *Session, c *Claim) { c.Consumer = "consumer2" }, ErrNotFound},
		"another incarnation":              {func(_ *Session, c *Claim) { c.Incarnation = "another" }, ErrNotFound},
		"another view token":               {func(_ *Session, c *Claim) { c.ViewID = "view-jtj" }, ErrNotFound},
		"no view token":                    {func(_ *Session, c *Claim) { c.ViewID = "" }, ErrNotFound},
		"the session ends now":             {func(x *Session, _ *Claim) { x.Expires = noon }, ErrNotFound},
		"claimed":                          {func(x *Session, _ *Claim) { held(x) }, ErrClaimed},
		"claimed a moment longer":          {func(x *Session, _ *Claim) { held(x); x.ClaimUntil = noon.Add(1) }, ErrClaimed},
		"the tries are used up":            {func(x *Session, _ *Claim) { x.Tries = 3 }, ErrTriesUsed},
		"more tries than there be":         {func(x *Session, _ *Claim) { x.Tries = 4 }, ErrTriesUsed},
		"claimed, and not by that account": {func(x *Session, c *Claim) { held(x); c.Account = "account2" }, ErrNotFound},
		"claimed by the same name":         {func(x *Session, c *Claim) { held(x); c.ID = "other" }, ErrClaimed},
	} {
		x, claim := openView(), claimOf("c1", noon)
		c.spoil(&x, &claim)
		before := x
		if changed, err := x.TakeClaim(new(AccountState), claim); changed || !errors.Is(err, c.want) || !cmp.Equal(before, x) {
			t.Errorf("%s: changed %t, %v, want %v\n%s", name, changed, err, c.want, cmp.Diff(before, x))
		}
	}
}

func TestClaim_whoseLeaseRanOutIsTakenByTheNext(t *testing.T) {
	x := openView()
	if _, err := x.TakeClaim(new(AccountState), claimOf("dead", noon)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.TakeClaim(new(AccountState), claimOf("next", noon.Add(13*time.Second-1))); !errors.Is(err, ErrClaimed) {
		t.Errorf("before the lease ran out: %v", err)
	}
	if _, err := x.TakeClaim(new(AccountState), claimOf("next", noon.Add(13*time.Second))); err != nil {
		t.Errorf("when the lease ran out: %v", err)
	}
	if x.Tries != 2 || x.ClaimID != "next" {
		t.Errorf("%d tries, held by %s", x.Tries, x.ClaimID)
	}
	for _, refund := range []bool{true, false} {
		if err := x.LeaveClaim("dead", refund); !errors.Is(err, ErrClaimLost) {
			t.Errorf("the dead claim was given back: %v", err)
		}
	}
	if err := x.Become(new(AccountState), "dead", tradeOf(noon)); !errors.Is(err, ErrClaimLost) || x.Kind != View {
		t.Errorf("the dead claim completed the session: %v", err)
	}
}

func tradeOf(now time.Time) Session {
	return Session{
		SID: "sid", Kind: Trade, Account: "account", UCC: "TESTYA24", Consumer: "consumer", First: Password,
		ViewID: "view-jti", TradeID: "trade-jti", Home: "server1", Issued: now, Expires: now.Add(time.Hour),
	}
}

func TestCompletion_endsTheCodeAndTheClaim(t *testing.T) {
	x, a := openView(), AccountState{}
	if _, err := x.PutOTP(&a, otpOf("hash", 0, noon)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.TakeClaim(new(AccountState), claimOf("c1", noon)); err != nil {
		t.Fatal(err)
	}
	now := noon.Add(time.Second)
	if err := x.Become(new(AccountState), "c1", tradeOf(now)); err != nil {
		t.Fatal(err)
	}
	want := tradeOf(now)
	want.Completed = now
	if diff := cmp.Diff(want, x); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := x.Become(new(AccountState), "c1", tradeOf(now)); !errors.Is(err, ErrClaimLost) {
		t.Errorf("completed twice: %v", err)
	}
	if _, err := x.PutOTP(&a, otpOf("again", 0, now)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a code for a complete session: %v", err)
	}
}

func TestCompletion_withoutTheClaimChangesNothing(t *testing.T) {
	for name, held := range map[string]string{"nobody's claim": "", "another's claim": "other"} {
		x := openView()
		x.ClaimID = held
		before := x
		for _, claim := range []string{"c1", ""} {
			if err := x.Become(new(AccountState), claim, tradeOf(noon)); !errors.Is(err, ErrClaimLost) || !cmp.Equal(before, x) {
				t.Errorf("%s, completed by %q: %v", name, claim, err)
			}
			if err := x.LeaveClaim(claim, true); !errors.Is(err, ErrClaimLost) || !cmp.Equal(before, x) {
				t.Errorf("%s, given back by %q: %v", name, claim, err)
			}
		}
	}
}

func completed(repeat string) Session {
	x := tradeOf(noon)
	x.Completed = noon
	if repeat != "" {
		x.Repeat = []byte(repeat)
	}
	return x
}

func TestRepeat_getsTheSameSessionForAMinute(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  time.Duration
		stored string
		shown  string
		want   error
	}{
		{"at once", 0, "r", "r", nil},
		{"after a minute", time.Minute, "r", "r", nil},
		{"after a minute and a nanosecond", time.Minute + 1, "r", "r", ErrNotFound},
		{"another request or code", time.Second, "r", "s", ErrNotFound},
		{"a request without an id", time.Second, "r", "", ErrNotFound},
		{"a session completed without an id", time.Second, "", "r", ErrNotFound},
		{"both without an id", time.Second, "", "", ErrNotFound},
	} {
		x, claim := completed(c.stored), claimOf("c2", noon.Add(c.after))
		if c.shown != "" {
			claim.Repeat = []byte(c.shown)
		}
		if _, err := x.TakeClaim(new(AccountState), claim); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if x.ClaimID != "" || x.Kind != Trade {
			t.Errorf("%s: a complete session is claimed", c.name)
		}
	}
}

func TestRepeat_isNoWayToGuessTheCodeThatWasUsed(t *testing.T) {
	x := completed("right")
	for i := range 3 {
		claim := claimOf("c2", noon.Add(time.Second))
		claim.Repeat = fmt.Appendf(nil, "guess %d", i)
		if changed, err := x.TakeClaim(new(AccountState), claim); !changed || !errors.Is(err, ErrNotFound) {
			t.Fatalf("guess %d: changed %t, %v", i+1, changed, err)
		}
	}
	claim := claimOf("c2", noon.Add(time.Second))
	claim.Repeat = []byte("right")
	if _, err := x.TakeClaim(new(AccountState), claim); !errors.Is(err, ErrNotFound) {
		t.Errorf("the right one after three guesses: %v", err)
	}
}

func TestRepeat_thatIsRightCostsNoTry(t *testing.T) {
	x := completed("right")
	for i := range 10 {
		claim := claimOf("c2", noon.Add(time.Second))
		claim.Repeat = []byte("right")
		if changed, err := x.TakeClaim(new(AccountState), claim); changed || err != nil {
			t.Fatalf("repeat %d: changed %t, %v", i+1, changed, err)
		}
	}
}

// TestSecondFactor_keepsItsPromisesInAnyOrderOfRequests plays codes, claims, answers
// and crashes in any order and checks what a client and an attacker would see.
func TestSecondFactor_keepsItsPromisesInAnyOrderOfRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, a := openView(), AccountState{Account: "account"}
		now := noon
		type hold struct {
			id    string
			until time.Time
		}
		var live hold     // the claim that a request believes to hold
		var lost []string // says that were given back or taken over
		kept := 0         // tries since the last code that were not given back
		completions, names := 0, 0

		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			},
			"a code is sent": func(t *rapid.T) {
				if _, err := x.PutOTP(&a, otpOf(fmt.Sprint("otp", now.UnixNano()), x.Sends, now)); err == nil {
					kept = 0
				}
			},
			"a request says": func(t *rapid.T) {
				names++
				id := fmt.Sprint("claim ", names)
				_, err := x.TakeClaim(new(AccountState), claimOf(id, now))
				if err != nil {
					return
				}
				if completions > 0 {
					t.Fatal("claimed a complete session")
				}
				if live.id != "" && now.Before(live.until) {
					t.Fatalf("two requests are judged at once: %s and %s", live.id, id)
				}
				if live.id != "" {
					lost = append(lost, live.id)
				}
				live = hold{id, now.Add(13 * time.Second)}
				if kept++; kept > 3 {
					t.Fatalf("%d tries for one code", kept)
				}
			},
			"the code was wrong": func(t *rapid.T) {
				if live.id == "" {
					return
				}
				if err := x.LeaveClaim(live.id, false); err != nil {
					t.Fatalf("the holder cannot give its claim back: %v", err)
				}
				lost, live = append(lost, live.id), hold{}
			},
			"the OMS was down": func(t *rapid.T) {
				if live.id == "" {
					return
				}
				before := x.Tries
				if err := x.LeaveClaim(live.id, true); err != nil {
					t.Fatalf("the holder cannot give its claim back: %v", err)
				}
				if x.Tries != max(0, before-1) {
					t.Fatalf("a try that was given back leaves %d of %d", x.Tries, before)
				}
				lost, live = append(lost, live.id), hold{}
				kept = max(0, kept-1)
			},
			"a late answer of a lost claim": func(t *rapid.T) {
				if len(lost) == 0 {
					return
				}
				id := rapid.SampledFrom(lost).Draw(t, "lost claim")
				before := x
				if x.LeaveClaim(id, true) == nil || x.LeaveClaim(id, false) == nil || x.Become(new(AccountState), id, tradeOf(now)) == nil {
					t.Fatalf("%s, which was lost, still counts", id)
				}
				if !cmp.Equal(before, x) {
					t.Fatalf("a lost claim changed the session:\n%s", cmp.Diff(before, x))
				}
			},
			"the code was right": func(t *rapid.T) {
				if live.id == "" || rapid.IntRange(0, 4).Draw(t, "one in five") > 0 {
					return
				}
				if err := x.Become(new(AccountState), live.id, tradeOf(now)); err != nil {
					t.Fatalf("the holder cannot complete: %v", err)
				}
				lost, live = append(lost, live.id), hold{}
				if completions++; completions > 1 {
					t.Fatal("completed twice")
				}
			},
			"": func(t *rapid.T) {
				if x.Tries < 0 || x.Sends < 0 || x.Kind == View && x.Tries > 3 {
					t.Fatalf("%d tries, %d sends, %d codes this hour", x.Tries, x.Sends, len(a.Sent))
				}
				if completions > 0 && (x.Kind != Trade || len(x.OTP) > 0 || x.ClaimID != "") {
					t.Fatalf("a complete session is %+v", x)
				}
			},
		})
	})
}

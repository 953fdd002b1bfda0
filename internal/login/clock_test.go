package login

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"neoapi/internal/credential"
)

// anywhen draws a time from 2000 to 2100.
func anywhen(t *rapid.T, name string) time.Time {
	return time.UnixMilli(rapid.Int64Range(946_684_800_000, 4_102_444_800_000).Draw(t, name)).UTC()
}

// Whatever the clock said when a factor was locked: waiting as long as one is told
// opens it again, and one is never told to wait for longer than the lock's length.
func TestClock_aLockLastsNoLongerThanItsLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		then, now := anywhen(t, "then"), anywhen(t, "now")
		failures := rapid.IntRange(1, lockForGood-1).Draw(t, "failures")
		factor := rapid.SampledFrom([]Factor{Password, MPIN, TOTP, OTP}).Draw(t, "factor")
		a := AccountState{Account: "account", Failures: map[Factor]Failures{factor: {Count: failures}}}
		if length := lockLength(failures); length > 0 {
			a.Failures[factor] = Failures{Count: failures, Until: then.Add(length)}
		}
		try := func(id string) error {
			err := a.Try(Try{Account: "account", Factor: factor, ID: id, Now: now, Lease: tryLease})
			return err
		}
		var locked *LockedError
		if err := try("first"); errors.As(err, &locked) {
			if most := lockLength(failures) + clockSkew; locked.Wait > most {
				t.Fatalf("locked for %s of at most %s", locked.Wait, most)
			}
			now = now.Add(locked.Wait)
			if err := try("second"); err != nil {
				t.Fatalf("after the wait: %v", err)
			}
		}
	})
}

// A try whose process died stops counting as open, whatever the clock does after it.
func TestClock_anOpenTryLapses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := AccountState{Account: "account"}
		if err := a.Try(Try{Account: "account", Factor: OTP, ID: "died", Now: anywhen(t, "then"), Lease: 13 * time.Second}); err != nil {
			t.Fatal(err)
		}
		now := anywhen(t, "now")
		a.Lapse(OTP, now)
		a.Lapse(OTP, now.Add(leaseLongest))
		if x := a.Failures[OTP]; len(x.Open) > 0 || x.Count != 1 {
			t.Fatalf("left is %+v", x)
		}
	})
}

// A claim whose process died is free again after its lease, whatever the clock does.
func TestClock_aClaimIsFreeAfterItsLease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		then, now := anywhen(t, "then"), anywhen(t, "now")
		x, a := openView(), AccountState{Account: "account"}
		x.Expires = then.Add(200 * 365 * 24 * time.Hour)
		if _, err := x.TakeClaim(&a, claimOf("died", then)); err != nil {
			t.Fatal(err)
		}
		c := claimOf("next", now)
		_, err := x.TakeClaim(&a, c)
		if errors.Is(err, ErrClaimed) {
			c.Now = now.Add(c.Lease + clockSkew)
			_, err = x.TakeClaim(&a, c)
		}
		if err != nil {
			t.Fatalf("claimed at %s, then at %s: %v", then, c.Now, err)
		}
	})
}

// However the clock moves, no TOTP code is taken twice, and the code of the moment is
// taken unless it was used or a later one just before.
func TestClock_aTOTPStepIsUsedOnceWhereverTheClockGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a AccountState
		now, used := anywhen(t, "start"), map[int64]bool{}
		for range rapid.IntRange(1, totpRemembered).Draw(t, "logins") {
			now = now.Add(time.Duration(rapid.Int64Range(-7200, 7200).Draw(t, "seconds")) * time.Second)
			step, last := credential.TOTPStep(now), a.TOTPStep
			err := a.UseTOTPStep(step, now)
			if used[step] && err == nil {
				t.Fatalf("step %d was taken twice", step)
			}
			if !used[step] && err != nil && (last < step || last > step+totpAhead) {
				t.Fatalf("step %d after %d: %v", step, last, err)
			}
			used[step] = used[step] || err == nil
		}
	})
}

func TestClock_codesThatWereSentLaterDoNotCountForMoreThanAnHour(t *testing.T) {
	x, a := openView(), AccountState{Account: "account"}
	x.Expires = noon.Add(48 * time.Hour)
	for i := range 10 {
		if _, err := x.PutOTP(&a, otpOf("code", i, noon.Add(24*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.PutOTP(&a, otpOf("code", 10, noon.Add(24*time.Hour))); !errors.Is(err, ErrTooMany) {
		t.Fatalf("the eleventh: %v", err)
	}
	if _, err := x.PutOTP(&a, otpOf("code", 10, noon)); err != nil {
		t.Errorf("after the clock was set back by a day: %v", err)
	}
}

func TestClock_jobsOfOthersAreClaimedByWhoHasWatchedForALease(t *testing.T) {
	w := takeover{beginning: true}
	wall := noon
	step := func(steady, elapsed, jump time.Duration, want bool) {
		t.Helper()
		wall = wall.Add(elapsed + jump)
		if got := w.allowed(wall, steady); got != want {
			t.Errorf("at %s: %t", steady, got)
		}
	}
	step(0, 0, 0, false)
	step(jobLease-time.Second, jobLease-time.Second, 0, false)
	step(jobLease, time.Second, time.Second, true)               // a little drift
	step(jobLease+time.Second, time.Second, 24*time.Hour, false) // set forward
	step(2*jobLease, jobLease-time.Second, 0, false)
	step(2*jobLease+time.Second, time.Second, 0, true)
	step(2*jobLease+2*time.Second, time.Second, -time.Hour, false) // set back
}

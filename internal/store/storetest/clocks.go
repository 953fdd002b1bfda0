package storetest

import (
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// What a store must do when clocks are wrong.
var clockTests = []test{
	{"a session belongs to one incarnation of its consumer", func(t *testing.T, s store.Store) {
		v := open(t, s, "sid", "account-1")
		again := consumerOf("consumer-1")
		again.Incarnation = "another"
		_, err := s.PendingView(t.Context(), "account-1", again, time.Time{}, at(0))
		refused(t, err, login.ErrNotFound)
		c := newClaim(v, "claim", at(0))
		c.Incarnation = again.Incarnation
		unchanged(t, s, []string{"sid"}, func() {
			_, _, err = s.Claim(t.Context(), c)
			refused(t, err, login.ErrNotFound)
		})
		claim(t, s, newClaim(v, "claim", at(0)))
	}},
	{"a consumer that is changed keeps its incarnation", func(t *testing.T, s store.Store) {
		want := newConsumer("consumer-1")
		good(t, s.AddConsumer(t.Context(), want, newEvent("added", "")))
		good(t, s.ChangeConsumer(t.Context(), "consumer-1", newEvent("changed", ""), func(c *login.Consumer) error {
			c.Rate, c.Incarnation = 5, "another"
			return nil
		}))
		got, err := s.Consumer(t.Context(), "consumer-1")
		good(t, err)
		if got.Incarnation != want.Incarnation {
			t.Errorf("got %q", got.Incarnation)
		}
	}},
	{"codes that have expired are dropped, with those of no other login", func(t *testing.T, s store.Store) {
		for i, sid := range []string{"expired", "live"} {
			open(t, s, sid, fmt.Sprint("account-", i))
			put(t, s, newCode(sid, 0, at(time.Duration(i)*time.Millisecond)))
		}
		open(t, s, "none", "account-1")
		trade(t, s, "trade", "account-2")
		unchanged(t, s, []string{"live", "none", "trade"}, func() { good(t, s.DropExpired(t.Context(), at(5*time.Minute))) })
		x := stored(t, s, "expired")
		if len(x.OTP) > 0 || !x.OTPExpires.IsZero() || x.Sends != 1 || x.Undelivered {
			t.Errorf("left is %+v", x)
		}
	}},
	{"the last event is that with the highest number, whatever its time", func(t *testing.T, s store.Store) {
		last := func(want time.Time) {
			t.Helper()
			got, err := s.LastEvent(t.Context())
			good(t, err)
			if !got.Equal(want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		last(time.Time{})
		for _, d := range []time.Duration{time.Hour, 0} {
			e := newEvent(d.String(), "account-1")
			e.Time = at(d)
			good(t, s.Record(t.Context(), e))
			last(e.Time)
		}
	}},
	{"who may claim fresh jobs only gets none of which somebody has told nothing", func(t *testing.T, s store.Store) {
		for _, id := range []string{"held", "put off", "fresh"} {
			good(t, s.AddJob(t.Context(), newJob(id, "sid")))
			if id != "fresh" {
				claimJobs(t, s, login.JobCode, id, at(time.Second))
			}
		}
		good(t, s.PutOffJob(t.Context(), "put off", "put off", at(time.Minute)))
		c := newJobClaim(login.JobCode, "claim", at(time.Hour))
		c.Fresh = true
		all, err := s.ClaimJobs(t.Context(), c)
		good(t, err)
		same(t, "fresh", ids(all), []string{"put off", "fresh"})
		same(t, "the rest", ids(claimJobs(t, s, login.JobCode, "rest", at(time.Hour))), []string{"held"})
	}},
	{"a job that is under way here is not claimed, whatever the clock says", func(t *testing.T, s store.Store) {
		for i := range 3 {
			good(t, s.AddJob(t.Context(), newJob(fmt.Sprint("job ", i), "sid")))
		}
		claimJobs(t, s, login.JobCode, "first", at(time.Second))
		c := newJobClaim(login.JobCode, "second", at(24*time.Hour))
		c.Doing = []string{"job 0", `no " job`, "job 2"}
		all, err := s.ClaimJobs(t.Context(), c)
		good(t, err)
		same(t, "second", ids(all), []string{"job 1"})
	}},
	{"a job that was claimed or put off before the clock was set back is due", func(t *testing.T, s store.Store) {
		for _, id := range []string{"claimed", "put off", "added"} {
			j := newJob(id, "sid")
			if id == "added" {
				j.Created = at(time.Hour)
			}
			good(t, s.AddJob(t.Context(), j))
			if id != "added" {
				claimJobs(t, s, login.JobCode, id, at(time.Hour))
			}
		}
		good(t, s.PutOffJob(t.Context(), "put off", "put off", at(time.Hour+time.Minute)))
		same(t, "due", ids(claimJobs(t, s, login.JobCode, "again", at(time.Minute))), []string{"claimed", "put off", "added"})
		same(t, "due again at once", ids(claimJobs(t, s, login.JobCode, "once more", at(time.Minute))), []string(nil))
	}},
	{"who comes from another clock is the newest by his coming", func(t *testing.T, s store.Store) {
		for i, sid := range []string{"before the clock was set back", "after"} {
			v := newView(sid, "account-1")
			v.Issued = at(-time.Duration(i) * time.Minute)
			good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		}
		got, err := s.PendingView(t.Context(), "account-1", consumerOf("consumer-1"), at(-time.Hour), at(0))
		good(t, err)
		if got.SID != "after" {
			t.Errorf("got %q", got.SID)
		}
	}},
	{"used TOTP steps are kept", func(t *testing.T, s store.Store) {
		const step = 59_081_430 // that of at(0)
		login1 := func(sid string, step int64, issued time.Time) error {
			v := newView(sid, "account-1")
			v.Issued = issued
			return s.OpenView(t.Context(), v, step, "try", newEvent("opened "+sid, "account-1"))
		}
		good(t, login1("1", step, at(0)))
		good(t, login1("2", step+120, at(time.Hour)))
		good(t, login1("3", step+1, at(30*time.Second))) // set back by an hour
		refused(t, login1("4", step+1, at(30*time.Second)), login.ErrStepUsed)
		refused(t, login1("5", step+120, at(time.Hour)), login.ErrStepUsed)
		good(t, login1("6", step+121, at(time.Hour)))
	}},
}

// Upgrade holds a store against data of the version before incarnations. exec runs
// statements on a database that this version has made and that version still writes
// to, time writes a time in them, state is the statement that counts TOTP step 7 of
// account-1, and open opens the store, which migrates.
func Upgrade(t *testing.T, exec func(statement string), instant func(time.Time) string, state string, open func() store.Store) {
	consumer := func(key string, created time.Time) {
		exec(fmt.Sprintf(`INSERT INTO consumers (key, name, secret_hash, rate, created) VALUES ('%s', 'name', '', 0, %s)`, key, instant(created)))
	}
	session := func(sid, consumer string, issued time.Time) {
		exec(fmt.Sprintf(`INSERT INTO sessions (sid, rid, kind, account, ucc, consumer, first, view_id, trade_id, key_id, home, issued, expires,
			tries, tries_before, sends, otp_expires, last_send, claim, claim_until, completed)
			SELECT '%s', '', 'view', 'account-1', 'UCC', '%s', 'password', 'view', '', 'key', '', %s, %s, 0, 0, 0, t, t, '', t, t
			FROM (SELECT %s AS t) AS never`, sid, consumer, instant(issued), instant(issued.Add(time.Hour)), instant(at(0))))
	}
	exec(state)
	consumer("consumer-1", at(0))
	session("before", "consumer-1", at(time.Second))
	session("of a consumer before", "consumer-1", at(-time.Second))
	s := open()
	consumer("consumer-2", at(0)) // by a process of the version before, which still runs
	session("meanwhile", "consumer-1", at(time.Second))
	session("of the other", "consumer-2", at(time.Second))

	one, err := s.Consumer(t.Context(), "consumer-1")
	good(t, err)
	two, err := s.Consumer(t.Context(), "consumer-2")
	good(t, err)
	if one.Incarnation == "" || two.Incarnation == "" || one.Incarnation == two.Incarnation {
		t.Errorf("incarnations %q and %q", one.Incarnation, two.Incarnation)
	}
	for sid, want := range map[string]string{
		"before": one.Incarnation, "of a consumer before": "", "meanwhile": one.Incarnation, "of the other": two.Incarnation,
	} {
		if x := stored(t, s, sid); x.Incarnation != want {
			t.Errorf("%s: incarnation %q, want %q", sid, x.Incarnation, want)
		}
	}
	v := newView("new", "account-1")
	refused(t, s.OpenView(t.Context(), v, 7, "try", newEvent("opened", "account-1")), login.ErrStepUsed)
	good(t, s.OpenView(t.Context(), v, 8, "try", newEvent("opened", "account-1")))
}

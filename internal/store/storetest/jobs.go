package storetest

import (
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// newJob returns the job of a code with every field set that is stored.
func newJob(id, sid string) login.Job {
	return login.Job{
		ID: id, Kind: login.JobCode, SID: sid, Account: "account-1", Sealed: []byte("\x00\xffsealed " + id),
		Created: at(crumb), Expires: at(5*time.Minute + crumb),
	}
}

func newJobClaim(kind login.JobKind, id string, now time.Time) login.JobClaim {
	return login.JobClaim{Kind: kind, ID: id, Now: now, Lease: lease, N: 10}
}

// claimJobs claims up to ten jobs of a kind.
func claimJobs(t *testing.T, s store.Store, kind login.JobKind, id string, now time.Time) []login.Job {
	t.Helper()
	all, err := s.ClaimJobs(t.Context(), newJobClaim(kind, id, now))
	good(t, err)
	return all
}

// ids returns the ids of jobs.
func ids(all []login.Job) (names []string) {
	for _, j := range all {
		names = append(names, j.ID)
	}
	return names
}

// sidsOf returns the sids of jobs and how often each is there.
func sidsOf(all []login.Job) map[string]int {
	count := map[string]int{}
	for _, j := range all {
		count[j.SID]++
	}
	return count
}

// failing puts a code and takes it back.
func failing(t *testing.T, s store.Store, sid string) {
	t.Helper()
	o := newCode(sid, 0, at(0))
	put(t, s, o)
	good(t, s.DropOTP(t.Context(), sid, o.Hash))
}

// remote stores a trade session that the OMS waits to hear about.
func remote(t *testing.T, s store.Store, sid, account string) login.Session {
	t.Helper()
	v := open(t, s, sid, account)
	claim(t, s, newClaim(v, "claim", at(0)))
	x := newTrade(v, at(0))
	x.Remote = true
	good(t, s.Complete(t.Context(), "claim", x, newEvent("completed "+sid, account)))
	return x
}

var jobTests = []test{
	{"a job is claimed with every field as it was stored", func(t *testing.T, s store.Store) {
		want := newJob("job", "sid")
		full(t, want, "Tries", "Claim", "Interrupted")
		good(t, s.AddJob(t.Context(), want))
		want.Tries, want.Claim = 1, "claim"
		same(t, "jobs", claimJobs(t, s, login.JobCode, "claim", at(time.Second)), []login.Job{want})
	}},
	{"a code is stored with its job or neither is", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		o, j := newCode("sid", 0, at(0)), newJob("job", "sid")
		o.Job = &j
		put(t, s, o)
		same(t, "jobs", ids(claimJobs(t, s, login.JobCode, "claim", at(time.Second))), []string{"job"})
		unchanged(t, s, []string{"sid"}, func() {
			again, other := newCode("sid", 0, at(0)), newJob("other", "sid")
			again.Job = &other // another request was first
			_, err := s.SetOTP(t.Context(), again)
			refused(t, err, login.ErrClaimed)
			again.SID = "unknown"
			_, err = s.SetOTP(t.Context(), again)
			refused(t, err, login.ErrNotFound)
		})
	}},
	{"jobs of one kind come in their order, so many at most, and nobody else gets them before the lease ends", func(t *testing.T, s store.Store) {
		for i := range 3 {
			good(t, s.AddJob(t.Context(), newJob(fmt.Sprint("job ", i), "sid")))
		}
		closing := newJob("closing", "sid")
		closing.Kind, closing.Sealed = login.JobClose, nil
		good(t, s.AddJob(t.Context(), closing))
		c := newJobClaim(login.JobCode, "first", at(time.Second))
		c.N = 2
		all, err := s.ClaimJobs(t.Context(), c)
		good(t, err)
		same(t, "first", ids(all), []string{"job 0", "job 1"})
		same(t, "second", ids(claimJobs(t, s, login.JobCode, "second", at(time.Second))), []string{"job 2"})
		same(t, "just before", ids(claimJobs(t, s, login.JobCode, "third", at(time.Second+lease-time.Millisecond))), []string(nil))
		all = claimJobs(t, s, login.JobCode, "fourth", at(time.Second+lease))
		same(t, "afterwards", ids(all), []string{"job 0", "job 1", "job 2"})
		for _, j := range all {
			if !j.Interrupted || j.Tries != 2 || j.Claim != "fourth" {
				t.Errorf("%s: interrupted %v, %d tries, claim %q", j.ID, j.Interrupted, j.Tries, j.Claim)
			}
		}
	}},
	{"a job that is interrupted repeatedly waits longer each time, until it expires", func(t *testing.T, s store.Store) {
		now := at(time.Second)
		job := newJob("job", "sid")
		job.Expires = at(1000 * lease)
		good(t, s.AddJob(t.Context(), job))
		claimJobs(t, s, login.JobCode, "first", now)
		for i, leases := range []time.Duration{1, 2, 4, 8, 16, 16} {
			due := now.Add(leases * lease)
			good(t, s.AddJob(t.Context(), newJob(fmt.Sprint("new ", i), "sid"))) // which does not wait for it
			same(t, "before", ids(claimJobs(t, s, login.JobCode, "early", due.Add(-time.Millisecond))), []string{fmt.Sprint("new ", i)})
			good(t, s.EndJob(t.Context(), login.Job{ID: fmt.Sprint("new ", i), Claim: "early"}, nil, nil))
			all := claimJobs(t, s, login.JobCode, "again", due)
			if len(all) != 1 || all[0].ID != "job" || !all[0].Interrupted {
				t.Fatalf("after %d leases: %+v", leases, all)
			}
			now = due
		}
		// A job that was put off was not interrupted, and is due at the time given.
		claimJobs(t, s, login.JobCode, "put off", now.Add(16*lease))
		good(t, s.PutOffJob(t.Context(), "job", "put off", now.Add(16*lease+time.Second)))
		all := claimJobs(t, s, login.JobCode, "last", now.Add(16*lease+time.Second))
		if len(all) != 1 || all[0].Interrupted {
			t.Errorf("put off: %+v", all)
		}
		// An expired job is due at once.
		same(t, "expired", ids(claimJobs(t, s, login.JobCode, "end", job.Expires)), []string{"job"})
	}},
	{"of claims at once one gets each job", func(t *testing.T, s store.Store) {
		const n = 8
		for i := range n {
			good(t, s.AddJob(t.Context(), newJob(fmt.Sprint("job ", i), "sid")))
		}
		got := make([][]login.Job, n)
		outcomes(t, together(n, func(i int) (err error) {
			c := newJobClaim(login.JobCode, fmt.Sprint("claim ", i), at(time.Second))
			c.N = 2
			got[i], err = s.ClaimJobs(t.Context(), c)
			return err
		}))
		count := map[string]int{}
		for _, all := range append(got, claimJobs(t, s, login.JobCode, "rest", at(time.Second))) {
			for _, j := range all {
				count[j.ID]++
			}
		}
		if len(count) != n {
			t.Errorf("%d of %d jobs were claimed", len(count), n)
		}
		for id, times := range count {
			if times != 1 {
				t.Errorf("%s was claimed %d times", id, times)
			}
		}
	}},
	{"a job that is put off is due then, and was not interrupted", func(t *testing.T, s store.Store) {
		good(t, s.AddJob(t.Context(), newJob("job", "sid")))
		claimJobs(t, s, login.JobCode, "claim", at(time.Second))
		good(t, s.PutOffJob(t.Context(), "job", "claim", at(time.Minute)))
		same(t, "before", claimJobs(t, s, login.JobCode, "again", at(time.Minute-time.Millisecond)), []login.Job{})
		all := claimJobs(t, s, login.JobCode, "again", at(time.Minute))
		if len(all) != 1 || all[0].Interrupted || all[0].Tries != 2 {
			t.Errorf("then: %+v", all)
		}
	}},
	{"a job that is ended is gone, and its event is stored", func(t *testing.T, s store.Store) {
		for _, id := range []string{"with", "without"} {
			good(t, s.AddJob(t.Context(), newJob(id, "sid")))
		}
		all := claimJobs(t, s, login.JobCode, "claim", at(time.Second))
		e := newEvent("ended", "account-1")
		good(t, s.EndJob(t.Context(), all[0], nil, &e))
		good(t, s.EndJob(t.Context(), all[1], nil, nil))
		same(t, "jobs", claimJobs(t, s, login.JobCode, "again", at(time.Hour)), []login.Job{})
		same(t, "events", eventNames(t, s, "account-1"), []string{"ended"})
	}},
	{"without the claim a job is neither ended nor put off", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		o, j := newCode("sid", 0, at(0)), newJob("job", "sid")
		o.Job = &j
		put(t, s, o)
		before := claimJobs(t, s, login.JobCode, "before", at(time.Second))[0]
		claimJobs(t, s, login.JobCode, "after", at(time.Hour))
		e := newEvent("ended", "account-1")
		unknown := before
		unknown.ID = "unknown"
		unchanged(t, s, []string{"sid"}, func() {
			refused(t, s.EndJob(t.Context(), before, nil, nil), login.ErrClaimLost)
			refused(t, s.EndJob(t.Context(), before, nil, &e), login.ErrClaimLost)
			refused(t, s.EndJob(t.Context(), before, o.Hash, &e), login.ErrClaimLost)
			refused(t, s.EndJob(t.Context(), unknown, o.Hash, &e), login.ErrClaimLost)
			refused(t, s.PutOffJob(t.Context(), "job", "before", at(0)), login.ErrClaimLost)
			refused(t, s.PutOffJob(t.Context(), "job", "", at(0)), login.ErrClaimLost)
		})
	}},
	{"a code that was not delivered is taken back with its job and the event", func(t *testing.T, s store.Store) {
		open(t, s, "sid", "account-1")
		o, j := newCode("sid", 0, at(0)), newJob("job", "sid")
		o.Job = &j
		put(t, s, o)
		claimed := claimJobs(t, s, login.JobCode, "claim", at(time.Second))[0]
		e := newEvent("failed", "account-1")
		good(t, s.EndJob(t.Context(), claimed, o.Hash, &e))
		x := stored(t, s, "sid")
		if len(x.OTP) > 0 || x.Sends != 0 || !x.Undelivered {
			t.Errorf("code %q after %d sends, undelivered %v", x.OTP, x.Sends, x.Undelivered)
		}
		same(t, "jobs", claimJobs(t, s, login.JobCode, "again", at(time.Hour)), []login.Job{})
		names := eventNames(t, s, "account-1")
		same(t, "last event", names[len(names)-1], "failed")
		put(t, s, newCode("sid", 0, at(time.Second)))
		if stored(t, s, "sid").Undelivered {
			t.Error("a new code is undelivered")
		}
	}},
	{"the job of a code that was replaced, or whose login is over, ends without taking anything back", func(t *testing.T, s store.Store) {
		open(t, s, "replaced", "account-1")
		open(t, s, "over", "account-2")
		for _, sid := range []string{"replaced", "over"} {
			o, j := newCode(sid, 0, at(0)), newJob(sid, sid)
			o.Job = &j
			put(t, s, o)
		}
		put(t, s, newCode("replaced", 1, at(time.Second)))
		good(t, endAll(t.Context(), s, "account-2"))
		want := stored(t, s, "replaced")
		for _, j := range claimJobs(t, s, login.JobCode, "claim", at(time.Second)) {
			e := newEvent("failed "+j.SID, "account-1")
			good(t, s.EndJob(t.Context(), j, newCode(j.SID, 0, at(0)).Hash, &e))
		}
		same(t, "session", stored(t, s, "replaced"), want)
		q, err := s.Jobs(t.Context(), login.JobCode)
		good(t, err)
		same(t, "queue", q, login.Queue{})
	}},
	{"the queue reports how long it is and how old its oldest job is", func(t *testing.T, s store.Store) {
		q, err := s.Jobs(t.Context(), login.JobCode)
		good(t, err)
		same(t, "empty", q, login.Queue{})
		for i := range 3 {
			j := newJob(fmt.Sprint("job ", i), "sid")
			j.Created = at(time.Duration(3-i) * time.Second)
			good(t, s.AddJob(t.Context(), j))
		}
		q, err = s.Jobs(t.Context(), login.JobCode)
		good(t, err)
		same(t, "three", q, login.Queue{Length: 3, Oldest: at(time.Second)})
		q, err = s.Jobs(t.Context(), login.JobClose)
		good(t, err)
		same(t, "of the other kind", q, login.Queue{})
	}},

	{"a session that the OMS waits to hear about leaves one closing, whatever ends it", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		want := map[string]int{}
		closings := func(what string) {
			t.Helper()
			all := claimJobs(t, s, login.JobClose, what, time.Now().Add(time.Minute))
			same(t, what, sidsOf(all), want)
			for _, j := range all {
				if j.Kind != login.JobClose || j.Account == "" || j.Created.IsZero() || j.Interrupted {
					t.Errorf("%s: %+v", what, j)
				}
				same(t, "its end", j.Expires, at(time.Hour))
				good(t, s.EndJob(t.Context(), j, nil, nil))
			}
			want = map[string]int{}
		}
		x := remote(t, s, "logout", "account-1")
		remote(t, s, "stays", "account-1")
		good(t, s.End(t.Context(), "logout", x.TradeID, newEvent("ended", "account-1")))
		refused(t, s.End(t.Context(), "logout", x.TradeID, newEvent("ended", "account-1")), login.ErrNotFound)
		refused(t, s.End(t.Context(), "stays", "another", newEvent("ended", "account-1")), login.ErrNotFound)
		want["logout"] = 1
		closings("end")

		remote(t, s, "first", "account-2")
		remote(t, s, "second", "account-2")
		open(t, s, "view", "account-2")
		good(t, endAll(t.Context(), s, "account-2"))
		refused(t, endAll(t.Context(), s, "account-2"), login.ErrNotFound)
		want["first"], want["second"] = 1, 1
		closings("end of an account's")

		remote(t, s, "removed", a.ID)
		good(t, s.RemoveAccount(t.Context(), a.ID, newEvent("removed", a.ID)))
		refused(t, s.RemoveAccount(t.Context(), a.ID, newEvent("removed", a.ID)), login.ErrNotFound)
		want["removed"] = 1
		closings("removal of an account")

		good(t, s.RemoveConsumer(t.Context(), "consumer-1", newEvent("removed", "")))
		refused(t, s.RemoveConsumer(t.Context(), "consumer-1", newEvent("removed", "")), login.ErrNotFound)
		want["stays"] = 1
		closings("removal of a consumer")
	}},
	{"a session that nobody waits for leaves no closing", func(t *testing.T, s store.Store) {
		x := trade(t, s, "sid", "account-1")
		trade(t, s, "other", "account-1")
		good(t, s.End(t.Context(), "sid", x.TradeID, newEvent("ended", "account-1")))
		good(t, endAll(t.Context(), s, "account-1"))
		same(t, "closings", claimJobs(t, s, login.JobClose, "claim", time.Now().Add(time.Minute)), []login.Job{})
	}},
	{"what is changed about an account's reach is stored with its event", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		for i, r := range []login.Reach{{Email: "new@example.com", Couriers: []string{"mail"}}, {}} {
			name := fmt.Sprint("changed ", i)
			good(t, s.SetReach(t.Context(), a.ID, r, newEvent(name, a.ID)))
			a.Reach = r
			got, err := s.Account(t.Context(), byID(1))
			good(t, err)
			same(t, "account", got, a)
			names := eventNames(t, s, a.ID)
			same(t, "last event", names[len(names)-1], name)
		}
		unchanged(t, s, nil, func() {
			refused(t, s.SetReach(t.Context(), "unknown", login.Reach{}, newEvent("changed", "unknown")), login.ErrNotFound)
		})
	}},
}

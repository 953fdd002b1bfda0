package httpapi_test

import (
	"testing"
	"time"

	"neoapi/neoapitest"
)

func TestLock_followsTenWrongPasswordsForAMinute(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	try := func(password string) reply {
		return c.post(t, validatePath, object("userid", c.Account.UserID, "password", password))
	}
	unknown := c.post(t, validatePath, object("userid", "nobody", "password", "wrong-password"))
	for range 10 {
		try("wrong-password").refused(t, 401, "10020")
	}
	r := try(c.Account.Password) // the right one is refused too, in the words that everybody gets (security.md P5)
	r.refused(t, 401, "10020")
	if string(r.body) != string(unknown.body) {
		t.Errorf("a locked account tells that it exists: %s", r.body)
	}
	c.post(t, validatePath, object("mobileNumber", "9999999908", "password", c.Account.Password)).refused(t, 401, "10020") // T3: one counter for all its names
	c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN)).want(t, 200)                       // another factor is another lock

	c.Advance(30 * time.Second)
	try(c.Account.Password).refused(t, 401, "10020")
	c.Advance(30 * time.Second)
	try("wrong-password").refused(t, 401, "10020") // the lock doubles
	c.Advance(time.Minute)
	try(c.Account.Password).refused(t, 401, "10020")
	c.Advance(time.Minute)
	try(c.Account.Password).want(t, 200)
	for range 9 { // and the count has begun again
		try("wrong-password").refused(t, 401, "10020")
	}
	try(c.Account.Password).want(t, 200)
}

func TestLock_followsTenWrongCodesOverAllLogins(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	live := c.byMPIN(t)
	tenWrong := func() (view held) {
		t.Helper()
		for n := range 10 {
			if n%3 == 0 {
				view = c.login(t) // a right password does not clear them (security.md T4)
			}
			c.second(t, view, wrong(c.Account.MPIN)).refused(t, 401, "10020")
		}
		return c.login(t)
	}
	view := tenWrong()
	r := c.second(t, view, c.Account.MPIN)
	r.refused(t, 429, "70009")
	if wait := r.retryAfter(t); wait < 30*time.Second || wait > time.Minute {
		t.Errorf("Retry-After is %s, want what is left of a minute", wait)
	}
	c.call(t, live).want(t, 200) // a lock never ends a live session (security.md T5)
	c.Advance(time.Minute)
	c.second(t, view, c.Account.MPIN).session(t)

	// The operator lifts a lock.
	view = tenWrong()
	c.second(t, view, c.Account.MPIN).refused(t, 429, "70009")
	if err := c.admin.Unlock(t.Context(), c.demo(t)); err != nil {
		t.Fatal(err)
	}
	c.second(t, view, c.Account.MPIN).session(t)
}

func TestTries_wrongPasswordsAtOnceAreJudgedTenTimes(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	together(30, func(int) reply {
		for {
			r := c.post(t, validatePath, object("userid", c.Account.UserID, "password", "wrong-password"))
			if r.status != 503 { // a slow machine's queue of hashes
				return r
			}
		}
	}, func(r reply) { r.refused(t, 401, "10020") })
	outcomes := c.outcomes(t, "login")
	if outcomes["refused"] != 10 || outcomes["locked"] != 20 { // security.md T1, T2
		t.Errorf("outcomes %v, want 10 judged and the rest locked", outcomes)
	}
}

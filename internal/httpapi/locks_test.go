package httpapi_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/neoapitest"
)

func TestTenWrongPasswordsLockThePasswordForAMinute(t *testing.T) {
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

func TestTenWrongCodesLockTheSecondFactorOverAllLogins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	before := c.login(t)
	live := c.second(t, before, c.Account.MPIN).session(t)
	for n := 0; n < 10; {
		view := c.login(t) // a right password does not clear them (security.md T4)
		for range min(3, 10-n) {
			c.second(t, view, wrong(c.Account.MPIN)).refused(t, 401, "10020")
			n++
		}
	}
	view := c.login(t)
	r := c.second(t, view, c.Account.MPIN)
	r.refused(t, 429, "70009")
	if wait, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || wait < 30 || wait > 60 {
		t.Errorf("Retry-After is %q, want what is left of a minute", r.header.Get("Retry-After"))
	}
	c.send(t, "GET", tradePath, "", live.pairs()...).want(t, 200) // a lock never ends a live session (security.md T5)
	c.Advance(time.Minute)
	c.second(t, view, c.Account.MPIN).session(t)

	// The operator lifts a lock.
	m, data := admin(t, dir)
	account, err := data.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 10; {
		view = c.login(t)
		for range min(3, 10-n) {
			c.second(t, view, wrong(c.Account.MPIN)).refused(t, 401, "10020")
			n++
		}
	}
	view = c.login(t)
	c.second(t, view, c.Account.MPIN).refused(t, 429, "70009")
	if err := m.Unlock(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	c.second(t, view, c.Account.MPIN).session(t)
}

func TestOfManyWrongPasswordsAtOnceTenAreJudged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			r := c.post(t, validatePath, object("userid", c.Account.UserID, "password", "wrong-password"))
			for r.status == 503 { // a slow machine's queue of hashes
				r = c.post(t, validatePath, object("userid", c.Account.UserID, "password", "wrong-password"))
			}
			r.refused(t, 401, "10020")
		})
	}
	all.Wait()
	_, data := admin(t, dir)
	events, err := data.Store.Events(t.Context(), login.EventQuery{N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for _, e := range events {
		if e.Action == "login" {
			outcomes[e.Outcome]++
		}
	}
	if outcomes["refused"] != 10 || outcomes["locked"] != 20 { // security.md T1, T2
		t.Errorf("outcomes %v, want 10 judged and the rest locked", outcomes)
	}
}

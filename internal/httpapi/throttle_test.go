package httpapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/sandbox"
	"neoapi/neoapitest"
)

// totpOf logs an account in by TOTP; the demo accounts have one seed.
func (c caller) totpOf(t testing.TB, n int, code string) reply {
	t.Helper()
	ucc, _, mobile, _ := sandbox.DemoAccount(n)
	return c.post(t, totpPath, object("mobileNumber", mobile, "ucc", ucc, "totp", code))
}

func TestWrongLogins_fromOneAddressMustWait(t *testing.T) {
	t.Parallel()
	opts := []neoapitest.Option{neoapitest.WithAccounts(20), neoapitest.WithAddressRate(6)}
	h := newHouse(t, opts...)
	srv, c, live := h.Server, h.caller, h.byMPIN(t)
	for n := range 20 { // good ones cost nothing
		c.totpOf(t, n+1, srv.TOTP(t)).want(t, 200)
		srv.Advance(30 * time.Second)
	}
	c = consumer(t, srv)
	for n := range 3 { // an account that exists and one that does not count alike
		c.totpOf(t, n+1, "000000").refused(t, 401, "10020")
		c.post(t, totpPath, object("mobileNumber", fmt.Sprintf("98000000%02d", n), "ucc", "NOBODY", "totp", "000000")).refused(t, 401, "10020")
	}
	right := func() reply { // by MPIN: a TOTP code may need another time
		return c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN))
	}
	r := right()
	r.refused(t, 429, "900807")
	c.totpOf(t, 10, "000000").refused(t, 429, "900807")
	c.call(t, live).want(t, 200)                                                               // who is logged in is left alone
	other := consumer(t, neoapitest.NewServer(t, append(opts, neoapitest.WithData(h.dir))...)) // a second server of the same service
	other.Advance(20 * 30 * time.Second)
	other.totpOf(t, 11, "000000").refused(t, 429, "900807")

	wait := r.retryAfter(t)
	if wait > 11*time.Second {
		t.Errorf("an address that may send 6 a minute must wait %s", wait)
	}
	srv.Advance(wait)
	right().want(t, 200)
	c.totpOf(t, 12, "000000").refused(t, 401, "10020")
	c.totpOf(t, 13, "000000").refused(t, 429, "900807")
	if n := h.outcomes(t, "login")["too many wrong ones from this address"]; n != 4 {
		t.Errorf("%d events of refused logins, want 4", n)
	}
}

func TestRate_isThatOfAllServersTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := []neoapitest.Option{neoapitest.WithData(dir), neoapitest.WithConsumerRate(10)}
	one, two := neoapitest.NewServer(t, opts...), neoapitest.NewServer(t, opts...)
	a, b := consumer(t, one), consumer(t, two)
	// Both clocks stand a minute ahead, and then run with the wall's.
	one.Advance(time.Minute)
	two.Advance(time.Minute)
	begin, taken := time.Now(), 0
	for range 30 {
		for _, c := range []caller{a, b} {
			if r := c.post(t, validatePath, "{}"); r.status == 400 {
				taken++
			} else {
				r.refused(t, 429, "900802")
			}
		}
	}
	if most := 10 + int(time.Since(begin)/(100*time.Millisecond)) + 1; taken > most || taken < 10 {
		t.Errorf("%d requests were taken, want 10 to %d", taken, most)
	}
}

func TestRate_isEachConsumersOwn(t *testing.T) {
	t.Parallel()
	c := newHouse(t, neoapitest.WithConsumerRate(1))
	flood := func(n int) (refused int) {
		for range n {
			if r := c.post(t, validatePath, "{}"); r.status == 429 {
				refused++
			}
		}
		return refused
	}
	if flood(20) == 0 {
		t.Fatal("the service's rate is not that of a consumer without its own")
	}
	for _, x := range []struct{ rate, least, most int }{{-1, 0, 0}, {2, 1, 100}, {10_000, 0, 0}, {0, 1, 100}} {
		if err := c.admin.SetConsumerRate(t.Context(), c.ConsumerKey, x.rate); err != nil {
			t.Fatal(err)
		}
		c.Advance(2 * time.Second) // within a second it holds everywhere, and an allowance is whole again
		if n := flood(100); n < x.least || n > x.most {
			t.Errorf("with rate %d, %d of 100 requests were refused", x.rate, n)
		}
	}
}

// One counter for all names of an account, on all servers, over restarts (security.md T3).
func TestTries_countTogetherWhateverTheName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir))), consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	a := one.Account
	names := [][2]string{
		{"mobileNumber", a.Mobile}, {"mobileNumber", strings.TrimPrefix(a.Mobile, "+91")}, {"pan", a.PAN}, {"pan", strings.ToLower(a.PAN)}, {"userid", a.UserID},
	}
	for i := range 10 {
		name, c := names[i%len(names)], []caller{one, two}[i%2]
		c.post(t, validatePath, object(name[0], name[1], "mpin", wrong(a.MPIN))).refused(t, 401, "10020")
	}
	three := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir))) // after a restart
	for _, c := range []caller{one, two, three} {
		for _, name := range names {
			c.post(t, validatePath, object(name[0], name[1], "mpin", a.MPIN)).refused(t, 401, "10020")
		}
		c.post(t, validatePath, object("userid", a.UserID, "password", a.Password)).want(t, 200) // each factor has its own
	}
}

// The MPIN has one counter, whether it comes as the first factor or the second.
func TestLock_ofTheMPINHoldsForTheSecondFactorToo(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	for range 10 {
		c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", wrong(c.Account.MPIN))).refused(t, 401, "10020")
	}
	view := c.login(t)
	for range 5 { // and costs no try of the second factor, which is not what is wrong
		c.second(t, view, c.Account.MPIN).refused(t, 429, "70009")
	}
	c.second(t, view, c.otp(t, view)).session(t)                                                                 // the one-time code is another way
	c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN)).refused(t, 401, "10020") // and lifts no lock of the MPIN's
	c.Advance(time.Minute)
	c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN)).want(t, 200)
}

// A code that was held against the OTP has cost its try, even if it could not be
// judged as an MPIN because too many of those wait.
func TestTries_countAGuessAtTheCodeEvenWhenMPINsWait(t *testing.T) {
	t.Parallel()
	c := newHouse(t, neoapitest.WithAccounts(12))
	code := c.TOTP(t)
	victim := c.totp(t).session(t)
	otp := c.otp(t, victim)
	var views []held
	for n := range 12 {
		views = append(views, c.totpOf(t, n+1, code).session(t))
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 { // more second factors by MPIN than there are places
		for _, v := range views {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						c.second(t, v, wrong(c.Account.MPIN))
					}
				}
			})
		}
	}
	// Some guesses find no place, and are not looked at; of the others three use the
	// code up.
	guesses, tries := 0, 0
	for until := time.Now().Add(time.Minute); tries < 3 && time.Now().Before(until); guesses++ {
		c.second(t, victim, wrong(otp))
		x, err := c.data.Store.Session(t.Context(), victim.SID)
		if err != nil {
			t.Fatal(err)
		}
		tries = x.Tries
	}
	close(stop)
	all.Wait()
	r := c.second(t, victim, otp)
	for r.status == 429 || r.status == 503 { // what came before is being tidied up
		time.Sleep(50 * time.Millisecond)
		r = c.second(t, victim, otp)
	}
	if r.status != 401 {
		t.Errorf("after %d guesses, of which %d have cost a try: %d", guesses, tries, r.status)
	}
}

// An address sends no more wrong logins by sending them at once.
func TestWrongLogins_atOnceGetNoLargerAllowance(t *testing.T) {
	t.Parallel()
	c := newHouse(t, neoapitest.WithAccounts(60), neoapitest.WithAddressRate(6))
	together(60, func(i int) reply { return c.totpOf(t, i+1, "000000") }, func(r reply) {
		if r.status != 401 {
			r.refused(t, 429, "900807")
		}
	})
	if n := c.outcomes(t, "login")["refused"]; n < 6 || n > 7 { // and one for each ten seconds that pass
		t.Errorf("%d wrong logins were judged, want 6", n)
	}
}

// Whoever invents consumers fills no disk: past the address's allowance they leave
// no event.
func TestAudit_hasFewEventsOfInventedConsumers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, neoapitest.WithAddressRate(6))
	statuses := map[int]int{}
	for i := range 50 {
		r := caller{h.Server, ""}.post(t, tokenPath, object("grant_type", "client_credentials", "client_id", fmt.Sprint("invented-", i), "client_secret", "x"))
		statuses[r.status]++
	}
	if n := h.outcomes(t, "access token")["refused"]; n != statuses[401] || n > 7 || statuses[429] < 43 {
		t.Errorf("%v, %d events", statuses, n)
	}
	consumer(t, h.Server) // a right secret is taken all the same
}

// Wrong codes for many open logins at once: no more are evaluated than lead to the
// lock (security.md T2, T3: new challenges share the counter).
func TestTries_wrongCodesForManyLoginsAreEvaluatedTenTimes(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	views := make([]held, 15)
	for i := range views {
		views[i] = c.login(t)
	}
	for range 2 { // the first round may find tries still open
		together(len(views), func(i int) reply {
			r := c.second(t, views[i], wrong(c.Account.MPIN))
			for r.status == 503 { // a slow machine's queue of hashes: nothing was judged
				time.Sleep(50 * time.Millisecond)
				r = c.second(t, views[i], wrong(c.Account.MPIN))
			}
			return r
		}, func(r reply) {
			if r.status != 429 {
				r.refused(t, 401, "10020")
			}
		})
	}
	if n := c.outcomes(t, "second factor")["wrong code"]; n > 10 {
		t.Errorf("%d wrong codes were evaluated, want at most 10", n)
	}
	state, err := c.data.Store.State(t.Context(), c.demo(t).ID)
	if err != nil {
		t.Fatal(err)
	}
	// A try that a slow store left open counts as failed when its lease ends.
	if x := state.Failures[login.OTP]; x.Count+len(x.Open) != 10 {
		t.Errorf("%+v, want 10 failures or tries that will be", x)
	}
}

// Right codes for many logins of one account at once all work: they wait for one
// another, and no lock comes of it.
func TestSession2FA_worksForManyLoginsOfOneAccountAtOnce(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	views := make([]held, 16)
	for i := range views {
		views[i] = c.login(t)
	}
	together(len(views), func(i int) reply {
		for {
			r := c.second(t, views[i], c.Account.MPIN)
			if r.status != 429 && r.status < 500 { // a slow machine's queue of hashes, and its OMS
				return r
			}
			time.Sleep(50 * time.Millisecond)
		}
	}, func(r reply) { r.session(t) })
}

// A request that a fault of the service leaves unserved is not counted against the
// consumer's rate.
func TestRate_countsNothingThatAFaultLeftUnserved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	view := h.login(t)
	if err := h.admin.SetConsumerRate(t.Context(), h.ConsumerKey, 2); err != nil {
		t.Fatal(err)
	}
	h.Advance(2 * time.Second)
	h.BreakOMS()
	for range 10 {
		h.second(t, view, h.Account.MPIN).refused(t, 502, "502")
	}
	h.MendOMS()
	h.second(t, view, h.Account.MPIN).session(t)
}

// Right logins at once are not refused because others are being judged just now.
func TestWrongLogins_rightOnesAtOnceAreNone(t *testing.T) {
	t.Parallel()
	c := newHouse(t, neoapitest.WithAccounts(60), neoapitest.WithAddressRate(3))
	code := c.TOTP(t)
	together(60, func(i int) reply {
		for {
			r := c.totpOf(t, i+1, code)
			if r.status != 503 { // a slow machine
				return r
			}
		}
	}, func(r reply) { r.want(t, 200) })
}

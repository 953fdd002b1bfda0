package httpapi_test

import (
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/token"
	"neoapi/neoapitest"
)

// instants are times at which a clock may be.
var instants = map[string]time.Time{
	"2001":                       time.Date(2001, time.September, 9, 1, 46, 40, 0, time.UTC),
	"today":                      {},
	"2099":                       time.Date(2099, time.June, 30, 12, 0, 0, 0, time.UTC),
	"the last moment of a year":  time.Date(2027, time.December, 31, 23, 59, 59, 900_000_000, login.IST),
	"the last moment of a month": time.Date(2028, time.February, 29, 23, 59, 59, 900_000_000, login.IST),
}

// everyWay logs in by every way and ends each session.
func everyWay(t *testing.T, c caller) {
	t.Helper()
	ways := map[string]func() held{
		"password and OTP":  func() held { return c.trade(t) },
		"password and MPIN": func() held { return c.second(t, c.login(t), c.Account.MPIN).session(t) },
		"TOTP and MPIN": func() held {
			return c.post(t, mpinPath, object("mpin", c.Account.MPIN), c.totp(t).session(t).pairs()...).session(t)
		},
		"MPIN and OTP": func() held {
			view := c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN)).session(t)
			return c.second(t, view, c.otp(t, view)).session(t)
		},
	}
	for way, login := range ways {
		s := login()
		if r := c.call(t, s); r.status != 200 {
			t.Errorf("%s: %d %s", way, r.status, r.body)
		}
		c.post(t, logoutPath, `{}`, s.pairs()...).want(t, 200)
		c.call(t, s).want(t, 403)
	}
}

func TestClock_everyWayToLogInWorksWheneverTheServiceIsStarted(t *testing.T) {
	t.Parallel()
	for name, at := range instants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyWay(t, consumer(t, neoapitest.NewServer(t, neoapitest.WithTime(at))))
		})
	}
}

// The clock goes wherever it likes, with a consumer, an account and a signing key
// that each come from another time.
func TestClock_everyWayToLogInWorksWhereverTheClockIsSet(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	srv, operator := h.Server, h.admin
	made := func(at time.Time) { operator.Now = func() time.Time { return at } }
	made(instants["2099"])
	if _, _, err := operator.AddConsumer(t.Context(), "from 2099", "", "sandbox-secret", 0); err == nil {
		t.Fatal("a key with blanks was taken")
	}
	if _, _, err := operator.AddConsumer(t.Context(), "from-2099", "", "sandbox-secret", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.RotateKey(t.Context(), 2048, login.KeyLeadLeast); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"today", "2099", "2001", "the last moment of a year", "2001", "the last moment of a month"} {
		set := instants[at]
		if set.IsZero() {
			set = time.Now()
		}
		srv.SetTime(set)
		everyWay(t, consumer(t, srv))
		everyWay(t, consumerOf(t, srv, "from-2099"))
	}
}

func TestClock_setBackLosesNoSessionAndBringsNoneBack(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithTime(instants["2099"])) // the day in India must not end meanwhile
	call := func(c caller, s held) int {
		t.Helper()
		return c.call(t, s).status
	}
	c := consumer(t, srv)
	expired, ended := c.trade(t), c.trade(t)
	c.post(t, logoutPath, `{}`, ended.pairs()...).want(t, 200)
	late := c.login(t)
	lateCode := c.otp(t, late)
	srv.Advance(90 * time.Minute)
	c = consumer(t, srv)
	valid, view := c.trade(t), c.login(t)
	code := c.otp(t, view)
	srv.Advance(-time.Hour)
	if got := call(c, valid); got != 200 {
		t.Errorf("a session that had not ended: %d", got)
	}
	if got := call(c, expired); got != 403 {
		t.Errorf("a session that had expired: %d", got)
	}
	if got := call(c, ended); got != 403 {
		t.Errorf("a session that had been ended: %d", got)
	}
	c.second(t, late, lateCode).refused(t, 401, "10020")
	c.second(t, view, code).session(t)
	srv.Advance(2 * time.Hour)
	if got := call(consumer(t, srv), valid); got != 403 {
		t.Errorf("a session after its end: %d", got)
	}
}

func TestClock_setBackWhileNothingRanBringsNoSessionBack(t *testing.T) {
	t.Parallel()
	dir, start := t.TempDir(), instants["2099"]
	var s held
	t.Run("before", func(t *testing.T) {
		srv := neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithTime(start))
		s = consumer(t, srv).trade(t)
		srv.Advance(2 * time.Hour)
		consumer(t, srv).login(t)
	})
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithTime(start.Add(30*time.Minute)))
	c := consumer(t, srv)
	c.call(t, s).want(t, 403)
	everyWay(t, c)
}

// A lock lasts no longer than its length, wherever the clock is set.
func TestClock_setBackLengthensNoLockAndNoWait(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithTime(instants["2099"]))
	c := consumer(t, srv)
	for range 10 {
		c.post(t, validatePath, object("userid", c.Account.UserID, "password", "another password")).want(t, 401)
	}
	for range 4 { // ten wrong codes lock the second factor as well
		view := c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN)).session(t)
		code := c.otp(t, view)
		for range 3 {
			c.second(t, view, wrong(code))
		}
	}
	srv.SetTime(instants["2001"])
	c = consumer(t, srv)
	c.post(t, validatePath, object("userid", c.Account.UserID, "password", c.Account.Password)).want(t, 401)
	view := c.post(t, validatePath, object("userid", c.Account.UserID, "mpin", c.Account.MPIN)).session(t)
	code := c.otp(t, view)
	locked := c.second(t, view, code).want(t, 429)
	if wait := locked.retryAfter(t); wait > time.Minute {
		t.Errorf("locked for %s more", wait)
	}
	srv.Advance(locked.retryAfter(t))
	c.second(t, view, code).session(t)
	c.login(t)
}

func TestClock_setBackTakesNoTOTPCodeTwice(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithTime(time.Date(2050, time.May, 5, 5, 5, 5, 0, time.UTC)))
	c := consumer(t, srv)
	code := c.TOTP(t)
	login := func(code string) reply {
		return c.post(t, totpPath, object("mobileNumber", c.Account.Mobile, "ucc", c.Account.UCC, "totp", code))
	}
	login(code).session(t)
	srv.Advance(time.Hour)
	c = consumer(t, srv)
	login(c.TOTP(t)).session(t)
	srv.Advance(-time.Hour)
	login(code).want(t, 401)
	login(c.TOTP(t)).session(t)
}

// A trade token must say of its time of issue what the session's record says.
func TestClock_aTokenOfAnotherTimeThanItsSessionIsRefused(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	s := c.trade(t)
	stored, err := c.data.Store.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.data.Vault.Open(credential.PurposeSigningKey, stored[0].ID, stored[0].Sealed)
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.ParseKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing([]token.Key{key}, key.ID)
	if err != nil {
		t.Fatal(err)
	}
	good, err := ring.Trade(s.Token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for ahead, status := range map[int64]int{0: 200, 1: 403, -1: 403, 7200: 403} {
		claims := good
		claims.Iat, claims.Exp = good.Iat+ahead, good.Exp+7200
		if s.Token, err = ring.Mint(key.ID, claims); err != nil {
			t.Fatal(err)
		}
		if r := c.call(t, s); r.status != status {
			t.Errorf("issued %d s after its session: %d %s", ahead, r.status, r.body)
		}
	}
}

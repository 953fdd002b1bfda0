package httpapi_test

import (
	"bytes"
	"flag"
	"fmt"
	"testing"
	"time"

	"neoapi/neoapitest"
)

func TestSession2FA_refusesTheFactorUsedFirst(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	a := c.Account
	t.Run("MPIN and MPIN", func(t *testing.T) {
		view := c.post(t, validatePath, object("userid", a.UserID, "mpin", a.MPIN)).session(t)
		c.post(t, validatePath, object("mobileNumber", a.Mobile, "mpin", a.MPIN), view.pairs()...).refused(t, 401, "10020")
		c.second(t, view, a.MPIN).refused(t, 401, "10020")
		c.post(t, mpinPath, object("mpin", a.MPIN), view.pairs()...).refused(t, 401, "10020")
		code := c.otp(t, view) // the code gives fresh tries
		c.post(t, validatePath, object("mobileNumber", a.Mobile, "mpin", a.MPIN), view.pairs()...).refused(t, 401, "10020")
		c.post(t, validatePath, object("mobileNumber", a.Mobile, "mpin", code), view.pairs()...).session(t)
	})
	t.Run("TOTP and MPIN", func(t *testing.T) {
		view := c.totp(t).session(t)
		c.post(t, mpinPath, object("mpin", wrong(a.MPIN)), view.pairs()...).refused(t, 401, "10020")
		c.post(t, mpinPath, object("mpin", a.MPIN), view.pairs()...).session(t)
	})
	t.Run("TOTP and the same TOTP", func(t *testing.T) {
		code := c.TOTP(t)
		view := c.post(t, totpPath, object("mobileNumber", a.Mobile, "ucc", a.UCC, "totp", code)).session(t)
		c.post(t, mpinPath, object("mpin", code), view.pairs()...).refused(t, 401, "10020")
		c.second(t, view, code).refused(t, 401, "10020")
	})
	t.Run("an OTP where only the MPIN is taken", func(t *testing.T) {
		view := c.login(t)
		code := c.otp(t, view)
		c.post(t, mpinPath, object("mpin", code), view.pairs()...).refused(t, 401, "10020")
		c.second(t, view, code).session(t)
	})
}

func TestOTP_hasThreeTriesAndAResendGivesFreshOnes(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithOTPDigits(4)))
	view := c.login(t)
	code := c.otp(t, view)
	for range 3 {
		c.second(t, view, wrong(code)).refused(t, 401, "10020")
	}
	c.second(t, view, code).refused(t, 401, "10020")
	c.Advance(30 * time.Second)
	fresh := c.otp(t, view)
	for range 2 {
		c.second(t, view, wrong(fresh)).refused(t, 401, "10020")
	}
	if code != fresh { // one time in 10,000 they are the same
		c.second(t, view, code).refused(t, 401, "10020")
		c.Advance(30 * time.Second)
		fresh = c.otp(t, view)
	}
	c.second(t, view, fresh).session(t)
}

func TestOTP_isSentThreeTimesALoginThirtySecondsApart(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	view := c.login(t)
	c.askOTP(t, view).want(t, 201)
	c.askOTP(t, view).refused(t, 429, "900807")
	c.Advance(20 * time.Second)
	early := c.askOTP(t, view)
	early.refused(t, 429, "900807")
	if wait := early.retryAfter(t); wait > 10*time.Second {
		t.Errorf("20 s after the code: wait %s", wait)
	}
	c.Advance(early.retryAfter(t))
	c.askOTP(t, view).want(t, 201)
	c.Advance(30 * time.Second)
	last := c.otp(t, view)
	c.Advance(30 * time.Second)
	c.askOTP(t, view).refused(t, 429, "900807")
	c.second(t, view, last).session(t) // what it has got works
	c.otp(t, c.login(t))               // and another login has codes of its own
}

func TestOTP_diesAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	for name, wait := range map[string]time.Duration{"before": 5*time.Minute - 30*time.Second, "after": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			view := c.login(t)
			code := c.otp(t, view)
			c.Advance(wait)
			if r := c.second(t, view, code); name == "before" {
				r.session(t)
			} else {
				r.refused(t, 401, "10020")
			}
		})
	}
}

func TestOTP_worksForItsOwnLoginOnceAndForNobodyElse(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithAccounts(1)))
	view := c.login(t)
	code := c.otp(t, view)
	again := c.login(t)
	other := c.post(t, validatePath, object("userid", "testuser000001", "password", c.Account.Password)).session(t)
	if other.UCC != "TEST000001" {
		t.Fatalf("logged in as %s", other.UCC)
	}
	c.second(t, again, code).refused(t, 401, "10020")
	c.second(t, other, code).refused(t, 401, "10020")
	t.Run("a view token with another login's sid", func(t *testing.T) {
		mixed := view
		mixed.SID = again.SID
		c.second(t, mixed, code).refused(t, 401, "100022")
		mixed.SID = other.SID
		c.second(t, mixed, code).refused(t, 401, "100022")
	})
	t.Run("another identifier than the login's", func(t *testing.T) {
		c.post(t, validatePath, object("mobileNumber", "+919900000001", "mpin", code), view.pairs()...).refused(t, 401, "10020")
		c.post(t, validatePath, object("pan", "TESTA0001A", "mpin", code), view.pairs()...).refused(t, 401, "10020")
		c.post(t, validatePath, object("userId", other.UCC, "otp", c.Account.MPIN), again.pairs()...).refused(t, 401, "10020")
		// Each costs a try: who holds a view token must not find out names by asking.
		c.post(t, validatePath, object("pan", "TESTA0001A", "mpin", c.Account.MPIN), again.pairs()...).refused(t, 401, "10020")
		c.second(t, again, c.Account.MPIN).refused(t, 401, "10020")
	})
	c.second(t, view, code).session(t)
	c.second(t, view, code).refused(t, 401, "100022") // a used code is a used code, and the view token is dead
	c.second(t, view, c.Account.MPIN).refused(t, 401, "100022")
}

func TestSession2FA_repeatOfARequestIDGetsTheSameSession(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	for _, header := range []string{"X-Request-ID", "Idempotency-Key"} {
		t.Run(header, func(t *testing.T) {
			view := c.login(t)
			code := c.otp(t, view)
			first := c.second(t, view, code, header, "attempt-1")
			trade := first.session(t)
			same := func() {
				t.Helper()
				if again := c.second(t, view, code, header, "attempt-1").want(t, 200); !bytes.Equal(first.body, again.body) {
					t.Errorf("the repeat differs:\n%s\n%s", first.body, again.body)
				}
			}
			same()
			c.second(t, view, code).refused(t, 401, "100022")
			c.second(t, view, code, header, "attempt-2").refused(t, 401, "100022")
			c.Advance(50 * time.Second)
			same()
			c.Advance(11 * time.Second)
			c.second(t, view, code, header, "attempt-1").refused(t, 401, "100022")
			c.send(t, "GET", barePath, "", trade.pairs()...).want(t, 200)
		})
	}
	t.Run("another code with the same id", func(t *testing.T) {
		view := c.login(t)
		code := c.otp(t, view)
		first := c.second(t, view, code, "X-Request-ID", "a").want(t, 200)
		c.second(t, view, wrong(code), "X-Request-ID", "a").refused(t, 401, "100022")
		c.second(t, view, c.Account.MPIN, "X-Request-ID", "a").refused(t, 401, "100022")
		if again := c.second(t, view, code, "X-Request-ID", "a").want(t, 200); !bytes.Equal(first.body, again.body) {
			t.Errorf("the repeat differs:\n%s\n%s", first.body, again.body)
		}
		c.second(t, view, wrong(code), "X-Request-ID", "a").refused(t, 401, "100022")
		c.second(t, view, code, "X-Request-ID", "a").refused(t, 401, "100022") // no way to guess on
	})
	t.Run("a session that was ended meanwhile stays ended", func(t *testing.T) {
		view := c.login(t)
		code := c.otp(t, view)
		trade := c.second(t, view, code, "X-Request-ID", "a").session(t)
		c.post(t, logoutPath, "", trade.pairs()...).want(t, 200)
		c.second(t, view, code, "X-Request-ID", "a").refused(t, 401, "100022")
	})
	t.Run("a wrong code that is repeated stays wrong", func(t *testing.T) {
		view := c.login(t)
		code := c.otp(t, view)
		c.second(t, view, wrong(code), "X-Request-ID", "a").refused(t, 401, "10020")
		c.second(t, view, wrong(code), "X-Request-ID", "a").refused(t, 401, "10020")
		c.second(t, view, code, "X-Request-ID", "a").session(t)
	})
}

func TestTOTP_codeWorksOnceAndNoEarlierOneAfterIt(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithAccounts(1)))
	demo := []string{"mobileNumber", c.Account.Mobile, "ucc", c.Account.UCC, "totp"}
	other := []string{"mobileNumber", "+919900000001", "ucc", "TEST000001", "totp"}
	try := func(account []string, code string) reply {
		t.Helper()
		return c.post(t, totpPath, object(append(account, code)...))
	}
	earlier, later := c.TOTP(t), c.TOTP(t)
	try(demo, later).session(t)
	try(demo, later).refused(t, 401, "10020")
	try(demo, earlier).refused(t, 401, "10020")
	try(other, earlier).session(t) // by itself it would have been good: the clock may drift by a step
	try(other, later).session(t)
	try([]string{"mobileNumber", c.Account.Mobile, "ucc", "TEST000001", "totp"}, c.TOTP(t)).refused(t, 401, "10020")
	stale := c.TOTP(t)
	c.Advance(time.Minute)
	try(demo, stale).refused(t, 401, "10020")
}

// together sends the answers of n calls of f, started at once, to judge.
func together(n int, f func(i int) reply, judge func(reply)) {
	answers := make(chan reply, n)
	start := make(chan struct{})
	for i := range n {
		go func() {
			<-start
			answers <- f(i)
		}()
	}
	close(start)
	for range n {
		judge(<-answers)
	}
}

func TestSession2FA_opensOneSessionForAHundredRightCodes(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	all := map[int]int{}
	for round := range *rounds {
		if round > 0 { // the next TOTP step, and a new access token before the old one ends
			c.Advance(30 * time.Second)
			c.caller = consumer(t, c.Server)
		}
		view := c.totp(t).session(t)
		code := c.otp(t, view)
		statuses := map[int]int{}
		var trade held
		together(100, func(int) reply { return c.second(t, view, code) }, func(r reply) {
			switch statuses[r.status]++; r.status {
			case 200:
				trade = r.session(t)
			case 401:
				r.refused(t, 401, "100022")
			default:
				r.refused(t, 429, "900807")
			}
		})
		if statuses[200] != 1 {
			t.Fatalf("%v, want one 200", statuses)
		}
		for status, n := range statuses {
			all[status] += n
		}
		c.call(t, trade).want(t, 200)
	}
	t.Logf("%d rounds: %v", *rounds, all)
	ok, last := 0, int64(0)
	for page := events(t, c.data.Store, 0); len(page) > 0; page = events(t, c.data.Store, last) {
		ok += outcomes(page, "second factor")["ok"]
		last = page[len(page)-1].Seq
	}
	if ok != *rounds {
		t.Errorf("%d sessions in the audit trail, want %d", ok, *rounds)
	}
}

var rounds = flag.Int("httpapi.rounds", 3, "how often a hundred right codes are sent at once (security.md O2)")

func TestSession2FA_evaluatesThreeOfFiftyWrongCodesAtOnce(t *testing.T) {
	t.Parallel()
	c := newHouse(t, neoapitest.WithOTPDigits(8))
	view := c.login(t)
	code := c.otp(t, view)
	guess := code
	var guesses []string
	for range 50 {
		guess = wrong(guess[1:] + guess[:1])
		guesses = append(guesses, guess)
	}
	for i, g := range guesses {
		if g == code {
			guesses[i] = wrong(code)
		}
	}
	together(len(guesses), func(i int) reply { return c.second(t, view, guesses[i]) }, func(r reply) {
		if r.status != 429 {
			r.refused(t, 401, "10020")
		}
	})
	for range 3 { // however many got through: the tries end with three
		c.second(t, view, wrong(code)).refused(t, 401, "10020")
	}
	if n := c.outcomes(t, "second factor")["wrong code"]; n != 3 {
		t.Errorf("%d wrong codes were evaluated, want 3", n)
	}
	c.second(t, view, code).refused(t, 401, "10020")
}

func TestRate_isLimitedAndWaitingExactlyWorks(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(2))
	c := consumer(t, srv)
	exhaust := func(ask func() reply) reply {
		t.Helper()
		for range 1000 {
			if r := ask(); r.status == 429 {
				return r
			}
		}
		t.Fatal("1,000 requests were taken")
		return reply{}
	}
	input := func() reply { return c.post(t, validatePath, "{}") }
	limited := exhaust(input)
	limited.refused(t, 429, "900802")
	srv.Advance(limited.retryAfter(t))
	input().refused(t, 400, "10300")

	limited = exhaust(func() reply { return c.send(t, "GET", tradePath, "") })
	limited.refusedTrade(t, 429, "900802")
	srv.Advance(limited.retryAfter(t))
	input().refused(t, 400, "10300")

	limited = exhaust(func() reply { return bySecret(srv).post(t, tokenPath, grantBody) })
	srv.Advance(limited.retryAfter(t))
	consumer(t, srv)
}

func TestOTP_requestDoesNotTellWhoIsThere(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithAccounts(1)))
	ask := func(user string) reply {
		t.Helper()
		return c.post(t, otpPath, fmt.Sprintf(`{"userId":%q,"sendEmail":true,"isWhitelisted":true}`, user), "X-Request-ID", "r").want(t, 201)
	}
	view := c.login(t)
	idle := c.post(t, validatePath, object("userid", "testuser000001", "mpin", c.Account.MPIN)).session(t)
	code := c.otp(t, idle)
	c.second(t, idle, code).session(t) // from here on nothing waits for a code there
	known := ask(view.claims(t)["sub"].(string))
	for name, user := range map[string]string{
		"an account whose login is complete": idle.claims(t)["sub"].(string),
		"a UUID that nobody has":             "b3ebb6af-7205-43e9-8513-189472393cab",
		"a user id":                          c.Account.UserID,
		"a user id that nobody has":          "nobody",
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				r := ask(user)
				r.header.Set("Date", known.header.Get("Date"))
				if !bytes.Equal(r.body, known.body) || fmt.Sprint(r.header) != fmt.Sprint(known.header) {
					t.Errorf("the answer differs:\n%s %v\n%s %v", known.body, known.header, r.body, r.header)
				}
			}
		})
	}
	c.second(t, view, c.OTP(t)).session(t) // the known one got its code
}

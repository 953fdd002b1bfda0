package httpapi_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neoapi/internal/login"
	"neoapi/internal/sandbox"
	"neoapi/internal/store"
	"neoapi/neoapitest"
)

// A trail is the audit trail of a running service, read as it grows.
type trail struct {
	store store.Store
	last  int64
}

// next returns the events since the last call, of which at least n must come.
func (x *trail) next(t *testing.T, n int) []login.Event {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all := events(t, x.store, x.last)
		if len(all) >= n || time.Now().After(deadline) {
			if len(all) > 0 {
				x.last = all[len(all)-1].Seq
			}
			return all
		}
	}
}

// forged returns a token whose signature is another one.
func forged(token string) string {
	middle := strings.LastIndexByte(token, '.') + 20
	letter := byte('A')
	if token[middle] == letter {
		letter = 'B'
	}
	return token[:middle] + string(letter) + token[middle+1:]
}

// A scene is the service that the cases below ask, one after the other, and what the
// case before has come to.
type scene struct {
	house
	t           *testing.T // of the case
	all         *testing.T // of all cases: for what outlives one
	trail       *trail
	algo        caller // of another consumer
	view, trade held
	code        string
	totpCode    string
	answer      chan reply // to a second factor that the OMS keeps waiting
	mend        func()     // what breaks has broken
}

// An outcome is what a request comes to, and the one event that it leaves.
type outcome struct {
	name    string
	prepare func(*scene)       // is not looked at
	do      func(*scene) reply // is one request
	status  int
	action  string // none: no event at all
	result  string
	account string // its UCC
	factor  login.Factor
	sid     string // which one
}

const (
	none    = ""
	nowhose = "" // an account that nobody has
	own     = sandbox.DemoUCC
	newSID  = "new"
	viewSID = "view"
	outSID  = "trade"
	noSID   = ""
)

var (
	theID = []string{"X-Request-ID", "the-request"}
	never = wrong(sandbox.DemoMPIN)
)

func logIn(x *scene)        { x.view = x.login(x.t) }
func withCode(x *scene)     { logIn(x); x.code = x.otp(x.t, x.view) }
func inAndOut(x *scene)     { x.trade = x.caller.trade(x.t) }
func logout(x *scene) reply { return x.post(x.t, logoutPath, "", x.trade.pairs(theID...)...) }

// hanging sends the code and waits until its claim is taken.
func hanging(x *scene) {
	withCode(x)
	x.HangOMS()
	x.answer = make(chan reply, 1)
	lasting := *x
	lasting.t = x.all
	go func() { lasting.answer <- second("otp", theCode)(&lasting) }()
	eventually(x.t, "the code is being judged", func() bool {
		session, err := x.data.Store.Session(x.t.Context(), x.view.SID)
		return err != nil || session.ClaimID != ""
	})
}

func (x *scene) asUser(n int)           { x.view = x.user(x.t, n) }
func (x *scene) statement(query string) { statement(x.t, x.dir, query) }

func theCode(x *scene) string            { return x.code }
func is(code string) func(*scene) string { return func(*scene) string { return code } }

func posted(path string, pairs ...string) func(*scene) reply {
	return func(x *scene) reply { return x.post(x.t, path, object(pairs...), theID...) }
}

func second(how string, code func(*scene) string, pairs ...string) func(*scene) reply {
	return func(x *scene) reply {
		return x.post(x.t, validatePath, object(append(pairs, how, code(x))...), x.view.pairs(theID...)...)
	}
}

func validateMPIN(mpin string) func(*scene) reply {
	return func(x *scene) reply { return x.post(x.t, mpinPath, object("mpin", mpin), x.view.pairs(theID...)...) }
}

func byTOTP(ucc string) func(*scene) reply {
	return func(x *scene) reply {
		return x.post(x.t, totpPath, object("mobileNumber", sandbox.DemoMobile, "ucc", ucc, "totp", x.totpCode), theID...)
	}
}

func granting(key, secret string, pairs ...string) func(*scene) reply {
	return func(x *scene) reply {
		return secretOf(x.Server, key, secret).post(x.t, tokenPath, grantBody, append(theID, pairs...)...)
	}
}

var allOutcomes = []outcome{
	// The first factor.
	{"a login by mobile number and password", nil, posted(validatePath, "mobileNumber", sandbox.DemoMobile, "password", sandbox.DemoPassword), 200, "login", "ok", own, "password", newSID},
	{"a login by user id and password", nil, posted(validatePath, "userid", sandbox.DemoUserID, "password", sandbox.DemoPassword), 200, "login", "ok", own, "password", newSID},
	{"a login by userId and MPIN", nil, posted(validatePath, "userId", sandbox.DemoUserID, "mpin", sandbox.DemoMPIN), 200, "login", "ok", own, "mpin", newSID},
	{"a login by PAN and MPIN", nil, posted(validatePath, "pan", sandbox.DemoPAN, "mpin", sandbox.DemoMPIN), 200, "login", "ok", own, "mpin", newSID},
	{"a login by TOTP", func(x *scene) { x.totpCode = x.TOTP(x.t) }, byTOTP(sandbox.DemoUCC), 200, "login", "ok", own, "totp", newSID},
	{"a TOTP code used again", nil, byTOTP(sandbox.DemoUCC), 401, "login", "TOTP code used before", own, "totp", noSID},
	{"a wrong TOTP code", func(x *scene) { x.totpCode = wrong(x.TOTP(x.t)) }, byTOTP(sandbox.DemoUCC), 401, "login", "refused", own, "totp", noSID},
	{"a TOTP code with another account's UCC", func(x *scene) { x.totpCode = x.TOTP(x.t) }, byTOTP("TEST000001"), 401, "login", "refused", own, "totp", noSID},
	{"a wrong password", nil, posted(validatePath, "mobileNumber", sandbox.DemoMobile, "password", "wrong-password"), 401, "login", "refused", own, "password", noSID},
	{"a wrong MPIN", nil, posted(validatePath, "pan", sandbox.DemoPAN, "mpin", never), 401, "login", "refused", own, "mpin", noSID},
	{"an unknown user id", nil, posted(validatePath, "userid", "nobody", "password", sandbox.DemoPassword), 401, "login", "refused", nowhose, "password", noSID},
	{"an unknown mobile number", nil, posted(validatePath, "mobileNumber", "+919812345678", "mpin", sandbox.DemoMPIN), 401, "login", "refused", nowhose, "mpin", noSID},
	{"an unknown PAN", nil, posted(validatePath, "pan", "ZZZZZ9999Z", "password", sandbox.DemoPassword), 401, "login", "refused", nowhose, "password", noSID},
	{"an unknown account by TOTP", nil, posted(totpPath, "mobileNumber", "+919812345678", "ucc", "NOBODY", "totp", "123456"), 401, "login", "refused", nowhose, "totp", noSID},
	{"a factor that the account has not", func(x *scene) { x.statement(`UPDATE accounts SET mpin_hash = '' WHERE ucc = 'TEST000001'`) },
		posted(validatePath, "userid", "testuser000001", "mpin", sandbox.DemoMPIN), 401, "login", "refused", "TEST000001", "mpin", noSID},
	{"a locked account's right password", func(x *scene) {
		for range 10 {
			posted(validatePath, "userid", "testuser000002", "password", "wrong-password")(x)
		}
	}, posted(validatePath, "userid", "testuser000002", "password", sandbox.DemoPassword), 401, "login", "locked", "TEST000002", "password", noSID},
	{"a disabled account's right password", func(x *scene) { x.statement(`UPDATE accounts SET disabled = true WHERE ucc = 'TEST000003'`) },
		posted(validatePath, "userid", "testuser000003", "password", sandbox.DemoPassword), 401, "login", "disabled", "TEST000003", "password", noSID},
	{"a hash that cannot be read", func(x *scene) { x.statement(`UPDATE accounts SET password_hash = 'nonsense' WHERE ucc = 'TEST000004'`) },
		posted(validatePath, "userid", "testuser000004", "password", sandbox.DemoPassword), 500, "login", "not judged", "TEST000004", "password", noSID},
	{"a view session that cannot be stored", func(x *scene) { x.mend = breaks(x.all, x.dir, "INSERT ON sessions", "") },
		posted(validatePath, "userid", sandbox.DemoUserID, "password", sandbox.DemoPassword), 503, "login", "not stored", own, "password", noSID},
	{"a login that is no login", func(x *scene) { x.mend() }, posted(validatePath, "userid", sandbox.DemoUserID), 400, none, "", "", "", ""},
	{"a login without access token", nil, func(x *scene) reply {
		return caller{x.Server, ""}.post(x.t, validatePath, object("userid", sandbox.DemoUserID, "password", sandbox.DemoPassword), theID...)
	}, 401, none, "", "", "", ""},
	{"a login past the consumer's rate", nil, func(x *scene) (r reply) {
		slow := consumerOf(x.t, x.Server, "slow")
		for x.trail.next(x.t, 1); r.status != 429; { // what came before that is looked at elsewhere
			if r.status != 0 {
				x.trail.next(x.t, 1)
			}
			r = slow.post(x.t, validatePath, object("userid", "nobody", "password", sandbox.DemoPassword), theID...)
		}
		return r
	}, 429, none, "", "", "", ""},

	// One-time codes.
	{"a code", logIn, func(x *scene) reply { return x.askOTP(x.t, x.view, theID...) }, 201, "otp", "ok", own, "otp", viewSID},
	{"a code asked for again at once", nil, func(x *scene) reply { return x.askOTP(x.t, x.view, x.view.pairs(theID...)...) }, 429, "otp", "asked again too soon", own, "otp", viewSID},
	{"a fourth code of a login", func(x *scene) {
		for range 2 {
			x.Advance(30 * time.Second)
			x.askOTP(x.t, x.view).want(x.t, 201)
		}
		x.Advance(30 * time.Second)
	}, func(x *scene) reply { return x.askOTP(x.t, x.view, x.view.pairs(theID...)...) }, 429, "otp", "too many codes for this login", own, "otp", viewSID},
	{"too many codes an hour", func(x *scene) {
		x.asUser(5)
		for sends := range 1000 {
			o := login.NewOTP{SID: x.view.SID, Sends: sends, Now: time.Now(), Expires: time.Now(), PerHour: 2000}
			if _, err := x.data.Store.SetOTP(x.t.Context(), o); err != nil {
				x.t.Fatal(err)
			}
		}
		x.asUser(5)
	}, func(x *scene) reply { return x.askOTP(x.t, x.view, theID...) }, 429, "otp", "too many codes this hour", "TEST000005", "otp", viewSID},
	{"a code for nobody", nil, posted(otpPath, "userId", "3b0bd1b4-7a3f-4b5a-9a0e-0d3a41d7b2a1"), 201, "otp", "no open login", nowhose, "otp", noSID},
	{"a code that cannot be delivered", func(x *scene) {
		x.asUser(6)
		x.statement(`DELETE FROM accounts WHERE ucc = 'TEST000006'`)
	}, func(x *scene) reply { return x.askOTP(x.t, x.view, theID...) }, 500, "otp", "not delivered", "TEST000006", "otp", viewSID},

	// The second factor.
	{"a code for an account that is gone", nil, second("otp", is(never)), 401, "second factor", "no such account", "", "otp", viewSID},
	{"a wrong code", withCode, second("otp", func(x *scene) string { return wrong(x.code) }), 401, "second factor", "wrong code", own, "otp", viewSID},
	{"another account's identifier", nil, second("mpin", theCode, "mobileNumber", "+919900000001"), 401, "second factor", "another account's identifier", own, "otp", viewSID},
	{"an OMS that is down", func(x *scene) { x.BreakOMS() }, second("otp", theCode), 502, "second factor", "OMS down", own, "otp", viewSID},
	{"the right code", func(x *scene) { x.MendOMS() }, second("otp", theCode), 200, "second factor", "ok", own, "otp", viewSID},
	{"the same request again", nil, second("otp", theCode), 200, "second factor", "repeated", own, "otp", viewSID},
	{"the same view token with another code", nil, second("otp", is(never)), 401, "second factor", "no such view session", own, "otp", viewSID},
	{"an OTP where an MPIN was", withCode, second("mpin", theCode), 200, "second factor", "ok", own, "otp", viewSID},
	{"an MPIN where an OTP was", logIn, second("otp", is(sandbox.DemoMPIN)), 200, "second factor", "ok", own, "mpin", viewSID},
	{"an MPIN at the address for it", logIn, validateMPIN(sandbox.DemoMPIN), 200, "second factor", "ok", own, "mpin", viewSID},
	{"a wrong MPIN there", logIn, validateMPIN(never), 401, "second factor", "wrong code", own, "mpin", viewSID},
	{"the first factor again", func(x *scene) {
		x.view = posted(validatePath, "userid", sandbox.DemoUserID, "mpin", sandbox.DemoMPIN)(x).session(x.t)
	}, second("otp", is(sandbox.DemoMPIN)),
		401, "second factor", "wrong code", own, "otp", viewSID},
	{"a code after its tries", func(x *scene) {
		for range 2 {
			second("otp", is(never))(x).want(x.t, 401)
		}
	}, second("otp", is(sandbox.DemoMPIN)), 401, "second factor", "tries used up", own, "otp", viewSID},
	{"a forged view token", func(x *scene) { logIn(x); x.view.Token = forged(x.view.Token) }, second("otp", is(sandbox.DemoMPIN)), 401, "second factor", "token refused", nowhose, "otp", viewSID},
	{"no token at all", func(x *scene) { x.view.Token = "nonsense" }, validateMPIN(sandbox.DemoMPIN), 401, "second factor", "token refused", nowhose, "mpin", viewSID},
	{"the trade token", func(x *scene) { x.view = x.caller.trade(x.t) }, second("otp", is(sandbox.DemoMPIN)), 401, "second factor", "token refused", nowhose, "otp", viewSID},
	{"a token for a sid", func(x *scene) { logIn(x); x.view.SID = x.view.Token }, second("otp", is(sandbox.DemoMPIN)), 401, "second factor", "no such view session", own, "otp", noSID},
	{"another login's sid", func(x *scene) { logIn(x); other := x.login(x.t); x.view.SID = other.SID }, second("otp", is(sandbox.DemoMPIN)), 401, "second factor", "no such view session", own, "otp", viewSID},
	{"no token", func(x *scene) { logIn(x); x.view.Token = "" }, second("otp", is(sandbox.DemoMPIN)), 401, none, "", "", "", ""},
	{"a code that is no code", logIn, second("otp", is("")), 400, none, "", "", "", ""},
	{"another code while one is being judged", hanging, second("otp", is(never)), 429, "second factor", "another code is being judged", own, "otp", viewSID},
	{"the one that was being judged", nil, func(x *scene) reply { x.MendOMS(); return <-x.answer }, 200, "second factor", "ok", own, "otp", viewSID},
	{"a session that is ended while the OMS thinks", func(x *scene) {
		hanging(x)
		if err := x.data.Store.Revoke(x.t.Context(), x.demo(x.t).ID, "", login.Event{Action: "sessions revoked"}); err != nil {
			x.t.Error(err)
		}
		x.trail.next(x.t, 1)
	}, func(x *scene) reply { x.MendOMS(); return <-x.answer }, 401, "second factor", "ended meanwhile", own, "otp", viewSID},
	{"an OMS that does not answer", hanging, func(x *scene) reply { return <-x.answer }, 504, "second factor", "OMS timeout", own, "otp", viewSID},
	{"a trade session that cannot be stored", func(x *scene) {
		x.MendOMS()
		logIn(x)
		x.mend = breaks(x.all, x.dir, "UPDATE ON sessions", "NEW.kind = 'trade'")
	},
		second("otp", is(sandbox.DemoMPIN)), 503, "second factor", "not stored", own, "otp", viewSID},
	{"an MPIN's hash that cannot be read", func(x *scene) {
		x.mend()
		x.asUser(7)
		x.statement(`UPDATE accounts SET mpin_hash = 'nonsense' WHERE ucc = 'TEST000007'`)
	}, validateMPIN(sandbox.DemoMPIN), 500, "second factor", "not judged", "TEST000007", "mpin", viewSID},
	{"a disabled account's right MPIN", func(x *scene) {
		x.asUser(8)
		x.statement(`UPDATE accounts SET disabled = true WHERE ucc = 'TEST000008'`)
	},
		validateMPIN(sandbox.DemoMPIN), 401, "second factor", "wrong code", "TEST000008", "mpin", viewSID},
	{"a locked second factor", func(x *scene) {
		for range 4 {
			x.asUser(9)
			for range 3 {
				validateMPIN(never)(x)
			}
		}
	}, validateMPIN(sandbox.DemoMPIN), 429, "second factor", "locked", "TEST000009", "mpin", viewSID},
	{"a login by a consumer that was removed and added again", func(x *scene) {
		gone := consumerOf(x.t, x.Server, "gone")
		x.view = gone.login(x.t)
		if err := x.admin.RemoveConsumer(x.t.Context(), "gone"); err != nil {
			x.t.Fatal(err)
		}
		soon(x.t, 401, func() reply { return gone.askOTP(x.t, x.view) })
		x.addConsumer(x.t, "gone")
	}, func(x *scene) reply {
		return caller{x.Server, "gone"}.post(x.t, mpinPath, object("mpin", sandbox.DemoMPIN), x.view.pairs(theID...)...)
	}, 401, "second factor", "no such view session", own, "mpin", viewSID},

	// Access tokens.
	{"an access token", nil, granting(sandbox.DemoConsumerKey, sandbox.DemoConsumerSecret), 200, "access token", "ok", nowhose, "", noSID},
	{"an access token in a form", nil, func(x *scene) reply {
		return caller{x.Server, ""}.post(x.t, tokenPath, "grant_type=client_credentials&client_id=sandbox-consumer&client_secret=sandbox-secret",
			append(theID, "Content-Type", "application/x-www-form-urlencoded")...)
	}, 200, "access token", "ok", nowhose, "", noSID},
	{"a wrong consumer secret", nil, granting(sandbox.DemoConsumerKey, "another secret"), 401, "access token", "refused", nowhose, "", noSID},
	{"an unknown consumer", nil, granting("nobody", sandbox.DemoConsumerSecret), 401, "access token", "refused", nowhose, "", noSID},
	{"no consumer", nil, granting(sandbox.DemoConsumerKey, sandbox.DemoConsumerSecret, "Authorization", ""), 401, none, "", "", "", ""},
	{"an unknown grant", nil, posted(tokenPath, "grant_type", "implicit"), 400, none, "", "", "", ""},

	// Logout.
	{"a logout", inAndOut, logout, 200, "logout", "ok", own, "", outSID},
	{"another logout", nil, logout, 401, "logout", "no such session", nowhose, "", outSID},
	{"a logout with a forged token", func(x *scene) { inAndOut(x); x.trade.Token = forged(x.trade.Token) }, logout, 401, "logout", "token refused", nowhose, "", outSID},
	{"a logout with a view token", func(x *scene) { x.trade = x.login(x.t) }, logout, 401, "logout", "token refused", nowhose, "", outSID},
	{"a logout by another consumer", inAndOut, func(x *scene) reply { return x.algo.post(x.t, logoutPath, "", x.trade.pairs(theID...)...) }, 401, "logout", "token refused", nowhose, "", outSID},
	{"a token for a sid", func(x *scene) { x.trade.SID = x.trade.Token }, logout, 401, "logout", "no such session", nowhose, "", noSID},
	{"a logout without session", func(x *scene) { x.trade = held{} }, logout, 401, none, "", "", "", ""},

	// What is no authentication.
	{"a trade call", inAndOut, func(x *scene) reply { return x.send(x.t, "GET", tradePath, "", x.trade.pairs(theID...)...) }, 200, none, "", "", "", ""},
	{"a trade call with a forged token", func(x *scene) { x.trade.Token = forged(x.trade.Token) }, func(x *scene) reply { return x.send(x.t, "GET", tradePath, "", x.trade.pairs(theID...)...) }, 401, none, "", "", "", ""},
	{"the inbox", withCode, func(x *scene) reply { return x.send(x.t, "GET", "/sandbox/otp/TESTYA24", "", theID...) }, 200, none, "", "", "", ""},
	{"an unknown path", nil, posted("/nowhere"), 404, none, "", "", "", ""},

	// Last, because it moves the clock.
	{"a view token that has expired", func(x *scene) { logIn(x); x.Advance(25 * time.Hour); x.caller = consumer(x.t, x.Server) }, second("otp", is(sandbox.DemoMPIN)), 401, "second factor", "token refused", nowhose, "otp", viewSID},
	{"a trade token that has expired", func(x *scene) { inAndOut(x); x.Advance(2 * time.Hour); x.caller = consumer(x.t, x.Server) }, logout, 401, "logout", "no such session", nowhose, "", outSID},
}

func TestAudit_hasExactlyOneEventOfEachOutcome(t *testing.T) { // security.md L2
	t.Parallel()
	dir := t.TempDir()
	var log lines
	t.Run("all", func(t *testing.T) { // the log is whole when the service has stopped
		h := houseIn(t, dir, neoapitest.WithAccounts(9), neoapitest.WithOMSTimeout(6*time.Second), neoapitest.WithLog(slog.NewJSONHandler(&log, nil)))
		h.addConsumer(t, "algo")
		h.addConsumer(t, "gone")
		if _, _, err := h.admin.AddConsumer(t.Context(), "slow", "", "sandbox-secret", 1); err != nil {
			t.Fatal(err)
		}
		ids := map[string]string{nowhose: "", own: h.demo(t).ID}
		for _, k := range allOutcomes {
			if _, known := ids[k.account]; !known {
				ids[k.account] = h.account(t, k.account).ID
			}
		}
		x := &scene{house: h, all: t, trail: &trail{store: h.data.Store}, algo: consumerOf(t, h.Server, "algo")}
		x.trail.next(t, 1)
		for _, k := range allOutcomes {
			if !t.Run(k.name, func(t *testing.T) { x.t = t; k.judge(x, ids[k.account]) }) {
				return // what follows builds on it
			}
		}
	})
	sameEvents(t, openStore(t, dir), log.audited(t))
}

func (k outcome) judge(x *scene, account string) {
	if k.prepare != nil {
		k.prepare(x)
		x.trail.next(x.t, 0)
	}
	before := time.Now().Add(-time.Second)
	k.do(x).want(x.t, k.status)
	if k.action == none {
		if got := x.trail.next(x.t, 0); len(got) > 0 {
			x.t.Errorf("%+v", got)
		}
		return
	}
	got := x.trail.next(x.t, 1)
	if len(got) != 1 {
		x.t.Fatalf("%d events: %+v", len(got), got)
	}
	e := got[0]
	if at := e.Time; at.Before(before) || at.After(time.Now().Add(30*time.Hour)) || at.Location() != time.UTC {
		x.t.Errorf("time %s", at)
	}
	want := login.Event{
		Action: k.action, Outcome: k.result, Account: account, UCC: k.account, Factor: k.factor,
		Consumer: x.ConsumerKey, Address: "127.0.0.1", RequestID: "the-request",
	}
	switch k.sid {
	case newSID:
		if want.SID = e.SID; e.SID == "" {
			x.t.Error("no sid")
		}
	case viewSID:
		want.SID = x.view.SID
	case outSID:
		want.SID = x.trade.SID
	}
	switch k.name {
	case "an unknown consumer": // anybody can invent one
		want.Consumer = ""
	case "a logout by another consumer":
		want.Consumer = "algo"
	case "a login by a consumer that was removed and added again":
		want.Consumer = "gone"
	}
	if diff := cmp.Diff(want, e, cmpopts.IgnoreFields(login.Event{}, "Seq", "Time")); diff != "" {
		x.t.Errorf("-want +event:\n%s", diff)
	}
}

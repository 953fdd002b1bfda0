package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neoapi/internal/login"
	"neoapi/internal/operator"
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

// lines are a service's log in JSON. It is whole when the service has stopped.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// audited returns the events that the log tells of.
func (l *lines) audited(t *testing.T) (all []login.Event) {
	t.Helper()
	for line := range strings.Lines(l.text.String()) {
		var e struct {
			Time                                      time.Time
			Level, Msg                                string
			Action, Outcome, UCC, Account             string
			Consumer, SID, Address, Factor, RequestID string
		}
		d := json.NewDecoder(strings.NewReader(strings.Replace(line, `"request_id"`, `"RequestID"`, 1)))
		if !strings.Contains(line, `"msg":"audit"`) {
			continue
		}
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil || e.Level != "INFO" {
			t.Errorf("%v: %s", err, line)
		}
		all = append(all, login.Event{
			Action: e.Action, Outcome: e.Outcome, UCC: e.UCC, Account: e.Account, Factor: login.Factor(e.Factor),
			Consumer: e.Consumer, SID: e.SID, Address: e.Address, RequestID: e.RequestID,
		})
	}
	return all
}

// sameEvents checks that each event of a request that is stored has been logged
// once.
func sameEvents(t *testing.T, store store.Store, logged []login.Event) {
	t.Helper()
	byContent := func(a, b login.Event) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	var stored []login.Event
	for _, e := range events(t, store, 0) {
		if slices.Contains([]string{"access token", "login", "otp", "second factor", "logout"}, e.Action) {
			e.Seq, e.Time = 0, time.Time{}
			stored = append(stored, e)
		}
	}
	slices.SortFunc(stored, byContent)
	slices.SortFunc(logged, byContent)
	if len(stored) == 0 {
		t.Error("no event was stored")
	}
	if diff := cmp.Diff(stored, logged); diff != "" {
		t.Errorf("-stored +logged:\n%s", diff)
	}
}

func TestEachOutcomeLeavesExactlyOneAuditEvent(t *testing.T) { // security.md L2
	t.Parallel()
	dir := t.TempDir()
	var log lines
	t.Run("all", func(t *testing.T) { // the log is whole when the service has stopped
		eachOutcome(t, dir, neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithAccounts(9),
			neoapitest.WithOMSTimeout(6*time.Second), neoapitest.WithLog(slog.NewJSONHandler(&log, nil))))
	})
	sameEvents(t, openStore(t, dir), log.audited(t))
}

func eachOutcome(t *testing.T, dir string, srv *neoapitest.Server) {
	admin, data := admin(t, dir)
	store := data.Store
	for _, rate := range []struct {
		key  string
		rate int
	}{{"algo", 0}, {"slow", 1}, {"gone", 0}} {
		if _, _, err := admin.AddConsumer(t.Context(), rate.key, "", "sandbox-secret", rate.rate); err != nil {
			t.Fatal(err)
		}
	}
	c, algo := consumer(t, srv), consumerOf(t, srv, "algo")
	a := c.Account
	ids := map[string]string{}
	accounts, err := store.ListAccounts(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range accounts {
		ids[x.UCC] = x.ID
	}
	x := &trail{store: store}
	x.next(t, 1)

	// What the cases share. prepare is not looked at; do is one request.
	id := []string{"X-Request-ID", "the-request"}
	post := func(path string, pairs ...string) func() reply {
		return func() reply { return c.post(t, path, object(pairs...), id...) }
	}
	var view, trade held
	var code string
	var answer chan reply
	logIn := func() { view = c.login(t) }
	withCode := func() { logIn(); code = c.otp(t, view) }
	inAndOut := func() { trade = c.trade(t) }
	asUser := func(n int) func() {
		return func() {
			view = c.post(t, validatePath, object("userid", fmt.Sprintf("testuser%06d", n), "password", a.Password)).session(t)
		}
	}
	twice := func(f func() reply) func() { return func() { f() } }
	second := func(how string, code *string, pairs ...string) func() reply {
		return func() reply {
			return c.post(t, validatePath, object(append(pairs, how, *code)...), view.pairs(id...)...)
		}
	}
	byMPIN := func(mpin string) func() reply {
		return func() reply { return c.post(t, mpinPath, object("mpin", mpin), view.pairs(id...)...) }
	}
	logout := func() reply { return c.post(t, logoutPath, "", trade.pairs(id...)...) }
	never := wrong(a.MPIN)
	// hanging sends the code and waits until its claim is taken.
	hanging := func() {
		withCode()
		srv.HangOMS()
		answer = make(chan reply, 1)
		go func() { answer <- second("otp", &code)() }()
		for session := (login.Session{}); session.ClaimID == ""; time.Sleep(time.Millisecond) {
			var err error
			if session, err = store.Session(t.Context(), view.SID); err != nil {
				t.Error(err)
				return
			}
		}
	}
	token := func(key, secret string, pairs ...string) func() reply {
		return func() reply {
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+secret))
			return caller{srv, basic}.post(t, tokenPath, `{"grant_type":"client_credentials"}`, append(id, pairs...)...)
		}
	}
	totp := ""
	byTOTP := func(ucc string) func() reply {
		return func() reply {
			return c.post(t, totpPath, object("mobileNumber", a.Mobile, "ucc", ucc, "totp", totp), id...)
		}
	}
	mend := func() {}

	// An event's account and sid by what they are in the case.
	const (
		nobody  = ""
		own     = "TESTYA24"
		newSID  = "new"
		viewSID = "view"
		outSID  = "trade"
		noSID   = ""
		none    = "" // as an action: no event at all
	)
	for _, k := range []struct {
		name    string
		prepare func()
		do      func() reply
		status  int
		action  string
		outcome string
		account string
		factor  login.Factor
		sid     string
	}{
		// The first factor.
		{"a login by mobile number and password", nil, post(validatePath, "mobileNumber", a.Mobile, "password", a.Password), 200, "login", "ok", own, "password", newSID},
		{"a login by user id and password", nil, post(validatePath, "userid", a.UserID, "password", a.Password), 200, "login", "ok", own, "password", newSID},
		{"a login by userId and MPIN", nil, post(validatePath, "userId", a.UserID, "mpin", a.MPIN), 200, "login", "ok", own, "mpin", newSID},
		{"a login by PAN and MPIN", nil, post(validatePath, "pan", a.PAN, "mpin", a.MPIN), 200, "login", "ok", own, "mpin", newSID},
		{"a login by TOTP", func() { totp = srv.TOTP(t) }, byTOTP(a.UCC), 200, "login", "ok", own, "totp", newSID},
		{"a TOTP code used again", nil, byTOTP(a.UCC), 401, "login", "TOTP code used before", own, "totp", noSID},
		{"a wrong TOTP code", func() { totp = wrong(srv.TOTP(t)) }, byTOTP(a.UCC), 401, "login", "refused", own, "totp", noSID},
		{"a TOTP code with another account's UCC", func() { totp = srv.TOTP(t) }, byTOTP("TEST000001"), 401, "login", "refused", own, "totp", noSID},
		{"a wrong password", nil, post(validatePath, "mobileNumber", a.Mobile, "password", "wrong-password"), 401, "login", "refused", own, "password", noSID},
		{"a wrong MPIN", nil, post(validatePath, "pan", a.PAN, "mpin", never), 401, "login", "refused", own, "mpin", noSID},
		{"an unknown user id", nil, post(validatePath, "userid", "nobody", "password", a.Password), 401, "login", "refused", nobody, "password", noSID},
		{"an unknown mobile number", nil, post(validatePath, "mobileNumber", "+919812345678", "mpin", a.MPIN), 401, "login", "refused", nobody, "mpin", noSID},
		{"an unknown PAN", nil, post(validatePath, "pan", "ZZZZZ9999Z", "password", a.Password), 401, "login", "refused", nobody, "password", noSID},
		{"an unknown account by TOTP", nil, post(totpPath, "mobileNumber", "+919812345678", "ucc", "NOBODY", "totp", "123456"), 401, "login", "refused", nobody, "totp", noSID},
		{"a factor that the account has not", func() { statement(t, dir, `UPDATE accounts SET mpin_hash = '' WHERE ucc = 'TEST000001'`) },
			post(validatePath, "userid", "testuser000001", "mpin", a.MPIN), 401, "login", "refused", "TEST000001", "mpin", noSID},
		{"a locked account's right password", func() {
			for range 10 {
				post(validatePath, "userid", "testuser000002", "password", "wrong-password")()
			}
		}, post(validatePath, "userid", "testuser000002", "password", a.Password), 401, "login", "locked", "TEST000002", "password", noSID},
		{"a disabled account's right password", func() { statement(t, dir, `UPDATE accounts SET disabled = true WHERE ucc = 'TEST000003'`) },
			post(validatePath, "userid", "testuser000003", "password", a.Password), 401, "login", "disabled", "TEST000003", "password", noSID},
		{"a hash that cannot be read", func() { statement(t, dir, `UPDATE accounts SET password_hash = 'nonsense' WHERE ucc = 'TEST000004'`) },
			post(validatePath, "userid", "testuser000004", "password", a.Password), 500, "login", "not judged", "TEST000004", "password", noSID},
		{"a view session that cannot be stored", func() { mend = breaks(t, dir, "INSERT ON sessions", "") },
			post(validatePath, "userid", a.UserID, "password", a.Password), 503, "login", "not stored", own, "password", noSID},
		{"a login that is no login", func() { mend() }, post(validatePath, "userid", a.UserID), 400, none, "", "", "", ""},
		{"a login without access token", nil, func() reply {
			return caller{srv, ""}.post(t, validatePath, object("userid", a.UserID, "password", a.Password), id...)
		}, 401, none, "", "", "", ""},
		{"a login past the consumer's rate", nil, func() (r reply) {
			slow := consumerOf(t, srv, "slow")
			for x.next(t, 1); r.status != 429; { // what came before that is looked at elsewhere
				if r.status != 0 {
					x.next(t, 1)
				}
				r = slow.post(t, validatePath, object("userid", "nobody", "password", a.Password), id...)
			}
			return r
		}, 429, none, "", "", "", ""},

		// One-time codes.
		{"a code", logIn, func() reply { return c.askOTP(t, view, id...) }, 201, "otp", "ok", own, "otp", viewSID},
		{"a code asked for again at once", nil, func() reply { return c.askOTP(t, view, view.pairs(id...)...) }, 429, "otp", "asked again too soon", own, "otp", viewSID},
		{"a fourth code of a login", func() {
			for range 2 {
				srv.Advance(30 * time.Second)
				c.askOTP(t, view).want(t, 201)
			}
			srv.Advance(30 * time.Second)
		}, func() reply { return c.askOTP(t, view, view.pairs(id...)...) }, 429, "otp", "too many codes for this login", own, "otp", viewSID},
		{"too many codes an hour", func() {
			asUser(5)()
			for sends := range 1000 {
				o := login.NewOTP{SID: view.SID, Sends: sends, Now: time.Now(), Expires: time.Now(), PerHour: 2000}
				if _, err := store.SetOTP(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			asUser(5)()
		}, func() reply { return c.askOTP(t, view, id...) }, 429, "otp", "too many codes this hour", "TEST000005", "otp", viewSID},
		{"a code for nobody", nil, post(otpPath, "userId", "3b0bd1b4-7a3f-4b5a-9a0e-0d3a41d7b2a1"), 201, "otp", "no open login", nobody, "otp", noSID},
		{"a code that cannot be delivered", func() {
			asUser(6)()
			statement(t, dir, `DELETE FROM accounts WHERE ucc = 'TEST000006'`)
		}, func() reply { return c.askOTP(t, view, id...) }, 500, "otp", "not delivered", "TEST000006", "otp", viewSID},

		// The second factor.
		{"a code for an account that is gone", nil, second("otp", &never), 401, "second factor", "no such account", "", "otp", viewSID},
		{"a wrong code", withCode, func() reply { w := wrong(code); return second("otp", &w)() }, 401, "second factor", "wrong code", own, "otp", viewSID},
		{"another account's identifier", nil, second("mpin", &code, "mobileNumber", "+919900000001"), 401, "second factor", "another account's identifier", own, "otp", viewSID},
		{"an OMS that is down", func() { srv.BreakOMS() }, second("otp", &code), 502, "second factor", "OMS down", own, "otp", viewSID},
		{"the right code", func() { srv.MendOMS() }, second("otp", &code), 200, "second factor", "ok", own, "otp", viewSID},
		{"the same request again", nil, second("otp", &code), 200, "second factor", "repeated", own, "otp", viewSID},
		{"the same view token with another code", nil, second("otp", &never), 401, "second factor", "no such view session", own, "otp", viewSID},
		{"an OTP where an MPIN was", withCode, second("mpin", &code), 200, "second factor", "ok", own, "otp", viewSID},
		{"an MPIN where an OTP was", logIn, second("otp", &a.MPIN), 200, "second factor", "ok", own, "mpin", viewSID},
		{"an MPIN at the address for it", logIn, byMPIN(a.MPIN), 200, "second factor", "ok", own, "mpin", viewSID},
		{"a wrong MPIN there", logIn, byMPIN(never), 401, "second factor", "wrong code", own, "mpin", viewSID},
		{"the first factor again", func() { view = post(validatePath, "userid", a.UserID, "mpin", a.MPIN)().session(t) }, second("otp", &a.MPIN),
			401, "second factor", "wrong code", own, "otp", viewSID},
		{"a code after its tries", func() {
			for range 2 {
				second("otp", &never)().want(t, 401)
			}
		}, second("otp", &a.MPIN), 401, "second factor", "tries used up", own, "otp", viewSID},
		{"a forged view token", func() { logIn(); view.Token = forged(view.Token) }, second("otp", &a.MPIN), 401, "second factor", "token refused", nobody, "otp", viewSID},
		{"no token at all", func() { view.Token = "nonsense" }, byMPIN(a.MPIN), 401, "second factor", "token refused", nobody, "mpin", viewSID},
		{"the trade token", func() { view = c.trade(t) }, second("otp", &a.MPIN), 401, "second factor", "token refused", nobody, "otp", viewSID},
		{"a token for a sid", func() { logIn(); view.SID = view.Token }, second("otp", &a.MPIN), 401, "second factor", "no such view session", own, "otp", noSID},
		{"another login's sid", func() { logIn(); other := c.login(t); view.SID = other.SID }, second("otp", &a.MPIN), 401, "second factor", "no such view session", own, "otp", viewSID},
		{"no token", func() { logIn(); view.Token = "" }, second("otp", &a.MPIN), 401, none, "", "", "", ""},
		{"a code that is no code", logIn, second("otp", new(string)), 400, none, "", "", "", ""},
		{"another code while one is being judged", hanging, second("otp", &never), 429, "second factor", "another code is being judged", own, "otp", viewSID},
		{"the one that was being judged", nil, func() reply { srv.MendOMS(); return <-answer }, 200, "second factor", "ok", own, "otp", viewSID},
		{"a session that is ended while the OMS thinks", func() {
			hanging()
			if err := store.Revoke(t.Context(), ids[own], "", login.Event{Action: "sessions revoked"}); err != nil {
				t.Error(err)
			}
			x.next(t, 1)
		}, func() reply { srv.MendOMS(); return <-answer }, 401, "second factor", "ended meanwhile", own, "otp", viewSID},
		{"an OMS that does not answer", hanging, func() reply { return <-answer }, 504, "second factor", "OMS timeout", own, "otp", viewSID},
		{"a trade session that cannot be stored", func() { srv.MendOMS(); logIn(); mend = breaks(t, dir, "UPDATE ON sessions", "NEW.kind = 'trade'") },
			second("otp", &a.MPIN), 503, "second factor", "not stored", own, "otp", viewSID},
		{"an MPIN's hash that cannot be read", func() {
			mend()
			asUser(7)()
			statement(t, dir, `UPDATE accounts SET mpin_hash = 'nonsense' WHERE ucc = 'TEST000007'`)
		}, byMPIN(a.MPIN), 500, "second factor", "not judged", "TEST000007", "mpin", viewSID},
		{"a disabled account's right MPIN", func() { asUser(8)(); statement(t, dir, `UPDATE accounts SET disabled = true WHERE ucc = 'TEST000008'`) },
			byMPIN(a.MPIN), 401, "second factor", "wrong code", "TEST000008", "mpin", viewSID},
		{"a locked second factor", func() {
			for range 4 {
				asUser(9)()
				for range 3 {
					byMPIN(never)()
				}
			}
		}, byMPIN(a.MPIN), 429, "second factor", "locked", "TEST000009", "mpin", viewSID},
		{"a login by a consumer that was removed and added again", func() {
			gone := consumerOf(t, srv, "gone")
			view = gone.login(t)
			if err := admin.RemoveConsumer(t.Context(), "gone"); err != nil {
				t.Fatal(err)
			}
			soon(t, 401, func() reply { return gone.askOTP(t, view) })
			if _, _, err := admin.AddConsumer(t.Context(), "gone", "", "sandbox-secret", 0); err != nil {
				t.Fatal(err)
			}
		}, func() reply {
			return caller{srv, "gone"}.post(t, mpinPath, object("mpin", a.MPIN), view.pairs(id...)...)
		}, 401, "second factor", "no such view session", own, "mpin", viewSID},

		// Access tokens.
		{"an access token", nil, token(srv.ConsumerKey, srv.ConsumerSecret), 200, "access token", "ok", nobody, "", noSID},
		{"an access token in a form", nil, func() reply {
			return caller{srv, ""}.post(t, tokenPath, "grant_type=client_credentials&client_id=sandbox-consumer&client_secret=sandbox-secret",
				append(id, "Content-Type", "application/x-www-form-urlencoded")...)
		}, 200, "access token", "ok", nobody, "", noSID},
		{"a wrong consumer secret", nil, token(srv.ConsumerKey, "another secret"), 401, "access token", "refused", nobody, "", noSID},
		{"an unknown consumer", nil, token("nobody", srv.ConsumerSecret), 401, "access token", "refused", nobody, "", noSID},
		{"no consumer", nil, token(srv.ConsumerKey, srv.ConsumerSecret, "Authorization", ""), 401, none, "", "", "", ""},
		{"an unknown grant", nil, post(tokenPath, "grant_type", "implicit"), 400, none, "", "", "", ""},

		// Logout.
		{"a logout", inAndOut, logout, 200, "logout", "ok", own, "", outSID},
		{"another logout", nil, logout, 401, "logout", "no such session", nobody, "", outSID},
		{"a logout with a forged token", func() { inAndOut(); trade.Token = forged(trade.Token) }, logout, 401, "logout", "token refused", nobody, "", outSID},
		{"a logout with a view token", func() { trade = c.login(t) }, logout, 401, "logout", "token refused", nobody, "", outSID},
		{"a logout by another consumer", inAndOut, func() reply { return algo.post(t, logoutPath, "", trade.pairs(id...)...) }, 401, "logout", "token refused", nobody, "", outSID},
		{"a token for a sid", func() { trade.SID = trade.Token }, logout, 401, "logout", "no such session", nobody, "", noSID},
		{"a logout without session", func() { trade = held{} }, logout, 401, none, "", "", "", ""},

		// What is no authentication.
		{"a trade call", inAndOut, func() reply { return c.send(t, "GET", tradePath, "", trade.pairs(id...)...) }, 200, none, "", "", "", ""},
		{"a trade call with a forged token", func() { trade.Token = forged(trade.Token) }, func() reply { return c.send(t, "GET", tradePath, "", trade.pairs(id...)...) }, 401, none, "", "", "", ""},
		{"the inbox", twice(func() reply { withCode(); return reply{} }), func() reply { return c.send(t, "GET", "/sandbox/otp/TESTYA24", "", id...) }, 200, none, "", "", "", ""},
		{"an unknown path", nil, post("/nowhere"), 404, none, "", "", "", ""},

		// Last, because it moves the clock.
		{"a view token that has expired", func() { logIn(); srv.Advance(25 * time.Hour); c = consumer(t, srv) }, second("otp", &a.MPIN), 401, "second factor", "token refused", nobody, "otp", viewSID},
		{"a trade token that has expired", func() { inAndOut(); srv.Advance(2 * time.Hour); c = consumer(t, srv) }, logout, 401, "logout", "no such session", nobody, "", outSID},
	} {
		ok := t.Run(k.name, func(t *testing.T) {
			if k.prepare != nil {
				k.prepare()
				x.next(t, 0)
			}
			before := time.Now().Add(-time.Second)
			k.do().want(t, k.status)
			if k.action == none {
				if got := x.next(t, 0); len(got) > 0 {
					t.Errorf("%+v", got)
				}
				return
			}
			got := x.next(t, 1)
			if len(got) != 1 {
				t.Fatalf("%d events: %+v", len(got), got)
			}
			e := got[0]
			if at := e.Time; at.Before(before) || at.After(time.Now().Add(30*time.Hour)) || at.Location() != time.UTC {
				t.Errorf("time %s", at)
			}
			want := login.Event{
				Action: k.action, Outcome: k.outcome, Account: ids[k.account], UCC: k.account, Factor: k.factor,
				Consumer: c.ConsumerKey, Address: "127.0.0.1", RequestID: "the-request",
			}
			switch k.sid {
			case newSID:
				if want.SID = e.SID; e.SID == "" {
					t.Error("no sid")
				}
			case viewSID:
				want.SID = view.SID
			case outSID:
				want.SID = trade.SID
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
				t.Errorf("-want +event:\n%s", diff)
			}
		})
		if !ok {
			return // what follows builds on it
		}
	}
}

func TestAnAddressThatMustWaitLeavesAnEventForEachLogin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithAccounts(1), neoapitest.WithAddressRate(2)))
	x := &trail{store: openStore(t, dir)}
	x.next(t, 1)
	login := func(user, password string) reply {
		return c.post(t, validatePath, object("userid", user, "password", password))
	}
	login("nobody", "wrong-password").refused(t, 401, "10020")
	login("testuser000001", "wrong-password").refused(t, 401, "10020")
	login(c.Account.UserID, c.Account.Password).refused(t, 429, "900807")
	late := login("nobody", "wrong-password")
	late.refused(t, 429, "900807")
	c.Advance(late.retryAfter(t))
	login(c.Account.UserID, c.Account.Password).session(t)
	var got []string
	for _, e := range x.next(t, 5) {
		got = append(got, e.Outcome+" "+e.UCC+" "+e.Address)
	}
	const waits = "too many wrong ones from this address  127.0.0.1"
	want := []string{"refused  127.0.0.1", "refused TEST000001 127.0.0.1", waits, waits, "ok TESTYA24 127.0.0.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOverloadLeavesNoEvent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log lines
	t.Run("storm", func(t *testing.T) {
		c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithLog(slog.NewJSONHandler(&log, nil))))
		x := &trail{store: openStore(t, dir)}
		x.next(t, 1)
		statuses := make(chan int)
		const storm = 300
		for range storm {
			go func() {
				statuses <- c.post(t, validatePath, object("userid", "nobody", "password", "wrong-password")).status
			}()
		}
		n := map[int]int{}
		for range storm {
			n[<-statuses]++
		}
		if n[401] == 0 || n[503] == 0 || n[401]+n[503] != storm {
			t.Errorf("statuses %v: no storm that the service could not take", n)
		}
		// A login whose time ran out between its turn and its count is none that was judged.
		got := outcomes(x.next(t, n[401]), "login")
		delete(got, "not judged")
		if got["refused"] != n[401] || len(got) != 1 {
			t.Errorf("%d logins were judged, events: %v", n[401], got)
		}
	})
	sameEvents(t, openStore(t, dir), log.audited(t))
}

func TestOfManyRequestsForACodeEachLeavesAnEvent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	x := &trail{store: openStore(t, dir)}
	view := c.login(t)
	x.next(t, 1)
	const many = 30
	statuses := make(chan int)
	writersWait(t, dir, func() { // so that all of them find the login without a code
		for range many {
			go func() { statuses <- c.askOTP(t, view, view.pairs()...).status }()
		}
	})
	n := map[int]int{}
	for range many {
		n[<-statuses]++
	}
	got := outcomes(x.next(t, many), "otp")
	if n[201] != 1 || n[429] != many-1 || got["ok"] != 1 || got["asked again too soon"] != many-1 || len(got) != 2 {
		t.Errorf("statuses %v, events %v", n, got)
	}
}

func TestAServiceWithoutCourierLeavesAnEventForEachCodeAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithoutSandbox(), neoapitest.WithData(dir))
	m, data := admin(t, dir)
	if _, _, err := m.AddConsumer(t.Context(), srv.ConsumerKey, "", "sandbox-secret", 0); err != nil {
		t.Fatal(err)
	}
	c := consumer(t, srv)
	x := &trail{store: data.Store}
	x.next(t, 1)
	c.post(t, otpPath, object("userId", "3b0bd1b4-7a3f-4b5a-9a0e-0d3a41d7b2a1")).refused(t, 500, "10522")
	if got := outcomes(x.next(t, 1), "otp"); got["no courier"] != 1 || len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// Without couriers, too, the event says whose login it is.
func TestOTPEvent_withoutCourierNamesTheLogin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithoutSandbox(), neoapitest.WithData(dir))
	m, data := admin(t, dir)
	if _, _, err := m.AddConsumer(t.Context(), srv.ConsumerKey, "", "sandbox-secret", 0); err != nil {
		t.Fatal(err)
	}
	a, err := m.AddAccount(t.Context(), operator.NewAccount{UCC: "AB1234", UserID: "asha", Mobile: "9876543210", Password: "a good long password"})
	if err != nil {
		t.Fatal(err)
	}
	c := consumer(t, srv)
	view := c.post(t, validatePath, object("mobileNumber", "9876543210", "password", "a good long password")).session(t)
	x := &trail{store: data.Store}
	x.next(t, 2)
	c.askOTP(t, view).refused(t, 500, "10522")
	c.askOTP(t, view, view.pairs()...).refused(t, 500, "10522")
	for _, e := range x.next(t, 2) {
		if e.Action == "otp" && (e.Outcome != "no courier" || e.UCC != "AB1234" || e.Account != a.ID || e.SID == "") {
			t.Errorf("the event is %+v", e)
		}
	}
}

// A client that ends its side of the connection at once still reads the answer:
// its tries must not go unrecorded.
func TestAClientThatHasLeftLeavesItsEventAllTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	c := consumer(t, srv)
	x := &trail{store: openStore(t, dir)}
	view := c.login(t)
	head := func(path, who, body string, pairs ...string) string {
		text := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, who, len(body))
		for i := 0; i < len(pairs); i += 2 {
			text += pairs[i] + ": " + pairs[i+1] + "\r\n"
		}
		return text + "\r\n" + body
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(srv.ConsumerKey+":a wrong secret"))
	for name, request := range map[string]string{
		"access token":  head(tokenPath, basic, `{"grant_type":"client_credentials"}`),
		"second factor": head(validatePath, c.who, object("otp", "123456"), "Sid", view.SID, "Auth", forged(view.Token)),
	} {
		t.Run(name, func(t *testing.T) {
			srv.Advance(time.Second) // the service has to read the consumer again
			x.next(t, 0)
			answers := make(chan []reply, 1)
			writersWait(t, dir, func() { go func() { answers <- raw(t, srv, request, true) }() })
			for _, r := range <-answers {
				r.want(t, 401)
			}
			if got := outcomes(x.next(t, 1), name); got["refused"]+got["token refused"] != 1 || len(got) != 1 {
				t.Errorf("events: %v", got)
			}
		})
	}
	t.Run("login", func(t *testing.T) {
		account, err := x.store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			x.next(t, 0)
			conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, head(validatePath, c.who, object("userid", srv.Account.UserID, "password", "wrong-password"))); err != nil {
				t.Fatal(err)
			}
			for open := false; !open; { // until the try is being judged
				state, err := x.store.State(t.Context(), account.ID)
				if err != nil {
					t.Fatal(err)
				}
				open = len(state.Failures[login.Password].Open) > 0 || len(events(t, x.store, x.last)) > 0
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if got := outcomes(x.next(t, 1), "login"); got["refused"] != 1 || len(got) != 1 {
				t.Fatalf("events: %v", got)
			}
		}
	})
}

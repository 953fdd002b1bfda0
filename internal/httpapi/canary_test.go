package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/canary"
	"neoapi/internal/operator"
	"neoapi/neoapitest"
)

// The secrets of the account and the consumer that the flows are about. There is
// nothing like them elsewhere.
const (
	canaryPassword = `Kestrel "ä" +/=&%\<> 9f31`
	canaryMPIN     = "918273"
	canaryPAN      = "ZQXJK4817V"
	canarySeed     = "KRUGKIDROVUWG2ZAMJZG653OEBTG66BA"
	canarySecret   = "consumer.Goshawk_secret-77aa~!"
)

// A tripping log panics once when it is told of an event: a fault in the middle of
// a request.
type tripping struct {
	slog.Handler
	armed *atomic.Bool
}

func (h tripping) Handle(ctx context.Context, r slog.Record) error {
	asked := false // what is tidied up after an answer has other outcomes
	r.Attrs(func(a slog.Attr) bool {
		asked = asked || a.Key == "outcome" && (a.Value.String() == "ok" || a.Value.String() == "refused")
		return true
	})
	if r.Message == "audit" && asked && h.armed.CompareAndSwap(true, false) {
		panic("the log is gone")
	}
	return h.Handler.Handle(ctx, r)
}

func TestSecrets_areWrittenNowhere(t *testing.T) { // security.md L1
	t.Parallel()
	// How long a request took, and when it was, could look like a code by chance.
	options := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "took" || a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) },
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var log lines
			var secrets canary.Flock
			var others []byte
			stored := func() {
				t.Helper()
				for _, what := range inStore(t, dir, &secrets) {
					t.Error(what)
				}
			}
			t.Run("flows", func(t *testing.T) { // the log is whole when the service has stopped
				trip := tripping{handler(&log), &atomic.Bool{}}
				srv := neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithLog(trip), neoapitest.WithOMSTimeout(50*time.Millisecond))
				key, secret, account := srv.ConsumerKey, srv.ConsumerSecret, srv.Account
				wholeFlows(t, dir, srv, &secrets, trip.armed)
				stored() // with the write-ahead log as it is
				srv.ConsumerKey, srv.ConsumerSecret, srv.Account = key, secret, account
				others = unrelated(t, srv)
			})
			stored()
			text := log.text.Bytes()
			for _, must := range []string{"login-1", "session_2fa-1", "cause", "panic: the log is gone", "not stored", "audit event not stored"} {
				if !strings.Contains(string(text), must) {
					t.Fatalf("the log does not tell of %q: is it the right one?\n%s", must, text)
				}
			}
			for where, text := range map[string][]byte{"the log": text, "somebody else's answers": others} {
				for _, what := range secrets.InDump(text) { // the log has stacks in it
					t.Errorf("%s: %s", where, what)
				}
			}

			// What is there would have been found.
			for what, text := range secrets.Planted(text[:4096]) {
				if !strings.Contains(strings.Join(secrets.In(text), "\n"), what) {
					t.Errorf("planted in the log, and not found: %s", what)
				}
			}
			statement(t, dir, `UPDATE events SET outcome = '`+canaryMPIN+`' WHERE seq = 3`)
			if found := inStore(t, dir, &secrets); len(found) == 0 {
				t.Error("planted in the store, and not found")
			}
			if found, err := secrets.InFiles(dir); err != nil || !strings.Contains(strings.Join(found, "\n"), "master key") {
				t.Errorf("the master key's file: found %q, %v", found, err)
			}
		})
	}
}

// inStore searches all that a service has stored, but for the file of the master
// key.
func inStore(t *testing.T, dir string, secrets *canary.Flock) []string {
	t.Helper()
	address := place(t, dir).Database
	if address == "" {
		found, err := secrets.InFiles(dir, "master.key")
		if err != nil {
			t.Error(err)
		}
		return found
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var found []string
	for _, table := range []string{"accounts", "account_states", "allowances", "consumers", "events", "sessions", "settled", "signing_keys"} {
		rows, _ := conn.Query(t.Context(), `SELECT x::text FROM `+table+` x`)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range secrets.In([]byte(strings.Join(all, "\n"))) {
			found = append(found, table+": "+what)
		}
	}
	return found
}

// wholeFlows does all that a client does, right and wrong, with faults of the
// service and with secrets where they do not belong. It adds every secret that
// travelled to the flock.
func wholeFlows(t *testing.T, dir string, srv *neoapitest.Server, secrets *canary.Flock, panics *atomic.Bool) {
	m, _ := admin(t, dir)
	if _, _, err := m.AddConsumer(t.Context(), "canary-algo", "", canarySecret, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddAccount(t.Context(), operator.NewAccount{
		UCC: "CANARY1", UserID: "canary", Mobile: "+919812345678", GreetingName: "Bird", PAN: canaryPAN,
		Password: canaryPassword, MPIN: canaryMPIN, TOTPSeed: canarySeed,
	}); err != nil {
		t.Fatal(err)
	}
	srv.ConsumerKey, srv.ConsumerSecret = "canary-algo", secrets.Add("consumer secret", canarySecret)
	srv.Account = neoapitest.Account{
		UCC: "CANARY1", UserID: "canary", Mobile: "+919812345678", PAN: secrets.Add("PAN", canaryPAN),
		Password: secrets.Add("password", canaryPassword), MPIN: secrets.Add("MPIN", canaryMPIN), TOTPSeed: secrets.Add("TOTP seed", canarySeed),
	}
	a := srv.Account
	key, err := os.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets.Add("master key", strings.TrimSpace(string(key)))
	secrets.Add("consumer key and secret", srv.ConsumerKey+":"+srv.ConsumerSecret)
	opened := func(name string, r reply) held {
		h := r.session(t)
		secrets.AddToken(name+" token", h.Token)
		return h
	}
	wrongOne := func(code string) string { return secrets.Add("wrong code", wrong(code)) }

	c := consumer(t, srv)
	access := secrets.Add("access token", strings.TrimPrefix(c.who, "Bearer "))
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	c.post(t, tokenPath, "grant_type=client_credentials&client_id=canary-algo&client_secret="+secrets.Add("wrong secret", "a_wrong_Goshawk"), form...)
	c.post(t, tokenPath, "grant_type=client_credentials&client_id=nobody&client_secret=a_wrong_Goshawk", append(form, "Authorization", "")...)
	c.post(t, tokenPath, "grant_type=password&client_secret="+srv.ConsumerSecret, form...)
	secretOf(srv, srv.ConsumerSecret, srv.ConsumerKey).post(t, tokenPath, grantBody)

	// A login with everything that can go wrong.
	view := opened("view", c.post(t, validatePath, object("pan", strings.ToLower(a.PAN), "password", a.Password), "X-Request-ID", "login-1"))
	code := secrets.Add("OTP", c.otp(t, view))
	c.second(t, view, wrongOne(code)).refused(t, 401, "10020")
	srv.BreakOMS()
	c.second(t, view, code).refused(t, 502, "502")
	srv.HangOMS()
	c.second(t, view, code).refused(t, 504, "504")
	srv.MendOMS()
	trade := opened("trade", c.second(t, view, code, "X-Request-ID", "session_2fa-1"))
	opened("trade", c.second(t, view, code, "X-Request-ID", "session_2fa-1"))
	c.send(t, "GET", tradePath+"?sId="+trade.HSServerID, "", trade.pairs()...).want(t, 200)
	totp := secrets.Add("TOTP code", srv.TOTP(t))
	byTOTP := object("mobileNumber", a.Mobile, "ucc", a.UCC, "totp", totp)
	opened("view", c.post(t, totpPath, byTOTP))
	c.post(t, totpPath, byTOTP).refused(t, 401, "10020")
	later := opened("view", c.post(t, validatePath, object("userid", a.UserID, "password", a.Password)))
	c.post(t, mpinPath, object("mpin", wrongOne(a.MPIN)), later.pairs()...).refused(t, 401, "10020")
	later = opened("trade", c.second(t, later, a.MPIN))
	c.post(t, logoutPath, "", "sid", later.SID, "Auth", secrets.Add("forged token", forged(later.Token))).want(t, 401)
	c.post(t, logoutPath, "", later.pairs()...).want(t, 200)
	c.post(t, logoutPath, "", later.pairs()...).want(t, 401)
	c.post(t, validatePath, object("userid", a.UserID, "mpin", wrongOne(a.MPIN))).refused(t, 401, "10020")

	// Faults of the service.
	waiting := c.post(t, validatePath, object("userid", a.UserID, "password", a.Password))
	next := opened("view", waiting)
	mend := breaks(t, dir, "INSERT ON sessions", "")
	c.post(t, validatePath, object("userid", a.UserID, "password", a.Password)).refused(t, 503, "503")
	mend()
	mend = breaks(t, dir, "UPDATE ON sessions", "NEW.kind = 'trade'")
	c.second(t, next, a.MPIN).refused(t, 503, "503")
	mend()
	mend = breaks(t, dir, "INSERT ON events", "")
	for _, body := range []string{
		object("userid", a.UserID, "password", a.Password), object("userid", a.UserID, "password", secrets.Add("wrong password", "another Kestrel 4c7")),
	} {
		c.post(t, validatePath, body).refused(t, 503, "503")
	}
	c.second(t, next, wrong(a.MPIN))
	c.askOTP(t, next)
	c.post(t, tokenPath, object("grant_type", "client_credentials", "client_id", srv.ConsumerKey, "client_secret", srv.ConsumerSecret)).want(t, 503)
	c.post(t, validatePath, object("otp", a.MPIN), "sid", next.Token, "Auth", forged(next.Token)).want(t, 503)
	mend()
	for _, body := range []string{object("userid", a.UserID, "password", a.Password), object("userid", a.UserID, "password", "another Kestrel 4c7")} {
		panics.Store(true)
		c.post(t, validatePath, body).refused(t, 500, "500")
	}
	last := opened("view", c.post(t, validatePath, object("userid", a.UserID, "password", a.Password)))
	panics.Store(true)
	c.second(t, last, a.MPIN).refused(t, 500, "500")

	// Secrets where they do not belong.
	headers := []string{"Sid", "Auth", "Content-Type", "User-Agent", "X-Forwarded-For", "Forwarded", "Cookie", "neo-fin-key", "Accept", "Referer", "Origin"}
	for _, secret := range []string{a.Password, a.MPIN, a.PAN, canarySecret, code, trade.Token, access} {
		for _, body := range []string{
			object("userid", secret, "password", a.Password), object("userid", a.UserID, "password", a.Password, secret, secret),
			object("mobileNumber", secret, "password", a.Password), object("pan", secret, "mpin", a.MPIN), object("ucc", secret, "mobileNumber", secret, "totp", totp),
			object("password", secret), object(secret, secret), object("userid", a.UserID, "otp", secret), `{"password":"` + secret, secret,
			`{"` + secret + `":1,"` + secret + `":2}`, `{"otp":` + secret + `}`, object("userId", secret), object("grant_type", secret),
			object("grant_type", "client_credentials", "client_id", secret, "client_secret", secret),
		} {
			for _, path := range []string{validatePath, otpPath, totpPath, mpinPath, tokenPath, logoutPath} {
				c.post(t, path, body)
			}
			c.post(t, validatePath, body, trade.pairs()...)
			c.post(t, mpinPath, body, view.pairs()...)
		}
		for _, name := range headers {
			value := url.QueryEscape(secret)
			for _, path := range []string{validatePath, logoutPath, tokenPath} {
				c.post(t, path, object("otp", a.MPIN), append(next.pairs(), name, value)...)
			}
			c.send(t, "GET", tradePath, "", append(trade.pairs(), name, value)...)
		}
		for _, path := range []string{"/" + url.PathEscape(secret), "/sandbox/otp/" + url.PathEscape(secret), tradePath + "?token=" + url.QueryEscape(secret), barePath + ";" + url.PathEscape(secret)} {
			c.send(t, "GET", path, "", trade.pairs()...)
		}
		for _, who := range []string{secret, "Bearer " + secret, "Basic " + secret, secret + " " + secret} {
			who = strings.ToValidUTF8(strings.Map(func(r rune) rune {
				if r > '~' {
					return -1
				}
				return r
			}, who), "")
			for _, path := range []string{validatePath, "/login/1.0/tradeApiLogin", logoutPath, tokenPath} {
				caller{srv, who}.post(t, path, "{}")
			}
		}
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\nAuth " + secret + "\r\n\r\n",
			"GET /" + secret + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"GET / HTTP/" + secret + "\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nExpect: " + secret + "\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + secret + "\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: " + secret + "\r\nConnection: close\r\n\r\n",
			secret + " / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			secret + "\r\n\r\n",
		} {
			raw(t, srv, request, true)
		}
	}
	c.send(t, trade.SID, validatePath, "")
}

// unrelated does what another consumer and another account do, and returns every
// answer, headers included.
func unrelated(t *testing.T, srv *neoapitest.Server) (answers []byte) {
	t.Helper()
	c := consumer(t, srv)
	hear := func(r reply) reply {
		answers = fmt.Appendf(answers, "%d %v %s\n", r.status, r.header, r.body)
		return r
	}
	a := srv.Account
	view := hear(c.post(t, validatePath, object("userid", a.UserID, "password", a.Password))).session(t)
	hear(c.askOTP(t, view))
	hear(c.second(t, view, wrong(a.MPIN)))
	trade := hear(c.second(t, view, c.OTPOf(t, view.UCC))).session(t)
	hear(c.call(t, trade)).want(t, 200)
	hear(c.send(t, "GET", "/login/1.0/get-client-ip", "", trade.pairs()...)).want(t, 200)
	for _, path := range []string{"/5config/config", "/algo-user/v5/get-base-url?id=CANARY1", "/sandbox/otp/" + a.UCC, "/nowhere", "/"} {
		hear(c.send(t, "GET", path, ""))
	}
	hear(c.post(t, validatePath, object("userid", "canary", "password", a.Password))).refused(t, 401, "10020")
	hear(c.post(t, validatePath, "{"))
	hear(c.post(t, otpPath, object("userId", "canary")))
	hear(c.totp(t)).want(t, 200)
	hear(c.post(t, logoutPath, "", trade.pairs()...)).want(t, 200)
	return answers
}

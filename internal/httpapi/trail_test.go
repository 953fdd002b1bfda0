package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neoapi/internal/login"
	"neoapi/neoapitest"
)

func TestEachOutcomeLeavesExactlyOneAuditEvent(t *testing.T) { // bar L2
	t.Parallel()
	dir := t.TempDir()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithOMSTimeout(50*time.Millisecond)))
	store := openStore(t, dir)
	a := c.Account
	view := c.login(t)
	sub := view.claims(t)["sub"].(string)
	code := c.otp(t, view)
	mpinFirst := c.post(t, validatePath, object("userid", a.UserID, "mpin", a.MPIN)).session(t)
	spent := c.login(t)
	for range 3 {
		c.second(t, spent, wrong(a.MPIN)).refused(t, 401, "10020")
	}
	totp := c.TOTP(t)
	byTOTP := object("mobileNumber", a.Mobile, "ucc", a.UCC, "totp", totp)
	all := events(t, store, 0)
	last := all[len(all)-1].Seq

	id := []string{"X-Request-ID", "the-request"}
	first := func(body string) func() reply { return func() reply { return c.post(t, validatePath, body, id...) } }
	second := func(v held, code string) func() reply { return func() reply { return c.second(t, v, code, id...) } }
	for _, x := range []struct {
		name    string
		do      func() reply
		status  int
		action  string
		outcome string // "ok", or "" for any other
		account string
		factor  login.Factor
		sid     string
	}{
		{"a login", first(object("mobileNumber", a.Mobile, "password", a.Password)), 200, "login", "ok", sub, login.Password, "new"},
		{"a login by MPIN", first(object("pan", a.PAN, "mpin", a.MPIN)), 200, "login", "ok", sub, login.MPIN, "new"},
		{"a login by TOTP", func() reply { return c.post(t, totpPath, byTOTP, id...) }, 200, "login", "ok", sub, login.TOTP, "new"},
		{"a TOTP code used again", func() reply { return c.post(t, totpPath, byTOTP, id...) }, 401, "login", "", sub, login.TOTP, ""},
		{"a wrong password", first(object("mobileNumber", a.Mobile, "password", "wrong-password")), 401, "login", "", sub, login.Password, ""},
		{"a wrong MPIN", first(object("mobileNumber", a.Mobile, "mpin", wrong(a.MPIN))), 401, "login", "", sub, login.MPIN, ""},
		{"an unknown account", first(object("userid", "nobody", "password", a.Password)), 401, "login", "", "", login.Password, ""},

		{"a wrong code", second(view, wrong(code)), 401, "second factor", "", sub, login.OTP, view.SID},
		{"the first factor again", second(mpinFirst, a.MPIN), 401, "second factor", "", sub, login.OTP, mpinFirst.SID},
		{"a code after its tries", second(spent, a.MPIN), 401, "second factor", "", sub, login.OTP, spent.SID},
		{"another account's identifier", func() reply {
			return c.post(t, validatePath, object("mobileNumber", "+919800000001", "mpin", code), view.pairs(id...)...)
		}, 401, "second factor", "", sub, login.OTP, view.SID},
		{"an OMS that is down", func() reply { c.BreakOMS(); return c.second(t, view, code, id...) }, 502, "second factor", "", sub, login.OTP, view.SID},
		{"an OMS that hangs", func() reply { c.HangOMS(); return c.second(t, view, code, id...) }, 504, "second factor", "", sub, login.OTP, view.SID},
		{"the right code", func() reply { c.MendOMS(); return c.second(t, view, code, id...) }, 200, "second factor", "ok", sub, login.OTP, view.SID},
		{"a used view token", func() reply { return c.second(t, view, code) }, 401, "second factor", "", sub, login.OTP, view.SID},
		{"a second factor by MPIN", func() reply {
			return c.post(t, mpinPath, object("mpin", a.MPIN), c.login(t).pairs(id...)...)
		}, 200, "second factor", "ok", sub, login.MPIN, "new"},
	} {
		t.Run(x.name, func(t *testing.T) {
			before := time.Now().Add(-time.Second)
			x.do().want(t, x.status)
			var got []login.Event
			for _, e := range events(t, store, last) {
				if last = e.Seq; e.Action == x.action {
					got = append(got, e)
				}
			}
			if len(got) != 1 {
				t.Fatalf("%d events %q: %+v", len(got), x.action, got)
			}
			e := got[0]
			if e.Outcome == "" || (e.Outcome == "ok") != (x.outcome == "ok") {
				t.Errorf("outcome %q", e.Outcome)
			}
			if at := e.Time; at.Before(before) || at.After(time.Now().Add(time.Hour)) || at.Location() != time.UTC {
				t.Errorf("time %s", at)
			}
			if x.sid == "new" && e.SID != "" {
				x.sid = e.SID
			}
			want := login.Event{
				Action: x.action, Account: x.account, Factor: x.factor, SID: x.sid,
				Consumer: c.ConsumerKey, Address: "127.0.0.1", RequestID: "the-request",
			}
			if x.account != "" {
				want.UCC = a.UCC
			}
			if x.name == "a used view token" { // sent without the id, so that it is no repeat
				want.RequestID = ""
			}
			if diff := cmp.Diff(want, e, cmpopts.IgnoreFields(login.Event{}, "Seq", "Time", "Outcome")); diff != "" {
				t.Errorf("-want +event:\n%s", diff)
			}
		})
	}
}

// spellings are the forms in which a secret could stand in a log.
func spellings(secret string) []string {
	b := []byte(secret)
	quoted := strings.NewReplacer(`"`, `\"`).Replace(secret)
	return []string{
		secret, quoted, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), base64.StdEncoding.EncodeToString(b),
	}
}

// stands tells whether text holds a secret by itself: six digits within a longer
// number are no code.
func stands(text, secret string) bool {
	alone := func(i int) bool { return i < 0 || i >= len(text) || text[i] < '0' || text[i] > '9' }
	for from := 0; ; {
		i := strings.Index(text[from:], secret)
		if i < 0 {
			return false
		}
		if i += from; alone(i-1) && alone(i+len(secret)) {
			return true
		}
		from = i + 1
	}
}

func TestNoSecretStandsInTheLog(t *testing.T) { // bar L1
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
			var log bytes.Buffer
			var secrets []string
			t.Run("whole flows", func(t *testing.T) { // the log is whole when the service has stopped
				secrets = wholeFlows(t, neoapitest.NewServer(t, neoapitest.WithLog(handler(&log)), neoapitest.WithOMSTimeout(50*time.Millisecond)))
			})
			text := log.String()
			for _, must := range []string{"login-1", "session_2fa-1", "cause"} {
				if !strings.Contains(text, must) {
					t.Fatalf("the log does not tell of %q: is it the right one?\n%s", must, text)
				}
			}
			for _, secret := range secrets {
				for _, spelled := range spellings(secret) {
					if stands(text, spelled) {
						t.Errorf("the log holds the secret %q as %q", secret, spelled)
					}
				}
			}
		})
	}
}

// wholeFlows does all that a client does, right and wrong, and with secrets
// where they do not belong. It returns every secret that travelled.
func wholeFlows(t *testing.T, srv *neoapitest.Server) (secrets []string) {
	a := srv.Account
	secret := func(s string) string {
		secrets = append(secrets, s)
		return s
	}
	for _, s := range []string{a.Password, a.MPIN, a.TOTPSeed, a.PAN, srv.ConsumerSecret, srv.ConsumerKey + ":" + srv.ConsumerSecret} {
		secret(s)
	}
	tokens := func(h held) held {
		for s := range strings.SplitSeq(h.Token, ".") {
			secret(s)
		}
		return h
	}
	c := consumer(t, srv)
	access := secret(strings.TrimPrefix(c.who, "Bearer "))
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	c.post(t, tokenPath, "grant_type=client_credentials&client_id=sandbox-consumer&client_secret="+secret("a wrong+secret"), form...)
	c.post(t, tokenPath, "grant_type=password&client_secret="+srv.ConsumerSecret, form...)

	view := tokens(c.post(t, validatePath, object("pan", strings.ToLower(a.PAN), "password", a.Password), "X-Request-ID", "login-1").session(t))
	secret(strings.ToLower(a.PAN))
	code := secret(c.otp(t, view))
	c.second(t, view, secret(wrong(code))).refused(t, 401, "10020")
	srv.BreakOMS()
	c.second(t, view, code).refused(t, 502, "502")
	srv.HangOMS()
	c.second(t, view, code).refused(t, 504, "504")
	srv.MendOMS()
	trade := tokens(c.second(t, view, code, "X-Request-ID", "session_2fa-1").session(t))
	c.second(t, view, code, "X-Request-ID", "session_2fa-1").session(t)
	c.send(t, "GET", tradePath+"?sId="+trade.HSServerID, "", trade.pairs()...).want(t, 200)
	totp := secret(srv.TOTP(t))
	later := tokens(c.post(t, totpPath, object("mobileNumber", a.Mobile, "ucc", a.UCC, "totp", totp)).session(t))
	c.post(t, totpPath, object("mobileNumber", a.Mobile, "ucc", a.UCC, "totp", totp)).refused(t, 401, "10020")
	later = tokens(c.post(t, mpinPath, object("mpin", a.MPIN), later.pairs()...).session(t))
	c.post(t, logoutPath, "", later.pairs()...).want(t, 200)

	// Secrets where they do not belong.
	for _, body := range []string{
		object("userid", a.Password, "password", a.Password), object("userid", a.PAN, "password", secret("another-password")),
		object("mobileNumber", a.MPIN, "password", a.Password), object("pan", a.Password, "mpin", a.MPIN),
		object("password", a.Password), object(a.Password, a.Password), `{"password":"` + a.Password, a.Password,
		`{"` + a.Password + `":1,"` + a.Password + `":2}`,
	} {
		c.post(t, validatePath, body)
		c.post(t, validatePath, body, trade.pairs()...)
		c.post(t, otpPath, body)
		c.post(t, totpPath, body)
		c.post(t, tokenPath, body)
	}
	c.post(t, otpPath, object("userId", a.PAN))
	c.send(t, "GET", "/sandbox/otp/"+a.PAN, "")
	c.send(t, "GET", "/sandbox/otp/"+access, "")
	c.send(t, "GET", "/"+trade.Token+"?password="+url.QueryEscape(a.Password), "")
	c.send(t, "GET", tradePath+"?token="+trade.Token, "", "Sid", trade.Token, "Auth", trade.SID)
	c.send(t, "GET", tradePath, "", "Authorization", "Basic "+access, "Sid", access, "Auth", access)
	caller{srv, access}.post(t, "/login/1.0/tradeApiLogin", "{}")
	caller{srv, "Bearer " + trade.Token}.post(t, validatePath, "{}")
	c.send(t, trade.SID, validatePath, "")
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\nAuth " + trade.Token + "\r\n\r\n",
		"GET /" + trade.Token + " HTTP/" + access + "\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nExpect: " + trade.Token + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + a.Password + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + a.Password + " " + a.PAN + "\r\n\r\n",
		a.Password + "\r\n\r\n",
	} {
		raw(t, srv, request, false)
	}
	return secrets
}

package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"neoapi/neoapitest"
)

// At the shell a person has no authenticator: the sandbox shows the code that its account's
// shows, until it has been used.
func TestAuthenticator_isTheSandboxs(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithTime(time.Date(2026, 11, 30, 4, 0, 1, 0, time.UTC))))
	shown := caller{c.Server, ""}
	const path = "/sandbox/totp/TESTYA24"
	byTOTP := func(code string) reply {
		return c.post(t, totpPath, object("mobileNumber", c.Account.Mobile, "ucc", c.Account.UCC, "totp", code))
	}
	if unknown := shown.send(t, "GET", "/sandbox/totp/NOBODY?wait=20s", "").refused(t, 404, "10300"); !strings.HasPrefix(unknown, "no account has this UCC") {
		t.Error(unknown)
	}
	for _, wait := range []string{"soon", "-1s", "61s", "5"} {
		if message := shown.send(t, "GET", path+"?wait="+wait, "").refused(t, 400, "10300"); !strings.HasPrefix(message, "wait:") {
			t.Errorf("wait=%s: %s", wait, message)
		}
	}
	r := shown.send(t, "GET", path, "").want(t, 200)
	first := string(r.body)
	if len(first) != 6 || r.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q as %s", first, r.header.Get("Content-Type"))
	}
	if again := string(shown.send(t, "GET", "/sandbox/totp/testya24?wait=20s", "").want(t, 200).body); again != first {
		t.Errorf("reading a code changes it: %s, then %s", first, again)
	}
	view := byTOTP(first).session(t)
	c.post(t, mpinPath, object("mpin", c.Account.MPIN), view.pairs()...).session(t)
	if used := shown.send(t, "GET", path, "").refused(t, 404, "10300"); !strings.Contains(used, "?wait=31s") {
		t.Error(used)
	}
	waiting := make(chan reply, 1)
	go func() { waiting <- shown.send(t, "GET", path+"?wait=60s", "") }() // whichever comes first, the question or the next step
	c.Advance(30 * time.Second)
	next := string((<-waiting).want(t, 200).body)
	if next == first {
		t.Errorf("%s was used", next)
	}
	byTOTP(next).session(t)
}

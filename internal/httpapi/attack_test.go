package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// admin opens a running server's data directory beside it, as neo account does.
func admin(t *testing.T, dir string) (*operator.Admin, *serve.Data) {
	t.Helper()
	data, err := serve.Open(t.Context(), place(t, dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = data.Close() })
	return data.Admin(), data
}

// soon waits until try answers with a status, for as long as security.md S4 allows and
// the machine's noise needs.
func soon(t *testing.T, status int, try func() reply) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r := try()
		if r.status == status {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d, want %d: %s", r.status, status, r.body)
		}
	}
}

func TestAConsumerThatIsAddedAgainBringsNoOldSessionBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	m, _ := admin(t, dir)
	add := func() {
		if _, _, err := m.AddConsumer(t.Context(), "algo", "", "sandbox-secret", 0); err != nil {
			t.Fatal(err)
		}
	}
	add()
	c := consumerOf(t, srv, "algo")
	waiting := c.login(t)
	code := c.otp(t, waiting)
	view := c.login(t)
	session := c.second(t, view, c.otp(t, view)).session(t)
	c.send(t, "GET", tradePath, "", session.pairs()...).want(t, 200)

	if err := m.RemoveConsumer(t.Context(), "algo"); err != nil {
		t.Fatal(err)
	}
	bare := caller{srv, ""}
	soon(t, 403, func() reply { return bare.send(t, "GET", barePath, "", session.pairs()...) })
	add()
	soon(t, 200, func() reply {
		return caller{srv, "algo"}.post(t, "/login/1.0/tradeApiLogin", object("mobileNumber", srv.Account.Mobile, "ucc", srv.Account.UCC, "totp", srv.TOTP(t)))
	})
	c = consumerOf(t, srv, "algo")
	bare.send(t, "GET", barePath, "", session.pairs()...).want(t, 403)
	c.send(t, "GET", tradePath, "", session.pairs()...).want(t, 403)
	c.second(t, waiting, code).refused(t, 401, "100022")
}

func TestAnAccountsSessionsEndWithItAndItsRemovalCanBeRepeated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	m, data := admin(t, dir)
	c := consumer(t, srv)
	waiting := c.login(t)
	view := c.login(t)
	session := c.second(t, view, srv.Account.MPIN).session(t)
	account, err := data.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"})
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.RemoveAccount(cancelled, account); !errors.Is(err, context.Canceled) {
		t.Fatalf("a removal that is broken off: %v", err)
	}
	if err := m.RemoveAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	c.send(t, "GET", tradePath, "", session.pairs()...).want(t, 403)
	c.second(t, waiting, srv.Account.MPIN).refused(t, 401, "100022")
	c.post(t, validatePath, object("userid", srv.Account.UserID, "password", srv.Account.Password)).refused(t, 401, "10020")
}

func TestACodeThatIsAskedForAgainGoesToTheNewestLogin(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	c.login(t) // given up
	c.Advance(time.Minute)
	view := c.login(t)
	first := c.otp(t, view)
	c.Advance(30 * time.Second)
	again := c.otp(t, view)
	if again == first {
		t.Fatal("the second code is the first one")
	}
	c.second(t, view, again).session(t)
}

func TestEmptySidAndAuthAreNoLogin(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	body := object("mobileNumber", c.Account.Mobile, "mpin", c.Account.MPIN)
	with := func(extra string) reply {
		return raw(t, c.Server, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s",
			validatePath, c.who, len(body), extra, body), false)[0]
	}
	with("sid:\r\nAuth:\r\n").refused(t, 401, "10512")
	with("sid:\r\n").refused(t, 401, "10512")
	with("Authorization: Bearer other\r\n").refused(t, 400, "10300")
	with("").want(t, 200)
}

func TestARepeatUnderAnotherNameIsNoRepeat(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithAccounts(1)))
	view := c.login(t)
	id := append(view.pairs(), "X-Request-Id", "the-same")
	c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "mpin", c.Account.MPIN), id...).session(t)
	c.post(t, validatePath, object("mobileNumber", "+919900000001", "mpin", c.Account.MPIN), id...).refused(t, 401, "100022")
	c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "mpin", c.Account.MPIN), id...).session(t)
}

func TestAnyNumberMayStandInAFieldThatNobodyReads(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	c.post(t, validatePath, `{"n":1e999,"userid":"`+c.Account.UserID+`","mpin":"`+c.Account.MPIN+`"}`).want(t, http.StatusOK)
}

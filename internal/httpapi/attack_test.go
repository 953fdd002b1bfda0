package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"neoapi/neoapitest"
)

func TestConsumer_addedAgainBringsNoOldSessionBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.addConsumer(t, "algo")
	old := consumerOf(t, h.Server, "algo")
	waiting := old.login(t)
	code := old.otp(t, waiting)
	session := old.trade(t)
	old.call(t, session).want(t, 200)

	if err := h.admin.RemoveConsumer(t.Context(), "algo"); err != nil {
		t.Fatal(err)
	}
	bare := caller{h.Server, ""}
	soon(t, 403, func() reply { return bare.send(t, "GET", barePath, "", session.pairs()...) })
	soon(t, 401, func() reply { return old.post(t, validatePath, "{}") })
	h.addConsumer(t, "algo")
	soon(t, 200, func() reply { return caller{h.Server, "algo"}.totp(t) })
	old.post(t, validatePath, "{}").refused(t, 401, "900901") // nor an access token
	fresh := consumerOf(t, h.Server, "algo")
	bare.send(t, "GET", barePath, "", session.pairs()...).want(t, 403)
	fresh.call(t, session).want(t, 403)
	fresh.second(t, waiting, code).refused(t, 401, "100022")
}

func TestAccount_removalEndsItsSessionsAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	waiting, session := c.login(t), c.byMPIN(t)
	account := c.demo(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.admin.RemoveAccount(cancelled, account); !errors.Is(err, context.Canceled) {
		t.Fatalf("a removal that is broken off: %v", err)
	}
	if err := c.admin.RemoveAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	c.call(t, session).want(t, 403)
	c.second(t, waiting, c.Account.MPIN).refused(t, 401, "100022")
	c.post(t, validatePath, object("userid", c.Account.UserID, "password", c.Account.Password)).refused(t, 401, "10020")
}

func TestOTP_askedForAgainGoesToTheNewestLogin(t *testing.T) {
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

func TestSession2FA_refusesAnEmptySidAndAuth(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	body := object("mobileNumber", c.Account.Mobile, "mpin", c.Account.MPIN)
	with := func(extra ...string) reply {
		return raw(t, c.Server, written("POST", validatePath, body, append(extra, "Authorization", c.who, "Content-Type", "application/json", "Connection", "close")...), false)[0]
	}
	with("sid", "", "Auth", "").refused(t, 401, "10512")
	with("sid", "").refused(t, 401, "10512")
	with("Authorization", "Bearer other").refused(t, 400, "10300")
	with().want(t, 200)
}

func TestSession2FA_repeatUnderAnotherNameIsRefused(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithAccounts(1)))
	view := c.login(t)
	id := append(view.pairs(), "X-Request-Id", "the-same")
	c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "mpin", c.Account.MPIN), id...).session(t)
	c.post(t, validatePath, object("mobileNumber", "+919900000001", "mpin", c.Account.MPIN), id...).refused(t, 401, "100022")
	c.post(t, validatePath, object("mobileNumber", c.Account.Mobile, "mpin", c.Account.MPIN), id...).session(t)
}

func TestInput_anyNumberMayBeInAFieldThatNobodyReads(t *testing.T) {
	t.Parallel()
	c := consumer(t, neoapitest.NewServer(t))
	c.post(t, validatePath, `{"n":1e999,"userid":"`+c.Account.UserID+`","mpin":"`+c.Account.MPIN+`"}`).want(t, http.StatusOK)
}

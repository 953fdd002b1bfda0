package httpapi_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
)

func TestAccount_sessionsEndWithWhateverAnOperatorChanges(t *testing.T) { // security.md S4
	t.Parallel()
	for name, change := range map[string]func(m *operator.Admin, a login.Account) error{
		"password": func(m *operator.Admin, a login.Account) error {
			return m.SetPassword(t.Context(), a, "another good password")
		},
		"MPIN":    func(m *operator.Admin, a login.Account) error { return m.SetMPIN(t.Context(), a, "864213") },
		"no MPIN": func(m *operator.Admin, a login.Account) error { return m.SetMPIN(t.Context(), a, "") },
		"TOTP":    func(m *operator.Admin, a login.Account) error { _, err := m.EnrolTOTP(t.Context(), a); return err },
		"no TOTP": func(m *operator.Admin, a login.Account) error { return m.RemoveTOTP(t.Context(), a) },
		"lock":    func(m *operator.Admin, a login.Account) error { return m.Lock(t.Context(), a) },
		"revoked": func(m *operator.Admin, a login.Account) error { return m.Revoke(t.Context(), a, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newHouse(t)
			waiting := c.login(t)
			code := c.otp(t, waiting)
			session := c.trade(t)
			before := events(t, c.data.Store, 0)
			if err := change(c.admin, c.demo(t)); err != nil {
				t.Fatal(err)
			}
			c.call(t, session).want(t, 403)
			c.second(t, waiting, code).refused(t, 401, "100022")
			if n := len(events(t, c.data.Store, before[len(before)-1].Seq)); n != 2 { // the change, and the refused second factor
				t.Errorf("%d events", n)
			}
		})
	}
}

// A login whose password was judged before an operator changed it must not leave a
// session that is stored after it.
func TestLogin_overtakenByAChangeOfItsPasswordOpensNothing(t *testing.T) { // security.md S4
	t.Parallel()
	c := newHouse(t)
	a := c.demo(t)
	passwords := []string{c.Account.Password, "another good password"}
	for round := range 12 {
		old, fresh := passwords[round%2], credential.Secret(passwords[(round+1)%2])
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { c.first(t, old) })
		}
		if err := c.admin.SetPassword(t.Context(), a, fresh); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := c.admin.Unlock(t.Context(), a); err != nil && !errors.Is(err, operator.ErrNothing) {
			t.Fatal(err)
		}
		left, err := c.data.Store.SessionsOf(t.Context(), a.ID, time.Now())
		if err != nil || len(left) != 0 {
			t.Fatalf("after round %d %d sessions of the old password are left, %v", round, len(left), err)
		}
	}
}

func TestConsumer_rotatedSecretWorksUntilTheOverlapEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m, srv, old := h.admin, h.Server, h.caller
	secret, until, err := m.RotateConsumer(t.Context(), srv.ConsumerKey, time.Hour/2)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(until); left > time.Hour/2 || left < time.Minute {
		t.Errorf("the old secret ends at %s", until)
	}
	grant := func(secret credential.Secret) reply {
		return secretOf(srv, srv.ConsumerKey, string(secret)).post(t, tokenPath, grantBody)
	}
	first := credential.Secret(srv.ConsumerSecret)
	soon(t, 200, func() reply { return grant(secret) })
	old.login(t)
	grant(first).want(t, 200)
	srv.Advance(time.Hour/2 + time.Second)
	grant(first).want(t, 401)
	old.first(t, srv.Account.Password).refused(t, 401, "900901")
	grant(secret).want(t, 200)

	// Without an overlap the old one ends at once.
	again, _, err := m.RotateConsumer(t.Context(), srv.ConsumerKey, 0)
	if err != nil {
		t.Fatal(err)
	}
	soon(t, 401, func() reply { return grant(secret) })
	grant(again).want(t, 200)
}

func TestConsumer_maySendFromItsNetworksOnly(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	session := c.trade(t)
	allow := func(text string) {
		networks, err := login.ParseNetworks(text)
		if err == nil {
			err = c.admin.SetConsumerNetworks(t.Context(), c.ConsumerKey, networks)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	allow("203.0.113.0/24 2001:db8:5::/48")
	soon(t, 401, func() reply { return c.first(t, c.Account.Password) })
	// The address of this test is not one of them: nothing works, with a session or without.
	c.first(t, c.Account.Password).refused(t, 401, "100008")
	c.call(t, session).want(t, 401)
	caller{c.Server, ""}.send(t, "GET", barePath, "", session.pairs()...).want(t, 401)
	caller{c.Server, c.ConsumerKey}.totp(t).refused(t, 401, "100008")
	bySecret(c.Server).post(t, tokenPath, grantBody).refusedOAuth(t, 401, "invalid_client")
	all := events(t, c.data.Store, 0)
	if e := all[len(all)-1]; e.Action != "access token" || e.Outcome != "address not allowed" || e.Consumer != c.ConsumerKey {
		t.Errorf("the last event is %+v", e)
	}
	allow("203.0.113.0/24 127.0.0.0/8")
	soon(t, 200, func() reply { return c.call(t, session) })
}

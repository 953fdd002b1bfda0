package httpapi_test

import (
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/neoapitest"
)

// demo returns the demo account as the store has it.
func demo(t *testing.T, m *operator.Admin, srv *neoapitest.Server) login.Account {
	t.Helper()
	a, err := m.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: credential.Secret(srv.Account.UCC)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhateverAnOperatorChangesOfAnAccountEndsItsSessions(t *testing.T) { // security.md S4
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
			dir := t.TempDir()
			srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
			c := consumer(t, srv)
			m, data := admin(t, dir)
			waiting := c.login(t)
			code := c.otp(t, waiting)
			view := c.login(t)
			session := c.second(t, view, c.otp(t, view)).session(t)
			before := events(t, data.Store, 0)
			if err := change(m, demo(t, m, srv)); err != nil {
				t.Fatal(err)
			}
			c.send(t, "GET", tradePath, "", session.pairs()...).want(t, 403)
			c.second(t, waiting, code).refused(t, 401, "100022")
			if n := len(events(t, data.Store, before[len(before)-1].Seq)); n != 2 { // the change, and the refused second factor
				t.Errorf("%d events", n)
			}
		})
	}
}

func TestALockedAccountIsRefusedLikeAWrongPasswordUntilItIsUnlocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	c := consumer(t, srv)
	m, _ := admin(t, dir)
	if err := m.Lock(t.Context(), demo(t, m, srv)); err != nil {
		t.Fatal(err)
	}
	body := object("mobileNumber", srv.Account.Mobile, "password", srv.Account.Password)
	c.post(t, validatePath, body).refused(t, 401, "10020")
	if err := m.Unlock(t.Context(), demo(t, m, srv)); err != nil {
		t.Fatal(err)
	}
	c.post(t, validatePath, body).want(t, 200)
}

// A login whose password was judged before an operator changed it must not leave a
// session that is stored after it.
func TestALoginThatAChangeOfItsPasswordOvertakesOpensNothing(t *testing.T) { // security.md S4
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	c := consumer(t, srv)
	m, data := admin(t, dir)
	a := demo(t, m, srv)
	passwords := []credential.Secret{credential.Secret(srv.Account.Password), "another good password"}
	for round := range 12 {
		old, fresh := passwords[round%2], passwords[(round+1)%2]
		var answers []reply
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				r := c.post(t, validatePath, object("mobileNumber", srv.Account.Mobile, "password", string(old)))
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, r)
			})
		}
		if err := m.SetPassword(t.Context(), a, fresh); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := m.Unlock(t.Context(), a); err != nil && !errors.Is(err, operator.ErrNothing) {
			t.Fatal(err)
		}
		left, err := data.Store.SessionsOf(t.Context(), a.ID, time.Now())
		if err != nil || len(left) != 0 {
			t.Fatalf("after round %d %d sessions of the old password are left, %v", round, len(left), err)
		}
	}
}

func TestARotatedSecretWorksBesideTheNewOneUntilTheOverlapEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	m, _ := admin(t, dir)
	old := consumer(t, srv)
	secret, until, err := m.RotateConsumer(t.Context(), srv.ConsumerKey, time.Hour/2)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(until); left > time.Hour/2 || left < time.Minute {
		t.Errorf("the old secret ends at %s", until)
	}
	body := object("mobileNumber", srv.Account.Mobile, "password", srv.Account.Password)
	with := func(secret string) caller {
		return caller{srv, "Basic " + base64.StdEncoding.EncodeToString([]byte(srv.ConsumerKey+":"+secret))}
	}
	grant := `{"grant_type":"client_credentials"}`
	soon(t, 200, func() reply { return with(string(secret)).post(t, tokenPath, grant) })
	old.post(t, validatePath, body).want(t, 200)
	with(srv.ConsumerSecret).post(t, tokenPath, grant).want(t, 200)
	srv.Advance(time.Hour/2 + time.Second)
	with(srv.ConsumerSecret).post(t, tokenPath, grant).want(t, 401)
	old.post(t, validatePath, body).refused(t, 401, "900901")
	with(string(secret)).post(t, tokenPath, grant).want(t, 200)

	// Without an overlap the old one ends at once.
	again, _, err := m.RotateConsumer(t.Context(), srv.ConsumerKey, 0)
	if err != nil {
		t.Fatal(err)
	}
	soon(t, 401, func() reply { return with(string(secret)).post(t, tokenPath, grant) })
	with(string(again)).post(t, tokenPath, grant).want(t, 200)
}

func TestAConsumerThatIsAddedAgainBringsNoOldAccessTokenBack(t *testing.T) {
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
	old := consumerOf(t, srv, "algo")
	body := object("mobileNumber", srv.Account.Mobile, "password", srv.Account.Password)
	old.post(t, validatePath, body).want(t, 200)
	if err := m.RemoveConsumer(t.Context(), "algo"); err != nil {
		t.Fatal(err)
	}
	soon(t, 401, func() reply { return old.post(t, validatePath, body) })
	add()
	soon(t, 200, func() reply { // the new one is known
		return caller{srv, "Basic " + base64.StdEncoding.EncodeToString([]byte("algo:sandbox-secret"))}.post(t, tokenPath, `{"grant_type":"client_credentials"}`)
	})
	old.post(t, validatePath, body).refused(t, 401, "900901")
}

func TestAConsumerMaySendFromItsNetworksOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	m, data := admin(t, dir)
	c := consumer(t, srv)
	view := c.login(t)
	session := c.second(t, view, c.otp(t, view)).session(t)
	body := object("mobileNumber", srv.Account.Mobile, "password", srv.Account.Password)
	allow := func(text string) {
		networks, err := login.ParseNetworks(text)
		if err == nil {
			err = m.SetConsumerNetworks(t.Context(), srv.ConsumerKey, networks)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	allow("203.0.113.0/24 2001:db8:5::/48")
	soon(t, 401, func() reply { return c.post(t, validatePath, body) })
	// The address of this test is not one of them: nothing works, with a session or without.
	c.post(t, validatePath, body).refused(t, 401, "100008")
	c.send(t, "GET", tradePath, "", session.pairs()...).want(t, 401)
	caller{srv, ""}.send(t, "GET", barePath, "", session.pairs()...).want(t, 401)
	caller{srv, srv.ConsumerKey}.post(t, totpPath, object("mobileNumber", srv.Account.Mobile, "ucc", srv.Account.UCC, "totp", srv.TOTP(t))).refused(t, 401, "100008")
	basic := caller{srv, "Basic " + base64.StdEncoding.EncodeToString([]byte(srv.ConsumerKey+":"+srv.ConsumerSecret))}
	basic.post(t, tokenPath, `{"grant_type":"client_credentials"}`).want(t, 401)
	all := events(t, data.Store, 0)
	if e := all[len(all)-1]; e.Action != "access token" || e.Outcome != "address not allowed" || e.Consumer != srv.ConsumerKey {
		t.Errorf("the last event is %+v", e)
	}
	allow("203.0.113.0/24 127.0.0.0/8")
	soon(t, 200, func() reply { return c.send(t, "GET", tradePath, "", session.pairs()...) })
}

package httpapi_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"neoapi/neoapitest"
)

func TestTokens_doNotStandInForOneAnother(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.addConsumer(t, "second-consumer")
	c, srv, stranger := h.caller, h.Server, consumerOf(t, h.Server, "second-consumer")
	view, trade, other := c.login(t), c.trade(t), c.trade(t)
	code := c.otp(t, view)
	get := func(c caller, path, sid, auth string) reply {
		return c.send(t, "GET", path, "", "Sid", sid, "Auth", auth)
	}
	bare := caller{srv, ""}
	parts := strings.Split(trade.Token, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	for _, path := range []string{tradePath, barePath} {
		for name, x := range map[string]struct {
			c         caller
			sid, auth string
			status    int
			code      string
		}{
			"a view token":                                    {c, view.SID, view.Token, 401, "100021"},
			"a view token with the trade's sid":               {c, trade.SID, view.Token, 401, "100021"},
			"the sid alone":                                   {c, trade.SID, "", 401, "10512"},
			"the token alone":                                 {c, "", trade.Token, 401, "10512"},
			"another consumer's access token":                 {stranger, trade.SID, trade.Token, 401, "100022"},
			"another session's sid":                           {c, other.SID, trade.Token, 403, "100022"},
			"an sid that nobody has":                          {c, "b3ebb6af-7205-43e9-8513-189472393cab", trade.Token, 403, "100022"},
			"a token that is altered":                         {c, trade.SID, parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), 401, "100022"},
			"a token without a signature":                     {c, trade.SID, unsigned, 401, "100022"},
			"a token that is none":                            {c, trade.SID, "x", 401, "100022"},
			"the original document's token, of a foreign key": {c, trade.SID, seedToken(t), 401, "100022"},
		} {
			t.Run(path+" with "+name, func(t *testing.T) {
				get(x.c, path, x.sid, x.auth).refusedTrade(t, x.status, x.code)
			})
		}
	}
	for name, x := range map[string]struct {
		c         caller
		sid, auth string
		code      string
	}{
		"a trade token":                                   {c, trade.SID, trade.Token, "100021"},
		"a trade token with the view's sid":               {c, view.SID, trade.Token, "100021"},
		"the sid alone":                                   {c, view.SID, "", "10512"},
		"the view token alone":                            {c, "", view.Token, "10512"},
		"another consumer's access token":                 {stranger, view.SID, view.Token, "100022"},
		"the original document's token, of a foreign key": {c, view.SID, seedToken(t), "100022"},
		"an sid that nobody has":                          {c, "b3ebb6af-7205-43e9-8513-189472393cab", view.Token, "100022"},
		"an sid of 10,000 letters":                        {c, strings.Repeat("a", 10_000), view.Token, "100022"},
		"an sid that tries to be SQL":                     {c, "' OR '1'='1", view.Token, "100022"},
		"an sid of one letter more":                       {c, view.SID + "x", view.Token, "100022"},
	} {
		t.Run("session_2fa with "+name, func(t *testing.T) {
			x.c.post(t, validatePath, object("otp", code), "Sid", x.sid, "Auth", x.auth).refused(t, 401, x.code)
		})
		t.Run("MPIN validate with "+name, func(t *testing.T) {
			x.c.post(t, mpinPath, object("mpin", c.Account.MPIN), "Sid", x.sid, "Auth", x.auth).refused(t, 401, x.code)
		})
	}
	t.Run("MPIN validate without any session", func(t *testing.T) {
		c.post(t, mpinPath, object("mpin", c.Account.MPIN)).refused(t, 401, "10512")
	})
	t.Run("logout with a view token", func(t *testing.T) {
		c.post(t, logoutPath, "", view.pairs()...).refused(t, 401, "100021")
	})
	t.Run("logout by another consumer", func(t *testing.T) {
		stranger.post(t, logoutPath, "", trade.pairs()...).refused(t, 401, "100022")
	})
	t.Run("an OTP asked for by another consumer", func(t *testing.T) {
		c.Advance(time.Minute) // not too soon for the login's own consumer
		stranger.askOTP(t, view).want(t, 201)
		if now := srv.OTP(t); now != code {
			t.Error("another consumer replaced the code")
		}
	})
	// None of all this took anything from those whom the tokens belong to.
	get(bare, barePath, trade.SID, trade.Token).want(t, 200)
	c.second(t, view, code).session(t)
}

func seedToken(t *testing.T) string {
	_, seed := seedSession(t)
	return seed.Token
}

// endsAt proves that a trade session is good until a second before its token's
// exp and not at it, and returns that time.
func endsAt(t *testing.T, options ...neoapitest.Option) time.Time {
	t.Helper()
	for range 5 {
		c := consumer(t, neoapitest.NewServer(t, options...))
		trade := c.trade(t)
		exp := time.Unix(int64(trade.claims(t)["exp"].(float64)), 0)
		bare := caller{c.Server, ""} // the access token ends before the session does
		ahead := time.Until(exp) - time.Second
		c.Advance(ahead)
		r := bare.send(t, "GET", barePath, "", trade.pairs()...)
		if time.Until(exp) <= ahead {
			continue // this machine needed a second for one request: that proves nothing
		}
		r.want(t, 200)
		c.Advance(time.Second)
		bare.send(t, "GET", barePath, "", trade.pairs()...).refusedTrade(t, 403, "100022")
		return exp
	}
	t.Fatal("no request was answered within a second")
	return time.Time{}
}

func TestSession_endsToTheSecond(t *testing.T) {
	t.Parallel()
	before := time.Now().Truncate(time.Second)
	if exp := endsAt(t); exp.Before(before.Add(time.Hour)) || exp.After(time.Now().Add(time.Hour)) {
		t.Errorf("the session ends at %s, want an hour from now", exp)
	}
}

func TestSession_withDayEndEndsAtMidnightIST(t *testing.T) {
	t.Parallel()
	exp := endsAt(t, neoapitest.WithDayEnd())
	if at := exp.UTC().Format("15:04:05"); at != "18:30:00" || time.Until(exp) > 24*time.Hour {
		t.Errorf("the session ends at %s", exp.UTC())
	}
}

func TestServers_onOneDataDirectoryAreOneService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var view, trade, open held
	var who, code string
	t.Run("login at one, second factor at the other", func(t *testing.T) {
		a := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
		b := caller{neoapitest.NewServer(t, neoapitest.WithData(dir)), a.who}
		who = a.who
		view = a.login(t)
		first := a.otp(t, view)
		b.second(t, view, wrong(first)).refused(t, 401, "10020")
		a.second(t, view, wrong(first)).refused(t, 401, "10020")
		trade = b.second(t, view, first).session(t)
		for _, at := range []caller{a, b} {
			at.second(t, view, first).refused(t, 401, "100022")
			at.call(t, trade).want(t, 200)
		}
		ended := b.trade(t) // one account has many sessions at once, and each ends alone
		a.post(t, logoutPath, "", ended.pairs()...).want(t, 200)
		b.call(t, ended).refusedTrade(t, 403, "100022")

		totp := b.TOTP(t) // b's clock may be a step ahead: within what a clock may drift
		body := object("mobileNumber", a.Account.Mobile, "ucc", a.Account.UCC, "totp", totp)
		b.post(t, totpPath, body).session(t)
		a.post(t, totpPath, body).refused(t, 401, "10020")

		open = a.login(t)
		code = a.otp(t, open)
		b.second(t, open, wrong(code)).refused(t, 401, "10020")
		a.second(t, open, wrong(code)).refused(t, 401, "10020")
	})
	t.Run("after a restart", func(t *testing.T) {
		c := caller{neoapitest.NewServer(t, neoapitest.WithData(dir)), who}
		c.call(t, trade).want(t, 200)
		c.second(t, view, code).refused(t, 401, "100022")
		c.askOTP(t, open, "Sid", open.SID).refused(t, 429, "900807") // when the code was sent is known
		c.second(t, open, wrong(code)).refused(t, 401, "10020")      // and so are its tries: this is the third
		c.second(t, open, code).refused(t, 401, "10020")             // so that the right one comes too late
		c.second(t, c.login(t), code).refused(t, 401, "10020")       // for every login
		c.post(t, logoutPath, "", trade.pairs()...).want(t, 200)     // what is ended
		c.call(t, trade).want(t, 403)                                // stays so,
	})
	t.Run("after another restart", func(t *testing.T) {
		c := caller{neoapitest.NewServer(t, neoapitest.WithData(dir)), who}
		c.call(t, trade).refusedTrade(t, 403, "100022")
	})
}

package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/claims"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// about asks about a token, as RFC 7662 and 7009 say, with pairs of further fields.
func (c caller) about(t testing.TB, path, token string, pairs ...string) reply {
	t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return c.post(t, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// introspected returns what a token is worth.
func (c caller) introspected(t testing.TB, token string) (in wire.Introspection) {
	t.Helper()
	c.about(t, wire.PathIntrospection, token).want(t, 200).into(t, &in)
	return in
}

// another adds a consumer.
func (h house) another(t *testing.T) caller {
	t.Helper()
	h.addConsumer(t, "another")
	return secretOf(h.Server, "another", h.ConsumerSecret)
}

// refusedOAuth is refused for what RFC 6749 says the form of.
func (r reply) refusedOAuth(t testing.TB, status int, word string) {
	t.Helper()
	var failed wire.OAuthFailed
	if r.want(t, status).into(t, &failed); failed.Error != word || failed.Description == "" {
		t.Errorf("want %s with a description: %s", word, r.body)
	}
	if challenge := r.header.Get("WWW-Authenticate"); status == 401 && !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("WWW-Authenticate: %q", challenge) // section 5.2
	}
}

func TestIntrospection_tellsWhatATokenIsWorth(t *testing.T) { // security.md I1
	t.Parallel()
	h := newHouse(t)
	srv, own, other := h.Server, bySecret(h.Server), h.another(t)
	c, view, trade := h.caller, h.login(t), h.byMPIN(t)

	claims := trade.claims(t)
	want := wire.Introspection{
		Active: true, Scope: "Trade", ClientID: srv.ConsumerKey, Exp: int64(claims["exp"].(float64)), Iat: int64(claims["iat"].(float64)),
		Sub: srv.Account.UCC, Iss: "login-service", Jti: claims["jti"].(string), SID: trade.SID,
	}
	if diff := cmp.Diff(want, own.introspected(t, trade.Token)); diff != "" {
		t.Errorf("of the trade token (-want +got):\n%s", diff)
	}
	if want.SID = ""; !cmp.Equal(want, other.introspected(t, trade.Token)) {
		t.Errorf("another consumer learns %+v", other.introspected(t, trade.Token))
	}
	if in := own.introspected(t, view.Token); !in.Active || in.Scope != "View" || in.SID != view.SID || in.Sub != view.claims(t)["sub"] {
		t.Errorf("of the view token: %+v", in)
	}
	access := strings.TrimPrefix(c.who, "Bearer ")
	if in := other.introspected(t, access); !in.Active || in.ClientID != srv.ConsumerKey || in.TokenType != "Bearer" || in.Exp-in.Iat != 3600 {
		t.Errorf("of the access token: %+v", in)
	}
	for _, hint := range []string{"access_token", "refresh_token", "nonsense"} {
		var in wire.Introspection
		if own.about(t, wire.PathIntrospection, trade.Token, "token_type_hint", hint).want(t, 200).into(t, &in); !in.Active {
			t.Errorf("not found for the hint %s", hint)
		}
	}

	// Everything else is worth the same: nothing at all.
	c.second(t, view, srv.Account.MPIN).session(t) // ends the view token
	ended := c.byMPIN(t)
	c.post(t, logoutPath, "", ended.pairs()...).want(t, 200)
	inactive := func(what, token string) {
		t.Helper()
		if r := own.about(t, wire.PathIntrospection, token).want(t, 200); string(r.body) != `{"active":false}` {
			t.Errorf("%s: %s", what, r.body)
		}
	}
	inactive("a used view token", view.Token)
	inactive("a token of an ended session", ended.Token)
	inactive("a sid", trade.SID)
	inactive("a forged token", trade.Token[:len(trade.Token)-8]+"AAAAAAAA")
	inactive("a forged access token", access[:len(access)-8]+"AAAAAAAA")
	inactive("anything", "x")
	srv.Advance(time.Hour)
	inactive("an expired trade token", trade.Token)
	inactive("an expired access token", access)
}

func TestIntrospection_tokenDiesWithItsConsumer(t *testing.T) {
	t.Parallel()
	c := newHouse(t)
	other, trade := c.another(t), c.byMPIN(t)
	if err := c.admin.RemoveConsumer(t.Context(), c.ConsumerKey); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{trade.Token, strings.TrimPrefix(c.who, "Bearer ")} {
		eventually(t, "the token is worth nothing", func() bool { return !other.introspected(t, token).Active })
	}
}

func TestRevocation_endsTheSessionAsALogoutDoes(t *testing.T) { // security.md I1 and S4
	t.Parallel()
	c := newHouse(t)
	own, other := bySecret(c.Server), c.another(t)
	view, trade := c.login(t), c.byMPIN(t)
	other.about(t, wire.PathRevocation, trade.Token).refusedOAuth(t, 400, "invalid_grant")
	own.about(t, wire.PathRevocation, strings.TrimPrefix(c.who, "Bearer ")).refusedOAuth(t, 400, "unsupported_token_type")
	c.call(t, trade).want(t, 200)

	for _, token := range []string{trade.Token, view.Token, trade.Token, view.Token, "anything"} { // the second time too
		if r := own.about(t, wire.PathRevocation, token).want(t, 200); string(r.body) != "{}" {
			t.Errorf("%s", r.body)
		}
	}
	c.call(t, trade).refusedTrade(t, 403, "100022")
	c.second(t, view, c.Account.MPIN).refused(t, 401, "100022")
	if diff := cmp.Diff(map[string]int{"ok": 2, "no such session": 3, "another consumer's": 1, "access token": 1},
		c.outcomes(t, "revocation")); diff != "" {
		t.Errorf("the trail (-want +got):\n%s", diff)
	}
}

func TestIntrospection_isForConsumersOnly(t *testing.T) { // security.md I1 and H3
	t.Parallel()
	h := newHouse(t)
	srv, own, form := h.Server, bySecret(h.Server), "application/x-www-form-urlencoded"
	for _, path := range []string{wire.PathIntrospection, wire.PathRevocation} {
		good := caller{srv, ""}.about(t, path, "x", "client_id", srv.ConsumerKey, "client_secret", srv.ConsumerSecret)
		good.want(t, 200)
		for _, c := range []caller{{srv, ""}, consumer(t, srv), {srv, srv.ConsumerKey}, secretOf(srv, "nobody", "x"), secretOf(srv, srv.ConsumerKey, "x")} {
			c.about(t, path, "x").refusedOAuth(t, 401, "invalid_client")
		}
		caller{srv, ""}.about(t, path, "x", "client_id", srv.ConsumerKey).refusedOAuth(t, 401, "invalid_client")
		own.about(t, path, "x", "client_secret", srv.ConsumerSecret).refusedOAuth(t, 400, "invalid_request")
		own.post(t, path, "", "Content-Type", form).refusedOAuth(t, 400, "invalid_request")
		own.post(t, path, "token=", "Content-Type", form).refusedOAuth(t, 400, "invalid_request")
		own.post(t, path, "token=a&token=b", "Content-Type", form).refusedOAuth(t, 400, "invalid_request")
		own.post(t, path, "token=%zz", "Content-Type", form).refusedOAuth(t, 400, "invalid_request")
		own.post(t, path, `{"token":"x"}`).refusedOAuth(t, 415, "invalid_request")
		own.post(t, path, "token=x", "Content-Type", "").refusedOAuth(t, 415, "invalid_request")
		own.post(t, path, "token="+strings.Repeat("x", wire.MaxBody), "Content-Type", form).refusedOAuth(t, 413, "invalid_request")
		r := own.send(t, "GET", path, "")
		r.refusedOAuth(t, 405, "invalid_request")
		if r.header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", r.header.Get("Allow"))
		}
	}
	for _, c := range []caller{{srv, ""}, consumer(t, srv), secretOf(srv, srv.ConsumerKey, "x")} {
		c.send(t, "GET", wire.PathRevocations, "").refusedOAuth(t, 401, "invalid_client")
	}
	for _, after := range []string{"x", "-1", "1.5", "99999999999999999999"} {
		own.send(t, "GET", wire.PathRevocations+"?after="+after, "").refusedOAuth(t, 400, "invalid_request")
	}
	if n := h.outcomes(t, "client")["refused"]; n != 2*2+1 {
		t.Errorf("%d refusals are in the trail", n) // without key and secret nobody was judged
	}
}

func TestMetadata_nameWhatIsServed(t *testing.T) { // RFC 8414
	t.Parallel()
	srv := neoapitest.NewServer(t)
	var meta map[string]any
	r := caller{srv, ""}.send(t, "GET", "/.well-known/oauth-authorization-server", "").want(t, 200)
	r.into(t, &meta)
	if meta["issuer"] != srv.URL {
		t.Errorf("issuer: %v", meta["issuer"])
	}
	for name, value := range meta {
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		path, own := strings.CutPrefix(value.(string), srv.URL)
		if r := (caller{srv, ""}).send(t, "GET", path, ""); !own || r.status == http.StatusNotFound {
			t.Errorf("%s is %v: %d", name, value, r.status)
		}
	}
	bare, _ := serving(t, nil) // which was not told its address
	caller{bare, ""}.send(t, "GET", "/.well-known/oauth-authorization-server", "").refused(t, 503, "503")
}

func TestRevocations_tellWhatEndedBeforeItsTime(t *testing.T) { // security.md S4
	t.Parallel()
	c := newHouse(t)
	own := bySecret(c.Server)
	var told wire.Revocations
	ask := func(after string) (jtis []string) {
		t.Helper()
		told = wire.Revocations{}
		own.send(t, "GET", wire.PathRevocations+"?after="+after, "").want(t, 200).into(t, &told)
		for _, x := range told.Revocations {
			jtis = append(jtis, x.Jti)
		}
		return jtis
	}
	next := func() string { b, _ := json.Marshal(told.Next); return string(bytes.TrimSpace(b)) }
	if jtis := ask(""); len(jtis) > 0 || len(told.Keys) != 1 {
		t.Errorf("at first: %+v", told)
	}
	trade := c.byMPIN(t)
	if claims.TradeID(trade.SID) != trade.claims(t)["jti"] {
		t.Errorf("the jti of %s is %v", trade.SID, trade.claims(t)["jti"])
	}
	c.post(t, logoutPath, "", trade.pairs()...).want(t, 200)
	if diff := cmp.Diff([]string{claims.TradeID(trade.SID)}, ask(next())); diff != "" {
		t.Errorf("after a logout:\n%s", diff)
	}
	if exp := told.Revocations[0].Exp; exp != int64(trade.claims(t)["exp"].(float64)) {
		t.Errorf("exp is %d", exp)
	}
	removed := c.byMPIN(t)
	if err := c.admin.RemoveAccount(t.Context(), c.demo(t)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{claims.TradeID(removed.SID)}, ask(next())); diff != "" {
		t.Errorf("after a removal:\n%s", diff)
	}
	if jtis := ask(next()); len(jtis) > 0 {
		t.Errorf("told again: %v", jtis)
	}
	if jtis := ask("0"); len(jtis) != 2 {
		t.Errorf("all are %v", jtis)
	}
	ask("1000")
	if told.Next >= 1000 {
		t.Errorf("after a number that never was, next is %d", told.Next)
	}
}

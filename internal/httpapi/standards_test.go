package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neoapi/internal/claims"
	"neoapi/internal/login"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// secretOf returns a caller that shows a consumer's key and secret.
func secretOf(srv *neoapitest.Server, key, secret string) caller {
	return caller{srv, "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+secret))}
}

// bySecret is secretOf the demo consumer.
func bySecret(srv *neoapitest.Server) caller {
	return secretOf(srv, srv.ConsumerKey, srv.ConsumerSecret)
}

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

// another adds a consumer to a service whose data are in dir.
func another(t *testing.T, srv *neoapitest.Server, dir string) caller {
	t.Helper()
	operator, _ := admin(t, dir)
	c, secret, err := operator.AddConsumer(t.Context(), "another", "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return secretOf(srv, c.Key, string(secret))
}

func TestIntrospectionTellsWhatATokenIsWorth(t *testing.T) { // security.md I1
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	own, other := bySecret(srv), another(t, srv, dir)
	c := consumer(t, srv)
	view := c.login(t)
	trade := c.second(t, c.login(t), srv.Account.MPIN).session(t)

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
	ended := c.second(t, c.login(t), srv.Account.MPIN).session(t)
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

func TestATokenDiesWithItsConsumerForIntrospectionToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	other := another(t, srv, dir)
	c := consumer(t, srv)
	trade := c.byMPIN(t)
	operator, _ := admin(t, dir)
	if err := operator.RemoveConsumer(t.Context(), srv.ConsumerKey); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{trade.Token, strings.TrimPrefix(c.who, "Bearer ")} {
		eventually(t, "the token is worth nothing", func() bool { return !other.introspected(t, token).Active })
	}
}

func TestRevocationEndsTheSessionAsALogoutDoes(t *testing.T) { // security.md I1 and S4
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	_, data := admin(t, dir)
	own, other := bySecret(srv), another(t, srv, dir)
	c := consumer(t, srv)
	view := c.login(t)
	trade := c.second(t, c.login(t), srv.Account.MPIN).session(t)

	refused := func(r reply, status int, word string) {
		t.Helper()
		var failed wire.OAuthFailed
		if r.want(t, status).into(t, &failed); failed.Error != word {
			t.Errorf("%s", r.body)
		}
	}
	refused(other.about(t, wire.PathRevocation, trade.Token), 400, "invalid_grant")
	refused(own.about(t, wire.PathRevocation, strings.TrimPrefix(c.who, "Bearer ")), 400, "unsupported_token_type")
	c.send(t, "GET", tradePath, "", trade.pairs()...).want(t, 200)

	for _, token := range []string{trade.Token, view.Token, trade.Token, view.Token, "anything"} { // the second time too
		if r := own.about(t, wire.PathRevocation, token).want(t, 200); string(r.body) != "{}" {
			t.Errorf("%s", r.body)
		}
	}
	c.send(t, "GET", tradePath, "", trade.pairs()...).refusedTrade(t, 403, "100022")
	c.second(t, view, srv.Account.MPIN).refused(t, 401, "100022")
	if diff := cmp.Diff(map[string]int{"ok": 2, "no such session": 3, "another consumer's": 1, "access token": 1},
		outcomes(events(t, data.Store, 0), "revocation")); diff != "" {
		t.Errorf("the trail (-want +got):\n%s", diff)
	}
}

func TestOnlyConsumersAskAboutTokens(t *testing.T) { // security.md I1 and H3
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	_, data := admin(t, dir)
	own := bySecret(srv)
	form := "application/x-www-form-urlencoded"
	refused := func(r reply, status int, word string) {
		t.Helper()
		var failed wire.OAuthFailed
		if r.want(t, status).into(t, &failed); failed.Error != word {
			t.Errorf("%s", r.body)
		}
		if status == 401 && !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("WWW-Authenticate: %q", r.header.Get("WWW-Authenticate"))
		}
	}
	for _, path := range []string{wire.PathIntrospection, wire.PathRevocation} {
		good := caller{srv, ""}.about(t, path, "x", "client_id", srv.ConsumerKey, "client_secret", srv.ConsumerSecret)
		good.want(t, 200)
		for _, c := range []caller{{srv, ""}, consumer(t, srv), {srv, srv.ConsumerKey}, secretOf(srv, "nobody", "x"), secretOf(srv, srv.ConsumerKey, "x")} {
			refused(c.about(t, path, "x"), 401, "invalid_client")
		}
		refused(caller{srv, ""}.about(t, path, "x", "client_id", srv.ConsumerKey), 401, "invalid_client")
		refused(own.about(t, path, "x", "client_secret", srv.ConsumerSecret), 400, "invalid_request")
		refused(own.post(t, path, "", "Content-Type", form), 400, "invalid_request")
		refused(own.post(t, path, "token=", "Content-Type", form), 400, "invalid_request")
		refused(own.post(t, path, "token=a&token=b", "Content-Type", form), 400, "invalid_request")
		refused(own.post(t, path, "token=%zz", "Content-Type", form), 400, "invalid_request")
		refused(own.post(t, path, `{"token":"x"}`), 415, "invalid_request")
		refused(own.post(t, path, "token=x", "Content-Type", ""), 415, "invalid_request")
		refused(own.post(t, path, "token="+strings.Repeat("x", wire.MaxBody), "Content-Type", form), 413, "invalid_request")
		r := own.send(t, "GET", path, "")
		refused(r, 405, "invalid_request")
		if r.header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", r.header.Get("Allow"))
		}
	}
	for _, c := range []caller{{srv, ""}, consumer(t, srv), secretOf(srv, srv.ConsumerKey, "x")} {
		refused(c.send(t, "GET", wire.PathRevocations, ""), 401, "invalid_client")
	}
	for _, after := range []string{"x", "-1", "1.5", "99999999999999999999"} {
		refused(own.send(t, "GET", wire.PathRevocations+"?after="+after, ""), 400, "invalid_request")
	}
	if n := outcomes(events(t, data.Store, 0), "client")["refused"]; n != 2*2+1 {
		t.Errorf("%d refusals are in the trail", n) // without key and secret nobody was judged
	}
}

func TestTheMetadataNameWhatIsServed(t *testing.T) { // RFC 8414
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

func TestTheRevocationsTellWhatEndedBeforeItsTime(t *testing.T) { // security.md S4
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	operator, data := admin(t, dir)
	own, c := bySecret(srv), consumer(t, srv)
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
	a, err := data.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"})
	if err != nil {
		t.Fatal(err)
	}
	removed := c.byMPIN(t)
	if err := operator.RemoveAccount(t.Context(), a); err != nil {
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

package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"neoapi/internal/apitest"
	"neoapi/internal/claims"
	"neoapi/internal/httpapi"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
)

// patient is how long a test waits for what comes at once on a quiet machine.
const patient = 30 * time.Second

// tradeAPI is a trade API of the test's own, behind a service.
func tradeAPI(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(apitest.FromTradeAPI, "yes")
		h(w, r)
	}))
	t.Cleanup(upstream.Close)
	return upstream
}

// trading starts a service before a trade API, with a session there.
func trading(t testing.TB, url string, options ...neoapitest.Option) (caller, held) {
	t.Helper()
	c := consumer(t, neoapitest.NewServer(t, append(options, neoapitest.WithTradeAPI(url))...))
	return c, c.trade(t)
}

// through sends a call of a session through the gateway.
func (c caller) through(t testing.TB, method, path string, body io.Reader, pairs ...string) reply {
	t.Helper()
	r := request(t, method, c.URL+path, body, append([]string{"Authorization", c.who}, pairs...)...)
	got := answer(t, r)
	got.described(t, r, "")
	return got
}

// plain is through without a body, which must succeed.
func (c caller) plain(t testing.TB, path string, pairs ...string) {
	t.Helper()
	c.through(t, "GET", path, nil, pairs...).want(t, 200)
}

// published are the service's public keys.
func published(t testing.TB, srv *neoapitest.Server) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	answer(t, request(t, "GET", srv.URL+wire.PathKeySet, nil)).into(t, &set)
	return set
}

// identified verifies a Neo-Identity with another library than the service's.
func identified(t testing.TB, compact string, keys jose.JSONWebKeySet) claims.Identity {
	t.Helper()
	var c claims.Identity
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("%v: %q", err, compact)
	}
	payload, err := signed.Verify(keys)
	if err == nil {
		err = json.Unmarshal(payload, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// legitimate are headers that existing clients send with trade calls, or programs
// around them.
var legitimate = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Type", "Cookie", "If-None-Match", "If-Modified-Since", "Range", "Last-Event-Id",
	"Origin", "Referer", "User-Agent", "Neo-Fin-Key", "X-Client-Id", "X-Request-Id", "X-Correlation-Id", "Idempotency-Key", "Traceparent", "Tracestate", "Baggage",
}

// spoofed are some of the headers whose word servers take for who sends a call, from
// where, by which method, for which host and path. Nobody knows them all.
var spoofed = []string{
	"X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X-Forwarded-Access-Token", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-By", "X-Forwarded",
	"X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "Forwarded-For", "X-Forward-For", "X-Forwared-For", "Via", "From", "Max-Forwards",
	"Remote-User", "X-Remote-User", "X-Remote-Ip", "X-Remote-Addr", "Remote-Addr", "X-Originating-Ip", "X-Original-Forwarded-For", "X-Original-Remote-Addr", "X-Real-Ip",
	"X-Client-Ip", "Client-Ip", "X-Clientip", "X-Host", "X-Http-Host-Override", "X-Cluster-Client-Ip", "X-Proxyuser-Ip", "Wl-Proxy-Client-Ip", "Proxy-Client-Ip",
	"Fastly-Client-Ip", "Fastly-Ssl", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Cf-Ipcountry", "Cf-Visitor", "Cf-Access-Jwt-Assertion", "True-Client-Ip",
	"X-Azure-Clientip", "X-Azure-Socketip", "X-Appengine-User-Ip", "X-Appengine-User-Email", "X-Goog-Authenticated-User-Email", "X-Goog-Iap-Jwt-Assertion",
	"X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Data", "X-Amz-Cf-Id", "X-Envoy-External-Address", "X-Envoy-Original-Path", "X-Envoy-Internal", "X-Akamai-Edgescape", "Akamai-Origin-Hop", "X-Sucuri-Clientip",
	"X-Vercel-Forwarded-For", "Fly-Client-Ip", "Do-Connecting-Ip", "X-Nf-Client-Connection-Ip", "X-Arr-Clientcert", "Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Client-Cert", "X-Client-Dn",
	"X-Authenticated-User", "X-Authenticated-Userid", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-User", "X-Webauth-User", "X-User", "X-User-Id", "X-Userinfo", "X-Consumer-Username",
	"X-Consumer-Custom-Id", "X-Credential-Identifier", "X-Anonymous-Consumer", "X-Ms-Client-Principal", "X-Api-Key", "X-Csrf-Token", "Sm-User", "Oidc-Claim-Sub", "Http-X-Forwarded-For",
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Method", "X-Original-Url", "X-Original-Uri", "X-Original-Host", "X-Rewrite-Url", "X-Script-Name", "Script-Name",
	"X-Sendfile", "X-Accel-Redirect", "Destination", "Proxy", "Front-End-Https", "X-Url-Scheme", "X-Scheme", "Early-Data", "Alt-Used", "Surrogate-Capability", "X-Varnish", "X-Debug", "Neo-Identity-2",
	"X_forwarded_for", "X_http_method_override", "Remote_user", "X_real_ip", "Neo_identity", "Cf_connecting_ip", "X-Forwarded_for", "X_original-Url",
}

// onlyLegitimate checks that all of the legitimate headers of a call have come through,
// and of the others only those that the service writes itself.
func onlyLegitimate(t testing.TB, r *http.Request, own ...string) {
	t.Helper()
	for name, values := range r.Header {
		if !slices.Contains(legitimate, name) && !slices.Contains(own, name) {
			t.Errorf("%s: %s went through: %q", r.URL.Path, name, values)
		}
		if slices.Contains(values, "forged") {
			t.Errorf("%s: %s is what the client wrote", r.URL.Path, name)
		}
	}
	for _, name := range legitimate {
		if r.Header.Get(name) == "" {
			t.Errorf("%s: %s did not go through", r.URL.Path, name)
		}
	}
}

func TestGateway_putsTheIdentityInPlaceOfCredentials(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var sent []byte
	upstream := tradeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		sent, _ = io.ReadAll(r.Body)
	})
	c, session := trading(t, upstream.URL+"/base")
	srv := c.Server
	forged := []string{
		"Neo-Identity", "eyJhbGciOiJub25lIn0.e30.", "neo-identity", "another", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil.example",
		"X-Forwarded-Proto", "https", "Forwarded", "for=1.2.3.4", "Neo_Identity", "x", "X_Forwarded_For", "1.2.3.4", "Connection", "X-Hop", "X-Hop", "1",
		"Connection", "Neo-Identity", "Proxy-Authorization", "Basic x",
	}
	for _, name := range spoofed {
		forged = append(forged, name, "forged")
	}
	for _, name := range legitimate {
		if name != "X-Request-Id" && name != "Idempotency-Key" && name != "Content-Type" && name != "Neo-Fin-Key" && name != "Accept-Encoding" {
			forged = append(forged, name, "the client's")
		}
	}
	kept := []string{"Neo-Fin-Key", wire.FinKey, "X-Request-ID", "order-17", "Idempotency-Key", "key-17", "Content-Type", "application/x-www-form-urlencoded", "Accept-Encoding", "br"}
	const query = "sId=server1&jData=%7B%22a%22:1;2}&b=%zz"
	for _, x := range []struct{ method, path, body string }{
		{"POST", "/Orders/2.0/quick/order/rule/ms/place", "jData=%7B%7D"},
		{"GET", tradePath, ""}, {"GET", barePath, ""}, {"POST", "/quick/user/limits", "x"}, {"DELETE", "/quick/order/7", ""},
		{"PUT", "/a%2Fb/c%20d;e", "y"}, {"OPTIONS", "/quick/user/orders", ""}, {"POST", tradePath, "z"},
	} {
		c.through(t, x.method, x.path+"?"+query, strings.NewReader(x.body), session.pairs(append(forged, kept...)...)...).want(t, 200)
		if got == nil {
			t.Fatalf("%s %s did not arrive", x.method, x.path)
		}
		if got.Method != x.method || got.RequestURI != "/base"+x.path+"?"+query || string(sent) != x.body {
			t.Errorf("%s %s arrived as %s %s with %q", x.method, x.path, got.Method, got.RequestURI, sent)
		}
		onlyLegitimate(t, got, "Neo-Identity", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Content-Length")
		for name, want := range map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": strings.TrimPrefix(srv.URL, "http://"), "X-Forwarded-Proto": "http", "X-Request-Id": "order-17",
			"Idempotency-Key": "key-17", "Neo-Fin-Key": wire.FinKey, "Content-Type": "application/x-www-form-urlencoded", "Accept-Encoding": "br",
		} {
			if values := got.Header.Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("%s: %s is %q, want %q", x.path, name, values, want)
			}
		}
		values := got.Header.Values("Neo-Identity")
		if len(values) != 1 {
			t.Fatalf("%s: %d identities", x.path, len(values))
		}
		says := identified(t, values[0], published(t, srv))
		if says.Sub != session.UCC || says.SID != session.SID || says.Home != session.HSServerID || says.Consumer != srv.ConsumerKey ||
			says.Aud != claims.IdentityAudience || says.Iss != claims.Issuer || says.Exp-says.Iat != 300 {
			t.Errorf("%s: the identity is %+v", x.path, says)
		}
		got = nil
	}
}

func TestIdentity_isSignedAnewInTimeAndEndsWithItsSession(t *testing.T) {
	t.Parallel()
	var identity string
	upstream := tradeAPI(t, func(_ http.ResponseWriter, r *http.Request) { identity = r.Header.Get("Neo-Identity") })
	c, session := trading(t, upstream.URL)
	c.who = "" // generation 3: an access token would end first
	keys := published(t, c.Server)
	issued := int64(session.claims(t)["iat"].(float64))
	ends := int64(session.claims(t)["exp"].(float64))
	signed := map[string]bool{}
	for _, x := range []struct {
		at    time.Duration
		many  int
		until int64
	}{
		{0, 1, 0}, {2 * time.Minute, 1, 0}, {5 * time.Minute, 2, 0}, {57 * time.Minute, 3, ends}, {59 * time.Minute, 3, ends},
		{10 * time.Minute, 4, 0}, // the clock was set back: one of later would last too long
	} {
		c.SetTime(time.Unix(issued, 0).Add(x.at))
		c.plain(t, barePath, session.pairs()...)
		signed[identity] = true
		says := identified(t, identity, keys)
		if len(signed) != x.many || x.until > 0 && says.Exp != x.until || says.Exp <= issued+int64(x.at/time.Second) {
			t.Errorf("after %s there were %d identities, the last is %+v", x.at, len(signed), says)
		}
	}
}

func TestIdentity_isNoTokenAndNoTokenIsAnIdentity(t *testing.T) {
	t.Parallel()
	var identity string
	upstream := tradeAPI(t, func(_ http.ResponseWriter, r *http.Request) { identity = r.Header.Get("Neo-Identity") })
	c, session := trading(t, upstream.URL)
	c.through(t, "GET", tradePath, nil, session.pairs()...)
	if identity == "" {
		t.Fatal("no identity")
	}
	c.send(t, "GET", tradePath, "", "sid", session.SID, "Auth", identity).refusedTrade(t, 401, wire.BadSession.Code)
	c.send(t, "GET", "/auth", "", "sid", session.SID, "Auth", identity).refusedTrade(t, 401, wire.BadSession.Code)
}

func TestGateway_passesOnlyAGoodSession(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	upstream := tradeAPI(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	c, session := trading(t, upstream.URL)
	srv, view := c.Server, c.login(t)
	const path = "/Orders/2.0/quick/order/rule/ms/place"
	c.post(t, path, "x").refusedTrade(t, 401, wire.HeaderMissing.Code)
	c.post(t, path, "x", "sid", session.SID, "Auth", view.Token).refusedTrade(t, 401, wire.WrongToken.Code)
	c.post(t, path, "x", "sid", session.SID, "Auth", session.Token+"x").refusedTrade(t, 401, wire.BadSession.Code)
	caller{srv, "Bearer x"}.post(t, path, "x", session.pairs()...).refusedTrade(t, 401, wire.BadAccess.Code)
	caller{srv, ""}.send(t, "GET", tradePath, "", session.pairs()...).refusedTrade(t, 401, wire.NoAccess.Code)
	c.post(t, "/quick/../admin", "x", session.pairs()...).refusedTrade(t, 400, wire.BadInput.Code)
	for _, path := range []string{"/quick/%2e%2E/admin", "/quick/..;/admin", "/quick/.;a=b/admin", "/..%5cadmin", `/quick%5C..`} {
		c.post(t, path, "x", session.pairs()...).refusedTrade(t, 400, wire.BadInput.Code)
	}
	c.post(t, path, "x", session.pairs("Auth", session.Token, "sid", "another")...).refusedTrade(t, 403, wire.BadSession.Code)
	c.send(t, "TRACE", path, "", session.pairs()...).refusedTrade(t, 405, wire.BadInput.Code)
	for _, own := range []string{"/login/1.0/else", "/api/1.0/login/x", "/oauth2/else", "/.well-known/else", "/sandbox/x", "/metrics"} {
		c.send(t, "GET", own, "", session.pairs()...).refused(t, 404, wire.BadInput.Code)
	}
	srv.EndSession(t, session.SID)
	c.post(t, path, "x", session.pairs()...).refusedTrade(t, 403, wire.BadSession.Code)
	if n := calls.Load(); n > 0 {
		t.Errorf("%d calls reached the trade API", n)
	}
}

func TestGateway_keepsTheServicesOwnAddresses(t *testing.T) {
	for _, r := range allRoutes {
		if own := httpapi.Own(r.Path); own == afterLogin(r.Op) {
			t.Errorf("%s: own is %v", r.Path, own)
		}
	}
}

func TestGateway_holdsCallsToTheConsumersRate(t *testing.T) {
	t.Parallel()
	upstream := tradeAPI(t, func(http.ResponseWriter, *http.Request) {})
	srv := neoapitest.NewServer(t, neoapitest.WithConsumerRate(7), neoapitest.WithTradeAPI(upstream.URL))
	srv.SetTime(time.Now())
	c := consumer(t, srv)
	session := c.trade(t)
	for range 60 {
		if got := c.through(t, "GET", barePath, nil, session.pairs()...); got.status == 429 {
			got.refusedTrade(t, 429, wire.Throttled.Code)
			return
		}
	}
	t.Error("sixty calls at once were within the rate")
}

func TestGateway_passesAnAnswerAsItIs(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	upstream := tradeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/status/%d", &status)
		switch {
		case r.URL.Path == "/big":
			_, _ = w.Write(big)
			return
		case r.URL.Path == "/hints":
			h.Set("Link", "</a>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			h.Set("X-Final", "1")
			status = 200
		}
		h.Set("Neo-Identity", r.Header.Get("Neo-Identity")) // an echo
		h.Set("X-Request-Id", "another")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Content-Type", "text/html")
		h.Set("Cache-Control", "max-age=5")
		w.WriteHeader(status)
		if r.Method != "HEAD" && status != 204 && status != 304 {
			_, _ = io.WriteString(w, "<p>as it is</p>")
		}
	})
	c, session := trading(t, upstream.URL)
	for _, status := range []int{200, 201, 204, 302, 304, 400, 401, 403, 404, 417, 429, 500, 502, 503} {
		got := c.through(t, "GET", fmt.Sprintf("/status/%d", status), nil, session.pairs("X-Request-Id", "mine")...)
		want, kind := "<p>as it is</p>", "text/html"
		switch status {
		case 304:
			kind = "" // net/http leaves it out
			fallthrough
		case 204:
			want = ""
		}
		h := got.header
		if got.status != status || string(got.body) != want || len(h.Values("Set-Cookie")) != 2 || h.Get("Content-Type") != kind || h.Get("Cache-Control") != "max-age=5" ||
			h.Get("X-Request-Id") != "mine" || len(h.Values("Neo-Identity"))+len(h.Values("X-Content-Type-Options")) > 0 {
			t.Errorf("%d came as %d %v %q", status, got.status, h, got.body)
		}
	}
	if got := c.through(t, "HEAD", "/status/200", nil, session.pairs()...); got.status != 200 || len(got.body) > 0 {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
	if got := c.through(t, "GET", "/hints", nil, session.pairs("X-Request-Id", "mine")...); got.status != 200 || len(got.body) == 0 || got.header.Get("X-Final") != "1" || got.header.Get("X-Request-Id") != "mine" {
		t.Errorf("after early hints: %d %v %q", got.status, got.header, got.body)
	}
	if got := c.through(t, "GET", "/big", nil, session.pairs()...); !bytes.Equal(got.body, big) || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a large answer came as %d bytes, %v", len(got.body), got.header)
	}
}

func TestGateway_takesLargerBodiesButNotEndlessOnes(t *testing.T) {
	t.Parallel()
	upstream := tradeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if len(r.Trailer) > 0 {
			t.Errorf("trailers went through: %v", r.Trailer)
		}
		fmt.Fprint(w, n)
	})
	c, session := trading(t, upstream.URL)
	type unknownLength struct{ io.Reader }
	for _, n := range []int{wire.MaxBody + 1, wire.MaxTradeBody} {
		for _, body := range []io.Reader{bytes.NewReader(make([]byte, n)), unknownLength{bytes.NewReader(make([]byte, n))}} {
			if got := c.through(t, "POST", "/quick/x", body, session.pairs()...).want(t, 200); string(got.body) != fmt.Sprint(n) {
				t.Errorf("of %d bytes there arrived %s", n, got.body)
			}
		}
	}
	late := request(t, "POST", c.URL+"/quick/x", unknownLength{strings.NewReader("x")}, session.pairs("Authorization", c.who)...)
	late.Trailer = http.Header{"Neo-Identity": {"forged"}}
	answer(t, late).want(t, 200)
	for _, body := range []io.Reader{bytes.NewReader(make([]byte, wire.MaxTradeBody+1)), unknownLength{bytes.NewReader(make([]byte, wire.MaxTradeBody+1))}} {
		c.through(t, "POST", "/quick/x", body, session.pairs()...).refusedTrade(t, 413, wire.BadInput.Code)
	}
}

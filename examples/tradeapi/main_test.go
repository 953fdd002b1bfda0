package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"neoapi"
	"neoapi/neoapitest"
)

func TestTradeAPI_knowsWhoseCallItGetsAndBelievesNobodyElse(t *testing.T) {
	var gateway verifier
	var came []http.Header
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came = append(came, r.Header.Clone())
		gateway.ServeHTTP(w, r)
	}))
	defer upstream.Close()
	srv := neoapitest.NewServer(t, neoapitest.WithTradeAPI(upstream.URL))
	gateway.keysURL = srv.URL + "/.well-known/jwks.json"

	client, err := neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
		t.Fatal(err)
	}
	session, err := client.Session2FA(t.Context(), srv.OTP(t))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.HTTPClient().Get(srv.URL + "/Orders/2.0/quick/user/orders")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Data []identity }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Data) != 1 {
		t.Fatal(resp.Status, err)
	}
	if id := answer.Data[0]; id.UCC != session.UCC || id.SID != session.SID || id.Consumer != srv.ConsumerKey || id.Home != session.HSServerID {
		t.Errorf("the call is of %+v", id)
	}

	// Quotes may be asked for by a consumer without a session: that names nobody.
	quotes, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/script-details/1.0/quotes/neosymbol/nse_cm|11536", nil)
	if err != nil {
		t.Fatal(err)
	}
	quotes.Header.Set("Authorization", srv.ConsumerKey)
	refused, err := http.DefaultClient.Do(quotes)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Body.Close()
	if refused.StatusCode != http.StatusForbidden || len(came) != 2 || came[1].Get("Neo-Identity") == "" {
		t.Errorf("a consumer alone got %s after %d calls", refused.Status, len(came))
	}

	good := came[0].Get("Neo-Identity")
	parts := strings.Split(good, ".")
	other := strings.Split(session.Token, ".")
	for name, header := range map[string]http.Header{
		"no identity":         {},
		"two":                 {"Neo-Identity": {good, good}},
		"a trade token":       {"Neo-Identity": {session.Token}},
		"unsigned":            {"Neo-Identity": {"eyJhbGciOiJub25lIn0." + parts[1] + "."}},
		"another's signature": {"Neo-Identity": {parts[0] + "." + parts[1] + "." + other[2]}},
		"not a token":         {"Neo-Identity": {"x"}},
	} {
		if id, err := gateway.identity(t.Context(), header); err == nil {
			t.Errorf("%s is taken for %+v", name, id)
		}
	}
	if _, err := gateway.identity(t.Context(), http.Header{"Neo-Identity": {good}}); err != nil {
		t.Error(err)
	}
	if slices.ContainsFunc(came, func(h http.Header) bool {
		return h.Get("Auth") != "" || h.Get("Sid") != "" || h.Get("Authorization") != ""
	}) {
		t.Error("the trade API saw credentials")
	}
}

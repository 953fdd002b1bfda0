package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neoapi"
	"neoapi/internal/claims"
	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/must"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/store"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/token"
	"neoapi/internal/wire"
	"neoapi/neoapitest"
	"neoapi/verify"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests wait more than they compute
		panic(err)
	}
	os.Exit(m.Run())
}

// verifier returns a verifier that asks a service at url.
func verifier(t testing.TB, srv *neoapitest.Server, url string, change func(*verify.Config)) *verify.Verifier {
	t.Helper()
	cfg := verify.Config{Service: url, ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret}
	if change != nil {
		change(&cfg)
	}
	v := must.Get(verify.New(cfg))(t)
	t.Cleanup(v.Close)
	return v
}

// client returns a client of a service.
func client(t testing.TB, srv *neoapitest.Server) *neoapi.Client {
	t.Helper()
	return must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret,
	}))(t)
}

// session logs in.
func session(t testing.TB, srv *neoapitest.Server) neoapi.Session {
	t.Helper()
	c := client(t, srv)
	for {
		err := c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password})
		var s neoapi.Session
		if err == nil {
			s, err = c.Session2FA(t.Context(), srv.OTP(t)) // an MPIN takes a hash to judge
		}
		switch {
		case err == nil:
			return s
		case errors.Is(err, neoapi.ErrUnavailable), errors.Is(err, neoapi.ErrRateLimited): // a machine this busy: the code that was asked for counts all the same
			srv.Advance(time.Minute)
		default:
			t.Fatal(err)
		}
	}
}

// viewSession does the first factor alone, whose token a client keeps to itself.
func viewSession(t *testing.T, srv *neoapitest.Server) wire.Session {
	t.Helper()
	access := must.Get(client(t, srv).AccessToken(t.Context()))(t)
	body := fmt.Sprintf(`{"mobileNumber":%q,"password":%q}`, srv.Account.Mobile, srv.Account.Password)
	r := must.Get(http.NewRequestWithContext(t.Context(), "POST", srv.URL+wire.Path(wire.OpValidate, wire.Gen1PROD), strings.NewReader(body)))(t)
	r.Header.Set("Authorization", "Bearer "+access)
	r.Header.Set("Content-Type", "application/json")
	resp := must.Get(http.DefaultClient.Do(r))(t)
	defer resp.Body.Close()
	var s wire.Success[wire.Session]
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || s.Data.Token == "" {
		t.Fatal(resp.StatusCode, err)
	}
	return s.Data
}

// opened returns the operator's side of a service whose data are in dir.
func opened(t *testing.T, dir string) (*operator.Admin, store.Store) {
	t.Helper()
	data := must.Get(serve.Open(t.Context(), serve.Place{Dir: dir, Database: pgtest.Chosen(t, dir)}, nil))(t)
	t.Cleanup(func() { _ = data.Close() })
	return data.Admin(), data.Store
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// want reports a judgement that is not the wanted one.
func want(t *testing.T, v *verify.Verifier, sid, token string, want error) {
	t.Helper()
	if s, err := v.Verify(t.Context(), sid, token); !errors.Is(err, want) {
		t.Errorf("got %+v and %v, want %v", s, err, want)
	}
}

func TestVerifier_givesWhatTheTokenOfAGoodSessionSays(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	v := verifier(t, srv, srv.URL, nil)
	s := session(t, srv)
	for range 3 {
		got := must.Get(v.Verify(t.Context(), s.SID, s.Token))(t)
		if got.SID != s.SID || got.UCC != srv.Account.UCC || got.Expires.Sub(got.Issued) != time.Hour || got.TokenID == "" {
			t.Errorf("got %+v", got)
		}
	}
}

func TestVerifier_refusesWhatIsNoTradeTokenOfItsSid(t *testing.T) { // security.md J1 to J3, S1 and S2
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	v := verifier(t, srv, srv.URL, nil)
	s, other := session(t, srv), session(t, srv)
	want(t, v, s.SID, s.Token, nil)
	want(t, v, other.SID, s.Token, verify.ErrInvalid)
	want(t, v, s.SID, other.Token, verify.ErrInvalid)
	want(t, v, "", s.Token, verify.ErrInvalid)
	want(t, v, s.SID, "", verify.ErrInvalid)

	view := viewSession(t, srv)
	want(t, v, view.SID, view.Token, verify.ErrWrongToken)

	parts := strings.Split(s.Token, ".")
	key := must.Get(rsa.GenerateKey(rand.Reader, 2048))(t)
	signed := func(header string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1]
		digest := sha256.Sum256([]byte(text))
		mark := must.Get(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]))(t)
		return text + "." + base64.RawURLEncoding.EncodeToString(mark)
	}
	plain, _ := base64.RawURLEncoding.DecodeString(parts[0])
	for name, token := range map[string]string{
		"without a signature":           parts[0] + "." + parts[1] + ".",
		"of another key":                signed(string(plain)),
		"of a key that nobody has":      signed(`{"alg":"RS256","kid":"0123456789012345678901234567890123456789012","typ":"JWT"}`),
		"with a key in it":              signed(`{"alg":"RS256","jwk":{},"typ":"JWT"}`),
		"none":                          base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"a header spelt in another way": base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(plain), ",", ", ", 1))) + "." + parts[1] + "." + parts[2],
		"with another payload":          parts[0] + "." + strings.Split(other.Token, ".")[1] + "." + parts[2],
		"with a line break":             s.Token[:len(s.Token)-4] + "\n" + s.Token[len(s.Token)-4:],
		"with padding":                  s.Token + "==",
		"long":                          s.Token + strings.Repeat("A", 5000),
		"no token":                      "x",
	} {
		t.Run(name, func(t *testing.T) { want(t, v, s.SID, token, verify.ErrInvalid) })
	}

	// The service's own key, with claims that it does not issue, or not now.
	ring := ringOf(t, dir)
	now := time.Now().Unix()
	good := claims.Trade{
		Scope: []string{"Trade"}, Iat: now, Exp: now + 60, Jti: claims.TradeID("sid"), Iss: "login-service", Sub: "TESTYA24",
	}
	for name, x := range map[string]struct {
		change func(c *claims.Trade)
		want   error
	}{
		"as they should be":    {func(*claims.Trade) {}, nil},
		"another issuer":       {func(c *claims.Trade) { c.Iss = "another" }, verify.ErrInvalid},
		"no subject":           {func(c *claims.Trade) { c.Sub = "" }, verify.ErrInvalid},
		"another scope":        {func(c *claims.Trade) { c.Scope[0] = "Admin" }, verify.ErrInvalid},
		"two scopes":           {func(c *claims.Trade) { c.Scope = []string{"Trade", "View"} }, verify.ErrInvalid},
		"no id":                {func(c *claims.Trade) { c.Jti = "" }, verify.ErrInvalid},
		"another session's id": {func(c *claims.Trade) { c.Jti = claims.TradeID("other") }, verify.ErrInvalid},
		"expired":              {func(c *claims.Trade) { c.Iat, c.Exp = now-60, now }, verify.ErrEnded},
		"of tomorrow":          {func(c *claims.Trade) { c.Iat, c.Exp = now+3600, now+7200 }, verify.ErrInvalid},
		"a clock that is fast": {func(c *claims.Trade) { c.Iat = now + 30 }, nil},
		"ended before begun":   {func(c *claims.Trade) { c.Exp = c.Iat - 1 }, verify.ErrInvalid},
	} {
		t.Run("claims: "+name, func(t *testing.T) {
			c := good
			c.Scope = []string{"Trade"}
			x.change(&c)
			compact := must.Get(ring.Mint(ring.Active(), c))(t)
			want(t, v, "sid", compact, x.want)
		})
	}
}

// ringOf returns the keys of a service whose data are in dir.
func ringOf(t *testing.T, dir string) *token.Ring {
	t.Helper()
	admin, store := opened(t, dir)
	stored := must.Get(store.SigningKeys(t.Context()))(t)
	plain := must.Get(admin.Vault.Open(credential.PurposeSigningKey, stored[0].ID, stored[0].Sealed))(t)
	key := must.Get(token.ParseKey(plain))(t)
	return must.Get(token.NewRing([]token.Key{key}, key.ID))(t)
}

// security.md S4: however a session ends, it ends here too.
func TestVerifier_refusesASessionThatEndsAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithAccounts(1))
	v := verifier(t, srv, srv.URL, nil)
	admin, store := opened(t, dir)
	_, secret, err := admin.AddConsumer(t.Context(), "verifier", "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	second := verifier(t, srv, srv.URL, func(cfg *verify.Config) { cfg.ConsumerKey, cfg.ConsumerSecret = "verifier", string(secret) })
	revoke := func(s neoapi.Session) error {
		r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/oauth2/revoke", strings.NewReader(url.Values{"token": {s.Token}}.Encode()))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(srv.ConsumerKey, srv.ConsumerSecret)
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	account := func() login.Account {
		return must.Get(store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: "TESTYA24"}))(t)
	}
	for _, x := range []struct {
		how  string
		end  func(s neoapi.Session) error
		want error
	}{
		{"it is ended", func(s neoapi.Session) error { srv.EndSession(t, s.SID); return nil }, verify.ErrEnded},
		{"it is revoked", revoke, verify.ErrEnded},
		{"all of the account are ended", func(neoapi.Session) error { return admin.Revoke(t.Context(), account(), "") }, verify.ErrEnded},
		{"an operator revokes it", func(s neoapi.Session) error { return admin.Revoke(t.Context(), account(), s.SID) }, verify.ErrEnded},
		{"the password is set", func(neoapi.Session) error {
			return admin.SetPassword(t.Context(), account(), credential.Secret(srv.Account.Password))
		}, verify.ErrEnded},
		{"the MPIN is set", func(neoapi.Session) error {
			return admin.SetMPIN(t.Context(), account(), credential.Secret(srv.Account.MPIN))
		}, verify.ErrEnded},
		{"the account is locked", func(neoapi.Session) error {
			return errors.Join(admin.Lock(t.Context(), account()), admin.Unlock(t.Context(), account())) // for the next
		}, verify.ErrEnded},
		{"its owner logs out", func(s neoapi.Session) error {
			c := client(t, srv)
			return errors.Join(c.Use(s), c.Logout(t.Context()))
		}, verify.ErrEnded},
		{"its key is removed", func(s neoapi.Session) error {
			keys, err := admin.Keys(t.Context())
			if err == nil {
				_, err = admin.RemoveKey(t.Context(), keys[len(keys)-1].ID)
			}
			return err
		}, verify.ErrInvalid},
		{"its consumer is removed", func(neoapi.Session) error { return admin.RemoveConsumer(t.Context(), srv.ConsumerKey) }, verify.ErrEnded},
	} {
		t.Run(x.how, func(t *testing.T) {
			s := session(t, srv)
			want(t, second, s.SID, s.Token, nil)
			must.Do(t, x.end(s))
			began := time.Now()
			eventually(t, "it is refused", func() bool {
				_, err := second.Verify(t.Context(), s.SID, s.Token)
				return errors.Is(err, x.want)
			})
			t.Logf("after %s", time.Since(began).Round(time.Millisecond))
		})
	}
	// The first one's consumer is gone: it is not told any more, and says so in time.
	s := func() error { _, err := v.Verify(t.Context(), "sid", "x"); return err }
	eventually(t, "an answer", func() bool { return s() != nil })
}

// A second factor that is under way while its consumer is removed opens nothing that
// others would take for good.
func TestVerifier_refusesASessionOvertakenByItsConsumersRemoval(t *testing.T) { // security.md S4
	t.Parallel()
	dir := t.TempDir()
	var key string
	var admin *operator.Admin
	closed := make(chan struct{}, 10)
	oms := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			closed <- struct{}{}
			return
		}
		if err := admin.RemoveConsumer(r.Context(), key); err != nil {
			t.Error(err)
		}
		_, _ = fmt.Fprint(w, `{"home": "server7"}`)
	}))
	t.Cleanup(oms.Close)
	bearer, file := filepath.Join(t.TempDir(), "bearer"), filepath.Join(t.TempDir(), "oms.yaml")
	must.Do(t, errors.Join(os.WriteFile(bearer, []byte("secret"), 0o600), os.WriteFile(file, []byte("url: "+oms.URL+"\nbearer-file: "+bearer+"\n"), 0o600)))
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir), neoapitest.WithOMS(file))
	var store store.Store
	admin, store = opened(t, dir)
	key = srv.ConsumerKey
	c := client(t, srv)
	must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}))
	if s, err := c.Session2FA(t.Context(), srv.Account.MPIN); err == nil {
		t.Errorf("it is opened: %s", s.SID)
	}
	a := must.Get(admin.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: credential.Secret(srv.Account.UCC)}))(t)
	if left, err := store.SessionsOf(t.Context(), a.ID, time.Now()); err != nil || len(left) > 0 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
	revoked, _, err := store.Revocations(t.Context(), 0, time.Now(), 10)
	if err != nil || len(revoked) != 1 {
		t.Errorf("%d tokens are revoked, %v", len(revoked), err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Error("the OMS is not told")
	}
}

// security.md J4, in the eyes of another service.
func TestVerifier_takesTokensOfANewKeyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := neoapitest.NewServer(t, neoapitest.WithData(dir))
	v := verifier(t, srv, srv.URL, nil)
	admin, _ := opened(t, dir)
	old := session(t, srv)
	for _, bits := range []int{2048, 3072} {
		k := must.Get(admin.RotateKey(t.Context(), bits, login.KeyLeadLeast))(t)
		eventually(t, "the new key signs", func() bool {
			s := session(t, srv)
			want(t, v, s.SID, s.Token, nil)
			header, _ := base64.RawURLEncoding.DecodeString(strings.Split(s.Token, ".")[0])
			return strings.Contains(string(header), k.ID)
		})
		want(t, v, old.SID, old.Token, nil)
	}
}

func TestMiddleware_answersAsTheServiceDoes(t *testing.T) {
	t.Parallel()
	srv := neoapitest.NewServer(t)
	v := verifier(t, srv, srv.URL, nil)
	s, ended := session(t, srv), session(t, srv)
	srv.EndSession(t, ended.SID)
	eventually(t, "it has ended", func() bool { _, err := v.Verify(t.Context(), ended.SID, ended.Token); return err != nil })
	w := between(t, srv)
	w.cut()
	away := verifier(t, srv, w.URL, nil)
	for _, x := range []struct {
		what   string
		v      *verify.Verifier
		header http.Header
		status int
		code   string
	}{
		{"good", v, http.Header{"Sid": {s.SID}, "Auth": {s.Token}}, 200, ""},
		{"nothing", v, http.Header{}, 401, "10512"},
		{"no sid", v, http.Header{"Auth": {s.Token}}, 401, "10512"},
		{"two sids", v, http.Header{"Sid": {s.SID, s.SID}, "Auth": {s.Token}}, 400, "10300"},
		{"forged", v, http.Header{"Sid": {s.SID}, "Auth": {"x"}}, 401, "100022"},
		{"ended", v, http.Header{"Sid": {ended.SID}, "Auth": {ended.Token}}, 403, "100022"},
		{"away", away, http.Header{"Sid": {s.SID}, "Auth": {s.Token}}, 503, "503"},
	} {
		t.Run(x.what, func(t *testing.T) {
			handler := x.v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s, ok := verify.FromContext(r.Context())
				_, _ = fmt.Fprint(w, s.UCC, ok)
			}))
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			r.Header = x.header
			handler.ServeHTTP(w, r)
			if w.Code != x.status {
				t.Errorf("%d: %s", w.Code, w.Body)
			}
			if x.status == 200 {
				if w.Body.String() != srv.Account.UCC+"true" {
					t.Errorf("%s", w.Body)
				}
				return
			}
			var answer struct {
				Stat  string
				Error []struct{ Code string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Stat != "Not_Ok" || len(answer.Error) != 1 || answer.Error[0].Code != x.code {
				t.Errorf("%v: %s", err, w.Body)
			}
			if (w.Header().Get("WWW-Authenticate") != "") != (x.status == 401) || (w.Header().Get("Retry-After") != "") != (x.status == 503) {
				t.Errorf("headers: %v", w.Header())
			}
		})
	}
	if s, ok := verify.FromContext(t.Context()); ok {
		t.Errorf("got %+v", s)
	}
}

func TestConfig_namesEveryProblemAndNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "do not tell"
	for service, problems := range map[string][]string{
		"":                         {"Service"},
		"ftp://a":                  {"Service"},
		"http://neo.example.com":   {"https"},
		"https://a:b@example.com":  {"Service"},
		"https://example.com?a=b":  {"Service"},
		"https://neo.example.com/": {"ConsumerKey"},
	} {
		cfg := verify.Config{Service: service, ConsumerSecret: secret}
		_, err := verify.New(cfg)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", service, err)
			continue
		}
		for _, p := range append(problems, "ConsumerKey") {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("%q: %v does not name %s", service, err, p)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(verb, cfg); strings.Contains(text, secret) {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

func TestClose_leavesNothingBehind(t *testing.T) {
	srv := neoapitest.NewServer(t)
	session(t, srv) // then the service has all its goroutines
	before := goleak.IgnoreCurrent()
	transport := &http.Transport{}
	v := must.Get(verify.New(verify.Config{
		Service: srv.URL, ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, HTTPClient: &http.Client{Transport: transport},
	}))(t)
	if _, err := v.Verify(t.Context(), "sid", "token"); !errors.Is(err, verify.ErrInvalid) {
		t.Error(err)
	}
	v.Close()
	v.Close()
	transport.CloseIdleConnections()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
}

// What the gateway asserts to a trade API is no trade token: neither whose session a call
// is of, nor which consumer asks for market data.
func TestVerifier_refusesAnIdentity(t *testing.T) {
	t.Parallel()
	came := make(chan string, 2)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { came <- r.Header.Get("Neo-Identity") }))
	t.Cleanup(upstream.Close)
	srv := neoapitest.NewServer(t, neoapitest.WithTradeAPI(upstream.URL))
	s := session(t, srv)
	v := verifier(t, srv, srv.URL, nil)
	want(t, v, s.SID, s.Token, nil)
	for path, header := range map[string]http.Header{
		"/quick/user/orders": {"Sid": {s.SID}, "Auth": {s.Token}},
		"/script-details/1.0/quotes/neosymbol/nse_cm|11536": {"Authorization": {srv.ConsumerKey}},
	} {
		r := must.Get(http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil))(t)
		r.Header = header
		resp := must.Get(http.DefaultClient.Do(r))(t)
		must.Do(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, resp.Status)
		}
		want(t, v, s.SID, <-came, verify.ErrInvalid)
	}
}

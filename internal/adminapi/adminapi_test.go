package adminapi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/apitest"
	"neoapi/internal/certtest"
	"neoapi/internal/login"
	"neoapi/internal/serve"
)

// An operator asks a running service, over its socket or with a certificate. Every
// exchange is held against api/admin.yaml.
type operator struct {
	base   string
	client *http.Client
	data   *serve.Data
	log    *bytes.Buffer
	mu     *sync.Mutex
}

// start starts a service with an address for operators.
func start(t *testing.T, cfg serve.Config) *operator {
	t.Helper()
	o := &operator{base: "http://neo", log: &bytes.Buffer{}, mu: &sync.Mutex{}}
	data, err := serve.Open(t.Context(), serve.Place{Dir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o.data, cfg.Log = data, slog.New(slog.NewJSONHandler(o, nil))
	srv, err := serve.New(t.Context(), data, cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = data.Close()
	})
	path := strings.TrimPrefix(cfg.Admin, "unix:")
	o.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	return o
}

// Write takes the service's log.
func (o *operator) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(p)
}

func (o *operator) logged() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.String()
}

// ask sends a request, wants a status, and returns the answer.
func (o *operator) ask(t *testing.T, status int, method, path, body string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, o.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method != "GET" {
		r.Header.Set("Content-Type", "application/json")
	}
	return o.send(t, status, r, body)
}

// send is ask with a request of the test's own.
func (o *operator) send(t *testing.T, status int, r *http.Request, body string) map[string]any {
	t.Helper()
	resp, err := o.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %d %s, want %d", r.Method, r.URL, resp.StatusCode, text, status)
	}
	x := apitest.Exchange{Method: r.Method, Path: r.URL.Path, Asked: r.Header, Sent: []byte(body), Status: resp.StatusCode, Header: resp.Header, Body: text}
	if err := x.CheckAdmin(); err != nil {
		t.Errorf("not as api/admin.yaml says: %v", err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// events returns the trail, in which every change leaves an event.
func (o *operator) events(t *testing.T) []login.Event {
	t.Helper()
	events, err := o.data.Store.Events(t.Context(), login.EventQuery{N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

const asha = `{"ucc":"AB1234","userId":"asha","mobile":"9876543210","pan":"AVRFT7865T","name":"Asha","password":"a good long password","mpin":"135790"}`

func socket(t *testing.T) string { return "unix:" + filepath.Join(t.TempDir(), "s") }

func TestAdminAPI_keepsAccountsAndConsumersOverASocket(t *testing.T) {
	t.Parallel()
	at := socket(t)
	o := start(t, serve.Config{Admin: at})
	if info, err := os.Stat(strings.TrimPrefix(at, "unix:")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: others may ask", info, err)
	}
	a := o.ask(t, 201, "POST", "/accounts", asha)
	if a["pan"] != "AVR****65T" || a["mpin"] != true {
		t.Errorf("got %v", a)
	}
	o.ask(t, 409, "POST", "/accounts", asha)
	o.ask(t, 200, "GET", "/accounts/ab1234", "")
	o.ask(t, 200, "PUT", "/accounts/AB1234/password", `{"password":"another good password"}`)
	o.ask(t, 200, "PUT", "/accounts/AB1234/mpin", `{"mpin":"246801"}`)
	o.ask(t, 200, "DELETE", "/accounts/AB1234/mpin", "")
	seed := o.ask(t, 200, "PUT", "/accounts/AB1234/totp", "")["seed"].(string)
	o.ask(t, 200, "PUT", "/accounts/AB1234/lock", "")
	if a := o.ask(t, 200, "GET", "/accounts/AB1234", ""); a["locked"] != true || a["mpin"] != false || a["totp"] != true {
		t.Errorf("got %v", a)
	}
	o.ask(t, 200, "DELETE", "/accounts/AB1234/lock", "")
	o.ask(t, 200, "DELETE", "/accounts/AB1234/totp", "")
	if got := o.ask(t, 200, "DELETE", "/accounts/AB1234/totp", "")["done"]; got != "nothing: it was so already" {
		t.Errorf("a seed that is not there was removed: %v", got)
	}
	o.ask(t, 200, "PUT", "/accounts/AB1234/caches", `{"watchlist":1654684389}`)
	if caches := o.ask(t, 200, "GET", "/accounts?limit=1", "")["accounts"].([]any)[0].(map[string]any)["caches"].(map[string]any); caches["watchlist"] != 1654684389.0 {
		t.Errorf("got %v", caches)
	}
	id := o.ask(t, 200, "GET", "/accounts/AB1234", "")["id"].(string)
	view := login.Session{SID: "9d2f0e4c-6c1e-4a63-9f5d-6f2c2b9a7d11", Kind: login.View, Account: id, UCC: "AB1234", Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
	for _, path := range []string{"/accounts/AB1234/sessions/" + view.SID, "/accounts/AB1234/sessions"} {
		if err := o.data.Store.OpenView(t.Context(), view, 0, "", login.Event{Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if all := o.ask(t, 200, "GET", "/accounts/AB1234/sessions", "")["sessions"].([]any); len(all) != 1 {
			t.Errorf("sessions: %v", all)
		}
		o.ask(t, 200, "DELETE", path, "")
		o.ask(t, 404, "DELETE", path, "")
	}

	secret := o.ask(t, 201, "POST", "/consumers", `{"key":"app","name":"An app"}`)["secret"].(string)
	again := o.ask(t, 200, "POST", "/consumers/app/secret", `{"overlap":"1h"}`)["secret"].(string)
	o.ask(t, 200, "PUT", "/consumers/app/rate", `{"rate":200}`)
	o.ask(t, 200, "PUT", "/consumers/app/allow", `{"allow":["203.0.113.0/24","2001:db8::1"]}`)
	if c := o.ask(t, 200, "GET", "/consumers/app", ""); fmt.Sprint(c["allow"], c["rate"]) != "[203.0.113.0/24 2001:db8::1] 200" || c["oldSecretUntil"] == nil {
		t.Errorf("got %v", c)
	}
	o.ask(t, 200, "GET", "/consumers", "")
	o.ask(t, 200, "DELETE", "/consumers/app", `{"key":"app"}`)
	o.ask(t, 404, "GET", "/consumers/app", "")
	if got := o.ask(t, 200, "POST", "/accounts/AB1234/erasure", `{"ucc":"AB1234"}`); got["events"] == 0.0 {
		t.Errorf("got %v", got)
	}
	o.ask(t, 201, "POST", "/accounts", asha)
	o.ask(t, 200, "DELETE", "/accounts/AB1234", `{"ucc":"ab1234"}`)

	// Who asked is in the trail, and no secret in the log.
	actions := map[string]int{}
	for _, e := range o.events(t) {
		actions[e.Action]++
		if who := fmt.Sprintf("uid %d", os.Getuid()); e.By != who && e.Action != "" {
			t.Errorf("%s: by %q, want %q", e.Action, e.By, who)
		}
	}
	for _, action := range []string{"account added", "password set", "MPIN set", "MPIN removed", "TOTP enrolled", "TOTP removed", "account locked", "account unlocked", "caches set",
		"session revoked", "sessions revoked", "consumer added", "consumer secret rotated", "consumer rate changed", "consumer networks changed", "consumer removed", "account erased", "account removed"} {
		if actions[action] == 0 {
			t.Errorf("no event %q", action)
		}
	}
	for _, word := range []string{"a good long password", "another good password", "135790", "246801", "AVRFT7865T", seed, secret, again} {
		if strings.Contains(o.logged(), word) {
			t.Errorf("%q is in the log", word)
		}
	}
}

func TestAdminAPI_refusesAWrongRequestAndChangesNothing(t *testing.T) {
	t.Parallel()
	o := start(t, serve.Config{Admin: socket(t)})
	before := o.ask(t, 201, "POST", "/accounts", asha) // what is answered of something new is what later answers say
	for _, x := range []struct {
		status             int
		method, path, body string
	}{
		{404, "GET", "/", ""}, {404, "GET", "/accounts/", ""}, {404, "GET", "//accounts", ""}, {404, "GET", "/accounts/NOBODY", ""},
		{404, "PUT", "/accounts/NOBODY/lock", ""}, {404, "DELETE", "/accounts/AB1234/sessions", ""},
		{405, "PATCH", "/accounts", ""}, {405, "POST", "/accounts/AB1234", ""},
		{400, "GET", "/accounts?limit=0", ""}, {400, "GET", "/consumers?limit=many", ""}, {400, "GET", "/accounts/A-B", ""},
		{400, "POST", "/accounts", ""}, {400, "POST", "/accounts", "[]"}, {400, "POST", "/accounts", `{"ucc":1}`}, {400, "POST", "/accounts", `{"admin":true}`},
		{400, "POST", "/accounts", asha + asha}, {400, "POST", "/accounts", `{"ucc":"X","userId":"","mobile":"1","password":"short"}`},
		{400, "PUT", "/accounts/AB1234/password", `{"password":"password"}`}, {400, "PUT", "/accounts/AB1234/password", `{"mpin":"135790"}`},
		{400, "PUT", "/accounts/AB1234/mpin", `{"mpin":""}`}, {400, "PUT", "/accounts/AB1234/mpin", `{"mpin":"12345"}`},
		{400, "PUT", "/accounts/AB1234/caches", `{}`}, {400, "PUT", "/accounts/AB1234/caches", `{"watch list":5}`}, {400, "PUT", "/accounts/AB1234/caches", `{"watchlist":-5}`},
		{413, "PUT", "/accounts/AB1234/password", `{"password":"` + strings.Repeat("x", 17_000) + `"}`},
		{404, "PUT", "/consumers/app/rate", `{"rate":5}`}, {400, "PUT", "/consumers/app/rate", `{"rate":-2}`}, {400, "PUT", "/consumers/app/rate", `{}`},
		{400, "PUT", "/consumers/app/allow", `{}`}, {400, "PUT", "/consumers/app/allow", `{"allow":null}`}, {400, "PUT", "/consumers/app/allow", `null`},
		{400, "POST", "/accounts", `{"ucc":"AB1",` + asha[1:]}, {400, "PUT", "/accounts/AB1234/password", `{"password":"one good password","password":"another good one"}`},
		{400, "POST", "/consumers", `{"key":"one","KEY":"two"}`}, {400, "PUT", "/consumers/app/allow", `{"allow":["home"]}`}, {400, "POST", "/consumers/app/secret", `{"overlap":"long"}`}, {400, "POST", "/consumers", `{"key":"a b"}`},
	} {
		o.ask(t, x.status, x.method, x.path, x.body)
	}
	if after := o.ask(t, 200, "GET", "/accounts/AB1234", ""); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the account has changed: %v, before %v", after, before)
	}
}

func TestErasure_thatBrokeOffIsDoneAgain(t *testing.T) {
	t.Parallel()
	o := start(t, serve.Config{Admin: socket(t)})
	o.ask(t, 404, "POST", "/accounts/AB1234/erasure", `{"ucc":"AB1234"}`)
	id := o.ask(t, 201, "POST", "/accounts", asha)["id"].(string)
	if err := o.data.Store.EraseAccount(t.Context(), id, login.Event{Time: time.Now(), Action: "account erased"}); err != nil {
		t.Fatal(err)
	}
	o.ask(t, 200, "POST", "/accounts/ab1234/erasure", `{"ucc":"AB1234"}`)
	events, err := o.data.Store.Events(t.Context(), login.EventQuery{UCC: "AB1234", N: 10})
	if err != nil || len(events) > 0 {
		t.Errorf("%d events name the person, %v", len(events), err)
	}
	o.ask(t, 404, "POST", "/accounts/AB1234/erasure", `{"ucc":"AB1234"}`)
}

func TestSocket_isReplacedOnlyIfItsProcessIsDead(t *testing.T) {
	t.Parallel()
	at := socket(t)
	path := strings.TrimPrefix(at, "unix:")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	start(t, serve.Config{Admin: at}).ask(t, 200, "GET", "/accounts", "")

	refuse := func(at, want string) {
		t.Helper()
		data, err := serve.Open(t.Context(), serve.Place{Dir: t.TempDir()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = data.Close() }()
		if _, err = serve.New(t.Context(), data, serve.Config{Admin: at, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %s", at, err, want)
		}
	}
	refuse(at, "another process answers at")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse("unix:"+file, "already exists and is not a socket")
	if text, _ := os.ReadFile(file); string(text) != "mine" {
		t.Error("somebody's file is gone")
	}
}

// overNetwork starts a service that operators ask over the network, and returns what
// makes the operator show a certificate: "ops" is the CA's, "stranger" is not, and ""
// is none.
func overNetwork(t *testing.T, hosts ...string) (o *operator, as func(name string)) {
	t.Helper()
	dir := t.TempDir()
	broker := func(c *x509.Certificate) {
		c.Subject.Organization, c.DNSNames = []string{"Broker"}, []string{"admin.example.com"}
	}
	ca := certtest.New("ca", nil, broker)
	caFile, _ := ca.Write(t, dir)
	cert, key := certtest.New("service", ca, broker).Write(t, dir)
	shown := map[string]*certtest.Pair{"ops": certtest.New("ops", ca, broker), "stranger": certtest.New("stranger", nil, broker)}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	o = start(t, serve.Config{Admin: address, AdminHosts: hosts, AdminCA: caFile, TLSCert: cert, TLSKey: key})
	o.base = "https://" + address
	as = func(name string) {
		conf := &tls.Config{RootCAs: ca.Pool()}
		if name != "" {
			pair := shown[name].TLS()
			// Shown whatever the service says it would take.
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		o.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: conf}}
	}
	return o, as
}

func TestTLS_onlyACertificateOfTheCAOpensTheAPI(t *testing.T) {
	t.Parallel()
	o, as := overNetwork(t)
	as("ops")
	o.ask(t, 201, "POST", "/accounts", asha)
	for _, name := range []string{"", "stranger"} {
		as(name)
		if resp, err := o.client.Get(o.base + "/accounts"); err == nil {
			_ = resp.Body.Close()
			t.Errorf("certificate %q: %s", name, resp.Status)
		}
	}
	if events := o.events(t); len(events) != 1 || events[0].By != "CN=ops,O=Broker" || events[0].Address != events[0].By {
		t.Errorf("%+v", events)
	}
}

func TestAdminAPI_withoutAuthorityIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		admin, ca string
		wants     []string
		hosts     []string
	}{
		{"127.0.0.1:9157", "", []string{"give --tls-cert and --tls-key", "give --admin-ca"}, nil},
		{"127.0.0.1:9157", "missing.pem", []string{"admin CA: open missing.pem"}, nil},
		{"127.0.0.1:9157", empty, []string{"contains no PEM certificate"}, nil},
		{"unix:/run/s", "", []string{`admin host: "a:1" must be a name or an address, without a port`}, []string{"a:1"}},
		{"", "ca.pem", []string{"--admin-ca requires --admin"}, nil},
		{"unix:", "", []string{"must be followed by the path"}, nil},
		{"unix:/run/s", "ca.pem", []string{"not for a Unix socket"}, nil},
		{"nonsense", "", []string{`"nonsense" must be unix: and a path, or a host and a port`}, nil},
		{"", "", []string{"--admin-host requires --admin"}, []string{"ops.example.com"}},
	} {
		err := (serve.Config{Admin: x.admin, AdminCA: x.ca, AdminHosts: x.hosts, Log: slog.New(slog.DiscardHandler)}).Check()
		for _, want := range x.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %v, want it to say %s", x.admin, x.ca, err, want)
			}
		}
	}
}

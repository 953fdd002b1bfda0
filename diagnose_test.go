package neoapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
)

// diagnosed returns the findings of one kind.
func diagnosed(found []Finding, check string) (of []Finding) {
	for _, f := range found {
		if f.Check == check {
			of = append(of, f)
		}
	}
	return of
}

// wantFinding checks that exactly one finding of a kind has this verdict, and words.
func wantFinding(t *testing.T, found []Finding, check string, v Verdict, words string) Finding {
	t.Helper()
	for _, f := range diagnosed(found, check) {
		if f.Verdict == v && strings.Contains(f.Detail+" / "+f.Hint, words) {
			return f
		}
	}
	t.Errorf("no %s %s with %q in\n%s", v, check, words, shownFindings(found))
	return Finding{}
}

func shownFindings(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: %s / %s\n", f.Verdict, f.Check, f.Detail, f.Hint)
	}
	return b.String()
}

func TestDiagnose_namesEverySettingOfAWrongForm(t *testing.T) {
	s := newScripted(t)
	found := Diagnose(t.Context(), Config{Environment: Environment(s.URL), ConsumerKey: `"` + canaryPAN + `"`, ConsumerSecret: canarySecret + " "},
		Subject{Mobile: "919999999908", UCC: `"AB1234"`, PAN: "CANARY123"})
	for _, words := range []string{"ConsumerKey has quotes", "ConsumerSecret has a space", "the mobile number needs +91", "the UCC has a quotation mark in it", "the PAN must be"} {
		f := wantFinding(t, found, "setting", VerdictFailed, words)
		if !errors.Is(f.Err, ErrInvalidInput) {
			t.Errorf("%s: %v", words, f.Err)
		}
	}
	wantFinding(t, found, "connection", VerdictGood, "127.0.0.1")
	wantFinding(t, found, "access token", VerdictSkipped, "settings")
	for _, key := range []string{"Bearer " + canaryPAN, "bearer x"} {
		wantFinding(t, Diagnose(t.Context(), Config{Environment: Environment(s.URL), ConsumerKey: key}, Subject{}), "setting", VerdictFailed, "without Bearer")
	}
	wantFinding(t, Diagnose(t.Context(), Config{Environment: Environment(s.URL), ConsumerKey: "k"}, Subject{UCC: "12345678"}), "setting", VerdictNote, "digits alone")
	wantFinding(t, Diagnose(t.Context(), Config{ConsumerKey: "k"}, Subject{}), "name", VerdictSkipped, "settings")
	noCanary(t, found)
}

func TestDiagnose_failsNothingOfAHealthyService(t *testing.T) {
	s := newScripted(t)
	s.on("/login/1.0/get-client-ip", answer(200, `{"data":[{"ip":"203.0.113.7","time":"now"}],"stCode":1000,"status":"success"}`))
	c := s.client(t)
	must.Do(t, c.LoginTOTP(t.Context(), TOTP{Mobile: "9999999908", UCC: "U", Code: canaryOTP}))
	session := must.Get(c.ValidateMPIN(t.Context(), canaryMPIN))(t)
	cfg := Config{Environment: Environment(s.URL), ConsumerKey: "key", ConsumerSecret: canarySecret}
	found := Diagnose(t.Context(), cfg, Subject{Mobile: "9999999908", UCC: "AB1234", PAN: canaryPAN, Session: session})
	for _, f := range found {
		if f.Verdict == VerdictFailed || f.Err != nil {
			t.Errorf("%+v", f)
		}
	}
	wantFinding(t, found, "setting", VerdictGood, "consumer key (length 3), secret (length")
	wantFinding(t, found, "clock", VerdictGood, "")
	wantFinding(t, found, "access token", VerdictGood, "")
	wantFinding(t, found, "session", VerdictGood, "TE…24")
	wantFinding(t, found, "session", VerdictNote, "does not belong to the account AB…34")
	wantFinding(t, found, "address", VerdictGood, "203.0.113.7")
	if n := len(s.seen(opTOTPLogin)) + len(s.seen(opLogin)); n != 1 {
		t.Errorf("%d logins", n)
	}
	noCanary(t, found)

	other := cfg
	other.ConsumerKey = "other"
	wantFinding(t, Diagnose(t.Context(), other, Subject{Session: session}), "session", VerdictFailed, "another consumer key")
	s.on("/login/1.0/get-client-ip", answer(403, `{"stat":"Not_Ok","stCode":100022,"errMsg":"ended"}`))
	f := wantFinding(t, Diagnose(t.Context(), cfg, Subject{Session: session}), "session", VerdictFailed, "ended")
	if !errors.Is(f.Err, ErrSessionEnded) {
		t.Errorf("%v", f.Err)
	}
	s.on("/login/1.0/get-client-ip", answer(401, `{"error":[{"code":"100008","message":"no"}]}`))
	wantFinding(t, Diagnose(t.Context(), cfg, Subject{Session: session}), "address", VerdictFailed, "register the address")
	session.ExpiresAt = time.Now().Add(-time.Minute)
	wantFinding(t, Diagnose(t.Context(), cfg, Subject{Session: session}), "session", VerdictFailed, "the session ended at")
}

func TestDiagnose_saysHowFarTheWayToTheServiceWent(t *testing.T) {
	nobody := &http.Transport{DialContext: (&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no resolver")
	}}}).DialContext}
	gone := httptest.NewServer(nil)
	gone.Close()
	serve := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	giveUp := make(chan context.CancelFunc, 1)
	hangs := serve(func(_ http.ResponseWriter, r *http.Request) {
		(<-giveUp)()
		<-r.Context().Done()
	})
	for name, test := range map[string]struct {
		url   string
		hc    *http.Client
		check string
		v     Verdict
		words string
		is    error
	}{
		"no such name":   {"https://neo.example", &http.Client{Transport: nobody}, "name", VerdictFailed, "spelling", ErrNetwork},
		"nobody listens": {gone.URL, nil, "connection", VerdictFailed, "is running", ErrNetwork},
		"it hangs":       {hangs, nil, "service", VerdictFailed, "canceled", ErrNetwork},
		"a page": {serve(answer(200, "<html><title>Welcome</title>")), nil,
			"service", VerdictNote, "a firewall", nil},
		"down":            {serve(answer(503, "")), nil, "service", VerdictFailed, "503", ErrUnavailable},
		"it redirects":    {serve(answer(302, "", "Location: https://login.example/")), nil, "service", VerdictFailed, "redirects", nil},
		"no TLS is there": {strings.Replace(serve(answer(200, "{}")), "http:", "https:", 1), nil, "certificate", VerdictFailed, "does the service speak TLS", ErrNetwork},
		"the clock": {serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-95*time.Second).UTC().Format(http.TimeFormat))
		}), nil, "clock", VerdictFailed, "s ahead of the service's", nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "it hangs" {
				giveUp <- cancel
			}
			found := Diagnose(ctx, Config{Environment: Environment(test.url), ConsumerKey: "k", ConsumerSecret: canarySecret, HTTPClient: test.hc}, Subject{})
			f := wantFinding(t, found, test.check, test.v, test.words)
			if test.is != nil && !errors.Is(f.Err, test.is) {
				t.Errorf("%v is no %v", f.Err, test.is)
			}
			noCanary(t, found)
		})
	}
}

// certified serves TLS with a certificate made by change, of an authority that the
// returned pool trusts.
func certified(t *testing.T, change func(*x509.Certificate)) (url string, roots *x509.CertPool) {
	t.Helper()
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "An Authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "neo"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(0, 3, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	change(leaf)
	signed := func(c *x509.Certificate) []byte {
		return must.Get(x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, key))(t)
	}
	srv := httptest.NewUnstartedServer(answer(405, `{"error":[{"code":"10300","message":"POST only"}]}`))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{signed(leaf)}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	root := must.Get(x509.ParseCertificate(signed(ca)))(t)
	roots = x509.NewCertPool()
	roots.AddCert(root)
	return srv.URL, roots
}

func TestDiagnose_namesWhatIsWrongWithACertificate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		trust  bool
		v      Verdict
		words  []string
	}{
		"good":       {func(*x509.Certificate) {}, true, VerdictGood, []string{"TLS 1.3, signed by An Authority, ends 20", "days"}},
		"ends soon":  {func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 5) }, true, VerdictNote, []string{"it ends soon"}},
		"unknown":    {func(*x509.Certificate) {}, false, VerdictFailed, []string{"signed by An Authority: its issuer is not trusted", "it ends 20", "trust its root certificate"}},
		"has ended":  {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, true, VerdictFailed, []string{"the certificate ended 20", "clock"}},
		"not yet":    {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, true, VerdictFailed, []string{"valid from 20", "clock"}},
		"other name": {func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"neo.example"} }, true, VerdictFailed, []string{"for neo.example, not for 127.0.0.1", "it ends 20"}},
	} {
		t.Run(name, func(t *testing.T) {
			url, roots := certified(t, test.change)
			hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}}
			if test.trust {
				hc.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
			}
			found := Diagnose(t.Context(), Config{Environment: Environment(url), ConsumerKey: "k", HTTPClient: hc}, Subject{})
			for _, words := range test.words {
				wantFinding(t, found, "certificate", test.v, words)
			}
			if of := diagnosed(found, "certificate"); len(of) != 1 {
				t.Errorf("%+v", of)
			}
			if works := len(diagnosed(found, "service")) == 1; works != (test.v != VerdictFailed) {
				t.Errorf("%s", shownFindings(found))
			}
		})
	}
}

func TestDiagnose_asksOnlyTheHostsThatALoginNeeds(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Environment: PROD, ConsumerKey: "k"}, []string{"https://mis.kotaksecurities.com"}},
		{Config{Environment: PROD, ConsumerKey: "k", ConsumerSecret: "s"},
			[]string{"https://napi.kotaksecurities.com", "https://gw-napi.kotaksecurities.com", "https://mis.kotaksecurities.com"}},
		{Config{Environment: PROD, AccessToken: "a"}, []string{"https://gw-napi.kotaksecurities.com", "https://mnapi.kotaksecurities.com"}},
		{Config{Environment: "http://127.0.0.1:9155", ConsumerKey: "k", ConsumerSecret: "s"}, []string{"http://127.0.0.1:9155"}},
		{Config{}, nil},
	} {
		at, _ := test.cfg.check()
		if got := at.hosts(test.cfg); !slices.Equal(got, test.want) {
			t.Errorf("%v, want %v", got, test.want)
		}
	}
}

package oms_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/badhttp"
	"neoapi/internal/login"
	"neoapi/internal/must"
	"neoapi/internal/oms"
)

// A remote is a real OMS over HTTPS that asks for the client's certificate or a
// bearer secret.
type remote struct {
	*httptest.Server
	ca, cert, key string // files

	mu    sync.Mutex
	calls []string // method, path, who, body
}

func startRemote(t *testing.T, mutual bool, answer http.HandlerFunc) *remote {
	t.Helper()
	s := &remote{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("Authorization")
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, strings.TrimSpace(strings.Join([]string{r.Method, r.URL.Path, who, string(body)}, " ")))
		s.mu.Unlock()
		answer(w, r)
	}))
	var clients *x509.CertPool
	s.cert, s.key, clients = certificate(t, "neo")
	if mutual {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})), 0o644)
	return s
}

func (s *remote) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// certificate makes a client's certificate and its key.
func certificate(t *testing.T, name string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der := must.Get(x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key))(t)
	made := must.Get(x509.ParseCertificate(der))(t)
	private := must.Get(x509.MarshalPKCS8PrivateKey(key))(t)
	pool = x509.NewCertPool()
	pool.AddCert(made)
	certFile = write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	keyFile = write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0o600)
	return certFile, keyFile, pool
}

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must.Do(t, os.WriteFile(path, []byte(text), mode))
	return path
}

func load(t *testing.T, text string) login.OMS {
	t.Helper()
	o, _, err := oms.Load(write(t, "oms.yaml", text, 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// oms returns the OMS that a file names by its address and certificate, with more.
func (s *remote) oms(t *testing.T, more string) login.OMS {
	t.Helper()
	return load(t, fmt.Sprintf("url: %s\nca: %s\ncert: %s\nkey: %s\n%s", s.URL, s.ca, s.cert, s.key, more))
}

func home(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, `{"home": "server7"}`)
}

var session = login.OMSSession{SID: "7e57acc0-1111-4000-8000-000000000000", UCC: "AB1234", Consumer: "app", Expires: time.Date(2026, 3, 2, 15, 0, 0, 0, login.IST)}

func TestRemote_opensAndClosesASessionAsDocumented(t *testing.T) {
	const body = `{"ucc":"AB1234","consumer":"app","expires":"2026-03-02T09:30:00Z"}`
	for _, mutual := range []bool{true, false} {
		s := startRemote(t, mutual, home)
		who, how := "neo", fmt.Sprintf("cert: %s\nkey: %s\n", s.cert, s.key)
		if !mutual {
			who, how = "Bearer s3cret", "bearer-file: "+write(t, "secret", "s3cret\n", 0o600)+"\n"
		}
		o := load(t, fmt.Sprintf("url: %s/neo\nca: %s\n%s", s.URL, s.ca, how))
		for range 2 { // idempotent
			got, err := o.Open(t.Context(), session)
			if err != nil || got != "server7" {
				t.Fatalf("home %q, error %v", got, err)
			}
		}
		must.Do(t, o.Close(t.Context(), session.SID))
		put := "PUT /neo/sessions/" + session.SID + " " + who + " " + body
		if got, want := strings.Join(s.seen(), "\n"), put+"\n"+put+"\nDELETE /neo/sessions/"+session.SID+" "+who; got != want {
			t.Errorf("calls:\n%s\nwant:\n%s", got, want)
		}
		if !o.Remote() || o.Home("AB1234") != "server1" {
			t.Errorf("remote %v, home before it is opened %q", o.Remote(), o.Home("AB1234"))
		}
	}
}

func TestRemote_needsTheCertificateThatTheOMSAsksFor(t *testing.T) {
	s := startRemote(t, true, home)
	cert, key, _ := certificate(t, "stranger")
	o := load(t, fmt.Sprintf("url: %s\nca: %s\ncert: %s\nkey: %s\n", s.URL, s.ca, cert, key))
	if _, err := o.Open(t.Context(), session); err == nil || len(s.seen()) > 0 {
		t.Errorf("got error %v after %d calls", err, len(s.seen()))
	}
	o = load(t, fmt.Sprintf("url: %s\ncert: %s\nkey: %s\n", s.URL, s.cert, s.key)) // nor do we take any OMS
	if _, err := o.Open(t.Context(), session); err == nil || len(s.seen()) > 0 {
		t.Errorf("got error %v after %d calls", err, len(s.seen()))
	}
}

func TestRemote_judgesWhateverTheOMSAnswers(t *testing.T) {
	const home7 = `{"home": "server7"}`
	status := func(n int) http.HandlerFunc { return badhttp.Answer(n, home7) }
	text := func(s string) http.HandlerFunc { return badhttp.Answer(200, s) }
	other := startRemote(t, false, home)
	const ok, refused, down = "ok", "refused", "down"
	type row struct {
		name        string
		answer      http.HandlerFunc
		open, close string
	}
	rows := []row{
		{"created", status(201), ok, down},
		{"refused", status(403), refused, refused},
		{"a conflict", status(409), refused, refused},
		{"not found", status(404), refused, ok},
		{"gone", status(410), refused, ok},
		{"no authentication", status(401), down, down},
		{"overloaded", status(503), down, down},
		{"a redirect", badhttp.Answer(307, "", "Location: "+other.URL), down, down},
		{"no JSON", text("server7"), down, ok},
		{"another shape", text(`{"home": 7}`), down, ok},
		{"no home", text(`{}`), down, ok},
		{"a home that is no name", text(`{"home": "a\nb"}`), down, ok},
		{"a huge answer", text(`{"home": "server7"` + strings.Repeat(" ", 10<<20) + `}`), down, down},
	}
	broken := badhttp.BrokenOff(200, home7)
	maps.Copy(broken, badhttp.NoHTTP("x"))
	for name, answer := range broken {
		rows = append(rows, row{"an answer that " + name, answer, down, down})
	}
	for _, x := range rows {
		t.Run(x.name, func(t *testing.T) {
			s := startRemote(t, true, x.answer)
			o := s.oms(t, "")
			judge := func(what string, err error, want string) {
				t.Helper()
				got := down
				switch {
				case err == nil:
					got = ok
				case errors.Is(err, login.ErrRefused):
					got = refused
				case errors.Is(err, context.DeadlineExceeded):
					got = "late"
				}
				if got != want {
					t.Errorf("%s: %s, want %s: %v", what, got, want, err)
				}
			}
			got, err := o.Open(t.Context(), session)
			judge("open", err, x.open)
			if (got != "") != (err == nil) {
				t.Errorf("home %q beside error %v", got, err)
			}
			judge("close", o.Close(t.Context(), session.SID), x.close)
		})
	}
	if len(other.seen()) > 0 {
		t.Errorf("a redirect was followed: %v", other.seen())
	}
}

func TestRemote_givesUpASlowOMSInItsTime(t *testing.T) {
	o := startRemote(t, true, badhttp.Silent).oms(t, "timeout: 200ms\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := o.Open(ctx, session); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("got error %v", err)
	}
}

// That it is asked again is the breaker's promise: see package outward.
func TestRemote_leavesAnOMSThatIsDownAloneForAWhile(t *testing.T) {
	s := startRemote(t, true, badhttp.Answer(500, ""))
	o := s.oms(t, "")
	health := o.(*oms.Remote).Health
	for i := range 8 {
		if open := health() != nil; open != (i >= 5) {
			t.Errorf("after %d failures the breaker is open: %v", i, open)
		}
		if _, err := o.Open(t.Context(), session); err == nil || errors.Is(err, login.ErrRefused) {
			t.Errorf("got error %v", err)
		}
	}
	if n := len(s.seen()); n != 5 {
		t.Errorf("%d calls, want 5", n)
	}
}

func TestConfig_namesEveryProblemAtOnce(t *testing.T) {
	open := write(t, "open", "s3cret", 0o604)
	for name, x := range map[string]struct {
		text string
		want []string
	}{
		"unknown keys":     {"homs: [a]\nurk: b\n", []string{"homs", "urk"}},
		"nothing":          {"timeout: 1s\n", []string{"either homes or url", "either cert and key or bearer-file"}},
		"homes":            {"homes: [a b, c, c]\n", []string{`"a b" is not a name`, `duplicate "c"`}},
		"homes with more":  {"homes: [a]\ntimeout: 1s\n", []string{"homes cannot be combined"}},
		"homes and an url": {"homes: [a]\nurl: https://oms.example.com\nbearer-file: /nowhere\n", []string{"either homes or url", "/nowhere"}},
		"values": {"url: http://oms.example.com?x=1\nhome: a b\nca: /nowhere\ncert: /nowhere2\nkey: " + open + "\ntimeout: 1h\n", []string{
			"url: must begin with https", "ca: ", "cert and key: ", "timeout:", "home: \"a b\"",
		}},
		"an open secret": {"url: https://oms.example.com\nbearer-file: " + open + "\n", []string{"bearer-file: " + open + " is readable by other users"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := oms.Load(write(t, "oms.yaml", x.text, 0o644))
			for _, want := range x.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
	if _, _, err := oms.Load("nowhere.yaml"); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
	o := load(t, "homes: [north, south]\n")
	if got, err := o.Open(t.Context(), session); err != nil || got != o.Home("AB1234") || o.Remote() {
		t.Errorf("home %q, error %v", got, err)
	}
}

package httpapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/certtest"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// serving starts a sandbox with limits and settings that neoapitest does not
// have, on a directory of its own. stop ends it and returns when it has ended;
// the test's end does so too.
func serving(t testing.TB, change func(*serve.Config)) (srv *neoapitest.Server, stop func()) {
	t.Helper()
	return servingIn(t, t.TempDir(), change)
}

func servingIn(t testing.TB, dir string, change func(*serve.Config)) (srv *neoapitest.Server, stop func()) {
	t.Helper()
	return servingAt(t, dir, nil, change)
}

// servingAt is servingIn by a clock of the test's; nil is the machine's.
func servingAt(t testing.TB, dir string, now func() time.Time, change func(*serve.Config)) (srv *neoapitest.Server, stop func()) {
	t.Helper()
	srv, _, stop = servingWithStatus(t, dir, now, change)
	return srv, stop
}

// servingWithStatus returns the operator's own address too, which is nil without
// telemetry.
func servingWithStatus(t testing.TB, dir string, now func() time.Time, change func(*serve.Config)) (srv *neoapitest.Server, status http.Handler, stop func()) {
	t.Helper()
	cfg := serve.Config{Sandbox: true, Paper: true, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	ctx, end := context.WithCancel(context.Background())
	data, err := serve.Open(ctx, place(t, dir), now)
	if err != nil {
		end()
		t.Fatal(err)
	}
	server, err := serve.New(ctx, data, cfg)
	if err != nil {
		end()
		t.Fatal(errors.Join(err, data.Close()))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		end()
		t.Fatal(errors.Join(err, data.Close()))
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, l) }()
	stop = sync.OnceFunc(func() {
		end()
		if err := errors.Join(<-done, data.Close()); err != nil {
			t.Errorf("stopping the service: %v", err)
		}
	})
	t.Cleanup(stop)
	srv = &neoapitest.Server{
		URL: "http://" + l.Addr().String(), ConsumerKey: sandbox.DemoConsumerKey, ConsumerSecret: sandbox.DemoConsumerSecret,
		Account: neoapitest.Account{
			UCC: sandbox.DemoUCC, UserID: sandbox.DemoUserID, Mobile: sandbox.DemoMobile, PAN: sandbox.DemoPAN, GreetingName: sandbox.DemoGreetingName,
			Password: sandbox.DemoPassword, MPIN: sandbox.DemoMPIN, TOTPSeed: sandbox.DemoTOTPSeed,
		},
	}
	if cfg.TLSCert != "" {
		srv.URL = "https://" + l.Addr().String()
	}
	return srv, server.Status(), stop
}

// The authority signs the tests' certificates; trusted is what their clients trust.
var (
	authority = certtest.New("the tests", nil, nil)
	trusted   = authority.Pool()
)

// certificate makes a certificate for 127.0.0.1 by this name, and its key.
func certificate(name string, ends time.Time) (certPEM, keyPEM []byte) {
	return certtest.New(name, authority, func(c *x509.Certificate) { c.NotAfter = ends }).PEM()
}

// withTLS gives a service a certificate in files of its own.
func withTLS(t testing.TB, cfg *serve.Config) {
	t.Helper()
	dir := t.TempDir()
	cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := certificate("first", time.Now().Add(time.Hour))
	write(t, cfg.TLSCert, cert)
	write(t, cfg.TLSKey, key)
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// dial opens a connection to the service, with TLS if it speaks that, for ten
// seconds at most.
func dial(t testing.TB, srv *neoapitest.Server) net.Conn {
	t.Helper()
	scheme, address, _ := strings.Cut(srv.URL, "://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if scheme == "https" {
		return tls.Client(conn, &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1"})
	}
	return conn
}

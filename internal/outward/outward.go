// Package outward is what the couriers and the OMS have in common as things that
// the service calls: strict files of settings, secrets in files of their own, HTTP
// without redirects, and a breaker.
package outward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"go.yaml.in/yaml/v4"

	"neoapi/internal/bounded"
	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/paste"
)

// maxFile is how large a file of settings or with a secret may be.
const maxFile = 256 << 10

// Load reads a YAML file of settings. A key that into does not have is an error,
// and so is a duplicate one: all of them are named at once. open tells
// that others may read the file.
func Load(path string, into any) (open bool, err error) {
	text, mode, err := read(path)
	if err != nil {
		return false, err
	}
	err = yaml.Load(text, into, yaml.WithKnownFields(), yaml.WithUniqueKeys())
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return mode&0o004 != 0, err
}

// Beside makes names of files that are in the file of settings at path relative
// to where that lies, as those in the configuration file are.
func Beside(path string, names ...*string) {
	for _, name := range names {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(filepath.Dir(path), *name)
		}
	}
}

func read(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: is larger than %d bytes", path, maxFile)
	}
	return text, info.Mode().Perm(), err
}

// Secret reads a secret, which is one line of a file that others may not read.
func Secret(path string) (credential.Secret, error) {
	text, mode, err := read(path)
	switch {
	case err != nil:
		return "", err
	case mode&0o007 != 0:
		return "", fmt.Errorf("%s is readable by other users (mode %o): run chmod 600, and replace the secret: it may be known", path, mode)
	}
	if text, err = paste.Text(text); err != nil {
		return "", fmt.Errorf("%s %w", path, err)
	}
	line := strings.TrimRight(string(text), "\r\n")
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("%s: must hold one line, the secret", path)
	}
	return credential.Secret(line), nil
}

// TLS returns the settings of TLS towards a server: ca is a file with the
// certificates that are trusted instead of the system's, cert and key are ours;
// each may be "".
func TLS(ca, cert, key string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var problems []error
	if ca != "" {
		cfg.RootCAs = x509.NewCertPool()
		text, _, err := read(ca)
		if err == nil {
			text, err = paste.Text(text)
		}
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("ca: %w", err))
		case !cfg.RootCAs.AppendCertsFromPEM(text):
			problems = append(problems, fmt.Errorf("ca: %s: holds no certificate in PEM", ca))
		}
	}
	if (cert == "") != (key == "") {
		problems = append(problems, errors.New("cert and key belong together: give both or neither"))
	} else if cert != "" {
		secret, mode, err := read(key)
		if err == nil && mode&0o007 != 0 {
			err = fmt.Errorf("%s is readable by other users (mode %o): run chmod 600, and replace the secret: it may be known", key, mode)
		}
		var shown []byte
		if err == nil {
			shown, _, err = read(cert)
		}
		var pair tls.Certificate
		if err == nil {
			pair, err = paste.KeyPair(shown, secret)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("cert and key: %w", err))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, errors.Join(problems...)
}

// URL checks an address to call: https, or http on this machine alone, without
// user and fragment.
func URL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("url: must be an address such as https://example.com/path, without user and fragment")
	}
	if address, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return nil, errors.New("url: must begin with https, because what is sent there is secret; http is for this machine alone")
	}
	return u, nil
}

// idle is how long a connection waits for the next call: shorter than servers in the
// field wait (5 s and more), so that a call is seldom sent on one that is being closed.
const idle = 4 * time.Second

// Client returns an HTTP client for one server, which it trusts in nothing: it follows
// no redirect, and whatever comes ends with the call's context. What is read of a body
// its reader bounds; it is never decompressed, so that this is what is received. It speaks
// HTTP/1.1, where nothing of a call is left on a connection when the call is given up.
func Client(cfg *tls.Config) *http.Client {
	t := bounded.New()
	t.TLSClientConfig = cfg
	t.MaxIdleConnsPerHost = 16
	t.IdleConnTimeout = idle
	t.DisableCompression = true
	t.Protocols = &http.Protocols{}
	t.Protocols.SetHTTP1(true)
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	return &http.Client{Transport: server{bounded.Transport(t)}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// A server is the way to one server. After a call that failed the next one gets a
// connection of its own: others that are open may be as dead, and one that was not made
// in the call's time is given up, which net/http would go on with for the next call.
type server struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (s server) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		(&http.Client{Transport: s.RoundTripper}).CloseIdleConnections()
	}
	return resp, err
}

// Cause returns what went wrong with a call of [http.Client.Do] without the address
// and without what [net/http] quotes of an answer, which may quote what was sent: only
// errors of the network, of TLS and of the call's own end are told in their words.
func Cause(err error) error {
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, bounded.ErrSwitched):
		return bounded.ErrSwitched
	case errors.As(err, &network):
		return network
	case errors.As(err, &name):
		return name
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &alert):
		return alert
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection ended before the answer")
	}
	return errors.New("the answer cannot be read")
}

// After how many failures in a row a breaker opens, and for how long.
const (
	Failures = 5
	OpenFor  = 10 * time.Second
)

// ErrOpen is what a call gets while the breaker is open.
var ErrOpen = circuitbreaker.ErrOpen

// A Breaker refuses calls for [OpenFor] after five that failed in a row, and then
// lets one through to see. A call that was refused ([login.ErrRefused]) has not
// failed: somebody was there.
type Breaker struct {
	breaker circuitbreaker.CircuitBreaker[any]
	policy  failsafe.Executor[any]
}

// NewBreaker returns a breaker, which is closed. A call that fails is made once
// more, after a moment, if again is true.
func NewBreaker(again bool) *Breaker {
	failed := func(_ any, err error) bool {
		return err != nil && !errors.Is(err, login.ErrRefused) && !errors.Is(err, context.Canceled)
	}
	b := circuitbreaker.NewBuilder[any]().HandleIf(failed).WithFailureThreshold(Failures).WithSuccessThreshold(1).WithDelay(OpenFor).Build()
	policies := []failsafe.Policy[any]{b}
	if again {
		retry := retrypolicy.NewBuilder[any]().WithMaxRetries(1).WithBackoff(250*time.Millisecond, time.Second).ReturnLastFailure().
			HandleIf(func(x any, err error) bool { return failed(x, err) && !errors.Is(err, ErrOpen) }).Build()
		policies = []failsafe.Policy[any]{retry, b}
	}
	return &Breaker{b, failsafe.With(policies...)}
}

// Do makes a call, each try within a time.
func (b *Breaker) Do(ctx context.Context, within time.Duration, call func(ctx context.Context) error) error {
	return b.policy.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) error {
		ctx, cancel := context.WithTimeout(e.Context(), within)
		defer cancel()
		return call(ctx)
	})
}

// Open reports whether the next call would be refused.
func (b *Breaker) Open() bool { return b.breaker.IsOpen() && b.breaker.RemainingDelay() > 0 }

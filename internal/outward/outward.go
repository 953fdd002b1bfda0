// Package outward has what the service's calls to couriers and the OMS share: strict
// settings files, secrets in separate files, HTTP without redirects, and a circuit
// breaker.
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

	"go.yaml.in/yaml/v4"

	"neoapi/internal/bounded"
	"neoapi/internal/credential"
	"neoapi/internal/paste"
)

// maxFile limits the size of a file with settings or a secret.
const maxFile = 256 << 10

// Load reads a YAML file of settings. A key that into does not have is an error, and
// so is a duplicate one; all of them are named at once. open reports that other users
// can read the file.
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

// Beside makes file names from the settings file at path relative to its directory,
// like those in the configuration file.
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

// TLS returns the TLS configuration for calling a server: ca is a file of
// certificates trusted instead of the system's, cert and key are the client
// certificate's files; each may be "".
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
			problems = append(problems, fmt.Errorf("ca: %s: contains no PEM certificate", ca))
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

// idle is how long a connection is kept for the next call. Servers usually keep them
// for 5 s or more, so few calls are sent on a connection that is being closed.
const idle = 4 * time.Second

// Client returns an HTTP client for one server that may be hostile. It follows no
// redirect, and every answer ends with the call's context. The reader of a body limits
// it; the client never decompresses, so the limit is on what is received. It speaks
// HTTP/1.1, where a call that is given up leaves nothing on a connection.
func Client(cfg *tls.Config) *http.Client {
	t := bounded.New()
	t.TLSClientConfig = cfg
	t.MaxIdleConnsPerHost = 16
	t.IdleConnTimeout = idle
	t.Protocols = &http.Protocols{}
	t.Protocols.SetHTTP1(true)
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	return &http.Client{Transport: server{bounded.Transport(t)}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// A server sends requests to one server. After a failed call the next one gets a new
// connection: others that are open may be dead too, and net/http would go on making the one
// that the failed call did not get in time.
type server struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (s server) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		s.CloseIdleConnections()
	}
	return resp, err
}

// CloseIdleConnections makes [http.Client.CloseIdleConnections] work.
func (s server) CloseIdleConnections() {
	(&http.Client{Transport: s.RoundTripper}).CloseIdleConnections()
}

// Cause returns what went wrong with a call of [http.Client.Do], without the address
// and without text that [net/http] quotes from an answer, which may quote what was
// sent: only errors of the network, of TLS and of the context keep their text.
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

package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"neoapi/internal/paste"
)

// ist is India's time zone, in which the end of a certificate is reported.
var ist = time.FixedZone("IST", 5*60*60+30*60)

// certificateRecheck is how often the certificate's files are checked for changes, and
// certificateWait how long the handshake that does so waits for them.
const (
	certificateRecheck = time.Second
	certificateWait    = 200 * time.Millisecond
)

// A Certificate is the service's certificate and its key. It is read again when its
// files change, so that a renewal needs no restart; a pair that cannot be used is
// logged, and the old one stays in use, also while a file system does not answer.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	version           [2]version // of the files when they were last read; only renew uses it

	mu      sync.Mutex
	looked  time.Time
	looking bool
	pair    *tls.Certificate
}

// A version distinguishes one content of a file from the next.
type version struct {
	changed time.Time
	size    int64
}

// LoadCertificate reads a certificate, with its chain, and its key, both as PEM.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, looked: time.Now()}
	var err error
	c.version = c.versions()
	c.pair, err = c.load()
	return c, err
}

func (c *Certificate) versions() (v [2]version) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil { // reading the file will report what is wrong with it
			v[i] = version{info.ModTime(), info.Size()}
		}
	}
	return v
}

func (c *Certificate) load() (*tls.Certificate, error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		err = fmt.Errorf("TLS certificate: %w", err)
	}
	key, kerr := c.loadKey()
	if err := errors.Join(err, kerr); err != nil {
		return nil, err
	}
	pair, err := paste.KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %s and %s are not a usable pair: %w", c.certFile, c.keyFile, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("TLS certificate: %s has expired on %s", c.certFile, pair.Leaf.NotAfter.In(ist).Format("2006-01-02 15:04:05 MST"))
	}
	return &pair, nil
}

// loadAgain is load for files only: opening a pipe would wait for who writes to it.
func (c *Certificate) loadAgain() (*tls.Certificate, error) {
	for _, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a file", name)
		}
	}
	return c.load()
}

func (c *Certificate) loadKey() ([]byte, error) {
	info, err := os.Stat(c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("TLS key: %s is readable by other users (mode %o): run chmod 600, and replace the secret: it may be known", c.keyFile, info.Mode().Perm())
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	return key, nil
}

// current returns the pair to use now.
func (c *Certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looking || time.Since(c.looked) < certificateRecheck {
		return c.pair, nil
	}
	c.looked, c.looking = time.Now(), true
	done := make(chan struct{})
	go c.renew(done)
	c.mu.Unlock()
	select {
	case <-done:
	case <-time.After(certificateWait):
	}
	c.mu.Lock()
	return c.pair, nil
}

// renew reads the files again if they have changed.
func (c *Certificate) renew(done chan<- struct{}) {
	defer close(done)
	var pair *tls.Certificate
	if now := c.versions(); now != c.version {
		c.version = now
		var err error
		if pair, err = c.loadAgain(); err != nil {
			c.log.Error("the new TLS certificate cannot be used: the old one stays in use", "cause", err)
		} else {
			c.log.Info("new TLS certificate", "ends", pair.Leaf.NotAfter)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looking = false
	if pair != nil {
		c.pair = pair
	}
}

// Config returns the configuration of a listener with this certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: c.current,
	}
}

// Package certtest makes certificates for tests.
//
// Start with [New].
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Pair is a certificate and its key.
type Pair struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes a certificate for a server at 127.0.0.1 or a client of this name, good from
// an hour ago for a day, or as change has it. Another pair signs it; if that is nil, it
// signs itself, and may sign others. It panics if it cannot make one.
func New(name string, by *Pair, change func(*x509.Certificate)) *Pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &Pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, &key.PublicKey, by.key)
	check(err)
	made, err := x509.ParseCertificate(der)
	check(err)
	return &Pair{made, key}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// PEM returns the certificate and the key as files hold them.
func (p *Pair) PEM() (cert, key []byte) {
	plain, err := x509.MarshalPKCS8PrivateKey(p.key)
	check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain})
}

// Write writes the certificate and the key into a directory, as NAME.pem and NAME.key.
func (p *Pair) Write(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	name := p.Certificate.Subject.CommonName
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	certText, keyText := p.PEM()
	for path, text := range map[string][]byte{cert: certText, key: keyText} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Pool trusts what the pair has signed.
func (p *Pair) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate)
	return pool
}

// TLS returns the pair as a server or a client shows it.
func (p *Pair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Certificate.Raw}, PrivateKey: p.key}
}

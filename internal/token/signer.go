package token

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
)

// goSigner names Go's own RSA, which is always available.
const goSigner = "crypto/rsa"

// Signer returns the name of what signs tokens in this program: "crypto/rsa", or
// "openssl" and its version in a build for OpenSSL (-tags openssl) that finds the
// library.
func Signer() string {
	if name, err := library(); err == nil {
		return name
	}
	return goSigner
}

// A signer signs with one private key, through Go or OpenSSL.
type signer struct {
	crypto.Signer
	name     string // see [Signer]
	fallback error  // why Go signs in a build for OpenSSL
}

// newSigner returns the signer for a private key. It uses the library only if that makes
// the same signature as Go, byte for byte.
func newSigner(private *rsa.PrivateKey) signer {
	name, err := library()
	if err == nil && name != goSigner {
		var s crypto.Signer
		if s, err = newLibrarySigner(private); err == nil {
			err = same(s, private)
		}
		if err == nil {
			return signer{s, name, nil}
		}
	}
	return signer{private, goSigner, err}
}

// same returns an error unless two signers make the same signature.
func same(a, b crypto.Signer) error {
	digest := sha256.Sum256([]byte("a known answer"))
	want, err := b.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	got, err := a.Sign(nil, digest[:], crypto.SHA256)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("the signature differs from that of %s", goSigner)
	}
	return err
}

package token

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
)

// goSigner names Go's own RSA, which needs nothing but this program.
const goSigner = "crypto/rsa"

// Signer returns what signs tokens in this program: "crypto/rsa", or "openssl" and
// its version in a build for OpenSSL (-tags openssl) that finds the library.
func Signer() string {
	if name, err := library(); err == nil {
		return name
	}
	return goSigner
}

// A signer signs with one private key, whoever does the arithmetic.
type signer struct {
	crypto.Signer
	name     string // see [Signer]
	fallback error  // why it is Go that signs, in a build for OpenSSL
}

// newSigner returns what signs with a private key. The library has to show first that
// it makes the same signature as Go does, byte by byte.
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
		err = fmt.Errorf("it signs otherwise than %s", goSigner)
	}
	return err
}

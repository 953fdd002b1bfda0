//go:build !openssl

package token

import (
	"crypto"
	"crypto/rsa"
)

func library() (name string, err error) { return goSigner, nil }

func newLibrarySigner(private *rsa.PrivateKey) (crypto.Signer, error) { return private, nil }

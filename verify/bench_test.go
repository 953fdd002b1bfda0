package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/verify"
)

// What a token costs at first sight is to be held against BenchmarkRS256.
func BenchmarkFirstSight(b *testing.B) {
	srv := neoapitest.NewServer(b)
	s := session(b, srv)
	// A token is new to a verifier that has not seen it; to make a verifier costs
	// more than a token, so the same one forgets.
	v := verifier(b, srv, srv.URL, nil)
	for b.Loop() {
		verify.Forget(v)
		must.Get(v.Verify(b.Context(), s.SID, s.Token))(b)
	}
}

func BenchmarkRS256(b *testing.B) {
	key := must.Get(rsa.GenerateKey(rand.Reader, 2048))(b)
	digest := sha256.Sum256([]byte("x"))
	mark := must.Get(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]))(b)
	for b.Loop() {
		must.Do(b, rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], mark))
	}
}

func BenchmarkKnownToken(b *testing.B) {
	srv := neoapitest.NewServer(b)
	s := session(b, srv)
	v := verifier(b, srv, srv.URL, nil)
	b.ReportAllocs()
	for b.Loop() {
		must.Get(v.Verify(b.Context(), s.SID, s.Token))(b)
	}
}

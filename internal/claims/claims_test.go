package claims_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"neoapi/internal/claims"
	"neoapi/internal/must"
)

func TestVerify_takesOneSpellingOnly(t *testing.T) {
	key := must.Get(rsa.GenerateKey(rand.Reader, 2048))(t)
	compact := must.Get(claims.Sign(claims.Header("kid"), []byte(`{"a":1}`), key))(t)
	if payload, ok := claims.Verify(compact, &key.PublicKey); !ok || string(payload) != `{"a":1}` {
		t.Errorf("the token itself: %q, %t", payload, ok)
	}
	header := claims.HeaderOf(compact)
	for _, bad := range []string{
		"", ".", "..", "...", header, header + ".", header + "..", compact[:len(compact)-1], compact + "=", compact + ".", compact + ".x",
		"\n" + compact, compact[:len(compact)-2] + "\n" + compact[len(compact)-2:], "x" + compact,
	} {
		if _, ok := claims.Verify(bad, &key.PublicKey); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

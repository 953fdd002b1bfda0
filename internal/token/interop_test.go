package token

import (
	"crypto"
	"testing"
	"time"

	"neoapi/internal/must"

	"neoapi/internal/claims"

	"github.com/go-jose/go-jose/v4"
)

// A verifier that nobody here wrote must accept our tokens by the public key alone.
func TestAnotherLibraryVerifiesOurTokens(t *testing.T) {
	key := must.Get(NewKey(Bits2048))(t)
	ring := must.Get(NewRing([]Key{key}, key.ID))(t)
	now := time.Now().Unix()
	compact := must.Get(ring.Mint(key.ID, claims.Trade{Scope: []string{claims.ScopeTrade}, Exp: now + 3600, Iat: now, Jti: "j", Iss: claims.Issuer, Sub: "TESTYA24"}))(t)
	jws := must.Get(jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256}))(t)
	if _, err := jws.Verify(&key.Private.PublicKey); err != nil {
		t.Error(err)
	}
	sum, err := (&jose.JSONWebKey{Key: key.Private.Public()}).Thumbprint(crypto.SHA256)
	if h := jws.Signatures[0].Header; err != nil || h.KeyID != key.ID || len(sum) == 0 || h.Algorithm != "RS256" {
		t.Errorf("the header names %s by %s, %v", h.KeyID, h.Algorithm, err)
	}
}

package token

import (
	"crypto"
	"encoding/base64"
	"testing"

	"neoapi/internal/must"

	"github.com/go-jose/go-jose/v4"
)

// A verifier that nobody here wrote accepts our tokens by the public key alone.
func TestToken_isVerifiedByAnotherLibrary(t *testing.T) {
	public := &ours().Private.PublicKey
	jws := must.Get(jose.ParseSignedCompact(mint(t, ring(t), seedClaims()), []jose.SignatureAlgorithm{jose.RS256}))(t)
	must.Get(jws.Verify(public))(t)
	name := base64.RawURLEncoding.EncodeToString(must.Get((&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256))(t))
	if h := jws.Signatures[0].Header; h.KeyID != name || h.Algorithm != "RS256" {
		t.Errorf("the header names %s by %s, want %s", h.KeyID, h.Algorithm, name)
	}
}

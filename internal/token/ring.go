// Package token mints and judges the JSON Web Tokens of the protocol: the view
// token that the first factor gives and the trade token that the second gives.
//
// Start with [Ring]: it holds the signing keys and knows which one is active.
// Nothing here reads a clock, a store or the network; a token never makes the
// service fetch anything (bar J2).
package token

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"neoapi/internal/wire"
)

// The errors of judging. They say what is wrong with a token, never what is in it.
var (
	// ErrInvalid means no token of ours: malformed, altered, signed by a foreign
	// key or algorithm, or with claims that we do not issue.
	ErrInvalid = errors.New("token is not valid")
	// ErrKind means a good token of the other kind: a view token where a trade
	// token belongs, or the reverse (bar S1).
	ErrKind = errors.New("token is of the wrong kind")
	// ErrExpired means a good token whose time is over.
	ErrExpired = errors.New("token has expired")
)

// maxToken bounds what is parsed at all; ours are under 1,000 bytes.
const maxToken = 4096

// skew is how far in the future an iat may lie, for clocks of several machines
// (bar J3). An exp has no such allowance: it holds to the second (S3).
const skew = 60 * time.Second

// A Key is a signing key. Its ID stands in the header of every token it signed.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// NewKey generates a 2,048 bit RSA key, named by its RFC 7638 thumbprint.
func NewKey() (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Key{}, err
	}
	return withThumbprint(private)
}

// ParseKey reads a key that MarshalKey wrote.
func ParseKey(pkcs8 []byte) (Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return Key{}, fmt.Errorf("signing key: %w", err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("signing key: want RSA, have %T", parsed)
	}
	return withThumbprint(private)
}

// MarshalKey returns a key as PKCS #8, to be sealed before it is stored.
func MarshalKey(k Key) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.Private) }

func withThumbprint(private *rsa.PrivateKey) (Key, error) {
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: base64.RawURLEncoding.EncodeToString(sum), Private: private}, nil
}

// A Ring holds the keys of a service: one active key signs, all of them judge.
// Its keys do not change. It remembers tokens that it signed or verified, so that
// most are verified once. A Ring is safe for concurrent use.
type Ring struct {
	active   string
	keys     map[string]ringKey
	byHeader map[string]ringKey // by the first segment of the tokens it signs
	good     memory
}

type ringKey struct {
	signer jose.Signer
	public *rsa.PublicKey
}

// NewRing returns a ring of keys; active names the one that signs.
func NewRing(keys []Key, active string) (*Ring, error) {
	r := &Ring{active: active, keys: map[string]ringKey{}, byHeader: map[string]ringKey{}}
	for _, k := range keys {
		signer, err := jose.NewSigner(
			jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}},
			(&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		r.keys[k.ID] = ringKey{signer, &k.Private.PublicKey}
		sample, err := r.Mint(k.ID, struct{}{})
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		header, _, _ := strings.Cut(sample, ".")
		r.byHeader[header] = r.keys[k.ID]
	}
	if _, ok := r.keys[active]; !ok {
		return nil, errors.New("the key ring has no active key")
	}
	return r, nil
}

// Active returns the id of the key that signs new tokens.
func (r *Ring) Active() string { return r.active }

// Mint signs claims with the key kid and returns the compact token. RS256 is
// deterministic: the same claims and key give the same token again. It fails if
// the ring does not hold that key any more.
func (r *Ring) Mint(kid string, claims any) (string, error) {
	key, ok := r.keys[kid]
	if !ok {
		return "", errors.New("the signing key of this token is gone")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := key.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	compact, err := jws.CompactSerialize()
	if err == nil {
		r.good.add(compact, payload)
	}
	return compact, err
}

// View judges a view token at now: ErrInvalid, ErrKind or ErrExpired.
func (r *Ring) View(compact string, now time.Time) (wire.ViewClaims, error) {
	var c wire.ViewClaims
	payload, err := r.verify(compact)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, ErrInvalid
	}
	return c, judge(c.Scope, wire.ScopeView, c.Iss, c.Sub, c.Jti, c.Iat, c.Exp, now)
}

// Trade judges a trade token at now: ErrInvalid, ErrKind or ErrExpired.
func (r *Ring) Trade(compact string, now time.Time) (wire.TradeClaims, error) {
	var c wire.TradeClaims
	payload, err := r.verify(compact)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, ErrInvalid
	}
	return c, judge(c.Scope, wire.ScopeTrade, c.Iss, c.Sub, c.Jti, c.Iat, c.Exp, now)
}

// verify checks the signature of a compact token by the key of its header and
// returns the payload. The header must be one that this ring writes, to the
// letter: another algorithm, a key, an address or a crit in it are refused and
// never looked at (bar J1, J2).
func (r *Ring) verify(compact string) ([]byte, error) {
	if len(compact) > maxToken {
		return nil, ErrInvalid
	}
	if payload, ok := r.good.get(compact); ok {
		return payload, nil
	}
	if !canonical(compact) {
		return nil, ErrInvalid
	}
	header, _, _ := strings.Cut(compact, ".")
	key, ok := r.byHeader[header]
	if !ok {
		return nil, ErrInvalid
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, ErrInvalid
	}
	payload, err := jws.Verify(key.public)
	if err != nil {
		return nil, ErrInvalid
	}
	r.good.add(compact, payload)
	return payload, nil
}

// canonical tells whether a compact token is spelled as Mint spells it. The
// library reads over white space, padding and unused bits: one token would have
// many spellings.
func canonical(compact string) bool {
	for part := range strings.SplitSeq(compact, ".") {
		if strings.ContainsAny(part, "\r\n") {
			return false
		}
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}

func judge(scope []string, want, iss, sub, jti string, iat, exp int64, now time.Time) error {
	if iss != wire.Issuer || sub == "" || jti == "" || iat <= 0 || exp <= iat || len(scope) != 1 {
		return ErrInvalid
	}
	if !slices.Contains([]string{wire.ScopeView, wire.ScopeTrade}, scope[0]) || time.Unix(iat, 0).After(now.Add(skew)) {
		return ErrInvalid
	}
	if scope[0] != want {
		return ErrKind
	}
	if now.Unix() >= exp {
		return ErrExpired
	}
	return nil
}

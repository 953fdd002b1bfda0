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
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	// ErrKeyGone means that a ring does not hold the key a token is to be signed with.
	ErrKeyGone = errors.New("the signing key of this token is gone")
)

// maxToken bounds what is parsed at all; ours are under 1,000 bytes.
const maxToken = 4096

// A Key is a signing key. Its ID stands in the header of every token it signed.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// The sizes of keys that are made. Both sign by RS256.
const (
	Bits2048 = 2048
	Bits3072 = 3072
)

// NewKey generates an RSA key of so many bits, named by its RFC 7638 thumbprint.
func NewKey(bits int) (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
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
// Its keys do not change: new keys make a new ring. It remembers tokens that it signed or verified, so that
// most are verified once. A Ring is safe for concurrent use.
type Ring struct {
	active   string
	keys     map[string]ringKey
	byHeader map[string]ringKey // by the first segment of the tokens it signs
	public   []byte
	good     memory
}

type ringKey struct {
	private *rsa.PrivateKey
	header  string // the first segment of every token it signs
}

// NewRing returns a ring of keys; active names the one that signs.
func NewRing(keys []Key, active string) (*Ring, error) {
	r := &Ring{active: active, keys: map[string]ringKey{}, byHeader: map[string]ringKey{}}
	var set jose.JSONWebKeySet
	for _, k := range keys {
		key := ringKey{k.Private, headerOf(k.ID)}
		r.keys[k.ID], r.byHeader[key.header] = key, key
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: "RS256", Use: "sig"})
	}
	if _, ok := r.keys[active]; !ok {
		return nil, errors.New("the key ring has no active key")
	}
	var err error
	r.public, err = json.Marshal(set)
	return r, err
}

// headerOf returns the first segment of every token that a key signs.
func headerOf(kid string) string {
	header, _ := json.Marshal(struct { // strings always have a form
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{"RS256", kid, "JWT"})
	return base64.RawURLEncoding.EncodeToString(header)
}

// JWKS returns the public halves of all keys as a JSON Web Key Set (RFC 7517).
func (r *Ring) JWKS() []byte { return r.public }

// Active returns the id of the key that signs new tokens.
func (r *Ring) Active() string { return r.active }

// IDs returns the ids of all keys.
func (r *Ring) IDs() []string { return slices.Collect(maps.Keys(r.keys)) }

// Mint signs claims with the key kid and returns the compact token. RS256 is
// deterministic: the same claims and key give the same token again. ErrKeyGone if
// the ring does not hold that key.
func (r *Ring) Mint(kid string, claims any) (string, error) {
	key, ok := r.keys[kid]
	if !ok {
		return "", ErrKeyGone
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := key.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key.private, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	compact := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	r.good.add(compact, payload)
	return compact, nil
}

// View judges a view token at now: ErrInvalid, ErrKind or ErrExpired.
func (r *Ring) View(compact string, now time.Time) (wire.ViewClaims, error) {
	var c wire.ViewClaims
	good, err := r.verify(compact)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(good.payload, &c); err != nil {
		return c, ErrInvalid
	}
	return c, judge(c.Scope, wire.ScopeView, c.Iss, c.Sub, c.Jti, c.Iat, c.Exp, now)
}

// Trade judges a trade token at now: ErrInvalid, ErrKind or ErrExpired.
func (r *Ring) Trade(compact string, now time.Time) (wire.TradeClaims, error) {
	var c wire.TradeClaims
	good, err := r.verify(compact)
	if err != nil {
		return c, err
	}
	if read := good.trade.Load(); read != nil {
		c = *read
	} else if err := json.Unmarshal(good.payload, &c); err != nil {
		return c, ErrInvalid
	} else {
		good.trade.Store(&c)
	}
	return c, judge(c.Scope, wire.ScopeTrade, c.Iss, c.Sub, c.Jti, c.Iat, c.Exp, now)
}

// verify checks the signature of a compact token by the key of its header and
// returns what is remembered of it. The header must be one that this ring writes, to the
// letter: another algorithm, a key, an address or a crit in it are refused and
// never looked at (bar J1, J2).
func (r *Ring) verify(compact string) (*goodToken, error) {
	if len(compact) > maxToken {
		return nil, ErrInvalid
	}
	if good, ok := r.good.get(compact); ok {
		return good, nil
	}
	header, rest, _ := strings.Cut(compact, ".")
	body, mark, ok := strings.Cut(rest, ".")
	key, known := r.byHeader[header]
	if !ok || !known {
		return nil, ErrInvalid
	}
	payload, ok1 := decode(body)
	signature, ok2 := decode(mark)
	digest := sha256.Sum256([]byte(compact[:len(header)+1+len(body)]))
	if !ok1 || !ok2 || rsa.VerifyPKCS1v15(&key.private.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return nil, ErrInvalid
	}
	return r.good.add(compact, payload), nil
}

// Unknown tells whether a token is of the form that this ring writes, to the
// letter, but names a key that the ring does not hold: one newer than the ring,
// perhaps.
func (r *Ring) Unknown(compact string) bool {
	header, _, _ := strings.Cut(compact, ".")
	if _, known := r.byHeader[header]; known || len(compact) > maxToken {
		return false
	}
	plain, ok := decode(header)
	var h struct {
		Kid string `json:"kid"`
	}
	return ok && json.Unmarshal(plain, &h) == nil && len(h.Kid) == base64.RawURLEncoding.EncodedLen(sha256.Size) && headerOf(h.Kid) == header
}

// decode reads base64url as Mint writes it, to the letter: no padding, no white
// space, no unused bits. A token has one spelling.
func decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil
}

// judge checks claims. Their iat is not compared with the clock, which may have been
// set back since: whoever asks compares it with the record of the session (J3). An
// exp holds to the second (S3).
func judge(scope []string, want, iss, sub, jti string, iat, exp int64, now time.Time) error {
	if iss != wire.Issuer || sub == "" || jti == "" || iat <= 0 || exp <= iat || len(scope) != 1 {
		return ErrInvalid
	}
	if !slices.Contains([]string{wire.ScopeView, wire.ScopeTrade}, scope[0]) {
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

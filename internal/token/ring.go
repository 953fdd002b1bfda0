// Package token mints and judges the JSON Web Tokens of the protocol: the view
// token that the first factor gives and the trade token that the second gives.
//
// Start with [Ring]: it holds the signing keys and knows which one is active.
// Nothing here reads a clock, a store or the network; a token never makes the
// service fetch anything (security.md J2).
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
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"neoapi/internal/claims"
)

// ErrKeyGone means that a ring does not hold the key a token is to be signed with.
var ErrKeyGone = errors.New("the signing key of this token is gone")

// A Key is a signing key. Its ID is in the header of every token it signed.
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
	signer
	public *rsa.PublicKey
	header string // the first segment of every token it signs
}

// NewRing returns a ring of keys; active names the one that signs.
func NewRing(keys []Key, active string) (*Ring, error) {
	r := &Ring{active: active, keys: map[string]ringKey{}, byHeader: map[string]ringKey{}}
	var set jose.JSONWebKeySet
	for _, k := range keys {
		key := ringKey{newSigner(k.Private), &k.Private.PublicKey, claims.Header(k.ID)}
		r.keys[k.ID], r.byHeader[key.header] = key, key
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.public, KeyID: k.ID, Algorithm: "RS256", Use: "sig"})
	}
	if _, ok := r.keys[active]; !ok {
		return nil, errors.New("the key ring has no active key")
	}
	var err error
	r.public, err = json.Marshal(set)
	return r, err
}

// JWKS returns the public halves of all keys as a JSON Web Key Set (RFC 7517).
func (r *Ring) JWKS() []byte { return r.public }

// Active returns the id of the key that signs new tokens.
func (r *Ring) Active() string { return r.active }

// Signer names what signs new tokens, as the function [Signer] does. In a build for
// OpenSSL, fallback is why it is Go all the same.
func (r *Ring) Signer() (name string, fallback error) {
	active := r.keys[r.active]
	return active.name, active.fallback
}

// IDs returns the ids of all keys.
func (r *Ring) IDs() []string { return slices.Collect(maps.Keys(r.keys)) }

// Mint signs the claims c with the key kid and returns the compact token. RS256 is
// deterministic: the same claims and key give the same token again. ErrKeyGone if
// the ring does not hold that key.
func (r *Ring) Mint(kid string, c any) (string, error) {
	key, ok := r.keys[kid]
	if !ok {
		return "", ErrKeyGone
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	compact, err := claims.Sign(key.header, payload, key)
	if err != nil {
		return "", err
	}
	good := r.good.add(compact, payload)
	switch c := c.(type) { // they are judged as they were signed
	case claims.View:
		good.view.Store(&c)
	case claims.Trade:
		good.trade.Store(&c)
	}
	return compact, nil
}

// View checks a view token at now: claims.ErrInvalid, ErrKind or ErrExpired.
func (r *Ring) View(compact string, now time.Time) (claims.View, error) {
	var c claims.View
	good, err := r.verify(compact)
	if err != nil {
		return c, err
	}
	if read := good.view.Load(); read != nil {
		c = *read
	} else if err := json.Unmarshal(good.payload, &c); err != nil {
		return c, claims.ErrInvalid
	} else {
		good.view.Store(&c)
	}
	return c, claims.Check(c.Common(), claims.ScopeView, now.Unix())
}

// Trade checks a trade token at now: claims.ErrInvalid, ErrKind or ErrExpired.
func (r *Ring) Trade(compact string, now time.Time) (claims.Trade, error) {
	var c claims.Trade
	good, err := r.verify(compact)
	if err != nil {
		return c, err
	}
	if read := good.trade.Load(); read != nil {
		c = *read
	} else if err := json.Unmarshal(good.payload, &c); err != nil {
		return c, claims.ErrInvalid
	} else {
		good.trade.Store(&c)
	}
	return c, claims.Check(c, claims.ScopeTrade, now.Unix())
}

// verify checks the signature of a compact token by the key of its header and
// returns what is remembered of it.
func (r *Ring) verify(compact string) (*goodToken, error) {
	if len(compact) > claims.MaxToken {
		return nil, claims.ErrInvalid
	}
	if good, ok := r.good.get(compact); ok {
		return good, nil
	}
	key, known := r.byHeader[claims.HeaderOf(compact)]
	if !known {
		return nil, claims.ErrInvalid
	}
	payload, ok := claims.Verify(compact, key.public)
	if !ok {
		return nil, claims.ErrInvalid
	}
	return r.good.add(compact, payload), nil
}

// Unknown reports whether a token is spelt as this ring spells tokens, but names a
// key that the ring does not hold: a newer one, perhaps.
func (r *Ring) Unknown(compact string) bool {
	header := claims.HeaderOf(compact)
	_, known := r.byHeader[header]
	return !known && len(compact) <= claims.MaxToken && claims.IsHeader(header)
}

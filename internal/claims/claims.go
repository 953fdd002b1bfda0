// Package claims defines the JSON Web Tokens of the service exactly: their claims,
// their encoding, and how they are checked. Both the service's key ring and package
// verify, which checks tokens elsewhere, use it, so that the two cannot drift apart.
//
// Start with [Verify] for a signature and [Check] for the claims. Nothing here reads
// a clock, a store or the network.
package claims

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// The fixed values of the claims.
const (
	Issuer           = "login-service"
	ScopeView        = "View"
	ScopeTrade       = "Trade"
	ScopeIdentity    = "Identity"
	ScopeConsumer    = "Consumer" // of an identity without a session
	IdentityAudience = "trade-api"
)

// MaxToken is the longest token that is parsed, in bytes. Ours are under 1,000.
const MaxToken = 4096

// View is the payload of a view token, in the order that existing clients know.
type View struct {
	Scope            []string `json:"scope"`
	Exp              int64    `json:"exp"`
	Jti              string   `json:"jti"`
	Iat              int64    `json:"iat"`
	Iss              string   `json:"iss"`
	Sub              string   `json:"sub"` // the account's UUID
	UCC              string   `json:"ucc"`
	FetchCachingRule int      `json:"fetchcachingrule"`
	Categorisation   string   `json:"categorisation"`
}

// Trade is the payload of a trade token, in the same order.
type Trade struct {
	Scope            []string `json:"scope"`
	Exp              int64    `json:"exp"`
	Jti              string   `json:"jti"` // see [TradeID]
	Iat              int64    `json:"iat"`
	Iss              string   `json:"iss"`
	Sub              string   `json:"sub"` // the UCC
	FetchCachingRule int      `json:"fetchcachingrule"`
	Categorisation   string   `json:"categorisation"`
}

// Identity is the payload of the header Neo-Identity: what the service asserts to the
// trade API about a session that it has checked, or with the scope Consumer and
// neither sub nor sid about a consumer alone. Scope and audience distinguish it
// from users' tokens.
type Identity struct {
	Scope    []string `json:"scope"`
	Exp      int64    `json:"exp"`
	Iat      int64    `json:"iat"`
	Iss      string   `json:"iss"`
	Aud      string   `json:"aud"`
	Sub      string   `json:"sub,omitempty"` // the UCC
	SID      string   `json:"sid,omitempty"`
	Home     string   `json:"hsServerId,omitempty"`
	Consumer string   `json:"consumer"`
}

// TradeID returns the jti of the trade token of a sid, a UUID of version 8, with
// which verifiers check whether a sid belongs to the token. It does not reveal the
// sid.
func TradeID(sid string) string {
	sum := sha256.Sum256([]byte("neo trade token " + sid))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	var id [36]byte
	hex.Encode(id[0:], sum[0:4])
	hex.Encode(id[9:], sum[4:6])
	hex.Encode(id[14:], sum[6:8])
	hex.Encode(id[19:], sum[8:10])
	hex.Encode(id[24:], sum[10:16])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
	return string(id[:])
}

// Header returns the first segment of every token that the key kid signs. A token
// with any other header is refused: there is no algorithm to choose, no key to take
// from it and no address to fetch (security.md J1, J2).
func Header(kid string) string {
	header, _ := json.Marshal(struct { // strings always marshal
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{"RS256", kid, "JWT"})
	return Encode(header)
}

// HeaderOf returns the first segment of a token.
func HeaderOf(compact string) string {
	header, _, _ := strings.Cut(compact, ".")
	return header
}

// IsHeader reports whether header is one that [Header] returns, for any key.
func IsHeader(header string) bool {
	if len(header) > MaxToken {
		return false
	}
	plain, ok := Decode(header)
	var h struct {
		Kid string `json:"kid"`
	}
	return ok && json.Unmarshal(plain, &h) == nil && len(h.Kid) == base64.RawURLEncoding.EncodedLen(sha256.Size) && Header(h.Kid) == header
}

// Encode returns base64url without padding.
func Encode(plain []byte) string { return base64.RawURLEncoding.EncodeToString(plain) }

// Decode decodes exactly what Encode returns: no padding, no white space, no unused
// bits. A token has only one encoding.
func Decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil
}

// Verify returns the payload of a compact token whose header is that of key, and
// reports whether its spelling and its RS256 signature are right.
func Verify(compact string, key *rsa.PublicKey) (payload []byte, ok bool) {
	_, rest, _ := strings.Cut(compact, ".")
	body, mark, ok := strings.Cut(rest, ".")
	payload, ok1 := Decode(body)
	signature, ok2 := Decode(mark)
	if !ok || !ok1 || !ok2 || len(compact) > MaxToken {
		return nil, false
	}
	digest := sha256.Sum256([]byte(compact[:len(compact)-len(mark)-1]))
	return payload, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

// Sign returns the compact token of a payload. RS256 is deterministic: the same
// header, payload and key give the same token again.
func Sign(header string, payload []byte, key crypto.Signer) (string, error) {
	signed := header + "." + Encode(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return "", err
	}
	return signed + "." + Encode(signature), nil
}

// The errors of Check. They say what is wrong with a token, never what is in it.
var (
	// ErrInvalid means that it is not one of our tokens: malformed, altered, signed by a
	// foreign key or algorithm, or with claims that the service does not issue.
	ErrInvalid = errors.New("token is not valid")
	// ErrKind means a valid token of the other kind: a view token where a trade token
	// belongs, or the reverse (security.md S1).
	ErrKind = errors.New("token is of the wrong kind")
	// ErrExpired means a valid token that has expired.
	ErrExpired = errors.New("token has expired")
)

// Check checks the claims that view and trade tokens have in common, at now in unix
// seconds: that they are what the service issues, that the scope is want, and that
// the token has not expired, to the second (security.md S3). It does not compare iat
// with now: that is for a caller that knows when the session was opened, or how far
// clocks may differ (security.md J3).
func Check(t Trade, want string, now int64) error {
	switch {
	case !t.Issued():
		return ErrInvalid
	case t.Scope[0] != want:
		return ErrKind
	case now >= t.Exp:
		return ErrExpired
	}
	return nil
}

// Issued reports whether claims are such as the service issues in view and trade
// tokens, whatever the time.
func (t Trade) Issued() bool {
	return t.Iss == Issuer && t.Sub != "" && t.Jti != "" && t.Iat > 0 && t.Exp > t.Iat && len(t.Scope) == 1 &&
		(t.Scope[0] == ScopeView || t.Scope[0] == ScopeTrade)
}

// Common returns a view token's claims as those of a trade token.
func (v View) Common() Trade {
	return Trade{Scope: v.Scope, Exp: v.Exp, Jti: v.Jti, Iat: v.Iat, Iss: v.Iss, Sub: v.Sub}
}

package token

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/credential"
)

// Access is what an access token carries. It is sealed, not signed: clients
// treat it as opaque, and no store is asked to check it.
type Access struct {
	Consumer string `json:"c"`
	// Incarnation is that of the consumer: the token dies with it. Empty in tokens of
	// the version before, which live an hour.
	Incarnation string `json:"i,omitempty"`
	// Secret is the [SecretMark] of the consumer's secret: the token dies with the
	// secret it was issued for.
	Secret  []byte `json:"s"`
	Expires int64  `json:"e"` // unix seconds
}

// SecretMark returns what an access token carries of a consumer's secret: of its
// keyed hash, and of when the consumer was added, so that one which is removed and
// added again with the same secret brings no token back.
func SecretMark(hash []byte, added time.Time) []byte {
	mark := sha256.Sum256(binary.BigEndian.AppendUint64(bytes.Clone(hash), uint64(added.UnixMilli())))
	return mark[:8]
}

// SealAccess returns the access token that carries a.
func SealAccess(v *credential.Vault, a Access) (string, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(v.Seal(credential.PurposeAccessToken, "", plain)), nil
}

// ErrAccess means that a token is not one of our access tokens, or has expired.
var ErrAccess = errors.New("access token is invalid or has expired")

// An Opener opens access tokens like [OpenAccess], and remembers those that it has opened
// by their hash, so that most are opened once. It is safe for concurrent use.
type Opener struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]Access
}

// openedMost is how many access tokens an Opener remembers. A consumer needs one an hour.
const openedMost = 1024

// Open returns what an access token carries if it is ours and unexpired.
func (o *Opener) Open(v *credential.Vault, compact string, now time.Time) (Access, error) {
	if len(compact) > claims.MaxToken {
		return Access{}, ErrAccess
	}
	key := sha256.Sum256([]byte(compact))
	o.mu.Lock()
	a, known := o.all[key]
	o.mu.Unlock()
	if known {
		if now.Unix() >= a.Expires {
			return Access{}, ErrAccess
		}
		return a, nil
	}
	a, err := OpenAccess(v, compact, now)
	if err != nil {
		return a, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil || len(o.all) >= openedMost {
		o.all = map[[sha256.Size]byte]Access{}
	}
	o.all[key] = a
	return a, nil
}

// OpenAccess returns what an access token carries if it is ours and unexpired.
func OpenAccess(v *credential.Vault, compact string, now time.Time) (Access, error) {
	var a Access
	if len(compact) > claims.MaxToken {
		return a, ErrAccess
	}
	sealed, ok := claims.Decode(compact)
	if !ok {
		return a, ErrAccess
	}
	plain, err := v.Open(credential.PurposeAccessToken, "", sealed)
	if err != nil || json.Unmarshal(plain, &a) != nil || now.Unix() >= a.Expires {
		return Access{}, ErrAccess
	}
	return a, nil
}

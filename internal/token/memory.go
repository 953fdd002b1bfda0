package token

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"neoapi/internal/claims"
)

// remembered is the least number of tokens in a memory, and half of the most: some 6
// MB.
const remembered = 8192

// A memory caches the payloads of tokens with a verified signature, by the hash of
// the whole token, so only the identical text is found. When full, the older half is
// dropped. The zero value is empty; it is safe for concurrent use.
type memory struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte]*goodToken
}

// A goodToken is the payload of a verified token and, once parsed, its claims, which
// every call with a trade token needs, and every second factor.
type goodToken struct {
	payload []byte
	view    atomic.Pointer[claims.View]
	trade   atomic.Pointer[claims.Trade]
}

func (m *memory) add(compact string, payload []byte) *goodToken {
	key := sha256.Sum256([]byte(compact))
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.new) >= remembered || m.new == nil {
		m.new, m.old = map[[sha256.Size]byte]*goodToken{}, m.new
	}
	good := &goodToken{payload: payload}
	m.new[key] = good
	return good
}

func (m *memory) get(compact string) (*goodToken, bool) {
	key := sha256.Sum256([]byte(compact))
	m.mu.Lock()
	defer m.mu.Unlock()
	good, ok := m.new[key]
	if !ok {
		good, ok = m.old[key]
	}
	return good, ok
}

package token

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"neoapi/internal/claims"
)

// remembered is how many tokens a memory holds at least, and half of what it
// holds at most: some 6 MB.
const remembered = 8192

// A memory holds the payloads of tokens whose signature is known to be good, by
// the hash of the whole token: only the very same text is found. The oldest are
// forgotten by the half. The zero value is empty; it is safe for concurrent use.
type memory struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte]*goodToken
}

// A goodToken is the payload of a token, and what it says if somebody has read it:
// every call with a trade token does.
type goodToken struct {
	payload []byte
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

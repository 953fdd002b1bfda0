package token

import (
	"crypto/sha256"
	"sync"
)

// remembered is how many tokens a memory holds at least, and half of what it
// holds at most: some 6 MB.
const remembered = 8192

// A memory holds the payloads of tokens whose signature is known to be good, by
// the hash of the whole token: only the very same text is found. The oldest are
// forgotten by the half. The zero value is empty; it is safe for concurrent use.
type memory struct {
	mu       sync.Mutex
	new, old map[[sha256.Size]byte][]byte
}

func (m *memory) add(compact string, payload []byte) {
	key := sha256.Sum256([]byte(compact))
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.new) >= remembered || m.new == nil {
		m.new, m.old = map[[sha256.Size]byte][]byte{}, m.new
	}
	m.new[key] = payload
}

func (m *memory) get(compact string) ([]byte, bool) {
	key := sha256.Sum256([]byte(compact))
	m.mu.Lock()
	defer m.mu.Unlock()
	payload, ok := m.new[key]
	if !ok {
		payload, ok = m.old[key]
	}
	return payload, ok
}

package operator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/token"
)

// maxKeys limits the signing keys: each is published.
const maxKeys = 50

// KeyEvent returns the audit event of a key, whose id is in the place of a request's.
func (m *Admin) KeyEvent(action, id string) login.Event {
	e := m.event(action)
	e.RequestID = id
	return e
}

// A KeyState is the state of a signing key.
type KeyState string

// The states of a signing key, in the order of its life.
const (
	KeyNext  KeyState = "next"  // published, and signs when its time comes
	KeySigns KeyState = "signs" // signs
	KeyOld   KeyState = "old"   // still verifies the tokens that it has signed
)

// KeyInfo is a signing key as an operator sees it.
type KeyInfo struct {
	ID      string
	Bits    int
	State   KeyState
	Created time.Time
	Signs   time.Time
	Until   time.Time // of an old key: when it is removed, if no session has a token signed by it
}

// Keys returns the signing keys, in the order of their time to sign.
func (m *Admin) Keys(ctx context.Context) ([]KeyInfo, error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	var all []KeyInfo
	now := login.Signing(stored, m.Now())
	for i, k := range stored {
		key, err := login.OpenKey(m.Vault, k)
		if err != nil {
			return nil, err
		}
		info := KeyInfo{ID: k.ID, Bits: key.Private.N.BitLen(), State: KeySigns, Created: k.Created, Signs: k.Signs}
		switch {
		case i > now:
			info.State = KeyNext
		case i < now:
			info.State, info.Until = KeyOld, stored[i+1].Signs.Add(login.KeyKept)
		}
		all = append(all, info)
	}
	return all, nil
}

// PendingKey returns the key that is published but has not begun to sign, or the next
// one of several. Errors: ErrNotFound if there is none.
func (m *Admin) PendingKey(ctx context.Context) (login.SigningKey, error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return login.SigningKey{}, err
	}
	next := login.Signing(stored, m.Now()) + 1
	if next >= len(stored) {
		return login.SigningKey{}, login.ErrNotFound
	}
	return stored[next], nil
}

// RotateKey adds a signing key of a number of bits, which is published at once and
// signs after a lead. Running services apply it by themselves.
func (m *Admin) RotateKey(ctx context.Context, bits int, lead time.Duration) (login.SigningKey, error) {
	if bits != token.Bits2048 && bits != token.Bits3072 {
		return login.SigningKey{}, login.Invalid("bits", fmt.Sprintf("must be %d or %d", token.Bits2048, token.Bits3072))
	}
	if lead < login.KeyLeadLeast || lead > login.KeyKept {
		return login.SigningKey{}, login.Invalid("lead", fmt.Sprintf("must be between %s and %s", login.KeyLeadLeast, login.KeyKept))
	}
	return m.addKey(ctx, bits, lead)
}

func (m *Admin) addKey(ctx context.Context, bits int, lead time.Duration) (login.SigningKey, error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return login.SigningKey{}, err
	}
	if len(stored) >= maxKeys {
		return login.SigningKey{}, login.Invalid("keys", fmt.Sprintf("there are %d already, and each must be published: wait until old ones have gone, or remove some", len(stored)))
	}
	now := m.Now()
	k, err := login.NewSigningKey(m.Vault, bits, now, now.Add(lead))
	if err != nil {
		return login.SigningKey{}, err
	}
	return k, m.Store.AddSigningKey(ctx, k, m.KeyEvent("signing key added", k.ID))
}

// RemoveKey removes a signing key at once: tokens that it signed are refused within
// a second, everywhere (security.md S4). If it is the one that signs, another takes its
// place first and is returned. Errors: ErrNotFound.
func (m *Admin) RemoveKey(ctx context.Context, id string) (replacement login.SigningKey, err error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return login.SigningKey{}, err
	}
	i := slices.IndexFunc(stored, func(k login.SigningKey) bool { return k.ID == id })
	if i < 0 {
		return login.SigningKey{}, login.ErrNotFound
	}
	if i == login.Signing(stored, m.Now()) {
		key, err := login.OpenKey(m.Vault, stored[i])
		if err != nil {
			return login.SigningKey{}, err
		}
		if replacement, err = m.addKey(ctx, key.Private.N.BitLen(), 0); err != nil {
			return login.SigningKey{}, err
		}
	}
	return replacement, m.Store.RemoveSigningKey(ctx, id, m.KeyEvent("signing key removed", id))
}

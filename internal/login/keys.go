package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/credential"
	"neoapi/internal/token"
)

// The life of signing keys (bar J4). A key is published when it is made and signs
// after a lead; when another signs in its place it is kept until the last token
// that it signed has expired.
const (
	KeyLeadLeast = 2 * time.Second        // by then every process knows the key
	keysEvery    = 250 * time.Millisecond // how often each process looks for changes
	keysLook     = 100 * time.Millisecond // between two looks at the keys for the sake of a token
	keyKept      = 25 * time.Hour         // no token lives longer: then whether one is in use is looked up
	maxKeys      = 50
)

// keys are the signing keys as this process knows them.
type keys struct {
	current atomic.Pointer[token.Ring]
	turn    chan struct{} // who reads them from the store holds it, and what is below
	looked  time.Time     // when reading them began last
	stored  []SigningKey
	opened  map[string]token.Key
	failed  bool      // the last reading
	retired time.Time // when was looked last whether old keys are in use
}

func (k *keys) init() {
	k.turn, k.opened = make(chan struct{}, 1), map[string]token.Key{}
}

func (k *keys) ring() *token.Ring { return k.current.Load() }

// signing returns which of stored keys signs at now, or -1.
func signing(stored []SigningKey, now time.Time) int {
	for i, k := range slices.Backward(stored) {
		if !k.Signs.After(now) {
			return i
		}
	}
	return -1
}

// newSigningKey returns a new key that signs from an instant on.
func newSigningKey(v *credential.Vault, bits int, now, signs time.Time) (SigningKey, error) {
	key, err := token.NewKey(bits)
	if err != nil {
		return SigningKey{}, err
	}
	plain, err := token.MarshalKey(key)
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{ID: key.ID, Sealed: v.Seal(credential.PurposeSigningKey, key.ID, plain), Created: now, Signs: signs}, nil
}

// openKey opens a stored key.
func openKey(v *credential.Vault, k SigningKey) (token.Key, error) {
	plain, err := v.Open(credential.PurposeSigningKey, k.ID, k.Sealed)
	if err != nil {
		return token.Key{}, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	return token.ParseKey(plain)
}

// firstKeys loads the keys, making the first one if there is none. Of several
// processes that start on an empty store, all use the one that was stored first.
func (s *Service) firstKeys(ctx context.Context) error {
	stored, err := s.Keys.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		now := s.Now()
		first, err := newSigningKey(s.Vault, token.Bits2048, now, now)
		if err != nil {
			return err
		}
		if err := s.Keys.AddFirstSigningKey(ctx, first); err != nil {
			return err
		}
	}
	return s.readKeys(ctx)
}

// readKeys reads the keys from the store. It makes a new ring if others are there
// than before, or if another one signs.
func (s *Service) readKeys(ctx context.Context) error {
	s.keys.looked = time.Now()
	stored, err := s.Keys.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		return errors.New("the store holds no signing key")
	}
	s.keys.stored = stored
	i := max(0, signing(stored, s.Now())) // the clock of who made the first one may be ahead of ours
	opened, changed := map[string]token.Key{}, len(stored) != len(s.keys.opened)
	var all []token.Key
	for _, k := range stored {
		key, known := s.keys.opened[k.ID]
		if !known {
			changed = true
			if key, err = openKey(s.Vault, k); err != nil {
				return err
			}
		}
		opened[k.ID] = key
		all = append(all, key)
	}
	if !changed && s.keys.ring().Active() == stored[i].ID {
		return nil
	}
	ring, err := token.NewRing(all, stored[i].ID)
	if err != nil {
		return err
	}
	s.keys.opened = opened
	s.keys.current.Store(ring)
	return nil
}

// lookAtKeys reads the keys for the sake of a token whose key is not known here. A
// look serves all who wait for one; whatever is sent, there is one in keysLook.
func (s *Service) lookAtKeys(ctx context.Context) error {
	asked := time.Now()
	select {
	case s.keys.turn <- struct{}{}:
		defer func() { <-s.keys.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.keys.looked.After(asked) {
		return nil
	}
	select {
	case <-time.After(keysLook - time.Since(s.keys.looked)):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.readKeys(ctx)
}

// followKeys reads the keys again and again, until the context ends: a key that was
// added or removed is known here within a second (bars S4, J4).
func (s *Service) followKeys(ctx context.Context) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.keys.turn <- struct{}{}
		reading, cancel := context.WithTimeout(ctx, patience)
		err := errors.Join(s.FollowClock(reading), s.readKeys(reading))
		cancel()
		if err != nil && ctx.Err() == nil && !s.keys.failed {
			s.Log.WarnContext(ctx, "signing keys not read", "cause", err)
		}
		s.keys.failed = err != nil
		if err == nil && time.Since(s.keys.retired) >= sweepEvery {
			s.retireKeys(ctx)
		}
		<-s.keys.turn
	}
}

// retireKeys removes the keys whose last token has expired.
func (s *Service) retireKeys(ctx context.Context) {
	now := s.Now()
	for i := range max(0, signing(s.keys.stored, now)) {
		if now.Sub(s.keys.stored[i+1].Signs) < keyKept { // since another one took its place
			return
		}
		s.keys.retired = time.Now()
		id := s.keys.stored[i].ID
		used, err := s.Keys.KeyInUse(ctx, id, now)
		if err == nil && !used {
			e := Event{Time: now, Action: "signing key retired", Outcome: "ok", RequestID: id}
			if err = s.Keys.RemoveSigningKey(ctx, id, e); err == nil {
				s.logged(ctx, e)
			}
		}
		if err != nil && !errors.Is(err, ErrNotFound) && ctx.Err() == nil { // not found: another process was first
			s.Log.WarnContext(ctx, "an old signing key was not removed", "key", id, "cause", err)
			return
		}
	}
}

// KeyEvent is what the audit trail is told of a key, whose id stands where that of a
// request would.
func (m *Admin) KeyEvent(action, id string) Event {
	e := m.event(action)
	e.RequestID = id
	return e
}

// viewClaims judges a view token by the keys of this process, and by those of the
// store if it names a key that is not known here.
func (s *Service) viewClaims(ctx context.Context, compact string) (claims.View, error) {
	if err := s.knowKey(ctx, compact); err != nil {
		return claims.View{}, err
	}
	return s.keys.ring().View(compact, s.Now())
}

// tradeClaims is viewClaims for a trade token.
func (s *Service) tradeClaims(ctx context.Context, compact string, now time.Time) (claims.Trade, error) {
	if err := s.knowKey(ctx, compact); err != nil {
		return claims.Trade{}, err
	}
	return s.keys.ring().Trade(compact, now)
}

func (s *Service) knowKey(ctx context.Context, compact string) error {
	if !s.keys.ring().Unknown(compact) {
		return nil
	}
	if err := s.lookAtKeys(ctx); err != nil {
		return storeFault(err)
	}
	return nil
}

// mint signs claims with a key, which another process may have seen first.
func (s *Service) mint(ctx context.Context, key string, says any) (string, error) {
	compact, err := s.keys.ring().Mint(key, says)
	if errors.Is(err, token.ErrKeyGone) {
		if err := s.lookAtKeys(ctx); err != nil {
			return "", storeFault(err)
		}
		compact, err = s.keys.ring().Mint(key, says)
	}
	switch {
	case errors.Is(err, token.ErrKeyGone): // removed meanwhile, and no token of it is taken any more
		return "", badSession()
	case err != nil:
		return "", &Error{Kind: KindInternal, Detail: "the session token could not be signed", Err: err}
	}
	return compact, nil
}

// JWKS returns the public halves of the signing keys as a JSON Web Key Set.
func (s *Service) JWKS() []byte { return s.keys.ring().JWKS() }

// A KeyState says what a signing key is doing.
type KeyState string

// The states of a signing key, in the order of its life.
const (
	KeyNext  KeyState = "next"  // published, and signs when its time comes
	KeySigns KeyState = "signs" // signs
	KeyOld   KeyState = "old"   // judges the tokens that it has signed
)

// KeyInfo is what an operator sees of a signing key.
type KeyInfo struct {
	ID      string
	Bits    int
	State   KeyState
	Created time.Time
	Signs   time.Time
	Until   time.Time // of an old key: when it goes, if no session has a token of it any more
}

// Keys returns the signing keys, in the order of their time to sign.
func (m *Admin) Keys(ctx context.Context) ([]KeyInfo, error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	var all []KeyInfo
	now := signing(stored, m.Now())
	for i, k := range stored {
		key, err := openKey(m.Vault, k)
		if err != nil {
			return nil, err
		}
		info := KeyInfo{ID: k.ID, Bits: key.Private.N.BitLen(), State: KeySigns, Created: k.Created, Signs: k.Signs}
		switch {
		case i > now:
			info.State = KeyNext
		case i < now:
			info.State, info.Until = KeyOld, stored[i+1].Signs.Add(keyKept)
		}
		all = append(all, info)
	}
	return all, nil
}

// PendingKey returns the key that is published and has not begun to sign, the next one
// to do so if there are several. Errors: ErrNotFound if there is none.
func (m *Admin) PendingKey(ctx context.Context) (SigningKey, error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	next := signing(stored, m.Now()) + 1
	if next >= len(stored) {
		return SigningKey{}, ErrNotFound
	}
	return stored[next], nil
}

// RotateKey adds a signing key of so many bits, which is published at once and
// signs after a lead. Running services follow by themselves.
func (m *Admin) RotateKey(ctx context.Context, bits int, lead time.Duration) (SigningKey, error) {
	if bits != token.Bits2048 && bits != token.Bits3072 {
		return SigningKey{}, invalid("bits", fmt.Sprintf("must be %d or %d", token.Bits2048, token.Bits3072))
	}
	if lead < KeyLeadLeast || lead > keyKept {
		return SigningKey{}, invalid("lead", fmt.Sprintf("must be between %s and %s", KeyLeadLeast, keyKept))
	}
	return m.addKey(ctx, bits, lead)
}

func (m *Admin) addKey(ctx context.Context, bits int, lead time.Duration) (SigningKey, error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	if len(stored) >= maxKeys {
		return SigningKey{}, invalid("keys", fmt.Sprintf("there are %d already, and each must be published: wait until old ones have gone, or remove some", len(stored)))
	}
	now := m.Now()
	k, err := newSigningKey(m.Vault, bits, now, now.Add(lead))
	if err != nil {
		return SigningKey{}, err
	}
	return k, m.Store.AddSigningKey(ctx, k, m.KeyEvent("signing key added", k.ID))
}

// RemoveKey removes a signing key at once: tokens that it signed are refused within
// a second, everywhere (bar S4). If it is the one that signs, another takes its
// place first and is returned. Errors: ErrNotFound.
func (m *Admin) RemoveKey(ctx context.Context, id string) (replacement SigningKey, err error) {
	stored, err := m.Store.SigningKeys(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	i := slices.IndexFunc(stored, func(k SigningKey) bool { return k.ID == id })
	if i < 0 {
		return SigningKey{}, ErrNotFound
	}
	if i == signing(stored, m.Now()) {
		key, err := openKey(m.Vault, stored[i])
		if err != nil {
			return SigningKey{}, err
		}
		if replacement, err = m.addKey(ctx, key.Private.N.BitLen(), 0); err != nil {
			return SigningKey{}, err
		}
	}
	return replacement, m.Store.RemoveSigningKey(ctx, id, m.KeyEvent("signing key removed", id))
}

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

// The lifetime of signing keys (security.md J4). A key is published when it is created
// and signs after a lead. Once another replaces it, it is kept until the last token that
// it signed has expired.
const (
	KeyLeadLeast = 2 * time.Second        // by then every process knows the key
	keysEvery    = 250 * time.Millisecond // how often each process looks for changes
	keysLook     = 100 * time.Millisecond // least time between two reads for a token
	KeyKept      = 25 * time.Hour         // no token lives longer; after this its use is checked
)

// keys are the signing keys as this process knows them.
type keys struct {
	current atomic.Pointer[token.Ring]
	turn    chan struct{} // held while reading them from the store; guards the fields below
	looked  time.Time     // when the last read began
	stored  []SigningKey
	opened  map[string]token.Key
	failed  bool      // whether the last read failed
	signer  string    // the signer last reported to the log
	retired time.Time // when old keys were last checked for use
}

func (k *keys) init() {
	k.turn, k.opened = make(chan struct{}, 1), map[string]token.Key{}
}

func (k *keys) ring() *token.Ring { return k.current.Load() }

// Signing returns the index of the stored key that signs at now, or -1.
func Signing(stored []SigningKey, now time.Time) int {
	for i, k := range slices.Backward(stored) {
		if !k.Signs.After(now) {
			return i
		}
	}
	return -1
}

// NewSigningKey returns a new key, created now, that signs from the time signs on.
func NewSigningKey(v *credential.Vault, bits int, now, signs time.Time) (SigningKey, error) {
	key, err := token.NewKey(bits)
	if err != nil {
		return SigningKey{}, err
	}
	return SealSigningKey(v, key, now, signs)
}

// SealSigningKey is NewSigningKey for a key that exists.
func SealSigningKey(v *credential.Vault, key token.Key, now, signs time.Time) (SigningKey, error) {
	plain, err := token.MarshalKey(key)
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{ID: key.ID, Sealed: v.Seal(credential.PurposeSigningKey, key.ID, plain), Created: now, Signs: signs}, nil
}

// OpenKey opens a stored key.
func OpenKey(v *credential.Vault, k SigningKey) (token.Key, error) {
	plain, err := v.Open(credential.PurposeSigningKey, k.ID, k.Sealed)
	if err != nil {
		return token.Key{}, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	return token.ParseKey(plain)
}

// firstKeys loads the keys, and creates the first one in an empty store. If several
// processes start on an empty store, all use the key stored first.
func (s *Service) firstKeys(ctx context.Context) error {
	stored, err := s.Keys.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		now := s.Now()
		first, err := NewSigningKey(s.Vault, token.Bits2048, now, now)
		if err != nil {
			return err
		}
		if err := s.Keys.AddFirstSigningKey(ctx, first); err != nil {
			return err
		}
	}
	return s.readKeys(ctx)
}

// readKeys reads the keys from the store. It makes a new ring if the keys have changed
// or another one signs.
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
	i := max(0, Signing(stored, s.Now())) // the first key's creator may have a clock ahead of ours
	opened, changed := map[string]token.Key{}, len(stored) != len(s.keys.opened)
	var all []token.Key
	for _, k := range stored {
		key, known := s.keys.opened[k.ID]
		if !known {
			changed = true
			if key, err = OpenKey(s.Vault, k); err != nil {
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
	s.tellSigner(ctx, ring)
	return nil
}

// tellSigner logs that Go signs in a build for OpenSSL, once rather than for each new
// ring.
func (s *Service) tellSigner(ctx context.Context, ring *token.Ring) {
	name, fallback := ring.Signer()
	if fallback != nil && name != s.keys.signer {
		s.Log.WarnContext(ctx, "tokens are not signed by OpenSSL, which this program was built for", "signer", name, "cause", fallback)
	}
	s.keys.signer = name
}

// Signer returns the name of what signs tokens: see [token.Signer].
func (s *Service) Signer() string {
	name, _ := s.keys.ring().Signer()
	return name
}

// lookAtKeys reads the keys for a token whose key this process does not know. One read
// serves all waiting requests, and starts at least keysLook after the last.
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

// followKeys reads the keys periodically until the context is done, so that this process
// knows an added or removed key within a second (security.md S4, J4).
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
	for i := range max(0, Signing(s.keys.stored, now)) {
		if now.Sub(s.keys.stored[i+1].Signs) < KeyKept { // since another replaced it
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

// viewClaims verifies a view token with the keys of this process, or with those of the
// store if this process does not know the token's key.
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
		return StoreFault(err)
	}
	return nil
}

// mint signs claims with a key that another process may have learned of first.
func (s *Service) mint(ctx context.Context, key string, says any) (string, error) {
	compact, err := s.keys.ring().Mint(key, says)
	if errors.Is(err, token.ErrKeyGone) {
		if err := s.lookAtKeys(ctx); err != nil {
			return "", StoreFault(err)
		}
		compact, err = s.keys.ring().Mint(key, says)
	}
	switch {
	case errors.Is(err, token.ErrKeyGone): // removed meanwhile: its tokens are no longer accepted
		return "", badSession()
	case err != nil:
		return "", &Error{Kind: KindInternal, Detail: "the session token could not be signed", Err: err}
	}
	return compact, nil
}

// JWKS returns the public halves of the signing keys as a JSON Web Key Set.
func (s *Service) JWKS() []byte { return s.keys.ring().JWKS() }

package login

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"neoapi/internal/claims"
)

// The lifetime of an identity, and the remaining time at which another one is signed:
// a session in use costs a signature every four minutes.
const (
	identityLife = 5 * time.Minute
	identityLeft = time.Minute
)

// rememberedIdentities is the least number of identities cached, and half of the
// most: some 16 MB.
const rememberedIdentities = 8192

// identities caches signed identities, by the id of the trade token. When full, the
// older half is dropped. The zero value is empty.
type identities struct {
	mu       sync.Mutex
	new, old map[string]identity
}

type identity struct {
	compact string
	keyID   string
	issued  time.Time
	renew   time.Time
}

func (m *identities) get(tradeID string) (identity, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, ok := m.new[tradeID]
	if !ok {
		id, ok = m.old[tradeID]
	}
	return id, ok
}

func (m *identities) add(tradeID string, id identity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.new) >= rememberedIdentities || m.new == nil {
		m.new, m.old = map[string]identity{}, m.new
	}
	m.new[tradeID] = id
}

// Identity returns whose a session is, signed by the active key, for the trade API
// behind the service: a compact JSON Web Token with [claims.Identity]. It ends
// with the session at the latest. Give it a session that CheckTrade has returned.
func (s *Service) Identity(session Session) (string, error) {
	// By the wall clock only, as for those who verify it: setting it forward ends the
	// identity for them, and setting it back makes it last longer.
	now, ring := s.Now().Round(0), s.keys.ring()
	key := ring.Active()
	if id, ok := s.identities.get(session.TradeID); ok && id.keyID == key && !now.Before(id.issued) && now.Before(id.renew) {
		return id.compact, nil
	}
	expires := now.Add(identityLife)
	renew := expires.Add(-identityLeft)
	if !expires.Before(session.Expires) {
		expires, renew = session.Expires, session.Expires
	}
	compact, err := ring.Mint(key, claims.Identity{
		Scope: []string{claims.ScopeIdentity}, Exp: expires.Unix(), Iat: now.Unix(), Iss: claims.Issuer, Aud: claims.IdentityAudience,
		Sub: session.UCC, SID: session.SID, Home: session.Home, Consumer: session.Consumer,
	})
	if err != nil {
		return "", &Error{Kind: KindInternal, Detail: "the session's identity could not be signed", Err: err}
	}
	s.identities.add(session.TradeID, identity{compact, key, now, renew})
	return compact, nil
}

// ConsumerIdentity returns which consumer sends a call that needs no session, signed as
// [Service.Identity] is. Its scope is Consumer, so that who expects a session refuses it.
func (s *Service) ConsumerIdentity(c Consumer) (string, error) {
	now, ring := s.Now().Round(0), s.keys.ring()
	key, cached := ring.Active(), "consumer "+c.Key
	if id, ok := s.identities.get(cached); ok && id.keyID == key && !now.Before(id.issued) && now.Before(id.renew) {
		return id.compact, nil
	}
	expires := now.Add(identityLife)
	compact, err := ring.Mint(key, claims.Identity{
		Scope: []string{claims.ScopeConsumer}, Exp: expires.Unix(), Iat: now.Unix(), Iss: claims.Issuer, Aud: claims.IdentityAudience,
		Consumer: c.Key,
	})
	if err != nil {
		return "", &Error{Kind: KindInternal, Detail: "the consumer's identity could not be signed", Err: err}
	}
	s.identities.add(cached, identity{compact, key, now, expires.Add(-identityLeft)})
	return compact, nil
}

// Stands reports whether a trade session returned by CheckTrade is still alive, for
// answers that outlast a call.
func (s *Service) Stands(ctx context.Context, trade Session) (bool, error) {
	session, err := s.Sessions.Session(ctx, trade.SID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if session.Kind != Trade || session.TradeID != trade.TradeID || !s.Now().Before(session.Expires) {
		return false, nil
	}
	if !slices.Contains(s.keys.ring().IDs(), session.KeyID) { // removed: its tokens are refused
		return false, nil
	}
	consumer, err := s.consumer(ctx, session.Consumer, session.through)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && session.through(consumer), err
}

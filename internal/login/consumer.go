package login

import (
	"context"
	"errors"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/limit"
	"neoapi/internal/token"
)

// AccessToken is what a consumer obtains with its key and secret.
type AccessToken struct {
	Token string
	Life  time.Duration
}

// AccessToken checks a consumer's key and secret and issues an access token.
// Refusals: KindClient, KindAddress, KindThrottled, KindUnavailable.
func (s *Service) AccessToken(ctx context.Context, key string, secret credential.Secret, caller Caller) (AccessToken, error) {
	event := Event{Time: s.Now(), Action: "access token", Address: caller.Address, RequestID: caller.RequestID}
	c, err := s.bySecret(ctx, key, secret, event)
	if err != nil {
		return AccessToken{}, err
	}
	served := false
	defer func() {
		if !served && ctx.Err() == nil {
			s.Unserved(c, Lane{})
		}
	}()
	event.Consumer = c.Key
	hash, _ := c.secret(s.Vault.MAC(credential.PurposeConsumerSecret, key, string(secret)), event.Time)
	sealed, err := token.SealAccess(s.Vault, token.Access{
		Consumer: c.Key, Incarnation: c.Incarnation, Secret: token.SecretMark(hash, c.Created), Expires: s.Now().Add(accessLife).Unix(),
	})
	if err != nil {
		return AccessToken{}, &Error{Kind: KindInternal, Detail: "the access token could not be made", Err: err}
	}
	event.Outcome = "ok"
	if err := s.record(ctx, event); err != nil {
		return AccessToken{}, StoreFault(err)
	}
	served = true
	return AccessToken{sealed, accessLife}, nil
}

// BySecret returns the consumer of a key and its secret, and counts the request.
// Only refusals are in the audit trail, as with an access token. Refusals:
// KindClient, KindAddress, KindThrottled, KindUnavailable.
func (s *Service) BySecret(ctx context.Context, key string, secret credential.Secret, caller Caller) (Consumer, error) {
	return s.bySecret(ctx, key, secret, Event{Time: s.Now(), Action: "client", Address: caller.Address, RequestID: caller.RequestID})
}

// bySecret is BySecret with the event for a refusal.
func (s *Service) bySecret(ctx context.Context, key string, secret credential.Secret, event Event) (Consumer, error) {
	given := s.Vault.MAC(credential.PurposeConsumerSecret, key, string(secret))
	knows := func(c Consumer) bool { _, ok := c.secret(given, event.Time); return ok }
	c, err := s.consumer(ctx, key, func(c Consumer) bool { return knows(c) && c.Allow.Allow(event.Address) })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Consumer{}, StoreFault(err)
	}
	event.Consumer = c.Key // none if there is no such consumer: anyone can invent one
	if err != nil || !knows(c) {
		// Anyone can cause a refusal here: beyond the address's allowance it is not
		// recorded, or strangers could fill the disk.
		if key := addressKey(event.Address); key != "" && s.opt.AddressRate > 0 {
			ctx, cancel := toTheEnd(ctx) // it was judged: going away makes it no cheaper
			defer cancel()
			wait, err := s.Allowances.Take(ctx, key, s.addressRate(), 1, s.Now())
			if err != nil {
				return Consumer{}, StoreFault(err)
			}
			if wait > 0 {
				return Consumer{}, addressMustWait(wait)
			}
		}
		event.Outcome = "refused"
		return Consumer{}, s.refuse(ctx, event, &Error{Kind: KindClient, Detail: "the consumer key or secret is wrong"})
	}
	if err := c.from(event.Address); err != nil {
		event.Outcome = "address not allowed"
		return Consumer{}, s.refuse(ctx, event, err)
	}
	return c, s.admit(ctx, c, Lane{})
}

// ByAccessToken returns the consumer that an access token was issued to and
// counts the request. An access token ends after its life, with its consumer, or
// with the secret it was issued for. Refusals: KindBadAccess, KindAddress,
// KindThrottled, KindUnavailable.
func (s *Service) ByAccessToken(ctx context.Context, access string, caller Caller) (Consumer, error) {
	refused := &Error{Kind: KindBadAccess, Detail: "the access token is invalid or has expired"}
	now := s.Now()
	a, err := s.access.Open(s.Vault, access, now)
	if err != nil {
		return Consumer{}, refused
	}
	c, err := s.consumer(ctx, a.Consumer, func(c Consumer) bool { return c.issued(a, now) && c.Allow.Allow(caller.Address) })
	if errors.Is(err, ErrNotFound) {
		return Consumer{}, refused
	}
	if err != nil {
		return Consumer{}, StoreFault(err)
	}
	if !c.issued(a, now) {
		return Consumer{}, refused
	}
	if err := c.from(caller.Address); err != nil {
		return Consumer{}, err
	}
	return c, s.admit(ctx, c, caller.Lane)
}

// issued reports whether an access token was obtained with a secret of the consumer
// that is valid at now. A token of the previous version has no incarnation: there the
// mark of its secret, which includes the time the consumer was added, decides.
func (c Consumer) issued(a token.Access, now time.Time) bool {
	if a.Incarnation != "" && a.Incarnation != c.Incarnation {
		return false
	}
	return credential.Equal(a.Secret, token.SecretMark(c.SecretHash, c.Created)) ||
		now.Before(c.OldSecretUntil) && credential.Equal(a.Secret, token.SecretMark(c.OldSecretHash, c.Created))
}

// secret returns the stored hash that a given secret's equals: of the consumer's
// secret, or of the one before its last rotation as long as that works.
func (c Consumer) secret(given []byte, now time.Time) (hash []byte, ok bool) {
	switch {
	case credential.Equal(given, c.SecretHash):
		return c.SecretHash, true
	case now.Before(c.OldSecretUntil) && credential.Equal(given, c.OldSecretHash):
		return c.OldSecretHash, true
	}
	return nil, false
}

// through reports whether a session was opened through this consumer, and not through
// a removed one with the same key.
func (s Session) through(c Consumer) bool { return s.Incarnation == c.Incarnation }

// from refuses an address that is not one of the consumer's.
func (c Consumer) from(address string) error {
	if c.Allow.Allow(address) {
		return nil
	}
	return &Error{Kind: KindAddress, Detail: "this consumer may not send from this address"}
}

// ByConsumerKey returns the consumer of a key, as generation 3 sends it in place
// of an access token, and counts the request. Refusals: KindBadAccess, KindAddress,
// KindThrottled, KindUnavailable.
func (s *Service) ByConsumerKey(ctx context.Context, key string, caller Caller) (Consumer, error) {
	c, err := s.consumer(ctx, key, func(c Consumer) bool { return c.Allow.Allow(caller.Address) })
	if errors.Is(err, ErrNotFound) {
		return Consumer{}, &Error{Kind: KindBadAccess, Detail: "this consumer key is not known here"}
	}
	if err != nil {
		return Consumer{}, StoreFault(err)
	}
	if err := c.from(caller.Address); err != nil {
		return Consumer{}, err
	}
	return c, s.admit(ctx, c, caller.Lane)
}

// consumer returns a consumer by its key: from memory if it was read a moment ago, so
// that removing a consumer or changing its secret takes effect everywhere within 1 s
// (security.md S4) and most requests need no store. Before a request is refused,
// according to takes, the consumer is read again, so that a new secret and a new network
// work at once. If the client has gone away meanwhile, the cached consumer decides, so
// that the refusal is recorded. Consumers that do not exist are not cached.
func (s *Service) consumer(ctx context.Context, key string, takes func(Consumer) bool) (Consumer, error) {
	asked := time.Now()
	if err := s.FollowClock(ctx); err != nil {
		return Consumer{}, err
	}
	s.mu.Lock()
	known := s.consumers[key]
	if known == nil || s.Now().Sub(known.read).Abs() >= consumerRecheck {
		s.mu.Unlock()
		return s.readConsumer(ctx, key)
	}
	c := known.Consumer
	s.mu.Unlock()
	if takes(c) {
		return c, nil
	}
	// One read serves all requests that wait for it, at most one in each consumerLook.
	select {
	case known.turn <- struct{}{}:
		defer func() { <-known.turn }()
	case <-ctx.Done():
		return c, nil
	}
	s.mu.Lock()
	c, looked := known.Consumer, known.looked
	s.mu.Unlock()
	if looked.After(asked) {
		return c, nil
	}
	select {
	case <-time.After(consumerLook - time.Since(looked)):
	case <-ctx.Done():
		return c, nil
	}
	fresh, err := s.readConsumer(ctx, key)
	if err != nil && ctx.Err() != nil {
		return c, nil
	}
	return fresh, err
}

// readConsumer reads a consumer from the store and caches it, even if the client has
// gone: its refusal has to be recorded, and other requests need the consumer too.
func (s *Service) readConsumer(ctx context.Context, key string) (Consumer, error) {
	ctx, cancel := WithPatience(context.WithoutCancel(ctx))
	defer cancel()
	looked, now := time.Now(), s.Now()
	c, err := s.Directory.Consumer(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, ErrNotFound) {
		delete(s.consumers, key)
	}
	if err != nil {
		return Consumer{}, err
	}
	known, ok := s.consumers[key]
	if !ok {
		known = &knownConsumer{turn: make(chan struct{}, 1)}
		s.consumers[key] = known
	}
	if looked.After(known.looked) { // otherwise another request has read it meanwhile
		known.Consumer, known.read, known.looked = c, now, looked
	}
	return c, nil
}

// admit counts a request of a consumer and refuses it past the consumer's rate: first
// by what this process knows, then by the allowance that all processes share, which
// is charged in advance for a twentieth of a second.
func (s *Service) admit(ctx context.Context, c Consumer, lane Lane) error {
	rate := s.rateOf(c)
	if rate.N <= 0 {
		return nil
	}
	if lane != (Lane{}) {
		return s.admitLane(ctx, c, lane)
	}
	charge, wait := s.admitHere(c.Key, rate)
	if charge > 0 {
		taken := 0
		defer func() { s.charged(c.Key, rate, charge, taken) }()
		var err error
		if wait, err = s.Allowances.Take(ctx, "consumer "+c.Key, rate, charge, s.Now()); err != nil {
			return StoreFault(err)
		}
		if wait == 0 {
			taken = charge
		}
	}
	if wait > 0 {
		return &Error{Kind: KindThrottled, Detail: "this consumer sends too many requests", RetryAfter: wait}
	}
	return nil
}

// admitLane counts a request of a lane: in this process, and then in all.
func (s *Service) admitLane(ctx context.Context, c Consumer, lane Lane) error {
	rate := limit.Rate{N: lane.Rate, Per: time.Second}
	wait := s.admitLaneHere(c.Key, lane.Name, rate)
	if wait == 0 {
		var err error
		if wait, err = s.Allowances.Take(ctx, "consumer "+c.Key+" "+lane.Name, rate, 1, s.Now()); err != nil {
			return StoreFault(err)
		}
	}
	if wait > 0 {
		return &Error{Kind: KindThrottled, Detail: "this consumer asks for " + lane.Name + " too often", RetryAfter: wait}
	}
	return nil
}

func (s *Service) admitLaneHere(key, lane string, rate limit.Rate) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.consumers[key]
	if !ok { // just removed, after the request was recognised
		return 0
	}
	if known.lanes == nil {
		known.lanes = map[string]limit.State{}
	}
	known.lanes[lane], wait = limit.Take(known.lanes[lane], rate, 1, s.Now())
	return wait
}

// rateOf returns a consumer's rate; N is 0 or less for no limit.
func (s *Service) rateOf(c Consumer) limit.Rate {
	rate := limit.Rate{N: c.Rate, Per: time.Second}
	if c.Rate == 0 {
		rate.N = s.opt.ConsumerRate
	}
	return rate
}

// Unserved gives back what a request was counted that was admitted, and that a fault of
// the service left without an answer of its own.
func (s *Service) Unserved(c Consumer, lane Lane) {
	rate := s.rateOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.consumers[c.Key]
	switch {
	case !ok || rate.N <= 0:
	case lane != (Lane{}):
		if known.lanes != nil {
			known.lanes[lane.Name], _ = limit.Take(known.lanes[lane.Name], limit.Rate{N: lane.Rate, Per: time.Second}, -1, s.Now())
		}
	default:
		known.state, _ = limit.Take(known.state, rate, -1, s.Now())
		known.taken, known.takenAt = known.taken+1, s.Now()
	}
}

// admitHere counts a request in this process. It returns how much the shared
// allowance must be charged with first, 0 if it has been.
func (s *Service) admitHere(key string, rate limit.Rate) (charge int, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.consumers[key]
	if !ok { // just removed, after the request was recognised
		return 0, 0
	}
	now := s.Now()
	if known.state, wait = limit.Take(known.state, rate, 1, now); wait > 0 {
		return 0, wait
	}
	if known.taken > 0 && now.Sub(known.takenAt).Abs() < time.Second {
		known.taken--
		return 0, 0
	}
	known.taken = 0
	return max(1, rate.N/20), 0
}

// charged remembers that the shared allowance was charged with taken, which pays for the
// request at hand and later ones. If it was not, this process did not admit the request
// either.
func (s *Service) charged(key string, rate limit.Rate, asked, taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.consumers[key]
	switch {
	case !ok:
	case taken < asked:
		known.state, _ = limit.Take(known.state, rate, -1, s.Now())
	default:
		known.taken, known.takenAt = known.taken+taken-1, s.Now()
	}
}

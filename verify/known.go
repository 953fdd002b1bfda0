package verify

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"neoapi/internal/claims"
	"neoapi/internal/wire"
)

// remembered is the least number of tokens cached, and half of the most: some 15 MB.
const remembered = 8192

// A publicKey is one of the service's keys.
type publicKey struct {
	id     string
	public *rsa.PublicKey
}

// known is what a Verifier knows about the service.
type known struct {
	mu       sync.RWMutex
	byHeader map[string]publicKey // by the header segment of the tokens that a key signs
	keys     map[string]bool      // the ids of all keys: tokens signed by any other are refused
	revoked  map[string]int64     // when each revoked token expires, by its id
	swept    time.Time            // when expired ones were forgotten
	asked    time.Time            // when the service was last asked, with or without an answer
	heard    time.Time            // when it last answered
	failure  error                // of the last request, or nil
	answer   chan struct{}        // closed when the next request has ended
	ahead    atomic.Int64         // how far the service's clock is ahead, if more than clockTrust

	tokens     sync.RWMutex
	fresh, old map[string]*verified // by the whole token; the older half is dropped when full
}

func (k *known) init() {
	k.byHeader, k.keys, k.revoked = map[string]publicKey{}, map[string]bool{}, map[string]int64{}
	k.answer, k.fresh = make(chan struct{}), map[string]*verified{}
}

// ready reports whether the service has answered once.
func (k *known) ready() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return !k.heard.IsZero()
}

// now returns the time by this machine's clock, or by the service's if the two differ
// by more than clockTrust.
func (k *known) now() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }

// dated determines from an answer's Date how far the service's clock is ahead of ours.
func (k *known) dated(date string, began, ended time.Time) {
	there, err := http.ParseTime(date)
	if err != nil {
		return
	}
	// Date leaves out the fraction. Computed by the wall clock, which can be wrong, not
	// the monotonic one.
	ahead := there.Add(time.Second / 2).Sub(began.Round(0).Add(ended.Sub(began) / 2))
	if ahead.Abs() <= clockTrust {
		ahead = 0
	}
	k.ahead.Store(int64(ahead))
}

// check returns why a token that has not expired is no longer valid, or nil.
func (k *known) check(good *verified, silence time.Duration) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, revoked := k.revoked[good.id]
	switch {
	case revoked:
		return ErrEnded
	case !k.keys[good.key]:
		return ErrInvalid
	case silence > 0 && time.Since(k.heard) > silence:
		return fmt.Errorf("%w: %w", ErrUnavailable, k.why())
	}
	return nil
}

// why returns why the service could not be asked last.
func (k *known) why() error {
	if k.failure == nil {
		return errors.New("it has not answered yet")
	}
	return k.failure
}

func (k *known) key(header string) (publicKey, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.byHeader[header]
	return key, ok
}

func (k *known) token(compact string) *verified {
	k.tokens.RLock()
	defer k.tokens.RUnlock()
	if good := k.fresh[compact]; good != nil {
		return good
	}
	return k.old[compact]
}

func (k *known) keep(compact string, good *verified) {
	k.tokens.Lock()
	defer k.tokens.Unlock()
	if len(k.fresh) >= remembered {
		k.fresh, k.old = map[string]*verified{}, k.fresh
	}
	k.fresh[compact] = good
}

// look waits for the answer to a request made from now on.
func (v *Verifier) look(ctx context.Context) error {
	for began := time.Now(); ; {
		v.known.mu.RLock()
		asked, failure, answer := v.known.asked, v.known.failure, v.known.answer
		v.known.mu.RUnlock()
		switch {
		case asked.Before(began):
		case failure != nil:
			return fmt.Errorf("%w: %w", ErrUnavailable, failure)
		default:
			return nil
		}
		select {
		case v.wanted <- struct{}{}:
		default: // somebody else has asked already
		}
		select {
		case <-answer:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		case <-v.done:
			return fmt.Errorf("%w: the verifier is closed", ErrUnavailable)
		}
	}
}

// follow polls the service until the context is done: every half second, and sooner
// if a caller waits for it.
func (v *Verifier) follow(ctx context.Context) {
	defer close(v.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var after int64
	for {
		asked := time.Now()
		next, err := v.ask(ctx, after)
		if err != nil {
			next = 0 // it may be another service when it answers again
		}
		after = next
		if ctx.Err() != nil {
			return
		}
		v.answered(asked, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-v.wanted:
			select {
			case <-time.After(lookEvery - time.Since(asked)):
			case <-ctx.Done():
				return
			}
		}
	}
}

// answered passes the outcome of a request to all who wait for it.
func (v *Verifier) answered(asked time.Time, err error) {
	k := &v.known
	k.mu.Lock()
	was := k.failure
	k.asked = asked
	if k.failure = err; err == nil {
		k.heard = asked
	}
	close(k.answer)
	k.answer = make(chan struct{})
	k.mu.Unlock()
	if v.cfg.OnError != nil && (was == nil) != (err == nil) {
		v.cfg.OnError(err)
	}
}

// ask fetches the revocations after a number, and the keys if there are unknown ones.
// It returns the number to continue from.
func (v *Verifier) ask(ctx context.Context, after int64) (next int64, err error) {
	k := &v.known
	ctx, cancel := context.WithTimeout(ctx, askAllTimeout)
	defer cancel()
	began := after
	for pages := 1; ; pages++ {
		var told wire.Revocations
		if err := v.get(ctx, wire.PathRevocations, "after="+strconv.FormatInt(after, 10), &told); err != nil {
			return 0, err
		}
		if told.More && (len(told.Revocations) == 0 || told.Next == after || pages == maxPages) {
			return 0, fmt.Errorf("%s has no end", wire.PathRevocations)
		}
		missing, err := k.learn(told)
		if err != nil {
			return 0, err
		}
		if missing {
			if err := v.askKeys(ctx); err != nil {
				return 0, err
			}
		}
		switch {
		case told.Next < after && began == 0:
			return 0, fmt.Errorf("the numbers of %s go up and down", wire.PathRevocations)
		case told.Next < after: // its numbering has started over
			began, after = 0, 0
		case told.More:
			after = told.Next
		default:
			k.forget(k.now())
			return told.Next, nil
		}
	}
}

// askAllTimeout limits the time for all pages together. One takes milliseconds.
const askAllTimeout = 2 * time.Minute

// longest is longer than any token lives, and than clocks differ.
const longest = 48 * time.Hour

// What a Verifier remembers at most. A service that says more is not believed, and the
// Verifier goes on with what it knows, as if there had been no answer.
const (
	maxRevoked = 1 << 20 // revocations: some 150 MB, of a million sessions a day that end early
	maxPages   = 4 << 10
	maxKeys    = 256
	maxID      = 128 // bytes; ids of tokens and keys are UUIDs
)

// learn remembers a page of revocations and the ids of the keys, and reports whether one
// of these keys is not known.
func (k *known) learn(told wire.Revocations) (missing bool, err error) {
	if len(told.Keys) > maxKeys {
		return false, fmt.Errorf("%s names %d keys, more than %d", wire.PathRevocations, len(told.Keys), maxKeys)
	}
	for _, id := range told.Keys {
		if len(id) > maxID {
			return false, fmt.Errorf("%s names a key by %d bytes, more than %d", wire.PathRevocations, len(id), maxID)
		}
	}
	latest := k.now().Add(longest).Unix()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, x := range told.Revocations {
		if len(x.Jti) > maxID {
			return false, fmt.Errorf("%s names a token by %d bytes, more than %d", wire.PathRevocations, len(x.Jti), maxID)
		}
		k.revoked[x.Jti] = min(x.Exp, latest)
		if len(k.revoked) > maxRevoked {
			delete(k.revoked, x.Jti)
			return false, fmt.Errorf("%s has more than %d revocations", wire.PathRevocations, maxRevoked)
		}
	}
	k.keys = map[string]bool{}
	for _, id := range told.Keys {
		k.keys[id] = true
		if _, have := k.byHeader[claims.Header(id)]; !have {
			missing = true
		}
	}
	return missing, nil
}

// revocationKept is how long a revocation is remembered after its token has expired:
// this machine's clock, or the service's, may be set back meanwhile.
const revocationKept = 25 * time.Hour

// forget drops the revocations of tokens that have long expired, once a minute.
func (k *known) forget(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.swept).Abs() < time.Minute {
		return
	}
	k.swept = now
	for id, exp := range k.revoked {
		if now.Add(-revocationKept).Unix() >= exp {
			delete(k.revoked, id)
		}
	}
}

// maxModulus is the length of the longest key accepted, in bits: the time to check a
// token grows with its square.
const maxModulus = 16384

// askKeys fetches the key set.
func (v *Verifier) askKeys(ctx context.Context) error {
	var set struct {
		Keys []struct{ Kty, Alg, Use, Kid, N, E string }
	}
	if err := v.get(ctx, wire.PathKeySet, "", &set); err != nil {
		return err
	}
	if len(set.Keys) > maxKeys {
		return fmt.Errorf("%s has %d keys, more than %d", wire.PathKeySet, len(set.Keys), maxKeys)
	}
	byHeader := map[string]publicKey{}
	for _, k := range set.Keys {
		n, ok1 := claims.Decode(k.N)
		e, ok2 := claims.Decode(k.E)
		if k.Kty != "RSA" || k.Alg != "RS256" || !ok1 || !ok2 || len(n) < 2048/8 || len(n) > maxModulus/8 || len(e) > 4 {
			continue // perhaps from a newer version of the service
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		byHeader[claims.Header(k.Kid)] = publicKey{k.Kid, public}
	}
	v.known.mu.Lock()
	defer v.known.mu.Unlock()
	v.known.byHeader = byHeader
	return nil
}

// maxAnswer limits how much of an answer is read, in bytes. A page of a thousand
// revocations has 70 kB.
const maxAnswer = 512 << 10

// get sends a request to the service and decodes the answer.
func (v *Verifier) get(ctx context.Context, path, query string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	u := v.service.JoinPath(path)
	u.RawQuery = query
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	if path == wire.PathRevocations {
		r.SetBasicAuth(url.QueryEscape(v.cfg.ConsumerKey), url.QueryEscape(v.cfg.ConsumerSecret)) // RFC 6749, section 2.3.1
	} else {
		r.Header.Set("Cache-Control", "no-cache") // the reason to ask is that a cached one is stale
	}
	began := time.Now()
	resp, err := v.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if path == wire.PathRevocations { // these are never cached, so the Date is that of the answer
		v.known.dated(resp.Header.Get("Date"), began, time.Now())
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %d", path, resp.StatusCode)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s did not answer with the expected JSON", path)
	}
	return nil
}

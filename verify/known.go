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

// remembered is how many tokens are remembered at least, and half of what is at
// most: some 15 MB.
const remembered = 8192

// A publicKey is one of the service's keys.
type publicKey struct {
	id     string
	public *rsa.PublicKey
}

// known is what a Verifier knows of the service.
type known struct {
	mu       sync.RWMutex
	byHeader map[string]publicKey // by the first segment of the tokens a key signs
	keys     map[string]bool      // the ids of all keys: what another one has signed is refused
	revoked  map[string]int64     // when each revoked token expires, by its id
	swept    time.Time            // when expired ones were forgotten
	asked    time.Time            // when the service was asked last, whatever came of it
	heard    time.Time            // when it was asked last and answered
	failure  error                // of the last time
	answer   chan struct{}        // closed when the next time is over
	ahead    atomic.Int64         // by how much the service's clock is ahead, if it is not believed to be ours

	tokens     sync.RWMutex
	fresh, old map[string]*verified // by the whole token; the oldest are forgotten by the half
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

// now is the time by this machine's clock, or by the service's if the two differ by
// more than clockTrust.
func (k *known) now() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }

// dated learns from an answer's Date how far the service's clock is ahead of ours.
func (k *known) dated(date string, began, ended time.Time) {
	there, err := http.ParseTime(date)
	if err != nil {
		return
	}
	// Date leaves out the fraction. By the wall clock: the monotonic one is never wrong.
	ahead := there.Add(time.Second / 2).Sub(began.Round(0).Add(ended.Sub(began) / 2))
	if ahead.Abs() <= clockTrust {
		ahead = 0
	}
	k.ahead.Store(int64(ahead))
}

// judge reports whether a token that has not expired is good still.
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

// why is what was wrong when the service was asked last.
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

// look waits for the answer to a question that is asked from now on.
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
		default: // somebody else wants it too
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

// follow asks the service again and again, until the context ends: every half
// second, and a little earlier if somebody waits for it.
func (v *Verifier) follow(ctx context.Context) {
	defer close(v.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var after int64
	for {
		asked := time.Now()
		next, err := v.ask(ctx, after)
		if err != nil {
			next = 0 // what the service is when it answers again, nobody knows
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

// answered tells all who wait how asking went.
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

// ask asks which tokens have been revoked after a number, and for the keys if there
// are others than are known. It returns where to go on.
func (v *Verifier) ask(ctx context.Context, after int64) (next int64, err error) {
	k := &v.known
	for {
		var told wire.Revocations
		if err := v.get(ctx, wire.PathRevocations, "after="+strconv.FormatInt(after, 10), &told); err != nil {
			return 0, err
		}
		var missing bool
		k.mu.Lock()
		for _, x := range told.Revocations {
			k.revoked[x.Jti] = x.Exp
		}
		k.keys = map[string]bool{}
		for _, id := range told.Keys {
			k.keys[id] = true
			if _, have := k.byHeader[claims.Header(id)]; !have {
				missing = true
			}
		}
		k.mu.Unlock()
		if missing {
			if err := v.askKeys(ctx); err != nil {
				return 0, err
			}
		}
		switch {
		case told.Next < after: // its numbers began again
			after = 0
		case told.More:
			after = told.Next
		default:
			k.forget(k.now())
			return told.Next, nil
		}
	}
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

// maxModulus is how long a key is at most, in bits: the time that checking a token
// takes grows with its square.
const maxModulus = 16384

// askKeys asks for the key set.
func (v *Verifier) askKeys(ctx context.Context) error {
	var set struct {
		Keys []struct{ Kty, Alg, Use, Kid, N, E string }
	}
	if err := v.get(ctx, wire.PathKeySet, "", &set); err != nil {
		return err
	}
	byHeader := map[string]publicKey{}
	for _, k := range set.Keys {
		n, ok1 := claims.Decode(k.N)
		e, ok2 := claims.Decode(k.E)
		if k.Kty != "RSA" || k.Alg != "RS256" || !ok1 || !ok2 || len(n) < 2048/8 || len(n) > maxModulus/8 || len(e) > 4 {
			continue // of a later service, perhaps
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		byHeader[claims.Header(k.Kid)] = publicKey{k.Kid, public}
	}
	v.known.mu.Lock()
	defer v.known.mu.Unlock()
	v.known.byHeader = byHeader
	return nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// get asks the service.
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
		r.Header.Set("Cache-Control", "no-cache") // it is asked for because another one is kept somewhere
	}
	began := time.Now()
	resp, err := v.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if path == wire.PathRevocations { // no cache keeps these: the date is that of the answer
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
		return fmt.Errorf("%s answers what is not JSON as described", path)
	}
	return nil
}

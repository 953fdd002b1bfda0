// Package login is the domain: accounts and consumers, view and trade sessions,
// the rules of both factors, and the ports to the stores, the OMS and the
// couriers. It imports no HTTP, no SQL and no driver.
//
// Start with [Service]. A login is [Service.Login], [Service.SendOTP],
// [Service.SecondFactor]; a trade call is [Service.CheckTrade].
package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/limit"
	"neoapi/internal/token"
)

// IST is the exchange's time zone: day's ends are told in it.
var IST = time.FixedZone("IST", 5*60*60+30*60)

// Options are the rules that an operator may set. The zero value of each field
// means its default.
type Options struct {
	OTPDigits    int           // 4 to 8; default 6
	OTPPerHour   int           // codes an hour for one account; default 10 (bar O6)
	SessionTTL   time.Duration // a trade session's life; default 1 hour, as in the seed
	DayEnds      bool          // instead, trade sessions end at the next 00:00 IST
	ConsumerRate int           // requests a second of one consumer; 0 for no limit
	OMSTimeout   time.Duration // default 3 seconds
}

// The rules that are the same everywhere.
const (
	otpLife         = 5 * time.Minute  // bar O1
	otpResend       = 30 * time.Second // bar O6
	maxSends        = 3                // codes a login, bar O6
	maxTries        = 3                // tries a code, bar O6
	accessLife      = time.Hour
	viewAtLeast     = 10 * time.Minute // a view session that starts just before midnight lives at least so long
	repeatFor       = time.Minute      // design: a repeat with the same request id gets the same session
	hashWait        = 5 * time.Second  // how long a hash waits for its turn
	leaveTimeout    = 2 * time.Second  // how long giving a claim back may take
	claimGrace      = 10 * time.Second // what a claim's lease leaves for judging and storing beside the OMS
	consumerRecheck = 500 * time.Millisecond
	sweepEvery      = 30 * time.Second
	sweepBatch      = 100
)

// Ports are what a Service needs from outside. Courier may be nil: then OTP
// requests fail, while MPIN and TOTP work.
type Ports struct {
	Accounts Accounts
	Sessions Sessions
	OMS      OMS
	Courier  Courier
	Vault    *credential.Vault
	Now      func() time.Time
	Log      *slog.Logger
}

// A Service keeps the rules. Make one with [New]. It is safe for concurrent use.
type Service struct {
	Ports
	opt    Options
	ring   *token.Ring
	hashes chan struct{} // a slot for each password hash that may run at once
	nobody string        // the hash that is checked when there is no account

	mu        sync.Mutex
	consumers map[string]*knownConsumer // only consumers that exist: invented keys cost nothing
}

// knownConsumer is what is remembered of a consumer between requests: the
// record, for a moment, and what is left of its allowance.
type knownConsumer struct {
	Consumer
	read  time.Time
	state limit.State
}

// New starts a service: it checks the options, naming every problem at once,
// and loads the signing keys, making the first one if there is none.
func New(ctx context.Context, p Ports, opt Options) (*Service, error) {
	if err := opt.fill(); err != nil {
		return nil, err
	}
	s := &Service{
		Ports: p, opt: opt,
		hashes:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		consumers: map[string]*knownConsumer{},
	}
	// The hash that stands in for an account that does not exist is of a random
	// secret: nothing matches it, and checking it takes as long as any other.
	s.nobody = credential.Hash([]byte(credential.NewMasterKey()))
	return s, s.loadKeys(ctx)
}

// Check names every problem of the options at once.
func (o Options) Check() error { return o.fill() }

func (o *Options) fill() error {
	defaults(&o.OTPDigits, 6)
	defaults(&o.OTPPerHour, 10)
	defaults(&o.SessionTTL, time.Hour)
	defaults(&o.OMSTimeout, 3*time.Second)
	var problems []error
	if o.OTPDigits < 4 || o.OTPDigits > 8 {
		problems = append(problems, fmt.Errorf("OTP digits: %d is not between 4 and 8", o.OTPDigits))
	}
	if o.OTPPerHour < 0 {
		problems = append(problems, fmt.Errorf("OTPs per hour: %d is negative", o.OTPPerHour))
	}
	if o.SessionTTL < time.Minute || o.SessionTTL > 24*time.Hour {
		problems = append(problems, fmt.Errorf("session TTL: %s is not between 1m and 24h", o.SessionTTL))
	}
	if o.ConsumerRate < 0 {
		problems = append(problems, fmt.Errorf("consumer rate: %d is negative (0 means no limit)", o.ConsumerRate))
	}
	if o.OMSTimeout < 0 {
		problems = append(problems, fmt.Errorf("OMS timeout: %s is negative", o.OMSTimeout))
	}
	return errors.Join(problems...)
}

func defaults[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// loadKeys fills the ring from the store. Of several processes that start on an
// empty store, all use the one key that was stored first.
func (s *Service) loadKeys(ctx context.Context) error {
	stored, err := s.Accounts.SigningKeys(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		key, err := token.NewKey()
		if err != nil {
			return err
		}
		plain, err := token.MarshalKey(key)
		if err != nil {
			return err
		}
		first := SigningKey{ID: key.ID, Sealed: s.Vault.Seal(credential.PurposeSigningKey, key.ID, plain), Created: s.Now()}
		if err := s.Accounts.AddFirstSigningKey(ctx, first); err != nil {
			return err
		}
		if stored, err = s.Accounts.SigningKeys(ctx); err != nil {
			return err
		}
	}
	var keys []token.Key
	for _, k := range stored {
		plain, err := s.Vault.Open(credential.PurposeSigningKey, k.ID, k.Sealed)
		if err != nil {
			return fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		key, err := token.ParseKey(plain)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	s.ring, err = token.NewRing(keys, keys[len(keys)-1].ID)
	return err
}

// hash runs f, which hashes a secret, when fewer such hashes run than there are
// processors. Waiting ends after a few seconds, or with the context.
func (s *Service) hash(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case s.hashes <- struct{}{}:
		defer func() { <-s.hashes }()
		f()
		return nil
	case <-ctx.Done():
		return &Error{Kind: KindUnavailable, Detail: "the service is busy: try again shortly", RetryAfter: storeRetry, Err: ctx.Err()}
	}
}

// verify checks a secret against a stored hash; an empty hash matches nothing
// but costs the same (bar P5). around runs in the hash's turn and must judge once.
func (s *Service) verify(ctx context.Context, phc string, secret []byte, around func(judge func() bool) error) (ok, stale bool, err error) {
	exists := phc != ""
	if !exists {
		phc = s.nobody
	}
	var aerr error
	herr := s.hash(ctx, func() {
		aerr = around(func() bool {
			ok, stale, err = credential.Verify(phc, secret)
			ok = ok && exists
			return ok
		})
	})
	if herr = errors.Join(herr, aerr); herr != nil {
		return false, false, herr
	}
	if err != nil {
		return false, false, &Error{Kind: KindInternal, Detail: "the service could not read its records: tell its operator", Err: err}
	}
	return ok, stale, nil
}

// mpinBytes is what the MPIN's hash is made of: a keyed hash, because an MPIN
// has only a million values and a stolen database must not be enough (bar P1).
func (s *Service) mpinBytes(mpin credential.Secret) []byte {
	return s.Vault.MAC(credential.PurposeMPIN, string(mpin))
}

// record stores an event that stands alone. Trouble is logged: the outcome that
// the event tells of has been decided already.
func (s *Service) record(ctx context.Context, e Event) {
	if err := s.Accounts.Record(ctx, e); err != nil {
		s.Log.ErrorContext(ctx, "audit event not stored", "action", e.Action, "outcome", e.Outcome, "cause", err)
	}
}

// Run removes expired sessions in small batches until the context ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		for {
			n, err := s.Sessions.Sweep(ctx, s.Now(), sweepBatch)
			if err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "expired sessions not removed", "cause", err)
			}
			if err != nil || n < sweepBatch {
				break
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

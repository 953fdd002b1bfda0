// Package login is the domain: accounts and consumers, view and trade sessions,
// the rules of both factors, and the ports to the store, the OMS and the
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
	"sync/atomic"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/limit"
	"neoapi/internal/token"
)

// IST is the exchange's time zone, in which days end.
var IST = time.FixedZone("IST", 5*60*60+30*60)

// Options are the rules that an operator may set. The zero value of each field
// means its default.
type Options struct {
	OTPDigits    int           // 4 to 8; default 6
	OTPPerHour   int           // codes an hour for one account; default 10 (security.md O6)
	SessionTTL   time.Duration // a trade session's life; default 1 hour, as in the original document
	DayEnds      bool          // instead, trade sessions end with the day
	Days         Days          // when days end; default 00:00 IST
	ConsumerRate int           // requests a second of a consumer without a rate of its own; 0 for no limit
	AddressRate  int           // wrong first factors a minute from one address before it must wait; 0 for no limit
	OMSTimeout   time.Duration // default 3 seconds
	Hashes       int           // hashes of first factors that run at once; default one for each processor
}

// The rules that are the same everywhere.
const (
	otpLife         = 5 * time.Minute  // security.md O1
	otpResend       = 30 * time.Second // security.md O6
	maxSends        = 3                // codes a login, security.md O6
	maxTries        = 3                // tries a code, security.md O6
	accessLife      = time.Hour
	viewAtLeast     = 10 * time.Minute // a view session that starts just before midnight lives at least so long
	repeatFor       = time.Minute      // design: a repeat with the same request id gets the same session
	hashesWaiting   = 32               // for each processor: what a common one hashes in less than a second
	busyRetry       = time.Second      // by then the hashes that wait now are done
	tryLease        = 10 * time.Second // a first factor is checked and recorded within it
	laterTimeout    = 5 * time.Second  // the time limit of work after the answer
	claimGrace      = 10 * time.Second // the part of a claim's lease for checking and storing, besides the OMS
	consumerRecheck = 500 * time.Millisecond
	consumerLook    = 50 * time.Millisecond // between two reads of a consumer for requests that would be refused
	sweepEvery      = 30 * time.Second
	sweepBatch      = 100
)

// Ports are what a Service needs from outside. Courier may be nil: then OTP
// requests fail, while MPIN and TOTP work.
type Ports struct {
	Directory  Directory
	Keys       Keys
	Trail      Trail
	Sessions   Sessions
	Allowances Allowances
	Jobs       Jobs
	OMS        OMS
	Courier    Courier
	Outbox     bool                        // codes are sent after the answer, by Run, and not before it
	TradeAPI   interface{ Health() error } // the trade API, for Health; nil if there is none
	MasterKey  interface{ Health() error } // the master key's file, likewise
	Vault      *credential.Vault
	Now        func() time.Time
	Log        *slog.Logger
	Observe    func(Event)   // called with each event that this process has stored; may be nil
	GaveUp     func(JobKind) // called for each job that did not end in its time; may be nil
	Failing    func() error  // returns why the store fails, by the calls of the last seconds; may be nil
}

// A Service implements the rules. Create one with [New]. It is safe for concurrent use.
type Service struct {
	Ports
	opt    Options
	keys   keys
	access token.Opener
	first  *queue                            // of hashes of first factors
	second *queue                            // of second factors, which do not wait for first ones
	nobody atomic.Pointer[[nobodies]Account] // decoy accounts for logins that name no account
	later  sync.WaitGroup                    // work done after answers
	debts  debts
	inHand inHand
	doctor doctor
	clock  clock

	outbox, closings *jobs
	identities       identities

	known [256]atomic.Pointer[credential.Secret] // ids of accounts that exist

	mu        sync.Mutex
	consumers map[string]*knownConsumer // only consumers that exist: invented keys cost nothing
}

// knownConsumer is what is cached of a consumer between requests: the record, for a
// moment, and its remaining allowance in this process. taken is how many requests
// were charged to the shared allowance in advance, for one second.
type knownConsumer struct {
	Consumer
	read    time.Time
	looked  time.Time     // when reading it began, by the machine's clock
	turn    chan struct{} // held while it is read again for a request that it would refuse
	state   limit.State
	lanes   map[string]limit.State
	taken   int
	takenAt time.Time
}

// New starts a service: it checks the options, returning every problem at once, and
// loads the signing keys, creating the first one if there is none.
func New(ctx context.Context, p Ports, opt Options) (*Service, error) {
	if err := opt.fill(); err != nil {
		return nil, err
	}
	s := &Service{
		Ports: p, opt: opt,
		first:     newQueue(opt.Hashes, hashesWaiting*opt.Hashes),
		second:    newQueue(1, hashesWaiting),
		consumers: map[string]*knownConsumer{},
		inHand:    inHand{all: map[string]*hand{}},
		debts:     debts{ending: make(chan struct{})},
		doctor:    doctor{turn: make(chan struct{}, 1), down: map[string]bool{}},
		clock:     clock{turn: make(chan struct{}, 1)},
	}
	s.keys.init()
	s.outbox, s.closings = newJobs(JobCode, s.sendCode), newJobs(JobClose, s.closeSession)
	if err := s.fillNobodies(ctx); err != nil {
		return nil, err
	}
	if err := s.startClock(ctx); err != nil {
		return nil, err
	}
	return s, s.firstKeys(ctx)
}

// Check returns every problem of the options at once.
func (o Options) Check() error { return o.fill() }

func (o *Options) fill() error {
	defaults(&o.OTPDigits, 6)
	defaults(&o.OTPPerHour, 10)
	defaults(&o.SessionTTL, time.Hour)
	defaults(&o.OMSTimeout, 3*time.Second)
	defaults(&o.Hashes, runtime.GOMAXPROCS(0))
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
	if o.AddressRate < 0 {
		problems = append(problems, fmt.Errorf("wrong logins of one address: %d is negative (0 means no limit)", o.AddressRate))
	}
	if o.Hashes < 0 {
		problems = append(problems, fmt.Errorf("hashes at once: %d is negative", o.Hashes))
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

// mpinBytes returns the input of the MPIN's hash: a keyed hash, because an MPIN has
// only a million values and a stolen database must not be enough (security.md P1).
func (s *Service) mpinBytes(mpin credential.Secret) []byte {
	return s.Vault.MAC(credential.PurposeMPIN, string(mpin))
}

// record stores an event on its own, even if the client has gone away, because its
// outcome is already decided. A failure is logged, with the event. It is the last
// store access of a request.
func (s *Service) record(ctx context.Context, e Event) error {
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	if err := s.Trail.Record(ctx, e); err != nil {
		s.Log.LogAttrs(ctx, slog.LevelError, "audit event not stored", append(e.attrs(), slog.Any("cause", err))...)
		return err
	}
	s.logged(ctx, e)
	return nil
}

// refuse records why a checked request is refused, and returns the error for the
// client. No outcome is answered without its event (security.md L2, R1).
func (s *Service) refuse(ctx context.Context, e Event, refusal error) error {
	if err := s.record(ctx, e); err != nil {
		return StoreFault(err)
	}
	return refusal
}

// logged writes a stored event as a log line (security.md L2).
func (s *Service) logged(ctx context.Context, e Event) {
	if s.Observe != nil {
		s.Observe(e)
	}
	if s.Log.Enabled(ctx, slog.LevelInfo) {
		s.Log.LogAttrs(ctx, slog.LevelInfo, "audit", e.attrs()...)
	}
}

// attrs returns the log attributes of an event: all of its fields that are not empty,
// except its number and time.
func (e Event) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("action", e.Action), slog.String("outcome", e.Outcome)}
	for _, a := range []slog.Attr{
		slog.String("ucc", e.UCC), slog.String("account", e.Account), slog.String("factor", string(e.Factor)),
		slog.String("consumer", e.Consumer), slog.String("sid", e.SID), slog.String("address", e.Address),
		slog.String("request_id", e.RequestID),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

// Run removes expired sessions in small batches, follows the signing keys, sends
// codes and reports ended sessions to the OMS until the context is done, and then
// waits for the work after the last answers.
func (s *Service) Run(ctx context.Context) {
	defer s.later.Wait()
	context.AfterFunc(ctx, func() { time.AfterFunc(laterTimeout, s.debts.end) }) // not taken back: the loop may see the end before it
	s.later.Go(func() { s.followKeys(ctx) })
	for _, q := range []*jobs{s.outbox, s.closings} {
		s.later.Go(func() { s.work(ctx, q) })
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	census := time.NewTicker(censusEvery)
	defer census.Stop()
	for {
		for {
			n, err := s.Jobs.Sweep(ctx, s.Now(), sweepBatch)
			if err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "expired sessions not removed", "cause", err)
			}
			if err != nil || n < sweepBatch {
				break
			}
		}
		select {
		case <-tick.C:
		case <-census.C:
			if err := s.fillNobodies(ctx); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "stand-ins for unknown accounts not renewed", "cause", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

package login_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"neoapi/internal/limit"
	"neoapi/internal/login"
	"neoapi/internal/store"
)

// A fault is what happens at one call of the store, or at that call and all later ones.
type fault struct {
	at    int  // the call's number in its request, from 0; below 0 for no fault
	kind  int  // one of those below
	lasts bool // until the store is mended
}

const (
	failsBefore  = iota // the call changes nothing
	failsAfter          // it is done, and its answer is lost
	hangs               // it changes nothing, and returns when its context is done
	goneBefore          // the client goes away
	goneAfter           //
	panicsBefore        // the caller's goroutine panics
	panicsAfter         //
	faultKinds
)

var errAway = errors.New("the store is away")

// A faultyStore is a real store between which and its caller there are faults.
type faultyStore struct {
	store.Store

	mu    sync.Mutex
	fault fault
	gone  context.CancelFunc // of the request
	calls int
	went  outcome
	down  map[string]int // the faults of all calls of a method
}

// An outcome is what a request came to at the store.
type outcome struct {
	lost string          // the first call whose answer its caller did not get
	did  map[string]bool // the calls that took effect
}

// begin makes a fault happen in the next request, whose client leaves by gone.
func (s *faultyStore) begin(f fault, gone context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.gone, s.calls, s.went = f, gone, 0, outcome{did: map[string]bool{}}
}

// mend ends all faults.
func (s *faultyStore) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.down = fault{at: -1}, nil
}

// outcome returns what the request has come to so far.
func (s *faultyStore) outcome() outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return outcome{s.went.lost, maps.Clone(s.went.did)}
}

// next returns the fault of a call.
func (s *faultyStore) next(op string) (kind int, faulty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.calls
	s.calls++
	f := s.fault
	if kind, down := s.down[op]; down {
		return kind, true
	}
	switch {
	case f.at < 0 || n < f.at || n > f.at && !f.lasts:
		return 0, false
	case n > f.at: // an outage, whatever it began with
		return failsBefore, true
	}
	return f.kind, true
}

// note remembers what became of a call.
func (s *faultyStore) note(op string, did, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.went.did == nil {
		return
	}
	s.went.did[op] = s.went.did[op] || did
	if lost && s.went.lost == "" {
		s.went.lost = op
	}
}

// through makes a call of the store with its fault.
func through[T any](ctx context.Context, s *faultyStore, op string, call func() (T, error)) (T, error) {
	kind, faulty := s.next(op)
	var none T
	if faulty {
		switch kind {
		case failsBefore:
			s.note(op, false, true)
			return none, errAway
		case hangs:
			s.note(op, false, true)
			<-ctx.Done()
			return none, ctx.Err()
		case panicsBefore:
			s.note(op, false, true)
			panic("a fault before " + op)
		case goneBefore:
			s.gone()
		}
	}
	got, err := call()
	lost := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || faulty && (kind == failsAfter || kind == panicsAfter)
	s.note(op, err == nil, lost)
	switch {
	case !faulty:
	case kind == panicsAfter:
		panic("a fault after " + op)
	case kind == goneAfter:
		s.gone()
	case kind == failsAfter:
		return none, errAway
	}
	return got, err
}

func done(ctx context.Context, s *faultyStore, op string, call func() error) error {
	_, err := through(ctx, s, op, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (s *faultyStore) Account(ctx context.Context, id login.Identifier) (login.Account, error) {
	return through(ctx, s, "Account", func() (login.Account, error) { return s.Store.Account(ctx, id) })
}

func (s *faultyStore) Consumer(ctx context.Context, key string) (login.Consumer, error) {
	return through(ctx, s, "Consumer", func() (login.Consumer, error) { return s.Store.Consumer(ctx, key) })
}

func (s *faultyStore) Record(ctx context.Context, e login.Event) error {
	return done(ctx, s, "Record", func() error { return s.Store.Record(ctx, e) })
}

func (s *faultyStore) OpenView(ctx context.Context, v login.Session, step int64, try string, e login.Event) error {
	return done(ctx, s, "OpenView", func() error { return s.Store.OpenView(ctx, v, step, try, e) })
}

func (s *faultyStore) TryView(ctx context.Context, t login.Try, v login.Session, step int64, e login.Event) (int64, error) {
	version, err := through(ctx, s, "TryView", func() (int64, error) { return s.Store.TryView(ctx, t, v, step, e) })
	if errors.Is(err, login.ErrStepUsed) {
		s.note("Try", true, false)
	}
	return version, err
}

func (s *faultyStore) Session(ctx context.Context, sid string) (login.Session, error) {
	return through(ctx, s, "Session", func() (login.Session, error) { return s.Store.Session(ctx, sid) })
}

func (s *faultyStore) SetOTP(ctx context.Context, o login.NewOTP) (time.Duration, error) {
	return through(ctx, s, "SetOTP", func() (time.Duration, error) { return s.Store.SetOTP(ctx, o) })
}

func (s *faultyStore) DropOTP(ctx context.Context, sid string, otp []byte) error {
	return done(ctx, s, "DropOTP", func() error { return s.Store.DropOTP(ctx, sid, otp) })
}

func (s *faultyStore) Claim(ctx context.Context, c login.Claim) (login.Session, login.Account, error) {
	var a login.Account
	x, err := through(ctx, s, "Claim", func() (x login.Session, err error) {
		x, a, err = s.Store.Claim(ctx, c)
		return x, err
	})
	return x, a, err
}

func (s *faultyStore) Fail(ctx context.Context, sid, claim string, e login.Event) error {
	return done(ctx, s, "Fail", func() error { return s.Store.Fail(ctx, sid, claim, e) })
}

func (s *faultyStore) Refund(ctx context.Context, sid, claim string, e login.Event) error {
	return done(ctx, s, "Refund", func() error { return s.Store.Refund(ctx, sid, claim, e) })
}

func (s *faultyStore) Complete(ctx context.Context, claim string, t login.Session, e login.Event) error {
	return done(ctx, s, "Complete", func() error { return s.Store.Complete(ctx, claim, t, e) })
}

func (s *faultyStore) Take(ctx context.Context, key string, r limit.Rate, n int, now time.Time) (time.Duration, error) {
	return through(ctx, s, "Take", func() (time.Duration, error) { return s.Store.Take(ctx, key, r, n, now) })
}

func (s *faultyStore) Charge(ctx context.Context, c login.Charge) (time.Duration, error) {
	return through(ctx, s, "Charge", func() (time.Duration, error) { return s.Store.Charge(ctx, c) })
}

func (s *faultyStore) GiveBack(ctx context.Context, c login.Charge, now time.Time) error {
	return done(ctx, s, "GiveBack", func() error { return s.Store.GiveBack(ctx, c, now) })
}

func (s *faultyStore) State(ctx context.Context, account string) (login.AccountState, error) {
	return through(ctx, s, "State", func() (login.AccountState, error) { return s.Store.State(ctx, account) })
}

func (s *faultyStore) Try(ctx context.Context, t login.Try) error {
	return done(ctx, s, "Try", func() error { return s.Store.Try(ctx, t) })
}

func (s *faultyStore) EndTry(ctx context.Context, t login.Try, failed bool, e login.Event) error {
	return done(ctx, s, "EndTry", func() error { return s.Store.EndTry(ctx, t, failed, e) })
}

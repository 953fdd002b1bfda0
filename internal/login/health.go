package login

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A Part is something that the service depends on.
type Part struct {
	Name   string // "store", "keys", "master key", "oms", "courier", "trade API" or "log"
	Err    error  // why it does not work, without secrets; nil if it does
	Needed bool   // without it nothing can be answered; otherwise only what depends on it fails
}

// checkupLife is how long a checkup is cached, so that frequent requests cost no more
// than one a second. rehearsalLife is how long a rehearsal is good for that went well,
// unless calls of the store fail: many processes may share one.
const (
	checkupLife   = time.Second
	rehearsalLife = 2 * time.Second
)

// A rehearsal that fails or takes longer than rehearsalWithin is repeated once, after a
// pause: one slow call or lost connection is no fault.
const (
	rehearsalPause  = 200 * time.Millisecond
	rehearsalWithin = (patience - rehearsalPause) / 2
)

type checkup struct {
	at    time.Time
	parts []Part
}

// A doctor examines the parts, one examination at a time.
type doctor struct {
	turn      chan struct{} // guards the fields below
	last      atomic.Pointer[checkup]
	rehearsed time.Time       // when the last rehearsal began that went well
	down      map[string]bool // the parts that are in the log as not working
}

// Health reports the state of the parts that the service depends on: whether a login can
// be stored and a key signs, and what OMS, couriers, the trade API's gateway, the log and
// the master key report about themselves, if they do. An answer is up to a second old, or up to two
// seconds if the store was well then and too few of its calls fail. It takes no
// longer than a request may wait for the store.
func (s *Service) Health(ctx context.Context) []Part {
	d := &s.doctor
	if c := d.last.Load(); c != nil && time.Since(c.at) < checkupLife {
		return c.parts
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return []Part{{Name: "store", Err: ctx.Err(), Needed: true}}
	}
	if c := d.last.Load(); c != nil && time.Since(c.at) < checkupLife {
		return c.parts
	}
	ctx = context.WithoutCancel(ctx)
	parts := s.examine(ctx)
	d.last.Store(&checkup{time.Now(), parts})
	s.tellChanges(ctx, parts)
	return parts
}

// Ready returns nil if requests can be answered, or an error of KindUnavailable.
func (s *Service) Ready(ctx context.Context) error {
	for _, p := range s.Health(ctx) {
		if p.Needed && p.Err != nil {
			return StoreFault(p.Err)
		}
	}
	return nil
}

func (s *Service) examine(ctx context.Context) []Part {
	parts := []Part{{"store", s.storeHealth(ctx), true}, {"keys", nil, true}}
	if ring := s.keys.ring(); ring == nil || ring.Active() == "" {
		parts[1].Err = errors.New("no key to sign with")
	}
	for name, port := range map[string]any{
		"oms": s.OMS, "courier": s.Courier, "trade API": s.TradeAPI, "log": s.Log.Handler(), "master key": s.MasterKey,
	} {
		if p, ok := port.(interface{ Health() error }); ok {
			parts = append(parts, Part{Name: name, Err: p.Health()})
		}
	}
	return parts
}

// storeHealth returns why logins cannot be stored: because a rehearsal cannot, or because
// the calls of the last seconds could not.
func (s *Service) storeHealth(ctx context.Context) (err error) {
	var failing error
	if s.Failing != nil {
		failing = s.Failing()
	}
	if failing == nil && time.Since(s.doctor.rehearsed) < rehearsalLife {
		return nil
	}
	began := time.Now()
	if err = s.rehearse(ctx); err != nil {
		time.Sleep(rehearsalPause)
		began = time.Now()
		err = s.rehearse(ctx)
	}
	if err != nil {
		s.doctor.rehearsed = time.Time{}
		return err
	}
	s.doctor.rehearsed = began
	return failing
}

func (s *Service) rehearse(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rehearsalWithin)
	defer cancel()
	return s.Jobs.Rehearse(ctx, s.Now())
}

// tellChanges logs what the service cannot do without when it stops working, and when it
// works again.
func (s *Service) tellChanges(ctx context.Context, parts []Part) {
	for _, p := range parts {
		switch {
		case !p.Needed || s.doctor.down[p.Name] == (p.Err != nil):
			continue
		case p.Err != nil:
			s.Log.ErrorContext(ctx, "not ready", "part", p.Name, "cause", p.Err.Error())
		default:
			s.Log.InfoContext(ctx, "ready again", "part", p.Name)
		}
		s.doctor.down[p.Name] = p.Err != nil
	}
}

// Queues reports how many hashes of first and of second factors run or wait now, and
// how many may.
func (s *Service) Queues() (first, firstMax, second, secondMax int) {
	return len(s.first.places), cap(s.first.places), len(s.second.places), cap(s.second.places)
}

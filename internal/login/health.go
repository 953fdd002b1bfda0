package login

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"neoapi/internal/limit"
)

// A Part is something that the service depends on.
type Part struct {
	Name   string // "store", "keys", "oms", "courier", "trade API" or "log"
	Err    error  // why it does not work, without secrets; nil if it does
	Needed bool   // without it nothing can be answered; otherwise only what depends on it fails
}

// checkupLife is how long a checkup is cached, so that frequent requests cost no more
// than one a second.
const checkupLife = time.Second

type checkup struct {
	at    time.Time
	parts []Part
}

// A doctor examines the parts, one examination at a time.
type doctor struct {
	turn chan struct{}
	last atomic.Pointer[checkup]
}

// Health reports the state of the parts that the service depends on: whether the store accepts a write and
// a key signs, and what OMS, couriers, the trade API's gateway and the log report about themselves, if they
// do. An answer is up to a second old.
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
	parts := s.examine(context.WithoutCancel(ctx))
	d.last.Store(&checkup{time.Now(), parts})
	return parts
}

// Ready returns nil if requests can be answered, or an error of KindUnavailable.
func (s *Service) Ready(ctx context.Context) error {
	for _, p := range s.Health(ctx) {
		if p.Needed && p.Err != nil {
			return storeFault(p.Err)
		}
	}
	return nil
}

func (s *Service) examine(ctx context.Context) []Part {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// A store that is full or read-only still reads.
	_, err := s.Allowances.Take(ctx, "health", limit.Rate{N: 1, Per: time.Millisecond}, 1, s.Now())
	parts := []Part{{"store", err, true}, {"keys", nil, true}}
	if ring := s.keys.ring(); ring == nil || ring.Active() == "" {
		parts[1].Err = errors.New("no key to sign with")
	}
	for name, port := range map[string]any{"oms": s.OMS, "courier": s.Courier, "trade API": s.TradeAPI, "log": s.Log.Handler()} {
		if p, ok := port.(interface{ Health() error }); ok {
			parts = append(parts, Part{Name: name, Err: p.Health()})
		}
	}
	return parts
}

// Queues reports how many hashes of first and of second factors run or wait now, and
// how many may.
func (s *Service) Queues() (first, firstMax, second, secondMax int) {
	return len(s.first.places), cap(s.first.places), len(s.second.places), cap(s.second.places)
}

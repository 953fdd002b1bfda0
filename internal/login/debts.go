package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a request was charged for, and is to be given back because nothing was judged, may
// have to wait until the store works again. Each process remembers what it owes. Before it
// judges the next request of the same address or account, it pays what it owes them, so that
// nobody is refused for what was not judged.
const (
	debtTimeout = time.Second      // of one try to pay
	debtAgain   = time.Second      // between tries, at most
	debtKept    = 10 * time.Minute // then it is forgotten; a charge has long expired
	debtsMost   = 4096             // in one process; the first matter most: what follows in an outage was hardly charged
	debtsAtOnce = 32               // that one request pays
)

// A debt is work after an answer that must not be lost: to give something back, mostly.
type debt struct {
	to    []string // whom a request concerns that must not come before it: an address's key, an account's id
	until time.Time
	turn  chan struct{} // held while it is paid
	paid  atomic.Bool
	pay   func(ctx context.Context) error // may be called twice
}

// debts are those of one process.
type debts struct {
	mu     sync.Mutex
	all    []*debt // oldest first
	paying bool    // somebody pays those that could not be paid at once
	ending chan struct{}
	once   sync.Once
}

// add remembers a debt, unless there are too many.
func (d *debts) add(x *debt) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) >= debtsMost {
		return false
	}
	d.all = append(d.all, x)
	return true
}

func (d *debts) remove(x *debt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.all, x); i >= 0 {
		d.all = slices.Delete(d.all, i, i+1)
	}
}

// of returns the oldest debts to any of these.
func (d *debts) of(whom ...string) (some []*debt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.all {
		if len(some) < debtsAtOnce && slices.ContainsFunc(x.to, func(to string) bool { return slices.Contains(whom, to) }) {
			some = append(some, x)
		}
	}
	return some
}

// begin reports whether the caller is to pay what is left.
func (d *debts) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	begin := !d.paying && len(d.all) > 0
	d.paying = d.paying || begin
	return begin
}

// left returns what is left, or ends the caller's turn to pay if that is nothing.
func (d *debts) left() []*debt {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paying = len(d.all) > 0
	return slices.Clone(d.all)
}

// end makes what is not paid be forgotten after one more try.
func (d *debts) end() { d.once.Do(func() { close(d.ending) }) }

// after runs f after the answer, again and again until it succeeds, since the store may be
// away for a while (security.md R4), and before any other request of those whom it is owed
// to is judged in this process. f may run twice. If the process dies first, a try or a claim
// counts as failed when its lease expires.
func (s *Service) after(ctx context.Context, f func(ctx context.Context) error, to ...string) {
	s.owe(context.WithoutCancel(ctx), &debt{to: to, pay: f})
}

// atOnce is after, but runs f before the answer for the first time, even if the client
// has gone away.
func (s *Service) atOnce(ctx context.Context, f func(ctx context.Context) error, to ...string) {
	end, cancel := toTheEnd(ctx)
	defer cancel()
	x := &debt{to: to, pay: f, turn: make(chan struct{}, 1)}
	if s.pay(end, x) != nil {
		s.owe(context.WithoutCancel(ctx), x)
	}
}

// owe pays a debt outside the request.
func (s *Service) owe(ctx context.Context, x *debt) {
	x.until = time.Now().Add(debtKept)
	if x.turn == nil {
		x.turn = make(chan struct{}, 1)
	}
	kept := s.debts.add(x)
	s.later.Go(func() {
		err := s.pay(ctx, x)
		switch {
		case err == nil:
		case !kept:
			s.Log.WarnContext(ctx, "not tidied up", "cause", err)
		case s.debts.begin():
			s.payAll(ctx)
		}
	})
}

// pay pays a debt, unless somebody has paid it.
func (s *Service) pay(ctx context.Context, x *debt) (err error) {
	select {
	case x.turn <- struct{}{}:
		defer func() { <-x.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if x.paid.Load() {
		return nil
	}
	defer func() {
		if p := recover(); p != nil { // not a request's own work: a panic must not end the service
			s.Log.ErrorContext(ctx, "a panic while tidying up", "panic", fmt.Sprint(p))
			err = fmt.Errorf("a panic: %v", p)
		}
		if err == nil || errors.Is(err, ErrClaimLost) {
			err = nil
			x.paid.Store(true)
			s.debts.remove(x)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, debtTimeout)
	defer cancel()
	return x.pay(ctx)
}

// payAll pays all debts, one at a time, while there are any.
func (s *Service) payAll(ctx context.Context) {
	for wait, ending := debtAgain/4, false; ; wait = min(2*wait, debtAgain) {
		select {
		case <-time.After(wait):
		case <-s.debts.ending:
			ending = true
		}
		all := s.debts.left()
		if len(all) == 0 {
			return
		}
		failed := 0
		for _, x := range all {
			err := s.pay(ctx, x)
			if err == nil {
				wait = debtAgain / 8
				continue
			}
			if ending || time.Now().After(x.until) {
				s.Log.WarnContext(ctx, "not tidied up", "cause", err)
				s.debts.remove(x)
			}
			if failed++; failed == 3 { // the store is away
				break
			}
		}
		if ending {
			s.debts.left()
			return
		}
	}
}

// payFirst pays what this process owes to an address or an account before a request of
// theirs is judged. What cannot be paid now stays owed.
func (s *Service) payFirst(ctx context.Context, whom ...string) {
	for _, x := range s.debts.of(whom...) {
		if err := s.pay(ctx, x); err != nil {
			return
		}
	}
}

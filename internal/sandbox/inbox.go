package sandbox

import (
	"context"
	"slices"
	"sync"

	"neoapi/internal/login"
)

// kept is how many codes the inbox keeps for a UCC: a login has at most three, and a
// few logins may be open at once.
const kept = 32

// An Inbox keeps the newest codes of each UCC in memory. It implements
// [login.Courier]. The zero value is empty and ready; it is safe for concurrent
// use.
type Inbox struct {
	mu      sync.Mutex
	codes   map[string][]login.Message // newest last
	arrived chan struct{}              // closed at the next arrival; nil if nobody waits
	closed  chan struct{}              // by Close; nil until somebody asks, see done
}

var _ login.Courier = (*Inbox)(nil)

// Send implements [login.Courier].
func (b *Inbox) Send(_ context.Context, m login.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.codes == nil {
		b.codes = map[string][]login.Message{}
	}
	all := append(b.codes[m.Account.UCC], m)
	b.codes[m.Account.UCC] = all[max(0, len(all)-kept):]
	if b.arrived != nil {
		close(b.arrived)
		b.arrived = nil
	}
	return nil
}

// Ready implements [login.Courier].
func (b *Inbox) Ready(login.Account) error { return nil }

// Newest returns the newest code of a UCC for which live returns true, waiting for
// one to arrive until the context is done; then it returns login.ErrNotFound. live is
// called without any lock held; codes it refuses are forgotten, and its errors are
// returned.
func (b *Inbox) Newest(ctx context.Context, ucc string, live func(context.Context, login.Message) (bool, error)) (login.Message, error) {
	for {
		b.mu.Lock()
		all := slices.Clone(b.codes[ucc])
		if b.arrived == nil {
			b.arrived = make(chan struct{})
		}
		arrived := b.arrived
		b.mu.Unlock()

		for _, m := range slices.Backward(all) {
			ok, err := live(context.WithoutCancel(ctx), m)
			if ok || err != nil {
				return m, err
			}
			b.forget(ucc, m)
		}
		select {
		case <-arrived:
		case <-b.done():
			return login.Message{}, login.ErrNotFound
		case <-ctx.Done():
			return login.Message{}, login.ErrNotFound
		}
	}
}

// Close ends all waiting, for a service that is stopping. Codes already there can still be read.
func (b *Inbox) Close() {
	done := b.done()
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-done:
	default:
		close(b.closed)
	}
}

// done is closed by Close.
func (b *Inbox) done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed == nil {
		b.closed = make(chan struct{})
	}
	return b.closed
}

func (b *Inbox) forget(ucc string, m login.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	same := func(o login.Message) bool { return o.SID == m.SID && o.Code == m.Code }
	if b.codes[ucc] = slices.DeleteFunc(b.codes[ucc], same); len(b.codes[ucc]) == 0 {
		delete(b.codes, ucc)
	}
}

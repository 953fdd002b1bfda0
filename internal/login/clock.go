package login

import (
	"context"
	"sync/atomic"
	"time"
)

// Expired sessions and codes must not become valid again when the clock is set back.
// So each process remembers the latest time it has seen, and when its clock falls
// behind that by more than the allowed skew, it removes everything expired by then
// before it answers anything by the new time. Anything else stays valid until its own
// expiry. docs/design.md, "Clocks", has the whole list.

// A clock is what a service remembers about its own clock.
type clock struct {
	latest atomic.Int64  // the latest time that was seen, in nanoseconds since 1970
	turn   chan struct{} // held while expired records are removed
}

// startClock starts with the latest time in the store: the clock may have been set
// back while no process ran.
func (s *Service) startClock(ctx context.Context) error {
	last, err := s.Trail.LastEvent(ctx)
	if err != nil {
		return err
	}
	if !last.IsZero() {
		s.clock.latest.Store(last.UnixNano())
	}
	return s.FollowClock(ctx)
}

// FollowClock notices that the clock was set back, and then removes what had expired
// before. Every request that names a consumer calls it, and so does each process a
// few times a second; a test that sets the clock calls it at once.
func (s *Service) FollowClock(ctx context.Context) error {
	for {
		now, latest := s.Now().UnixNano(), s.clock.latest.Load()
		switch {
		case now > latest:
			if now-latest < int64(time.Second) || s.clock.latest.CompareAndSwap(latest, now) {
				return nil
			}
		case latest-now <= int64(clockSkew):
			return nil
		default:
			if err := s.setBack(ctx, latest); err != nil {
				return err
			}
		}
	}
}

// setBack removes what had expired at latest, unless another request has just done so.
func (s *Service) setBack(ctx context.Context, latest int64) error {
	select {
	case s.clock.turn <- struct{}{}:
		defer func() { <-s.clock.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.clock.latest.Load() != latest {
		return nil
	}
	then, now := time.Unix(0, latest), s.Now()
	s.Log.WarnContext(ctx, "the clock was set back: what had expired by then stays expired", "from", then.UTC(), "to", now.UTC())
	for {
		n, err := s.Jobs.Sweep(ctx, then, sweepBatch)
		if err != nil {
			return err
		}
		if n < sweepBatch {
			break
		}
	}
	if err := s.Jobs.DropExpired(ctx, then); err != nil {
		return err
	}
	s.clock.latest.Store(now.UnixNano())
	return nil
}

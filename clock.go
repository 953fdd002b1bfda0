package neoapi

import (
	"context"
	"time"
)

// poll is how often a wait reads a caller's clock.
const poll = 2 * time.Millisecond

// pause waits until d after now, by the client's clock, or returns the context's error.
// With a [Config.Clock] it ends as soon as that clock has reached the end, even by a
// jump, and never takes longer than d by the machine's clock, because a clock may stop
// or be set back.
func (c *Client) pause(ctx context.Context, now time.Time, d time.Duration) error {
	if !c.virtual {
		return pause(ctx, d)
	}
	until, latest := now.Add(d), time.Now().Add(d)
	for c.now().Before(until) {
		left := time.Until(latest)
		if left <= 0 {
			break
		}
		if err := pause(ctx, min(left, poll)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// pause waits for d by the machine's clock, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

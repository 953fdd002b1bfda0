package login

import (
	"context"
	"sync"
	"time"
)

// patience is how long a request may wait in total for the stores and for its turn to hash
// (security.md R1). Hashing itself, couriers and the OMS have limits of their own. Part of
// the patience is reserved for work that must be finished.
const (
	patience = 1800 * time.Millisecond
	theEnd   = patience / 4
)

// A watch ends a context when its request has waited too long for the stores.
type watch struct {
	cancel context.CancelFunc

	mu      sync.Mutex
	timer   *time.Timer // nil while it is paused
	running time.Time   // since when
	left    time.Duration
	kept    time.Duration // for toTheEnd
}

type watchKey struct{}

// WithPatience returns a context that is done when a request that begins now has
// waited too long for the stores. Cancel it when the request is answered.
func WithPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	return withWatch(ctx, patience-theEnd, theEnd)
}

func withWatch(ctx context.Context, left, kept time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: func() { cancel(context.DeadlineExceeded) }, left: left, kept: kept}
	w.resume()
	return context.WithValue(ctx, watchKey{}, w), func() {
		w.pause()
		cancel(context.Canceled)
	}
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.timer = time.Now(), time.AfterFunc(w.left, w.cancel)
}

func (w *watch) pause() (left time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil { // it runs
		w.timer.Stop()
		w.left, w.timer = max(0, w.left-time.Since(w.running)), nil
	}
	return w.left
}

// unhurried runs f without counting its time.
func unhurried(ctx context.Context, f func()) {
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		w.pause()
		defer w.resume()
	}
	f()
}

// toTheEnd returns a context for work that must be finished even if the client goes
// away, with the rest of the patience.
func toTheEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	left := patience
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		left = w.pause() + w.kept
	}
	return withWatch(context.WithoutCancel(ctx), left, 0)
}

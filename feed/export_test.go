package feed

import "time"

// Haste makes a feed wait a fraction of the time between tries, for tests that break many
// connections.
func Haste(n time.Duration) Option { return func(o *options) { o.haste = n } }

// Readers returns how many loops and callbacks a feed has.
func (o *OrderFeed) Readers() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.readers)
}

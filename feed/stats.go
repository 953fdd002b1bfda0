package feed

import "sync/atomic"

// counters count what a link does.
type counters struct {
	connections, frames, bytes atomic.Int64
}

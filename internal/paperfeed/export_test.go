package paperfeed

import (
	"time"

	"neoapi/internal/paper/listing"
)

// Bounds, for tests.
const (
	UnprovenOfOne = atOnce / 24
	MostTokens    = mostTokens
)

// OnEncode makes f know of each packet that is made. Call it before there are feeds.
func OnEncode(f func()) { onEncode = f }

// Impatient makes everything that a client is waited for end much earlier, until the
// function that it returns is called. Call it before there are feeds.
func Impatient() (patient func()) {
	prove, silent, stalled, look, trust := proveTime, silentTime, stalledTime, lookTime, trustTime
	proveTime, silentTime, stalledTime, frameTime = 500*time.Millisecond, time.Second, time.Second, time.Second
	lookTime, trustTime = 100*time.Millisecond, time.Second
	return func() {
		proveTime, silentTime, stalledTime, frameTime = prove, silent, stalled, stalled
		lookTime, trustTime = look, trust
	}
}

// OnTick makes f know when an instrument has moved. Call it before there are feeds.
func OnTick(f func(key listing.Key, seq uint8)) { onTick = f }

// Waiting returns how much waits for the clients that have the most waiting: frames, and
// subscriptions that have moved.
func (f *Feeds) Waiting() (frames, moved int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		c.mu.Lock()
		frames, moved = max(frames, len(c.frames)), max(moved, len(c.moved))
		if h, ok := c.protocol.(*hsm); ok {
			moved = max(moved, len(h.held))
		}
		c.mu.Unlock()
	}
	return frames, moved
}

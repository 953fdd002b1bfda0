package feed

import "sync/atomic"

// counters count what a link does.
type counters struct {
	connections, frames, bytes atomic.Int64
}

// MarketStats are what a [MarketFeed] has counted.
type MarketStats struct {
	Connections int64 // that proved the session, one after a break included
	Frames      int64
	Bytes       int64 // of frames
	Old         int64 // packets dropped because they were older than the last of their instrument
	Unknown     int64 // packets of a kind or a size that is not known, or of an instrument that is not subscribed
	Unread      int64 // frames, and packets of frames, that could not be read
}

// Stats returns what the feed has counted. How many quotes a reader has not had is in each
// [Quote] as Skipped.
func (m *MarketFeed) Stats() MarketStats {
	s := MarketStats{Old: m.counts.old.Load(), Unknown: m.counts.unknown.Load(), Unread: m.counts.bad.Load()}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lines {
		s.Connections += l.link.stats.connections.Load()
		s.Frames += l.link.stats.frames.Load()
		s.Bytes += l.link.stats.bytes.Load()
	}
	return s
}

package paperfeed

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// look looks at the session of every connection, and closes those of sessions that have
// ended. Trouble of the store is no end, for a while.
func (f *Feeds) look(ctx context.Context) {
	f.mu.Lock()
	of := map[string][]*client{} // by sid
	for c := range f.open {
		if c.session.Stands != nil {
			of[c.session.SID] = append(of[c.session.SID], c)
		}
	}
	f.mu.Unlock()
	todo := make(chan []*client, len(of))
	for _, clients := range of {
		todo <- clients
	}
	close(todo)
	// A store that does not answer is waited for once, not for each session.
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var looks sync.WaitGroup
	for range min(looksAtOnce, len(of)) {
		looks.Go(func() {
			for clients := range todo {
				stands, err := clients[0].session.Stands(looking)
				f.seen(clients, stands, err, ctx.Err() != nil)
			}
		})
	}
	looks.Wait()
}

// seen does what a look at a session asks for: err is why it failed.
func (f *Feeds) seen(clients []*client, stands bool, err error, ending bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range clients {
		switch {
		case err == nil && stands:
			c.stood = time.Now()
		case err != nil && (ending || time.Since(c.stood) < trustTime):
		case err != nil:
			c.close(websocket.StatusTryAgainLater, "the session cannot be checked")
		default:
			c.close(websocket.StatusPolicyViolation, "the session has ended")
		}
	}
}

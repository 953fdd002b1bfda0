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
	var looks sync.WaitGroup
	for range min(looksAtOnce, len(of)) {
		looks.Go(func() {
			for clients := range todo {
				f.lookAt(ctx, clients)
			}
		})
	}
	looks.Wait()
}

// lookAt looks at a session once for all its connections.
func (f *Feeds) lookAt(ctx context.Context, clients []*client) {
	stands, err := clients[0].session.Stands(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range clients {
		switch {
		case err == nil && stands:
			c.stood = time.Now()
		case err != nil && (ctx.Err() != nil || time.Since(c.stood) < trustTime):
		case err != nil:
			c.close(websocket.StatusTryAgainLater, "the session cannot be checked")
		default:
			c.close(websocket.StatusPolicyViolation, "the session has ended")
		}
	}
}

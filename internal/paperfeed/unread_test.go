package paperfeed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/must"
	"neoapi/internal/paperfeed"
)

// everybody proves every session.
func everybody(_ context.Context, ucc, sid, _ string) (paperfeed.Session, error) {
	return paperfeed.Session{UCC: ucc, SID: sid, Stands: func(context.Context) (bool, error) { return true, nil }}, nil
}

// flood sends a frame again and again, and reads nothing, until the service takes no more
// for a while or n were sent.
func flood(t *testing.T, ws *websocket.Conn, kind websocket.MessageType, data []byte, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for range n {
		if ws.Write(ctx, kind, data) != nil {
			return
		}
	}
}

// most returns the most that waits for a client while something is done.
func most(t *testing.T, feeds *paperfeed.Feeds, do func()) (frames, moved int) {
	t.Helper()
	over := make(chan struct{})
	go func() { defer close(over); do() }()
	for {
		f, m := feeds.Waiting()
		frames, moved = max(frames, f), max(moved, m)
		select {
		case <-over:
			return frames, moved
		case <-time.After(time.Millisecond):
		}
	}
}

func TestFeeds_endForAClientThatAsksAndDoesNotRead(t *testing.T) { // not parallel: it makes the service impatient
	patient := paperfeed.Impatient()
	t.Cleanup(patient)
	address, feeds := aloneWith(t, paperfeed.Config{Prove: everybody})
	lazy := slow(t, address+"/apifeed")
	say(t, lazy, `{"user":"A","auth":"1"}`)
	flood(t, lazy, websocket.MessageText, []byte(`{"event":"snapshotDepth","inputtoken":"nse_cm|11536,nse_cm|1,nse_cm|2885,nse_cm|1594","ack_symbol":true}`), 100_000)
	for deadline := time.Now().Add(patience); feeds.Open()["market_feed"] > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its connection is cut, and is held all the same")
		}
	}
}

func TestHSM_queuesLittleForWhomItRefuses(t *testing.T) { // not parallel: its frames are many
	address, feeds := aloneWith(t, paperfeed.Config{Prove: func(context.Context, string, string, string) (paperfeed.Session, error) {
		return paperfeed.Session{}, errors.New("refused")
	}})
	lazy := slow(t, address)
	must.Do(t, lazy.Write(t.Context(), websocket.MessageBinary, request(1, field(1, []byte("token")), field(2, []byte("sid")))))
	frames, _ := most(t, feeds, func() { flood(t, lazy, websocket.MessageBinary, request(99), 500_000) })
	if frames > 1000 {
		t.Errorf("%d frames wait for it", frames)
	}
}

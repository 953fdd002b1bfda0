package paperfeed_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/paperapi"
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
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

func TestHSM_queuesLittleForWhoDoesNotRead(t *testing.T) { // not parallel: its frames are many
	address, feeds := aloneWith(t, paperfeed.Config{Prove: everybody})
	var names []string
	for _, i := range instruments()[:100] {
		names = append(names, "sf|"+i.Key.String())
	}
	lazy := slow(t, address)
	must.Do(t, lazy.Write(t.Context(), websocket.MessageBinary, request(1, field(1, []byte("token")), field(2, []byte("sid")))))
	frames, _ := most(t, feeds, func() { flood(t, lazy, websocket.MessageBinary, request(9, topics(2, names)), 5000) })
	if frames > 100 { // a snapshot of each is 50 KB until it is written
		t.Errorf("%d frames wait for it", frames)
	}
}

func TestHSM_forgetsWhatIsUnsubscribedWhileItIsPaused(t *testing.T) {
	t.Parallel()
	address, feeds := aloneWith(t, paperfeed.Config{Prove: everybody})
	o := dialHSM(t, neoapi.Session{Token: "token", SID: "1"}, address)
	o.channels(7, 1)
	o.answered()
	var names []string
	for _, i := range instruments()[:100] {
		names = append(names, "sf|"+i.Key.String())
	}
	_, moved := most(t, feeds, func() {
		for range 20 {
			o.subscribe(1, names...)
			o.answered()
			o.unsubscribe(1, names...)
			o.answered()
		}
	})
	if moved > 300 {
		t.Errorf("%d subscriptions wait", moved)
	}
}

func TestMarketFeed_forgetsWhatWaitsAndIsUnsubscribed(t *testing.T) { // not parallel: its frames are many
	address, feeds := aloneWith(t, paperfeed.Config{Prove: everybody})
	lazy := slow(t, address+"/apifeed")
	say(t, lazy, `{"user":"A","auth":"1"}`)
	_, moved := most(t, feeds, func() {
		for range 400 {
			for _, request := range requests(1000, 1000) {
				flood(t, lazy, websocket.MessageText, []byte(request), 1)
				flood(t, lazy, websocket.MessageText, []byte(strings.Replace(request, "subscribe", "unsubscribe", 1)), 1)
			}
		}
	})
	if moved > 22_000 {
		t.Errorf("%d subscriptions wait", moved)
	}
}

func TestMarketFeed_keepsNoTokenThatNamesNothing(t *testing.T) { // not parallel: it measures memory
	address, _ := aloneWith(t, paperfeed.Config{Prove: everybody})
	ws := dial(t, address+"/apifeed")
	say(t, ws, `{"user":"A","auth":"1"}`)
	reply(t, ws)
	heap := func() uint64 {
		say(t, ws, `{"event":"subscribeScrips","inputtoken":"nse_cm|1","ack_symbol":true}`)
		reply(t, ws)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := range 200 {
		say(t, ws, fmt.Sprintf(`{"event":"subscribeScrips","inputtoken":"nse_cm|%d%s"}`, n, strings.Repeat("x", 100_000)))
		say(t, ws, fmt.Sprintf(`{"event":"subscribeScrips","inputtoken":"nse_cm|x%d%s"}`, n, strings.Repeat(",", 100_000)))
	}
	if after := heap(); after > before+10<<20 {
		t.Errorf("%d MB are held of 40", (after-before)>>20)
	}
}

func TestFeeds_endWhenTheStoreStaysSilent(t *testing.T) { // not parallel: it makes the service impatient
	patient := paperfeed.Impatient()
	t.Cleanup(patient)
	address := alone(t, func(ctx context.Context) (bool, error) { <-ctx.Done(); return false, ctx.Err() })
	var all []*websocket.Conn
	for n := range 30 { // more sessions than are looked at together
		ws := dial(t, address) // HSM: it is not asked for a sign of life
		must.Do(t, ws.Write(t.Context(), websocket.MessageBinary, request(1, field(1, []byte("token")), field(2, fmt.Append(nil, n)))))
		all = append(all, ws)
	}
	for _, ws := range all {
		if code := ended(t, ws); code != websocket.StatusTryAgainLater {
			t.Fatalf("closed with %v", code)
		}
	}
}

func TestFeeds_thatHangOnPurposeEndWithTheService(t *testing.T) {
	t.Parallel()
	refused := make(chan error, 1)
	t.Run("service", func(inner *testing.T) { // which does not return if the service does not end
		struck := make(chan struct{})
		address, _ := aloneWith(inner, paperfeed.Config{Prove: everybody, Faults: func(_ string, at paperfeed.Moment, _ func() paperapi.Subject) (paperfeed.Fault, bool) {
			close(struck)
			return paperfeed.Fault{Name: "upgrade_hang"}, at == paperfeed.Upgrade
		}})
		go func() {
			_, err := open(t, address, "")
			refused <- err
		}()
		<-struck
	})
	if err := <-refused; err == nil {
		t.Error("it was upgraded")
	}
}

func TestFeeds_readFromAStrangerOnlySoFast(t *testing.T) {
	t.Parallel()
	address, _ := aloneWith(t, paperfeed.Config{Prove: everybody})
	ws := dial(t, address)
	reading := ws.CloseRead(t.Context())
	began := time.Now()
	for range 100 { // a flood of them took the processors from those who log in
		must.Do(t, ws.Ping(reading))
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("100 pings took %v", took)
	}
}

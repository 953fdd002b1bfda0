package feed

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
)

// Rule 50: at a break the old picture is gone, until the new one is there. A loop reads what
// came before, that it is lost, and the gap; then what comes.
func TestMarketFeed_tellsABreakBetweenWhatCameBeforeAndAfter(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		var away atomic.Bool
		st.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if away.Load() {
				w.WriteHeader(http.StatusBadGateway)
			}
			return !away.Load()
		}
		m := st.market(Quotes(share(0), share(1)))
		defer m.Close()
		loop := read(t.Context(), m)
		next, stop := iter.Pull2(m.Updates(t.Context())) // a loop that reads nothing for a while
		defer stop()
		first, _, _ := next()
		began := time.Now()
		time.Sleep(3 * time.Second)
		st.send(st.conn(), touch(touch(nil, 0, 1), 1, 1))
		synctest.Wait()
		away.Store(true)
		st.cut()
		synctest.Wait()
		if _, ok := m.Quote(share(0)); ok {
			t.Error("the old picture is there after the break")
		}
		all, _ := loop.take()
		want(t, "until the break", updateKinds(all), "quote 1000, quote 1001, quote 1000, quote 1001, lost")
		late := read(t.Context(), m)
		if all, _ := late.take(); updateKinds(all) != "lost" {
			t.Errorf("a loop that begins in a break: %s", updateKinds(all))
		}
		away.Store(false)
		time.Sleep(time.Second)
		all, _ = loop.take()
		want(t, "after it", updateKinds(all), "gap, quote 1000, quote 1001")
		if g := all[0].(Gap); g.From.Sub(began) != 3*time.Second || g.To.Sub(g.From) < 300*time.Millisecond || g.To.Sub(g.From) > time.Second {
			t.Errorf("from %v for %v", g.From.Sub(began), g.To.Sub(g.From))
		}
		all = []Update{first}
		for range 4 {
			u, _, _ := next()
			all = append(all, u)
		}
		want(t, "a slow loop", updateKinds(all), "quote 1000, lost, gap, quote 1000, quote 1001")
		if q := all[4].(Quote); q.Skipped != 2 {
			t.Errorf("it skipped %d", q.Skipped)
		}
	})
}

// Rule 47: after a hundred breaks each tick is told once, and nothing has grown.
func TestMarketFeed_tellsEachTickOnceAfterAHundredBreaks(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		called := map[int64]int{}
		m := st.market(Quotes(share(0)), OnQuote(func(q *Quote) { called[q.Volume]++ }))
		defer m.Close()
		g := read(t.Context(), m)
		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		for range 100 {
			st.cut()
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if n := runtime.NumGoroutine(); n > goroutines+2 || st.connections() != 101 {
			t.Errorf("%d goroutines, not %d; %d connections", n, goroutines, st.connections())
		}
		all, _ := g.take()
		if n := strings.Count(updateKinds(all), "lost"); n != 100 || strings.Count(updateKinds(all), "gap") != 100 {
			t.Errorf("%d losses", n)
		}
		clear(called)
		for tick := 1; tick <= 50; tick++ {
			st.send(st.conn(), touch(nil, 0, tick))
			synctest.Wait()
		}
		all, _ = g.take()
		if len(all) != 50 || len(called) != 50 {
			t.Errorf("%d quotes in the loop, %d in the callback", len(all), len(called))
		}
		for _, n := range called {
			if n != 1 {
				t.Errorf("a tick was told %d times", n)
			}
		}
	})
}

func TestMarketFeed_tellsTroubleAtTheStartAsABreak(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.handshake = func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n <= 3 {
				w.WriteHeader(http.StatusBadGateway)
			}
			return n > 3
		}
		m := st.market(Quotes(share(0)))
		defer m.Close()
		g := read(t.Context(), m)
		time.Sleep(10 * time.Second)
		if all, err := g.take(); err != nil || !strings.HasPrefix(updateKinds(all), "lost, gap, quote 1000") || strings.Count(updateKinds(all), "lost") != 1 {
			t.Errorf("%s, %v", updateKinds(all), err)
		}
	})
}

func TestMarketFeed_endsEveryLoopWhenItIsClosed(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		ctx, cancel := context.WithCancelCause(t.Context())
		m := must.Get(Market(ctx, st.client, WithKeeper(tickets()), Quotes(share(0))))(t)
		other := must.Get(Market(t.Context(), st.client, WithKeeper(tickets()), Quotes(share(0))))(t)
		g, closing := read(t.Context(), m), read(t.Context(), other)
		one, stop := context.WithCancelCause(t.Context())
		loop := read(one, m)
		stop(errors.New("enough"))
		if _, err := loop.take(); err == nil || err.Error() != "enough" {
			t.Errorf("a loop whose context is done: %v", err)
		}
		if _, err := g.take(); err != nil {
			t.Errorf("another loop: %v", err)
		}
		cancel(errors.New("the day is over"))
		if _, err := g.take(); !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "the day is over") {
			t.Errorf("a feed whose context is done: %v", err)
		}
		must.Do(t, other.Close())
		must.Do(t, other.Close())
		if _, err := closing.take(); !errors.Is(err, ErrClosed) {
			t.Errorf("a feed that is closed: %v", err)
		}
		for u, err := range other.Updates(t.Context()) {
			if u != nil || !errors.Is(err, ErrClosed) {
				t.Errorf("a loop after Close: %v, %v", u, err)
			}
		}
		if err := other.Subscribe(Touch, share(1)); !errors.Is(err, ErrClosed) {
			t.Errorf("Subscribe after Close: %v", err)
		}
		if _, ok := other.Quote(share(0)); ok {
			t.Error("there is a picture after Close")
		}
	})
}

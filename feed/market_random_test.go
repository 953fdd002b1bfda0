package feed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"neoapi/internal/sfeed"
)

// Rules 41 and 46: whatever is subscribed and unsubscribed by however many at once, with
// breaks in between, in the end the connection carries each instrument once, at the highest
// level that somebody wants; never is one subscribed that is so already.
func TestMarketFeed_carriesWhatIsWantedAfterRandomSteps(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			broadcast(t, func(t *testing.T, st *station) {
				var mu sync.Mutex
				var carried map[string]sfeed.Topic
				last := 0
				st.request = func(_ *websocket.Conn, n int, r sfeed.Request) bool {
					mu.Lock()
					defer mu.Unlock()
					if n > last {
						last, carried = n, map[string]sfeed.Topic{}
					}
					if n < last {
						return true
					}
					for _, token := range r.Tokens {
						switch r.Action {
						case sfeed.Subscribe:
							if carried[token] != 0 {
								t.Errorf("%s is subscribed at %d, and is so already", token, carried[token])
							}
							carried[token] = r.Topic
						case sfeed.Unsubscribe:
							if carried[token] != r.Topic {
								t.Errorf("%s is unsubscribed at %d, and is at %d", token, r.Topic, carried[token])
							}
							delete(carried, token)
						}
					}
					return false
				}
				m := st.market()
				defer m.Close()
				var all sync.WaitGroup
				want := map[string]Level{}
				for who := range uint64(4) {
					all.Go(func() {
						wants := [10][Full + 1]int{}
						random := rand.New(rand.NewPCG(seed, who))
						for range 100 {
							n, level := random.IntN(10), Mini+Level(random.IntN(int(Full)))
							switch dice := random.IntN(20); {
							case dice < 10:
								if err := m.Subscribe(level, share(n)); err != nil {
									t.Error(err)
								}
								wants[n][level]++
							case dice < 18:
								if wants[n][level] > 0 {
									if err := m.Unsubscribe(level, share(n)); err != nil {
										t.Error(err)
									}
									wants[n][level]--
								}
							case dice < 19:
								m.Quote(share(n))
								ctx, cancel := context.WithTimeout(t.Context(), time.Second)
								for range m.Updates(ctx) {
									break
								}
								cancel()
							case who == 0:
								st.cut()
							}
							time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
						}
						mu.Lock()
						defer mu.Unlock()
						for n := range wants {
							for l := Mini; l <= Full; l++ {
								if wants[n][l] > 0 {
									want[share(n).Key()] = max(want[share(n).Key()], l)
								}
							}
						}
					})
				}
				all.Wait()
				time.Sleep(time.Hour)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				got := map[string]Level{}
				for token, topic := range carried {
					got[token] = map[sfeed.Topic]Level{sfeed.Minis: Mini, sfeed.Touches: Touch, sfeed.Depths: Depth, sfeed.Fulls: Full}[topic]
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("carried (-wanted +carried):\n%s", diff)
				}
			})
		})
	}
}

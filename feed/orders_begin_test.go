package feed

import (
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi/trade"
)

// The orders of the day are the beginning of a feed, and of a loop: no break hid them,
// whenever the loop begins, however frames and book follow each other.
func TestOrders_noneIsRecoveredAtTheBeginning(t *testing.T) {
	all := []trade.State{trade.Received, trade.Validating, trade.OpenPending, trade.Open}
	var newest []string
	for i, state := range all {
		newest = append([]string{rowOf(one1, state, 0, int64(i+1))}, newest...)
	}
	for name, x := range map[string]struct {
		frames int // that come before the book
		slow   time.Duration
		down   bool // the feed cannot connect for a while
	}{
		"the book": {}, "a slow book": {slow: 2 * time.Second}, "frames, and the rest from the book": {frames: 2}, "a frame alone": {frames: 4},
		"frames, and a slow book": {frames: 2, slow: 2 * time.Second}, "no connection": {down: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				st := newStage(t, s, func(c *websocket.Conn, n int) {
					for i := range x.frames {
						if n == 1 {
							s.say(c, `{"type":"order","data":`+newest[len(newest)-1-i]+`}`)
						}
					}
				})
				began := time.Now()
				if x.down {
					s.handshake = func(w http.ResponseWriter, r *http.Request, n int) bool {
						return time.Since(began) > 20*time.Second || refuseUpgrades(w, r, n)
					}
				}
				st.set(func() { st.book, st.histories[one1] = newest[:1], newest })
				st.answer = func(string) (string, time.Duration) { return "", x.slow }
				early := st.open(t)
				time.Sleep(time.Minute)
				late := listenTo(t.Context(), st.feed)
				time.Sleep(time.Second)
				for which, got := range map[string]*told{"early": early, "late": late} {
					updates := got.orders(one1)
					if len(updates) == 0 || updates[len(updates)-1].State != trade.Open {
						t.Errorf("%s: %s", which, got.story(one1))
					}
					for _, u := range updates {
						if u.Recovered {
							t.Errorf("%s: %s is recovered", which, u.State)
						}
					}
				}
				// What a break hides is.
				row := rowOf(one1, trade.Complete, 10, 9)
				st.set(func() { st.book, st.histories[one1] = []string{row}, append([]string{row}, newest...) })
				st.mu.Lock()
				conn := st.conn
				st.mu.Unlock()
				conn.CloseNow()
				time.Sleep(time.Minute)
				if u := early.orders(one1); u[len(u)-1].State != trade.Complete || !u[len(u)-1].Recovered {
					t.Errorf("after a break: %+v", u[len(u)-1])
				}
				st.feed.Close()
			})
		})
	}
}

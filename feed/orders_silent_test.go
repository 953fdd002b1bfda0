package feed

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"neoapi/trade"
)

// fills sets the book to an order of which a quantity has filled.
func (st *stage) fills(number string, filled int, sequence int64) {
	st.set(func() {
		row := rowOf(number, trade.Open, filled, sequence)
		st.book, st.histories[number] = []string{row}, append([]string{row}, st.histories[number]...)
	})
}

// A connection on which nothing has come since before a change is given up with the first
// change that it hides; the waits between tries bound how often.
func TestOrders_aSilentConnectionIsGivenUpAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.fills(one1, 0, 4)
		got := st.open(t)
		time.Sleep(time.Minute)
		if n := s.upgrades.Load(); n != 1 {
			t.Errorf("%d connections where nothing happened", n)
		}
		st.fills(one1, 3, 5)
		time.Sleep(openPause + time.Second)
		if n := s.upgrades.Load(); n != 2 || !st.feed.Live() {
			t.Errorf("%d connections, live %t", n, st.feed.Live())
		}
		if kinds := got.kinds(); got.story(one1) != "open, open+3" || !slices.Contains(kinds, "Lost") || kinds[len(kinds)-1] != "Gap" {
			t.Error(got.story(one1), kinds)
		}
		for n := range 20 { // it stays silent
			st.fills(one1, 3, int64(6+n))
			st.set(func() { st.book[0] = rowOf(one1, trade.Open, 3+n%7, int64(6+n)) })
			time.Sleep(3 * time.Second)
		}
		if n := s.upgrades.Load(); n > 10 {
			t.Errorf("%d connections within a minute", n)
		}
		st.feed.Close()
	})
}

// A stream of which frames come, and some do not, is kept: also while histories take their
// time. Frames of positions count.
func TestOrders_aLossyConnectionIsKept(t *testing.T) {
	say := func(st *stage, text string) {
		st.mu.Lock()
		c := st.conn
		st.mu.Unlock()
		st.say(c, text)
	}
	for name, heard := range map[string]func(st *stage, n int){
		"orders": func(st *stage, n int) { st.send(rowOf(two2, trade.Open, 0, int64(100+n))) },
		"positions": func(st *stage, n int) {
			say(st, fmt.Sprintf(`{"type":"position","data":{"trdSym":"TCS-EQ","exSeg":"nse_cm","prod":"CNC","tok":"11536","flBuyQty":"%d"}}`, n+1))
		},
		"of a new kind": func(st *stage, _ int) { say(st, `{"type":"news"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				st := newStage(t, s, nil)
				st.fills(one1, 0, 4)
				st.answer = func(name string) (string, time.Duration) {
					if name == "history" {
						return "", 4 * time.Second
					}
					return "", 0
				}
				got := st.open(t)
				time.Sleep(time.Second)
				for n := range 9 {
					heard(st, n)
					st.fills(one1, n+1, int64(5+n))
					time.Sleep(openPause + time.Second)
				}
				var sum int64
				for _, u := range got.orders(one1) {
					sum += u.Fill
				}
				if n := s.upgrades.Load(); n != 1 || sum != 9 {
					t.Errorf("%d connections; %s", n, got.story(one1))
				}
				st.feed.Close()
			})
		})
	}
}

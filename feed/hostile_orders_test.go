package feed

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi/trade"
)

const (
	yes = `{"ak":"ok","type":"cn","task":"cn","msg":"connected"}`
	no  = `{"ak":"nk","type":"cn","msg":"session expired"}`
)

// A refusal that comes after the session was taken is one, too: the next session is used.
func TestOrders_aRefusalAfterTheAnswerIsOne(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.source.sessions = append(st.source.sessions, session("b"))
		got := st.open(t)
		time.Sleep(time.Minute)
		s.say(st.now(), no)
		time.Sleep(time.Second)
		if st.source.endedOnes() != "[a]" || s.upgrades.Load() != 2 || !st.feed.Live() {
			t.Errorf("ended %q, %d connections, live %t", st.source.endedOnes(), s.upgrades.Load(), st.feed.Live())
		}
		if kinds := got.kinds(); !slices.Equal(kinds, []string{"Lost", "Gap"}) {
			t.Error(kinds)
		}
		st.feed.Close()
	})
}

// A service that takes each session and then refuses it makes nobody log in again and again.
func TestSessions_takenAndThenRefusedAreTheEndToo(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.talk = func(c *websocket.Conn, _ int) {
			if s.welcome(c) == nil {
				s.say(c, "nk")
			}
			s.listen(c)
		}
		s.call = ended
		source := &supply{}
		for n := range 200 {
			source.sessions = append(source.sessions, session(fmt.Sprint(n)))
		}
		r := s.run(t, &parrot{}, source)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.upgrades.Load(); n != 2 {
			t.Errorf("%d sessions were used up", n)
		}
		select {
		case err := <-r.done:
			if !errors.Is(err, ErrSessionEnded) {
				t.Error(err)
			}
		default:
			t.Error("it goes on")
			r.life.close()
		}
	})
}

// An answer that is neither yes nor no proves nothing.
func TestOrders_anAnswerThatIsNeitherYesNorNoProvesNothing(t *testing.T) {
	for _, answer := range []string{`{"type":"cn"}`, `{"type":"cn","ak":true}`, `{"type":"cn","ak":"busy"}`, `{"type":"cn","ak":null,"msg":{"a":1}}`} {
		bubble(t, func(t *testing.T, s *service) {
			st := newStage(t, s, nil)
			s.talk = func(c *websocket.Conn, n int) {
				s.hear(c)
				if n < 6 {
					s.say(c, answer)
				} else {
					s.say(c, yes)
				}
				s.listen(c)
			}
			st.open(t)
			time.Sleep(2 * time.Minute)
			if st.source.endedOnes() != "[]" || !st.feed.Live() {
				t.Errorf("%s: ended %q, live %t", answer, st.source.endedOnes(), st.feed.Live())
			}
			st.feed.Close()
		})
	}
}

// What comes before the answer is kept within bounds.
func TestOrders_whatComesBeforeTheAnswerIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		s.talk = func(c *websocket.Conn, _ int) {
			s.hear(c)
			large := `{"type":"order","data":{"x":"` + strings.Repeat("x", maxFrame-100) + `"}}`
			for range 40 {
				if s.say(c, large) != nil {
					return
				}
			}
			s.say(c, yes)
			s.listen(c)
		}
		st.open(t)
		time.Sleep(5 * time.Second)
		if !st.feed.Live() {
			t.Error("it is not live")
		}
		if n := st.feed.Stats().Unread; n > 8 {
			t.Errorf("%d frames of a megabyte were kept", n)
		}
		st.feed.Close()
	})
}

// lean is a frame that lacks nearly all.
func lean(number string, state trade.State, more string) string {
	return `{"nOrdNo":"` + number + `","ordSt":"` + string(state) + `"` + more + `}`
}

// Frames without the time at which the service recorded the state do not make an order's
// history run backwards, or twice.
func TestOrders_statesWithoutTimesGoForwardAlone(t *testing.T) {
	all := []trade.State{trade.Received, trade.Validating, trade.OpenPending, trade.Open, trade.Complete}
	for name, more := range map[string]string{"none": "", "of seconds": `,"ordDtTm":"01-Jan-2000 05:30:00"`, "in another form": `,"updRecvTm":{"a":1},"ordDtTm":"yesterday"`} {
		for lost := range 5 {
			bubble(t, func(t *testing.T, s *service) {
				st := newStage(t, s, nil)
				got := st.open(t)
				synctest.Wait()
				var newest []string
				for i, state := range all {
					newest = append([]string{rowOf(one1, state, i/4*10, int64(i+1))}, newest...)
				}
				for i, state := range all {
					st.set(func() { st.histories[one1], st.book = newest[4-i:], newest[4-i:5-i] })
					if i != lost {
						filled := ""
						if i == 4 {
							filled = `,"fldQty":"10"`
						}
						st.send(lean(one1, state, more+filled))
					}
				}
				time.Sleep(20 * time.Second)
				if story := got.story(one1); story != "put order req received, validation pending, open pending, open, complete+10" {
					t.Errorf("times: %s; lost: %s: %s", name, all[lost], story)
				}
				st.feed.Close()
			})
		}
	}
}

// After an end nothing opens an order again, and what has filled stays filled.
func TestOrders_nothingFollowsAnEnd(t *testing.T) {
	for _, end := range []trade.State{trade.Complete, trade.Cancelled, trade.Rejected} {
		bubble(t, func(t *testing.T, s *service) {
			st := newStage(t, s, nil)
			st.set(func() { st.book = []string{rowOf(one1, trade.Open, 4, 4)} })
			got := st.open(t)
			time.Sleep(time.Second)
			filled := 4
			if end == trade.Complete {
				filled = 10
			}
			st.send(rowOf(one1, end, filled, 5))
			synctest.Wait()
			st.set(func() { st.book = []string{rowOf(one1, trade.Open, 2, 9)} }) // the book lies
			st.send(rowOf(one1, trade.Open, 2, 6), rowOf(one1, trade.Open, 0, 7), rowOf(one1, trade.Received, 0, 8), lean(one1, trade.Open, ""), lean(one1, trade.OpenPending, `,"fldQty":0`))
			time.Sleep(time.Minute)
			st.now().CloseNow()
			time.Sleep(time.Minute)
			want := "open+4, " + string(end)
			if filled == 10 {
				want += "+6"
			}
			if story := got.story(one1); story != want {
				t.Errorf("%s, want %s", story, want)
			}
			st.feed.Close()
		})
	}
}

// A filled quantity that falls, or is none, changes nothing.
func TestOrders_aFilledQuantityNeverFalls(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 5, 5)} })
		got := st.open(t)
		time.Sleep(time.Second)
		st.send(rowOf(one1, trade.Open, 3, 6), rowOf(one1, trade.Open, -4, 7), rowOf(two2, trade.Open, -4, 7))
		time.Sleep(time.Second)
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 8, 9)} })
		st.send(lean(one1, trade.Open, `,"fldQty":"x","updRecvTm":946684800000000008`), rowOf(one1, trade.Open, 8, 9))
		time.Sleep(time.Minute)
		var sum int64
		for _, u := range got.orders(one1) {
			if sum += u.Fill; u.Fill < 0 || u.FilledQty != sum {
				t.Errorf("%+v", u)
			}
		}
		if sum != 8 {
			t.Error(got.story(one1))
		}
		for _, u := range got.orders(two2) {
			if u.Fill < 0 || u.FilledQty < 0 {
				t.Errorf("less than nothing has filled: %+v", u)
			}
		}
		st.feed.Close()
	})
}

// Quantities come in every form that JSON has for a whole number.
func TestOrders_quantitiesComeInEveryForm(t *testing.T) {
	for _, form := range []string{`7`, `"7"`, `7.0`, `"7.00"`, `0.7e1`, `" 7 "`, `"+7"`, `"007"`} {
		o, err := trade.ParseOrder([]byte(lean(one1, trade.Open, `,"fldQty":`+form)))
		if err != nil || o.FilledQty != 7 || strings.Contains(o.Unread, "fldQty") {
			t.Errorf("%s: %d, unread %q, %v", form, o.FilledQty, o.Unread, err)
		}
	}
}

// A storm of frames that say too little does not use up the consumer's rate.
func TestOrders_framesThatSayLittleDoNotReadTheBookAllTheTime(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.open(t)
		time.Sleep(time.Second)
		before := s.calls.Load()
		for n := range 1000 {
			st.send(lean(fmt.Sprint("26113000000", n), trade.Received, ""))
			s.say(st.now(), "garbage")
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.calls.Load() - before; n > 2*10+2+10 {
			t.Errorf("%d calls in ten seconds", n)
		}
		st.feed.Close()
	})
}

// A position without a time is told.
func TestOrders_positionsWithoutATimeAreTold(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		got := st.open(t)
		time.Sleep(time.Second)
		say := func(bought int, at string) {
			s.say(st.now(), fmt.Sprintf(`{"type":"position","data":{"trdSym":"TCS-EQ","exSeg":"nse_cm","prod":"CNC","tok":"11536","flBuyQty":"%d"%s}}`, bought, at))
		}
		say(1, `,"hsUpTm":"2026/11/30 10:00:00","updRecvTm":1796013000000000000`)
		say(3, "")
		say(2, "") // late
		say(4, `,"hsUpTm":"soon","updRecvTm":"NA"`)
		say(6, `,"hsUpTm":"2026/11/30 10:00:01","updRecvTm":1796013001000000000`)
		time.Sleep(time.Second)
		var bought []int64
		got.mu.Lock()
		for _, u := range got.all {
			if p, is := u.(PositionUpdate); is {
				bought = append(bought, p.BuyQty)
			}
		}
		got.mu.Unlock()
		if !slices.Equal(bought, []int64{1, 3, 4, 6}) {
			t.Error(bought)
		}
		st.feed.Close()
	})
}

func refuseUpgrades(w http.ResponseWriter, _ *http.Request, _ int) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return false
}

package feed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"neoapi"
	"neoapi/trade"
)

// awaits waits for an order that the book completes after 20 s, and returns how long it
// took after that and how often the order was read before.
func (st *stage) awaits(t *testing.T, c *trade.Client, during func()) (late time.Duration, reads int) {
	t.Helper()
	row := rowOf(one1, trade.Open, 0, 4)
	st.set(func() {
		st.histories[one1], st.book = []string{row}, []string{row}
		clear(st.read)
		st.answer = func(name string) (text string, _ time.Duration) {
			if name == one1 {
				st.set(func() { text = `{"stat":"Ok","stCode":200,"data":[` + st.book[0] + `]}` })
			}
			return text, 0
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if during != nil {
		go during()
	}
	ended := make(chan time.Time, 1)
	go func() {
		o, err := c.Await(ctx, trade.Order{Number: one1, State: trade.Open}, trade.Complete)
		if err != nil || o.FilledQty != 10 {
			t.Errorf("%+v, %v", o, err)
		}
		ended <- time.Now()
	}()
	time.Sleep(20 * time.Second)
	row = rowOf(one1, trade.Complete, 10, 9)
	st.set(func() {
		reads = st.read[one1]
		st.histories[one1], st.book = append([]string{row}, st.histories[one1]...), []string{row}
	})
	began := time.Now()
	return (<-ended).Sub(began), reads
}

// A lie is a feed that says what a test wants.
type lie struct {
	live bool
	f    func(trade.Order)
}

func (l *lie) OnOrder(f func(trade.Order)) { l.f = f }
func (l *lie) Live() bool                  { return l.live }

// Await asks at its usual pace where the feed is closed, has ended or is not connected,
// and believes one that is live, but says nothing, for five seconds.
func TestAwait_asksAsUsualWithoutAFeedThatHears(t *testing.T) {
	dead := func(w *stage) {
		w.source.mu.Lock()
		w.source.sessions = nil
		w.source.none = errors.New("none")
		w.source.mu.Unlock()
	}
	for name, how := range map[string]func(st *stage){
		"closed": func(st *stage) { st.feed.Close() },
		"ended":  func(st *stage) { dead(st); st.say(st.now(), no) },
		"cut":    func(st *stage) { st.now().CloseNow() },
	} {
		for _, when := range []string{"before", "during"} {
			bubble(t, func(t *testing.T, s *service) {
				st := newStage(t, s, nil)
				s.handshake = func(w http.ResponseWriter, r *http.Request, n int) bool { return n == 1 || refuseUpgrades(w, r, n) }
				st.open(t)
				time.Sleep(time.Second)
				c := trade.New(st.client, trade.With(neoapi.WithKeeper(&supply{sessions: []neoapi.Session{session("a")}})), trade.Follow(st.feed))
				during := func() { time.Sleep(time.Second); how(st) }
				if when == "before" {
					how(st)
					synctest.Wait()
					during = nil
				}
				late, reads := st.awaits(t, c, during)
				if late > 1100*time.Millisecond || reads < 15 || reads > 40 {
					t.Errorf("%s %s: after %v, %d reads", name, when, late, reads)
				}
				st.feed.Close()
			})
		}
	}
	for _, live := range []bool{true, false} {
		bubble(t, func(t *testing.T, s *service) {
			st := newStage(t, s, nil)
			feed := &lie{live: live}
			c := trade.New(st.client, trade.With(neoapi.WithKeeper(st.source)), trade.Follow(feed))
			late, reads := st.awaits(t, c, func() {
				for range 100 { // of another order, and of this one nothing new
					feed.f(trade.Order{Number: two2, State: trade.Complete, FilledQty: 10})
					feed.f(trade.Order{Number: one1, State: trade.Received, Sequence: day + 1})
					feed.f(trade.Order{})
					time.Sleep(100 * time.Millisecond)
				}
			})
			if most := map[bool]time.Duration{true: 6 * time.Second, false: 1100 * time.Millisecond}[live]; late > most || live == (reads > 10) {
				t.Errorf("live %t: after %v, %d reads", live, late, reads)
			}
		})
	}
}

// A callback that comes late has the day first, and one that comes after the end nothing.
func TestOrders_callbacksMayComeLate(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 2, 4)} })
		st.open(t)
		time.Sleep(time.Second)
		var had []string
		st.feed.OnOrder(func(o trade.Order) { had = append(had, fmt.Sprint(o.State, o.FilledQty)) })
		synctest.Wait()
		st.send(rowOf(one1, trade.Complete, 10, 5))
		synctest.Wait()
		if !slices.Equal(had, []string{"open2", "complete10"}) {
			t.Error(had)
		}
		st.feed.Close()
		st.feed.OnOrder(func(trade.Order) { t.Error("it is closed") })
		for _, err := range st.feed.Updates(t.Context()) {
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := st.feed.Readers(); n != 0 {
			t.Errorf("%d readers", n)
		}
	})
}

// An order feed that lives for days forgets those that are over, and says nothing of them
// to a loop that begins then.
func TestOrders_ofYesterdayAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		seq := func() int64 { return time.Now().UnixNano() - day }
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 2, seq())} })
		st.open(t)
		time.Sleep(time.Minute)
		s.say(st.now(), fmt.Sprintf(`{"type":"position","data":{"trdSym":"TCS-EQ","exSeg":"nse_cm","prod":"MIS","tok":"11536","flBuyQty":"2","updRecvTm":%d}}`, time.Now().UnixNano()))
		synctest.Wait()
		time.Sleep(30 * time.Hour)
		st.set(func() { st.book = []string{rowOf(two2, trade.Received, 0, seq())} })
		st.now().CloseNow()
		time.Sleep(time.Minute)
		st.send(rowOf(two2, trade.Validating, 0, seq()))
		time.Sleep(time.Minute)
		late := listenTo(t.Context(), st.feed)
		synctest.Wait()
		if late.story(one1) != "" || late.story(two2) == "" || slices.Contains(late.kinds(), "PositionUpdate") {
			t.Errorf("%s; %s; %v", late.story(one1), late.story(two2), late.kinds())
		}
		st.feed.Close()
	})
}

// One loop that is slow ends with ErrSlow; the others and the callback have all.
func TestOrders_aSlowLoopDisturbsNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		got := st.open(t)
		synctest.Wait()
		called, slow := 0, make(chan error, 1)
		st.feed.OnOrder(func(trade.Order) { called++ })
		hold := make(chan struct{})
		go func() {
			for u, err := range st.feed.Updates(t.Context()) {
				if err != nil {
					slow <- err
					return
				}
				if _, is := u.(OrderUpdate); is {
					<-hold
				}
			}
		}()
		synctest.Wait()
		const orders = 2*maxUnread + 5
		for n := range orders {
			st.send(rowOf(fmt.Sprint("2611300", n), trade.Received, 0, int64(n)))
		}
		synctest.Wait()
		close(hold)
		if err := <-slow; !errors.Is(err, ErrSlow) {
			t.Error(err)
		}
		if n := len(got.kinds()); called != orders || n != orders || got.err != nil {
			t.Errorf("called %d, told %d, %v", called, n, got.err)
		}
		st.feed.Close()
	})
}

// A source that takes half a minute, or gives the dead session again, makes no storm.
func TestOrders_aSlowKeeperIsWaitedForAndADeadSessionNotTakenAgain(t *testing.T) {
	for _, again := range []bool{true, false} {
		bubble(t, func(t *testing.T, s *service) {
			st := newStage(t, s, nil)
			slow := &sluggish{fresh: map[bool]string{true: "a", false: "b"}[again]}
			st.feed, _ = Orders(t.Context(), st.client, WithKeeper(slow))
			got := listenTo(t.Context(), st.feed)
			time.Sleep(time.Second)
			s.say(st.now(), no)
			time.Sleep(29 * time.Second)
			if n := s.upgrades.Load(); n != 1 || st.feed.Live() {
				t.Errorf("%d connections, live %t", n, st.feed.Live())
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if again != errors.Is(got.err, ErrSessionEnded) || again == st.feed.Live() {
				t.Errorf("the same %t: %v, live %t", again, got.err, st.feed.Live())
			}
			st.feed.Close()
		})
	}
}

// A sluggish source logs in for half a minute once its session has ended.
type sluggish struct {
	mu    sync.Mutex
	ready time.Time // when there is another session
	fresh string
}

func (s *sluggish) Session(ctx context.Context) (neoapi.Session, error) {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if ready.IsZero() {
		return session("a"), nil
	}
	select {
	case <-time.After(time.Until(ready)):
		return session(s.fresh), nil
	case <-ctx.Done():
		return neoapi.Session{}, ctx.Err()
	}
}

func (s *sluggish) Ended(neoapi.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = time.Now().Add(30 * time.Second)
}

// A session that a read finds ended, in the middle of a reconcile, is not left on the wire.
func TestOrders_aSessionThatAReadFindsEndedIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.source.sessions = append(st.source.sessions, session("b"))
		st.set(func() {
			st.book = []string{rowOf(one1, trade.Open, 0, 4)}
			st.answer = func(name string) (string, time.Duration) {
				st.source.mu.Lock()
				defer st.source.mu.Unlock()
				if name == "orders" && len(st.source.ended) == 0 {
					return `{"stat":"Not_Ok","stCode":100022,"errMsg":"error in neo-login-check-api"}`, 0
				}
				return "", 0
			}
		})
		got := st.open(t)
		time.Sleep(5 * time.Second)
		s.mu.Lock()
		if n := len(s.greetings); n != 2 || !strings.Contains(s.greetings[1], "sid-b") {
			t.Errorf("%q", s.greetings)
		}
		s.mu.Unlock()
		if got.story(one1) != "open" || !st.feed.Live() || st.source.endedOnes() != "[a]" {
			t.Errorf("%s, live %t, ended %v", got.story(one1), st.feed.Live(), st.source.ended)
		}
		st.feed.Close()
	})
}

// A look at the book that is under way when the feed is connected again does not put off
// the reconcile, whatever it says.
func TestOrders_aLookUnderWayDoesNotPutOffTheReconcile(t *testing.T) {
	for _, said := range []string{`{"stat":"Ok","stCode":200,"data":[` + rowOf(one1, trade.Open, 0, 4) + `]}`, "500", `{"stat":"Ok"}`} {
		bubble(t, func(t *testing.T, s *service) {
			st := newStage(t, s, nil)
			row := rowOf(one1, trade.Open, 0, 4)
			st.set(func() { st.book, st.histories[one1] = []string{row}, []string{row} })
			cut := time.Now().Add(time.Second)
			s.handshake = func(w http.ResponseWriter, r *http.Request, n int) bool {
				return n == 1 || time.Since(cut) > 2500*time.Millisecond || refuseUpgrades(w, r, n)
			}
			st.open(t)
			time.Sleep(time.Second)
			st.set(func() {
				st.answer = func(name string) (string, time.Duration) {
					if name == "orders" && time.Since(cut) < 2500*time.Millisecond {
						return said, 2 * time.Second
					}
					return "", 0
				}
			})
			st.now().CloseNow()
			synctest.Wait()
			for !st.feed.Live() {
				time.Sleep(10 * time.Millisecond)
			}
			if late := time.Since(cut); late > 5*time.Second {
				t.Errorf("%q: live after %v", said, late)
			}
			st.feed.Close()
		})
	}
}

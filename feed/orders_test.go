package feed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi/trade"
)

const one1, two2 = "261130000000001", "261130000000002"

// The sum of the differences is the total, also over repeated updates and connections.
func TestOrders_fillsAreDifferences(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, func(c *websocket.Conn, n int) {
			if n == 2 { // the present state again
				s.say(c, `{"type":"order","data":`+rowOf(one1, trade.Open, 5, 6)+`}`)
			}
		})
		got := st.open(t)
		synctest.Wait()
		st.send(rowOf(one1, trade.Received, 0, 1), rowOf(one1, trade.Validating, 0, 2), rowOf(one1, trade.OpenPending, 0, 3), rowOf(one1, trade.Open, 0, 4))
		st.send(rowOf(one1, trade.Open, 2, 5), rowOf(one1, trade.Open, 2, 5), rowOf(one1, trade.Open, 5, 6), rowOf(one1, trade.Open, 2, 5))
		synctest.Wait()
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 5, 6)} })
		st.conn.CloseNow()
		time.Sleep(time.Second)
		st.send(rowOf(one1, trade.Open, 5, 6), rowOf(one1, trade.Complete, 10, 9))
		time.Sleep(time.Second)
		if story := got.story(one1); story != "put order req received, validation pending, open pending, open, open+2, open+3, complete+5" {
			t.Error(story)
		}
		st.feed.Close()
	})
}

// A service writes values in many forms, and leaves many out: no update is lost for it.
func TestOrders_framesAreReadInEveryForm(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		got := st.open(t)
		synctest.Wait()
		st.set(func() { // the book has what frames lack
			st.book = []string{rowOf(one1, trade.Complete, 10, 5)}
		})
		lean := func(state trade.State, more string) string {
			return `{"nOrdNo":"` + one1 + `","ordSt":"` + string(state) + `","exOrdId":"NA","optTp":"XX","expDt":"03 Feb, 2026","brdLtQty":"65",` + more + `}`
		}
		st.send(
			lean(trade.Received, `"fldQty":0,"avgPrc":"0.00","updRecvTm":946684800000000001`),
			lean(trade.Validating, `"fldQty":"0","avgPrc":"NA","updRecvTm":"946684800000000002","qty":"10","prcTp":"MKT"`),
			lean(trade.OpenPending, `"fldQty":"","avgPrc":"--","prc":3500.5,"prcTp":"L","updRecvTm":946684800000000003`),
			lean(trade.Open, `"fldQty":null,"avgPrc":{"a":1},"qty":[],"updRecvTm":946684800000000004`),
			lean(trade.Complete, `"fldQty":10,"avgPrc":"3500.00","updRecvTm":946684800000000005`),
		)
		st.say(st.conn, `{"type":"news","data":{}}`)
		st.say(st.conn, `{"type":"order","data":`)
		st.say(st.conn, `{"type":"order","data":[]}`)
		st.say(st.conn, `{"type":"order","data":{"ordSt":"open"}}`)
		st.say(st.conn, `{"type":"position","data":{"trdSym":"TCS-EQ","exSeg":"nse_cm","prod":"CNC","flBuyQty":"10","flSellQty":0,"cfBuyQty":"NA"}}`)
		time.Sleep(time.Second)
		updates := got.orders(one1)
		if got.story(one1) != "put order req received, validation pending, open pending, open, complete+10" {
			t.Fatal(got.story(one1))
		}
		for i, u := range updates {
			if u.AvgPrice.Known() != (i == 4) || u.Recovered || i > 1 && u.Quantity != 10 || i > 2 && u.Price != trade.MustRupees("3500.5") {
				t.Errorf("%+v", u)
			}
		}
		if stats := st.feed.Stats(); stats.Unknown != 1 || stats.Unread != 3 || stats.Frames != 10 {
			t.Errorf("%+v", stats)
		}
		st.feed.Close()
		<-got.done
		if kinds := got.kinds(); kinds[len(kinds)-1] != "PositionUpdate" || !errors.Is(got.err, ErrClosed) {
			t.Error(kinds, got.err)
		}
	})
}

// Frames that came before a break are told, though the book cannot be read after it.
func TestOrders_whatCameBeforeABreakIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, func(c *websocket.Conn, n int) {
			if n == 1 {
				for i, state := range []trade.State{trade.Received, trade.Validating, trade.OpenPending, trade.Open, trade.Complete} {
					s.say(c, `{"type":"order","data":`+rowOf(one1, state, i/4*10, int64(i+1))+`}`)
				}
				c.CloseNow()
			}
		})
		st.answer = func(string) (string, time.Duration) { return "500", 0 }
		got := st.open(t)
		time.Sleep(time.Second)
		if story := got.story(one1); story != "put order req received, validation pending, open pending, open, complete+10" {
			t.Error(story)
		}
		if st.feed.Live() {
			t.Error("it is live, and has not read the book")
		}
		st.set(func() { st.answer = nil })
		time.Sleep(10 * time.Second)
		if kinds := got.kinds(); !st.feed.Live() || kinds[len(kinds)-1] != "Gap" {
			t.Error(kinds)
		}
		st.feed.Close()
	})
}

// A book that hangs for a minute holds up nothing: the feed's word goes ahead.
func TestOrders_bookThatHangsHoldsUpNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.answer = func(string) (string, time.Duration) { return "500", time.Minute }
		got := st.open(t)
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		st.send(rowOf(one1, trade.Complete, 10, 9))
		time.Sleep(time.Second)
		st.send(rowOf(two2, trade.Received, 0, 10), rowOf(two2, trade.Complete, 10, 20))
		time.Sleep(reportPatience)
		synctest.Wait()
		if got.story(one1) != "complete+10" || got.story(two2) != "put order req received, complete+10" {
			t.Errorf("%s; %s", got.story(one1), got.story(two2))
		}
		if took := got.at[0].Sub(began); took > reportPatience {
			t.Errorf("after %v", took)
		}
		st.feed.Close()
	})
}

// An order's states come once and in its own sequence, however frames come: those that a
// frame is missing before wait for the history.
func TestOrders_lostAndReorderedFramesDoNotShow(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		got := st.open(t)
		synctest.Wait()
		states := []trade.State{trade.Received, trade.Validating, trade.OpenPending, trade.Open, trade.ModifyValidating, trade.ModifyPending, trade.Modified, trade.Open, trade.CancelPending, trade.Cancelled}
		rows := map[string][]string{}
		for _, number := range []string{one1, two2} {
			for i, state := range states {
				rows[number] = append(rows[number], rowOf(number, state, 0, int64(i+1)))
			}
			newest := slices.Clone(rows[number])
			slices.Reverse(newest)
			st.set(func() { st.histories[number] = newest })
		}
		st.set(func() { st.book = []string{rows[one1][9], rows[two2][9]} })
		for i, row := range rows[one1] {
			if i%3 != 2 {
				st.send(row, row)
			}
		}
		for _, i := range []int{0, 2, 1, 4, 3, 3, 6, 5, 7, 9, 8} {
			st.send(rows[two2][i])
		}
		time.Sleep(10 * time.Second)
		want := "put order req received, validation pending, open pending, open, modify validation pending, modify pending, modified, open, cancel pending, cancelled"
		if got.story(one1) != want || got.story(two2) != want {
			t.Errorf("lost: %s\nreordered: %s", got.story(one1), got.story(two2))
		}
		if stats := st.feed.Stats(); stats.Recovered == 0 || stats.Repeated == 0 || stats.Ahead != 0 {
			t.Errorf("%+v", stats)
		}
		st.feed.Close()
	})
}

// A change that leaves an order as it was is told too, though its frames were lost.
func TestOrders_aLostChangeToWhatWasIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 0, 4)} })
		got := st.open(t)
		time.Sleep(time.Second)
		st.set(func() {
			st.book = []string{rowOf(one1, trade.Open, 0, 8)}
			for i, state := range []trade.State{trade.Open, trade.Modified, trade.ModifyPending, trade.ModifyValidating, trade.Open} {
				st.histories[one1] = append(st.histories[one1], rowOf(one1, state, 0, int64(8-i)))
			}
		})
		time.Sleep(openPause + time.Second)
		if story := got.story(one1); story != "open, modify validation pending, modify pending, modified, open" {
			t.Error(story)
		}
		st.feed.Close()
	})
}

// A stream that says nothing, though all looks well, does not hide what happens, and is
// given up.
func TestOrders_silentStreamHidesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.set(func() { st.book = []string{rowOf(one1, trade.Open, 0, 4)} })
		got := st.open(t)
		time.Sleep(time.Second)
		for i, filled := range []int{3, 7, 10} {
			state := trade.Open
			if filled == 10 {
				state = trade.Complete
			}
			row := rowOf(one1, state, filled, int64(5+i))
			st.set(func() {
				st.book = []string{row}
				st.histories[one1] = append([]string{row}, st.histories[one1]...)
			})
			time.Sleep(openPause + time.Second)
			if u := got.orders(one1); u[len(u)-1].FilledQty != int64(filled) || !u[len(u)-1].Recovered {
				t.Errorf("of %d: %s", filled, got.story(one1))
			}
		}
		if story := got.story(one1); story != "open, open+3, open+4, complete+3" {
			t.Error(story)
		}
		if s.upgrades.Load() < 2 {
			t.Error("it is still believed")
		}
		st.feed.Close()
	})
}

// What a break hid is told before its Gap; the reads that fail in between change nothing.
func TestOrders_readsThatFailAreTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		rows := []string{rowOf(one1, trade.Open, 0, 4), rowOf(one1, trade.Open, 4, 5), rowOf(one1, trade.Complete, 10, 6)}
		st.set(func() { st.book, st.histories[one1] = rows[:1], []string{rows[2], rows[1], rows[0]} })
		got := st.open(t)
		time.Sleep(time.Second)
		n := 0
		st.set(func() {
			st.book = rows[2:]
			st.answer = func(name string) (string, time.Duration) {
				if n++; name != "limits" && name != "config" && n < 8 {
					return []string{"500", "<html>", `{"stat":"Ok"}`, `[`}[n%4], 0
				}
				return "", 0
			}
		})
		st.conn.CloseNow()
		time.Sleep(20 * time.Second)
		if kinds := got.kinds(); got.story(one1) != "open, open+4, complete+6" || !slices.Equal(kinds, []string{"OrderUpdate", "Lost", "OrderUpdate", "OrderUpdate", "Gap"}) {
			t.Error(got.story(one1), kinds)
		}
		for _, u := range got.all {
			if gap, is := u.(Gap); is && (gap.From.IsZero() || !gap.To.After(gap.From)) {
				t.Errorf("%+v", gap)
			}
		}
		st.feed.Close()
	})
}

// The first frame is JSON; a server that refuses that gets it without quotes, and one
// that refuses both refuses the session.
func TestOrders_firstFrameHasTwoForms(t *testing.T) {
	const quoted, bare = `{"Authorization":"a","Sid":"sid-a","src":"WEB","type":"cn"}`, `{type:cn,Authorization:a,Sid:sid-a,src:WEB}`
	const yes, no = `{"ak":"ok","type":"cn"}`, `{"ak":"nk","type":"cn","msg":"no"}`
	for name, x := range map[string]struct {
		answers []string // "" closes; the last one stays
		ended   bool
		forms   []string
	}{
		"JSON":                            {[]string{yes}, false, []string{quoted}},
		"JSON is refused":                 {[]string{no, yes}, false, []string{quoted, bare}},
		"JSON is dropped":                 {[]string{"", yes}, false, []string{quoted, bare}},
		"both are refused":                {[]string{no}, true, []string{quoted, bare}},
		"a cut, and then it wants JSON":   {[]string{"", no, yes}, false, []string{quoted, bare, quoted}},
		"one form is dropped for a while": {[]string{"", "", "", yes}, false, []string{quoted, bare, quoted, bare}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				st := newStage(t, s, nil)
				s.talk = func(c *websocket.Conn, n int) {
					s.hear(c)
					if answer := x.answers[min(n, len(x.answers))-1]; answer != "" {
						s.say(c, answer)
						if answer == yes {
							s.listen(c)
						}
					}
				}
				st.source.none = errors.New("there is no other")
				got := st.open(t)
				time.Sleep(time.Minute)
				s.mu.Lock()
				defer s.mu.Unlock()
				if !slices.Equal(s.greetings, x.forms) {
					t.Errorf("it sent %q", s.greetings)
				}
				st.feed.Close()
				<-got.done
				if over := errors.Is(got.err, ErrSessionEnded); over != x.ended || len(st.source.ended) > 0 != x.ended {
					t.Errorf("%v, ended %q", got.err, st.source.ended)
				}
			})
		})
	}
}

// Each generation's feed stays alive in its own way, for ten minutes and over a break.
func TestOrders_beatsAreThoseOfTheGeneration(t *testing.T) {
	for generation, want := range map[int]int{1: 20, 3: 0} {
		bubble(t, func(t *testing.T, s *service) {
			var mu sync.Mutex
			beats := 0
			st := newStage(t, s, nil)
			s.talk = func(c *websocket.Conn, n int) {
				s.hear(c)
				s.say(c, `{"ak":"ok","type":"cn"}`)
				for began := time.Now(); ; {
					_, data, err := c.Read(context.Background())
					if err != nil || n == 1 && time.Since(began) > 5*time.Minute {
						return
					}
					mu.Lock()
					if string(data) == `{"type":"hb"}` {
						beats++
					}
					mu.Unlock()
				}
			}
			if generation == 1 {
				st.source.sessions[0].KType = ""
			}
			st.open(t)
			time.Sleep(10*time.Minute + time.Second)
			mu.Lock()
			if beats < want-1 || beats > want {
				t.Errorf("generation %d: %d beats in ten minutes, want %d", generation, beats, want)
			}
			mu.Unlock()
			st.feed.Close()
		})
	}
}

// A program that reads too slowly gets an error, and no other reader less.
func TestOrders_slowReaderGetsAnError(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		all := st.open(t)
		synctest.Wait()
		slow := st.feed.join()
		for n := range maxUnread + 10 {
			st.feed.mu.Lock()
			st.feed.tell(Gap{From: time.Unix(int64(n), 0)})
			st.feed.mu.Unlock()
			if n%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		had, err := st.feed.next(t.Context(), slow, nil)
		if len(had) != maxUnread || err != nil || had[maxUnread-1] != Update(Gap{From: time.Unix(maxUnread-1, 0)}) {
			t.Errorf("%d, %v", len(had), err)
		}
		if _, err := st.feed.next(t.Context(), slow, had); !errors.Is(err, ErrSlow) {
			t.Error(err)
		}
		if n := len(all.kinds()); n != maxUnread+10 || all.err != nil {
			t.Errorf("the other one had %d, %v", n, all.err)
		}
		st.feed.Close()
	})
}

// A panic of the program's is the program's error, and no reason to connect again.
func TestOrders_aPanicIsTheProgramsError(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		got := st.open(t)
		synctest.Wait()
		st.feed.OnOrder(func(trade.Order) { panic("oops") })
		st.send(rowOf(one1, trade.Received, 0, 1))
		<-got.done
		wrong, is := errors.AsType[*ProgramError](got.err)
		if !is || wrong.Value != "oops" || len(wrong.Stack) == 0 || got.story(one1) == "" {
			t.Errorf("%v, %s", got.err, got.story(one1))
		}
		time.Sleep(time.Minute)
		if n := s.upgrades.Load(); n != 1 {
			t.Errorf("it connected %d times", n)
		}
		st.feed.Close()
	})
}

package feed

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// Of an instrument whose depth nobody wants any more a mini shows nothing of the depth's.
func TestPicture_loweredToAMiniHasNothingOld(t *testing.T) {
	var called []Quote
	m, l := offline(t, Depths(share(0)), OnQuote(func(q *Quote) { called = append(called, *q) }))
	feedFrame(t, l, touch(nil, 0, 0))
	must.Do(t, m.Subscribe(Mini, share(0)))
	must.Do(t, m.Unsubscribe(Depth, share(0)))
	mini := sfeed.Mini{Token: 1000, LastAt: 1_795_009_999, Last: 390_000, LastQty: 5, Close: 349_000}
	feedFrame(t, l, mini.Append(nil, sfeed.Header{Exchange: 1, Level: sfeed.LevelMini, Seq: 1}))
	for _, q := range []Quote{picture(t, m, share(0)), called[1]} {
		if q.Level != Mini || q.High.Known() || q.Volume != 0 || q.Bids != nil || !q.At.Equal(q.LastAt) || q.Last != rupees("3900") {
			t.Errorf("%+v", q)
		}
	}
}

// One packet with a time that cannot be right does not make a picture stand still.
func TestPicture_isNotHeldUpByOneWrongTime(t *testing.T) {
	for name, wrong := range map[string]int64{"of no calendar": math.MaxInt64, "of the next century": latest, "of next year": 1_795_000_000 + 365*86400} {
		m, l := offline(t, Quotes(share(0), share(1)))
		at := time.Date(2027, time.March, 2, 5, 0, 0, 0, time.UTC)
		say := func(updated, volume int64) {
			q := sfeed.Quote{Token: 1000, UpdatedAt: updated, LastAt: updated, Volume: volume, Last: 100}
			must.Do(t, l.frame(binaryFrame, quoteOf(q, 1, sfeed.LevelTouch, uint8(volume)), at))
		}
		say(1_795_000_000, 1)
		say(wrong, 2)
		for n := range 20 {
			at = at.Add(500 * time.Millisecond)
			say(1_795_000_001+int64(n), 3+int64(n))
		}
		if q := picture(t, m, share(0)); q.Volume != 22 || q.At.Unix() != 1_795_000_020 {
			t.Errorf("a time %s: volume %d of %v", name, q.Volume, q.At)
		}
	}
}

// Amounts that are no numbers, or negative, are not told.
func TestPicture_hasNoAmountThatIsNone(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		m, l := offline(t, Quotes(share(0)))
		feedFrame(t, l, quoteOf(sfeed.Quote{Token: 1000, UpdatedAt: 1_795_000_000, Traded: f, Last: 100}, 1, sfeed.LevelTouch, 0))
		if q := picture(t, m, share(0)); q.Traded != 0 {
			t.Errorf("%v became %v", f, q.Traded)
		}
	}
}

// Instruments with one token in two segments, and an index with it, are three.
func TestPicture_ofOneTokenInSeveralPlacesAreSeveral(t *testing.T) {
	index := trade.Instrument{Segment: trade.NSE, Token: "1000", Name: "MIDCPNIFTY", Kind: trade.IndexKind} // which is asked for by its token
	m, l := offline(t, Quotes(pair(trade.NSE, "1000"), pair(trade.BSE, "1000"), pair(trade.NFO, "1000"), index))
	for n, x := range []int8{1, 5, 2} {
		feedFrame(t, l, quoteOf(sfeed.Quote{Token: 1000, UpdatedAt: 1_795_000_000, Last: uint32(100 * (n + 1))}, x, sfeed.LevelTouch, 0))
	}
	value := sfeed.Index{Token: 1000, Value: 2_600_000, LastAt: 1_795_000_000, Name: []byte("NIFTY MID SELECT")}
	feedFrame(t, l, value.Append(nil, sfeed.Header{Exchange: 1}))
	for i, want := range map[string]trade.Instrument{"1": pair(trade.NSE, "1000"), "2": pair(trade.BSE, "1000"), "3": pair(trade.NFO, "1000"), "26000": index} {
		if q := picture(t, m, want); q.Last != rupees(i) {
			t.Errorf("%s: %v, want %s", want.Key(), q.Last, i)
		}
	}
}

// Under load each loop ends with the latest quote of each instrument, and what it had and
// what it skipped are all that came.
func TestUpdates_andWhatTheySkipAreAllThatCame(t *testing.T) {
	const instruments, ticks = 50, 400
	m, l := offline(t, Quotes(shares(instruments)...))
	var loops sync.WaitGroup
	for n := range 4 {
		next, stop := iter.Pull2(m.Updates(t.Context()))
		feedFrame(t, l, touch(nil, 0, 0)) // so that the loop has begun
		pull(t, next)
		loops.Go(func() {
			defer stop()
			had, last := map[string]int{}, map[string]int64{}
			for len(last) < instruments || !full(last, 1_000_000+ticks) {
				u, err, _ := next()
				q, is := u.(Quote)
				if !is {
					t.Error(u, err)
					return
				}
				if q.Volume < last[q.Instrument.Token] {
					t.Errorf("%d after %d", q.Volume, last[q.Instrument.Token])
				}
				had[q.Instrument.Token] += 1 + q.Skipped
				last[q.Instrument.Token] = q.Volume
				if n > 0 && len(had)%(10*n) == 0 {
					time.Sleep(time.Microsecond)
				}
			}
			for token, n := range had {
				if token != "1000" && n != ticks {
					t.Errorf("%s: %d of %d", token, n, ticks)
				}
			}
		})
	}
	for tick := 1; tick <= ticks; tick++ {
		var frame []byte
		for i := range instruments {
			frame = touch(frame, i, tick)
		}
		feedFrame(t, l, frame)
	}
	loops.Wait()
}

func full(last map[string]int64, want int64) bool {
	for _, v := range last {
		if v != want {
			return false
		}
	}
	return true
}

// Ticks that come before their acknowledgement count, and so does another level asked for
// at once.
func TestMarketFeed_ticksMayComeBeforeTheirAcknowledgement(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.greet = func(c *websocket.Conn, _ int) bool {
			return st.say(c, strings.Replace(answer, "1117", "1119", 1)) == nil
		}
		st.request = func(c *websocket.Conn, _ int, r sfeed.Request) bool {
			if r.Action == sfeed.Subscribe && len(r.Tokens) > 0 {
				st.send(c, touch(nil, 0, 1))
				time.Sleep(time.Second)
				st.say(c, acknowledgement(r))
				return true
			}
			return false
		}
		m := st.market(Quotes(share(0)))
		if q, ok := m.Quote(share(0)); !ok || q.Volume != 1_000_001 {
			t.Errorf("%+v %t", q, ok)
		}
		time.Sleep(2 * time.Second)
		must.Do(t, m.Unsubscribe(Touch, share(0)))
		must.Do(t, m.Subscribe(Depth, share(0)))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if asked := st.asked(1); !strings.HasSuffix(asked, "unsubscribe touches nse_cm|1000\nsubscribe depths nse_cm|1000") || st.connections() != 1 {
			t.Errorf("%d connections; %s", st.connections(), asked)
		}
		if _, ok := m.Quote(share(0)); !ok {
			t.Error("no picture")
		}
		m.Close()
	})
}

// A refusal after the answer is one of the session.
func TestMarketFeed_aRefusalAfterTheAnswerIsOne(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		source := &supply{sessions: []neoapi.Session{ticket("a"), ticket("b")}}
		m := must.Get(Market(t.Context(), st.client, WithKeeper(source), Quotes(share(0))))(t)
		g := read(t.Context(), m)
		time.Sleep(time.Minute)
		st.say(st.conn(), `{"message_code":1120,"message":"sid-a has ended"}`)
		time.Sleep(time.Second)
		all, err := g.take()
		if kinds := updateKinds(all); err != nil || !strings.HasSuffix(kinds, "lost, gap, quote 1000") || fmt.Sprint(source.ended) != "[a]" {
			t.Errorf("%s; %v; ended %v", kinds, err, source.ended)
		}
		m.Close()
	})
}

// A log's handler and a clock are the program's code: they may call the feed.
func TestFeeds_areNotLockedWhileTheyLog(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		var it atomic.Pointer[MarketFeed]
		var said sync.Map
		st.request = func(_ *websocket.Conn, _ int, r sfeed.Request) bool { return r.Topic == sfeed.Depths }
		m := must.Get(Market(t.Context(), st.client, WithKeeper(tickets()), Log(logger(writerFunc(func(b []byte) (int, error) {
			if m := it.Load(); m != nil {
				said.Store(strings.Split(string(b), `"`)[1], true)
				m.Quote(share(0))
				if err := m.Subscribe(Touch, share(3)); err != nil && !errors.Is(err, ErrClosed) { // it logs while it closes, too
					t.Error(err)
				}
			}
			return len(b), nil
		})))))(t)
		it.Store(m)
		must.Do(t, m.Subscribe(Depth, share(0)))
		time.Sleep(20 * time.Second)
		if _, ok := said.Load("feed: the service does not acknowledge a subscription"); !ok {
			t.Error("it did not log")
		}
		m.Close()
	})
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.answer = func(string) (string, time.Duration) { return "500", 0 }
		var it atomic.Pointer[OrderFeed]
		var said atomic.Int32
		st.open(t, Log(logger(writerFunc(func(b []byte) (int, error) {
			if o := it.Load(); o != nil {
				said.Add(1)
				o.Live()
				o.OnOrder(func(trade.Order) {})
			}
			return len(b), nil
		}))))
		it.Store(st.feed)
		synctest.Wait()
		st.conn.CloseNow()
		time.Sleep(20 * time.Second)
		if n := said.Load(); n < 5 {
			t.Error(n)
		}
		st.feed.Close()
	})
}

// A writer that never returns ends the recording, and the program is told.
func TestRecord_toAWriterThatNeverReturnsIsTold(t *testing.T) {
	blocked := make(chan struct{})
	m, l := offline(t, Quotes(shares(100)...), Record(writerFunc(func([]byte) (int, error) { <-blocked; return 0, errors.New("late") })))
	defer close(blocked)
	m.record(m.recorder)
	var frame []byte
	for n := range 100 {
		frame = touch(frame, n, 0)
	}
	for tick := 1; tick < 20_000; tick++ {
		for at := 0; at < len(frame); at += len(frame) / 100 {
			later(frame[at:], tick*79)
		}
		must.Do(t, l.frame(binaryFrame, frame, time.Now()))
		select {
		case <-m.recorder.slow:
			tick = 20_000
		default:
		}
	}
	for u, err := range m.Updates(t.Context()) {
		must.Do(t, err)
		if n, is := u.(NotRecorded); is {
			if !errors.Is(n.Err, ErrSlowRecording) {
				t.Error(n.Err)
			}
			break
		}
	}
}

// A feed prints as a text: what is in it changes meanwhile, and leads to secrets.
func TestFeeds_printAsATextWhileTheyWork(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		st := newStage(t, s, nil)
		st.open(t)
		synctest.Wait()
		st.send(rowOf(one1, trade.Received, 0, 1))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			if said := fmt.Sprintf(verb, st.feed); said != "an order feed" {
				t.Error(said)
			}
		}
		st.feed.Close()
	})
	m, _ := offline(t)
	if said := fmt.Sprintf("%+v", m); said != "a market feed" {
		t.Error(said)
	}
}

// A secret with something between its letters, which is taken out, is one still.
func TestErrors_haveNoSecretWithGapsEither(t *testing.T) {
	if said := clean("no to\x00ken1\u200b23", neoapi.Session{Token: "token123"}); said != "no [redacted]" {
		t.Error(said)
	}
}

// A gap does not end before it begins, though our clock is set back by an hour.
func TestGap_doesNotEndBeforeItBegins(t *testing.T) {
	from := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	if g := gap(from, from.Add(-time.Hour)); g.To.Before(g.From) || g.To.Location() != trade.IST {
		t.Errorf("%+v", g)
	}
	m, l := offline(t, Quotes(share(0)))
	next, stop := iter.Pull2(m.Updates(t.Context()))
	defer stop()
	feedFrame(t, l, touch(nil, 0, 0))
	pull(t, next)
	l.down(errDropped, from)
	l.begin()
	must.Do(t, l.control([]byte(answer), from))
	must.Do(t, l.frame(binaryFrame, touch(nil, 0, 1), time.Date(2027, time.March, 2, 4, 0, 0, 0, time.UTC)))
	for u := pull(t, next); ; u = pull(t, next) {
		if g, is := u.(Gap); is {
			if g.To.Before(g.From) {
				t.Errorf("%+v", g)
			}
			break
		}
	}
}

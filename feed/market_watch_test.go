package feed

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// An illiquid instrument is silent for hours, and answers when it is asked: the connection
// stays.
func TestSilence_ofAnIlliquidInstrumentAloneBreaksNothing(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0)), FullDepths(share(200))) // of the second nothing ever comes
		defer m.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		n := strings.Count(st.asked(1), "snapshot touches nse_cm|1000")
		if st.connections() != 1 || n < 500 || n > 720 || strings.Contains(st.asked(1), "snapshot depths") {
			t.Errorf("%d connections, %d snapshots", st.connections(), n)
		}
	})
}

// A service whose data stops, though it answers pings, is left after five seconds and five
// more.
func TestSilence_ofTheServiceBreaksTheConnection(t *testing.T) {
	for name, of := range map[string]trade.Instrument{"of what had data": share(0), "of what never had any": share(200)} {
		t.Run(name, func(t *testing.T) {
			broadcast(t, func(t *testing.T, st *station) {
				var silent time.Time
				st.request = func(_ *websocket.Conn, n int, r sfeed.Request) bool {
					return n == 1 && (r.Action == sfeed.Snapshot || of == share(200) && time.Since(silent) > 4*time.Second)
				}
				silent = time.Now()
				m := st.market(Quotes(of))
				defer m.Close()
				g := read(t.Context(), m)
				time.Sleep(12 * time.Second)
				all, _ := g.take()
				lost := strings.Index(updateKinds(all), "lost")
				if st.connections() != 2 || lost < 0 {
					t.Fatalf("%d connections: %s", st.connections(), updateKinds(all))
				}
				for _, u := range all {
					var kind *ConnectionError
					switch u := u.(type) {
					case Lost:
						if after := u.At.Sub(silent); after < 10*time.Second || after > 11*time.Second || !errors.As(u.Err, &kind) {
							t.Errorf("after %v: %v", after, u.Err)
						}
					case Gap:
						if d := u.To.Sub(u.From); d < 9*time.Second || d > 12*time.Second {
							t.Errorf("a gap of %v", d)
						}
					}
				}
			})
		})
	}
}

// Where nothing is known to the service its acknowledgement shows that it works.
func TestSilence_whereNothingIsKnownEndsWithAnAcknowledgement(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(200)))
		defer m.Close()
		time.Sleep(10 * time.Minute)
		if st.connections() != 1 {
			t.Errorf("%d connections", st.connections())
		}
	})
}

func TestSilence_meansNothingWhereNothingIsToBeExpected(t *testing.T) {
	for name, opts := range map[string][]Option{"no instruments": nil, "a closed market": {Quotes(share(0))}} {
		t.Run(name, func(t *testing.T) {
			broadcast(t, func(t *testing.T, st *station) {
				st.request = func(c *websocket.Conn, _ int, r sfeed.Request) bool {
					if r.Topic == sfeed.Statuses {
						st.send(c, (&sfeed.Status{Code: sfeed.StatusClose}).AppendOld(nil, sfeed.Header{Exchange: 1}))
					}
					return false
				}
				m := st.market(opts...)
				defer m.Close()
				time.Sleep(time.Hour)
				synctest.Wait()
				if st.connections() != 1 || strings.Contains(st.asked(1), "snapshot") {
					t.Errorf("%d connections\n%s", st.connections(), st.asked(1))
				}
			})
		})
	}
}

func TestHours_areThoseOfTheRealService(t *testing.T) {
	for at, open := range map[string]map[trade.Segment]bool{
		"2026-12-07 09:14": {trade.NSE: false, trade.MCX: true, trade.CDS: true, "elsewhere": false},
		"2026-12-07 09:15": {trade.NSE: true, trade.BFO: true},
		"2026-12-07 15:29": {trade.NSE: false, trade.NFO: true},
		"2026-12-07 23:00": {trade.NFO: false, trade.MCX: true, trade.CDS: false},
		"2026-11-29 12:00": {trade.NSE: false, trade.MCX: false}, // a Sunday
	} {
		when, err := time.ParseInLocation("2006-01-02 15:04", at, trade.IST)
		if err != nil {
			t.Fatal(err)
		}
		for s, want := range open {
			if openByHours(s, when.UTC()) != want {
				t.Errorf("%s at %s: open is not %t", s, at, want)
			}
		}
	}
}

// A frame that cannot be read costs what follows it in the frame, and the pictures are
// asked for again; the connection stays.
func TestMarketFeed_asksForPicturesAfterASpoiltFrame(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0), share(1)), Depths(share(2)))
		defer m.Close()
		time.Sleep(time.Second)
		before := st.asked(1)
		frame := touch(touch(nil, 0, 1), 1, 1)
		st.send(st.conn(), frame[:len(frame)-1])
		st.send(st.conn(), []byte("garbage"))
		st.say(st.conn(), "garbage")
		time.Sleep(time.Second)
		synctest.Wait()
		want(t, "requests", strings.TrimPrefix(st.asked(1), before+"\n"), "snapshot touches nse_cm|1000 nse_cm|1001", "snapshot depths nse_cm|1002")
		if n := m.counts.bad.Load(); n != 3 || st.connections() != 1 {
			t.Errorf("%d counted, %d connections", n, st.connections())
		}
		if q, _ := m.Quote(share(0)); q.Volume != 1_000_001 {
			t.Errorf("what came before the spoilt packet: %d", q.Volume)
		}
	})
}

// A service whose clock has been set back sends what looks older for ever: another
// connection begins anew.
func TestMarketFeed_recoversFromAServiceWhoseClockWasSetBack(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.tick = 10_000
		m := st.market(Quotes(share(0)))
		defer m.Close()
		st.mu.Lock()
		st.tick = 0
		st.mu.Unlock()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if q, ok := m.Quote(share(0)); !ok || q.Volume != 1_000_000 || m.Stats().Old == 0 || st.connections() != 2 {
			t.Errorf("%v %d, %+v, %d connections", ok, q.Volume, m.Stats(), st.connections())
		}
	})
}

// A callback that ends its goroutine, as t.FailNow does, ends the feed like a panic.
func TestMarketFeed_endsWithACallbackThatEndsItsGoroutine(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(Quotes(share(0)), OnQuote(func(*Quote) { runtime.Goexit() }))
		defer m.Close()
		var kind *ProgramError
		if _, err := read(t.Context(), m).take(); !errors.As(err, &kind) {
			t.Error(err)
		}
	})
}

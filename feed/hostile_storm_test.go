package feed

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/must"
	"neoapi/trade"
)

// Everything is called from everywhere while connections break: what is wanted in the end
// is carried in the end, and Close ends it all.
func TestMarketFeed_isUsedFromEverywhereWhileItBreaks(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		m := st.market(OnQuote(func(*Quote) {}), Quotes(share(0)))
		stop := make(chan struct{})
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(1+n) * time.Millisecond):
					}
					l, of := Level(1+(i+n)%4), []trade.Instrument{share(i % 7), share(20 + n)}
					must.Do(t, m.Subscribe(l, of...))
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					func() {
						defer func() { recover() }()
						for _, err := range m.Updates(ctx) {
							if err != nil || i%3 == 0 {
								break
							}
							panic("in the loop's body")
						}
					}()
					cancel()
					m.Quote(share(i % 7))
					m.Stats()
					_ = m.String()
					must.Do(t, m.Unsubscribe(l, of...))
				}
			})
		}
		for range 60 {
			time.Sleep(50 * time.Millisecond)
			st.cut()
		}
		close(stop)
		all.Wait()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if q, ok := m.Quote(share(0)); !ok || q.Level != Touch {
			t.Errorf("%t %v", ok, q.Level)
		}
		m.mu.Lock()
		if len(m.items) != 1 || len(m.readers) != 0 || m.lines[0].count != 1 || len(m.lines) != 1 {
			t.Errorf("%d items, %d readers, %d on the line", len(m.items), len(m.readers), m.lines[0].count)
		}
		m.mu.Unlock()
		var closing sync.WaitGroup
		for range 4 {
			closing.Go(func() { must.Do(t, m.Close()) })
		}
		closing.Wait()
		if m.life.tasks.Load() != 0 {
			t.Error("something is left")
		}
	})
}

// The same of an order feed; each state is told once over a hundred connections.
func TestOrders_areToldOnceOverAHundredConnections(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		row := func(n int) string { return rowOf(one1, trade.Open, n, int64(10+n)) }
		st := newStage(t, s, func(c *websocket.Conn, n int) { // the present state again
			s.say(c, `{"type":"order","data":`+strings.Replace(row(n-1), `"qty":10`, `"qty":1000`, 1)+`}`)
		})
		set := func(n int) {
			text := strings.Replace(row(n), `"qty":10`, `"qty":1000`, 1)
			st.set(func() { st.book, st.histories[one1] = []string{text}, append([]string{text}, st.histories[one1]...) })
		}
		set(0)
		got := st.open(t, func(o *options) { o.haste = 1000 })
		called := 0
		st.feed.OnOrder(func(trade.Order) { called++ })
		stop := make(chan struct{})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
					for range st.feed.Updates(ctx) {
						break
					}
					cancel()
					st.feed.Live()
					st.feed.Stats()
					_ = st.feed.String()
				}
			})
		}
		for n := 1; n <= 100; n++ {
			time.Sleep(time.Second)
			set(n)
			st.mu.Lock()
			c := st.conn
			st.mu.Unlock()
			c.CloseNow()
		}
		time.Sleep(time.Second)
		close(stop)
		all.Wait()
		var sum int64
		for _, u := range got.orders(one1) {
			if sum += u.Fill; sum != u.FilledQty || u.Fill != 1 && sum > 0 && u.Fill != 0 {
				t.Errorf("%+v", u)
			}
		}
		if n := len(got.orders(one1)); sum != 100 || n != 101 || called != 101 || st.feed.Readers() != 2 || s.upgrades.Load() != 101 {
			t.Errorf("%d filled, %d told, %d called, %d readers, %d connections", sum, n, called, st.feed.Readers(), s.upgrades.Load())
		}
		var closing sync.WaitGroup
		for range 4 {
			closing.Go(func() { must.Do(t, st.feed.Close()) })
		}
		closing.Wait()
		if st.feed.life.tasks.Load() != 0 {
			t.Error("something is left")
		}
	})
}

// Frames of thousands of packets, of unknown kinds and of tokens that nobody asked for,
// cost what they have, and no picture.
func TestMarketFeed_takesHugeFramesOfAnything(t *testing.T) {
	calls := 0
	m, l := offline(t, Quotes(share(0)), OnQuote(func(*Quote) { calls++ }))
	var frame []byte
	packets := 0
	for len(frame) < maxFrame-1000 {
		frame = touch(frame, 0, packets)       // ours
		frame = touch(frame, 100+packets%7, 0) // nobody's
		unknown := make([]byte, 9+packets%50)
		binary.LittleEndian.PutUint16(unknown, uint16(len(unknown)))
		binary.LittleEndian.PutUint16(unknown[2:], uint16(packets)|0x8000)
		frame = append(frame, unknown...)
		packets++
	}
	feedFrame(t, l, frame)
	if c := m.Stats(); c.Unknown != int64(2*packets) || c.Unread != 0 || calls != packets {
		t.Errorf("%+v of %d, %d calls", c, packets, calls)
	}
}

// A divider by which no price is exact gives no price; one that is none is the service's
// usual one.
func TestPicture_hasNoPriceByAWrongDivider(t *testing.T) {
	for divider, want := range map[string]string{`3`: "", `7919`: "", `1e30`: "?", `-100`: "3500.05", `0`: "3500.05", `"x"`: "3500.05", `1000`: "350.005", `"100"`: "3500.05"} {
		m, l := offline(t, Quotes(share(0)))
		must.Do(t, l.control([]byte(`{"message_code":1117,"exchanges":{"nse_cm":{"value":1,"divider":`+divider+`}}}`), time.Now()))
		feedFrame(t, l, touch(nil, 0, 0))
		q := picture(t, m, share(0))
		if want == "?" {
			if q.Last.Known() && q.Last != rupees("3500.05") {
				t.Errorf("%s: %v", divider, q.Last)
			}
		} else if q.Last.Known() != (want != "") || want != "" && q.Last != rupees(want) {
			t.Errorf("%s: %v, want %s", divider, q.Last, want)
		}
	}
}

// Frames that come a byte at a time, in fragments, or as the other kind, hold up nothing
// for ever, and none of them ends a session.
func TestFeeds_bearFramesOfEveryShape(t *testing.T) {
	frames := map[string]string{
		"fragments":         "\x01\x05{\"typ\x00\x05e\":\"h\x80\x03b\"}",
		"compressed":        "\xc1\x05\xca\x48\xcd\xc9\xc9",
		"a long one begun":  "\x81\x7f\x00\x00\x00\x00\x00\x0f\x00\x00{",
		"longer than taken": "\x81\x7f\x00\x00\x00\x00\x7f\x0f\x00\x00{",
		"masked":            "\x81\x82abcd\x1a\x1f",
		"a long ping":       "\x89\x7e\x00\xff" + strings.Repeat("x", 255),
		"an unknown kind":   "\x83\x00",
		"binary JSON":       "\x82\x0d{\"type\":\"hb\"}",
		"no UTF-8":          "\x81\x02\xff\xfe",
		"a close of nobody": "\x88\x02\x03\xed",
		"a cut close":       "\x88\x01\x03",
	}
	for name, frame := range frames {
		for _, slow := range []bool{false, true} {
			bubble(t, func(t *testing.T, s *service) {
				st := newStage(t, s, nil)
				s.handshake = func(w http.ResponseWriter, r *http.Request, n int) bool {
					if n > 1 {
						return true
					}
					conn, buf, err := http.NewResponseController(w).Hijack()
					must.Do(t, err)
					key := r.Header.Get("Sec-WebSocket-Key")
					fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept(key))
					go func() {
						for {
							if _, err := buf.ReadByte(); err != nil {
								return
							}
						}
					}()
					fmt.Fprintf(conn, "\x81%c%s", len(`{"ak":"ok","type":"cn"}`), `{"ak":"ok","type":"cn"}`)
					for i := range len(frame) {
						if slow {
							time.Sleep(3 * time.Second)
						}
						if _, err := conn.Write([]byte(frame[i : i+1])); err != nil {
							return false
						}
					}
					time.Sleep(10 * time.Minute)
					conn.Close()
					return false
				}
				row := rowOf(one1, trade.Open, 0, 4)
				st.set(func() { st.book, st.histories[one1] = []string{row}, []string{row} })
				got := st.open(t)
				time.Sleep(time.Second)
				row = rowOf(one1, trade.Complete, 10, 9)
				st.set(func() { st.book = []string{row} })
				time.Sleep(5 * time.Minute)
				if got.story(one1) != "open, complete+10" || st.source.endedOnes() != "[]" || got.err != nil || !st.feed.Live() {
					t.Errorf("%s, slowly %t: %s; ended %v; %v; live %t", name, slow, got.story(one1), st.source.endedOnes(), got.err, st.feed.Live())
				}
				st.feed.Close()
				<-got.done
				if !errors.Is(got.err, ErrClosed) {
					t.Error(got.err)
				}
				time.Sleep(10 * time.Minute)
			})
		}
	}
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

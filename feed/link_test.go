package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
)

func TestLink_readsWhatComesInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		long := strings.Repeat("x", 500_000)
		s.talk = func(c *websocket.Conn, _ int) {
			s.welcome(c)
			for _, text := range []string{"1", "", long, "2"} {
				s.say(c, text)
			}
			s.listen(c)
		}
		r := s.run(t, &parrot{}, &supply{sessions: []neoapi.Session{session("a")}})
		synctest.Wait()
		if got := r.parrot.heard(); got != "1  "+long+" 2" {
			t.Errorf("read %d bytes", len(got))
		}
		r.life.close()
		if err := <-r.done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestLink_waitsLongerAfterEachFailure(t *testing.T) {
	for name, hostile := range map[string]func(*service){
		"it accepts and closes": func(s *service) {
			s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); c.Close(websocket.StatusGoingAway, "") }
		},
		"it closes before the answer": func(s *service) { s.talk = func(c *websocket.Conn, _ int) { s.hear(c) } },
		"503": func(s *service) {
			s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(503); return false }
		},
		"429": func(s *service) {
			s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(429); return false }
		},
		"garbage": func(s *service) {
			s.talk = func(c *websocket.Conn, _ int) { s.hear(c); s.say(c, "<html>"); s.listen(c) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				hostile(s)
				source := &supply{sessions: []neoapi.Session{session("a")}}
				r := s.run(t, &parrot{}, source)
				defer r.life.close()
				began := time.Now()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				times := s.dialed()
				first := 0
				for _, at := range times {
					if at.Sub(began) < time.Minute {
						first++
					}
				}
				if first < 8 || first > 10 {
					t.Errorf("%d dials in the first minute", first)
				}
				if times[1].Sub(times[0]) > 100*time.Millisecond {
					t.Error("the second try was not at once")
				}
				want := firstWait
				for i := 2; i < len(times); i++ {
					if gap := times[i].Sub(times[i-1]); gap > want || gap < want*4/5 {
						t.Errorf("%v before try %d: not around %v", gap, i+1, want)
					}
					want = min(2*want, lastWait)
				}
				if len(source.ended) > 0 {
					t.Error("the session was given up")
				}
			})
		})
	}
}

func TestLink_beginsAnewAfterALongLife(t *testing.T) {
	for _, test := range []struct {
		life   time.Duration
		within time.Duration
	}{{31 * time.Second, 10 * time.Millisecond}, {29 * time.Second, 40 * time.Second}} {
		bubble(t, func(t *testing.T, s *service) {
			s.talk = func(c *websocket.Conn, n int) {
				s.welcome(c)
				if n == 4 {
					time.Sleep(test.life)
				}
				if n > 4 {
					s.listen(c)
				}
			}
			r := s.run(t, &parrot{}, &supply{sessions: []neoapi.Session{session("a")}})
			defer r.life.close()
			time.Sleep(5 * time.Minute)
			times := s.dialed()
			gap := times[4].Sub(times[3]) - test.life
			if gap > test.within || test.life < longLife && gap < time.Second {
				t.Errorf("after a life of %v: %v", test.life, gap)
			}
		})
	}
}

func TestLink_sendsItsBeats(t *testing.T) {
	for name, beats := range map[string]beat{
		"generations 1 and 2": {text: []byte(`{"type":"hb"}`), every: 30 * time.Second, ping: 5 * time.Second},
		"generation 3":        {ping: 20 * time.Second},
	} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %v", name, busy), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *service) { beatsFor(t, s, beats, busy) })
			})
		}
	}
}

// beatsFor checks the beats as the service sees them, for ten minutes on each of two
// connections.
func beatsFor(t *testing.T, s *service, beats beat, busy bool) {
	const length = 10 * time.Minute
	var mu sync.Mutex
	texts, pings := make([][]time.Duration, 3), make([][]time.Duration, 3)
	var began [3]time.Time
	s.handshake = func(w http.ResponseWriter, r *http.Request, n int) bool {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: func(context.Context, []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			pings[n] = append(pings[n], time.Since(began[n]))
			return true
		}})
		if err != nil {
			return false
		}
		defer c.CloseNow()
		s.welcome(c)
		mu.Lock()
		began[n] = time.Now()
		mu.Unlock()
		if n == 1 {
			time.AfterFunc(length+time.Second, func() { c.Close(websocket.StatusGoingAway, "enough") })
		}
		if busy {
			end := time.Now().Add(length)
			go func() {
				for time.Now().Before(end) && s.say(c, "tick") == nil {
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}
		for {
			_, data, err := c.Read(context.Background())
			if err != nil {
				return false
			}
			mu.Lock()
			if string(data) == string(beats.text) {
				texts[n] = append(texts[n], time.Since(began[n]))
			} else {
				t.Errorf("heard %q", data)
			}
			mu.Unlock()
		}
	}
	r := s.run(t, &parrot{beats: beats, onData: func(frameKind, []byte) error { return nil }}, &supply{sessions: []neoapi.Session{session("a")}})
	time.Sleep(2*length + 10*time.Second)
	r.life.close()
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	for n := 1; n <= 2; n++ {
		at := func(name string, got []time.Duration, every time.Duration) {
			want := 0
			if every > 0 {
				want = int(length / every)
			}
			if len(got) < want || want == 0 && len(got) > 0 {
				t.Fatalf("connection %d: %d %s, want %d", n, len(got), name, want)
			}
			for i := range want {
				if off := got[i] - time.Duration(i+1)*every; off < 0 || off > 100*time.Millisecond {
					t.Errorf("connection %d: %s %d at %v", n, name, i+1, got[i])
				}
			}
		}
		at("texts", texts[n], beats.every)
		at("pings", pings[n], beats.ping)
	}
	if n := s.upgrades.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestLink_givesUpAConnectionThatIsSilent(t *testing.T) {
	for _, test := range []struct {
		name    string
		talk    func(s *service, c *websocket.Conn)
		another bool // connection
	}{
		{"it answers pings alone", func(s *service, c *websocket.Conn) { s.listen(c) }, false},
		{"it answers nothing", func(_ *service, _ *websocket.Conn) { time.Sleep(2 * time.Minute) }, true},
		{"it sends data and answers no ping", func(s *service, c *websocket.Conn) {
			for s.say(c, "tick") == nil {
				time.Sleep(time.Second)
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				s.dial = buffered(s)
				s.talk = func(c *websocket.Conn, n int) {
					s.welcome(c)
					if n == 1 {
						test.talk(s, c)
					} else {
						s.listen(c)
					}
				}
				r := s.run(t, &parrot{beats: beat{ping: 5 * time.Second}, onData: func(frameKind, []byte) error { return nil }}, &supply{sessions: []neoapi.Session{session("a")}})
				time.Sleep(time.Minute)
				lost := r.parrot.lost()
				if another := r.parrot.connected() > 1; another != test.another {
					t.Errorf("%d connections, %v", r.parrot.connected(), lost)
				}
				if test.another && !strings.Contains(lost[0].Error(), "silent") {
					t.Error(lost[0])
				}
				r.life.close()
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

func TestLink_endsWithinASecondInEveryState(t *testing.T) {
	forever := make(chan struct{})
	for name, set := range map[string]func(s *service, p *parrot, source *supply, life *life) neoapi.SessionSource{
		"connecting": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.dial = func(ctx context.Context, _ int) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			return source
		},
		"waiting for the handshake": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.dial = buffered(s)
			s.handshake = func(_ http.ResponseWriter, r *http.Request, _ int) bool { <-r.Context().Done(); return false }
			return source
		},
		"waiting for the rest of a refusal": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.handshake = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				w.Header().Set("Content-Length", "100")
				w.WriteHeader(500)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return false
			}
			return source
		},
		"greeting": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.talk = func(c *websocket.Conn, _ int) { s.listen(c) }
			return source
		},
		"asking whether the session has ended": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.talk = func(c *websocket.Conn, _ int) { s.hear(c) }
			s.call = func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }
			return source
		},
		"waiting to try again": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.dial = func(context.Context, int) (net.Conn, error) { return nil, errors.New("refused") }
			return source
		},
		"connected": func(_ *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource { return source },
		"the peer is dead without FIN": func(s *service, _ *parrot, source *supply, _ *life) neoapi.SessionSource {
			s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); <-forever }
			return source
		},
		"the program's code does not return": func(s *service, p *parrot, source *supply, life *life) neoapi.SessionSource {
			s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); s.say(c, "tick"); s.listen(c) }
			p.onData = func(frameKind, []byte) error { return life.call(func() { <-forever }) }
			return source
		},
	} {
		t.Run(name, func(t *testing.T) {
			forever = make(chan struct{})
			synctest.Test(t, func(t *testing.T) {
				forever = make(chan struct{})
				s := newService(t)
				life := newLife(t.Context())
				p := &parrot{beats: beat{ping: time.Second}}
				source := set(s, p, &supply{sessions: []neoapi.Session{session("a")}}, life)
				o := newOptions([]Option{WithKeeper(source)})
				l := newLink(s.client, o, newSessions(s.client, o), p)
				over := make(chan error, 1)
				life.start(func() { over <- l.run(life.ctx) })
				time.Sleep(3500 * time.Millisecond)
				began := time.Now()
				life.close()
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
				life.close() // again
				dials := s.dials.Load()
				close(forever)
				time.Sleep(10 * time.Minute)
				if err := <-over; !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				if s.dials.Load() != dials {
					t.Error("it dialled after Close")
				}
				if n := life.tasks.Load(); n != 0 {
					t.Errorf("%d goroutines are left", n)
				}
			})
		})
	}
}

func TestLink_takesAddressesInTurn(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		var paths []string
		s.handshake = func(w http.ResponseWriter, r *http.Request, n int) bool {
			paths = append(paths, r.URL.Path)
			if r.URL.Path != "/good" {
				w.WriteHeader(404)
				return false
			}
			return true
		}
		s.talk = func(c *websocket.Conn, n int) {
			s.welcome(c)
			if n < 5 {
				return
			}
			s.listen(c)
		}
		p := &parrot{to: []string{"wss://evil.example/", "ws://127.0.0.1:9155/gone", "ws://127.0.0.1:9155/good", "ws://127.0.0.1:9155/never"}}
		r := s.run(t, p, &supply{sessions: []neoapi.Session{session("a")}})
		time.Sleep(time.Minute)
		r.life.close()
		if want := []string{"/gone", "/good", "/good", "/good", "/good"}; !slices.Equal(paths, want) {
			t.Error(paths)
		}
	})
}

// An address whose proxy refuses everybody does not keep a feed from the next one; one that
// takes no session is tried twice, for the two forms of the first frame.
func TestLink_leavesAnAddressThatTakesNoSession(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		var paths []string
		s.handshake = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			paths = append(paths, r.URL.Path)
			switch r.URL.Path {
			case "/proxy":
				w.WriteHeader(403)
			case "/mute":
				if c, err := websocket.Accept(w, r, nil); err == nil {
					s.listen(c)
				}
			default:
				return true
			}
			return false
		}
		p := &parrot{to: []string{"ws://127.0.0.1:9155/proxy", "ws://127.0.0.1:9155/mute", "ws://127.0.0.1:9155/good"}}
		r := s.run(t, p, &supply{sessions: []neoapi.Session{session("a")}})
		time.Sleep(time.Minute)
		r.life.close()
		if want := []string{"/proxy", "/mute", "/mute", "/good"}; !slices.Equal(paths, want) {
			t.Error(paths)
		}
	})
}

func TestLink_endsWhenNoAddressBelongsToTheService(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		r := s.run(t, &parrot{to: []string{"wss://evil.example/", "ws://10.0.0.1/realtime"}}, &supply{sessions: []neoapi.Session{session("a")}})
		if err := <-r.done; !errors.Is(err, ErrNoFeed) || !errors.Is(err, neoapi.ErrInvalidInput) || !slices.Equal(kindsOf(err), []string{"session"}) {
			t.Error(err)
		}
		if s.dials.Load() != 0 {
			t.Error("it dialled")
		}
	})
}

package feed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
)

const greeting = `{"message_code":1119,"exchanges":{"nse_cm":{"value":1,"divider":100}}}`

// The answer to the first frame in the forms of the documents and of the service itself.
func TestMarketFeed_takesEachWayInWhichASessionIsGood(t *testing.T) {
	for name, greet := range map[string]func(st *station, c *websocket.Conn){
		"1117":                  func(st *station, c *websocket.Conn) { st.say(c, answer) },
		"1119 alone":            func(st *station, c *websocket.Conn) { st.say(c, greeting) },
		"1117 without dividers": func(st *station, c *websocket.Conn) { st.say(c, `{"message_code":1117}`) },
		"1119 without dividers": func(st *station, c *websocket.Conn) { st.say(c, `{"message_code":1119}`) },
		"1119, then 1117":       func(st *station, c *websocket.Conn) { st.say(c, greeting); st.say(c, answer) },
		"nonsense and 1117": func(st *station, c *websocket.Conn) {
			st.say(c, "<html>")
			st.say(c, "null")
			st.say(c, "{}")
			st.say(c, answer)
		},
		"data before 1119": func(st *station, c *websocket.Conn) {
			st.send(c, touch(nil, 0, 0))
			st.say(c, greeting)
		},
	} {
		t.Run(name, func(t *testing.T) {
			broadcast(t, func(t *testing.T, st *station) {
				st.greet = func(c *websocket.Conn, _ int) bool { greet(st, c); return true }
				m := st.market(Quotes(share(0)))
				defer m.Close()
				if q, ok := m.Quote(share(0)); !ok || q.Last != rupees("3500.05") {
					t.Errorf("%v %+v", ok, q)
				}
				first := must.Get(sfeed.ParseFirst([]byte(st.greetings[0])))(t)
				if first.User != "TESTYA24" || first.Auth != "sid-a" || first.Format != sfeed.FormatBatch || first.ConnReqTime == 0 {
					t.Errorf("the first frame is %+v", first)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if st.connections() != 1 {
					t.Errorf("%d connections", st.connections())
				}
			})
		})
	}
}

func TestMarketFeed_endsWithARefusedSession(t *testing.T) {
	for name, talk := range map[string]func(st *station, c *websocket.Conn){
		"1120":                func(st *station, c *websocket.Conn) { st.say(c, `{"message_code":1120,"message":"Auth failed"}`) },
		"1119, then 1120":     func(st *station, c *websocket.Conn) { st.say(c, greeting); st.say(c, `{"message_code":1120}`) },
		"silence":             func(*station, *websocket.Conn) {},
		"1119, then silence":  func(st *station, c *websocket.Conn) { st.say(c, greeting) },
		"close":               func(_ *station, c *websocket.Conn) { c.CloseNow() },
		"1119, then a close":  func(st *station, c *websocket.Conn) { st.say(c, greeting); c.CloseNow() },
		"1120 after all that": func(st *station, c *websocket.Conn) { st.say(c, answer); st.say(c, `{"message_code":1120}`) },
	} {
		t.Run(name, func(t *testing.T) {
			broadcast(t, func(t *testing.T, st *station) {
				st.call = noSession
				st.greet = func(c *websocket.Conn, _ int) bool { talk(st, c); return true }
				st.request = func(*websocket.Conn, int, sfeed.Request) bool { return true }
				m := st.market(Quotes(share(0)))
				defer m.Close()
				g := read(t.Context(), m)
				time.Sleep(time.Minute)
				_, err := g.take()
				var kind *SessionError
				if !errors.Is(err, ErrSessionEnded) || !errors.As(err, &kind) {
					t.Errorf("it ended with %v", err)
				}
				if st.connections() != 1 {
					t.Errorf("%d connections", st.connections())
				}
			})
		})
	}
}

// A good session whose service greets and stays silent is a fault of the network.
func TestMarketFeed_keepsAGoodSessionWhereTheServiceIsSilent(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.greet = func(c *websocket.Conn, n int) bool { st.say(c, greeting); return true }
		st.request = func(_ *websocket.Conn, n int, _ sfeed.Request) bool { return n == 1 }
		m := st.market(Quotes(share(0)))
		defer m.Close()
		g := read(t.Context(), m)
		time.Sleep(30 * time.Second)
		all, err := g.take()
		if err != nil || !strings.HasPrefix(updateKinds(all), "lost, gap, quote 1000") || st.connections() != 2 {
			t.Errorf("%d connections: %s, %v", st.connections(), updateKinds(all), err)
		}
	})
}

// A greeting proves nothing. With nothing to subscribe the first subscription is the proof.
func TestMarketFeed_provesASessionByItsFirstSubscription(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.call = noSession
		st.greet = func(c *websocket.Conn, _ int) bool { st.say(c, greeting); return true }
		st.request = func(*websocket.Conn, int, sfeed.Request) bool { return true }
		m := st.market()
		defer m.Close()
		g := read(t.Context(), m)
		time.Sleep(time.Hour)
		if all, err := g.take(); err != nil || len(all) > 0 {
			t.Fatalf("%s, %v", updateKinds(all), err)
		}
		must.Do(t, m.Subscribe(Touch, share(0)))
		time.Sleep(time.Minute)
		if _, err := g.take(); !errors.Is(err, ErrSessionEnded) {
			t.Error(err)
		}
		if err := m.Subscribe(Touch, share(1)); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("subscribing: %v", err)
		}
	})
}

func TestMarketFeed_refusesADowngrade(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		st.greet = func(c *websocket.Conn, n int) bool {
			if n == 1 {
				st.say(c, fmt.Sprintf(`{"message_code":1117,"format":%q}`, sfeed.FormatFallback))
			} else {
				st.say(c, answer)
			}
			return true
		}
		m := st.market(Quotes(share(0)))
		defer m.Close()
		g := read(t.Context(), m)
		all, err := g.take()
		if err != nil || updateKinds(all) != "quote 1000" || st.connections() != 2 {
			t.Errorf("%d connections: %s, %v", st.connections(), updateKinds(all), err)
		}
	})
}

func TestMarket_saysAtOnceWhatIsKnownAtOnce(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		none := ticket("a")
		none.FeedURL = ""
		old := ticket("a")
		old.KType = ""
		for name, x := range map[string]struct {
			source *supply
			want   error
		}{
			"no feed":        {&supply{sessions: []neoapi.Session{none}}, ErrNoFeed},
			"a generation 1": {&supply{sessions: []neoapi.Session{old}}, ErrNoFeed},
			"no session":     {&supply{none: errors.New("nobody is logged in")}, nil},
		} {
			m, err := Market(t.Context(), st.client, WithKeeper(x.source))
			if err == nil || x.want != nil && !errors.Is(err, x.want) {
				t.Errorf("%s: %v, %v", name, m, err)
			}
		}
	})
}

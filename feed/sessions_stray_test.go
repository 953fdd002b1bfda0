package feed

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/must"
)

// A refusal of the session that has just replaced a refused one is believed only if a call
// with it says the same: else it costs no login, and the feed goes on when it is over.
func TestSessions_aRefusalOfTheNextOneIsDoubted(t *testing.T) {
	const minutes = 10
	nk, refused := `{"ak":"nk","type":"cn","msg":"no"}`, `{"message_code":1120,"error_code":1}`
	hang := func(s *service, c *websocket.Conn, first ...string) {
		for _, text := range first {
			s.say(c, text)
		}
		s.listen(c)
	}
	for name, x := range map[string]struct {
		open      func(t *testing.T, s *service, source *supply) (start func() (end func() error)) // a feed
		handshake int
		say       func(s *service, c *websocket.Conn)
	}{
		"401 to an order feed":                  {strayOrders, 401, nil},
		"401 to a market feed":                  {strayMarket, 401, nil},
		"nk":                                    {strayOrders, 0, func(s *service, c *websocket.Conn) { hang(s, c, nk) }},
		"nk and a close":                        {strayOrders, 0, func(s *service, c *websocket.Conn) { s.say(c, nk) }},
		"nk right after the session was taken":  {strayOrders, 0, func(s *service, c *websocket.Conn) { hang(s, c, yes, nk) }},
		"1120":                                  {strayMarket, 0, func(s *service, c *websocket.Conn) { hang(s, c, refused) }},
		"1120 and a close":                      {strayMarket, 0, func(s *service, c *websocket.Conn) { s.say(c, refused) }},
		"1120 right after the session is taken": {strayMarket, 0, func(s *service, c *websocket.Conn) { hang(s, c, answer, refused) }},
	} {
		for said, call := range answers {
			t.Run(name+", "+said, func(t *testing.T) {
				bubble(t, func(t *testing.T, s *service) {
					source := &supply{none: errors.New("nobody is there to log in")}
					for _, token := range []string{"a", "b", "c", "d"} {
						next := ticket(token)
						next.OrderFeedURL = "ws://127.0.0.1:9155/realtime"
						source.sessions = append(source.sessions, next)
					}
					s.call = func(w http.ResponseWriter, r *http.Request) {
						if call.call != nil {
							call.call(w, r)
						} else {
							io.WriteString(w, `{"stat":"Ok","stCode":200}`)
						}
					}
					start := x.open(t, s, source)
					good, began := s.talk, time.Now()
					stray := func() bool { return time.Since(began) < minutes*time.Minute }
					s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
						if x.handshake != 0 && stray() {
							w.WriteHeader(x.handshake)
							return false
						}
						return true
					}
					s.talk = func(c *websocket.Conn, n int) {
						if !stray() {
							good(c, n)
						} else if _, err := s.hear(c); err == nil && x.say != nil {
							x.say(s, c)
						}
					}
					end := start()
					time.Sleep(time.Minute)
					if n := s.upgrades.Load(); n > 10 {
						t.Errorf("%d tries within a minute", n)
					}
					time.Sleep((minutes + 1) * time.Minute)
					synctest.Wait()
					err := end()
					if call.dead {
						if !errors.Is(err, ErrSessionEnded) || len(source.ended) != 2 {
							t.Errorf("%v, ended %q", err, source.ended)
						}
						return
					}
					if !errors.Is(err, ErrClosed) || !slices.Equal(source.ended, []string{"a"}) {
						t.Errorf("%v, ended %q", err, source.ended)
					}
				})
			})
		}
	}
}

// strayOrders returns what opens an order feed; end closes it, unless it has ended, and
// returns why.
func strayOrders(t *testing.T, s *service, source *supply) (start func() (end func() error)) {
	call := s.call
	st := newStage(t, s, nil)
	serve := s.call
	s.call = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/limits") {
			call(w, r)
		} else {
			serve(w, r)
		}
	}
	st.source = source
	return func() func() error {
		got := st.open(t)
		return func() error {
			live := st.feed.Live()
			must.Do(t, st.feed.Close())
			<-got.done
			if errors.Is(got.err, ErrClosed) && !live {
				t.Error("it is not live")
			}
			return got.err
		}
	}
}

// strayMarket does the same with a market feed.
func strayMarket(t *testing.T, s *service, source *supply) (start func() (end func() error)) {
	st := &station{service: s, t: t}
	s.talk = st.talk
	return func() func() error {
		m := must.Get(Market(t.Context(), s.client, WithKeeper(source), Quotes(share(0))))(t)
		return func() (over error) {
			_, live := m.Quote(share(0))
			must.Do(t, m.Close())
			for _, err := range m.Updates(t.Context()) {
				over = err
			}
			if errors.Is(over, ErrClosed) && !live {
				t.Error("it has no quote")
			}
			return over
		}
	}
}

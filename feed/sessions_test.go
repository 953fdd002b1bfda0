package feed

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
)

// A refusal is a way in which a service can say no to a session, or only seems to.
type refusal struct {
	handshake int // the status of the upgrade, 0 for a connection
	say       func(s *service, c *websocket.Conn)
	asks      bool // the link asks the trade API whether the session has ended
	definite  bool // the session is over without asking
}

var refusals = map[string]refusal{
	"401":              {handshake: 401, definite: true},
	"nk":               {say: func(s *service, c *websocket.Conn) { s.say(c, "nk"); s.listen(c) }, definite: true},
	"nk and a close":   {say: func(s *service, c *websocket.Conn) { s.say(c, "nk") }, definite: true},
	"nk when it lives": {say: func(s *service, c *websocket.Conn) { s.say(c, "ok"); s.say(c, "nk"); s.listen(c) }, definite: true},

	"403":                     {handshake: 403, asks: true},
	"400":                     {handshake: 400, asks: true},
	"407":                     {handshake: 407, asks: true},
	"426":                     {handshake: 426, asks: true},
	"a cut before the answer": {say: func(*service, *websocket.Conn) {}, asks: true},
	"a close, 1000":           {say: closing(1000), asks: true},
	"a close, 1008":           {say: closing(1008), asks: true},
	"a close, 1011":           {say: closing(1011), asks: true},
	"a close, 4001":           {say: closing(4001), asks: true},
	"silence":                 {say: func(s *service, c *websocket.Conn) { s.listen(c) }, asks: true},
	"garbage":                 {say: func(s *service, c *websocket.Conn) { s.say(c, "<html>"); s.listen(c) }, asks: true},
	"an empty answer":         {say: func(s *service, c *websocket.Conn) { s.say(c, ""); s.listen(c) }, asks: true},
	"binary garbage": {say: func(s *service, c *websocket.Conn) {
		c.Write(context.Background(), websocket.MessageBinary, []byte{0, 1, 2})
		s.listen(c)
	}, asks: true},
	"an answer that is too long": {say: func(s *service, c *websocket.Conn) { s.say(c, strings.Repeat("x", maxFrame+1)); s.listen(c) }, asks: true},
	"a downgrade":                {say: func(s *service, c *websocket.Conn) { s.say(c, `{"format":"native_fallback"}`); s.listen(c) }, asks: true},

	"404":      {handshake: 404},
	"408":      {handshake: 408},
	"429":      {handshake: 429},
	"500":      {handshake: 500},
	"502":      {handshake: 502},
	"503":      {handshake: 503},
	"504":      {handshake: 504},
	"302":      {handshake: 302},
	"200":      {handshake: 200},
	"101 only": {handshake: 101},
}

func closing(code websocket.StatusCode) func(*service, *websocket.Conn) {
	return func(_ *service, c *websocket.Conn) { c.Close(code, "no") }
}

// refuse makes the service say no to the session a, and ended say so too when asked.
func (s *service) refuse(how refusal, call http.HandlerFunc) {
	s.handshake = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if how.handshake == 0 || s.refusing != nil && !s.refusing() {
			return true
		}
		if how.handshake == 302 {
			w.Header().Set("Location", "ws://127.0.0.1:9155/elsewhere")
		}
		if how.handshake == 101 {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
				conn.Close()
			}
			return false
		}
		w.WriteHeader(how.handshake)
		return false
	}
	s.talk = func(c *websocket.Conn, _ int) {
		token, err := s.hear(c)
		if err != nil {
			return
		}
		if token == "a" && (s.refusing == nil || s.refusing()) {
			if how.say != nil {
				how.say(s, c)
			}
			return
		}
		s.say(c, "ok")
		s.listen(c)
	}
	s.call = call
}

func ended(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `{"stat":"Not_Ok","stCode":100022,"errMsg":"invalid session"}`)
}

// answers to the question whether a session has ended.
var answers = map[string]struct {
	call http.HandlerFunc
	dead bool
}{
	"it has ended": {ended, true},
	"it has ended, with a 200": {func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"stat":"Not_Ok","stCode":100022,"errMsg":"error in neo-login-check-api"}`)
	}, true},
	"a bare 401": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, true},
	"it is good": {nil, false},
	"it is good and has no data": {func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`)
	}, false},
	"a 500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, false},
	"a 429": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, false},
	"a proxy's 403": {func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(403)
		io.WriteString(w, "<html>Forbidden</html>")
	}, false},
	"a page": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>maintenance</html>") }, false},
	"another address": {func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(401)
		io.WriteString(w, `{"stat":"Not_Ok","stCode":1037,"errMsg":"ip changed"}`)
	}, false},
	"no answer":               {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, false},
	"a cut instead of answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
}

// A session that has ended is seen to be so in each way, and is never tried again.
func TestSessions_aDeadOneIsNeverTriedAgain(t *testing.T) {
	for name, how := range refusals {
		for said, answer := range answers {
			dead := how.definite || how.asks && answer.dead
			thorough := name == "silence" || name == "403" || name == "a cut before the answer"
			if !thorough && said != "it is good" && said != "it has ended" {
				continue // that the answer counts is shown by these
			}
			t.Run(name+", "+said, func(t *testing.T) {
				bubble(t, func(t *testing.T, s *service) {
					s.refuse(how, answer.call)
					source := &supply{sessions: []neoapi.Session{session("a")}, none: errors.New("nobody is there to log in")}
					r := s.run(t, &parrot{beats: beat{ping: 20 * time.Second}}, source)
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					if !dead {
						if len(source.ended) > 0 || s.upgrades.Load() < 15 {
							t.Errorf("given up: %v after %d tries", source.ended, s.upgrades.Load())
						}
						for _, why := range r.parrot.lost() {
							if _, session := errors.AsType[*SessionError](why); session {
								t.Errorf("a network fault is said to be %v", why)
							}
						}
						r.life.close()
						return
					}
					if err := <-r.done; !errors.Is(err, ErrSessionEnded) || !strings.Contains(err.Error(), "nobody is there") {
						t.Error(err)
					} else if _, kind := errors.AsType[*SessionError](err); !kind {
						t.Errorf("it is a %T", err)
					}
					if lost := r.parrot.lost(); len(lost) != 1 || !slices.Equal(kindsOf(lost[0]), []string{"session"}) {
						t.Errorf("told %v", lost)
					}
					if n := s.upgrades.Load(); n != 1 {
						t.Errorf("it was tried %d times", n)
					}
					if !slices.Equal(source.ended, []string{"a"}) || source.asked != 2 {
						t.Errorf("the source was told %v and asked %d times", source.ended, source.asked)
					}
					if n := s.calls.Load(); n > 1 || n == 1 != how.asks {
						t.Errorf("%d calls", n)
					}
				})
			})
		}
	}
}

// With another session the feed goes on, and the dead one is not used again.
func TestSessions_anotherOneIsAskedForOnce(t *testing.T) {
	for name, how := range refusals {
		if !how.definite && !how.asks || how.handshake != 0 { // an upgrade does not name its session
			continue
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				s.refuse(how, ended)
				source := &supply{sessions: []neoapi.Session{session("a"), session("b")}}
				r := s.run(t, &parrot{}, source)
				time.Sleep(time.Minute)
				if s.greeted("a") != 1 || s.greeted("b") != 1 || !slices.Equal(source.ended, []string{"a"}) {
					t.Errorf("a %d times, b %d times, ended %v", s.greeted("a"), s.greeted("b"), source.ended)
				}
				if at := s.dialed(); how.definite && at[1].Sub(at[0]) > 10*time.Millisecond {
					t.Errorf("it was used after %v", at[1].Sub(at[0]))
				}
				r.life.close()
			})
		})
	}
}

// A service that refuses every session does not make a feed log in again and again.
func TestSessions_twoRefusedInARowAreTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(401); return false }
		s.call = ended
		source := &supply{sessions: []neoapi.Session{session("a"), session("b"), session("c")}}
		r := s.run(t, &parrot{}, source)
		time.Sleep(time.Hour)
		if err := <-r.done; !errors.Is(err, ErrSessionEnded) {
			t.Error(err)
		}
		if s.upgrades.Load() != 2 || len(source.ended) != 2 || s.calls.Load() != 1 {
			t.Errorf("%d tries, ended %v, %d calls", s.upgrades.Load(), source.ended, s.calls.Load())
		}
	})
}

// The trade day's end: connections are closed, and the session is refused.
func TestSessions_theDailyEndIsOneRefusal(t *testing.T) {
	for name, how := range refusals {
		if !how.definite && !how.asks {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				began := time.Now()
				over := func() bool { return time.Since(began) > time.Hour }
				s.refusing = over
				s.refuse(how, func(w http.ResponseWriter, r *http.Request) {
					if over() {
						ended(w, r)
					}
				})
				talk := s.talk
				s.talk = func(c *websocket.Conn, n int) {
					time.AfterFunc(time.Until(began.Add(time.Hour+time.Second)), func() {
						if n == 1 {
							c.Close(websocket.StatusGoingAway, "the day has ended")
						}
					})
					talk(c, n)
				}
				source := &supply{sessions: []neoapi.Session{session("a")}}
				source.none = &neoapi.Error{Op: "keep", Category: neoapi.ErrCallback}
				r := s.run(t, &parrot{beats: beat{ping: 20 * time.Second}}, source)
				time.Sleep(24 * time.Hour)
				if err := <-r.done; !errors.Is(err, ErrSessionEnded) || !errors.Is(err, neoapi.ErrCallback) {
					t.Error(err)
				}
				if n := s.upgrades.Load(); n != 2 { // the day's connection, and one refusal
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// A login that fails because the network does is tried again, without dialling.
func TestSessions_aLoginWithoutNetworkIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.refuse(refusals["nk"], nil)
		source := &supply{sessions: []neoapi.Session{session("a")}, none: &neoapi.Error{Op: "login", Category: neoapi.ErrNetwork}}
		r := s.run(t, &parrot{}, source)
		time.Sleep(10 * time.Minute)
		if n := s.upgrades.Load(); n != 1 {
			t.Errorf("%d tries without a session", n)
		}
		source.mu.Lock()
		source.sessions = []neoapi.Session{session("b")}
		source.mu.Unlock()
		time.Sleep(time.Minute)
		if s.greeted("b") != 1 {
			t.Errorf("the session was not used: %v", r.parrot.lost())
		}
		r.life.close()
	})
}

func TestSessions_withoutOneNothingIsOpened(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		o := newOptions(nil)
		l := newLink(s.client, o, newSessions(s.client, o), &parrot{})
		err := l.prepare(t.Context())
		if _, kind := errors.AsType[*SessionError](err); !kind || !errors.Is(err, neoapi.ErrNotLoggedIn) {
			t.Error(err)
		}
		must.Do(t, s.client.Use(session("a")))
		must.Do(t, l.prepare(t.Context()))
	})
}

// A session that was renewed while the old one still lives is used at once.
func TestSessions_aRenewedOneReconnectsByItself(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		must.Do(t, s.client.Use(session("a")))
		r := s.run(t, &parrot{}, s.client.Sessions())
		time.Sleep(time.Hour)
		if s.upgrades.Load() != 1 {
			t.Errorf("%d connections", s.upgrades.Load())
		}
		must.Do(t, s.client.Use(session("b")))
		time.Sleep(lookLimit + time.Second)
		if s.greeted("b") != 1 || s.upgrades.Load() != 2 {
			t.Errorf("%d connections, %v", s.upgrades.Load(), r.parrot.lost())
		}
		time.Sleep(time.Hour)
		if s.upgrades.Load() != 2 {
			t.Errorf("%d connections", s.upgrades.Load())
		}
		r.life.close()
	})
}

// A source that has no session any more, though none was refused, ends a feed, too: it has
// ended by the clock.
func TestSessions_thatEndByTheClockAreNotTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); time.Sleep(time.Minute) }
		source := &supply{sessions: []neoapi.Session{session("a")}, none: errors.New("nobody is there to log in")}
		r := s.run(t, &parrot{}, source)
		time.Sleep(time.Second)
		source.Ended(session("a"))
		time.Sleep(time.Hour)
		if err := <-r.done; !errors.Is(err, ErrSessionEnded) || kindsOf(err)[0] != "session" {
			t.Error(err)
		}
		if s.upgrades.Load() != 1 || source.asked != 2 {
			t.Errorf("%d tries, asked %d times", s.upgrades.Load(), source.asked)
		}
	})
}

// While somebody logs in again the program knows already that the connection is lost.
func TestSessions_aSlowLoginIsNotSilent(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.refuse(refusals["nk"], nil)
		source := &slowSupply{supply{sessions: []neoapi.Session{session("a"), session("b")}}}
		r := s.run(t, &parrot{}, source)
		time.Sleep(time.Minute)
		synctest.Wait()
		if lost := r.parrot.lost(); len(lost) != 1 || kindsOf(lost[0])[0] != "session" {
			t.Errorf("told %v", lost)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s.greeted("b") != 1 {
			t.Error("the session was not used")
		}
		r.life.close()
	})
}

// A slowSupply takes five minutes for another session.
type slowSupply struct{ supply }

func (s *slowSupply) Session(ctx context.Context) (neoapi.Session, error) {
	session, err := s.supply.Session(ctx)
	if session.Token != "a" {
		time.Sleep(5 * time.Minute)
	}
	return session, err
}

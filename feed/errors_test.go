package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
)

// kindsOf returns which of the four kinds an error is, by errors.As.
func kindsOf(err error) (found []string) {
	if _, ok := errors.AsType[*ConnectionError](err); ok {
		found = append(found, "connection")
	}
	if _, ok := errors.AsType[*ProtocolError](err); ok {
		found = append(found, "protocol")
	}
	if _, ok := errors.AsType[*SessionError](err); ok {
		found = append(found, "session")
	}
	if _, ok := errors.AsType[*ProgramError](err); ok {
		found = append(found, "program")
	}
	return found
}

func TestErrors_areOfFourKinds(t *testing.T) {
	for kind, err := range map[string]error{
		"connection": &ConnectionError{Err: io.EOF}, "protocol": &ProtocolError{Err: io.EOF}, "session": &SessionError{Err: io.EOF}, "program": &ProgramError{Value: io.EOF},
	} {
		if got := kindsOf(fmt.Errorf("wrapped: %w", err)); len(got) != 1 || got[0] != kind {
			t.Errorf("%v is of %v", err, got)
		}
		if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), kind) || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, empty := range []error{&ConnectionError{}, &ProtocolError{}, &SessionError{}, &ProgramError{}, &ProgramError{Value: "text"}} {
		if empty.Error() == "" || errors.Unwrap(empty) != nil {
			t.Errorf("%#v", empty)
		}
	}
}

// What ends or prevents a connection is of the right kind.
func TestErrors_areOfTheKindOfTheirCause(t *testing.T) {
	send := func(frame []byte) func(s *service) {
		return func(s *service) {
			s.handshake = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				c, err := websocket.Accept(raw(w, frame), r, nil)
				if err == nil {
					s.welcome(c)
					s.say(c, "send") // what follows is written as it is
					s.listen(c)
				}
				return false
			}
		}
	}
	for name, test := range map[string]struct {
		set  func(*service)
		kind string
	}{
		"503": {func(s *service) {
			s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(503); return false }
		}, "connection"},
		"a close": {func(s *service) {
			s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); c.Close(1012, "restart") }
		}, "connection"},
		"a cut": {func(s *service) { s.talk = func(c *websocket.Conn, _ int) { s.welcome(c) } }, "connection"},
		"a page": {func(s *service) {
			s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool { io.WriteString(w, "<html>"); return false }
		}, "connection"},
		"no WebSocket behind a 101": {func(s *service) {
			s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
				w.WriteHeader(101)
				return false
			}
		}, "protocol"},
		"a long frame": {func(s *service) {
			s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); s.say(c, strings.Repeat("x", maxFrame+2)); s.listen(c) }
		}, "protocol"},
		"an unknown opcode":      {send([]byte{0x83, 0}), "protocol"},
		"reserved bits":          {send([]byte{0xF1, 0}), "protocol"},
		"a stray continuation":   {send([]byte{0x80, 0}), "protocol"},
		"a bad close":            {send([]byte{0x88, 1, 0}), "protocol"},
		"a ping that is too big": {send([]byte{0x89, 126, 1, 0}), "protocol"},
		"garbage for an answer": {func(s *service) {
			s.talk = func(c *websocket.Conn, _ int) { s.hear(c); s.say(c, "?"); s.listen(c) }
		}, "protocol"},
		"nk": {func(s *service) { s.talk = func(c *websocket.Conn, _ int) { s.hear(c); s.say(c, "nk"); s.listen(c) } }, "session"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				test.set(s)
				r := s.run(t, &parrot{}, &supply{sessions: []neoapi.Session{session("a"), session("b"), session("c")}})
				time.Sleep(10 * time.Second)
				lost := r.parrot.lost()
				if len(lost) == 0 {
					t.Fatal("nothing was lost")
				}
				if got := kindsOf(lost[0]); len(got) != 1 || got[0] != test.kind {
					t.Errorf("%v is of %v", lost[0], got)
				}
				r.life.close()
			})
		})
	}
}

// raw returns w, whose connection writes a frame as it is after the text frame "send".
func raw(w http.ResponseWriter, frame []byte) http.ResponseWriter { return &rawWriter{w, frame} }

func TestErrors_haveNoSecret(t *testing.T) {
	const token, sid = "eyJhbGciOiJIUzI1NiJ9.secret.token", "5e55-10n-1d"
	secret := neoapi.Session{Token: token, SID: sid, RID: "r-" + token, HSServerID: "server3", KType: "Trade"}
	echo := "you said " + token + " and " + sid + "\nnewline\x1b[31m"
	for name, talk := range map[string]func(s *service, c *websocket.Conn){
		"in a close": func(s *service, c *websocket.Conn) {
			s.welcome(c)
			c.Close(4001, "no "+token+" "+sid)
		},
		"in a page": nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				if talk == nil {
					s.handshake = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
						w.Header().Set("Connection", echo[:20])
						w.Header().Set("Upgrade", token)
						w.WriteHeader(101)
						return false
					}
				} else {
					s.talk = func(c *websocket.Conn, _ int) { talk(s, c) }
				}
				var log strings.Builder
				r := s.run(t, &parrot{}, &supply{sessions: []neoapi.Session{secret}}, Log(logger(&log)))
				time.Sleep(time.Minute)
				r.life.close()
				<-r.done
				said := fmt.Sprintf("%v %+v %s", r.parrot.lost(), r.parrot.lost(), log.String())
				if strings.Contains(said, token) || strings.Contains(said, sid) || strings.Contains(said, "secret") {
					t.Error(said)
				}
				if !strings.Contains(log.String(), "feed: ") {
					t.Errorf("the log has %q", log.String())
				}
			})
		})
	}
	if got := clean(echo, secret); got != "you said [redacted] and [redacted] newline[31m" {
		t.Errorf("%q", got)
	}
	if got := clean(strings.Repeat("é", 1000), secret); len([]rune(got)) != maxText+1 {
		t.Errorf("%d runes", len([]rune(got)))
	}
}

func TestLife_callsTheProgramSoThatAPanicIsAnErrorOfItsOwn(t *testing.T) {
	l := newLife(context.Background())
	if err := l.call(func() {}); err != nil {
		t.Error(err)
	}
	err := l.call(func() { panic("mine") })
	if e, ok := errors.AsType[*ProgramError](err); !ok || e.Value != "mine" || !strings.Contains(string(e.Stack), "errors_test.go") {
		t.Errorf("%v", err)
	}
}

func TestLink_endsWithThePanicOfTheProgram(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.talk = func(c *websocket.Conn, _ int) { s.welcome(c); s.say(c, "tick"); s.listen(c) }
		l := newLife(t.Context())
		r := s.run(t, &parrot{onData: func(frameKind, []byte) error { return l.call(func() { panic(io.ErrShortWrite) }) }}, &supply{sessions: []neoapi.Session{session("a")}})
		time.Sleep(time.Hour)
		if err := <-r.done; len(kindsOf(err)) != 1 || kindsOf(err)[0] != "program" || !errors.Is(err, io.ErrShortWrite) {
			t.Error(err)
		}
		if s.upgrades.Load() != 1 {
			t.Error("it connected again")
		}
	})
}

func TestLife_endsWithAGoroutineThatTheProgramEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t.Context())
		l.start(func() { l.call(runtime.Goexit) })
		<-l.ctx.Done()
		if err := closed(l.ctx); !slices.Equal(kindsOf(err), []string{"program"}) {
			t.Error(err)
		}
		synctest.Wait()
		if l.tasks.Load() != 0 || l.abroad.Load() != 0 {
			t.Error("goroutines are left")
		}
	})
}

// Close may be called by the code that the feed calls, and does not wait for itself.
func TestLife_closesFromWithinACallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t.Context())
		var took time.Duration
		l.start(func() {
			l.call(func() {
				began := time.Now()
				l.close()
				took = time.Since(began)
			})
			<-l.ctx.Done()
		})
		synctest.Wait()
		time.Sleep(time.Minute)
		if took > 10*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if cause := context.Cause(l.ctx); cause != ErrClosed {
			t.Error(cause)
		}
	})
}

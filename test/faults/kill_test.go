//go:build linux

package faults

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"neoapi/internal/sandbox"
)

// The service is killed at random moments in the middle of traffic and started
// again. Whatever a client had an answer to still is so: used codes are used,
// sessions live or have ended, wrong tries are counted (security.md R2).
func TestKills_loseNothingThatWasAcknowledged(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		const walkers, most = 6, 100 // lives at a time, and before a kill
		all := &everybody{last: *kills * (most + walkers)}
		s := startSandbox(t, database, all.last)
		var lives []*life
		for range *kills {
			killed := make(chan struct{})
			fresh := make(chan *life, most+walkers)
			left := make(chan person, most)
			for range most {
				left <- all.next(t)
			}
			s.again = false
			var walking sync.WaitGroup
			for i := range walkers {
				walking.Go(func() {
					for n := i; ; n++ {
						select {
						case <-killed:
							return
						case p := <-left:
							x := &life{person: p}
							fresh <- x
							x.live(s, n)
						default:
							return
						}
					}
				})
			}
			time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond) // the moment
			s.kill(t)
			close(killed)
			walking.Wait()
			close(fresh)
			s.again = true
			s.start(t)
			before := len(lives)
			for x := range fresh {
				lives = append(lives, x)
			}
			for _, x := range lives[before:] {
				x.judge(t, s)
			}
		}
		reached := map[string]int{}
		events := s.events(t)
		for _, x := range lives { // no later round has undone anything
			reached[x.reached()]++
			x.judgeAgain(t, s, events)
		}
		t.Log(reached)
	})
}

// A life is what one person does, once, and which answers came.
type life struct {
	person
	step  int64 // of the TOTP code
	wrong int   // wrong codes that were answered

	view, trade session
	code        string
	asked       bool // a second factor was sent
	leaving     bool // a logout was sent
	left        bool // and answered
}

// live goes on until a call has no good answer: the service is gone.
func (x *life) live(s *service, n int) {
	if n%3 == 0 { // one who guesses
		for range 1 + rand.IntN(9) {
			if a := s.totp(x.person, "000000"); !a.refused() {
				return
			}
			x.wrong++
		}
		return
	}
	x.step = stepNow()
	a := s.totp(x.person, totpAt(x.step))
	if !a.good() {
		return
	}
	x.view = a.session(x.person)
	if a = s.otp(x.view); !a.good() {
		return
	}
	if a = s.inbox(x.person); !a.good() {
		return
	}
	x.code, x.asked = string(a.body), true
	if a = s.second(x.view, x.code, x.view.sid); !a.good() {
		return
	}
	x.trade = a.session(x.person)
	if a = s.trade(x.trade); !a.good() || n%2 == 0 { // some stay
		return
	}
	x.leaving = true
	x.left = s.logout(x.trade).good()
}

// reached is the last thing that was acknowledged.
func (x *life) reached() string {
	switch {
	case x.left:
		return "logout"
	case x.trade.sid != "":
		return "trade session"
	case x.code != "":
		return "code"
	case x.view.sid != "":
		return "view session"
	case x.wrong > 0:
		return "wrong codes"
	}
	return "nothing"
}

// judge looks at what is left of a life after the kill.
func (x *life) judge(t *testing.T, s *service) {
	t.Helper()
	switch x.reached() {
	case "wrong codes": // with those that were answered, ten lock
		for range 10 - x.wrong {
			if a := s.totp(x.person, "000000"); !a.refused() && a.status != 429 { // 429: the try that the kill left open is the tenth
				t.Errorf("a wrong code: %v", a)
			}
		}
		if a := s.totp(x.person, totpAt(stepNow())); a.good() {
			t.Errorf("after ten wrong codes, %d of them before the kill, the right one: %v", x.wrong, a)
		}
		return
	case "view session": // its code, if one was sent, went to the inbox of the process that is gone
		x.use(t, sandbox.DemoMPIN, s.secondMPIN(x.view, sandbox.DemoMPIN, x.view.sid))
	case "code":
		x.use(t, x.code, s.second(x.view, x.code, x.view.sid))
	}
	x.judgeUsed(t, s)
}

// use takes the answer to a second factor that had none before the kill, or was
// never sent.
func (x *life) use(t *testing.T, code string, a answer) {
	t.Helper()
	switch {
	case a.good():
		x.code, x.trade = code, a.session(x.person)
	case a.status == 429 && x.asked: // the killed process holds the claim until its lease runs out
	default:
		t.Errorf("a view session that was acknowledged: %v", a)
	}
}

// judgeUsed reports what was used and works again, and what was acknowledged and
// does not work.
func (x *life) judgeUsed(t *testing.T, s *service) {
	t.Helper()
	if x.view.sid != "" {
		if a := s.totp(x.person, totpAt(x.step)); !a.refused() {
			t.Errorf("a used TOTP code: %v", a)
		}
	}
	if x.trade.sid == "" {
		return
	}
	if a := s.second(x.view, x.code, "another-"+x.view.sid); !a.refused() {
		t.Errorf("a used code: %v", a)
	}
	a := s.trade(x.trade)
	switch {
	case x.left && !a.refused():
		t.Errorf("after a logout: %v", a)
	case !x.leaving && !a.good():
		t.Errorf("a session that was acknowledged: %v", a)
	case !x.left && x.leaving && !a.good() && !a.refused():
		t.Errorf("after a logout without an answer: %v", a)
	}
}

// judgeAgain does so after everything.
func (x *life) judgeAgain(t *testing.T, s *service, events []event) {
	t.Helper()
	x.judgeUsed(t, s)
	for _, c := range []struct {
		action string
		done   bool
	}{{"login", x.view.sid != ""}, {"second factor", x.trade.sid != ""}, {"logout", x.left}} {
		if n := count(events, c.action, "ok", x.view.sid); c.done && n != 1 {
			t.Errorf("%d events of a %s that was acknowledged once", n, c.action)
		}
	}
}

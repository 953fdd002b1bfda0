package login

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
)

func TestPatience_isForAllStoresOfARequestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := WithPatience(t.Context())
		defer cancel()
		begin := time.Now()
		time.Sleep(time.Second)
		unhurried(ctx, func() { time.Sleep(time.Hour) }) // a hash, the OMS
		<-ctx.Done()
		if took := time.Since(begin) - time.Hour; took != patience-theEnd || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("the context ended after %s, %v", took, context.Cause(ctx))
		}
	})
}

func TestToTheEnd_outlivesTheClientAndHasTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for spent, want := range map[time.Duration]time.Duration{0: patience, time.Second: patience - time.Second, patience - theEnd: theEnd, patience: theEnd} {
			client, gone := context.WithCancel(t.Context())
			ctx, cancel := WithPatience(client)
			time.Sleep(spent)
			ctx, cancelEnd := toTheEnd(ctx)
			gone()
			begin := time.Now()
			<-ctx.Done()
			if left := time.Since(begin); left != want {
				t.Errorf("after %s there are %s left, want %s", spent, left, want)
			}
			cancelEnd()
			cancel()
		}
	})
}

func TestToTheEnd_countsNoUnhurriedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := WithPatience(t.Context())
		defer cancel()
		unhurried(ctx, func() {
			time.Sleep(time.Hour)
			end, cancelEnd := toTheEnd(ctx)
			defer cancelEnd()
			begin := time.Now()
			<-end.Done()
			if left := time.Since(begin); left != patience {
				t.Errorf("there are %s left, want %s", left, patience)
			}
		})
	})
}

func TestPatience_leavesAContextWithoutItAlone(t *testing.T) {
	ran := false
	unhurried(t.Context(), func() { ran = true })
	ctx, cancel := toTheEnd(t.Context())
	defer cancel()
	if !ran || ctx.Err() != nil {
		t.Error("the function did not run, or the context has ended")
	}
}

func TestQueue_takesSoManyAndTurnsTheRestAwayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 3)
		var mu sync.Mutex
		var running, most, refused, ran int
		for range 9 {
			leave, err := q.enter()
			if err != nil {
				refused++
				var e *Error
				if !errors.As(err, &e) || e.Kind != KindUnavailable || e.RetryAfter <= 0 {
					t.Errorf("got %v", err)
				}
				continue
			}
			go func() {
				defer leave()
				err := q.turn(t.Context(), func() error {
					mu.Lock()
					running++
					most, ran = max(most, running), ran+1
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}
		if refused != 4 {
			t.Errorf("%d were turned away, want 4", refused)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most != 2 || ran != 5 || len(q.places) != 0 || len(q.turns) != 0 {
			t.Errorf("%d ran, %d at once; %d places and %d turns are still taken", ran, most, len(q.places), len(q.turns))
		}
	})
}

func TestQueue_waitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 5)
		go func() { _ = q.turn(t.Context(), func() error { time.Sleep(time.Hour); return nil }) }()
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := WithPatience(t.Context())
		defer cancel()
		err := q.turn(ctx, func() error { t.Error("ran"); return nil })
		if took := time.Since(begin); !errors.Is(err, context.Canceled) || took != patience-theEnd {
			t.Errorf("after %s: %v", took, err)
		}
		time.Sleep(time.Hour)
	})
}

// An omsThat answers like this when a session is to be opened.
type omsThat struct {
	OMS
	opens func(ctx context.Context) error
}

func (o omsThat) Open(ctx context.Context, _ OMSSession) (string, error) {
	return "server1", o.opens(ctx)
}

func TestOMS_isNotBlamedForTimeThatThisProcessHasLost(t *testing.T) {
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		stoodStill time.Duration // before the OMS is asked
		opens      func(ctx context.Context) error
		want       Kind
	}{
		"at once":                      {0, func(context.Context) error { return nil }, 0},
		"an OMS that is silent":        {0, waits, KindOMSTimeout},
		"an OMS that is down":          {0, func(context.Context) error { return errors.New("down") }, KindOMSDown},
		"a process that stood still":   {2 * patience, waits, KindUnavailable},
		"though the OMS would be down": {2 * patience, func(ctx context.Context) error { return errors.Join(errors.New("down"), ctx.Err()) }, KindUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Service{Ports: Ports{OMS: omsThat{opens: c.opens}}, opt: Options{OMSTimeout: 3 * time.Second}}
			ctx, cancel := WithPatience(t.Context())
			defer cancel()
			ctx, cancelEnd := toTheEnd(ctx)
			defer cancelEnd()
			time.Sleep(c.stoodStill)
			home, outcome, err := s.openOMS(ctx, Session{SID: "sid"})
			var refused *Error
			switch {
			case c.want == 0 && (err != nil || home != "server1"):
				t.Errorf("%s: %q, %v", name, home, err)
			case c.want != 0 && (!errors.As(err, &refused) || refused.Kind != c.want || outcome == ""):
				t.Errorf("%s: %v, %q", name, err, outcome)
			}
		})
	}
}

func TestService_isFullWhileNoMoreLoginsCanWait(t *testing.T) {
	s := &Service{first: newQueue(1, 1), second: newQueue(1, 1)}
	var leave func()
	for range 2 {
		if err := s.Full(); err != nil {
			t.Fatalf("full with a place left: %v", err)
		}
		leave = must.Get(s.first.enter())(t)
	}
	var refusal *Error
	if err := s.Full(); !errors.As(err, &refusal) || refusal.Kind != KindUnavailable || refusal.RetryAfter <= 0 {
		t.Errorf("with no place left: %v", err)
	}
	leave()
	if err := s.Full(); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

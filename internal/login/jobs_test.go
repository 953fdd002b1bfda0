package login_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/oms"
	"neoapi/internal/store/sqlite"
)

// A stuckOMS is an OMS whose calls ignore their context, and return only when it is freed.
type stuckOMS struct {
	*oms.Homes
	freed chan struct{}

	mu    sync.Mutex
	calls map[string]int // by sid
}

func (o *stuckOMS) Close(_ context.Context, sid string) error {
	o.mu.Lock()
	o.calls[sid]++
	o.mu.Unlock()
	<-o.freed
	return nil
}

func (o *stuckOMS) reached() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.calls)
}

// A late context tells what follows it of its end a moment after whoever waits for Done
// knows: on a busy machine any context may.
type late struct {
	context.Context
	done chan struct{}
}

func (c *late) Done() <-chan struct{} { return c.done }

func (c *late) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

func (c *late) Value(any) any { return nil } // or package context would follow the one within

// AfterFunc is how package context follows it.
func (c *late) AfterFunc(f func()) (stop func() bool) {
	stopped := make(chan struct{})
	end := sync.OnceFunc(func() { close(stopped) })
	go func() {
		select {
		case <-c.done:
			time.Sleep(time.Millisecond)
		case <-stopped:
		}
		select {
		case <-stopped:
		default:
			f()
		}
	}()
	return func() bool { end(); return true }
}

// A call that never returns blocks its slot only for the time of a job. The job is given
// up, counted and logged, other jobs get their turn, and the service can end.
func TestRun_givesUpAJobThatNeverReturns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neo.db")
	synctest.Test(t, func(t *testing.T) {
		const jobs = 40 // 16 of them at once
		store, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		vault, err := credential.NewVault(make([]byte, credential.MasterKeySize))
		if err != nil {
			t.Fatal(err)
		}
		homes, err := oms.NewHomes("server1")
		if err != nil {
			t.Fatal(err)
		}
		stuck := &stuckOMS{Homes: homes, freed: make(chan struct{}), calls: map[string]int{}}
		var log bytes.Buffer // written to by one line at a time
		var gaveUp atomic.Int64
		service, err := login.New(t.Context(), login.Ports{
			Directory: store, Keys: store, Trail: store, Sessions: store, Allowances: store, Jobs: store,
			OMS: stuck, Vault: vault, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
			GaveUp: func(login.JobKind) { gaveUp.Add(1) },
		}, login.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range jobs {
			err := store.AddJob(t.Context(), login.Job{
				ID: fmt.Sprint("job ", i), Kind: login.JobClose, SID: fmt.Sprint("sid ", i), Account: "account",
				Created: time.Now(), Expires: time.Now().Add(24 * time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := &late{t.Context(), make(chan struct{})}
		done := make(chan struct{})
		go func() { defer close(done); service.Run(ctx) }()
		for began := time.Now(); stuck.reached() < jobs; time.Sleep(time.Second) {
			if time.Since(began) > 5*time.Minute {
				t.Errorf("%d of %d jobs were begun in five minutes", stuck.reached(), jobs)
				break
			}
		}
		began := time.Now()
		close(ctx.done)
		<-done
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the service took %s to end", took)
		}
		close(stuck.freed) // so that the test leaves no goroutine behind
		synctest.Wait()
		if told := strings.Count(log.String(), "a job was given up"); gaveUp.Load() < jobs || int64(told) != gaveUp.Load() {
			t.Errorf("%d jobs were given up and %d log lines report it", gaveUp.Load(), told)
		}
	})
}

// What an outage of the store has left undone does not keep the service from ending.
func TestRun_endsDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, false)
		p := w.person(t)
		p.store.down = map[string]int{"Try": failsAfter, "EndTry": failsBefore, "GiveBack": failsBefore}
		if _, err := p.first(t.Context(), login.Password, true); err == nil {
			t.Fatal("a login without a store")
		}
		ctx := &late{t.Context(), make(chan struct{})}
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		time.Sleep(time.Minute)
		began := time.Now()
		close(ctx.done)
		<-done
		if took := time.Since(began); took < time.Second || took > 15*time.Second {
			t.Errorf("the service took %s to end, want a few seconds, in which it tries once more", took)
		}
	})
}

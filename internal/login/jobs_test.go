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

// A stuckOMS is one whose calls return when it is freed, whatever their context says.
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

// A call that never returns costs its slot the time of a job, and not for good: the job is
// given up, counted and logged, others have their turn, and the service ends.
func TestRun_aJobThatNeverReturnsIsGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neo.db")
	synctest.Test(t, func(t *testing.T) {
		const jobs = 40 // of which 16 are done at once
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
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); service.Run(ctx) }()
		for began := time.Now(); stuck.reached() < jobs; time.Sleep(time.Second) {
			if time.Since(began) > 5*time.Minute {
				t.Errorf("%d of %d jobs had their turn in five minutes", stuck.reached(), jobs)
				break
			}
		}
		began := time.Now()
		stop()
		<-done
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the service ended %s after it was told to", took)
		}
		close(stuck.freed) // or the test would leave them behind too
		synctest.Wait()
		if told := strings.Count(log.String(), "a job was given up"); gaveUp.Load() < jobs || int64(told) != gaveUp.Load() {
			t.Errorf("%d jobs were given up, and %d lines tell of it", gaveUp.Load(), told)
		}
	})
}

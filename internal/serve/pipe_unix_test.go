//go:build unix

package serve

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe in the place of the master key, which nobody writes to, holds up neither the
// service nor its end nor its next start.
func TestMasterKey_thatIsAPipeHoldsUpNothing(t *testing.T) {
	p := place(t, t.TempDir())
	d := full(t, p)
	path := MasterKey(p.Dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.watch(ctx, slog.New(slog.DiscardHandler)); close(ended) }()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	health := func(good bool, part string) {
		t.Helper()
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			err := d.Health()
			if good && err == nil || err != nil && !good && strings.Contains(err.Error(), part) {
				return
			}
			if time.Since(begin) > time.Minute {
				t.Fatal(err)
			}
		}
	}
	health(false, "is not a file")
	if _, err := p.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a look before the next start: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	health(true, "")
	end()
	<-ended
}

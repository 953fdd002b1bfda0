package neoapi

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"neoapi/internal/must"
)

// No file may grow, as on a disk that is full: in a process of its own, because go test
// writes files too.
func TestRate_holdsOnAFullDisk(t *testing.T) {
	const alone = "NEO_TEST_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), alone+"=yes")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	w := &window{}
	w.join(filepath.Join(t.TempDir(), "rate"))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	must.Do(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	var err error
	n := allowed(t, w, func(i int) {
		if i == 4 {
			err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: before.Max})
		}
	})
	must.Do(t, errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)))
	if n != 10 {
		t.Errorf("%d requests in no time, want 10", n)
	}
}

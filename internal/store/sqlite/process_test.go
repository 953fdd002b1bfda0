package sqlite_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store/sqlite"
	"neoapi/internal/store/storetest"
)

// child returns the command that runs one of the children on a database.
func child(ctx context.Context, name, path string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], path)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

func openAndClose(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	err = s.Record(context.Background(), login.Event{Action: "child"})
	return errors.Join(err, s.Close())
}

func TestProcessesThatOpenANewFileAtOnceSucceed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := child(t.Context(), "open", path).Run(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := actions(t, openAt(t, path)); len(got) != 5 {
		t.Errorf("got events %v, want 5", got)
	}
}

// A process that opens and closes a file loses every POSIX lock that it has on
// it, and Open does so before SQLite opens it. A second Open must not cost the
// first its data: another process would believe itself alone, and its Close
// would take the log away from under the first. SQLite guards against that by
// the locks that it has on the -shm file.
func TestASecondOpenDoesNotLoseTheLocksOfTheFirst(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	s := openAt(t, path)
	record(t, s, "first")
	openAt(t, path)
	if err := child(t.Context(), "open", path).Run(); err != nil {
		t.Fatal(err)
	}
	record(t, s, "last")

	if err := child(t.Context(), "open", path).Run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(actions(t, openAt(t, path)), " "); got != "first child last child" {
		t.Errorf("got events %q, want all four", got)
	}
}

func TestTwoProcessesOnOneFileAreLinearizable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "neo.db")
	s := openAt(t, path)
	storetest.Linearize(t, s, otherProcess(t, path))
}

// serveStore answers calls of the parent process until it hangs up.
func serveStore(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	return errors.Join(storetest.Serve(s, pipe{os.Stdin, os.Stdout}), s.Close())
}

// pipe is a connection made of two files.
type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error { return errors.Join(p.ReadCloser.Close(), p.WriteCloser.Close()) }

func otherProcess(t *testing.T, path string) login.Sessions {
	t.Helper()
	cmd := child(t.Context(), "serve", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other := storetest.NewRemote(pipe{out, in})
	t.Cleanup(func() {
		_ = other.Close()
		_ = cmd.Wait() // t.Context has ended by now, which kills it
	})
	return other
}

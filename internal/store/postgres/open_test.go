package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest"
)

// childEnv makes the test binary play another process of the service. It names
// one of the children.
const childEnv = "NEO_POSTGRES_TEST_CHILD"

// children are what another process does with a database.
var children = map[string]func(url string) error{
	"open":  openAndClose,
	"serve": serveStore,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child returns the command that runs one of the children on a database.
func child(ctx context.Context, name, url string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], url)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

func openAndClose(url string) error {
	s, err := postgres.Open(context.Background(), url)
	if err != nil {
		return err
	}
	err = s.Record(context.Background(), login.Event{Action: "child"})
	return errors.Join(err, s.Close())
}

// serveStore answers calls of the parent process until it hangs up.
func serveStore(url string) error {
	s, err := postgres.Open(context.Background(), url)
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

func otherProcess(t *testing.T, url string) login.Sessions {
	t.Helper()
	cmd := child(t.Context(), "serve", url)
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

func TestTwoHandlesOnOneDatabaseAreLinearizable(t *testing.T) {
	url := pgtest.Database(t)
	storetest.Linearize(t, openAt(t, url), openAt(t, url))
}

func TestTwoProcessesOnOneDatabaseAreLinearizable(t *testing.T) {
	url := pgtest.Database(t)
	storetest.Linearize(t, openAt(t, url), otherProcess(t, url))
}

// recorded returns how many events are stored.
func recorded(t *testing.T, s *postgres.Store) int {
	t.Helper()
	all, err := s.Events(t.Context(), login.EventQuery{N: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestTenProcessesThatOpenANewDatabaseAtOnceSucceed(t *testing.T) {
	url := pgtest.Empty(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := child(t.Context(), "open", url).Run(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := recorded(t, openAt(t, url)); n != 10 {
		t.Errorf("%d events are stored, want 10", n)
	}
}

func TestTenOpensOfANewDatabaseAtOnceSucceed(t *testing.T) {
	url := pgtest.Empty(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := openAndClose(url); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := recorded(t, openAt(t, url)); n != 10 {
		t.Errorf("%d events are stored, want 10", n)
	}
}

func TestWhatIsStoredIsThereAfterReopening(t *testing.T) {
	url := pgtest.Database(t)
	for n := range 2 {
		if err := openAndClose(url); err != nil {
			t.Fatal(err)
		}
		if got := recorded(t, openAt(t, url)); got != n+1 {
			t.Errorf("%d events are stored, want %d", got, n+1)
		}
	}
}

func TestOpenWaitsForAnotherThatMigratesAndHonoursItsContext(t *testing.T) {
	url := pgtest.Empty(t)
	other := raw(t, url)
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_lock(7366010000)`); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() { opened <- openAndClose(url) }()
	someoneWaits(t, url)
	if s, err := postgres.Open(shortly(t), url); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opened %v with error %v, want that of the context", s, err)
	}
	select {
	case err := <-opened:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_unlock(7366010000)`); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

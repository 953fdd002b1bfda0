package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store"
	"neoapi/internal/store/storetest/linear"
)

// roleEnv makes a test binary play another process of the service. It names the role.
const roleEnv = "NEO_STORE_TEST_ROLE"

// Processes are several processes, and several handles, on one database. The other
// processes are the test binary itself, in a role.
type Processes struct {
	Open  func(ctx context.Context, at string) (store.Store, error) // the store at a path or a URL
	Roles map[string]func(at string) error                          // those that only this store's tests have

	Again bool // the same database was checked otherwise: a fifth of the histories will do
}

// Main runs the tests, or plays the role that this process has. TestMain calls it.
func (p Processes) Main(m *testing.M) {
	role, ok := os.LookupEnv(roleEnv)
	if !ok {
		os.Exit(m.Run())
	}
	play := p.Roles[role]
	switch role {
	case "open":
		play = p.OpenAndClose
	case "serve":
		play = p.serve
	}
	if err := play(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command returns the command that plays a role on a database: "open" does what
// OpenAndClose does.
func (p Processes) Command(ctx context.Context, role, at string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], at)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// OpenAndClose opens a store, records an event with the action "opened", and closes it.
func (p Processes) OpenAndClose(at string) error {
	s, err := p.Open(context.Background(), at)
	if err != nil {
		return err
	}
	err = s.Record(context.Background(), login.Event{Action: "opened"})
	return errors.Join(err, s.Close())
}

// serve answers calls of the parent process until it hangs up.
func (p Processes) serve(at string) error {
	s, err := p.Open(context.Background(), at)
	if err != nil {
		return err
	}
	return errors.Join(linear.Serve(s, pipe{os.Stdin, os.Stdout}), s.Close())
}

// pipe is a connection made of two files.
type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error { return errors.Join(p.ReadCloser.Close(), p.WriteCloser.Close()) }

// other starts another process that serves its store.
func (p Processes) other(t *testing.T, at string) *linear.Remote {
	t.Helper()
	cmd := p.Command(t.Context(), "serve", at)
	in, err := cmd.StdinPipe()
	good(t, err)
	out, err := cmd.StdoutPipe()
	good(t, err)
	good(t, cmd.Start())
	other := linear.NewRemote(pipe{out, in})
	t.Cleanup(func() {
		_ = other.Close()
		_ = cmd.Wait() // t.Context has ended by now, which kills it
	})
	return other
}

func (p Processes) open(t *testing.T, at string) store.Store {
	t.Helper()
	s, err := p.Open(t.Context(), at)
	good(t, err)
	t.Cleanup(func() { good(t, s.Close()) })
	return s
}

// Run holds the store to what it promises several processes. Each call of place
// returns where a database can be that does not exist yet.
func (p Processes) Run(t *testing.T, place func(t testing.TB) string) {
	check := linear.Check
	if p.Again {
		check = linear.Sample
	}
	for _, test := range []struct {
		name string
		run  func(t *testing.T, at string)
	}{
		{"ten processes open a new database at once", func(t *testing.T, at string) {
			good(t, errors.Join(together(10, func(int) error { return p.Command(t.Context(), "open", at).Run() })...))
			if n := len(events(t, p.open(t, at), "")); n != 10 {
				t.Errorf("%d events are stored, want 10", n)
			}
		}},
		{"ten handles open a new database at once, and each sees what all have stored", func(t *testing.T, at string) {
			handles := make([]store.Store, 10)
			good(t, errors.Join(together(len(handles), func(i int) (err error) {
				if handles[i], err = p.Open(t.Context(), at); err != nil {
					return err
				}
				return handles[i].Record(t.Context(), newEvent(fmt.Sprint(i), ""))
			})...))
			for _, s := range handles {
				if n := len(events(t, s, "")); n != len(handles) {
					t.Errorf("%d events are seen, want %d", n, len(handles))
				}
			}
			good(t, errors.Join(together(len(handles), func(i int) error { return handles[i].Close() })...))
		}},
		{"what is stored is there after reopening", func(t *testing.T, at string) {
			for n := range 2 {
				good(t, p.OpenAndClose(at))
				if got := len(events(t, p.open(t, at), "")); got != n+1 {
					t.Errorf("%d events are stored, want %d", got, n+1)
				}
			}
		}},
		{"two handles are linearizable", func(t *testing.T, at string) { check(t, p.open(t, at), p.open(t, at)) }},
		{"two processes are linearizable", func(t *testing.T, at string) { check(t, p.open(t, at), p.other(t, at)) }},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, place(t)) })
	}
}

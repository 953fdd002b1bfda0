package sqlite_test

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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
	server := rpc.NewServer()
	if err := server.Register(&Remote{s}); err != nil {
		return err
	}
	server.ServeConn(pipe{os.Stdin, os.Stdout})
	return s.Close()
}

// pipe is a connection made of two files.
type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error { return errors.Join(p.ReadCloser.Close(), p.WriteCloser.Close()) }

// remote is the store of another process, as far as [storetest.Linearize] uses it.
type remote struct {
	login.Sessions
	client *rpc.Client
}

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
	client := rpc.NewClient(pipe{out, in})
	t.Cleanup(func() {
		_ = client.Close()
		_ = cmd.Wait() // t.Context has ended by now, which kills it
	})
	return remote{client: client}
}

// Arguments are those of any method.
type Arguments struct {
	SID, Name string
	Bytes     []byte
	Code      login.NewOTP
	Claim     login.Claim
	Trade     login.Session
	Event     login.Event
}

// A Result is that of any method. Its error is known by its words.
type Result struct {
	Session login.Session
	Error   string
}

func result(x login.Session, err error) Result {
	if err != nil {
		return Result{x, err.Error()}
	}
	return Result{Session: x}
}

func (r remote) call(method string, a Arguments) (login.Session, error) {
	var res Result
	if err := r.client.Call("Remote."+method, a, &res); err != nil {
		return login.Session{}, err
	}
	if res.Error == "" {
		return res.Session, nil
	}
	for _, err := range []error{
		login.ErrNotFound, login.ErrClaimed, login.ErrTriesUsed, login.ErrClaimLost, login.ErrTooMany,
	} {
		if res.Error == err.Error() {
			return res.Session, err
		}
	}
	return res.Session, errors.New(res.Error)
}

func (r remote) Session(_ context.Context, sid string) (login.Session, error) {
	return r.call("Session", Arguments{SID: sid})
}

func (r remote) SetOTP(_ context.Context, o login.NewOTP) (time.Duration, error) {
	_, err := r.call("SetOTP", Arguments{Code: o})
	return 0, err
}

func (r remote) DropOTP(_ context.Context, sid string, otp []byte) error {
	_, err := r.call("DropOTP", Arguments{SID: sid, Bytes: otp})
	return err
}

func (r remote) Claim(_ context.Context, c login.Claim) (login.Session, error) {
	return r.call("Claim", Arguments{Claim: c})
}

func (r remote) Fail(_ context.Context, sid, claim string, e login.Event) error {
	_, err := r.call("Fail", Arguments{SID: sid, Name: claim, Event: e})
	return err
}

func (r remote) Refund(_ context.Context, sid, claim string, e login.Event) error {
	_, err := r.call("Refund", Arguments{SID: sid, Name: claim, Event: e})
	return err
}

func (r remote) Complete(_ context.Context, claim string, t login.Session, e login.Event) error {
	_, err := r.call("Complete", Arguments{Name: claim, Trade: t, Event: e})
	return err
}

func (r remote) End(_ context.Context, sid, token string, e login.Event) error {
	_, err := r.call("End", Arguments{SID: sid, Name: token, Event: e})
	return err
}

// Remote is the other side of remote.
type Remote struct{ s *sqlite.Store }

func (r *Remote) Session(a Arguments, res *Result) error {
	*res = result(r.s.Session(context.Background(), a.SID))
	return nil
}

func (r *Remote) SetOTP(a Arguments, res *Result) error {
	_, err := r.s.SetOTP(context.Background(), a.Code)
	*res = result(login.Session{}, err)
	return nil
}

func (r *Remote) DropOTP(a Arguments, res *Result) error {
	*res = result(login.Session{}, r.s.DropOTP(context.Background(), a.SID, a.Bytes))
	return nil
}

func (r *Remote) Claim(a Arguments, res *Result) error {
	*res = result(r.s.Claim(context.Background(), a.Claim))
	return nil
}

func (r *Remote) Fail(a Arguments, res *Result) error {
	*res = result(login.Session{}, r.s.Fail(context.Background(), a.SID, a.Name, a.Event))
	return nil
}

func (r *Remote) Refund(a Arguments, res *Result) error {
	*res = result(login.Session{}, r.s.Refund(context.Background(), a.SID, a.Name, a.Event))
	return nil
}

func (r *Remote) Complete(a Arguments, res *Result) error {
	*res = result(login.Session{}, r.s.Complete(context.Background(), a.Name, a.Trade, a.Event))
	return nil
}

func (r *Remote) End(a Arguments, res *Result) error {
	*res = result(login.Session{}, r.s.End(context.Background(), a.SID, a.Name, a.Event))
	return nil
}

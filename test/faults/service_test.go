//go:build linux

// Package faults breaks what stands below the service and looks at what its
// clients see: the store down, slow, silent, full, locked or gone, connections
// cut at any statement, processes killed and stopped at random moments (security.md R1
// to R5). The service is neo in processes of its own, built like the tests; it is
// asked over HTTP, and beside it works the operator's command line.
//
// Every test here is short. The long forms, of which the last two want a quiet
// machine:
//
//	go test -race -timeout 60m -run Kills ./test/faults -faults.kills 200
//	go test -race -timeout 60m ./test/faults -faults.strangers -faults.noise 2
//	go test -timeout 3h -run Soak ./test/faults -faults.soak 1h
//	go test -timeout 30m -v -run Hostile ./test/faults -faults.hostile
package faults

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/store/postgres/pgtest"
)

var (
	kills     = flag.Int("faults.kills", 4, "how often each test of kills kills")
	soak      = flag.Duration("faults.soak", 4*time.Second, "how long each soak lasts")
	strangers = flag.Bool("faults.strangers", false, "let every stranger come, and not only those that cost most")
	hostile   = flag.Bool("faults.hostile", false, "meet every hostile server on every call, and not only every seventh where each takes a process")
	noise     = flag.Int("faults.noise", 12, "how many times as long as the bars allow an answer and a recovery may take: the machine may be busy with others")
)

// What the bars allow (R1, R4). What was measured is logged.
const (
	answerWithin  = 2 * time.Second
	recoverWithin = 5 * time.Second
)

// noisy is what the tests allow where a bar allows limit.
func noisy(limit time.Duration) time.Duration { return time.Duration(*noise) * limit }

var (
	buildFlags []string
	program    string
)

func TestMain(m *testing.M) {
	if at := os.Getenv(verifyEnv); at != "" { // the process of another test
		verifyAt(at)
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the tests wait more than they compute
		panic(err)
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "neo-faults-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "neo")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", program, "neoapi/cmd/neo")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// stores runs a test on each store. database returns the address of a fresh
// database, or "" for a file in the data directory.
func stores(t *testing.T, f func(t *testing.T, database string)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); f(t, "") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); f(t, pgtest.Database(t)) })
}

// A service is neo sandbox or neo serve on a data directory, which it keeps over
// starts.
type service struct {
	dir      string
	database string // URL; "" for a file in the directory
	command  []string
	program  string // "" for the one that was built like the tests
	log      string // file of its standard error
	client   *http.Client
	access   string   // an access token of the sandbox's consumer
	socket   *os.File // to listen at, as systemd gives it; nil: the process takes a port
	stderr   *os.File // in place of the log file; nil: that
	again    bool     // what is unavailable is asked again: nothing is broken, and the machine may be busy

	mu    sync.Mutex // url changes at a start
	url   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// startSandbox starts neo sandbox with n more demo accounts, and gets an access token.
func startSandbox(t *testing.T, database string, n int, flags ...string) *service {
	t.Helper()
	return sandboxIn(t, t.TempDir(), database, n, flags...)
}

func sandboxIn(t *testing.T, dir, database string, n int, flags ...string) *service {
	t.Helper()
	s := prepare(t, dir, database, append([]string{"sandbox", "--consumer-rate=0", fmt.Sprintf("--accounts=%d", n)}, flags...)...)
	s.start(t)
	s.logIn(t)
	return s
}

// prepare returns a service that has not been started.
func prepare(t *testing.T, dir, database string, command ...string) *service {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	s := &service{
		dir: dir, database: database, log: log,
		command: append(command, "--listen=127.0.0.1:0", "--data="+dir), again: true,
		client: newClient(),
	}
	if database != "" {
		s.command = append(s.command, "--database="+database)
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if s.cmd != nil {
			s.stop(t)
		}
		s.judgeLog(t)
	})
	return s
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
}

// neo returns a command that runs neo.
func neo(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "NEO_") })
	// Under the race detector a program sleeps a second before it exits.
	cmd.Env = append(cmd.Env, "GORACE="+strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start starts the process and waits until it is ready.
func (s *service) start(t testing.TB) {
	t.Helper()
	if err := s.tryStart(); err != nil {
		t.Fatal(err)
	}
}

func (s *service) tryStart() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	begun, err := log.Stat()
	if err != nil {
		return err
	}
	cmd := neo(s.command...)
	if s.program != "" {
		cmd.Path = s.program
	}
	if s.socket != nil {
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, program}, s.command...)
		cmd.ExtraFiles = []*os.File{s.socket}
	}
	if cmd.Stderr = log; s.stderr != nil {
		cmd.Stderr = s.stderr
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	var first string
	if s.command[0] == "serve" { // which says so in its log alone
		first, err = readyLine(s.log, begun.Size())
	} else {
		first, err = lines.ReadString('\n')
	}
	if err != nil {
		_ = cmd.Process.Kill() // if it has not ended
		return fmt.Errorf("neo ended before it was ready: %w\n%s", cmd.Wait(), s.tail())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.ended = cmd, make(chan struct{})
	s.url = strings.TrimSpace(first[strings.LastIndex(first, " "):])
	go func(ended chan struct{}) {
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
		close(ended)
	}(s.ended)
	return nil
}

func (s *service) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

func (s *service) pid() int { return s.cmd.Process.Pid }

// signal sends a signal to the process.
func (s *service) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process as kill -9 does.
func (s *service) kill(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	<-s.ended
	s.client.CloseIdleConnections()
}

// stop ends the process in order, and reports if it does not end well.
func (s *service) stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
		return
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) { // told to end before
		t.Fatal(err)
	}
	select {
	case <-s.ended:
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("neo ended with %d\n%s", code, s.tail())
		}
	case <-time.After(time.Minute):
		_ = s.cmd.Process.Kill()
		t.Error("neo did not end within a minute of SIGTERM")
	}
}

// tail returns the end of the log.
func (s *service) tail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "")
}

// chance are parts of the log in which the digits of an MPIN stand by chance: ids,
// and parts of times.
var chance = regexp.MustCompile(`[0-9a-f-]{7,}|"took":[0-9]+`)

// judgeLog reports what must never be in a log: panics, data races, secrets.
func (s *service) judgeLog(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return
	}
	text = chance.ReplaceAll(text, []byte("-"))
	for _, bad := range append([]string{"DATA RACE", "panic", "fatal error", "goroutine "}, secrets...) {
		if i := bytes.Index(text, []byte(bad)); i >= 0 {
			t.Errorf("the log holds %q:\n%s", bad, text[max(0, i-500):min(len(text), i+4000)])
		}
	}
}

// operator runs a command of the operator on the service's data and returns what
// it printed.
func (s *service) operator(args ...string) (string, error) {
	args = append(args, "--data="+s.dir)
	if s.database != "" {
		args = append(args, "--database="+s.database)
	}
	return output(neo(args...))
}

// output runs a command for a minute at most. Its error holds what the command
// wrote to standard error.
func output(cmd *exec.Cmd) (string, error) {
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Start(); err != nil {
		return "", err
	}
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, problems.String())
	}
	return out.String(), nil
}

// within waits until f is true, which it asks every few milliseconds, and returns
// how long it took; or reports that it took longer than the limit.
func within(t testing.TB, limit time.Duration, what string, f func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !f() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(begin)
}

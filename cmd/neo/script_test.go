package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"neoapi/internal/canary"
	"neoapi/internal/certtest"
	"neoapi/internal/credential"
	"neoapi/internal/must"
	"neoapi/internal/store/postgres/pgtest"
)

// The scripts in testdata are the manual of the command line that is tested.
// They run the program itself as neo, and know these commands beside those of
// package testscript:
//
//	sandbox [FLAGS]         start neo sandbox on a free port; sets $URL and stdout
//	serve [FLAGS]           start neo serve on a free port; sets $URL
//	into-the-day            if the day in India ends soon, move the sandbox's clock into the
//	                        next one: at its end the exchange forgets the day's orders
//	clock-off DURATION      put a proxy before the service, so that for clients of
//	                        $URL this machine's clock is so far ahead of it
//	certificate CERT KEY    make a certificate for 127.0.0.1 and its key, as PEM
//	stop-service            end it with SIGTERM; checks that it exits with 0 and
//	                        leaves no temporary directory; sets stdout and stderr
//	exits CODE CMD...       run a command, which must end with this exit code
//	within TIME [!] CMD...  repeat a command until it succeeds (!: fails)
//	capture NAME FILE RE    set $NAME to what the first group of RE matches
//	has-keys FILE KEY...    the file is a JSON object with exactly these keys
//	mode PERM FILE          the file has these permissions, such as 0600
//	keeps-secret DIR WORD.. no file below DIR holds a word, in any encoding
//	person [CODE] FILE CMD  a person at a terminal answers the prompts (Linux)
//	screen COLUMNS CMD...   standard output is a terminal; \e is its escape (Linux)
//
// In each of them, and in has-keys and capture, stdout and stderr name the
// output of the command before. The program totp SEED prints a code of an
// authenticator.
func TestScripts(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	testscript.Run(t, scripts(t, "testdata", nil))
}

// The scripts in testdata/postgres find a fresh PostgreSQL database at $DATABASE.
func TestScripts_onPostgreSQL(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	pgtest.Database(t) // or the test ends here
	testscript.Run(t, scripts(t, "testdata/postgres", func(e *testscript.Env) { e.Setenv("DATABASE", pgtest.Database(t)) }))
}

// scripts are what the scripts of a folder need.
func scripts(t *testing.T, dir string, more func(e *testscript.Env)) testscript.Params {
	t.Helper()
	if err := asShipped(); err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		Dir:                 dir,
		Cmds:                scriptCommands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("no_proxy", "*") // for curl
			e.Setenv("TZ", "UTC")     // whatever this machine's is
			// Under the race detector a program sleeps a second before it exits; a script
			// runs dozens of them.
			e.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
			s := &service{tmp: e.Getenv("TMPDIR")}
			for _, v := range e.Vars {
				name, _, _ := strings.Cut(v, "=")
				s.names = append(s.names, name)
			}
			e.Values[serviceKey{}] = s
			e.Defer(s.kill)
			if more != nil {
				more(e)
			}
			return os.Mkdir(home, 0o700)
		},
	}
}

var (
	raceDetector bool // whether the tests are built with it
	raceScripts  = flag.Bool("neo.race", false, "with -race: the scripts run the program with the race detector too")
)

// asShipped sees to it that scripts run the program as it is shipped. Under the race
// detector a program takes four times as long, and a script runs dozens of them that
// do one thing after another. What serves many at once is under the detector in the
// tests of internal/httpapi, test/faults and [machine].
var asShipped = sync.OnceValue(func() error {
	if !raceDetector || *raceScripts {
		return nil
	}
	path, err := exec.LookPath("neo") // where testscript.Main has put these tests under that name
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".")
	build.Env = append(os.Environ(), "GOFLAGS=") // ./check has some that are for the race detector
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	// What started the tests may ignore signals, as nohup does, and so would the programs
	// that they start. One that is caught here is as usual there.
	for _, s := range []os.Signal{syscall.SIGHUP, os.Interrupt, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	testscript.Main(m, map[string]func(){
		"neo": main,
		"totp": func() {
			seed, err := credential.ParseTOTPSeed(strings.Join(os.Args[1:], " "))
			if err != nil {
				fmt.Fprintln(os.Stderr, "totp:", err)
				os.Exit(1)
			}
			code, err := credential.TOTPCode(seed, credential.TOTPStep(time.Now()))
			if err != nil {
				fmt.Fprintln(os.Stderr, "totp:", err)
				os.Exit(1)
			}
			fmt.Println(string(code))
		},
	})
}

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"sandbox":      cmdSandbox,
	"serve":        cmdServe,
	"certificate":  cmdCertificate,
	"into-the-day": cmdIntoTheDay,
	"clock-off":    cmdClockOff,
	"stop-service": cmdStopService,
	"exits":        cmdExits,
	"within":       cmdWithin,
	"capture":      cmdCapture,
	"has-keys":     cmdHasKeys,
	"mode":         cmdMode,
	"keeps-secret": cmdKeepsSecret,
}

// needs skips a test that needs a program which is not installed.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		must.Skip(t, "%s is not installed", program)
	}
}

// patience is how long a service may take to start, to end or to notice something.
// It takes a fraction of a second on a machine that is not busy with others.
const patience = time.Minute

// A service is the neo sandbox or neo serve of a script; each has one at a time.
type service struct {
	names    []string // of the script's environment
	tmp      string   // where its temporary directories are
	cmd      *exec.Cmd
	out, err *watched
	done     chan error
}

type serviceKey struct{}

// watched is what a service has written so far.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // holds a value after a write
}

// watching returns a writer that shows what has been written.
func watching() *watched { return &watched{more: make(chan struct{}, 1)} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	select {
	case w.more <- struct{}{}:
	default:
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// until waits for what a program writes to match, and returns the first group.
func (w *watched) until(t *testing.T, pattern string) string {
	t.Helper()
	match := regexp.MustCompile("(?m)" + pattern)
	for late := time.After(patience); ; {
		if m := match.FindStringSubmatch(w.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-w.more:
		case <-late:
			t.Fatalf("%q does not come: %s", pattern, w)
		}
	}
}

func running(ts *testscript.TestScript) *service { return ts.Value(serviceKey{}).(*service) }

// start runs neo and returns when ready matches what it writes on standard
// output or standard error, with the match's first group.
func (s *service) start(ts *testscript.TestScript, ready string, args ...string) string {
	if s.cmd != nil {
		ts.Fatalf("the script has a service already: stop-service ends it")
	}
	more := make(chan struct{}, 1)
	s.out, s.err = &watched{more: more}, &watched{more: more}
	cmd := command(ts, "neo", args...)
	cmd.Stdout, cmd.Stderr = s.out, s.err
	ts.Check(cmd.Start())
	s.cmd, s.done = cmd, make(chan error, 1)
	go func() { s.done <- cmd.Wait() }()
	pattern, late := regexp.MustCompile(ready), time.After(patience)
	for {
		for _, from := range []*watched{s.out, s.err} {
			if m := pattern.FindStringSubmatch(from.String()); m != nil {
				return m[1]
			}
		}
		select {
		case <-more:
		case err := <-s.done:
			s.cmd = nil
			ts.Fatalf("neo %s ended: %v\n%s%s", strings.Join(args, " "), err, s.out.String(), s.err.String())
		case <-late:
			ts.Fatalf("neo %s is not ready after %s\n%s%s", strings.Join(args, " "), patience, s.out.String(), s.err.String())
		}
	}
}

// kill ends a service that a script left running; one that ended well has
// nothing left.
func (s *service) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		s.cmd = nil
	}
}

// command is a command with the script's environment and directory.
func command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	return cmd
}

// environment is the script's environment, of which testscript tells no more
// than the value of a name: what Setup found there, and what scripts set.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range append(running(ts).names, "URL", "NEO_ENV", "NEO_CONSUMER_KEY", "NEO_CONSUMER_SECRET", "NEO_SESSION", "NEO_DATABASE", "NEO_CA", "NO_COLOR", "TERM") {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func cmdSandbox(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	s := running(ts)
	url := s.start(ts, `(?m)^(?:neo sandbox is ready at |\{"url":")(http://[^\s"]+)(?:$(?s:.*)Ctrl-C ends the sandbox\.|".*\})\n`,
		append([]string{"sandbox", "--listen", "127.0.0.1:0"}, args...)...)
	ts.Setenv("URL", url)
	_, _ = io.WriteString(ts.Stdout(), s.out.String())
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	s := running(ts)
	url := s.start(ts, `(?m)^\{.*"msg":"ready","url":"(https?://[^"]+)".*\}$`,
		append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	ts.Setenv("URL", url)
}

func cmdCertificate(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	cert, key := certtest.New("neo", nil, nil).PEM() // curl wants a name
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}

func cmdClockOff(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: clock-off DURATION")
	}
	ahead, err := time.ParseDuration(args[0])
	ts.Check(err)
	to, err := url.Parse(ts.Getenv("URL"))
	ts.Check(err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
		return nil
	}
	srv := httptest.NewServer(proxy)
	ts.Defer(srv.Close)
	ts.Setenv("URL", srv.URL)
}

func cmdStopService(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	s := running(ts)
	if s.cmd == nil {
		ts.Fatalf("there is no service to stop")
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.done:
		s.cmd = nil
		_, _ = io.WriteString(ts.Stdout(), s.out.String())
		_, _ = io.WriteString(ts.Stderr(), s.err.String())
		if err != nil {
			ts.Fatalf("the service did not exit with 0: %v", err)
		}
	case <-time.After(patience):
		ts.Fatalf("the service still runs %s after SIGTERM", patience)
	}
	left, err := filepath.Glob(filepath.Join(s.tmp, "neo-*"))
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("the service left temporary files behind: %s", left)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdWithin(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: within TIME [!] CMD...")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	args = args[1:]
	fails := args[0] == "!"
	if fails {
		args = args[1:]
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		last := time.Now().After(deadline)
		err := ts.Exec(args[0], args[1:]...)
		if (err != nil) == fails {
			return
		}
		if last {
			ts.Fatalf("not within %s: last result: %v", limit, err)
		}
	}
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) != 3 {
		ts.Fatalf("usage: capture NAME FILE RE")
	}
	m := regexp.MustCompile("(?m)" + args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) < 2 {
		ts.Fatalf("nothing in %s matches %s", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}

func cmdHasKeys(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: has-keys FILE KEY...")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	var keys []string
	for key, value := range object {
		keys = append(keys, key)
		if value == nil || value == "" {
			ts.Fatalf("%s is empty", key)
		}
	}
	slices.Sort(keys)
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(keys, want) {
		ts.Fatalf("keys %s, want %s", keys, want)
	}
}

func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: mode PERM FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

func cmdKeepsSecret(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: keeps-secret DIR WORD...")
	}
	var secrets canary.Flock
	for _, word := range args[1:] {
		secrets.Add(word, word)
	}
	found, err := secrets.InFiles(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) > 0 {
		ts.Fatalf("%s", strings.Join(found, "\n"))
	}
}

func noNegation(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
}

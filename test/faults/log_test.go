//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"neoapi/internal/wire"
)

// narrowPipe is a pipe with room for some twenty lines of a log.
func narrowPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// fill fills a pipe, so that the next byte waits for a reader.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	// Opened again: whether writes wait is the same for all who share a descriptor.
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(own) }()
	for err == nil {
		_, err = unix.Write(own, []byte("x"))
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
}

// freeAddress returns an address of this machine at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// operated is the service's operator's address.
func operated(s *service, address string) *service {
	return &service{url: "http://" + address, client: s.client}
}

// parts returns what the operator's /readyz says: in all, and of each part.
func (s *service) parts(t *testing.T) (status string, parts map[string]string) {
	t.Helper()
	a := s.call("readyz", "GET", "/readyz", nil)
	var body struct {
		Status string
		Parts  map[string]string
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
	return body.Status, body.Parts
}

// metric returns the value of a metric without labels.
func (s *service) metric(t *testing.T, name string) int {
	t.Helper()
	a := s.call("metrics", "GET", "/metrics", nil)
	found := regexp.MustCompile(`(?m)^` + name + ` (\d+)$`).FindSubmatch(a.body)
	if found == nil {
		t.Fatalf("there is no %s: %v", name, a)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// endsSoon ends the process with SIGTERM, whatever reads its output.
func (s *service) endsSoon(t *testing.T) {
	t.Helper()
	begin := time.Now()
	s.stop(t)
	if took := time.Since(begin); took > noisy(recoverWithin) {
		t.Errorf("it ended %s after SIGTERM", took)
	}
}

var requestLine = regexp.MustCompile(`^time=\S+ level=[A-Z]+ msg=(\w+|"[^"]+")( |$)`)

// Nobody reads the log: logins go on, the operator learns of it, and nothing of the
// trail is lost. When the reader is back it gets whole lines, and how many it missed.
func TestLog_thatNobodyReadsStopsNobody(t *testing.T) {
	t.Parallel()
	const people = 320
	r, w := narrowPipe(t)
	address := freeAddress(t)
	s := prepare(t, t.TempDir(), "", "sandbox", "--consumer-rate=0", fmt.Sprintf("--accounts=%d", people), "--metrics="+address)
	s.stderr = w
	s.start(t)
	_ = w.Close() // the process has its own
	s.logIn(t)
	own := operated(s, address)
	if status, parts := own.parts(t); status != "ready" || parts["log"] != "ok" {
		t.Fatalf("before: %s, %v", status, parts)
	}

	var all sync.WaitGroup
	each := make(chan person, people)
	for i := range people {
		each <- demo(1 + i)
	}
	close(each)
	for range 8 {
		all.Go(func() {
			for p := range each {
				begin := time.Now()
				s.trades(t, p)
				if took := time.Since(begin); took > noisy(answerWithin) {
					t.Errorf("a login took %s", took)
				}
			}
		})
	}
	all.Wait()
	for _, x := range []*service{s, own} {
		for _, path := range []string{"/livez", "/readyz"} {
			if a := x.call(path, "GET", path, nil); !a.good() || a.took > noisy(answerWithin) {
				t.Error(a)
			}
		}
	}
	within(t, noisy(recoverWithin), "readiness has noticed", func() bool {
		status, parts := own.parts(t)
		return status == "degraded" && strings.Contains(parts["log"], "nobody has taken a line of the log since ")
	})
	logins := 0
	for _, e := range s.events(t) {
		if e.Action == "second factor" && e.Outcome == "ok" {
			logins++
		}
	}
	if logins != people {
		t.Errorf("%d logins are in the trail, want %d", logins, people)
	}
	if own.metric(t, "neo_log_lines_lost_total") == 0 {
		t.Fatal("no line was lost: the test did not log enough")
	}

	told, lines := 0, bufio.NewReader(r)
	for told == 0 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if !requestLine.MatchString(line) {
			t.Errorf("not a whole line: %q", line)
		}
		if found := regexp.MustCompile(`level=WARN msg="log lines were lost[^"]*" lost=(\d+) since=`).FindStringSubmatch(line); found != nil {
			told, _ = strconv.Atoi(found[1])
		}
	}
	if lost := own.metric(t, "neo_log_lines_lost_total"); told != lost {
		t.Errorf("the log says that %d lines are lost, the metric %d", told, lost)
	}
	within(t, noisy(recoverWithin), "readiness is well again", func() bool {
		status, parts := own.parts(t)
		return status == "ready" && parts["log"] == "ok"
	})
	s.logs(t)
	for line := ""; !strings.Contains(line, logged); {
		var err error
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

// logs makes a request whose line in the log contains logged.
func (s *service) logs(t *testing.T) {
	t.Helper()
	if a := s.callOnce("client IP", "GET", wire.Path(wire.OpClientIP, wire.Gen3), nil); !a.refused() {
		t.Fatal(a)
	}
}

const logged = "op=client_ip"

// trades logs a person in by both factors, from any goroutine.
func (s *service) trades(t *testing.T, p person) {
	a := s.totp(p, totpAt(stepNow()))
	if !a.good() {
		t.Error(a)
		return
	}
	view := a.session(p)
	if a := s.otp(view); !a.good() {
		t.Error(a)
		return
	}
	code := s.inbox(p)
	if a := s.second(view, string(code.body), "trades-"+view.sid); !a.good() {
		t.Error(a)
	}
}

// Whatever is wrong with the log, and with standard output, the service starts, says
// so, works, and ends when it is told to.
func TestLog_thatTakesNothingKeepsNoServiceFromStartingOrEnding(t *testing.T) {
	t.Parallel()
	stuck := func(t *testing.T) *os.File { _, w := narrowPipe(t); fill(t, w); return w }
	for name, x := range map[string]struct {
		open func(t *testing.T) *os.File
		says string
	}{
		"a pipe that nobody reads": {stuck, "nobody has taken a line of the log since "},
		"a pipe whose reader has gone": {func(t *testing.T) *os.File {
			r, w := narrowPipe(t)
			_ = r.Close()
			return w
		}, "broken pipe"},
		"a full disk": {func(t *testing.T) *os.File {
			f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			return f
		}, "no space left"},
	} {
		for _, command := range []string{"sandbox", "serve"} {
			t.Run(command+" "+name, func(t *testing.T) {
				t.Parallel()
				to, address := x.open(t), freeAddress(t)
				s := &service{client: newClient()}
				s.url = "http://" + freeAddress(t)
				cmd := neo(command, "--data="+t.TempDir(), "--listen="+strings.TrimPrefix(s.url, "http://"), "--metrics="+address)
				cmd.Stdout, cmd.Stderr = to, to
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				s.cmd, s.ended = cmd, make(chan struct{})
				go func() { _ = cmd.Wait(); close(s.ended) }()
				t.Cleanup(func() { _ = cmd.Process.Kill(); <-s.ended; s.client.CloseIdleConnections() })
				within(t, noisy(recoverWithin), "the start", func() bool { return s.callOnce("livez", "GET", "/livez", nil).good() })
				own := operated(s, address)
				within(t, noisy(recoverWithin), "readiness has noticed", func() bool {
					status, parts := own.parts(t)
					return status == "degraded" && strings.Contains(parts["log"], x.says)
				})
				for range 1200 { // more than the queue holds
					s.logs(t)
				}
				if own.metric(t, "neo_log_lines_lost_total") == 0 {
					t.Error("no line was lost")
				}
				s.endsSoon(t)
			})
		}
	}
}

// SIGQUIT prints what the process does, and ends it even if nobody reads that.
func TestQuit_endsAServiceWhoseLogNobodyReads(t *testing.T) {
	t.Parallel()
	_, w := narrowPipe(t)
	s := prepare(t, t.TempDir(), "", "sandbox", "--consumer-rate=0")
	s.stderr = w
	s.start(t)
	fill(t, w)
	s.signal(t, syscall.SIGQUIT)
	select {
	case <-s.ended:
		if code := s.cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(noisy(recoverWithin)):
		t.Error("it has not ended")
	}
}

// A service that ends in order loses no line that waits to be written, if somebody
// reads them, however slowly.
func TestLog_isWrittenToItsEnd(t *testing.T) {
	t.Parallel()
	r, w := narrowPipe(t)
	s := prepare(t, t.TempDir(), "", "sandbox", "--consumer-rate=0")
	s.stderr = w
	s.start(t)
	_ = w.Close()
	for range 500 { // more than the pipe holds, less than the queue
		s.logs(t)
	}
	s.signal(t, syscall.SIGTERM)
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), logged); n != 500 || !strings.HasSuffix(string(text), "msg=stopped\n") {
		t.Errorf("%d of 500 lines, and at the end %q", n, text[max(0, len(text)-200):])
	}
}

//go:build linux

package faults

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limited is a sandbox that may have so many files open. own is its operator's address.
func limited(t *testing.T, limit int, flags ...string) (s, own *service) {
	t.Helper()
	address, metrics := freeAddress(t), freeAddress(t)
	s = &service{
		dir: t.TempDir(), log: t.TempDir() + "/log", client: newClient(), url: "http://" + address, ended: make(chan struct{}), again: true,
	}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = neo(append([]string{"sandbox", "--consumer-rate=0", "--accounts=1", "--data=" + s.dir, "--listen=" + address, "--metrics=" + metrics}, flags...)...)
	s.cmd.Path, s.cmd.Args = "/bin/sh", append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), program}, s.cmd.Args[1:]...)
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	t.Cleanup(func() { s.stop(t); s.client.CloseIdleConnections(); s.judgeLog(t) })
	own = operated(s, metrics)
	own.client = newClient()
	t.Cleanup(own.client.CloseIdleConnections)
	within(t, noisy(recoverWithin), "the start", func() bool { return own.callOnce("livez", "GET", "/livez", nil).good() })
	own.client.CloseIdleConnections() // what is asked below needs new ones
	return s, own
}

// crowd opens connections that send nothing, as many as the service's queue of
// connections takes.
func (s *service) crowd(t *testing.T, n int) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second)
		if err != nil { // the queue is full
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

// answers reports if the operator's address does not answer at once.
func (s *service) answers(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if a := s.callOnce(path, "GET", path, nil); !a.good() || a.took > noisy(answerWithin)/4 {
			t.Error(a)
		}
	}
}

// logged returns how many lines of the log contain a text.
func (s *service) logged(t *testing.T, text string) int {
	t.Helper()
	log, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(log), text)
}

// Strangers cannot use up the files that a service may have open, if the limit is
// lower than its connections need: it says so at the start, and accepts fewer.
func TestFiles_areNotUsedUpByStrangers(t *testing.T) {
	t.Parallel()
	s, own := limited(t, 128)
	if n := s.logged(t, `msg="the limit of open files is too low for the connections wanted`); n != 1 {
		t.Errorf("the start says %d times that the limit is too low:\n%s", n, s.tail())
	}
	s.crowd(t, 300)
	own.answers(t)
	s.logIn(t)
	s.trading(t, demo(1))
	if n := own.metric(t, "neo_connections_not_accepted_total"); n != 0 {
		t.Errorf("%d connections had no descriptor", n)
	}
}

// A process that has no descriptor left, for whatever reason, answers its operator at
// once, says what is wrong, once, and lets in clients in place of those that wait.
func TestFiles_thatAreUsedUpLeaveSomeForTheOperator(t *testing.T) {
	t.Parallel()
	s, own := limited(t, 1024)
	s.crowd(t, 100)
	within(t, noisy(recoverWithin), "the crowd is in", func() bool { return s.files(t) > 100 })
	low := unix.Rlimit{Cur: 60, Max: 60}
	if err := unix.Prlimit(s.pid(), unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	s.crowd(t, 20)
	own.answers(t)
	within(t, noisy(recoverWithin), "it is counted", func() bool { return own.metric(t, "neo_connections_not_accepted_total") > 0 })
	s.logIn(t)
	s.trading(t, demo(1))
	if n := s.logged(t, "too many open files"); n != 1 {
		t.Errorf("the log says it %d times:\n%s", n, s.tail())
	}
}

// files returns how many files the process has open.
func (s *service) files(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// With a limit under which it could not work a service does not start, and says which
// one it needs. That limit is enough.
func TestFiles_tooFewToWorkAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	cmd := neo("serve", "--data="+t.TempDir(), "--listen=127.0.0.1:0", "--metrics=127.0.0.1:0")
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -n 48; exec "$0" "$@"`, program}, cmd.Args[1:]...)
	_, err := output(cmd)
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 2 {
		t.Fatalf("it ended with %v", err)
	}
	var needs, all int
	_, after, _ := strings.Cut(err.Error(), "the service needs ")
	if _, err := fmt.Sscanf(after, "%d, and %d for 2048 connections", &needs, &all); err != nil || needs <= 48 || all <= 2048 {
		t.Fatalf("%v: %q", err, after)
	}
	s, own := limited(t, needs)
	s.crowd(t, 100)
	own.answers(t)
	s.logIn(t)
	s.trading(t, demo(1))
	if whole, _ := limited(t, all); whole.logged(t, "limit of open files") != 0 {
		t.Errorf("with the limit that it asked for:\n%s", whole.tail())
	}
}

//go:build linux

package faults

import (
	"bytes"
	"flag"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/nginxtest"
	"neoapi/internal/sandbox"
)

var frontConf = flag.String("faults.front", "../../deploy/front.conf", "the configuration of nginx before two services")

const knockers = 8 // persons who log in at the same time

// A pair is two processes on one store behind nginx.
type pair struct {
	first, second *service
	front         *service // the same, asked through nginx
}

func startPair(t *testing.T, database string) *pair {
	t.Helper()
	x := &pair{first: prepareAt(t, t.TempDir(), database)}
	x.second = prepareAt(t, x.first.dir, database)
	for _, s := range []*service{x.first, x.second} {
		s.start(t)
		s.logIn(t)
	}
	server := nginxtest.Front(t, *frontConf, host(x.first), host(x.second))
	x.front = &service{url: server.URL, access: x.first.access, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: knockers, TLSClientConfig: server.TLS}, Timeout: time.Minute,
	}}
	t.Cleanup(x.front.client.CloseIdleConnections)
	return x
}

// prepareAt prepares a sandbox that has the same address after each start.
func prepareAt(t *testing.T, dir, database string) *service {
	t.Helper()
	s := prepare(t, dir, database, "sandbox", "--consumer-rate=0", "--accounts=20")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.command = append(s.command, "--listen="+l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func host(s *service) string { return strings.TrimPrefix(s.address(), "http://") }

// knock logs persons in through nginx, knockers at a time, until n have been answered
// and each of the events has happened, and reports every answer.
func (x *pair) knock(n int, done <-chan struct{}, report func(answer)) {
	var answered atomic.Int64
	var all sync.WaitGroup
	for i := range knockers {
		all.Go(func() {
			for {
				select {
				case <-done:
					if answered.Load() >= int64(n) {
						return
					}
				default:
				}
				report(x.front.password(demo(1+i), sandbox.DemoPassword))
				answered.Add(1)
			}
		})
	}
	all.Wait()
}

// nginxs reports whether nginx has answered because no service did.
func nginxs(a answer) bool {
	return bytes.Contains(a.body, []byte("the service gave no answer")) || bytes.Contains(a.body, []byte("the request was not sent"))
}

// Two processes are killed in turn, so that at any time one of them works: what a
// killed one had received has no answer, and nothing else fails.
func TestFront_ofProcessesKilledInTurnLosesOnlyWhatTheyHad(t *testing.T) {
	t.Parallel()
	const n, rounds = 460, 6
	x := startPair(t, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			s := []*service{x.first, x.second}[i%2]
			next := time.After(time.Second) // the marking down that front.conf once had
			s.kill(t)
			s.start(t)
			<-next
		}
	}()
	var mu sync.Mutex
	total, lost := 0, 0
	x.knock(n, done, func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		total++
		if a.good() {
			return
		}
		if nginxs(a) {
			lost++
		}
		if err := a.wrong(); err != nil || !nginxs(a) && !a.unavailable() {
			t.Errorf("%v (%v)", a, err)
		}
	})
	if most := rounds * knockers; lost > most {
		t.Errorf("%d are lost, but at most %d were under way", lost, most)
	}
	t.Logf("of %d logins, %d kills have left %d without an answer", total, rounds, lost)
}

// Beside a process that is frozen every login is answered, by the other one.
func TestFront_besideAFrozenProcessAnswersEveryLogin(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		const n = 60
		x := startPair(t, database)
		x.first.signal(t, syscall.SIGSTOP)
		defer x.first.signal(t, syscall.SIGCONT) // what is stopped does not end in order
		done := make(chan struct{})
		close(done)
		var mu sync.Mutex
		var slowest time.Duration
		total := 0
		x.knock(n, done, func(a answer) {
			mu.Lock()
			defer mu.Unlock()
			total++
			slowest = max(slowest, a.took)
			if err := a.wrong(); err != nil || nginxs(a) || !a.good() && !(database == "" && a.unavailable()) { // it may be frozen with the file's lock
				t.Errorf("%v (%v)", a, err)
			}
		})
		t.Logf("of %d logins the slowest took %s", total, slowest)
	})
}

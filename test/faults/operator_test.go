//go:build linux

package faults

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/store/postgres/pgtest"
)

// systemd holds the socket while one process ends and the next one starts: no
// connection is refused meanwhile, and each gets its answer.
func TestSocket_heldBySystemdRefusesNobodyDuringARestart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	s := prepare(t, t.TempDir(), "", "sandbox", "--consumer-rate=0")
	s.socket = socket
	s.start(t)
	if s.address() != "http://"+l.Addr().String() {
		t.Fatalf("the service is at %s and not at the socket that it was given", s.address())
	}

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	done := make(chan struct{})
	var asked atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				resp, err := client.Get(s.address() + "/livez")
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				if asked.Add(1); resp.StatusCode != http.StatusOK {
					t.Errorf("an answer of %d", resp.StatusCode)
				}
			}
		})
	}
	for range 3 {
		before := asked.Load()
		within(t, noisy(recoverWithin), "some requests", func() bool { return asked.Load() > before+20 })
		s.stop(t)
		s.start(t)
	}
	close(done)
	clients.Wait()
}

// The operator's own address tells what the service has done and how its parts
// are.
func TestMetrics_tellHowTheServiceIs(t *testing.T) {
	t.Parallel()
	s := prepare(t, t.TempDir(), "", "sandbox", "--consumer-rate=0", "--metrics=127.0.0.1:0")
	s.start(t)
	s.logIn(t)
	own := s.own(t)
	if a := own.call("metrics", "GET", "/metrics", nil); !a.good() || !strings.Contains(string(a.body), `neo_request_seconds_count{op="access_token",status="200"} 1`+"\n") {
		t.Errorf("metrics: %v", a)
	}
	if a := own.call("ready", "GET", "/readyz", nil); !a.good() || !strings.Contains(string(a.body), `"store":"ok"`) {
		t.Errorf("ready: %v", a)
	}
	if a := s.call("metrics", "GET", "/metrics", nil); a.status != http.StatusNotFound {
		t.Errorf("strangers get the metrics: %v", a)
	}
	unlock := lockFile(t, s)
	within(t, noisy(recoverWithin), "telling that the file is locked", func() bool { // an answer may be a second old
		a := own.call("ready", "GET", "/readyz", nil)
		return a.unavailable() && strings.Contains(string(a.body), `"status":"not ready"`) && strings.Contains(string(a.body), `database is locked`)
	})
	unlock()
	within(t, noisy(recoverWithin), "being ready again", func() bool { return own.call("ready", "GET", "/readyz", nil).good() })
	s.signal(t, syscall.SIGTERM)
	<-s.ended
}

// A copy that is made while people log in holds every session that was opened
// before it began, and a service started from it goes on where it was made.
func TestBackup_holdsWhatWasAcknowledged(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		const before, meanwhile = 8, 24
		s := startSandbox(t, database, before+meanwhile)
		var sessions []session
		for i := range before {
			sessions = append(sessions, s.trading(t, demo(1+i)))
		}
		var crowd sync.WaitGroup
		next := make(chan int, meanwhile)
		for i := range meanwhile {
			next <- before + 1 + i
		}
		close(next)
		for range 4 {
			crowd.Go(func() {
				for i := range next {
					if a := s.totp(demo(i), totpAt(stepNow())); !a.good() {
						t.Errorf("a login beside the backup: %v", a)
					}
				}
			})
		}
		dir, copied := t.TempDir(), ""
		key, err := os.ReadFile(filepath.Join(s.dir, "master.key"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "master.key"), key, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if database == "" {
			to := filepath.Join(dir, "neo.db")
			if out, err := s.operator("backup", "--to="+to); err != nil {
				t.Fatal(out, err)
			}
			if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the copy: %v, %v", info, err)
			}
			if out, err := s.operator("backup", "--to="+to); err == nil {
				t.Errorf("a second backup into the same file: %s", out)
			}
		} else {
			copied = pgtest.Database(t)
			dump := filepath.Join(t.TempDir(), "neo.dump")
			for _, command := range [][]string{
				{"pg_dump", "--format=custom", "--file=" + dump, database},
				{"pg_restore", "--clean", "--if-exists", "--single-transaction", "--dbname=" + copied, dump},
			} {
				program, err := pgtest.Program(command[0])
				if err != nil {
					t.Fatal(err)
				}
				if _, err := output(exec.Command(program, command[1:]...)); err != nil {
					t.Fatalf("%s: %v", command[0], err)
				}
			}
		}
		crowd.Wait()
		s.stop(t)
		again := sandboxIn(t, dir, copied, before+meanwhile+1)
		for _, x := range sessions {
			if a := again.trade(x); !a.good() {
				t.Errorf("a session from before: %v", a)
			}
		}
		again.trading(t, demo(before+meanwhile+1))
	})
}

//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/hostiletest"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/verify"
)

// mostMemory is what a process of neo may have resident at most, in MB, whatever the
// servers do that it calls: the recommended limit of the service.
const mostMemory = 512

// The time that these tests give a server that never ends.
const patience = 500 * time.Millisecond

// verifyEnv makes the test's program a service that uses package verify at this address.
const verifyEnv = "NEO_FAULTS_VERIFY"

func verifyAt(at string) {
	v, err := verify.New(verify.Config{Service: at, ConsumerKey: "key", ConsumerSecret: "s3cret"})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, _ = v.Verify(ctx, "sid", "header.claims.signature")
	v.Close()
}

// A toll is what calls of one kind have cost.
type toll struct {
	mu      sync.Mutex
	calls   int
	peak    int // MB
	longest time.Duration
	at      string
}

// peakOf returns the most memory that a process has ever had resident, in MB; 0 if it has
// ended.
func peakOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !bytes.Contains(text, []byte("VmHWM:")) {
		return 0
	}
	return field(text, "VmHWM:") >> 10
}

func (c *toll) add(mode string, took time.Duration, mb int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	c.peak = max(c.peak, mb)
	if took > c.longest {
		c.longest, c.at = took, mode
	}
}

// judge reports the toll, and fails the test if it is too high.
func (c *toll) judge(t *testing.T, kind string, longest time.Duration) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%s: %d calls, peak %d MB, the longest took %s (%s)", kind, c.calls, c.peak, c.longest.Round(time.Millisecond), c.at)
	most := mostMemory
	if len(buildFlags) > 0 { // the race detector takes several times as much
		most *= 4
	}
	if c.calls == 0 || c.peak == 0 || c.peak > most || c.longest > noisy(longest) {
		t.Errorf("%s: too much", kind)
	}
}

// some returns every seventh mode, or all.
func some(modes []hostiletest.Mode) (few []hostiletest.Mode) {
	for i, m := range modes {
		if *hostile || i%7 == 0 {
			few = append(few, m)
		}
	}
	return few
}

// The service sends one code by each hostile SMS gateway and mail server, sixteen at once.
func TestHostile_gatewaysAndMailServersCostTheServiceLittle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	cfg := cert.TLS.Clone()
	cfg.NextProtos = nil
	ca := filepath.Join(dir, "ca.pem")
	put(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate().Raw})))
	put(t, filepath.Join(dir, "secret"), "s3cret\n")

	const timeout = 200 * time.Millisecond
	var entries, names []string
	for i, s := range hostiletest.Start(t, hostiletest.HTTP(), nil) {
		names = append(names, fmt.Sprint("sms-", i))
		entries = append(entries, fmt.Sprintf("  - name: sms-%d\n    timeout: %s\n    webhook: {url: 'http://%s', headers: {Content-Type: text/plain}, body: '{{.Code}}'}\n", i, timeout, s.Addr))
	}
	for i, s := range hostiletest.Start(t, hostiletest.SMTP(false), cfg) {
		names = append(names, fmt.Sprint("mail-", i))
		_, port, _ := net.SplitHostPort(s.Addr)
		entries = append(entries, fmt.Sprintf("  - name: mail-%d\n    timeout: %s\n    smtp: {host: 127.0.0.1, port: %s, ca: %s, user: neo, password-file: %s, from: codes@example.com, subject: Code, body: '{{.Code}}'}\n",
			i, timeout, port, ca, filepath.Join(dir, "secret")))
	}

	file := filepath.Join(dir, "couriers.yaml")
	s := prepare(t, t.TempDir(), "", "serve", "--consumer-rate=0", "--wrong-logins=0", "--couriers="+file)
	persons := s.personsBy(t, names)
	var c toll
	done := 0
	for some := range slices.Chunk(entries, 15) { // as many as one file may have
		put(t, file, "couriers:\n"+strings.Join(some, ""))
		s.start(t)
		s.logIn(t)
		began := time.Now()
		s.ask(t, persons[done:done+len(some)])
		done += len(some)
		within(t, noisy(time.Minute), "an end of every code", func() bool {
			ended := 0
			for _, e := range s.events(t) {
				if e.Action == "otp delivery" && (e.Outcome == "ok" || e.Outcome == "not delivered") {
					ended++
				}
			}
			return ended == done
		})
		c.add(fmt.Sprint("codes ", done-len(some), " to ", done), time.Since(began), peakOf(s.pid()))
		s.client.CloseIdleConnections() // which the end would wait for
		s.stop(t)
	}
	c.judge(t, fmt.Sprintf("%d codes by webhook and SMTP, up to 15 at once", done), 15*time.Second)
}

// A service meets a hostile OMS in a second factor, and a hostile trade API in a call, four
// times at once.
func TestHostile_omsAndTradeAPICostTheServiceLittle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "secret"), "s3cret\n")
	modes := some(hostiletest.HTTP())
	s := prepare(t, t.TempDir(), "", "serve", "--consumer-rate=0", "--wrong-logins=0")
	plain := s.command
	persons := s.personsBy(t, make([]string, 4*len(modes)+1))
	s.start(t)
	s.logIn(t)
	s.again = false
	last := persons[len(persons)-1]
	live := must(t, last, s.secondMPIN(s.view(t, last), sandbox.DemoMPIN, "live"))
	s.stop(t)

	var atOMS, atAPI toll
	for i, server := range hostiletest.Start(t, modes, nil) {
		file := filepath.Join(dir, "oms.yaml")
		put(t, file, fmt.Sprintf("url: http://%s\nbearer-file: %s\ntimeout: %s\n", server.Addr, filepath.Join(dir, "secret"), patience))
		s.command = append(slices.Clone(plain), "--oms="+file, "--trade-api=http://"+server.Addr)
		s.start(t)
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				view := s.view(t, persons[4*i+n])
				began := time.Now()
				if a := s.secondMPIN(view, sandbox.DemoMPIN, "hostile"); a.good() {
					t.Errorf("%s: %v", server.Mode.Name, a)
				}
				atOMS.add(server.Mode.Name, time.Since(began), peakOf(s.pid()))
			})
			all.Go(func() {
				began := time.Now()
				s.passing(t, live)
				atAPI.add(server.Mode.Name, time.Since(began), peakOf(s.pid()))
			})
		}
		all.Wait()
		s.client.CloseIdleConnections()
		s.stop(t)
	}
	atOMS.judge(t, "second factors at the OMS", 2*time.Second)
	atAPI.judge(t, "calls of the trade API", 2*time.Second)
}

// passing makes a trade call, reads what comes, and goes away after a second.
func (s *service) passing(t *testing.T, x session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.address()+"/Orders/2.0/quick/user/positions", nil)
	if err != nil {
		t.Error(err)
		return
	}
	for name, value := range map[string]string{"Authorization": "Bearer " + s.access, "Sid": x.sid, "Auth": x.token} {
		r.Header.Set(name, value)
	}
	if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// The client's commands, and a service with package verify, meet a hostile service.
func TestHostile_servicesCostTheirCallersLittle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "secrets"), "s3cret\na password\n")
	for kind, command := range map[string]func(at string) *exec.Cmd{
		"neo login": func(at string) *exec.Cmd {
			cmd := neo("login", "--env", at, "--consumer-key=key", "--user-id=asha", "--consumer-secret-file=-", "--password-file=-", "--otp-command=true",
				"--session", filepath.Join(dir, strings.TrimPrefix(at, "http://")+".json"))
			cmd.Stdin = strings.NewReader("s3cret\na password\n")
			return cmd
		},
		"neo doctor": func(at string) *exec.Cmd {
			cmd := neo("doctor", "--env", at, "--consumer-key=key", "--consumer-secret-file=-", "--session", filepath.Join(dir, "none"))
			cmd.Stdin = strings.NewReader("s3cret\n")
			return cmd
		},
		"package verify": func(at string) *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), verifyEnv+"="+at)
			return cmd
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var c toll
			var all sync.WaitGroup
			turns := make(chan struct{}, 4)
			for _, server := range hostiletest.Start(t, some(hostiletest.HTTP()), nil) {
				turns <- struct{}{}
				all.Go(func() {
					defer func() { <-turns }()
					took, mb := measured(t, command("http://"+server.Addr))
					c.add(server.Mode.Name, took, mb)
				})
			}
			all.Wait()
			c.judge(t, kind, time.Minute)
		})
	}
}

// measured runs a command, and returns how long it took and its peak of memory in MB. It
// kills one that waits for a server for more than a minute.
func measured(t *testing.T, cmd *exec.Cmd) (took time.Duration, mb int) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0, 0
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	for {
		mb = max(mb, peakOf(cmd.Process.Pid))
		select {
		case <-ended:
			if strings.Contains(out.String(), "panic") {
				t.Error(out.String())
			}
			return time.Since(began), mb
		case <-time.After(10 * time.Millisecond):
			if time.Since(began) > noisy(time.Minute) {
				_ = cmd.Process.Kill()
			}
		}
	}
}

// personsBy adds the demo consumer, and an account for each courier, by which its codes
// go, or the first one. The service must not run.
func (s *service) personsBy(t *testing.T, couriers []string) (all []person) {
	t.Helper()
	data, err := serve.Open(t.Context(), serve.Place{Dir: s.dir, Database: s.database}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Close() }()
	admin := data.Admin()
	_, _, err = admin.AddConsumer(t.Context(), sandbox.DemoConsumerKey, "", sandbox.DemoConsumerSecret, 0)
	if err := errors.Join(err, data.ClaimKind(t.Context(), serve.Service)); err != nil {
		t.Fatal(err)
	}
	hashed, err := admin.Hash(operator.NewAccount{
		UCC: "UCC", UserID: "user", Mobile: "9876543210", Password: sandbox.DemoPassword, MPIN: sandbox.DemoMPIN, TOTPSeed: sandbox.DemoTOTPSeed,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, courier := range couriers {
		p := person{"", fmt.Sprintf("UCC%03d", i), fmt.Sprintf("user%03d", i), fmt.Sprintf("+9198765%05d", i)}
		h := hashed.As("", p.ucc, p.user, p.mobile, "")
		h.Reach = login.Reach{Email: p.user + "@example.com"}
		if courier != "" {
			h.Reach.Couriers = []string{courier}
		}
		if _, err := admin.AddHashed(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

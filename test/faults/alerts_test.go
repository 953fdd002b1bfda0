//go:build linux

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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

	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"neoapi/internal/login"
	mustskip "neoapi/internal/must"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/internal/telemetry"
)

// A prometheus scrapes services and evaluates deploy/alerts.yaml every second. Each alert
// fires as soon as its expression is true: how long it must be true is left out.
type prometheus struct {
	web   *service
	all   []string // names of alerts
	fired map[string]bool
}

func startPrometheus(t *testing.T, targets ...string) *prometheus {
	t.Helper()
	found, err := exec.LookPath("prometheus")
	if err != nil {
		mustskip.Skip(t, "there is no prometheus")
	}
	rules, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &prometheus{fired: map[string]bool{}}
	for _, m := range regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllSubmatch(rules, -1) {
		p.all = append(p.all, string(m[1]))
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"prometheus.yaml": fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs: [{job_name: neo, static_configs: [{targets: [%s]}]}]
`, strings.Join(targets, ", ")),
		"rules.yaml": regexp.MustCompile(`(?m)^ *for: .*\n`).ReplaceAllString(string(rules), ""),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(found, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	p.web = &service{url: "http://" + address, client: &http.Client{Timeout: time.Minute}}
	within(t, time.Minute, "Prometheus being ready", func() bool { return p.web.callOnce("ready", "GET", "/-/ready", nil).good() })
	return p
}

// firing returns the alerts that fire now.
func (p *prometheus) firing(t *testing.T) (all []string) {
	t.Helper()
	var body struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	a := p.web.callOnce("alerts", "GET", "/api/v1/alerts", nil)
	if err := json.Unmarshal(a.body, &body); err != nil || !a.good() {
		t.Fatal(a, err)
	}
	for _, x := range body.Data.Alerts {
		if x.State == "firing" {
			all = append(all, x.Labels["alertname"])
		}
	}
	return all
}

// fire repeats what leads to a fault until all those alerts fire.
func (p *prometheus) fire(t *testing.T, cause func(), names ...string) {
	t.Helper()
	var all []string
	took := within(t, 2*time.Minute, fmt.Sprint("alerts ", names), func() bool {
		if cause != nil {
			cause()
		}
		all = p.firing(t)
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(all, name) })
	})
	t.Logf("%v after %s; firing %v", names, took.Round(time.Millisecond), all)
	for _, name := range names {
		p.fired[name] = true
	}
}

// stuck is an OMS whose Close never returns, which no real one can cause.
type stuck struct {
	login.OMS
	until chan struct{}
}

func (s stuck) Remote() bool                        { return true }
func (s stuck) Close(context.Context, string) error { <-s.until; return nil }

// startStuck starts a service in this process with a job that does not return, and
// returns its operator's address.
func startStuck(t *testing.T) (address string) {
	t.Helper()
	data, err := serve.Open(t.Context(), serve.Place{Dir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	until := make(chan struct{})
	cfg := serve.Config{Telemetry: telemetry.New(nil), Log: slog.New(slog.DiscardHandler), OMS: stuck{until: until}}
	server, err := serve.New(t.Context(), data, cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, l) }()
	status := httptest.NewServer(server.Status())
	t.Cleanup(func() {
		status.Close()
		close(until)
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	})
	addClosing(t, data, time.Now())
	return strings.TrimPrefix(status.URL, "http://")
}

// startStrained starts a sandbox whose log goes to a pipe that nobody reads, and returns
// its operator's address and the pipe.
func startStrained(t *testing.T) (s *service, address string, log *os.File) {
	t.Helper()
	_, log = narrowPipe(t)
	address = freeAddress(t)
	s = prepare(t, t.TempDir(), "", "sandbox", "--consumer-rate=0", "--metrics="+address)
	s.stderr = log
	s.start(t)
	s.again = false
	return s, address, log
}

// addClosing stores that the OMS has to be told of the end of a session.
func addClosing(t *testing.T, data *serve.Data, since time.Time) {
	t.Helper()
	j := login.Job{ID: "closing", Kind: login.JobClose, SID: "sid", Account: "account", Created: since, Expires: time.Now().Add(time.Hour)}
	if err := data.Store.AddJob(t.Context(), j); err != nil {
		t.Fatal(err)
	}
}

// Each alert fires when its fault is made: Prometheus evaluates it on the metrics of the
// real service.
func TestAlerts_fireAtTheirFaults(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prometheus"); err != nil {
		mustskip.Skip(t, "there is no prometheus")
	}
	o := startOutside(t)
	set := func(f func()) {
		o.mu.Lock()
		defer o.mu.Unlock()
		f()
	}
	s := prepare(t, t.TempDir(), "", append([]string{
		"serve", "--consumer-rate=0", "--wrong-logins=0", "--metrics=127.0.0.1:0", "--trade-api=http://127.0.0.1:1",
	}, o.files(t)...)...)
	persons := s.addPersons(t, 24)
	s.start(t)
	s.logIn(t)
	s.again = false
	own := s.own(t)
	strained, address, log := startStrained(t)
	p := startPrometheus(t, strings.TrimPrefix(own.url, "http://"), startStuck(t), address)

	view := func(p person) session { return must(t, p, s.password(p, sandbox.DemoPassword)) }

	p.fire(t, nil, "NeoTradeAPIDown")

	fill(t, log)
	p.fire(t, func() { strained.logs(t) }, "NeoLogLost")
	low := unix.Rlimit{Cur: 60, Max: 60}
	if err := unix.Prlimit(strained.pid(), unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	strained.crowd(t, 100)
	p.fire(t, nil, "NeoOutOfFiles")

	set(func() { o.slow = time.Second })
	s.again = true
	p.fire(t, func() {
		x := view(persons[0])
		if a := s.secondMPIN(x, sandbox.DemoMPIN, "slow-"+x.sid); !a.good() {
			t.Fatal(a)
		}
	}, "NeoSlowSecondFactor")

	set(func() { o.slow, o.full = 0, true })
	s.ask(t, persons[2:4]) // one by SMS, one by mail
	p.fire(t, nil, "NeoCodesNotSent", "NeoCourierDown")

	set(func() { o.down = true })
	data, err := serve.Open(t.Context(), serve.Place{Dir: s.dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	addClosing(t, data, time.Now().Add(-11*time.Minute))
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	next := 4
	s.again = false
	p.fire(t, func() {
		if next++; next < 20 {
			x := view(persons[next])
			s.secondMPIN(x, sandbox.DemoMPIN, "down-"+x.sid)
		}
	}, "NeoOMSDown", "NeoJobsWait")

	free := lockFile(t, s)
	p.fire(t, func() { s.password(persons[22], sandbox.DemoPassword) }, "NeoStoreDown", "NeoFaults")
	free()

	// More logins at once than can be hashed.
	p.fire(t, func() { crowd(100, func(int) { s.password(persons[20], sandbox.DemoPassword) }) }, "NeoOverloaded")

	// Somebody guesses.
	p.fire(t, func() {
		crowd(16, func(int) {
			for range 50 {
				s.totp(persons[21], "000000")
			}
		})
	}, "NeoGuessing")

	ages(t, s, 181*24*time.Hour)
	p.fire(t, nil, "NeoOldKey")

	if err := os.Remove(filepath.Join(s.dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	p.fire(t, nil, "NeoMasterKey")

	p.fire(t, nil, "NeoJobsGivenUp")

	s.stop(t)
	p.fire(t, nil, "NeoDown")
	for _, name := range p.all {
		if !p.fired[name] {
			t.Errorf("nobody has seen %s fire: make its fault here", name)
		}
	}
}

// crowd runs f so many times at once.
func crowd(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// ages makes the service's signing key so much older.
func ages(t *testing.T, s *service, by time.Duration) {
	t.Helper()
	c, err := sqlite.OpenConn(filepath.Join(s.dir, "neo.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	within(t, noisy(recoverWithin), "an older key", func() bool {
		return sqlitex.ExecuteTransient(c, fmt.Sprintf("UPDATE signing_keys SET created = created - %d", by.Milliseconds()), nil) == nil
	})
}

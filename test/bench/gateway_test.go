package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"neoapi/internal/nginxtest"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/wire"
)

// bareProxy names the trade API for a process that is nothing but a
// [httputil.ReverseProxy].
const bareProxy = "NEO_BENCH_BARE_PROXY"

// serveBare is that process.
func serveBare(upstream string) {
	to, err := url.Parse(upstream)
	if err != nil {
		panic(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	server := httptest.NewServer(proxy)
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

// bareGateway starts the bare proxy before a trade API.
func bareGateway(b *testing.B, upstream string) *service {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bareProxy+"="+upstream)
	return process(b, cmd)
}

// process starts a command that ends with its input and prints its address first.
func process(b *testing.B, cmd *exec.Cmd) *service {
	b.Helper()
	s := &service{client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	cmd.Stderr = os.Stderr
	must(b, cmd.Start())
	first, err := bufio.NewReader(out).ReadString('\n')
	must(b, err)
	s.url, s.pid = strings.TrimSpace(first), cmd.Process.Pid
	b.Cleanup(func() {
		must(b, in.Close())
		_ = cmd.Wait()
	})
	return s
}

// startGateway starts neo serve before a trade API, with a consumer whose rate is
// counted and not reached, and opens a session there.
func startGateway(b *testing.B, flags ...string) (*service, wire.Session) {
	b.Helper()
	build(b)
	s := &service{dir: b.TempDir(), client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	ctx := context.Background()
	data, err := serve.Open(ctx, serve.Place{Dir: s.dir}, nil)
	must(b, err)
	admin := data.Admin()
	consumer, secret, err := admin.AddConsumer(ctx, "bench", "bench", "", 1_000_000)
	must(b, err)
	_, err = admin.AddAccount(ctx, operator.NewAccount{UCC: "BENCH1", UserID: "bench", Mobile: "+919999999908", GreetingName: "Bench", Password: "correct horse", MPIN: "246810"})
	must(b, err)
	must(b, data.Close())

	cmd := exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", s.dir}, flags...)...)
	log, err := cmd.StderrPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		must(b, cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait()
	})
	s.pid = cmd.Process.Pid
	lines := bufio.NewReader(log)
	for s.url == "" {
		line, err := lines.ReadString('\n')
		must(b, err)
		if _, after, found := strings.Cut(line, `"url":"`); found {
			s.url, _, _ = strings.Cut(after, `"`)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	s.signIn(b, consumer.Key, string(secret))
	view := s.session(b, nil, map[string]string{"userid": "bench", "password": "correct horse"})
	return s, s.session(b, map[string]string{"sid": view.SID, "Auth": view.Token}, map[string]string{"mpin": "246810"})
}

// BenchmarkGateway is what a call that goes through costs above one through a bare
// httputil.ReverseProxy, once its token is known. The bar is 25 µs of CPU.
func BenchmarkGateway(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"stat":"Ok","stCode":200,"data":[]}`)
	}))
	b.Cleanup(upstream.Close)
	bare := bareGateway(b, upstream.URL)
	gate, session := startGateway(b, "--trade-api", upstream.URL)
	bare.access = gate.access
	header := map[string]string{"Sid": session.SID, "Auth": session.Token, "neo-fin-key": wire.FinKey}
	const path = "/Orders/2.0/quick/order/rule/ms/place?sId=server1"
	calls := func(s *service, n int) time.Duration {
		before := s.cpu(b)
		together(n, func(int) {
			s.do(b, "POST", path, header, map[string]string{"jData": `{"am":"NO","dq":"0","es":"nse_cm","qt":"1","ts":"ITBEES-EQ"}`})
		})
		return s.cpu(b) - before
	}
	calls(bare, 1000)
	calls(gate, 1000)
	b.ResetTimer()
	var without, with time.Duration
	for left := b.N; left > 0; left -= 500 { // in turn: the machine's speed drifts
		n := min(left, 500)
		without += calls(bare, n)
		with += calls(gate, n)
	}
	b.StopTimer()
	report := func(d time.Duration, unit string) { b.ReportMetric(float64(d.Nanoseconds())/float64(b.N)/1e3, unit) }
	report(without, "bare-µs/op")
	report(with, "gateway-µs/op")
	report(with-without, "more-µs/op")
}

// BenchmarkAuth is one question at /auth, whole server.
func BenchmarkAuth(b *testing.B) {
	s, session := startGateway(b)
	header := map[string]string{"Sid": session.SID, "Auth": session.Token}
	ask := func(n int) time.Duration {
		before := s.cpu(b)
		together(n, func(int) { s.do(b, "GET", "/auth", header, nil) })
		return s.cpu(b) - before
	}
	ask(1000)
	b.ResetTimer()
	took := ask(b.N)
	b.StopTimer()
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/1e3, "cpu-µs/op")
}

// BenchmarkAuthBehindNginx is one question at /auth that nginx asks before it
// passes a call on: the CPU of both, nginx's with the call itself. The bar is 10,000 questions a second on two processors.
func BenchmarkAuthBehindNginx(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }))
	b.Cleanup(upstream.Close)
	s, session := startGateway(b, "--trusted-proxy", "127.0.0.1")
	address := func(url string) string { return strings.TrimPrefix(url, "http://") }
	front := nginxtest.Start(b, "../../deploy/nginx.conf", address(s.url), address(upstream.URL))
	through := *s
	through.url = front.URL
	header := map[string]string{"Sid": session.SID, "Auth": session.Token}
	const busy = 32 // calls at once: with few of them a Go process spends its time on looking for the next
	through.client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: busy}}
	call := func(n int) {
		over(busy, n, func(int) {
			through.do(b, "POST", "/Orders/2.0/quick/order/rule/ms/place", header, map[string]string{"jData": "{}"})
		})
	}
	call(1000)
	b.ResetTimer()
	service, nginx := s.cpu(b), workers(b, front.PID)
	call(b.N)
	service, nginx = s.cpu(b)-service, workers(b, front.PID)-nginx
	b.StopTimer()
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N) / 1e3 }
	b.ReportMetric(each(service), "service-µs/op")
	b.ReportMetric(each(nginx), "nginx-µs/op")
	b.ReportMetric(2e6/each(service+nginx), "calls/s-on-two")
}

// workers returns the CPU time of a process's children: nginx's workers.
func workers(b *testing.B, pid int) (sum time.Duration) {
	b.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	must(b, err)
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		must(b, err)
		sum += (&service{pid: n}).cpu(b)
	}
	return sum
}

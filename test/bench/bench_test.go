// Package bench measures the service as a whole process, from outside: CPU for
// each operation, beside the bare signature or verification by the same key in
// the same run. Wall time says little on a shared machine; CPU says what an
// operation costs.
//
//	go test -run '^$' -bench . ./test/bench
package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"neoapi/internal/credential"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/internal/token"
	"neoapi/internal/wire"
)

// service is neo sandbox in a process of its own, with the benchmark's hand on
// its data directory.
type service struct {
	url    string
	dir    string
	pid    int
	data   *serve.Data
	key    token.Key
	ring   *token.Ring
	access string
	ready  time.Duration // from the process's start to the line that says it is ready
	client http.Client
	stop   func()
}

var binary string

func TestMain(m *testing.M) {
	if upstream := os.Getenv(bareProxy); upstream != "" {
		serveBare(upstream)
		return
	}
	dir, err := os.MkdirTemp("", "neo-bench-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "neo")
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func build(b *testing.B) {
	b.Helper()
	if _, err := os.Stat(binary); err == nil {
		return
	}
	cmd := exec.Command("go", "build", "-tags", tags, "-o", binary, "neoapi/cmd/neo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

// start runs neo sandbox on a data directory and stops it at the benchmark's end.
func start(b *testing.B, dir string, flags ...string) *service {
	return startAt(b, serve.Place{Dir: dir}, flags...)
}

// startAt is start for a service whose records may be in PostgreSQL.
func startAt(b *testing.B, place serve.Place, flags ...string) *service {
	b.Helper()
	build(b)
	dir := place.Dir
	s := &service{dir: dir, client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	cmd := exec.Command(binary, append([]string{"sandbox", "--quiet", "--listen", "127.0.0.1:0", "--consumer-rate", "0", "--data", dir}, flags...)...)
	if place.Database != "" {
		cmd.Args = append(cmd.Args, "--database", place.Database)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(b, err)
	began := time.Now()
	must(b, cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	must(b, err)
	s.ready = time.Since(began)
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	s.url = strings.TrimSpace(first[strings.LastIndex(first, " "):])
	s.pid = cmd.Process.Pid
	s.data, err = serve.Open(context.Background(), place, nil)
	must(b, err)
	s.stop = sync.OnceFunc(func() {
		must(b, s.data.Close())
		must(b, cmd.Process.Signal(syscall.SIGTERM))
		must(b, cmd.Wait())
	})
	b.Cleanup(s.stop)

	keys, err := s.data.Store.SigningKeys(context.Background())
	must(b, err)
	plain, err := s.data.Vault.Open(credential.PurposeSigningKey, keys[0].ID, keys[0].Sealed)
	must(b, err)
	s.key, err = token.ParseKey(plain)
	must(b, err)
	s.ring, err = token.NewRing([]token.Key{s.key}, s.key.ID)
	must(b, err)

	s.signIn(b, sandbox.DemoConsumerKey, sandbox.DemoConsumerSecret)
	return s
}

// signIn gets an access token.
func (s *service) signIn(b *testing.B, consumer, secret string) {
	b.Helper()
	var access wire.AccessToken
	must(b, json.Unmarshal(s.do(b, "POST", "/oauth2/token", nil, map[string]string{
		"grant_type": "client_credentials", "client_id": consumer, "client_secret": secret,
	}), &access))
	s.access = access.AccessToken
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// do sends one request and returns the body of its success.
func (s *service) do(b *testing.B, method, path string, header map[string]string, body any) []byte {
	b.Helper()
	status, answer := s.send(b, method, path, header, body)
	if status/100 != 2 {
		b.Fatalf("%s: %d %s", path, status, answer)
	}
	return answer
}

// send sends one request and returns its answer.
func (s *service) send(b *testing.B, method, path string, header map[string]string, body any) (status int, answer []byte) {
	b.Helper()
	text, err := json.Marshal(body)
	must(b, err)
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(text))
	must(b, err)
	req.Header.Set("Content-Type", "application/json")
	if s.access != "" {
		req.Header.Set("Authorization", "Bearer "+s.access)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := s.client.Do(req)
	must(b, err)
	answer, err = io.ReadAll(resp.Body)
	must(b, err)
	must(b, resp.Body.Close())
	return resp.StatusCode, answer
}

// cpu returns the CPU time that the service's threads have used, by the
// scheduler's own account, which is exact where the one in ticks is sampled.
func (s *service) cpu(b *testing.B) time.Duration {
	b.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.pid))
	must(b, err)
	var sum int64
	for _, path := range threads {
		text, err := os.ReadFile(path)
		must(b, err)
		n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		must(b, err)
		sum += n
	}
	return time.Duration(sum)
}

// memory returns the resident memory of the service's process in MB.
func (s *service) memory(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid))
	must(b, err)
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	must(b, err)
	return pages * float64(os.Getpagesize()) / 1e6
}

// own returns the CPU time that f takes in this process.
func own(b *testing.B, f func()) time.Duration {
	b.Helper()
	read := func() time.Duration {
		var u syscall.Rusage
		must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := read()
	f()
	return read() - before
}

// bare returns the CPU of one bare operation. It runs on all processors at once,
// as the service and this client do: two threads of one core slow each other
// down, and that must not count for one side only.
func bare(b *testing.B, n int, op func() error) time.Duration {
	b.Helper()
	workers := runtime.GOMAXPROCS(0)
	return own(b, func() {
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for range n {
					if err := op(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	}) / time.Duration(n*workers)
}

// signature and verification return the CPU of one bare RS256 operation by the
// service's key.
func (s *service) signature(b *testing.B) time.Duration {
	digest := sha256.Sum256([]byte("a token"))
	return bare(b, 100, func() error {
		_, err := rsa.SignPKCS1v15(nil, s.key.Private, crypto.SHA256, digest[:])
		return err
	})
}

func (s *service) verification(b *testing.B) time.Duration {
	digest := sha256.Sum256([]byte("a token"))
	sig, err := rsa.SignPKCS1v15(nil, s.key.Private, crypto.SHA256, digest[:])
	must(b, err)
	return bare(b, 2000, func() error {
		return rsa.VerifyPKCS1v15(&s.key.Private.PublicKey, crypto.SHA256, digest[:], sig)
	})
}

// perOp reports what each of b.N operations cost the service, beside a signature.
// The two are measured in turn, in small parts: the machine's speed drifts.
func (s *service) perOp(b *testing.B, run func(i int)) {
	b.Helper()
	const part = 250
	var cost, one time.Duration
	parts := 0
	b.ResetTimer()
	for from := 0; from < b.N; from += part {
		b.StopTimer()
		one += s.signature(b)
		parts++
		before := s.cpu(b)
		b.StartTimer()
		together(min(part, b.N-from), func(i int) { run(from + i) })
		cost += s.cpu(b) - before
	}
	b.StopTimer()
	each := cost / time.Duration(b.N)
	one /= time.Duration(parts)
	b.ReportMetric(float64(each.Nanoseconds())/1e3, "cpu-µs/op")
	b.ReportMetric(float64(one.Nanoseconds())/1e3, "bare-µs")
	b.ReportMetric(float64(each)/float64(one), "signatures/op")
}

// connections is how many requests are under way at once. With a single one a
// Go process spends CPU on looking for more work, which is not the operation's.
const connections = 8

// together runs f for 0 to n-1 over all connections.
func together(n int, f func(i int)) { over(connections, n, f) }

// over runs f for 0 to n-1 over so many connections.
func over(connections, n int, f func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	all.Wait()
}

// waiting is a login that has its one-time code.
type waiting struct{ sid, auth, userID, otp string }

// totpLogin logs a demo account in, which costs the service no password hash.
func (s *service) totpLogin(b *testing.B, n int) wire.Session {
	b.Helper()
	ucc, _, mobile, _ := sandbox.DemoAccount(n)
	seed, err := credential.ParseTOTPSeed(sandbox.DemoTOTPSeed)
	must(b, err)
	code, err := credential.TOTPCode(seed, credential.TOTPStep(time.Now()))
	must(b, err)
	var answer wire.Success[wire.Session]
	must(b, json.Unmarshal(s.do(b, "POST", "/apim/login/2.0/login/v6/totp/login", nil,
		map[string]string{"mobileNumber": mobile, "ucc": ucc, "totp": string(code)}), &answer))
	return answer.Data
}

// waiting logs a demo account in and asks for its one-time code.
func (s *service) waiting(b *testing.B, n int) waiting {
	b.Helper()
	view := s.totpLogin(b, n)
	claims, err := s.ring.View(view.Token, time.Now())
	must(b, err)
	s.do(b, "POST", "/login/1.0/login/otp/generate", map[string]string{"sid": view.SID}, map[string]string{"userId": claims.Sub})
	otp := s.do(b, "GET", "/sandbox/otp/"+view.UCC, nil, nil)
	return waiting{view.SID, view.Token, claims.Sub, string(otp)}
}

const validate = "/login/1.0/login/v2/validate"

func (s *service) secondFactor(b *testing.B, w waiting) wire.Session {
	return s.session(b, map[string]string{"sid": w.sid, "Auth": w.auth}, map[string]string{"userId": w.userID, "otp": w.otp})
}

// session is one factor, the first or the second.
func (s *service) session(b *testing.B, header, body map[string]string) wire.Session {
	b.Helper()
	var answer wire.Success[wire.Session]
	must(b, json.Unmarshal(s.do(b, "POST", validate, header, body), &answer))
	return answer.Data
}

// ask is one factor at an address. ok is false if the service has no place for it.
func (s *service) ask(b *testing.B, path string, header, body map[string]string) (session wire.Session, ok bool) {
	b.Helper()
	status, answer := s.send(b, "POST", path, header, body)
	switch status {
	case http.StatusOK:
		var got wire.Success[wire.Session]
		must(b, json.Unmarshal(answer, &got))
		return got.Data, true
	case http.StatusServiceUnavailable:
		return session, false
	}
	b.Fatalf("%s: %d %s", path, status, answer)
	return session, false
}

// BenchmarkSession2FA is one session_2fa by OTP over HTTP on SQLite, whole
// server. The bar is 1.15 signatures.
func BenchmarkSession2FA(b *testing.B) {
	const warm = 200
	s := start(b, b.TempDir(), "--accounts", strconv.Itoa(b.N+warm))
	all := make([]waiting, b.N+warm)
	together(len(all), func(i int) { all[i] = s.waiting(b, i+1) })
	for _, w := range all[b.N:] {
		s.secondFactor(b, w)
	}
	s.perOp(b, func(i int) { s.secondFactor(b, all[i]) })
}

// BenchmarkLogin is one login apart from argon2id: by TOTP, which does all that
// a password login does but for the hash, and checks and marks the code besides.
// The bar is 1.25 signatures.
func BenchmarkLogin(b *testing.B) {
	s := start(b, b.TempDir(), "--accounts", strconv.Itoa(b.N))
	s.perOp(b, func(i int) { s.totpLogin(b, i+1) })
}

// BenchmarkTradeCheck is the check of a trade session: what a trade call costs
// above a call that checks nothing. The bar is 2 verifications.
func BenchmarkTradeCheck(b *testing.B) {
	s := start(b, b.TempDir(), "--accounts", "1")
	session := s.secondFactor(b, s.waiting(b, 1))
	header := map[string]string{"Sid": session.SID, "Auth": session.Token}
	calls := func(path string, n int) time.Duration {
		before := s.cpu(b)
		together(n, func(int) { s.do(b, "GET", path, header, nil) })
		return s.cpu(b) - before
	}
	const nothing, positions = "/5config/config", "/orderapi/1.0/quick/user/positions"
	calls(nothing, 500)
	b.ResetTimer()
	var free, checked, one time.Duration
	parts := 0
	for left := b.N; left > 0; left -= 500 { // in turn: the machine's speed drifts
		n := min(left, 500)
		free += calls(nothing, n)
		checked += calls(positions, n)
		one += s.verification(b)
		parts++
	}
	b.StopTimer()
	one /= time.Duration(parts)
	each := (checked - free) / time.Duration(b.N)
	b.ReportMetric(float64(free.Nanoseconds())/float64(b.N)/1e3, "unchecked-µs/op")
	b.ReportMetric(float64(each.Nanoseconds())/1e3, "cpu-µs/op")
	b.ReportMetric(float64(one.Nanoseconds())/1e3, "bare-µs")
	b.ReportMetric(float64(each)/float64(one), "verifications/op")
}

// fill puts accounts and live trade sessions of nobody in particular into the
// database of a service, in bulk.
func (s *service) fill(b *testing.B, accounts, sessions int) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+s.dir+"/neo.db?_pragma=busy_timeout(10000)")
	must(b, err)
	for _, query := range []string{
		fmt.Sprintf(`INSERT INTO accounts WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
			SELECT lower(hex(randomblob(18))), 'FILL'||i, 'filler'||i, '+1415'||(1000000+i), randomblob(32), randomblob(40), 'Filler', hex(randomblob(48)),
			hex(randomblob(48)), NULL, '{"lastUpdatedTS":1654684389}', 0, 1 FROM n`, accounts),
		fmt.Sprintf(`INSERT INTO sessions WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
			SELECT NULL, lower(hex(randomblob(18))), lower(hex(randomblob(18))), 'trade', lower(hex(randomblob(18))), 'FILL'||i, 'sandbox-consumer', 'password',
			lower(hex(randomblob(18))), lower(hex(randomblob(18))), hex(randomblob(21)), 'server1', 1, 4102444800000+i, 0, 0, 1, NULL, 0, 0, '', 0, 1, NULL FROM n`, sessions),
	} {
		_, err := db.Exec(query)
		must(b, err)
	}
	must(b, db.Close())
}

// BenchmarkScale is what a session_2fa costs with a million accounts and 100,000
// live sessions in the file, beside one with a thousand. The bar is 1.2.
func BenchmarkScale(b *testing.B) {
	const part = 250
	few, many := start(b, b.TempDir(), "--accounts", strconv.Itoa(b.N)), start(b, b.TempDir(), "--accounts", strconv.Itoa(b.N))
	few.fill(b, 1_000, 1_000)
	many.fill(b, 1_000_000, 100_000)
	var cost [2]time.Duration
	b.ResetTimer()
	for from := 0; from < b.N; from += part {
		n := min(part, b.N-from)
		for i, s := range []*service{few, many} {
			all := make([]waiting, n)
			together(n, func(i int) { all[i] = s.waiting(b, from+i+1) })
			before := s.cpu(b)
			together(n, func(i int) { s.secondFactor(b, all[i]) })
			cost[i] += s.cpu(b) - before
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cost[0].Microseconds())/float64(b.N), "few-cpu-µs/op")
	b.ReportMetric(float64(cost[1].Microseconds())/float64(b.N), "many-cpu-µs/op")
	b.ReportMetric(float64(cost[1])/float64(cost[0]), "many/few")
}

// BenchmarkStart is a sandbox's first start: the bars are 0.5 s, 40 MB resident
// and 35 MB of program.
func BenchmarkStart(b *testing.B) {
	build(b)
	var ready time.Duration
	var memory float64
	for range b.N {
		s := start(b, b.TempDir())
		ready += s.ready
		memory = max(memory, s.memory(b))
		b.StopTimer()
		s.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(ready.Milliseconds())/float64(b.N), "ready-ms")
	b.ReportMetric(memory, "resident-MB")
	info, err := os.Stat(binary)
	must(b, err)
	b.ReportMetric(float64(info.Size())/1e6, "binary-MB")
}

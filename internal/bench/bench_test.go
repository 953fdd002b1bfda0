// Package bench measures the service as a whole process, from outside: CPU for
// each operation, beside the bare signature or verification by the same key in
// the same run. Wall time says little on a shared machine; CPU says what an
// operation costs.
//
//	go test -run '^$' -bench . ./internal/bench
package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/serve"
	"neoapi/internal/token"
	"neoapi/internal/wire"
)

// service is neo sandbox in a process of its own, with the benchmark's hand on
// its data directory.
type service struct {
	url    string
	pid    int
	data   *serve.Data
	key    token.Key
	ring   *token.Ring
	access string
	ready  time.Duration // from the process's start to the line that says it is ready
	client http.Client
}

var binary string

func TestMain(m *testing.M) {
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
	cmd := exec.Command("go", "build", "-o", binary, "neoapi/cmd/neo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

// start runs neo sandbox on a data directory and stops it at the benchmark's end.
func start(b *testing.B, dir string, flags ...string) *service {
	b.Helper()
	build(b)
	s := &service{}
	cmd := exec.Command(binary, append([]string{"sandbox", "--quiet", "--listen", "127.0.0.1:0", "--consumer-rate", "0", "--data", dir}, flags...)...)
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
	b.Cleanup(func() {
		must(b, cmd.Process.Signal(syscall.SIGTERM))
		must(b, cmd.Wait())
	})
	s.data, err = serve.Open(context.Background(), dir, nil)
	must(b, err)
	b.Cleanup(func() { must(b, s.data.Close()) })

	keys, err := s.data.Store.SigningKeys(context.Background())
	must(b, err)
	plain, err := s.data.Vault.Open(credential.PurposeSigningKey, keys[0].ID, keys[0].Sealed)
	must(b, err)
	s.key, err = token.ParseKey(plain)
	must(b, err)
	s.ring, err = token.NewRing([]token.Key{s.key}, s.key.ID)
	must(b, err)

	var access wire.AccessToken
	must(b, json.Unmarshal(s.do(b, "POST", "/oauth2/token", nil, map[string]string{
		"grant_type": "client_credentials", "client_id": serve.DemoConsumerKey, "client_secret": serve.DemoConsumerSecret,
	}), &access))
	s.access = access.AccessToken
	return s
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
	answer, err := io.ReadAll(resp.Body)
	must(b, err)
	must(b, resp.Body.Close())
	if resp.StatusCode/100 != 2 {
		b.Fatalf("%s: %s %s", path, resp.Status, answer)
	}
	return answer
}

// cpu returns the CPU time that the service's process has used.
func (s *service) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	must(b, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		must(b, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
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

// signature and verification return the CPU of one bare RS256 operation by the
// service's key.
func (s *service) signature(b *testing.B) time.Duration {
	digest := sha256.Sum256([]byte("a token"))
	const n = 500
	return own(b, func() {
		for range n {
			if _, err := rsa.SignPKCS1v15(nil, s.key.Private, crypto.SHA256, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	}) / n
}

func (s *service) verification(b *testing.B) time.Duration {
	digest := sha256.Sum256([]byte("a token"))
	sig, err := rsa.SignPKCS1v15(nil, s.key.Private, crypto.SHA256, digest[:])
	must(b, err)
	const n = 20_000
	return own(b, func() {
		for range n {
			if err := rsa.VerifyPKCS1v15(&s.key.Private.PublicKey, crypto.SHA256, digest[:], sig); err != nil {
				b.Fatal(err)
			}
		}
	}) / n
}

// perOp reports what each of b.N operations cost the service, beside a bare
// operation, which is measured before and after: the machine's speed drifts.
func (s *service) perOp(b *testing.B, bare func(*testing.B) time.Duration, name string, run func()) {
	b.Helper()
	one := bare(b)
	before := s.cpu(b)
	b.ResetTimer()
	run()
	b.StopTimer()
	each := (s.cpu(b) - before) / time.Duration(b.N)
	one = (one + bare(b)) / 2
	b.ReportMetric(float64(each.Microseconds()), "cpu-µs/op")
	b.ReportMetric(float64(one.Nanoseconds())/1e3, "bare-µs")
	b.ReportMetric(float64(each)/float64(one), name)
}

// waiting is a view session with an OTP, as a login and a request for a code
// leave it.
type waiting struct{ sid, auth, userID, otp string }

// views puts n of them into the store, without the cost of passwords.
func (s *service) views(b *testing.B, n int) []waiting {
	b.Helper()
	ctx, now := context.Background(), time.Now()
	account, err := s.data.Store.Account(ctx, login.Identifier{Kind: login.ByUCC, Value: serve.DemoUCC})
	must(b, err)
	all := make([]waiting, n)
	for i := range all {
		v := login.Session{
			SID: uuid.NewString(), RID: uuid.NewString(), Kind: login.View, Account: account.ID, UCC: account.UCC,
			Consumer: serve.DemoConsumerKey, First: login.Password, ViewID: uuid.NewString(), KeyID: s.key.ID,
			Issued: now, Expires: now.Add(time.Hour),
		}
		must(b, s.data.Store.OpenView(ctx, v, 0, login.Event{Time: now, Action: "login", Outcome: "ok"}))
		code := credential.NewOTP(6)
		_, err := s.data.Store.SetOTP(ctx, login.NewOTP{
			SID: v.SID, Hash: s.data.Vault.MAC(credential.PurposeOTP, v.SID, string(code)),
			Expires: now.Add(time.Hour), Now: now, PerHour: 1 << 30,
		})
		must(b, err)
		auth, err := s.ring.Mint(s.key.ID, wire.ViewClaims{
			Scope: []string{wire.ScopeView}, Exp: v.Expires.Unix(), Jti: v.ViewID, Iat: now.Unix(), Iss: wire.Issuer, Sub: account.ID, UCC: v.UCC,
		})
		must(b, err)
		all[i] = waiting{v.SID, auth, account.ID, string(code)}
	}
	return all
}

const validate = "/login/1.0/login/v2/validate"

func (s *service) secondFactor(b *testing.B, w waiting) wire.Session {
	var answer wire.Success[wire.Session]
	must(b, json.Unmarshal(s.do(b, "POST", validate, map[string]string{"sid": w.sid, "Auth": w.auth},
		map[string]string{"userId": w.userID, "otp": w.otp}), &answer))
	return answer.Data
}

// BenchmarkSession2FA is one session_2fa by OTP over HTTP on SQLite, whole
// server. The bar is 1.3 signatures.
func BenchmarkSession2FA(b *testing.B) {
	s := start(b, b.TempDir())
	all := s.views(b, b.N+100)
	for _, w := range all[b.N:] {
		s.secondFactor(b, w)
	}
	s.perOp(b, s.signature, "signatures/op", func() {
		for _, w := range all[:b.N] {
			s.secondFactor(b, w)
		}
	})
}

// BenchmarkLogin is one login apart from argon2id: by TOTP, which does all that
// a password login does but for the hash, and checks and marks the code besides.
// The bar is 1.5 signatures.
func BenchmarkLogin(b *testing.B) {
	s := start(b, b.TempDir(), "--accounts", strconv.Itoa(b.N))
	seed, err := credential.ParseTOTPSeed(serve.DemoTOTPSeed)
	must(b, err)
	s.perOp(b, s.signature, "signatures/op", func() {
		for n := range b.N {
			ucc, _, mobile, _ := serve.DemoAccount(n + 1)
			code, err := credential.TOTPCode(seed, credential.TOTPStep(time.Now()))
			must(b, err)
			s.do(b, "POST", "/apim/login/2.0/login/v6/totp/login", nil,
				map[string]string{"mobileNumber": mobile, "ucc": ucc, "totp": string(code)})
		}
	})
}

// BenchmarkTradeCheck is the check of a trade session: what a trade call costs
// above a call that checks nothing. The bar is 2 verifications.
func BenchmarkTradeCheck(b *testing.B) {
	s := start(b, b.TempDir())
	session := s.secondFactor(b, s.views(b, 1)[0])
	header := map[string]string{"Sid": session.SID, "Auth": session.Token}
	calls := func(path string) time.Duration {
		before := s.cpu(b)
		for range b.N {
			s.do(b, "GET", path, header, nil)
		}
		return s.cpu(b) - before
	}
	calls("/5config/config")
	one := s.verification(b)
	b.ResetTimer()
	free := calls("/5config/config")
	checked := calls("/orderapi/1.0/quick/user/positions")
	b.StopTimer()
	one = (one + s.verification(b)) / 2
	each := (checked - free) / time.Duration(b.N)
	b.ReportMetric(float64(each.Nanoseconds())/1e3, "cpu-µs/op")
	b.ReportMetric(float64(one.Nanoseconds())/1e3, "bare-µs")
	b.ReportMetric(float64(each)/float64(one), "verifications/op")
}

// BenchmarkStart is a sandbox's first start: the bars are 0.5 s and 40 MB.
func BenchmarkStart(b *testing.B) {
	build(b)
	var ready time.Duration
	var memory float64
	for range b.N {
		s := start(b, b.TempDir())
		ready += s.ready
		memory = max(memory, s.memory(b))
	}
	b.ReportMetric(float64(ready.Milliseconds())/float64(b.N), "ready-ms")
	b.ReportMetric(memory, "resident-MB")
	info, err := os.Stat(binary)
	must(b, err)
	b.ReportMetric(float64(info.Size())/1e6, "binary-MB")
}

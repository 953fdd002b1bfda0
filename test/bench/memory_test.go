package bench

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/sandbox"
)

// peak returns the most memory that the service's process has ever had resident,
// in MB.
func (s *service) peak(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	must(b, err)
	var kb float64
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmHWM:") {
			_, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb)
			must(b, err)
		}
	}
	return kb / 1e3
}

// BenchmarkParallelLogins sends 500 password logins at once, b.N times: memory is
// bounded, and what does not fit gets 503 at once (security.md P4).
func BenchmarkParallelLogins(b *testing.B) {
	const parallel = 500
	s := start(b, b.TempDir(), "--accounts", fmt.Sprint(parallel))
	s.client.Transport = &http.Transport{MaxIdleConnsPerHost: parallel}
	var good, busy atomic.Int64
	var slowest atomic.Int64
	b.ResetTimer()
	for range b.N {
		var all sync.WaitGroup
		for i := range parallel {
			all.Go(func() {
				begin := time.Now()
				switch status := s.passwordLogin(b, i+1); status {
				case http.StatusOK:
					good.Add(1)
				case http.StatusServiceUnavailable:
					busy.Add(1)
					for took := int64(time.Since(begin)); ; {
						if was := slowest.Load(); took <= was || slowest.CompareAndSwap(was, took) {
							break
						}
					}
				default:
					b.Errorf("status %d", status)
				}
			})
		}
		all.Wait()
	}
	b.StopTimer()
	b.ReportMetric(s.peak(b), "peak-MB")
	b.ReportMetric(float64(good.Load())/float64(b.N), "good/op")
	b.ReportMetric(float64(busy.Load())/float64(b.N), "busy/op")
	b.ReportMetric(float64(slowest.Load())/1e6, "slowest-503-ms")
}

// BenchmarkTenLogins sends ten password logins, one after the other, to a sandbox as it
// has started, b.N times, and reports what it then holds.
func BenchmarkTenLogins(b *testing.B) {
	var held float64
	for range b.N {
		s := start(b, b.TempDir(), "--accounts", "10")
		for i := range 10 {
			if status := s.passwordLogin(b, i+1); status != http.StatusOK {
				b.Errorf("status %d", status)
			}
		}
		held += s.memory(b)
		s.stop()
	}
	b.ReportMetric(held/float64(b.N), "resident-MB")
}

// BenchmarkInventedNames logs in under b.N names that nobody has: they cost
// bounded memory (the bar is 64 MiB for a million) and evict no real counter
// (security.md T8).
func BenchmarkInventedNames(b *testing.B) {
	s := start(b, b.TempDir(), "--accounts", "1")
	ucc, _, mobile, _ := sandbox.DemoAccount(1)
	attempt := func(mobile, ucc string) {
		status := s.try(b, "/apim/login/2.0/login/v6/totp/login", map[string]string{"mobileNumber": mobile, "ucc": ucc, "totp": "000000"})
		if status != http.StatusUnauthorized {
			b.Errorf("status %d", status)
		}
	}
	for range 10 {
		attempt(mobile, ucc)
	}
	before, most := s.memory(b), 0.0
	b.ResetTimer()
	const part = 1000 // the start's own peak was higher: look as it goes
	for from := 0; from < b.N; from += part {
		together(min(part, b.N-from), func(i int) { attempt(fmt.Sprintf("9%09d", from+i), "NOBODY") })
		most = max(most, s.memory(b))
	}
	b.StopTimer()
	b.ReportMetric(most-before, "grown-MB")
	b.ReportMetric(most, "resident-MB")
	account, err := s.data.Store.Account(b.Context(), login.Identifier{Kind: login.ByUCC, Value: credential.Secret(ucc)})
	must(b, err)
	state, err := s.data.Store.State(b.Context(), account.ID)
	must(b, err)
	if n := state.Failures[login.TOTP].Count; n != 10 {
		b.Errorf("a real account has %d failures, want 10", n)
	}
}

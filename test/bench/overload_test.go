package bench

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/sandbox"
)

// openLoop calls f at a steady rate, whether or not earlier calls have returned,
// and returns how long after its due time each was done: waiting is counted.
func openLoop(perSecond float64, d time.Duration, f func(i int)) []time.Duration {
	n := int(perSecond * d.Seconds())
	took := make([]time.Duration, n)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range n {
		due := begin.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		time.Sleep(time.Until(due))
		all.Go(func() {
			f(i)
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p))]
}

// passwordLogin tries to log a demo account in by password and returns the status.
func (s *service) passwordLogin(b *testing.B, n int) int {
	_, _, mobile, _ := sandbox.DemoAccount(n)
	return s.try(b, validate, map[string]string{"mobileNumber": mobile, "password": sandbox.DemoPassword})
}

// try sends one request and returns its status.
func (s *service) try(b *testing.B, path string, body any) int {
	text, err := json.Marshal(body)
	must(b, err)
	req, err := http.NewRequest("POST", s.url+path, bytes.NewReader(text))
	must(b, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.access)
	resp, err := s.client.Do(req)
	if err != nil {
		b.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		b.Error("503 without Retry-After")
	}
	return resp.StatusCode
}

// BenchmarkOverload offers ten times more password logins than the machine can
// hash, in an open loop, and looks at what becomes of the others: the p99 of
// session_2fa beside its p99 without load (the bar is 3), and the logins that
// succeed beside the most that ever do (0.9). -benchtime 1x is one measurement of
// half a minute.
func BenchmarkOverload(b *testing.B) {
	const (
		accounts = 2000
		secondly = 50.0 // session_2fa a second
		phase    = 10 * time.Second
	)
	s := start(b, b.TempDir(), "--accounts", strconv.Itoa(accounts))
	s.client.Transport = &http.Transport{MaxIdleConnsPerHost: 500}
	var account atomic.Int64
	next := func() int { return int(account.Add(1)-1)%accounts + 1 }
	seconds := func() []waiting {
		all := make([]waiting, int(secondly*phase.Seconds()))
		together(len(all), func(i int) { all[i] = s.waiting(b, next()) })
		return all
	}
	var quiet, loaded, best, good, offered float64
	for range b.N {
		// The most that can be: as many logins under way as keep every processor busy.
		var done atomic.Int64
		closed := time.Now().Add(phase / 2)
		var all sync.WaitGroup
		for range connections {
			all.Go(func() {
				for time.Now().Before(closed) {
					if s.passwordLogin(b, next()) == http.StatusOK {
						done.Add(1)
					}
				}
			})
		}
		all.Wait()
		most := float64(done.Load()) / (phase / 2).Seconds()
		best += most

		waiting := seconds()
		calm := openLoop(secondly, phase, func(i int) { s.secondFactor(b, waiting[i]) })
		quiet += percentile(calm, 0.99).Seconds()

		waiting = seconds()
		var storm sync.WaitGroup
		done.Store(0)
		var busy atomic.Int64
		storm.Go(func() {
			openLoop(10*most, phase+time.Second, func(int) {
				switch status := s.passwordLogin(b, next()); status {
				case http.StatusOK:
					done.Add(1)
				case http.StatusServiceUnavailable:
					busy.Add(1)
				default:
					b.Errorf("a login under load: status %d", status)
				}
			})
		})
		time.Sleep(time.Second)
		before := done.Load()
		rough := openLoop(secondly, phase, func(i int) { s.secondFactor(b, waiting[i]) })
		good += float64(done.Load()-before) / phase.Seconds()
		storm.Wait()
		loaded += percentile(rough, 0.99).Seconds()
		offered += float64(done.Load()+busy.Load()) / (phase + time.Second).Seconds()
		b.Logf("session_2fa p50 %s, p99 %s without load; p50 %s, p99 %s under it",
			percentile(calm, 0.5), percentile(calm, 0.99), percentile(rough, 0.5), percentile(rough, 0.99))
	}
	n := float64(b.N)
	b.ReportMetric(quiet/n*1e3, "quiet-p99-ms")
	b.ReportMetric(loaded/n*1e3, "loaded-p99-ms")
	b.ReportMetric(loaded/quiet, "p99-ratio")
	b.ReportMetric(best/n, "best-logins/s")
	b.ReportMetric(good/n, "logins/s")
	b.ReportMetric(offered/n, "offered/s")
	b.ReportMetric(good/best, "goodput")
	b.ReportMetric(s.memory(b), "resident-MB")
}

package bench

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// slow are what each fourth of the slow connections sends at once; after that a
// byte about every second. The third asks for something and does not read the answer.
var slow = []string{
	"",
	"GET /nowhere HTTP/1.1\r\nHost: x\r\nSid: ",
	"POST " + validate + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n",
	"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nSid: ",
}

// hold keeps a slow connection open, again and again, until the context ends.
func (s *service) hold(ctx context.Context, way int, opened func()) {
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			continue
		}
		end := context.AfterFunc(ctx, func() { _ = conn.Close() })
		_, err = io.WriteString(conn, slow[way])
		opened()
		for err == nil {
			time.Sleep(500*time.Millisecond + rand.N(time.Second)) // not all at once
			_, err = io.WriteString(conn, "1")
		}
		end()
		_ = conn.Close()
	}
}

// BenchmarkSlowConnections is what 1,000 slow connections do to the others: the
// 99th percentile of their calls' times, beside the one without. The bar is 2.
func BenchmarkSlowConnections(b *testing.B) {
	const n, part = 1000, 1000
	s := start(b, b.TempDir(), "--accounts", "1")
	session := s.secondFactor(b, s.waiting(b, 1))
	header := map[string]string{"Sid": session.SID, "Auth": session.Token}
	times := func(calls int) []time.Duration {
		all := make([]time.Duration, calls)
		together(calls, func(i int) {
			began := time.Now()
			s.do(b, "GET", "/orderapi/1.0/quick/user/positions", header, nil)
			all[i] = time.Since(began)
		})
		return all
	}
	times(part)
	b.ResetTimer()
	var without, with []time.Duration
	for from := 0; from < b.N; from += part { // in turn: the machine's speed drifts
		without = append(without, times(min(part, b.N-from))...)
		b.StopTimer()
		ctx, end := context.WithCancel(context.Background())
		var open, all sync.WaitGroup
		open.Add(n)
		for i := range n {
			first := sync.OnceFunc(open.Done)
			all.Go(func() { s.hold(ctx, i%len(slow), first) })
		}
		open.Wait()
		b.StartTimer()
		with = append(with, times(min(part, b.N-from))...)
		b.StopTimer()
		end()
		all.Wait()
		b.StartTimer()
	}
	b.StopTimer()
	p99 := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)*99/100].Microseconds())
	}
	b.ReportMetric(p99(without), "p99-µs")
	b.ReportMetric(p99(with), "slow-p99-µs")
	b.ReportMetric(p99(with)/p99(without), "slow/normal")
}

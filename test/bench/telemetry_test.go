package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// BenchmarkTelemetry is what metrics, and metrics with a trace of each request,
// add to the CPU of a session_2fa. The bar is 5 %.
func BenchmarkTelemetry(b *testing.B) {
	const warm, part = 200, 250
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	var services [3]*service
	var views [3][]waiting
	for i, flags := range [][]string{nil, {"--metrics=127.0.0.1:0"}, {"--metrics=127.0.0.1:0"}} {
		if i == 2 {
			b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
		}
		s := start(b, b.TempDir(), append(flags, "--accounts", strconv.Itoa(b.N+warm))...)
		services[i], views[i] = s, make([]waiting, b.N+warm)
		together(b.N+warm, func(n int) { views[i][n] = s.waiting(b, n+1) })
		together(warm, func(n int) { s.secondFactor(b, views[i][b.N+n]) })
	}
	var cpu [3]time.Duration
	b.ResetTimer()
	for done := 0; done < b.N; done += part { // in turn: the machine's speed drifts
		n := min(part, b.N-done)
		for i, s := range services {
			before := s.cpu(b)
			together(n, func(k int) { s.secondFactor(b, views[i][done+k]) })
			cpu[i] += s.cpu(b) - before
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu[0].Microseconds())/float64(b.N), "bare-µs/op")
	b.ReportMetric(100*(float64(cpu[1])/float64(cpu[0])-1), "metrics-%")
	b.ReportMetric(100*(float64(cpu[2])/float64(cpu[0])-1), "traces-%")
}

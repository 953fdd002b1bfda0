package bench

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"neoapi/internal/serve"
	"neoapi/internal/store/postgres/pgtest"
)

// BenchmarkStores is session_2fa by OTP on each store, over 1, 8 and 32
// connections: how many a second, what each costs the service, and how many bare
// signatures one processor makes in a second of its CPU meanwhile. PostgreSQL's own
// work, and this client's, is on the same processors.
func BenchmarkStores(b *testing.B) {
	for _, store := range []string{"sqlite", "postgres"} {
		for _, connections := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", store, connections), func(b *testing.B) {
				place := serve.Place{Dir: b.TempDir()}
				if store == "postgres" {
					place.Database = pgtest.Database(b)
				}
				const warm = 100
				s := startAt(b, place, "--accounts", strconv.Itoa(b.N+warm))
				s.client.Transport = &http.Transport{MaxIdleConnsPerHost: connections}
				all := make([]waiting, b.N+warm)
				over(8, len(all), func(i int) { all[i] = s.waiting(b, i+1) })
				for _, w := range all[b.N:] {
					s.secondFactor(b, w)
				}
				one := s.signature(b)
				before := s.cpu(b)
				b.ResetTimer()
				began := time.Now()
				over(connections, b.N, func(i int) { s.secondFactor(b, all[i]) })
				took := time.Since(began)
				b.StopTimer()
				each := (s.cpu(b) - before) / time.Duration(b.N)
				one = (one + s.signature(b)) / 2
				b.ReportMetric(float64(b.N)/took.Seconds(), "session_2fa/s")
				b.ReportMetric(float64(each.Nanoseconds())/1e3, "cpu-µs/op")
				b.ReportMetric(1/one.Seconds(), "bare/s")
				b.ReportMetric(float64(each)/float64(one), "signatures/op")
			})
		}
	}
}

package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/credential"
	"neoapi/internal/sandbox"
	"neoapi/internal/serve"
	"neoapi/internal/store/postgres/pgtest"
)

// A storming logs a demo account in up to its trade token, and reports whether the
// account got one.
type storming func(s *service, b *testing.B, n int) bool

// byOTP is a login by password and one-time code by a client that sends only what it
// must. Reading the code from the sandbox's inbox is one request more than a real login.
func byOTP(s *service, b *testing.B, n int) bool {
	ucc, _, mobile, _ := sandbox.DemoAccount(n)
	view, ok := s.ask(b, validate, nil, map[string]string{"mobileNumber": mobile, "password": sandbox.DemoPassword})
	if !ok {
		return false
	}
	claims, err := s.ring.View(view.Token, time.Now())
	must(b, err)
	s.do(b, "POST", "/login/1.0/login/otp/generate", map[string]string{"sid": view.SID}, map[string]string{"userId": claims.Sub})
	otp := s.do(b, "GET", "/sandbox/otp/"+ucc, nil, nil)
	_, ok = s.ask(b, validate, map[string]string{"sid": view.SID, "Auth": view.Token}, map[string]string{"userId": claims.Sub, "otp": string(otp)})
	return ok
}

// byMPIN is a login by TOTP and MPIN.
func byMPIN(s *service, b *testing.B, n int) bool {
	view := s.totpLogin(b, n)
	_, ok := s.ask(b, "/apim/login/2.0/login/v6/totp/validate", map[string]string{"sid": view.SID, "Auth": view.Token},
		map[string]string{"mpin": sandbox.DemoMPIN})
	return ok
}

// BenchmarkStorm is the morning rush: b.N accounts log in once each, by password and OTP
// or by TOTP and MPIN, on SQLite and on PostgreSQL. First as many run at once as there
// are connections. Then logins start by the clock at four fifths of that rate, and each
// one's time counts from when it was due. docs/capacity.md uses its figures.
//
//	go test -run '^$' -bench Storm -benchtime 600x ./test/bench
//	CGO_ENABLED=1 go test -tags openssl -run '^$' -bench Storm -benchtime 600x ./test/bench
func BenchmarkStorm(b *testing.B) {
	for _, store := range []string{"sqlite", "postgres"} {
		for _, kind := range []struct {
			name  string
			login storming
		}{{"password+otp", byOTP}, {"totp+mpin", byMPIN}} {
			b.Run(store+"/"+kind.name, func(b *testing.B) { storm(b, store, kind.login) })
		}
	}
}

func storm(b *testing.B, store string, login storming) {
	place := serve.Place{Dir: b.TempDir()}
	wal := func() float64 { return 0 }
	if store == "postgres" {
		place.Database = pgtest.Database(b)
		wal = walOf(b, place.Database)
	}
	const warm = 2 * connections
	s := startAt(b, place, "--accounts", strconv.Itoa(2*b.N+warm))
	s.client.Transport = &http.Transport{MaxIdleConnsPerHost: 500}
	var done atomic.Int64
	one := func(n int) {
		if login(s, b, n) {
			done.Add(1)
		}
	}
	together(warm, func(i int) { one(2*b.N + i + 1) })

	done.Store(0)
	took := make([]time.Duration, b.N)
	cpu, written := s.whole(b), wal()
	b.ResetTimer()
	began := time.Now()
	together(b.N, func(i int) {
		begin := time.Now()
		one(i + 1)
		took[i] = time.Since(begin)
	})
	closed := time.Since(began)
	b.StopTimer()
	each := (s.whole(b) - cpu) / time.Duration(b.N)
	written = (wal() - written) / float64(b.N)
	slices.Sort(took)
	most := float64(done.Load()) / closed.Seconds()
	b.ReportMetric(most, "logins/s")
	b.ReportMetric(float64(each.Nanoseconds())/1e6, "cpu-ms/login")
	b.ReportMetric(float64(hash(b).Microseconds())/1e3, "bare-hash-ms")
	b.ReportMetric(float64(s.signature(b).Microseconds())/1e3, "bare-signature-ms")
	b.ReportMetric(float64(percentile(took, 0.5).Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(percentile(took, 0.99).Microseconds())/1e3, "p99-ms")
	if written > 0 {
		b.ReportMetric(written/1e3, "wal-kB/login")
	}

	done.Store(0)
	rate := 0.8 * most
	took = openLoop(rate, time.Duration((float64(b.N)+0.5)/rate*float64(time.Second)), func(i int) { one(b.N + i + 1) })
	b.ReportMetric(rate, "open-logins/s")
	b.ReportMetric(float64(done.Load())/float64(len(took)), "open-done")
	b.ReportMetric(float64(percentile(took, 0.5).Microseconds())/1e3, "open-p50-ms")
	b.ReportMetric(float64(percentile(took, 0.99).Microseconds())/1e3, "open-p99-ms")
	b.ReportMetric(s.peak(b), "peak-MB")
}

// whole returns the CPU time of the service's process in ticks of 10 ms. It includes
// threads that have ended, as hashing threads do.
func (s *service) whole(b *testing.B) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	must(b, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	must(b, err)
	system, err := strconv.Atoi(fields[12])
	must(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// hash returns the CPU time of one password hash in this process, with all processors
// hashing at once as in the service.
func hash(b *testing.B) time.Duration {
	return bare(b, 20, func() error { credential.Hash([]byte(sandbox.DemoPassword)); return nil })
}

// walOf returns a function that reports how many bytes the database's server has written
// to its log.
func walOf(b *testing.B, url string) func() float64 {
	c, err := pgx.Connect(context.Background(), url)
	must(b, err)
	b.Cleanup(func() { must(b, c.Close(context.Background())) })
	return func() (bytes float64) {
		must(b, c.QueryRow(context.Background(), `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8`).Scan(&bytes))
		return bytes
	}
}

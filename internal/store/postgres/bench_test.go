package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/limit"
	"neoapi/internal/login"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
)

// What each step of a login costs: the CPU of this process and of PostgreSQL's,
// one caller after another on one machine. Every step works on the sessions of the
// one before, so give it a count: -benchtime 3000x.
func BenchmarkLogin(b *testing.B) {
	c := pgtest.Private(b)
	s, err := postgres.Open(b.Context(), c.URL("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx, now := b.Context(), time.Now()
	view := func(i int) login.Session {
		sid := fmt.Sprintf("5b7c6a0e-0000-4000-8000-%012d", i)
		return login.Session{
			SID: sid, RID: sid, Kind: login.View, Account: sid, UCC: "UCC", Consumer: "3f1c6a0e-0000-4000-8000-000000000000", Incarnation: "1",
			First: login.Password, ViewID: sid, KeyID: "key", Issued: now, Expires: now.Add(time.Hour),
		}
	}
	event := func(x login.Session) login.Event {
		return login.Event{
			Time: now, Action: "second factor", Outcome: "ok", Account: x.Account, UCC: x.UCC, Factor: login.OTP,
			Consumer: x.Consumer, SID: x.SID, Address: "192.0.2.1", RequestID: x.SID,
		}
	}
	consumer := login.Consumer{Key: view(0).Consumer, Incarnation: view(0).Incarnation, SecretHash: []byte("secret"), Created: now}
	if err := s.AddConsumer(ctx, consumer, event(view(0))); err != nil {
		b.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func(x login.Session) error
	}{
		{"Try", func(x login.Session) error {
			return s.Try(ctx, login.Try{Account: x.Account, Factor: login.Password, ID: x.SID, Now: now, Lease: time.Minute})
		}},
		{"OpenView", func(x login.Session) error { return s.OpenView(ctx, x, 0, x.SID, event(x)) }},
		{"SetOTP", func(x login.Session) error {
			_, err := s.SetOTP(ctx, login.NewOTP{SID: x.SID, Hash: make([]byte, 32), Expires: now.Add(time.Minute), Now: now, PerHour: 10})
			return err
		}},
		{"Claim", func(x login.Session) error {
			_, _, err := s.Claim(ctx, login.Claim{
				SID: x.SID, Account: x.Account, Consumer: x.Consumer, Incarnation: x.Incarnation, ViewID: x.ViewID, ID: x.SID, Now: now, Lease: time.Minute, MaxTries: 3,
			})
			return err
		}},
		{"Complete", func(x login.Session) error {
			x.Kind, x.TradeID, x.Home, x.Repeat = login.Trade, x.SID, "server1", make([]byte, 32)
			return s.Complete(ctx, x.SID, x, event(x))
		}},
		{"Session", func(x login.Session) error { _, err := s.Session(ctx, x.SID); return err }},
		{"Take", func(x login.Session) error {
			_, err := s.Take(ctx, "consumer", limit.Rate{N: 1_000_000, Per: time.Second}, 1, time.Now())
			return err
		}},
		{"End", func(x login.Session) error { return s.End(ctx, x.SID, x.SID, event(x)) }},
	} {
		done := 0
		b.Run(step.name, func(b *testing.B) {
			before, server := cpu(b), serverCPU(c)
			b.ResetTimer()
			for range b.N {
				if err := step.do(view(done)); err != nil {
					b.Fatal(err)
				}
				done++
			}
			b.StopTimer()
			b.ReportMetric(float64(cpu(b)-before)/1e3/float64(b.N), "µs-cpu/op")
			b.ReportMetric(float64(serverCPU(c)-server)/1e3/float64(b.N), "µs-server/op")
		})
	}
}

// cpu returns what this process has used of the processor.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverCPU returns what the processes of a cluster have used, where /proc tells.
func serverCPU(c *pgtest.Cluster) (used time.Duration) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, cwd := range all {
		if dir, err := os.Readlink(cwd); err != nil || dir != c.Dir()+"/data" {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(cwd), "stat"))
		if err != nil {
			continue
		}
		_, fields, _ := strings.Cut(string(stat), ") ")
		for _, field := range strings.Fields(fields)[11:13] { // in user and system mode, in hundredths of a second
			n, _ := strconv.Atoi(field)
			used += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return used
}

package argon2

import (
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIDKey computes new hashes with each kernel in turn and compares their CPU
// time with that of golang.org/x/crypto/argon2: the bar is 0.34 for AVX-512 and 0.45
// for AVX2.
func BenchmarkIDKey(b *testing.B) {
	all := kernels()
	took := make([]time.Duration, len(all))
	for b.Loop() {
		for i := range all {
			begin := cpuTime(b)
			if _, err := all[i].idKey([]byte("correct horse battery"), []byte("sixteen bytes..."), 2, 19*1024, 1, 32); err != nil {
				b.Fatal(err)
			}
			took[i] += cpuTime(b) - begin
		}
	}
	for i, k := range all {
		b.ReportMetric(took[i].Seconds()*1e3/float64(b.N), k.name+"-cpu-ms")
		b.ReportMetric(float64(took[i])/float64(took[len(all)-1]), k.name+"-ratio")
	}
}

// BenchmarkCall measures the longest call of each kernel in CPU time of its thread, so
// that a busy machine does not distort it: the bar is 50 µs.
func BenchmarkCall(b *testing.B) {
	for _, k := range kernels() {
		if k.fill == nil {
			continue // not one of ours
		}
		b.Run(k.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			now := func() int64 {
				var t unix.Timespec
				if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
					b.Fatal(err)
				}
				return t.Nano()
			}
			var calls []int64
			timed := k
			timed.fill = func(memory *uint64, dst, prev, n uint64, refs *uint32, again bool, area, last, lane uint64) {
				begin := now()
				k.fill(memory, dst, prev, n, refs, again, area, last, lane)
				calls = append(calls, now()-begin)
			}
			for b.Loop() {
				if _, err := timed.idKey([]byte("password"), []byte("sixteen bytes..."), 2, 19*1024, 1, 32); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(calls)
			b.ReportMetric(float64(calls[len(calls)/2])/1e3, "median-µs")
			b.ReportMetric(float64(calls[len(calls)*999/1000])/1e3, "p99.9-µs")
			b.ReportMetric(float64(calls[len(calls)-1])/1e3, "longest-µs")
		})
	}
}

// BenchmarkStop measures how long the garbage collector waits for all threads to stop
// while hashes are computed: the bar is 100 µs. On a machine busy with other work the
// threads wait for a processor too.
func BenchmarkStop(b *testing.B) {
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			done, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for {
					select {
					case <-done:
						return
					default:
						if _, err := k.idKey([]byte("password"), []byte("sixteen bytes..."), 2, 19*1024, 1, 32); err != nil {
							b.Error(err)
							return
						}
					}
				}
			}()
			before := stops()
			for b.Loop() {
				runtime.GC()
			}
			after := stops()
			close(done)
			<-ended
			var n, total uint64
			for i := range after.Counts {
				total += after.Counts[i] - before.Counts[i]
			}
			for i := range after.Counts { // upper ends of the histogram's buckets
				most := after.Buckets[i+1]
				if math.IsInf(most, 1) {
					most = after.Buckets[i]
				}
				d := after.Counts[i] - before.Counts[i]
				if n < total*99/100 && n+d >= total*99/100 {
					b.ReportMetric(most*1e6, "p99-µs")
				}
				if n += d; d > 0 && n == total {
					b.ReportMetric(most*1e6, "longest-µs")
				}
			}
		})
	}
}

func stops() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(s)
	h := *s[0].Value.Float64Histogram()
	h.Counts = append([]uint64(nil), h.Counts...)
	return &h
}

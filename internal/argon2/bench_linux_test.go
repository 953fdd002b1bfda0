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
// while hashes are computed: the bar is 100 µs for the p99, and no more for the longest
// than the same waits take beside a thread that computes in Go ("go"), measured in turn
// in the same run. On a shared machine a thread waits for a processor too, whatever it
// computes, and both figures show that; BenchmarkCall is without it.
func BenchmarkStop(b *testing.B) {
	const part = 50 // collections in turn
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			hash := func() {
				if _, err := k.idKey([]byte("password"), []byte("sixteen bytes..."), 2, 19*1024, 1, 32); err != nil {
					b.Error(err)
				}
			}
			spin := func() {
				for i := range 1_000_000 {
					sink = step(sink, i)
				}
			}
			var hashed, spun waits
			for from := 0; from < b.N; from += part {
				n := min(part, b.N-from)
				hashed.add(stopsBeside(hash, n))
				spun.add(stopsBeside(spin, n))
			}
			hashed.report(b, "")
			spun.report(b, "go-")
		})
	}
}

var sink int

//go:noinline
func step(x, i int) int { return x*31 + i }

// stopsBeside returns how long n collections waited for all threads to stop while one
// ran f again and again.
func stopsBeside(f func(), n int) waits {
	f()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				f()
			}
		}
	}()
	before := stops()
	for range n {
		runtime.GC()
	}
	after := stops()
	close(done)
	<-ended
	for i := range after.counts {
		after.counts[i] -= before.counts[i]
	}
	return after
}

// Waits are the counts of a histogram, and the upper ends of its buckets in seconds.
type waits struct {
	counts []uint64
	ends   []float64
}

// stops returns how long collections have waited so far.
func stops() waits {
	s := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	w := waits{slices.Clone(h.Counts), slices.Clone(h.Buckets[1:])}
	if last := len(w.ends) - 1; math.IsInf(w.ends[last], 1) {
		w.ends[last] = h.Buckets[last]
	}
	return w
}

func (w *waits) add(x waits) {
	if w.ends == nil {
		*w = x
		return
	}
	for i, n := range x.counts {
		w.counts[i] += n
	}
}

func (w *waits) report(b *testing.B, name string) {
	var n, total uint64
	for _, c := range w.counts {
		total += c
	}
	for i, c := range w.counts {
		if n < total*99/100 && n+c >= total*99/100 {
			b.ReportMetric(w.ends[i]*1e6, name+"p99-µs")
		}
		if n += c; c > 0 && n == total {
			b.ReportMetric(w.ends[i]*1e6, name+"longest-µs")
		}
	}
}

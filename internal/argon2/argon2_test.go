package argon2

import (
	"bytes"
	"fmt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/sys/unix"
	"testing"
	"time"
)

func TestX(t *testing.T) {
	for _, k := range kernels() {
		for _, p := range []uint8{1, 2, 3, 4, 7} {
			for _, m := range []uint32{8, 9, 64, 100, 1000, 3000} {
				for _, tm := range []uint32{1, 2, 3} {
					a := argon2.IDKey([]byte("pw"), []byte("saltsalt"), tm, m, p, 32)
					b, err := idKey(&k, []byte("pw"), []byte("saltsalt"), tm, m, p, 32)
					if err != nil || !bytes.Equal(a, b) {
						t.Error(k.name, p, m, tm, err)
					}
				}
			}
		}
	}
}
func cpuT() time.Duration {
	var r unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
func BenchmarkX(b *testing.B) {
	for _, k := range kernels() {
		b.Run(fmt.Sprint(k.name), func(b *testing.B) {
			c := cpuT()
			for b.Loop() {
				idKey(&k, []byte("correct horse"), []byte("sixteen bytes..."), 2, 19456, 1, 32)
			}
			b.ReportMetric(float64(cpuT()-c)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

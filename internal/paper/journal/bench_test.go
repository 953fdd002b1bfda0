//go:build unix

package journal

import (
	"fmt"
	"syscall"
	"testing"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// BenchmarkPlace places resting orders with the log written.
func BenchmarkPlace(b *testing.B) {
	dir := b.TempDir()
	x, _, _ := open(b, dir)
	i, last := share(b, x, start)
	tags := make([]string, 1<<20)
	for k := range tags {
		tags[k] = fmt.Sprintf("tag-%016d", k)
	}
	p := paper.Place{Account: "A", Instrument: i.Key, Side: paper.Buy, Type: paper.Limit, Product: paper.MIS, Validity: paper.Day, Quantity: 1, Source: "bench"}
	var before, after syscall.Rusage
	must.Do(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	k := 0
	for b.Loop() {
		p.Price = i.Floor(last) - i.Tick*listing.Price(20+k%100)
		if k < len(tags) {
			p.Tag = tags[k]
		} else {
			p.Tag = ""
		}
		if _, r := x.Place(start, p); r != nil {
			b.Fatal(r)
		}
		k++
	}
	must.Do(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	b.ReportMetric(float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano())/float64(k), "cpu-ns/op")
}

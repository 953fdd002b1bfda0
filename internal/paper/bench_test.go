//go:build unix

package paper

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

// crowd places orders as the bar has them: of ten, seven limit orders near the touch, one
// market order, and two cancels of live orders, by a hundred accounts.
type crowd struct {
	*desk
	i     *listing.Instrument
	mid   listing.Price
	rng   uint64
	names []string
	live  []uint64 // a number, and in the last eight bits the account: what they take of the caches is not the exchange's
}

func newCrowd(b testing.TB, cfg Config) *crowd {
	cfg.Funds = 1 << 50
	c := &crowd{desk: newDesk(b, cfg), rng: 1, live: make([]uint64, 0, 1<<21)}
	c.i = c.share()
	c.set(c.i, "1000.00")
	c.mid = rupees("1000.00")
	for k := range 100 {
		c.names = append(c.names, fmt.Sprintf("U%04d", k))
	}
	return c
}

func (c *crowd) next(n uint64) uint64 {
	c.rng ^= c.rng << 13
	c.rng ^= c.rng >> 7
	c.rng ^= c.rng << 17
	return c.rng % n
}

func (c *crowd) do() {
	kind := c.next(10)
	if kind >= 8 && len(c.live) > 0 {
		k := c.next(uint64(len(c.live)))
		l := c.live[k]
		c.live[k] = c.live[len(c.live)-1]
		c.live = c.live[:len(c.live)-1]
		c.x.Cancel(c.now, c.names[l&255], Number(l>>8), false)
		return
	}
	a := int(c.next(100))
	p := Place{Account: c.names[a], Instrument: c.i.Key, Side: Buy + Side(c.next(2)), Type: Limit, Product: MIS, Validity: Day, Quantity: 1 + int64(c.next(100)), Source: "bench"}
	switch {
	case kind == 7:
		p.Type = Market
	case p.Side == Buy:
		p.Price = c.mid - c.i.Tick*listing.Price(c.next(45)) + 4*c.i.Tick
	default:
		p.Price = c.mid + c.i.Tick*listing.Price(c.next(45)) - 4*c.i.Tick
	}
	n, r := c.x.Place(c.now, p)
	if r != nil {
		c.t.Fatal(r)
	}
	if kind < 7 {
		c.live = append(c.live, uint64(n)<<8|uint64(a))
	}
}

// cpu returns the processor time of the process: on a busy machine the clock says nothing.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs f again and again and reports the processor time.
func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(cpu()-begin)/float64(b.N), "cpu-ns/op")
}

func BenchmarkExchange(b *testing.B) {
	c := newCrowd(b, Config{Seed: 1})
	measure(b, c.do)
}

func BenchmarkExchange_timeGoesOn(b *testing.B) {
	c := newCrowd(b, Config{Seed: 1})
	measure(b, func() {
		c.now = c.now.Add(50 * time.Microsecond)
		c.do()
	})
}

func BenchmarkExchange_logged(b *testing.B) {
	written := 0
	c := newCrowd(b, Config{Seed: 1, Log: func(r []byte) error { written += len(r); return nil }})
	measure(b, c.do)
	b.ReportMetric(float64(written)/float64(b.N), "B/record")
}

// BenchmarkExchange_rests measures what a resting order needs, with its four states and a
// tag of 20.
func BenchmarkExchange_rests(b *testing.B) {
	const n = 500_000
	for b.Loop() {
		b.StopTimer()
		c := newCrowd(b, Config{Seed: 1, NoHouse: true})
		p := Place{Account: "U", Instrument: c.i.Key, Side: Buy, Type: Limit, Product: MIS, Validity: Day, Quantity: 1, Source: "bench"}
		tags := make([]string, n)
		for k := range tags {
			tags[k] = fmt.Sprintf("tag-%016d", k)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		for k := range n {
			p.Price, p.Tag = c.mid-c.i.Tick*listing.Price(1+k%1000), tags[k]
			if _, r := c.x.Place(c.now, p); r != nil {
				b.Fatal(r)
			}
		}
		b.StopTimer()
		mallocs := func() uint64 { runtime.ReadMemStats(&after); return after.Mallocs }()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/order")
		b.ReportMetric(float64(mallocs-before.Mallocs)/n, "allocs/order")
		runtime.KeepAlive(c)
		runtime.KeepAlive(tags)
		b.StartTimer()
	}
}

// BenchmarkExchange_orders reports an account's 500 orders of a day with a million.
func BenchmarkExchange_orders(b *testing.B) {
	c := newCrowd(b, Config{Seed: 1})
	for range 1_000_000 {
		c.do()
	}
	for range 500 {
		c.place("mine", c.i, "buy 1 @ 999.00")
	}
	measure(b, func() {
		if n := len(c.x.Orders(c.now, "mine")); n != 500 {
			b.Fatal(n)
		}
	})
}

// BenchmarkRun_year goes on a year with a position that is carried and funded.
func BenchmarkRun_year(b *testing.B) {
	measure(b, func() {
		d := newDesk(b, Config{Seed: 1})
		p := orderOf("A", d.share(), "buy 10")
		p.Product = MTF
		if _, r := d.x.Place(d.now, p); r != nil {
			b.Fatal(r)
		}
		d.x.Run(d.now.Add(365 * 24 * time.Hour))
	})
}

// BenchmarkExchange_replay reads a day of a million commands.
func BenchmarkExchange_replay(b *testing.B) {
	var records [][]byte
	c := newCrowd(b, Config{Seed: 1, Log: func(r []byte) error { records = append(records, append([]byte(nil), r...)); return nil }})
	begin := c.x.Begin()
	for range 1_000_000 {
		c.now = c.now.Add(40 * time.Millisecond) // so that they fit into what is left of the day
		c.do()
	}
	measure(b, func() {
		x, err := Restore(Config{}, begin)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range records {
			if err := x.Apply(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

//go:build unix

package journal

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

const dayDir = "NEO_BENCH_DAY"

// BenchmarkDay gives a day of a million commands to an exchange whose log is written, of
// ten seven limit orders near the touch, one market order and two cancels, by a hundred
// accounts, each order with a tag of 20; and then reads the log again. Each happens in a
// process of its own. It reports the largest resident memory of both, and how long the
// log takes to be read.
func BenchmarkDay(b *testing.B) {
	if dir := os.Getenv(dayDir); dir != "" {
		if _, err := os.Stat(dir + "/done"); err != nil {
			millionOrders(b, dir)
			must.Do(b, os.WriteFile(dir+"/done", nil, 0o600))
			return
		}
		_, _, _ = open(b, dir)
		return
	}
	for b.Loop() {
		dir := b.TempDir()
		for _, what := range []string{"orders", "restart"} {
			cmd := exec.Command(must.Get(os.Executable())(b), "-test.run=^$", "-test.bench=^BenchmarkDay$", "-test.benchtime=1x")
			cmd.Env = append(os.Environ(), dayDir+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			kilobytes := float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			if runtime.GOOS == "darwin" {
				kilobytes /= 1024
			}
			b.ReportMetric(kilobytes/1024, "MB/"+what)
			b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s/"+what)
		}
	}
}

func millionOrders(b *testing.B, dir string) {
	cfg := config()
	cfg.Start, cfg.Funds = time.Date(2026, 10, 5, 0, 0, 1, 0, listing.India), 1<<50
	x, j, err := Open(dir, cfg, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	type live struct {
		account string
		number  paper.Number
	}
	var resting []live
	now, rng := cfg.Start, uint64(1)
	draw := func(n uint64) uint64 {
		rng ^= rng << 13
		rng ^= rng >> 7
		rng ^= rng << 17
		return rng % n
	}
	i, last := share(b, x, now)
	for k := range 1_000_000 {
		now = now.Add(80 * time.Millisecond)
		kind := draw(10)
		if kind >= 8 && len(resting) > 0 {
			n := draw(uint64(len(resting)))
			l := resting[n]
			resting[n] = resting[len(resting)-1]
			resting = resting[:len(resting)-1]
			x.Cancel(now, l.account, l.number, false)
			continue
		}
		if k%1000 == 0 {
			q, _ := x.Quote(now, i.Key)
			last = q.Last
		}
		p := paper.Place{
			Account: fmt.Sprintf("U%04d", draw(100)), Instrument: i.Key, Side: paper.Buy + paper.Side(draw(2)), Type: paper.Limit, Product: paper.MIS, Validity: paper.Day,
			Quantity: 1 + int64(draw(100)), Tag: fmt.Sprintf("tag-%016d", k), Source: "bench",
		}
		off := i.Tick * (listing.Price(draw(45)) - 4)
		switch {
		case kind == 7:
			p.Type = paper.Market
		case p.Side == paper.Buy:
			p.Price = i.Floor(last) - off
		default:
			p.Price = i.Floor(last) + off
		}
		n, r := x.Place(now, p)
		if r != nil {
			b.Fatal(r)
		}
		if kind < 7 {
			resting = append(resting, live{p.Account, n})
		}
	}
}

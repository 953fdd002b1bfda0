package replay_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
	"neoapi/internal/recording"
	"neoapi/internal/replay"
)

// BenchmarkReplay is what a recorded quote costs the exchange: by itself, and where orders
// rest in the instrument.
func BenchmarkReplay(b *testing.B) {
	for _, resting := range []int{0, 20} {
		b.Run(fmt.Sprintf("resting=%d", resting), func(b *testing.B) {
			file, all := record(b, 3, time.Minute)
			n := 0
			for b.Loop() {
				b.StopTimer()
				x := paper.New(paper.Config{Seed: 1, Start: began, Funds: 10_000_000 * rupee, Source: open(b, file, nil)})
				for k := range resting {
					if _, refused := x.Place(began, paper.Place{Account: "A", Instrument: tcs, Side: paper.Buy, Type: paper.Limit, Product: paper.MIS, Validity: paper.Day, Price: 3400*rupee + rupee*listing.Price(k), Quantity: 1}); refused != nil {
						b.Fatal(refused)
					}
				}
				x.Listing(began)
				b.StartTimer()
				x.Run(began.Add(2 * time.Minute))
				n += len(all)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/tick")
		})
	}
}

// Whatever a recording says, the exchange goes on: also with terms and prices that no
// exchange has, and orders that meet them.
func TestReplay_survivesAnyRecording(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 11))
		wild := func() int64 {
			switch r.IntN(4) {
			case 0:
				return r.Int64N(10)
			case 1:
				return r.Int64N(5000) * recording.Rupee
			case 2:
				return r.Int64N(1<<59) - 1<<58
			default:
				return 1 << r.IntN(59)
			}
		}
		e := recording.NewEncoder(recording.Start{At: began})
		var keys []listing.Key
		for range 1 + r.IntN(6) {
			kind := []string{"share", "index", "future", "call", "put", "bond"}[r.IntN(6)]
			i := recording.Instrument{
				Segment: listing.Segments[r.IntN(6)].String(), Token: []uint32{11536, 26000, 7, 2885}[r.IntN(4)], Symbol: []string{"TCS-EQ", "Nifty 50", "X"}[r.IntN(3)],
				Name: []string{"TCS", "NIFTY", ""}[r.IntN(3)], Kind: kind, Strike: wild(), Lot: max(0, wild()), Tick: max(0, wild()), Freeze: wild(), Precision: r.IntN(9),
				Multiplier: wild(), GenNum: wild(), GenDen: wild(), PriceNum: wild(), PriceDen: wild(), Expiry: []string{"", "2031-03-03", "1999-01-01", "9999-12-31"}[r.IntN(4)],
			}
			s, _ := listing.ParseSegment(i.Segment)
			keys = append(keys, listing.Key{Segment: s, Token: i.Token})
			e.Instrument(i)
		}
		for n := range 60 {
			var q recording.Quote
			for range r.IntN(30) {
				q.Set(recording.Field(r.IntN(48)), wild())
			}
			e.Quote(1+r.IntN(len(keys)), began.Add(time.Duration(n)*time.Second), &q)
		}
		file := filepath.Join(t.TempDir(), "wild.neorec")
		if err := os.WriteFile(file, e.Take(nil), 0o600); err != nil {
			t.Fatal(err)
		}
		x := paper.New(paper.Config{Seed: seed, Start: began, Funds: 10_000_000 * rupee, Source: open(t, file, nil)})
		for n := range 60 {
			now := began.Add(time.Duration(n)*time.Second + 300*time.Millisecond)
			key := keys[r.IntN(len(keys))]
			q, ok := x.Quote(now, key)
			if !ok {
				continue
			}
			p := paper.Place{Account: "A", Instrument: key, Side: paper.Side(1 + r.IntN(2)), Type: paper.PriceType(1 + r.IntN(3)), Product: paper.NRML, Validity: paper.Validity(1 + r.IntN(2)), Quantity: max(1, q.Lot)}
			if p.Type != paper.Market {
				p.Price = max(q.Tick, q.Last/q.Tick*q.Tick+listing.Price(r.IntN(5)-2)*q.Tick)
			}
			if p.Type == paper.Stop {
				p.Trigger = p.Price
			}
			_, _ = x.Place(now, p)
			x.Candles(now, key, time.Minute, began, now)
			x.Limits(now, "A")
		}
		x.Run(began.Add(72 * time.Hour))
	}
}

// What comes through a pipe is the market as it comes, also for an exchange that begins
// anew; when it stops, prices stand still.
func TestReplay_followsWhatComesThroughAPipe(t *testing.T) {
	r, w := io.Pipe()
	i, _ := listing.On(listing.DateOf(began)).Named(listing.NSE, "TCS-EQ")
	e := recording.NewEncoder(recording.Start{At: began})
	e.Instrument(of(i))
	wrote := make(chan struct{})
	go func() { _, _ = w.Write(e.Take(nil)); close(wrote) }()
	said := make(chan string, 1)
	now := began.Add(2 * time.Second)
	s, err := replay.Open("pipe", r, func() time.Time { return now }, func(line string) { said <- line })
	if err != nil || !s.Live() {
		t.Fatal(err)
	}
	<-wrote
	cfg := paper.Config{Seed: 1, Start: now, Source: s}
	x := paper.New(cfg)
	until := func(x *paper.Exchange, is func() bool) {
		for !is() {
			time.Sleep(time.Millisecond)
			x.Run(now)
		}
	}
	for n := range 5 {
		now = now.Add(time.Second)
		q := at(3500+float64(n), int64(n), nil, nil)
		e.Quote(1, now, &q)
		if _, err := w.Write(e.Take(nil)); err != nil {
			t.Fatal(err)
		}
		want := (3500 + listing.Price(n)) * rupee
		until(x, func() bool { q, _ := x.Quote(now, tcs); return q.Last == want })
	}
	x = paper.New(cfg) // as DELETE /sandbox/state does
	q := at(3600, 7, nil, nil)
	e.Quote(1, now, &q)
	if _, err := w.Write(e.Take(nil)); err != nil {
		t.Fatal(err)
	}
	until(x, func() bool { q, _ := x.Quote(now, tcs); return q.Last == 3600*rupee })
	_ = w.Close()
	until(x, func() bool { _, over := x.Replaying(); return over })
	if line := <-said; line != "pipe: the recording has ended: its prices stand still from now on" {
		t.Error(line)
	}
}

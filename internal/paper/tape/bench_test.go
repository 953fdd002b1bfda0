package tape

import (
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

func BenchmarkAt(b *testing.B) {
	for _, name := range []struct {
		s    listing.Segment
		name string
	}{{listing.NSE, "TCS-EQ"}, {listing.NSEDeriv, "NIFTY26SEPFUT"}, {listing.NSEDeriv, "NIFTY26SEP24500CE"}} {
		b.Run(name.name, func(b *testing.B) {
			b.ReportAllocs()
			m := New(1)
			i := instrument(b, name.s, name.name)
			at := today.Start()
			for b.Loop() {
				m.At(i, at)
				at = at.Add(Step)
			}
		})
	}
}

// BenchmarkTicking is one step of 3,000 shares: price, day and depth. Twice a second at
// a twentieth of a core it may take 25 ms.
func BenchmarkTicking(b *testing.B) {
	b.ReportAllocs()
	m := New(1)
	var all []*listing.Instrument
	shares := listed.Instruments()[:60]
	for n := range 3000 {
		i := *shares[n%len(shares)]
		if i.Kind != listing.Share {
			continue
		}
		i.Token, i.Symbol = uint32(1_000_000+n), i.Symbol+string(rune('A'+n/60))
		all = append(all, &i)
	}
	at := today.Start().Add(10 * time.Hour)
	for _, i := range all {
		m.Day(i, at)
	}
	b.ResetTimer()
	for b.Loop() {
		at = at.Add(Step)
		for _, i := range all {
			m.At(i, at)
			m.Day(i, at)
			m.Depth(i, at, 0, 0)
		}
	}
}

func BenchmarkCandles(b *testing.B) {
	for _, of := range []struct {
		name     string
		s        listing.Segment
		interval time.Duration
		days     int
	}{
		{"TCS-EQ", listing.NSE, time.Minute, 30}, {"TCS-EQ", listing.NSE, 24 * time.Hour, 180},
		{"NIFTY26SEP24500CE", listing.NSEDeriv, time.Minute, 30}, {"NIFTY26SEP24500CE", listing.NSEDeriv, 24 * time.Hour, 180},
	} {
		b.Run(of.name+of.interval.String(), func(b *testing.B) {
			m := New(1)
			i := instrument(b, of.s, of.name)
			for b.Loop() {
				m.Candles(i, of.interval, today.Add(-of.days).Start(), today.Start(), today.Start())
			}
		})
	}
}

func BenchmarkNextInADay(b *testing.B) {
	m := New(1)
	i := instrument(b, listing.NSE, "TCS-EQ")
	for b.Loop() {
		m.Next(i, today.Start(), today.Add(30).Start(), 1, 0)
	}
}

// BenchmarkChainOfADay is the first look at a chain's day just before it ends.
func BenchmarkChainOfADay(b *testing.B) {
	chain := listed.Chain(listing.NSEDeriv, "NIFTY", listed.Expiries(listing.NSEDeriv, "NIFTY", listing.Call)[2])
	for b.Loop() {
		m := New(1)
		for _, i := range chain {
			m.Day(i, today.Add(1).Start().Add(-Step))
		}
	}
}

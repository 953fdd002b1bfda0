package sfeed_test

import (
	"testing"

	"neoapi/internal/sfeed"
)

// Every benchmark checks the bounds and the kind of a packet, decodes all of its fields,
// and reads all of its rows.

func BenchmarkMini(b *testing.B) {
	frame, m := golden(b, "mini"), sfeed.Mini{}
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := sfeed.Next(frame)
		if err != nil || p.Kind() != sfeed.KindMini {
			b.Fatal(err)
		}
		m.Decode(p)
	}
	if m.Token != 11536 {
		b.Fatal(m)
	}
}

func BenchmarkTouch(b *testing.B) { benchmarkQuote(b, golden(b, "touch"), 1) }

// Five and five rows, 304 bytes.
func BenchmarkFull(b *testing.B) { benchmarkQuote(b, golden(b, "depth"), 1) }

// What a frame of ten touch lines costs.
func BenchmarkTenTouches(b *testing.B) {
	var frame []byte
	for range 10 {
		frame = append(frame, golden(b, "touch")...)
	}
	benchmarkQuote(b, frame, 10)
}

// sides are where a benchmark puts the rows.
var sides [2][5]sfeed.Row

func benchmarkQuote(b *testing.B, frame []byte, packets int) {
	var q sfeed.Quote
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for rest := frame; len(rest) > 0; n++ {
			p, after, err := sfeed.Next(rest)
			if err != nil || p.Kind() != sfeed.KindQuote {
				b.Fatal(err)
			}
			rest = after
			q.Decode(p)
			for i := range min(len(sides[0]), q.Buys.Len()) {
				sides[0][i] = q.Buys.At(i)
			}
			for i := range min(len(sides[1]), q.Sells.Len()) {
				sides[1][i] = q.Sells.At(i)
			}
		}
		if n != packets {
			b.Fatal(n)
		}
	}
	if q.Token != 11536 {
		b.Fatal(q)
	}
}

func BenchmarkAppendTouch(b *testing.B) {
	q := goldenQuote(b)
	var frame []byte
	b.ReportAllocs()
	for b.Loop() {
		frame = q.Append(frame[:0], sfeed.Header{Exchange: 1, Level: sfeed.LevelTouch})
	}
}

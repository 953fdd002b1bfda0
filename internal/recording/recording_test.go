package recording_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/recording"
)

var update = flag.Bool("update", false, "write the golden file")

var began = time.Date(2031, 3, 3, 3, 45, 0, 0, time.UTC)

var (
	tcs   = recording.Instrument{Segment: "nse_cm", Token: 11536, Symbol: "TCS-EQ", Name: "TCS", Series: "EQ", Kind: "share", Lot: 1, Tick: recording.Rupee / 10, Precision: 2}
	nifty = recording.Instrument{Segment: "nse_cm", Token: 26000, Symbol: "Nifty 50", Name: "NIFTY", Kind: "index", Lot: 1, Precision: 2}
	call  = recording.Instrument{Segment: "nse_fo", Token: 40001, Symbol: "NIFTY31MAR24500CE", Name: "NIFTY", Kind: "call", Expiry: "2031-03-25", Strike: 24500 * recording.Rupee, Lot: 65, Tick: recording.Rupee / 20, Precision: 2}
)

// heard is an event as a test keeps it.
type heard struct {
	recording.Event
	quote recording.Quote
}

func read(t testing.TB, r io.Reader) (all []heard, d *recording.Reader, err error) {
	t.Helper()
	if d, err = recording.NewReader(r); err != nil {
		return nil, d, err
	}
	for {
		e, err := d.Next()
		if errors.Is(err, io.EOF) {
			return all, d, nil
		}
		if err != nil {
			return all, d, err
		}
		h := heard{Event: e}
		if e.Quote != nil {
			h.quote = *e.Quote
		}
		all = append(all, h)
	}
}

// walk moves quotes as a market does.
type walk struct {
	*rand.Rand
	tick, lot int64
	q         recording.Quote
}

func newWalk(seed uint64, i recording.Instrument, last int64) *walk {
	w := &walk{Rand: rand.New(rand.NewPCG(seed, 7)), tick: max(i.Tick, recording.Rupee/100), lot: max(1, i.Lot)}
	w.q.Set(recording.Last, last)
	for _, f := range []recording.Field{recording.Open, recording.High, recording.Low, recording.PrevClose} {
		w.q.Set(f, last)
	}
	for _, f := range []recording.Field{recording.LastAt, recording.LastQty, recording.Volume, recording.TotalBuy, recording.TotalSell} {
		w.q.Set(f, 0)
	}
	w.q.Set(recording.Average, last)
	return w
}

// step makes the next quote, with some levels of depth.
func (w *walk) step(at time.Time, levels int) *recording.Quote {
	second := at.Truncate(time.Second).UnixMicro()
	w.q.Set(recording.At, second)
	for _, f := range []recording.Field{recording.TotalBuy, recording.TotalSell} {
		w.q.Set(f, max(0, w.q.Value[f]+w.lot*(w.Int64N(2000)-1000)))
	}
	if w.IntN(3) > 0 {
		w.q.Value[recording.Last] += w.tick * (w.Int64N(5) - 2)
		n := w.lot * (1 + w.Int64N(200))
		w.q.Set(recording.LastQty, n)
		w.q.Set(recording.Volume, w.q.Value[recording.Volume]+n)
		w.q.Set(recording.LastAt, second)
		w.q.Set(recording.Average, w.q.Value[recording.Average]+recording.Rupee/100*(w.Int64N(3)-1))
	}
	last := w.q.Value[recording.Last]
	for k := range levels {
		if w.IntN(3) == 0 {
			continue
		}
		w.q.Set(recording.BidPrice(k), last-w.tick*int64(k+1))
		w.q.Set(recording.AskPrice(k), last+w.tick*int64(k+1))
		w.q.Set(recording.BidQty(k), w.lot*(1+w.Int64N(500)))
		w.q.Set(recording.AskQty(k), w.lot*(1+w.Int64N(500)))
		w.q.Set(recording.BidOrders(k), 1+w.Int64N(20))
		w.q.Set(recording.AskOrders(k), 1+w.Int64N(20))
	}
	return &w.q
}

// sample makes a recording of all that there is, and what was put in.
func sample(steps int) (file []byte, want []heard, ends []int) {
	e := recording.NewEncoder(recording.Start{Service: "sandbox", At: began})
	all := []recording.Instrument{tcs, nifty, call}
	walks := []*walk{newWalk(1, tcs, 3500*recording.Rupee), newWalk(2, nifty, 24500*recording.Rupee), newWalk(3, call, 150*recording.Rupee)}
	at := began
	for n := range all {
		e.Instrument(all[n])
		want = append(want, heard{Event: recording.Event{Listed: &all[n], Number: n + 1}})
	}
	e.Status(recording.Status{Segment: "nse_cm", State: 1, Text: "open", At: at})
	want = append(want, heard{Event: recording.Event{Status: &recording.Status{Segment: "nse_cm", State: 1, Text: "open", At: at}, At: at}})
	for n := range steps {
		at = at.Add(time.Duration(500_000+37*n) * time.Microsecond)
		for k, w := range walks {
			q := w.step(at, 5*(k%2))
			e.Quote(k+1, at, q)
			want = append(want, heard{Event: recording.Event{Number: k + 1, At: at}, quote: *q})
		}
		if n == steps/2 {
			gap := recording.Gap{From: at, To: at.Add(3 * time.Second)}
			e.Gap(gap.From, gap.To)
			want = append(want, heard{Event: recording.Event{Gap: &gap, At: gap.To}})
			walks[0].q = recording.Quote{} // the picture begins anew
			walks[0].q.Set(recording.Last, 3501*recording.Rupee)
		}
		if n%4 == 3 {
			file = e.Take(file)
			ends = append(ends, len(file))
		}
	}
	e.End(at)
	want = append(want, heard{Event: recording.Event{Ended: true, At: at}})
	file = e.Take(file)
	return file, want, append(ends, len(file))
}

func same(t *testing.T, got, want []heard) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for n := range got {
		g, w := got[n], want[n]
		ok := g.Number == w.Number && g.Ended == w.Ended && g.quote == w.quote && (w.At.IsZero() || g.At.Equal(w.At)) &&
			(g.Gap == nil) == (w.Gap == nil) && (g.Listed == nil) == (w.Listed == nil) && (g.Status == nil) == (w.Status == nil)
		if ok && g.Listed != nil {
			ok = *g.Listed == *w.Listed
		}
		if ok && g.Gap != nil {
			ok = g.Gap.From.Equal(w.Gap.From) && g.Gap.To.Equal(w.Gap.To)
		}
		if ok && g.Status != nil {
			ok = g.Status.Segment == w.Status.Segment && g.Status.State == w.Status.State && g.Status.Text == w.Status.Text
		}
		if !ok {
			t.Fatalf("event %d:\n%+v\nwant\n%+v", n, g, w)
		}
	}
}

func TestRecording_givesBackWhatWasPutIn(t *testing.T) {
	file, want, _ := sample(200)
	got, d, err := read(t, bytes.NewReader(file))
	if err != nil || d.Cut() != 0 {
		t.Fatal(err, d.Cut())
	}
	same(t, got, want)
	if s := d.Start(); s.Service != "sandbox" || !s.At.Equal(began) {
		t.Errorf("start: %+v", s)
	}
}

func TestRecording_staysReadableByLaterVersions(t *testing.T) {
	const golden = "testdata/golden.neorec"
	file, want, _ := sample(8)
	if *update {
		if err := os.WriteFile(golden, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, file) {
		t.Error("the same market is written otherwise than before")
	}
	got, _, err := read(t, bytes.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
}

// A quote that loses fields begins anew, so that what was not sent again is absent.
func TestRecording_forgetsWhatAQuoteDoesNotHaveAnyMore(t *testing.T) {
	e := recording.NewEncoder(recording.Start{At: began})
	n := e.Instrument(tcs)
	var q recording.Quote
	q.Set(recording.Last, 5)
	q.Set(recording.Volume, 1<<62) // no such volume
	e.Quote(n, began, &q)
	q = recording.Quote{}
	q.Set(recording.Open, 0)
	e.Quote(n, began.Add(-time.Second), &q) // clocks can be set back
	got, _, err := read(t, bytes.NewReader(e.Take(nil)))
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	if v, known := got[1].quote.Get(recording.Volume); v != 0 || !known {
		t.Errorf("volume %d, known %t", v, known)
	}
	if got[2].quote != q || !got[2].At.Equal(began.Add(-time.Second)) {
		t.Errorf("%+v", got[2])
	}
}

// Cut at any byte, a recording is what came before the block that was cut, without an
// error; or nothing at all if its begin is missing.
func TestRecording_leavesOutWhatWasCutOffAtItsEnd(t *testing.T) {
	file, want, ends := sample(24)
	for n := range file {
		got, d, err := read(t, bytes.NewReader(file[:n]))
		if n < ends[0] {
			if err == nil {
				t.Fatalf("cut at %d: no error", n)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		whole := ends[0]
		for _, end := range ends {
			if end <= n {
				whole = end
			}
		}
		if int(d.Cut()) != n-whole {
			t.Fatalf("cut at %d: %d bytes left out, want %d", n, d.Cut(), n-whole)
		}
		same(t, got, want[:len(got)])
		if padded, d, err := read(t, bytes.NewReader(append(file[:whole:whole], make([]byte, 100)...))); err != nil || d.Cut() != 100 || len(padded) != len(got) {
			t.Fatalf("zeros at byte %d: %v, %d", whole, err, d.Cut())
		}
	}
}

// A byte that was changed is an error that names the block's place, and nothing after it
// is told. Only where the length of the last block grew does it look cut off.
func TestRecording_namesThePlaceOfDamage(t *testing.T) {
	file, want, ends := sample(16)
	for n := len("neoapi recording 1\n"); n < len(file); n++ {
		bad := bytes.Clone(file)
		bad[n] ^= 0x41
		got, d, err := read(t, bytes.NewReader(bad))
		if err == nil && d.Cut() == 0 {
			t.Fatalf("byte %d: no error", n)
		}
		if err != nil && !strings.Contains(err.Error(), "byte ") && n >= ends[0] {
			t.Fatalf("byte %d: %v", n, err)
		}
		if n < ends[0] {
			continue
		}
		same(t, got, want[:len(got)])
	}
	for _, text := range []string{"", "neoapi recording 9\nxyz", "ELF", strings.Repeat("\x00", 4096)} {
		if _, _, err := read(t, strings.NewReader(text)); !errors.Is(err, recording.ErrForm) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// A reader gives what a writer has written so far, before more comes.
func TestRecording_isReadWhileItIsWritten(t *testing.T) {
	r, w := io.Pipe()
	e := recording.NewEncoder(recording.Start{At: began})
	n := e.Instrument(tcs)
	go func() {
		_, _ = w.Write(e.Take(nil))
	}()
	d, err := recording.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Next(); err != nil || got.Listed == nil {
		t.Fatal(got, err)
	}
	m := newWalk(1, tcs, 3500*recording.Rupee)
	for k := range 50 {
		at := began.Add(time.Duration(k) * time.Second)
		e.Quote(n, at, m.step(at, 5))
		go func() { _, _ = w.Write(e.Take(nil)) }()
		if got, err := d.Next(); err != nil || *got.Quote != m.q || !got.At.Equal(at) {
			t.Fatal(got, err)
		}
	}
	_ = w.Close()
	if _, err := d.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func FuzzReader(f *testing.F) {
	file, _, ends := sample(12)
	f.Add(file)
	f.Add(file[:ends[0]])
	f.Add([]byte("neoapi recording 1\n\xb5\x01\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, _ := read(t, bytes.NewReader(b))
		// What was read is written the same again.
		e := recording.NewEncoder(recording.Start{At: began})
		for _, h := range all {
			switch {
			case h.Listed != nil:
				e.Instrument(*h.Listed)
			case h.Gap != nil:
				e.Gap(h.Gap.From, h.Gap.To)
			case h.Event.Quote != nil:
				e.Quote(h.Number, h.At, &h.quote)
			}
		}
		again, _, err := read(t, bytes.NewReader(e.Take(nil)))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, h := range all {
			if h.Listed == nil && h.Gap == nil && h.Event.Quote == nil {
				continue
			}
			if again[n].quote != h.quote || h.Event.Quote != nil && !again[n].At.Equal(h.At) {
				t.Fatalf("%+v became %+v", h, again[n])
			}
			n++
		}
	})
}

// BenchmarkEncoder is a tick of each of 3,000 instruments in turn.
func BenchmarkEncoder(b *testing.B) {
	for name, levels := range map[string]int{"touch": 1, "depth": 5} {
		b.Run(name, func(b *testing.B) {
			const n, steps = 3000, 20
			e := recording.NewEncoder(recording.Start{At: began})
			quotes := make([]recording.Quote, 0, n*steps)
			walks := make([]*walk, n)
			for k := range walks {
				walks[k] = newWalk(uint64(k), tcs, 3500*recording.Rupee)
				e.Instrument(tcs)
				if e.Full() {
					e.Take(nil)
				}
			}
			for s := range steps {
				for _, w := range walks {
					quotes = append(quotes, *w.step(began.Add(time.Duration(s)*time.Second), levels))
				}
			}
			e.Take(nil)
			buffer := make([]byte, 0, 2<<20)
			size, k := 0, 0
			at := began
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if k%300 == 0 {
					at = at.Add(50 * time.Millisecond)
				}
				e.Quote(1+k%n, at, &quotes[k])
				if k++; k == len(quotes) {
					k = 0
				}
				if e.Size() > 64<<10 {
					size += len(e.Take(buffer))
				}
			}
			size += e.Size()
			b.ReportMetric(float64(size)/float64(b.N), "B/tick")
		})
	}
}

func BenchmarkReader(b *testing.B) {
	file, _, _ := sample(50_000)
	b.SetBytes(int64(len(file)))
	b.ResetTimer()
	n := 0
	for range b.N {
		d, err := recording.NewReader(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = d.Next()
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/tick")
}

func TestReader_takesOnlySoManyInstruments(t *testing.T) {
	t.Parallel()
	e := recording.NewEncoder(recording.Start{At: time.Unix(1, 0)})
	var file []byte
	for range 1<<17 + 1 {
		if e.Instrument(recording.Instrument{}); e.Full() {
			file = e.Take(file)
		}
	}
	d := must.Get(recording.NewReader(bytes.NewReader(e.Take(file))))(t)
	n := 0
	var err error
	for ; err == nil; n++ {
		_, err = d.Next()
	}
	if n != 1<<17+1 || !strings.Contains(err.Error(), "more than 131072 instruments") {
		t.Errorf("after %d: %v", n, err)
	}
}

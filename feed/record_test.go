package feed

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
	"neoapi/internal/recording"
	"neoapi/trade"
)

// A tape is a writer that a test reads while it is written.
type tape struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *tape) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *tape) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.b.Bytes())
}

// played is what a recording has of an instrument at a time.
type played struct {
	at     time.Time
	symbol string
	q      recording.Quote
}

func play(t *testing.T, b []byte) (quotes []played, gaps []recording.Gap, ended bool) {
	t.Helper()
	d := must.Get(recording.NewReader(bytes.NewReader(b)))(t)
	var names []string
	for {
		e, err := d.Next()
		if errors.Is(err, io.EOF) {
			return quotes, gaps, ended
		}
		must.Do(t, err)
		switch {
		case e.Listed != nil:
			names = append(names, e.Listed.Symbol)
		case e.Quote != nil:
			quotes = append(quotes, played{e.At, names[e.Number-1], *e.Quote})
		case e.Gap != nil:
			gaps = append(gaps, *e.Gap)
		}
		ended = ended || e.Ended
	}
}

// What a feed's callback gets is what is recorded: each quote with its times, also what
// changes on the way through a break.
func TestRecord_hasWhatTheCallbackGets(t *testing.T) {
	broadcast(t, func(t *testing.T, st *station) {
		var w tape
		type got struct {
			at     time.Time
			symbol string
			last   trade.Rupees
			volume int64
			bid    trade.Level
		}
		var want []got
		var mu sync.Mutex
		m := must.Get(Market(t.Context(), st.client, WithKeeper(tickets()), Quotes(shares(3)...), Record(&w), OnQuote(func(q *Quote) {
			mu.Lock()
			defer mu.Unlock()
			want = append(want, got{q.Received, q.Instrument.Symbol, q.Last, q.Volume, q.Bids[0]})
		})))(t)
		time.Sleep(time.Second)
		st.mu.Lock()
		c := st.conns[len(st.conns)-1]
		st.mu.Unlock()
		c.CloseNow()
		time.Sleep(5 * time.Second)
		if quotes, _, _ := play(t, w.bytes()); len(quotes) < 6 {
			t.Errorf("%d quotes are written before the feed has ended", len(quotes))
		}
		must.Do(t, m.Close())
		synctest.Wait()
		quotes, gaps, ended := play(t, w.bytes())
		if len(gaps) != 1 || !ended {
			t.Errorf("gaps %v, ended %t", gaps, ended)
		}
		var have []got
		for _, p := range quotes {
			have = append(have, got{p.at.In(trade.IST), p.symbol, trade.DividerOf(100).Price(p.q.Value[recording.Last] / 100_000), p.q.Value[recording.Volume],
				trade.Level{Price: trade.DividerOf(100).Price(p.q.Value[recording.BidPrice(0)] / 100_000), Quantity: p.q.Value[recording.BidQty(0)], Orders: p.q.Value[recording.BidOrders(0)]}})
		}
		for n := range want {
			want[n].at = want[n].at.Truncate(time.Microsecond)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(have) < 6 || len(have) != len(want) {
			t.Fatalf("%d quotes, want %d", len(have), len(want))
		}
		for n := range have {
			if !have[n].at.Equal(want[n].at) {
				t.Errorf("quote %d at %v, want %v", n, have[n].at, want[n].at)
			}
			have[n].at = want[n].at
			if !reflect.DeepEqual(have[n], want[n]) {
				t.Errorf("quote %d: %+v, want %+v", n, have[n], want[n])
			}
		}
	})
}

// A writer that fails, blocks or panics ends the recording, which the program is told;
// the feed goes on.
func TestRecord_neverHoldsTheFeedUp(t *testing.T) {
	blocked := make(chan struct{})
	defer close(blocked)
	full := errors.New("no space left on device")
	for _, c := range []struct {
		name  string
		write func(b []byte) (int, error)
		want  error
	}{
		{"fails", func([]byte) (int, error) { return 0, full }, full},
		{"is short", func(b []byte) (int, error) { return len(b) / 2, nil }, io.ErrShortWrite},
		{"panics", func([]byte) (int, error) { panic("here") }, &ProgramError{Value: "here"}},
		{"blocks", func([]byte) (int, error) { <-blocked; return 0, full }, nil},
	} {
		m, l := offline(t, Quotes(shares(10)...), Record(writerFunc(c.write)))
		m.record(m.recorder)
		var frame []byte
		for n := range 10 {
			frame = touch(frame, n, 0)
		}
		if c.want == nil {
			var err error
			for tick := 1; err == nil && tick < 200_000; tick++ {
				for at := 0; at < len(frame); at += len(frame) / 10 {
					later(frame[at:], tick*79)
				}
				must.Do(t, l.frame(binaryFrame, frame, time.Now()))
				m.recorder.mu.Lock()
				err = m.recorder.err
				m.recorder.mu.Unlock()
			}
			if !errors.Is(err, ErrSlowRecording) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		must.Do(t, l.frame(binaryFrame, frame, time.Now()))
		var err error
		for u, wrong := range m.Updates(t.Context()) {
			must.Do(t, wrong)
			if n, ok := u.(NotRecorded); ok {
				err = n.Err
				break
			}
		}
		for u, wrong := range m.Updates(t.Context()) { // and who comes later
			must.Do(t, wrong)
			if _, ok := u.(NotRecorded); ok {
				break
			}
		}
		if !errors.Is(err, c.want) && !strings.Contains(err.Error(), c.want.Error()) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		must.Do(t, l.frame(binaryFrame, touch(nil, 1, 99), time.Now()))
		if q, ok := m.Quote(share(1)); !ok || q.Volume != 1_000_099 {
			t.Errorf("%s: the feed has %+v, %t", c.name, q, ok)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// From a frame of ten touch lines to the recorder's buffer; the difference to
// BenchmarkMarket_frameToCallback is what recording costs.
func BenchmarkRecord_frame(b *testing.B) {
	m, l := offline(b, Quotes(shares(3000)...), Record(io.Discard))
	b.ReportAllocs()
	frames := make([][]byte, 300)
	for i := range 3000 {
		frames[i/10] = touch(frames[i/10], i, 0)
	}
	now := time.Now()
	size, n, before := 0, 0, cpu()
	var buffer []byte
	for b.Loop() {
		frame := frames[n%len(frames)]
		for at := 0; at < len(frame); at += len(frame) / 10 {
			later(frame[at:], n)
		}
		must.Do(b, l.frame(binaryFrame, frame, now))
		if n++; n%100 == 0 {
			buffer = m.recorder.enc.Take(append(buffer[:0], m.recorder.waiting...))
			m.recorder.waiting = m.recorder.waiting[:0]
			size += len(buffer)
		}
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(10*n), "cpu-ns/tick")
	b.ReportMetric(float64(size)/float64(10*n), "B/tick")
}

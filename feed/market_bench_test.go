package feed

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// offline returns a feed with one connection, of which a test plays the link.
func offline(t testing.TB, opts ...Option) (*MarketFeed, *line) {
	t.Helper()
	client := must.Get(neoapi.New(neoapi.Config{Environment: "http://127.0.0.1:9155", ConsumerKey: "key"}))(t)
	m, err := newMarket(context.Background(), client, newOptions(opts))
	must.Do(t, err)
	t.Cleanup(func() { must.Do(t, m.Close()) })
	l := m.lines[0]
	l.begin()
	must.Do(t, l.frame(textFrame, sfeed.Reply{Code: sfeed.ReplyAnswer, Format: sfeed.FormatBatch, Dividers: sfeed.AllDividers()}.Append(nil), time.Now()))
	return m, l
}

// share returns the n-th share of a test.
func share(n int) trade.Instrument {
	return trade.Instrument{Segment: trade.NSE, Token: strconv.Itoa(1000 + n), Symbol: "S" + strconv.Itoa(n) + "-EQ", Kind: trade.Share}
}

func shares(n int) (all []trade.Instrument) {
	for i := range n {
		all = append(all, share(i))
	}
	return all
}

// touch appends a touch line of the n-th share; what changes from one tick to the next
// changes with tick.
func touch(b []byte, n, tick int) []byte {
	q := sfeed.Quote{
		Token: uint32(1000 + n), TotalBuy: 100_000, TotalSell: 90_000, Volume: 1_000_000 + int64(tick), LastAt: 1_795_000_000 + int64(tick), UpdatedAt: 1_795_000_000 + int64(tick),
		Open: 350_000, Close: 349_000, High: 352_000, Low: 348_000, Last: 350_005 + uint32(tick%100)*5, LastQty: 10, Average: 350_500,
		ChangePercent: 29, OpenInterest: 0, Traded: 35e9, Change: 1_005, Upper: 383_900, Lower: 314_100, YearHigh: 459_000, YearLow: 305_000, Lot: 1, Precision: 2, Multiplier: 1,
		Buys: sfeed.Rows(nil).Append(sfeed.Row{Qty: 50, Price: 350_000, Orders: 3}), Sells: sfeed.Rows(nil).Append(sfeed.Row{Qty: 70, Price: 350_010 + int32(tick%100)*5, Orders: 4}),
	}
	return q.Append(b, sfeed.Header{Exchange: 1, Level: sfeed.LevelTouch, Seq: uint8(tick)})
}

// From a frame of ten touch lines to the program's callback. Every tick is of a later second
// than the last, has another volume and another price. What it takes to make the frames is
// measured by itself, and left out.
func BenchmarkMarket_frameToCallback(b *testing.B) {
	for _, instruments := range []int{10, 3000} {
		b.Run(fmt.Sprintf("instruments=%d", instruments), func(b *testing.B) {
			var sum int64
			_, l := offline(b, Quotes(shares(instruments)...), OnQuote(func(q *Quote) { sum += q.Volume }))
			frames := make([][]byte, instruments/10)
			for i := range instruments {
				frames[i/10] = touch(frames[i/10], i, 0)
			}
			next := func(n int) []byte {
				frame := frames[n%len(frames)]
				for at := 0; at < len(frame); at += len(frame) / 10 {
					later(frame[at:], n)
				}
				return frame
			}
			now := time.Now()
			b.ReportAllocs()
			n, before := 0, cpu()
			for b.Loop() {
				if err := l.frame(binaryFrame, next(n), now); err != nil {
					b.Fatal(err)
				}
				n++
			}
			used, before := cpu()-before, cpu()
			for i := range n {
				next(i)
			}
			used -= cpu() - before
			b.ReportMetric(float64(used.Nanoseconds())/float64(10*n), "cpu-ns/tick")
			if sum == 0 {
				b.Fatal("no callback")
			}
		})
	}
}

// later makes a touch line the n-th.
func later(packet []byte, n int) {
	le := binary.LittleEndian
	packet[7] = byte(n)
	le.PutUint64(packet[9+20:], uint64(1_000_000+n)) // volume
	le.PutUint64(packet[9+28:], uint64(1_795_000_000+n))
	le.PutUint64(packet[9+36:], uint64(1_795_000_000+n))
	le.PutUint32(packet[9+60:], uint32(350_000+n%1000)) // last price
}

// cpu returns how long the process has worked: on a busy machine that is less than passes.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// From the socket to the program's callback: frames of 1.4 kB, eight touch lines each, come
// in a burst over the loopback. The service's side is in the process and writes 64 frames at
// once, so that nearly all of the work is the client's and the kernel's.
func BenchmarkMarket_socketToCallback(b *testing.B) {
	const frames, each = 64, 8
	start := make(chan int)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { burst(b, w, r, frames, each, start) }))
	defer srv.Close()
	client := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key"}))(b)
	s := ticket("a")
	s.FeedURL = strings.Replace(srv.URL, "http", "ws", 1) + "/apifeed"
	ticks, all, done := 0, 0, make(chan struct{})
	m := must.Get(Market(b.Context(), client, WithKeeper(&supply{sessions: []neoapi.Session{s}}), Quotes(shares(frames*each)...), OnQuote(func(*Quote) {
		if ticks++; ticks == all {
			close(done)
		}
	})))(b)
	defer m.Close()
	all = b.N * each
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	start <- b.N
	<-done
	b.StopTimer()
	used := cpu() - before
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/frame")
	b.ReportMetric(float64(all)/used.Seconds(), "ticks/cpu-s")
	b.ReportMetric(float64(all)/b.Elapsed().Seconds(), "ticks/s")
}

// burst plays a service that takes the session and then writes frames as they are on the
// wire, many at once.
func burst(b *testing.B, w http.ResponseWriter, r *http.Request, frames, each int, start <-chan int) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	rw.Flush()
	go io.Copy(io.Discard, conn)
	conn.Write(append([]byte{0x81, 126, byte(len(answer) >> 8), byte(len(answer))}, answer...))
	var burst []byte
	var packets []int // where they begin
	for f := range frames {
		var frame []byte
		for i := range each {
			frame = touch(frame, f*each+i, 0)
		}
		burst = append(burst, 0x82, 126, byte(len(frame)>>8), byte(len(frame)))
		for i := range each {
			packets = append(packets, len(burst)+i*len(frame)/each)
		}
		burst = append(burst, frame...)
	}
	n := <-start
	for sent := 0; sent < n; sent += frames {
		for _, at := range packets {
			later(burst[at:], sent)
		}
		if _, err := conn.Write(burst[:min(frames, n-sent)*len(burst)/frames]); err != nil {
			return
		}
	}
	<-r.Context().Done()
}

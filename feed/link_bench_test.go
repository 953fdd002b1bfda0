package feed

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
)

// BenchmarkLink measures a frame of 1.5 kB from the socket to the protocol, in a burst.
// ns/op has both sides of the connection; cpu-ns/op is what the process used, both sides
// too, and gc/op how often memory was collected.
func BenchmarkLink(b *testing.B) {
	for _, size := range []int{200, 1500, 15_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) { benchmarkLink(b, size) })
	}
}

func benchmarkLink(b *testing.B, size int) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { flood(w, r, size) }))
	defer srv.Close()
	client := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: "key"}))(b)
	life := newLife(context.Background())
	defer life.close()
	w := must.Get(dial(life.ctx, client, srv.URL, neoapi.Session{}))(b)
	defer w.drop()
	c := &counting{left: b.N}
	o := newOptions(nil)
	l := newLink(client, o, newSessions(client, o), c)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	before := used()
	b.ResetTimer()
	if err := l.listen(w); err != io.EOF {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op")
}

// flood sends frames as fast as the other side takes them: their making costs nothing here.
func flood(w http.ResponseWriter, r *http.Request, size int) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	head := []byte{0x82, 126, byte(size >> 8), byte(size)}
	burst := bytes.Repeat(append(head, make([]byte, size)...), max(1, 60_000/size))
	for {
		if _, err := conn.Write(burst); err != nil {
			return
		}
	}
}

// counting is a protocol that takes a number of frames.
type counting struct {
	parrot
	left int
}

func (c *counting) frame(frameKind, []byte, time.Time) error {
	if c.left--; c.left <= 0 {
		return io.EOF
	}
	return nil
}

// used returns the processor time of the process.
func used() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

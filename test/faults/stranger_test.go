//go:build linux

package faults

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"neoapi/internal/certtest"
	"neoapi/internal/wire"
)

const (
	strangerCosts = 64 << 10  // KiB, at most, whatever a stranger does
	recommended   = 512 << 10 // KiB: the limit that docs/deploy.md recommends for a process
)

// lean builds neo without the race detector, whose memory is not the program's.
var lean = sync.OnceValues(func() (string, error) {
	built := program + "-lean" // TestMain removes it
	build := exec.Command("go", "build", "-o", built, "neoapi/cmd/neo")
	// Flags that say what is under the detector would have packages compiled again.
	flags := slices.DeleteFunc(strings.Fields(os.Getenv("GOFLAGS")), func(f string) bool { return strings.HasPrefix(f, "-gcflags=") })
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+strings.Join(flags, " "))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return built, nil
})

// A stranger has the network and no credential. What it cannot do on a connection,
// because the service has closed it, it does not do.
type stranger struct {
	name        string
	connections int
	does        func(conn net.Conn)
}

// always are those that come without -faults.strangers: some of each way to the
// service, which cost it much and the test little. All take two minutes.
var always = map[string]bool{
	"HTTP 1.1: half a head": true, "HTTP 1.1: half a body": true, "HTTP 1.1 over TLS: half a head": true,
	"before TLS: a greeting without end": true, "HTTP 2: nothing": true, "HTTP 2: as many headers as fit, and a window of zero": true,
	"HTTP 2: requests that are reset": true, "HTTP 2: one connection after the other": true,
}

var (
	getHead  = "GET " + wire.Path(wire.OpConfig, wire.Gen3) + " HTTP/1.1\r\nHost: x\r\n"
	postHead = "POST " + wire.Path(wire.OpValidate, wire.Gen1PROD) + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
)

func write(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

// overHTTP1 is what strangers do on a connection of HTTP/1.1.
var overHTTP1 = []stranger{
	{"one request, and then nothing", 2500, func(c net.Conn) { write(c, getHead+"\r\n") }},
	{"half a head", 2500, func(c net.Conn) { write(c, getHead+"X: "+strings.Repeat("x", 15<<10)) }},
	{"half a body", 2500, func(c net.Conn) { write(c, postHead+"Content-Length: 16000\r\n\r\n"+strings.Repeat(" ", 15900)) }},
	{"half a body in chunks", 2500, func(c net.Conn) {
		write(c, postHead+"Transfer-Encoding: chunked\r\n\r\n3fff\r\n"+strings.Repeat(" ", 15900))
	}},
	{"as many headers as fit, and half a body", 2500, func(c net.Conn) {
		var all strings.Builder
		for i := 0; all.Len() < 15000; i++ {
			fmt.Fprintf(&all, "%x:\r\n", 0x100+i)
		}
		write(c, postHead+"Content-Length: 16000\r\n"+all.String()+"\r\n ")
	}},
	{"requests whose answers nobody reads", 200, func(c net.Conn) {
		_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		for range 20 {
			write(c, strings.Repeat(getHead+"\r\n", 50))
		}
	}},
}

// overTLS is what strangers do on a connection where TLS is spoken, before it is.
var overTLS = []stranger{
	{"nothing", 2500, func(net.Conn) {}},
	{"a greeting without end", 2500, func(c net.Conn) {
		for hello := append([]byte{1, 0, 0xea, 0x60, 3, 3}, make([]byte, 59000)...); len(hello) > 0; {
			n := min(16000, len(hello))
			write(c, string(append([]byte{0x16, 3, 1, byte(n >> 8), byte(n)}, hello[:n]...)))
			hello = hello[n:]
		}
	}},
}

// overHTTP2 is what strangers do on a connection of HTTP/2.
var overHTTP2 = []stranger{
	{"nothing", 1800, func(c net.Conn) { http2To(c, 65535, true) }},
	{"a window of zero", 300, func(c net.Conn) {
		f := http2To(c, 0, true)
		for range 100 {
			f.get()
		}
	}},
	{"a window of zero, on more connections", 700, func(c net.Conn) {
		f := http2To(c, 0, true)
		for range 32 {
			f.get()
		}
	}},
	{"a window that grows by a byte", 200, func(c net.Conn) {
		f := http2To(c, 0, true)
		for range 32 {
			f.get()
		}
		for i := range uint32(100) {
			_ = f.WriteWindowUpdate(1+2*(i%16), 1)
		}
	}},
	{"half a body", 700, func(c net.Conn) {
		f := http2To(c, 65535, true)
		for range 32 {
			id := f.open(false, ":method", "POST", ":path", wire.Path(wire.OpValidate, wire.Gen1PROD), "content-type", "application/json")
			_ = f.WriteData(id, false, make([]byte, 4000))
		}
	}},
	{"as many headers as fit, and a window of zero", 200, func(c net.Conn) {
		f := http2To(c, 0, true)
		all := []string{":method", "GET", ":path", wire.Path(wire.OpConfig, wire.Gen3)}
		for i := range 600 {
			all = append(all, fmt.Sprintf("%x", 0x100+i), "")
		}
		for range 32 {
			f.open(true, all...)
		}
	}},
	{"a list of headers without end", 700, func(c net.Conn) {
		f := http2To(c, 65535, true)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.list(":method", "GET", "x", strings.Repeat("\x21", 14000))})
	}},
	{"pings whose answers nobody reads", 100, func(c net.Conn) {
		f := http2To(c, 65535, false)
		for range 20000 {
			if f.WritePing(false, [8]byte{}) != nil {
				return
			}
		}
	}},
	{"settings whose answers nobody reads", 100, func(c net.Conn) {
		f := http2To(c, 65535, false)
		for i := range uint32(20000) {
			if f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: i}) != nil {
				return
			}
		}
	}},
	{"requests that are reset", 100, func(c net.Conn) {
		f := http2To(c, 0, true)
		for range 1000 {
			if f.WriteRSTStream(f.get(), http2.ErrCodeCancel) != nil {
				return
			}
		}
	}},
	{"one connection after the other", 100, nil},
}

// An http2Conn is a connection of HTTP/2 in the test's own hands.
type http2Conn struct {
	*http2.Framer
	next uint32
	head bytes.Buffer
	hp   *hpack.Encoder
}

// http2To greets, with an initial window of the client's.
func http2To(conn net.Conn, window uint32, reads bool) *http2Conn {
	f := &http2Conn{Framer: http2.NewFramer(conn, conn), next: 1}
	f.hp = hpack.NewEncoder(&f.head)
	write(conn, http2.ClientPreface)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	_ = f.WriteSettingsAck()
	if reads {
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
	return f
}

func (f *http2Conn) list(pairs ...string) []byte {
	f.head.Reset()
	pairs = append([]string{":scheme", "https", ":authority", "x"}, pairs...)
	for i := 0; i < len(pairs); i += 2 {
		_ = f.hp.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // into memory
	}
	return f.head.Bytes()
}

func (f *http2Conn) open(ends bool, pairs ...string) (id uint32) {
	id = f.next
	f.next += 2
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.list(pairs...), EndStream: ends, EndHeaders: true})
	return id
}

func (f *http2Conn) get() (id uint32) {
	return f.open(true, ":method", "GET", ":path", wire.Path(wire.OpConfig, wire.Gen3))
}

// TestStranger_costsNoMoreThan64MB: what a process keeps for clients is bounded over all
// connections, whatever they send and do not read; and others get their answers
// meanwhile.
func TestStranger_costsNoMoreThan64MB(t *testing.T) {
	t.Parallel()
	built, err := lean()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name      string
		tls       bool
		protocols []string
		strangers []stranger
	}{
		{"HTTP 1.1", false, nil, overHTTP1},
		{"HTTP 1.1 over TLS", true, []string{"http/1.1"}, overHTTP1},
		{"before TLS", true, nil, overTLS},
		{"HTTP 2", true, []string{"h2"}, overHTTP2},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			came := 0
			for _, who := range x.strangers {
				if !*strangers && !always[x.name+": "+who.name] {
					continue
				}
				came++
				t.Run(who.name, func(t *testing.T) {
					flags := []string{"serve"}
					if x.tls {
						cert, key := certtest.New("service", nil, nil).Write(t, t.TempDir())
						flags = append(flags, "--tls-cert="+cert, "--tls-key="+key)
					}
					s := prepare(t, t.TempDir(), "", flags...)
					s.program = built
					s.start(t)
					s.client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // its own certificate
					s.endure(t, who, x.protocols)
				})
			}
			if came == 0 {
				t.Error("nobody came")
			}
		})
	}
}

// endure lets a stranger do what it does, on all its connections, and looks meanwhile
// what that costs and whether others get answers.
func (s *service) endure(t *testing.T, who stranger, protocols []string) {
	t.Helper()
	before := s.use(t)[2]
	most := before
	var held []net.Conn
	var mu sync.Mutex
	defer func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}()
	address := s.address()[strings.Index(s.address(), "//")+2:]
	one := func() net.Conn {
		conn, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			return nil
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // what nobody reads the service has to keep soon
		if protocols != nil {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		}
		mu.Lock()
		defer mu.Unlock()
		held = append(held, conn)
		return conn
	}
	work, all := make(chan struct{}), sync.WaitGroup{}
	for range 50 {
		all.Go(func() {
			for range work {
				if who.does != nil {
					if conn := one(); conn != nil {
						who.does(conn)
					}
					continue
				}
				for range 20 { // come and go
					if conn := one(); conn != nil {
						http2To(conn, 0, true).get()
						_ = conn.Close()
					}
				}
			}
		})
	}
	look := func() { most = max(most, s.use(t)[2]) }
	for i := range who.connections {
		work <- struct{}{}
		if i%20 == 0 {
			look()
		}
	}
	close(work)
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	answers, refused := 0, 0
	for ended := false; !ended || answers < 20; look() {
		resp, err := s.client.Get(s.address() + wire.Path(wire.OpConfig, wire.Gen3))
		switch {
		case err == nil:
			_ = resp.Body.Close()
			answers++
			refused = 0
		case refused > 20:
			t.Fatalf("another client gets no answer: %v", err)
		default: // on a busy machine it may be the one that keeps the service waiting
			refused++
		}
		select {
		case <-done:
			ended = true
		default:
		}
	}
	t.Logf("%d KiB before, %d at most", before, most)
	if most-before > strangerCosts || most > recommended {
		t.Errorf("%d connections cost %d KiB: %d before, %d at most", who.connections, most-before, before, most)
	}
}

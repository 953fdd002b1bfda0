package httpapi_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi/internal/front"
	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// The ways to be slow: what is sent at once, and what then comes drop by drop.
var slow = []struct{ name, first, drops string }{
	{"nothing is sent", "", ""},
	{"a head, drop by drop", "GET /nowhere HTTP/1.1\r\nHost: x\r\nSid: ", "a"},
	{"a body, drop by drop", "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n", " "},
	{"chunks, drop by drop", "POST " + validatePath + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
	{"an answer that nobody reads", "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", ""},
}

// hold opens a connection that is slow in one of these ways, and returns when
// the service has closed it, or the connection has been closed here.
func hold(conn net.Conn, way int) {
	if _, err := io.WriteString(conn, slow[way].first); err != nil {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, conn)
	}()
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-closed:
			return
		case <-tick.C:
			if _, err := io.WriteString(conn, slow[way].drops); err != nil {
				<-closed
				return
			}
		}
	}
}

// nowhere asks for what is not there, on a connection of its own, and gets its answer.
func nowhere(t *testing.T, srv *neoapitest.Server) {
	t.Helper()
	answers := raw(t, srv, written("GET", "/nowhere", "", "Connection", "close"), false)
	if len(answers) != 1 || answers[0].status != 404 {
		t.Fatalf("%+v", answers)
	}
}

func TestConnections_slowOnesEndAndKeepNobodyFromLoggingIn(t *testing.T) { // security.md H6
	t.Parallel()
	const n = 1000
	srv, _ := serving(t, func(cfg *serve.Config) {
		cfg.Limits = front.Limits{HeadTime: 2 * time.Second, ReadTime: 4 * time.Second}
	})
	var ends [5]sync.WaitGroup
	var all []net.Conn
	for i := range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
		ends[i%5].Go(func() { hold(conn, i%5) })
	}
	c := consumer(t, srv)
	c.call(t, c.trade(t)).want(t, 200)
	for way := range 4 { // the last has had its answer, and may send its next request for a while
		done := make(chan struct{})
		go func() { ends[way].Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: a connection stays open", slow[way].name)
		}
	}
	for _, conn := range all {
		_ = conn.Close()
	}
	ends[4].Wait()
}

func TestConnections_slowestMakesRoomWhenAllAreTaken(t *testing.T) {
	t.Parallel()
	for way, x := range slow {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			const most = 20
			srv, _ := serving(t, func(cfg *serve.Config) {
				cfg.Limits = front.Limits{Connections: most, HeadTime: time.Minute, ReadTime: time.Minute}
			})
			var mu sync.Mutex
			var gone []int
			for i := range most {
				conn := dial(t, srv)
				go func() {
					hold(conn, way)
					mu.Lock()
					defer mu.Unlock()
					gone = append(gone, i)
				}()
				if way == 4 { // it is not the client's turn before it has its answer
					time.Sleep(10 * time.Millisecond)
				}
			}
			for range 5 { // each on a connection of its own
				nowhere(t, srv)
			}
			count := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(gone)
			}
			eventually(t, "a connection went", func() bool { return count() > 0 }) // its holder has to notice
			if n := count(); n > 5 {
				t.Errorf("%d of %d connections went for 5 requests one after the other", n, most)
			}
		})
	}
}

func TestConnections_makeNoRoomWhileARequestIsWorkedOn(t *testing.T) {
	t.Parallel()
	const most = 5
	srv, _ := serving(t, func(cfg *serve.Config) { cfg.Limits.Connections = most })
	began := time.Now()
	waits := make(chan reply, most)
	for range most {
		conn := dial(t, srv)
		if _, err := fmt.Fprintf(conn, "GET /sandbox/otp/%s?wait=3s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", srv.Account.UCC); err != nil {
			t.Fatal(err)
		}
		go func() {
			text, _ := io.ReadAll(conn)
			waits <- reply{body: text}
		}()
	}
	nowhere(t, srv)
	took := time.Since(began)
	if took < 2*time.Second {
		t.Errorf("a connection too many was answered after %s", took)
	}
	for range most {
		if r := <-waits; !strings.HasPrefix(string(r.body), "HTTP/1.1 404 ") || !strings.HasSuffix(string(r.body), "}]}") {
			t.Errorf("a request that was worked on: %q", r.body)
		}
	}
}

package httpapi_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi/internal/serve"
	"neoapi/neoapitest"
)

// fates counts what became of requests.
type fates struct {
	answered atomic.Int64
	refused  atomic.Int64 // on a connection that nobody accepted: nothing was promised
	last     atomic.Int64 // answers that said they were their connection's last
}

// client sends requests over its own connections until no connection is accepted
// any more. It never leaves a connection unused for long. Between the two halves
// of each request it may pause.
func (f *fates) client(t *testing.T, srv *neoapitest.Server, text string, keep, pauses bool) {
	var conn net.Conn
	var answers *bufio.Reader
	for n := 0; ; n++ {
		fresh := conn == nil
		if fresh {
			var err error
			if conn, err = net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://")); err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			answers = bufio.NewReader(conn)
		}
		at := 0
		var err error
		if pauses {
			at = rand.IntN(len(text))
			_, err = io.WriteString(conn, text[:at])
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		}
		if err == nil {
			_, err = io.WriteString(conn, text[at:])
		}
		if err == nil {
			_, err = answers.Peek(1)
		}
		if err != nil {
			if !fresh {
				t.Errorf("request %d of a connection was not answered: %v", n, err)
				return
			}
			f.refused.Add(1)
			conn = nil
			continue
		}
		resp, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		if err != nil {
			t.Errorf("an answer was cut off: %v", err)
			return
		}
		f.answered.Add(1)
		if resp.Close {
			f.last.Add(1)
		}
		if resp.Close || !keep {
			_ = conn.Close()
			conn, n = nil, -1
		}
	}
}

func TestShutdown_underLoadLosesNoRequest(t *testing.T) { // security.md R4
	t.Parallel()
	srv, stop := serving(t, func(cfg *serve.Config) { cfg.Limits.Linger = 2 * time.Second })
	c := consumer(t, srv)
	post := func(path, body string) string {
		return written("POST", path, body, "Authorization", c.who, "Content-Type", "application/json")
	}
	wrong := post(mpinPath, `{"mpin":"1"}`)
	login := post(validatePath, object("mobileNumber", c.Account.Mobile, "password", c.Account.Password))
	var f fates
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { f.client(t, srv, wrong, true, false) })
		all.Go(func() { f.client(t, srv, wrong, true, true) })
		all.Go(func() { f.client(t, srv, wrong, false, true) })
		all.Go(func() { f.client(t, srv, wrong, false, false) })
	}
	all.Go(func() { f.client(t, srv, login, true, false) })
	all.Go(func() { f.client(t, srv, login, false, false) })
	idle := dial(t, srv)
	if _, err := io.WriteString(idle, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for f.answered.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	stop()
	took := time.Since(began)
	all.Wait()
	if took < time.Second { // a client that is idle had its time
		t.Errorf("ended after %s", took)
	}
	if answer, err := io.ReadAll(idle); err != nil || strings.Count(string(answer), "HTTP/1.1 ") != 1 {
		t.Errorf("an idle connection: %q, %v", answer, err)
	}
	t.Logf("%d answered, %d of them their connection's last; %d on connections that were not accepted", f.answered.Load(), f.last.Load(), f.refused.Load())
}

func TestShutdown_underLoadLosesNoRequestOfHTTP2(t *testing.T) {
	t.Parallel()
	srv, stop := serving(t, func(cfg *serve.Config) {
		withTLS(t, cfg)
		cfg.Limits.Linger = 2 * time.Second
	})
	var answered atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}
		client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		for range 4 {
			all.Go(func() {
				defer transport.CloseIdleConnections()
				for {
					connected := false
					ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
						GetConn: func(string) { connected = false }, GotConn: func(httptrace.GotConnInfo) { connected = true },
					})
					r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+mpinPath, strings.NewReader(`{"mpin":"1"}`))
					if err != nil {
						t.Error(err)
						return
					}
					resp, err := client.Do(r)
					if err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
					if err != nil && !connected { // nobody listens any more, or the system had not handed the connection over yet
						return
					}
					if err != nil {
						t.Errorf("a request was lost: %v", err)
						return
					}
					answered.Add(1)
				}
			})
		}
	}
	for answered.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	stop()
	all.Wait()
}

func TestShutdown_waitsForWhatHasBegun(t *testing.T) {
	t.Parallel()
	srv, stop := serving(t, func(cfg *serve.Config) { cfg.Limits.Linger = time.Second })
	const first = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
	post := written("POST", validatePath, `{"error":"none"}`)
	var conns []net.Conn
	var rests []string
	begin := func(before string, at int) {
		conn := dial(t, srv)
		if before != "" {
			if _, err := io.WriteString(conn, before); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(conn, post[:at]); err != nil {
			t.Fatal(err)
		}
		conns, rests = append(conns, conn), append(rests, post[at:])
	}
	begin("", 0)
	begin("", 20)
	begin("", len(post)-1)
	begin(first, len(post)-1) // for a head, one that has had an answer has the linger time alone
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop()
	}()
	time.Sleep(1500 * time.Millisecond) // past the linger time
	for i, conn := range conns {
		if _, err := io.WriteString(conn, rests[i]); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") || !strings.Contains(string(answer), "\r\nConnection: close\r\n") {
			t.Errorf("connection %d: %q, %v", i, answer, err)
		}
	}
	<-ended
}

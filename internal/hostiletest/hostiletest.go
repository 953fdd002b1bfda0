// Package hostiletest has hostile servers, for tests of whatever calls other servers.
// [HTTP], [TLS] and [SMTP] list what they do on a connection, and [Walk] tests a call
// against each. Package badhttp has the simpler faults, as HTTP handlers.
package hostiletest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Mode is one thing that a server does.
type Mode struct {
	Name string

	// Endless means that only the caller's patience ends it. In all other modes the caller
	// sees at once that something is wrong, or has what it needs.
	Endless bool

	serve func(c *conn)
}

// slack is what the system's buffers of a connection may hold unread: on Linux up to
// 32 MiB at the receiver (tcp_rmem) and 4 at the sender.
const slack = 64 << 20

// A Server does one thing to every client.
type Server struct {
	Addr string // host and port

	Mode     Mode
	listener net.Listener
	tls      *tls.Config
	calls    atomic.Int64
	taken    atomic.Int64
	open     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

var walks atomic.Int64 // in progress

// Walk starts a server for each mode, runs call against each, many at once, and reports
// the errors that call returns. most is how many bytes a client may take on one
// connection, apart from what buffers hold, of servers that are not endless. Every
// connection must end with the call or soon after. Mail servers need cfg.
func Walk(t *testing.T, modes []Mode, cfg *tls.Config, most int64, call func(s *Server) error) {
	t.Helper()
	if walks.Add(1) == 1 {
		log.SetOutput(io.Discard) // net/http logs what servers send unasked
	}
	defer func() {
		if walks.Add(-1) == 0 {
			log.SetOutput(os.Stderr)
		}
	}()
	var all sync.WaitGroup
	turns := make(chan struct{}, 24)
	for _, m := range modes {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			s := m.start(cfg)
			defer s.end()
			if err := call(s); err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
			if err := s.check(most); err != nil {
				t.Errorf("%s: %v", m.Name, err)
			}
		})
	}
	all.Wait()
}

// Start starts a server for each mode until the test ends, for programs that must know them
// all at once.
func Start(t testing.TB, modes []Mode, cfg *tls.Config) (all []*Server) {
	for _, m := range modes {
		s := m.start(cfg)
		t.Cleanup(s.end)
		all = append(all, s)
	}
	return all
}

// Patience is the timeout for a call of this server: a moment if the server never ends by
// itself, otherwise a time that only a faulty client needs; see [Server.Judge].
func (s *Server) Patience() time.Duration {
	switch {
	case s.Mode.Taken():
		return 3 * time.Second // enough for the steps before the misbehaviour
	case s.Mode.Endless:
		return 150 * time.Millisecond
	}
	return 10 * time.Second
}

// Judge returns an error if err says that a call timed out, although the client could
// see the fault at once.
func (s *Server) Judge(err error) error {
	var network net.Error
	if late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout(); late && !s.Mode.Endless {
		return fmt.Errorf("the call timed out, although the fault can be seen at once: %w", err)
	}
	return nil
}

// start starts a server.
func (m Mode) start(cfg *tls.Config) *Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &Server{Addr: l.Addr().String(), listener: l, Mode: m, tls: cfg, conns: map[net.Conn]bool{}}
	s.open.Go(s.accept)
	return s
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.ended {
			_ = c.Close()
		} else {
			s.conns[c] = true
			s.open.Go(func() { s.serve(c) })
		}
		s.mu.Unlock()
	}
}

func (s *Server) serve(raw net.Conn) {
	defer func() {
		_ = raw.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, raw)
	}()
	s.calls.Add(1)
	c := &conn{Conn: raw, server: s}
	c.in = bufio.NewReader(raw)
	s.Mode.serve(c)
}

func (s *Server) end() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.ended = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.open.Wait()
}

// Calls returns the number of connections so far.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// check returns an error if clients took more than most bytes per connection, or if a
// connection stays open. Of an endless server only time limits what is taken.
func (s *Server) check(most int64) error {
	if got, calls := s.taken.Load(), s.calls.Load(); got > calls*(most+slack) && !s.Mode.Endless {
		return fmt.Errorf("%d bytes were taken on %d connections, want at most %d on each and what buffers hold", got, calls, most)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		left := len(s.conns)
		s.mu.Unlock()
		switch {
		case left == 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d connections are still open", left)
		}
	}
}

// A conn is the server's side of a connection.
type conn struct {
	net.Conn
	server *Server
	in     *bufio.Reader
}

// say writes text and reports whether the client is still there.
func (c *conn) say(text string) bool { return c.send([]byte(text)) }

func (c *conn) send(text []byte) bool {
	n, err := c.Conn.Write(text)
	c.server.taken.Add(int64(n))
	return err == nil
}

// flood repeats text until the client hangs up.
func (c *conn) flood(text string) {
	if len(text) < 16<<10 {
		text = strings.Repeat(text, 16<<10/len(text))
	}
	for all := []byte(text); c.send(all); {
	}
}

// trickle repeats text a byte at a time, slowly, until the client hangs up.
func (c *conn) trickle(text string) {
	for i := 0; c.say(text[i%len(text) : i%len(text)+1]); i++ {
		time.Sleep(10 * time.Millisecond)
	}
}

// hold sends nothing until the client hangs up.
func (c *conn) hold() { _, _ = io.Copy(io.Discard, c.in) }

// reset ends the connection as if the machine had crashed.
func (c *conn) reset() {
	raw := c.Conn
	if secure, ok := raw.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

// secure does the TLS handshake, if the server has a certificate.
func (c *conn) secure() bool {
	if c.server.tls == nil {
		return true
	}
	secure := tls.Server(c.Conn, c.server.tls)
	if err := secure.Handshake(); err != nil {
		return false
	}
	c.Conn, c.in = secure, bufio.NewReader(secure)
	return true
}

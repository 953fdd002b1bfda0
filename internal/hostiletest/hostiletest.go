// Package hostiletest is servers that mean harm: whoever is called has to be expected to
// answer like one of them. [HTTP], [TLS] and [SMTP] list what they do; tests of whatever
// calls others walk over the lists with [Walk].
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

	// Endless: nothing ends what it does but the caller's patience. In all other modes the
	// caller can tell that something is wrong, or has what it needs, at once.
	Endless bool

	serve func(c *conn)
}

// slack is what the systems' buffers of a connection hold that nobody has read.
const slack = 12 << 20

// A Server does one thing to whoever connects.
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

var walks atomic.Int64 // that are under way

// Walk starts a server of each mode and has call call it, many at once. What call
// returns is reported with the mode's name. most is how many bytes may be taken from a server
// on one connection, beside what buffers hold; every connection must have ended
// when the call has, or soon after. Mail servers need cfg.
func Walk(t *testing.T, modes []Mode, cfg *tls.Config, most int64, call func(s *Server) error) {
	t.Helper()
	if walks.Add(1) == 1 {
		log.SetOutput(io.Discard) // where net/http quotes what servers say unasked
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

// Patience is how long a call of this server is to be given: a moment where it never ends
// by itself, and otherwise a time that passing it is a failure. Call fails a test
// where it was passed: see [Server.Judge].
func (s *Server) Patience() time.Duration {
	switch {
	case s.Mode.Taken():
		return 3 * time.Second // which must be enough for all before it
	case s.Mode.Endless:
		return 150 * time.Millisecond
	}
	return 10 * time.Second
}

// Judge returns what is wrong with the end of a call: an error that says that its time was
// over, where the server is one that can be told at once.
func (s *Server) Judge(err error) error {
	var network net.Error
	if late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout(); late && !s.Mode.Endless {
		return fmt.Errorf("given up only after %s: %w", s.Patience(), err)
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

// Calls returns how many connections there were.
func (s *Server) Calls() int { return int(s.calls.Load()) }

// check returns an error if callers took more than so many bytes on each connection, or
// if one does not hang up.
func (s *Server) check(most int64) error {
	if got, calls := s.taken.Load(), s.calls.Load(); got > calls*(most+slack) {
		return fmt.Errorf("%d bytes were taken on %d connections, want %d each at most and what buffers hold", got, calls, most)
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

// A conn is one connection, as the server has it.
type conn struct {
	net.Conn
	server *Server
	in     *bufio.Reader
}

// say writes text and reports whether the other side still listens.
func (c *conn) say(text string) bool {
	n, err := io.WriteString(c.Conn, text)
	c.server.taken.Add(int64(n))
	return err == nil
}

// flood writes a text until the other side hangs up.
func (c *conn) flood(text string) {
	if len(text) < 16<<10 {
		text = strings.Repeat(text, 16<<10/len(text))
	}
	for c.say(text) {
	}
}

// trickle writes a text over and over, slowly.
func (c *conn) trickle(text string) {
	for i := 0; c.say(text[i%len(text) : i%len(text)+1]); i++ {
		time.Sleep(10 * time.Millisecond)
	}
}

// hold says nothing until the other side hangs up.
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

// secure shakes hands, if the server has a certificate.
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

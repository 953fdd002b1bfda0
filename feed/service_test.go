package feed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
)

// A service is a service in this process, with connections that a synctest bubble can
// hold, which says of a session what a test wants.
type service struct {
	client *neoapi.Client
	conns  chan net.Conn
	// dial, handshake and talk do what is hostile; each gets the number of the connection,
	// counted from 1. nil does what a good service does.
	dial      func(ctx context.Context, n int) (net.Conn, error) // nil, nil: as usual
	handshake func(w http.ResponseWriter, r *http.Request, n int) bool
	talk      func(c *websocket.Conn, n int)
	call      http.HandlerFunc // any other request
	refusing  func() bool      // whether the session has ended; nil: always

	dials, upgrades, calls atomic.Int32
	mu                     sync.Mutex
	times                  []time.Time // of the dials of feeds
	greetings              []string    // the first frames
}

// newService returns a service that ends with the test. In a bubble it has to be closed.
func newService(t testing.TB) *service {
	s := &service{conns: make(chan net.Conn)}
	done := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(s.serve)}
	listener := &pipes{s.conns, done, sync.Once{}}
	var served sync.WaitGroup
	served.Go(func() { srv.Serve(listener) })
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		n := int(s.dials.Add(1))
		if s.dial != nil {
			if conn, err := s.dial(ctx, n); conn != nil || err != nil {
				return conn, err
			}
		}
		ours, theirs := net.Pipe()
		select {
		case s.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	s.client = must.Get(neoapi.New(neoapi.Config{
		Environment: "http://127.0.0.1:9155", ConsumerKey: "key", Rate: -1, HTTPClient: &http.Client{Transport: transport},
	}))(t)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
		served.Wait()
	})
	return s
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		s.calls.Add(1)
		if s.call != nil {
			s.call(w, r)
			return
		}
		io.WriteString(w, `{"stat":"Ok","stCode":200}`)
		return
	}
	n := int(s.upgrades.Add(1))
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	if s.handshake != nil && !s.handshake(w, r, n) {
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	if s.talk != nil {
		s.talk(c, n)
		return
	}
	s.welcome(c)
	s.listen(c)
}

// hear returns the first frame, which it keeps.
func (s *service) hear(c *websocket.Conn) (string, error) {
	_, data, err := c.Read(context.Background())
	if err == nil {
		s.mu.Lock()
		s.greetings = append(s.greetings, string(data))
		s.mu.Unlock()
	}
	return string(data), err
}

// welcome hears the first frame and takes the session.
func (s *service) welcome(c *websocket.Conn) error {
	if _, err := s.hear(c); err != nil {
		return err
	}
	return s.say(c, "ok")
}

func (s *service) say(c *websocket.Conn, text string) error {
	return c.Write(context.Background(), websocket.MessageText, []byte(text))
}

// listen reads until the connection ends.
func (s *service) listen(c *websocket.Conn) {
	for {
		if _, _, err := c.Read(context.Background()); err != nil {
			return
		}
	}
}

func (s *service) dialed() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times...)
}

// greeted returns how often a session was tried.
func (s *service) greeted(token string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.greetings {
		if g == token {
			n++
		}
	}
	return n
}

// pipes is a listener.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9155} }

// A parrot is the protocol of these tests: the first frame is the session's token, and the
// answer is ok, nk or none of them.
type parrot struct {
	to     []string
	beats  beat
	onUp   func(*wire)
	onData func(kind frameKind, data []byte) error

	mu     sync.Mutex
	ups    int
	frames []string
	downs  []error
}

func (p *parrot) addresses(context.Context, neoapi.Session) ([]string, error) {
	if p.to == nil {
		return []string{"ws://127.0.0.1:9155/realtime"}, nil
	}
	return p.to, nil
}

func (p *parrot) greet(ctx context.Context, w *wire, s neoapi.Session) error {
	if err := w.write([]byte(s.Token)); err != nil {
		return err
	}
	_, data, err := w.read(ctx)
	switch {
	case err != nil:
		return err
	case string(data) == "ok":
		return nil
	case string(data) == "nk":
		return &SessionError{Err: errors.New("nk")}
	}
	return &ProtocolError{Err: errors.New("neither ok nor nk")}
}

func (p *parrot) up(_ context.Context, w *wire) error {
	p.mu.Lock()
	p.ups++
	p.mu.Unlock()
	if p.onUp != nil {
		p.onUp(w)
	}
	return nil
}

func (p *parrot) frame(kind frameKind, data []byte, _ time.Time) error {
	if p.onData != nil {
		return p.onData(kind, data)
	}
	if string(data) == "nk" {
		return &SessionError{Err: errors.New("nk")}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, string(data))
	return nil
}

func (p *parrot) down(why error, _ time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.downs = append(p.downs, why)
}

func (p *parrot) beat(neoapi.Session) beat { return p.beats }

func (p *parrot) connected() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ups
}

func (p *parrot) lost() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]error(nil), p.downs...)
}

func (p *parrot) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.frames, " ")
}

// A supply is a source of sessions that counts.
type supply struct {
	mu       sync.Mutex
	sessions []neoapi.Session // the first is the present one
	none     error            // when there is none left
	asked    int
	ended    []string
}

func (s *supply) Session(context.Context) (neoapi.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if len(s.sessions) == 0 {
		return neoapi.Session{}, s.none
	}
	return s.sessions[0], nil
}

func (s *supply) Ended(old neoapi.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, old.Token)
	if len(s.sessions) > 0 && s.sessions[0].Token == old.Token {
		s.sessions = s.sessions[1:]
	}
}

func session(token string) neoapi.Session {
	return neoapi.Session{Token: token, SID: "sid-" + token, KType: "Trade", UCC: "TESTYA24", DataCenter: "gdc"}
}

// A running is a link at work.
type running struct {
	*link
	*life
	parrot *parrot
	done   chan error
}

// run starts a link.
func (s *service) run(t testing.TB, p *parrot, source neoapi.SessionSource, opts ...Option) *running {
	o := newOptions(append(opts, WithKeeper(source)))
	l := newLink(s.client, o, newSessions(s.client, o), p)
	r := &running{l, newLife(t.Context()), p, make(chan error, 1)}
	must.Do(t, l.prepare(r.ctx))
	r.start(func() { r.done <- l.run(r.ctx) })
	return r
}

// bubble runs a test in fake time, with a service.
func bubble(t *testing.T, f func(t *testing.T, s *service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newService(t)) })
}

// buffered is a service.dial whose connections take what is written to them even if the
// service does not read, as a network does for a while.
func buffered(s *service) func(context.Context, int) (net.Conn, error) {
	return func(ctx context.Context, _ int) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case s.conns <- theirs:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		b := &bufferedConn{Conn: ours, queue: make(chan []byte, 1000)}
		go func() {
			for p := range b.queue {
				if _, err := ours.Write(p); err != nil {
					return
				}
			}
		}()
		return b, nil
	}
}

type bufferedConn struct {
	net.Conn
	mu     sync.Mutex
	closed bool
	queue  chan []byte
}

func (b *bufferedConn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	b.queue <- append([]byte(nil), p...)
	return len(p), nil
}

func (b *bufferedConn) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	return b.Conn.Close()
}

func logger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// A rawWriter is a ResponseWriter whose hijacked connection writes a frame after the text
// frame "send".
type rawWriter struct {
	http.ResponseWriter
	frame []byte
}

func (w *rawWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	raw := &rawConn{conn, w.frame}
	return raw, bufio.NewReadWriter(buf.Reader, bufio.NewWriter(raw)), nil
}

type rawConn struct {
	net.Conn
	frame []byte
}

func (c *rawConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil && bytes.HasSuffix(p, []byte("send")) {
		c.Conn.Write(c.frame)
	}
	return n, err
}

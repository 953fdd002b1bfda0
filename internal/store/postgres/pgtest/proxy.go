package pgtest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Proxy stands between a store and PostgreSQL and does to their
// connections what networks and servers do. It reads enough of the protocol to
// tell statements and answers apart.
type Proxy struct {
	listener net.Listener
	network  string // of the server
	server   string

	mu      sync.Mutex
	links   map[*link]bool
	weather Weather
	plan    func() Fault // what becomes of each run
	ended   bool
	all     sync.WaitGroup
}

// Weather is what becomes of connections as a whole.
type Weather struct {
	Down   bool          // new ones are closed at once
	Silent bool          // nothing passes, neither way
	Delay  time.Duration // before each answer
}

// A Fault is what becomes of a run: of what a client sends before it waits, statements with
// their arguments.
type Fault int

const (
	Pass      Fault = iota
	CutBefore       // the connection ends, and the server never sees it
	CutAfter        // the server does it, and the connection ends instead of its answer
	CutInside       // the same in the middle of the answer
	CutAtOnce       // it is on its way when the connection ends: done or not, nobody knows
	Silence         // the server does it, and nothing more is heard of the connection
)

// NewProxy starts a proxy before a database and returns it with the address of the
// database through it.
func NewProxy(t testing.TB, database string) (*Proxy, string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{links: map[*link]bool{}}
	p.network, p.server = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.all.Go(func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.begin(c.(*net.TCPConn))
		}
	})
	t.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		_ = p.listener.Close()
		p.cut()
		p.all.Wait()
	})
	u := url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: p.listener.Addr().String(), Path: cfg.Database, RawQuery: "sslmode=disable"}
	return p, u.String()
}

// Set changes the weather. What was silenced stays silent.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	p.weather = w
	for l := range p.links {
		if w.Silent {
			l.hush()
		}
	}
	p.mu.Unlock()
	if w.Down {
		p.cut()
	}
}

// SetPlan says what becomes of each run from now on. It is asked before the run passes,
// by each connection for itself; nil lets all pass.
func (p *Proxy) SetPlan(plan func() Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// cut resets all connections.
func (p *Proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

func (p *Proxy) begin(client *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &link{proxy: p, client: client, silent: make(chan struct{}), ended: make(chan struct{})}
	if p.weather.Silent {
		l.hush()
	}
	if p.weather.Down || p.ended {
		l.reset()
		return
	}
	p.links[l] = true
	p.all.Go(func() {
		l.work()
		l.reset()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

// A link is one connection of the service, and the proxy's to the server for it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn

	silent  chan struct{} // closed when nothing passes any more
	hushing sync.Once
	ended   chan struct{}
	ending  sync.Once

	mu     sync.Mutex
	server net.Conn
	after  Fault // what becomes of the next answer
}

func (l *link) hush() { l.hushing.Do(func() { close(l.silent) }) }

// reset ends the link at once, both ways.
func (l *link) reset() {
	l.ending.Do(func() {
		close(l.ended)
		_ = l.client.SetLinger(0)
		_ = l.client.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.server != nil {
			_ = l.server.Close()
		}
	})
}

// passes reports whether the link still lets something pass. Of a silent one the
// service hears nothing, not even its end.
func (l *link) passes() bool {
	select {
	case <-l.silent:
		<-l.ended
	default:
	}
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

func (l *link) work() {
	if !l.passes() {
		return
	}
	server, err := net.Dial(l.proxy.network, l.proxy.server)
	if err != nil {
		return
	}
	l.mu.Lock()
	l.server = server
	l.mu.Unlock()
	defer func() { _ = server.Close() }()
	var answers sync.WaitGroup
	answers.Go(func() {
		l.answers(bufio.NewReader(server))
		if l.passes() {
			_ = l.client.Close() // in order, as the server did
		}
	})
	l.runs(bufio.NewReader(l.client), server)
	if l.passes() {
		_ = server.Close()
	}
	answers.Wait()
}

// message reads a message of the protocol: its kind, unless it is the first of a
// connection, its length and the rest.
func message(r *bufio.Reader, first bool) ([]byte, error) {
	head := 5
	if first {
		head = 4
	}
	m := make([]byte, head)
	if _, err := io.ReadFull(r, m); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(m[head-4:])-4)
	_, err := io.ReadFull(r, rest)
	return append(m, rest...), err
}

// runs passes on what the service sends, one run after another.
func (l *link) runs(from *bufio.Reader, to io.Writer) {
	var pending []byte
	bound := false // to a statement: what only prepares one is no run
	for first := true; ; first = false {
		m, err := message(from, first)
		if err != nil || !l.passes() {
			return
		}
		pending = append(pending, m...)
		if !first {
			bound = bound || m[0] == 'B'
			if m[0] != 'S' && m[0] != 'Q' && m[0] != 'X' && m[0] != 'p' { // the service has more to say
				continue
			}
		}
		f := Pass
		if bound {
			l.proxy.mu.Lock()
			plan := l.proxy.plan
			l.proxy.mu.Unlock()
			if plan != nil {
				f = plan()
			}
		}
		if f == CutBefore {
			l.reset()
			return
		}
		l.mu.Lock()
		l.after = f
		l.mu.Unlock()
		if _, err := to.Write(pending); err != nil {
			return
		}
		if f == CutAtOnce {
			l.reset()
			return
		}
		bound, pending = false, nil
	}
}

// answers passes on what the server answers.
func (l *link) answers(from *bufio.Reader) {
	var pending []byte
	for {
		m, err := message(from, false)
		if err != nil {
			return
		}
		pending = append(pending, m...)
		whole := m[0] == 'Z' // ReadyForQuery
		l.mu.Lock()
		after := l.after
		l.mu.Unlock()
		if after != Pass && !whole || !whole && from.Buffered() > 0 {
			continue
		}
		l.proxy.mu.Lock()
		delay := l.proxy.weather.Delay
		l.proxy.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-l.ended:
		}
		switch after {
		case CutAfter:
			l.reset()
		case CutInside:
			_, _ = l.client.Write(pending[:len(pending)/2])
			l.reset()
		case Silence:
			l.hush()
		}
		if !l.passes() {
			return
		}
		if _, err := l.client.Write(pending); err != nil {
			return
		}
		pending = nil
	}
}

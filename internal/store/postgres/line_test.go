package postgres_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"neoapi/internal/store/postgres/pgtest"
)

// A line is what connections to a database go through, so that a test can break
// it.
type line struct {
	url    string // of the database at the other end of the line
	direct string // the same, past the line

	mu     sync.Mutex
	open   map[net.Conn]bool
	gate   chan struct{} // closed while everything passes
	fault  fault
	after  int           // so many answers before the fault
	struck chan struct{} // closed when the fault has happened
	pings  int           // on their way, which do not count
}

// A fault is what happens to a question or its answer.
type fault int

const (
	none         fault = iota
	loseQuestion       // the connection ends before it arrives
	loseAnswer         // the connection ends when the server is done
	pause              // it waits until release, as does everything after it
)

// newLine returns a line to a fresh database.
func newLine(t *testing.T) *line {
	t.Helper()
	direct := pgtest.Database(t)
	target, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &line{
		direct: direct, url: "postgres://postgres@" + l.Addr().String() + target.Path + "?sslmode=disable&pool_max_conns=1", open: map[net.Conn]bool{},
		gate: make(chan struct{}),
	}
	close(x.gate)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", target.Query().Get("host")+"/.s.PGSQL.5432")
			if err != nil {
				_ = near.Close()
				continue
			}
			x.mu.Lock()
			x.open[near], x.open[far] = true, true
			x.mu.Unlock()
			running.Go(func() { x.questions(near, far) })
			running.Go(func() { x.replies(near, far) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		x.release()
		x.cut()
		running.Wait()
	})
	return x
}

// hold lets nothing pass until release; connections stay open.
func (x *line) hold() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gate = make(chan struct{})
}

func (x *line) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.gate:
	default:
		close(x.gate)
	}
}

// arm lets so many answers pass before a fault happens, once. The channel is
// closed when it has.
func (x *line) arm(f fault, after int) <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fault, x.after, x.struck = f, after, make(chan struct{})
	return x.struck
}

// strike returns the fault that happens now, if it is one of these.
func (x *line) strike(those ...fault) fault {
	if x.after > 0 || x.pings > 0 || !slices.Contains(those, x.fault) {
		return none
	}
	f := x.fault
	x.fault = none
	close(x.struck)
	return f
}

// cut ends every connection.
func (x *line) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.open {
		_ = c.Close()
	}
	clear(x.open)
}

func (x *line) questions(near, far net.Conn) {
	defer near.Close()
	defer far.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := near.Read(buf)
		if err != nil {
			return
		}
		x.mu.Lock()
		if buf[0] == 'Q' { // the pool asks whether a connection that was idle is alive
			x.pings++
		}
		f := x.strike(loseQuestion, pause)
		if f == pause {
			x.gate = make(chan struct{})
		}
		gate := x.gate
		x.mu.Unlock()
		if f == loseQuestion {
			return
		}
		<-gate
		if _, err := far.Write(buf[:n]); err != nil {
			return
		}
	}
}

// replies passes on one message after another: an answer ends with the message
// that says that the server is ready for the next question.
func (x *line) replies(near, far net.Conn) {
	defer near.Close()
	defer far.Close()
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(far, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(far, body); err != nil {
			return
		}
		ready := head[0] == 'Z'
		x.mu.Lock()
		lost := x.fault == loseAnswer && x.after == 0 && x.pings == 0
		if ready {
			lost = x.strike(loseAnswer) != none
			if x.pings > 0 {
				x.pings--
			} else if x.after > 0 {
				x.after--
			}
		}
		gate := x.gate
		x.mu.Unlock()
		if lost && ready { // the server is done
			return
		}
		if lost {
			continue
		}
		<-gate
		if _, err := near.Write(append(head, body...)); err != nil {
			return
		}
	}
}

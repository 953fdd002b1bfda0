package postgres_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"neoapi/internal/store/postgres/pgtest"
)

// A line is what connections to a database go through, so that a test can break
// it.
type line struct {
	url string // of the database at the other end of the line

	mu      sync.Mutex
	open    map[net.Conn]bool
	held    chan struct{} // closed when nothing is held
	answers int           // how many more pass; below 0 all
	dead    bool          // the question after that does not arrive; or else its answer does not
	pings   int           // on their way, which do not count
}

// newLine returns a line to a fresh database.
func newLine(t *testing.T) *line {
	t.Helper()
	target, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &line{
		url: "postgres://postgres@" + l.Addr().String() + target.Path + "?sslmode=disable&pool_max_conns=1", open: map[net.Conn]bool{},
		held: make(chan struct{}), answers: -1,
	}
	close(x.held)
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
	x.held = make(chan struct{})
}

func (x *line) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.held:
	default:
		close(x.held)
	}
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

// cutAfter lets so many answers pass and then cuts the connection of the next one:
// before its question arrives, or before its answer does.
func (x *line) cutAfter(answers int, question bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answers, x.dead = answers, question
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
		x.wait()
		x.mu.Lock()
		if buf[0] == 'Q' { // the pool asks whether a connection that was idle is alive
			x.pings++
		}
		dead := x.dead && x.answers == 0 && x.pings == 0
		if dead {
			x.answers = -1
		}
		x.mu.Unlock()
		if dead {
			return
		}
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
		x.wait()
		x.mu.Lock()
		lost, ready := x.answers == 0 && !x.dead && x.pings == 0, head[0] == 'Z'
		switch {
		case ready && x.pings > 0:
			x.pings--
		case ready && lost:
			x.answers = -1
		case ready && x.answers > 0:
			x.answers--
		}
		x.mu.Unlock()
		if lost && ready { // the server is done
			return
		}
		if lost {
			continue
		}
		if _, err := near.Write(append(head, body...)); err != nil {
			return
		}
	}
}

func (x *line) wait() {
	x.mu.Lock()
	held := x.held
	x.mu.Unlock()
	<-held
}

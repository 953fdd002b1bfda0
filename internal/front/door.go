package front

import (
	"bytes"
	"container/list"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// spared is how long a connection may keep the service waiting before another may
	// replace it.
	spared = 500 * time.Millisecond

	// At the end, connections are accepted until none has come for a moment: one that
	// waits to be accepted when the listener closes is reset.
	lastQuiet = 5 * time.Millisecond
	lastCalls = 500 * time.Millisecond
)

// A door is the listener for all connections, whose number it limits. One more
// replaces the connection that has kept the service waiting the longest, for a
// request, for the rest of one, or for its answer to be read, so clients that only
// hold connections, or send slowly, keep nobody out (security.md H6). If all
// connections have requests in progress, the new one waits for the first that ends.
// The memory held for all clients is limited in the same way.
type door struct {
	net.Listener
	tls      *tls.Config // nil: plain HTTP
	http2    bool        // TLS may have it within
	max      int         // connections
	room     int         // bytes
	headTime time.Duration
	readTime time.Duration
	log      *slog.Logger
	now      func() time.Time // for the Date header; limits use the machine's clock
	refused  func(*Refusal) any

	notAccepted func() // nil, or called for each connection for which there is no descriptor

	mu      sync.Mutex
	change  *sync.Cond // whatever Accept, settle and fit wait for
	open    int
	held    int // bytes held for all connections
	going   int // of held, for connections that were dropped and have not ended yet
	told    int // the value of held last reported, in steps
	tell    chan struct{}
	waiting list.List // of *conn whose clients' turn it is, the longest first
	warned  time.Time // that all connections are taken
	said    time.Time // that there is no descriptor for one
	closing bool
	closeBy time.Time
}

func newDoor(l net.Listener, most int, log *slog.Logger) *door {
	d := &door{Listener: l, max: most, room: most*plainBytes + spareBytes, log: log, tell: make(chan struct{}, 1), now: time.Now}
	d.change = sync.NewCond(&d.mu)
	return d
}

// Accept implements [net.Listener].
func (d *door) Accept() (net.Conn, error) {
	raw, err := d.Listener.Accept()
	for err != nil && noMore(err) && d.makeDescriptor(err) {
		raw, err = d.Listener.Accept()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil && d.closing:
		return nil, errors.Join(net.ErrClosed, d.Listener.Close())
	case err != nil:
		return nil, err
	case d.closing:
		d.lastCall()
	}
	for d.open >= d.max {
		if time.Since(d.warned) > time.Minute {
			d.warned = time.Now()
			d.log.Warn("all connections are taken: each new one replaces the one that has waited longest", "connections", d.max)
		}
		d.makeRoom()
	}
	c := &conn{Conn: raw, raw: raw, door: d}
	for d.held+c.atLeast() > d.room {
		d.relieve(c.atLeast())
	}
	if d.tls != nil {
		// The handshake happens during the first read, whose deadline net/http sets; this
		// deadline is for its writes.
		c.Conn = tls.Server(counted{raw, c}, d.tls)
		err = raw.SetWriteDeadline(time.Now().Add(d.headTime))
	}
	d.open++
	d.weigh(c)
	return c, err
}

// makeRoom drops the connection that has waited longest, or waits for a change.
func (d *door) makeRoom() {
	if d.waiting.Len() == 0 {
		d.change.Wait()
		return
	}
	longest := d.waiting.Front().Value.(*conn)
	if left := spared - time.Since(longest.since); left > 0 {
		wake := time.AfterFunc(left, d.wake)
		d.change.Wait()
		wake.Stop()
		return
	}
	d.drop(longest)
}

// Between two tries to accept a connection for which there is no descriptor.
const (
	afterDrop = 20 * time.Millisecond // one was closed to make room
	afterNone = 50 * time.Millisecond
)

// makeDescriptor is called when the process has no file descriptor for a connection,
// because of err. It drops the connection that has kept the service waiting longest, if
// that was long enough, and waits a moment. It returns false when the door is closing.
func (d *door) makeDescriptor(err error) bool {
	if d.notAccepted != nil {
		d.notAccepted()
	}
	d.mu.Lock()
	say := time.Since(d.said) > time.Minute
	if say {
		d.said = time.Now()
	}
	closing, wait := d.closing, afterNone
	if longest := d.waiting.Front(); longest != nil && time.Since(longest.Value.(*conn).since) >= spared {
		d.drop(longest.Value.(*conn))
		wait = afterDrop
	}
	open := d.open
	d.mu.Unlock()
	if say {
		d.log.Error("connections cannot be accepted: raise the limit of open files", "cause", err, "connections", open)
	}
	if !closing {
		time.Sleep(wait)
	}
	return !closing
}

func (d *door) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change.Broadcast()
}

// end makes Accept close the listener as soon as no connection waits to be accepted;
// every answer from now on is the last on its connection.
func (d *door) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing, d.closeBy = true, time.Now().Add(lastCalls)
	d.change.Broadcast()
	d.lastCall()
}

func (d *door) lastCall() {
	until := time.Now().Add(lastQuiet)
	if until.After(d.closeBy) {
		until = d.closeBy
	}
	l, ok := d.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok || l.SetDeadline(until) != nil {
		_ = d.Listener.Close() // Accept fails then, too
	}
}

// state is called by net/http with the state of a connection.
func (d *door) state(nc net.Conn, s http.ConnState) {
	c := nc.(*conn)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateNew:
		c.owes = true
		d.wait(c)
	case http.StateIdle:
		c.owes, c.used = !c.http2, true
		c.handled.Store(false)
		d.idle(c)
	case http.StateHijacked: // by a handler; net/http no longer reports on it
		c.heads.stop()
		c.hijacked.Store(true)
	case http.StateClosed:
		c.owes = false
		d.work(c)
		d.leave(c)
		d.release(c)
	}
	d.change.Broadcast()
}

// wait puts a connection at the end of those waiting for their clients.
func (d *door) wait(c *conn) {
	if !c.gone {
		c.since, c.place = time.Now(), d.waiting.PushBack(c)
	}
}

// touch moves a waiting connection to the end again: its client has done something.
func (d *door) touch(c *conn) {
	if c.place != nil {
		c.since = time.Now()
		d.waiting.MoveToBack(c.place)
	}
}

// work takes a connection off them.
func (d *door) work(c *conn) {
	if c.place != nil {
		d.waiting.Remove(c.place)
		c.place = nil
	}
}

// leave frees the place of a connection.
func (d *door) leave(c *conn) {
	if !c.gone {
		c.gone = true
		d.open--
		d.going += c.holds.weight
	}
}

// drop closes a connection without TLS's closing handshake, which could take time.
func (d *door) drop(c *conn) {
	d.work(c)
	d.leave(c)
	if c.http2 && len(c.holds.open) == 0 {
		go c.goAway(c.holds.last)
		return
	}
	_ = c.raw.Close()
}

// settle waits, once the door is closed, until no HTTP/1 connection still owes the
// head of a request: a new connection gets its usual time, and one that has had an
// answer gets the linger time. HTTP/2 has a message for this, which Shutdown sends.
func (d *door) settle(linger time.Duration) {
	until := time.Now().Add(linger)
	defer time.AfterFunc(linger, d.wake).Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		late, owing := !time.Now().Before(until), 0
		for e := d.waiting.Front(); e != nil; {
			c := e.Value.(*conn)
			e = e.Next()
			switch {
			case !c.owes:
			case late && c.used:
				d.drop(c)
			default:
				owing++
			}
		}
		if owing == 0 {
			return
		}
		d.change.Wait()
	}
}

// A conn is a connection on which the server's own answers replace those that net/http
// sends by itself, before any handler runs (security.md H2), and that notices framing
// that net/http accepts silently (security.md H5).
type conn struct {
	net.Conn // raw, or TLS over it
	raw      net.Conn
	door     *door
	heads    heads
	in, out  frames   // HTTP/2
	greeted  int      // how much of the HTTP/2 preface has arrived
	unread   int      // bytes received below TLS since the last content
	counted  int      // the part of unread that the door has counted
	notTLS   net.Conn // the connection, if the client spoke HTTP where TLS belongs
	ahead    int      // HTTP/2: frames that may need an answer, received since the last write
	wrote    chan struct{}
	writing  sync.Mutex

	// Under the door's lock.
	place   *list.Element // among those whose clients' turn it is, or nil
	since   time.Time     // when it became the client's turn
	working int           // complete requests without an answer
	gone    bool          // no longer counted
	owes    bool          // HTTP/1: the next request has no answer yet
	used    bool          // has had a request
	http2   bool          // does not change once anything has been written
	holds   holdings

	handled  atomic.Bool // HTTP/1: a handler has a request whose answer has not left
	hijacked atomic.Bool // its traffic is no longer watched
}

type connKey struct{}

// connOf returns the connection of a request, or nil if it did not come through
// a door.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// headRead is called when a request's head has come, and reports whether it was framed
// as it must be. bytes is the memory held for it, to be passed to answered.
func (c *conn) headRead(r *http.Request) (wellFramed bool, bytes int) {
	if c == nil {
		return true, 0
	}
	c.door.mu.Lock()
	if r.ProtoMajor == 1 {
		c.handled.Store(true)
		c.owes = false
		c.door.change.Broadcast()
	}
	bytes = c.door.holdRequest(c, r)
	c.door.mu.Unlock()
	return r.ProtoMajor != 1 || c.heads.answer(r.ContentLength), bytes
}

// requestRead is called when a request is complete: now it is the service's turn.
func (c *conn) requestRead() {
	if c == nil {
		return
	}
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.working++
	c.door.work(c)
}

// answered is called when a handler has answered a request: it is the client's turn.
func (c *conn) answered(bytes int) {
	if c == nil {
		return
	}
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.door.letRequestGo(c, bytes)
	switch c.working--; {
	case c.hijacked.Load():
		c.door.work(c)
		c.door.leave(c)
		c.door.release(c)
	case c.working == 0:
		c.door.wait(c)
	default:
		return
	}
	c.door.change.Broadcast()
}

// ending reports whether an answer now is the connection's last.
func (c *conn) ending() bool {
	if c == nil {
		return false
	}
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	return c.door.closing
}

func (c *conn) Read(b []byte) (int, error) {
	if c.http2 {
		c.letWrite()
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.unread, c.counted = 0, 0
		if cerr := c.came(b[:n]); cerr != nil {
			return 0, cerr
		}
	}
	var other tls.RecordHeaderError
	if errors.As(err, &other) && other.RecordHeader[0] >= 'A' && other.RecordHeader[0] <= 'Z' { // methods begin so
		c.notTLS = other.Conn
	}
	return n, err
}

// CloseWrite lets net/http end its side first, so that a client that is still
// sending reads the answer before the connection is reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var (
	ownHeaders        = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	expectationFailed = []byte("HTTP/1.1 417 ")
)

// Write replaces the plain-text answers of net/http to requests that it cannot
// read. It writes each of them in one piece, with these headers and in this
// order, which no answer of a handler has; or, for an unknown Expect, without a
// body.
func (c *conn) Write(b []byte) (int, error) {
	if c.hijacked.Load() || c.handled.Load() {
		return c.Conn.Write(b)
	}
	if c.http2 {
		c.writing.Lock()
		defer c.writing.Unlock()
		if err := c.leaves(b); err != nil {
			return 0, err
		}
		n, err := c.Conn.Write(b)
		select {
		case c.wrote <- struct{}{}:
		default:
		}
		return n, err
	}
	to, refusal := c.refusal(b)
	if refusal == nil {
		return c.Conn.Write(b)
	}
	status := refusal.Status
	body, err := json.Marshal(c.door.refused(refusal))
	if err != nil {
		return 0, err
	}
	if err := to.SetWriteDeadline(time.Now().Add(WriteTimeout)); err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(to, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\nContent-Type: application/json\r\nDate: %s\r\nX-Content-Type-Options: nosniff\r\n\r\n%s",
		status, http.StatusText(status), len(body), c.door.now().UTC().Format(http.TimeFormat), body)
	return len(b), err
}

// refusal returns the refusal to send in place of an answer that net/http writes by
// itself, and the connection for it; nil for all other answers.
func (c *conn) refusal(b []byte) (to net.Conn, refusal *Refusal) {
	line, _, found := bytes.Cut(b, ownHeaders)
	if found && (bytes.ContainsAny(line, "\r\n") || !bytes.HasPrefix(line, []byte("HTTP/1."))) {
		found = false
	}
	unexpected := bytes.HasPrefix(b, expectationFailed)
	switch {
	case !found && !unexpected:
		return nil, nil
	case c.notTLS != nil:
		return c.notTLS, &Refusal{Status: http.StatusBadRequest, Detail: "this address speaks TLS: begin it with https"}
	case unexpected:
		return c.Conn, &Refusal{Status: http.StatusExpectationFailed, Detail: "the Expect header asks for something unknown"}
	case bytes.Contains(line, []byte(" 431")), c.heads.crowded():
		return c.Conn, errHead
	case bytes.Contains(line, []byte(" 501")):
		return c.Conn, &Refusal{Status: http.StatusNotImplemented, Detail: "the Transfer-Encoding is not supported: send the body plainly or chunked"}
	case bytes.Contains(line, []byte(" 505")):
		return c.Conn, &Refusal{Status: http.StatusHTTPVersionNotSupported, Detail: "this service speaks HTTP/1.1"}
	}
	return c.Conn, &Refusal{Status: http.StatusBadRequest, Detail: "the request is not well-formed HTTP"}
}

package front

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// The memory kept for a client, in bytes, measured with the built program and rounded
// up.
const (
	plainBytes   = 16 << 10 // a connection: its goroutine's stack and its read and write buffers
	tlsBytes     = 24 << 10 // a connection with TLS
	http2Bytes   = 48 << 10 // a connection of HTTP/2: three goroutines, tables of headers
	requestBytes = 16 << 10 // a request of HTTP/2: the stack of its goroutine, its answer until it has left
	unseenBytes  = 96 << 10 // more for a request without a handler yet: the longest list of headers
	fieldBytes   = 128      // a header field, besides its text
	bodyBytes    = 16 << 10 // an HTTP/2 body, besides the bytes received

	// spareBytes is the memory that all clients may use beyond their connections.
	spareBytes = 8 << 20

	// tellBytes is the change in memory after which it is reported.
	tellBytes = 2 << 20

	readAhead = 4 << 10        // is part of a connection
	maxUnread = 40 << 10       // of TLS without content: more than two records
	maxOpen   = 8 * maxStreams // requests received that HTTP/2 has not refused yet
	maxAhead  = 64             // frames that may need an answer
)

// Holdings is the memory held for one connection.
type holdings struct {
	weight int // in all, as last reckoned
	unread int // the most received at once without content, which stays allocated
	head   int // HTTP/1: bytes received of an incomplete head
	asked  int // heads and bodies of requests that a handler has seen, until they are answered

	// HTTP/2.
	begun  int            // requests that a handler has seen, until they are answered
	open   map[uint32]int // bytes received of each request's body, until its answer has been sent
	last   uint32         // the last request received
	inList bool           // a list of headers goes on in another frame
}

// reckon returns the memory held for a connection.
func (c *conn) reckon() int {
	h := &c.holds
	n := c.atLeast() + 3*max(0, h.unread-readAhead) + 3*max(0, h.head-readAhead) + h.asked
	if !c.http2 {
		return n
	}
	open := min(len(h.open), maxStreams)
	n += requestBytes*max(open, h.begun) + unseenBytes*max(0, open-h.begun)
	if h.inList {
		n += unseenBytes
	}
	for _, body := range h.open {
		if body > 0 {
			n += bodyBytes + 2*min(body, streamWindow)
		}
	}
	return n
}

// atLeast returns the memory held for any connection of its kind.
func (c *conn) atLeast() int {
	switch {
	case c.http2:
		return http2Bytes
	case c.door.tls != nil:
		return tlsBytes
	}
	return plainBytes
}

// weigh updates the memory held for a connection. A dropped connection gives back all
// of it when it has ended.
func (d *door) weigh(c *conn) {
	if c.gone {
		return
	}
	was := c.holds.weight
	c.holds.weight = c.reckon()
	d.hold(c.holds.weight - was)
}

// hold adds bytes, which may be negative, to the memory held.
func (d *door) hold(bytes int) {
	d.held += bytes
	if bytes < 0 {
		d.change.Broadcast()
	}
	if step := d.held / tellBytes; step != d.told {
		d.told = step
		select {
		case d.tell <- struct{}{}:
		default: // the pending report will include this
		}
	}
}

// report calls f with the memory held for all clients, when it changes and
// periodically, until the context is done.
func (d *door) report(ctx context.Context, f func(bytes int)) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.tell:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		d.mu.Lock()
		held := d.held
		d.mu.Unlock()
		f(held)
	}
}

// release gives back the memory held for a connection that has ended.
func (d *door) release(c *conn) {
	d.going -= c.holds.weight
	d.hold(-c.holds.weight)
	c.holds.weight = 0
}

// fit waits until the memory held for all clients is within its limit.
func (d *door) fit(c *conn) {
	for d.held > d.room && !c.gone {
		d.relieve(0)
	}
}

// relieve makes room for bytes more. Of the connections that keep the service waiting
// it drops the one that uses the most beyond its kind's minimum, or of equal ones the
// one that has waited longest. If there is none to drop, or those already dropped
// suffice once they have ended, it waits for a change.
func (d *door) relieve(bytes int) {
	var most *conn
	more, left := -1, spared
	for e := d.waiting.Front(); e != nil && d.held-d.going+bytes > d.room; e = e.Next() {
		c := e.Value.(*conn)
		if left = spared - time.Since(c.since); left > 0 {
			break // so have all after it
		}
		if x := c.holds.weight - c.atLeast(); x > more {
			most, more = c, x
		}
	}
	if most != nil {
		d.drop(most)
		return
	}
	wake := time.AfterFunc(left, d.wake)
	d.change.Wait()
	wake.Stop()
}

// holdRequest records a request that a handler has begun, and returns the memory held
// for it. In HTTP/1 it waits until that is within the limit.
func (d *door) holdRequest(c *conn, r *http.Request) (bytes int) {
	size, fields := headSize(r)
	bytes = 2*size + fieldBytes*fields
	c.holds.begun++
	if c.http2 {
		c.holds.asked += bytes // the body is counted as it comes
		d.weigh(c)
		return bytes
	}
	body := r.ContentLength
	if body < 0 || body > streamWindow {
		body = streamWindow
	}
	c.holds.head, c.holds.asked = 0, bytes+2*int(body)
	d.touch(c)
	d.weigh(c)
	d.fit(c)
	return bytes
}

// letRequestGo records that a handler has answered a request. In HTTP/1 the memory
// stays held until the answer has been sent.
func (d *door) letRequestGo(c *conn, bytes int) {
	c.holds.begun--
	if c.http2 {
		c.holds.asked -= bytes
		d.weigh(c)
	}
}

// idle records that an HTTP/1 connection has nothing to do.
func (d *door) idle(c *conn) {
	if !c.http2 {
		c.holds.asked = 0
		d.weigh(c)
	}
}

var errUnread = errors.New("more was received than can be processed")

// came records bytes received from a client. If all clients together use too much
// memory it waits, so that nothing more is read from this one.
func (c *conn) came(b []byte) error {
	d := c.door
	if !c.http2 {
		head, lines := c.heads.read(b)
		if b = c.greets(b); !c.http2 {
			if head > readAhead {
				d.mu.Lock()
				defer d.mu.Unlock()
				c.holds.head = head
				d.weigh(c)
				d.fit(c)
			}
			if lines > maxLines {
				return errUnread
			}
			return nil
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.gone { // and the client may have been told that this request is not processed
		return net.ErrClosed
	}
	c.in.each(b, func(f frame) {
		h := &c.holds
		h.unread = max(h.unread, min(f.length, maxFrame))
		switch f.kind {
		case frameHeaders, frameContinuation:
			h.inList = f.flags&endsHeaders == 0
			if f.stream > h.last {
				h.last, h.open[f.stream] = f.stream, 0
				d.touch(c)
			}
		case frameData:
			if body, open := h.open[f.stream]; open {
				h.open[f.stream] = body + f.length
			} else {
				c.ahead++
			}
		case frameReset:
			delete(h.open, f.stream)
		default:
			c.ahead++
		}
	})
	d.weigh(c)
	d.fit(c)
	if len(c.holds.open) > maxOpen {
		return errUnread
	}
	return nil
}

// letWrite waits for the answers to frames such as PING to be written before more
// frames are read: net/http would queue up to 10,000 for a client that does not read
// them.
func (c *conn) letWrite() {
	c.writing.Lock() // a write may block: the client does not read
	//lint:ignore SA2001 it was waited for
	c.writing.Unlock()
	if c.ahead < maxAhead {
		return
	}
	select {
	case <-c.wrote:
	case <-time.After(spared): // no answer was needed
	}
	c.ahead = 0
}

// greets looks for the preface of an HTTP/2 connection, and returns what follows it.
func (c *conn) greets(b []byte) []byte {
	for ; c.door.http2 && c.greeted < len(preface) && len(b) > 0; b = b[1:] {
		if b[0] != preface[c.greeted] {
			c.greeted = len(preface) // HTTP/1
			return nil
		}
		if c.greeted++; c.greeted == len(preface) {
			c.heads.stop()
			c.door.mu.Lock()
			c.http2, c.holds.open, c.wrote = true, map[uint32]int{}, make(chan struct{}, 1)
			c.door.mu.Unlock()
			return b[1:]
		}
	}
	return nil
}

// leaves records what is sent to an HTTP/2 client.
func (c *conn) leaves(b []byte) error {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.gone {
		return net.ErrClosed
	}
	c.out.each(b, func(f frame) {
		if f.ends() {
			delete(c.holds.open, f.stream)
		}
	})
	c.door.weigh(c)
	return nil
}

// A counted connection is the one below TLS. Bytes received there that are not content
// yet count too: parts of records, and handshakes as long as the client likes.
type counted struct {
	net.Conn
	conn *conn
}

func (k counted) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	c := k.conn
	if c.unread += n; c.unread > maxUnread {
		return n, errUnread
	}
	if c.unread > c.counted+readAhead {
		c.counted = c.unread
		c.door.mu.Lock()
		defer c.door.mu.Unlock()
		c.holds.unread = max(c.holds.unread, c.unread)
		c.door.weigh(c)
	}
	return n, err
}

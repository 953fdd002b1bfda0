package paperfeed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// A protocol is what is different between the feeds. Its methods but fill are called by
// the goroutine that reads from the client.
type protocol interface {
	// first reads the first frame: who it says it is. An error closes the connection.
	first(kind websocket.MessageType, data []byte) (claim, error)
	// answer queues the answer to the first frame. err is why the session is refused, or nil.
	answer(err error)
	// begin is called once the session is proved; frame with each frame after that. An error
	// closes the connection.
	begin() error
	frame(kind websocket.MessageType, data []byte) error
	// earlier, which the goroutine that writes calls before anything that was queued after
	// begin, writes what was there before.
	earlier(write func(kind websocket.MessageType, data []byte) error) error
	// fill appends packets of what has moved to a frame, and returns what is left of it. The
	// goroutine that writes calls it, with the client's lock held.
	fill(frame []byte, moved []*subscription) ([]byte, []*subscription)
	// end is called when the connection has ended.
	end()
}

// A claim is who a first frame says it is.
type claim struct{ ucc, sid, token string }

// A client is one connection.
type client struct {
	feeds    *Feeds
	ws       *websocket.Conn
	protocol protocol
	address  string
	session  Session   // zero until it is proved
	stood    time.Time // when the session was last seen alive

	heard atomic.Int64 // when something last came, in nanoseconds
	since atomic.Int64 // since when a write is under way; 0: none is
	sent  atomic.Int64 // bytes

	mu     sync.Mutex
	room   sync.Cond // frames have been written, or the connection has ended
	frames []frame
	bytes  int // of frames
	moved  []*subscription
	closed bool
	closer *time.Timer
	ready  bool // what was there before has been written

	wake chan struct{} // something was queued
	done sync.WaitGroup
}

type frame struct {
	kind websocket.MessageType
	data []byte
}

// serve serves a connection until it ends.
func (c *client) serve() {
	c.heard.Store(time.Now().UnixNano())
	c.done.Go(c.write)
	err := c.prove()
	if err == nil {
		err = c.read()
	}
	c.stop(err)
	c.done.Wait()
	c.protocol.end()
}

var errRefused = errors.New("the session is refused")

// prove reads the first frame and answers it.
func (c *client) prove() error {
	ctx, cancel := context.WithTimeout(context.Background(), proveTime)
	defer cancel()
	c.ws.SetReadLimit(firstFrame)
	var who claim
	err := c.next(ctx, func(kind websocket.MessageType, data []byte) (err error) {
		who, err = c.protocol.first(kind, data)
		return err
	})
	if err != nil {
		return err
	}
	s, err := c.feeds.cfg.Prove(ctx, who.ucc, who.sid, who.token)
	if err == nil && !c.feeds.proven(c, s) {
		err = ErrTooMany
	}
	c.protocol.answer(err)
	if err != nil {
		return errRefused
	}
	c.ws.SetReadLimit(longestFrame)
	return c.protocol.begin()
}

// read reads frames until the connection ends.
func (c *client) read() error {
	for {
		c.mu.Lock()
		for c.bytes > enoughWaiting && !c.closed {
			c.room.Wait()
		}
		c.mu.Unlock()
		if err := c.next(context.Background(), c.protocol.frame); err != nil {
			return err
		}
	}
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// next reads a frame.
func (c *client) next(ctx context.Context, handle func(websocket.MessageType, []byte) error) error {
	kind, r, err := c.ws.Reader(ctx)
	if err != nil {
		return err
	}
	c.heard.Store(time.Now().UnixNano())
	slow := time.AfterFunc(frameTime, func() { _ = c.ws.CloseNow() })
	defer slow.Stop()
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(io.LimitReader(r, longestFrame+1)); err != nil {
		return err
	}
	return handle(kind, buffer.Bytes())
}

// send queues a frame. A client that does not read is cut.
func (c *client) send(kind websocket.MessageType, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.frames = append(c.frames, frame{kind, data})
	if c.bytes += len(data); c.bytes > mostWaiting {
		c.cut()
		return
	}
	c.signal()
}

// A subscription is one of a client: what it gets of an instrument.
type subscription struct {
	client *client
	ticker *ticker
	level  uint8
	queued bool
	latest *tick
}

// tick queues what an instrument does now, in place of what is queued of it.
func (c *client) tick(s *subscription, t *tick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.latest = t
	if !s.queued && !c.closed {
		s.queued = true
		c.moved = append(c.moved, s)
		c.signal()
	}
}

func (c *client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what is queued until the connection ends.
func (c *client) write() {
	var batch []byte
	for range c.wake {
		c.mu.Lock()
		for !c.closed && (len(c.frames) > 0 || len(c.moved) > 0) {
			frames, moved := c.frames, c.moved
			c.frames, c.moved = nil, nil
			c.mu.Unlock()
			err := c.writeFrames(frames)
			for err == nil && len(moved) > 0 {
				c.mu.Lock()
				batch, moved = c.protocol.fill(batch[:0], moved)
				c.mu.Unlock()
				err = c.writeFrame(websocket.MessageBinary, batch)
			}
			if err != nil {
				c.stop(err)
			}
			c.mu.Lock()
		}
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		if cap(batch) > 4<<10 { // many clients are idle for long
			batch = nil
		}
	}
}

func (c *client) writeFrames(frames []frame) error {
	if c.session.Stands != nil && !c.ready {
		c.ready = true
		if err := c.protocol.earlier(c.writeFrame); err != nil {
			return err
		}
	}
	for _, f := range frames {
		if err := c.writeFrame(f.kind, f.data); err != nil {
			return err
		}
		c.mu.Lock()
		c.bytes -= len(f.data)
		c.room.Signal()
		c.mu.Unlock()
	}
	return nil
}

func (c *client) writeFrame(kind websocket.MessageType, data []byte) error {
	c.since.Store(time.Now().UnixNano())
	err := c.ws.Write(context.Background(), kind, data)
	c.since.Store(0)
	c.sent.Add(int64(len(data)))
	return err
}

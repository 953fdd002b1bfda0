package paperfeed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"neoapi/internal/login"
	"neoapi/internal/wire"
)

// A protocol is what is different between the feeds. All its methods but fill are called
// by the goroutine that reads from the client.
type protocol interface {
	// first reads the first frame: who it says it is. An error is why the connection is
	// closed.
	first(kind websocket.MessageType, data []byte) (claim, error)
	// answer queues the answer to it. refusal is why the session is refused, or nil.
	answer(refusal error)
	// frame is called with each further frame. An error is why the connection is closed.
	frame(kind websocket.MessageType, data []byte) error
	// end is called when the connection has ended.
	end()
	// fill appends packets of what has moved to a frame of some 16 KB, and returns what is
	// left of moved. It is called by the goroutine that writes, with the client's lock held.
	fill(frame []byte, moved []*subscription) ([]byte, []*subscription)
}

// A claim is who a first frame says it is. token is "" in SFeed, ucc in the others.
type claim struct{ ucc, sid, token string }

// A client is one connection.
type client struct {
	feeds    *Feeds
	ws       *websocket.Conn
	raw      net.Conn // below ws
	protocol protocol
	op       wire.Op
	network  string        // where it comes from
	silence  time.Duration // how long it may be silent; 0: for ever

	session Session   // zero until it is proved; under the lock of feeds
	stood   time.Time // when the session was last seen alive; the same

	replaced bool // by another unproven one; the same

	sent atomic.Int64 // bytes
	out  outlet

	mu     sync.Mutex
	room   sync.Cond // frames have been written, or the connection has ended
	frames []frame
	waits  int // what frames cost, also those that are being written
	moved  []*subscription
	closed bool // nothing more is queued
	ended  bool // nothing more is read or written
	closer *time.Timer

	wake chan struct{} // something was queued
	done sync.WaitGroup
}

// A frame waits to be written. One with a function is what that writes; one without kind
// closes the connection, with its data for a reason.
type frame struct {
	kind websocket.MessageType
	data []byte
	code websocket.StatusCode
	more func(write func(kind websocket.MessageType, data []byte) error) error
	held int // bytes that more needs
}

// cost is what a frame costs while it waits.
func (f *frame) cost() int { return frameBytes + len(f.data) + f.held }

// A hijacker keeps the connection that the WebSocket library takes.
type hijacker struct {
	http.ResponseWriter
	raw net.Conn
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (raw net.Conn, rw *bufio.ReadWriter, err error) {
	raw, rw, err = http.NewResponseController(h.ResponseWriter).Hijack()
	h.raw = raw
	return raw, rw, err
}

// accept upgrades the connection.
func (c *client) accept(w http.ResponseWriter, r *http.Request) (err error) {
	h := &hijacker{ResponseWriter: w}
	c.ws, err = websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the gateway has looked at Origin
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { c.pace(); c.heard(); return !c.out.deaf.Load() },
		OnPongReceived:     func(context.Context, []byte) { c.pace(); c.heard() },
	})
	c.raw = h.raw
	return err
}

// pace puts off reading on, so that who sends without an end gets few of the processors: a
// stranger, whose first frame is all that is asked for, fewest.
func (c *client) pace() {
	if c.session.Stands == nil {
		time.Sleep(strangerTime)
		return
	}
	time.Sleep(tokenTime)
}

// heard is called when something has come from the client.
func (c *client) heard() {
	if c.session.Stands == nil {
		return // it has the time that there is to prove one
	}
	var until time.Time
	if c.silence > 0 {
		until = time.Now().Add(c.silence)
	}
	_ = c.raw.SetReadDeadline(until) // fails if the connection has gone
}

// serve serves a connection until it ends.
func (c *client) serve() {
	c.done.Go(c.write)
	err := c.prove()
	for err == nil {
		c.awaitRoom()
		err = c.next(c.protocol.frame)
		c.pace()
	}
	var why *closing
	if errors.As(err, &why) {
		c.close(why.code, why.reason)
	}
	for err = nil; err == nil; { // until the client has closed its side, or is out of time
		_, r, rerr := c.ws.Reader(context.Background())
		if err = rerr; err == nil {
			_, err = io.Copy(io.Discard, r)
		}
	}
	c.stop()
	c.done.Wait()
	c.protocol.end()
}

// A closing is why a connection is closed, as the client is told.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *closing) Error() string { return c.reason }

var (
	errRefused = &closing{websocket.StatusPolicyViolation, "the session is refused"}
	errFirst   = &closing{websocket.StatusPolicyViolation, "the first frame proves no session"}
	errFrame   = &closing{websocket.StatusPolicyViolation, "a frame cannot be read"}
)

// prove reads the first frame and answers it.
func (c *client) prove() error {
	ctx, cancel := context.WithTimeout(context.Background(), proveTime)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = c.raw.SetReadDeadline(deadline) // fails if the connection has gone
	c.ws.SetReadLimit(firstFrame)
	return c.next(func(kind websocket.MessageType, data []byte) error {
		who, err := c.protocol.first(kind, data)
		if err != nil {
			return err
		}
		s, err := c.feeds.cfg.Prove(ctx, who.ucc, who.sid, who.token)
		if err == nil {
			err = c.feeds.proven(c, s)
		}
		var later *login.Error
		if errors.As(err, &later) && later.Kind == login.KindUnavailable {
			return &closing{websocket.StatusTryAgainLater, later.Detail}
		}
		if err == nil {
			var silent bool
			if silent, err = c.spoilAnswer(); silent {
				return err
			}
		}
		c.protocol.answer(err)
		if err != nil {
			return errRefused
		}
		c.ws.SetReadLimit(longestFrame)
		c.heard()
		return nil
	})
}

// awaitRoom waits while much of what the client has asked for has not been sent yet.
func (c *client) awaitRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.waits > enoughWaiting || len(c.moved) > enoughMoved) && !c.ended {
		c.room.Wait()
	}
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// next reads a frame.
func (c *client) next(handle func(websocket.MessageType, []byte) error) error {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	if c.session.Stands != nil {
		_ = c.raw.SetReadDeadline(time.Now().Add(frameTime)) // fails if the connection has gone
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	if _, err := buffer.ReadFrom(r); err != nil {
		return err
	}
	c.heard()
	return handle(kind, buffer.Bytes())
}

// send queues a frame. A client that leaves too many unread is cut.
func (c *client) send(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.frames = append(c.frames, f)
	if c.waits += f.cost(); c.waits > mostWaiting {
		c.closed = true
		c.closer = time.AfterFunc(0, c.cut)
	}
	c.signal()
}

// text queues a frame of text.
func (c *client) text(data []byte) { c.send(frame{kind: websocket.MessageText, data: data}) }

// close closes the connection after what is queued, or soon.
func (c *client) close(code websocket.StatusCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.moved = nil
	c.frames = append(c.frames, frame{code: code, data: []byte(reason)})
	c.closer = time.AfterFunc(closeTime, c.cut)
	c.signal()
}

// stopping closes the connection because the service stops.
func (c *client) stopping() {
	c.close(websocket.StatusGoingAway, "the service is about to stop: connect again")
}

// cut ends the connection at once: what reads from it and what writes to it, also while
// they wait.
func (c *client) cut() {
	_ = c.raw.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.ended = true, true
	c.frames, c.moved = nil, nil
	c.signal()
	c.room.Broadcast()
}

// stop ends the connection.
func (c *client) stop() {
	c.cut()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closer != nil {
		c.closer.Stop()
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
	for range c.wake {
		for {
			c.mu.Lock()
			frames, moved := c.frames, c.moved
			c.frames, c.moved = nil, nil
			ended := c.ended
			c.room.Signal() // of what has moved
			c.mu.Unlock()
			if ended {
				_ = c.ws.CloseNow()
				return
			}
			if len(frames) == 0 && len(moved) == 0 {
				break
			}
			if err := c.writeAll(frames, moved); err != nil {
				c.cut()
			}
		}
	}
}

var batches = sync.Pool{New: func() any { b := make([]byte, 0, batchBytes+4<<10); return &b }}

// writeAll writes frames, and then what has moved.
func (c *client) writeAll(frames []frame, moved []*subscription) error {
	for _, f := range frames {
		var err error
		switch {
		case f.more != nil:
			err = f.more(c.writeFrame)
		case f.code != 0:
			return c.ws.Close(f.code, string(f.data))
		default:
			err = c.writeFrame(f.kind, f.data)
		}
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.waits -= f.cost()
		c.room.Signal()
		c.mu.Unlock()
	}
	if len(moved) == 0 {
		return nil
	}
	batch := batches.Get().(*[]byte)
	defer batches.Put(batch)
	for len(moved) > 0 {
		c.mu.Lock()
		*batch, moved = c.protocol.fill((*batch)[:0], moved)
		c.mu.Unlock()
		if len(*batch) == 0 {
			continue
		}
		if err := c.writeFrame(websocket.MessageBinary, *batch); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) writeFrame(kind websocket.MessageType, data []byte) error {
	if !c.out.plain() {
		return c.writeSpoilt(message{kind, data})
	}
	return c.writePlain(kind, data)
}

func (c *client) writePlain(kind websocket.MessageType, data []byte) error {
	_ = c.raw.SetWriteDeadline(time.Now().Add(stalledTime)) // fails if the connection has gone
	err := c.ws.Write(context.Background(), kind, data)
	_ = c.raw.SetWriteDeadline(time.Time{}) // pongs have their own
	c.sent.Add(int64(len(data)))
	return err
}

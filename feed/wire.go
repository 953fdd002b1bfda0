package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"neoapi"
)

// What a connection may take.
const (
	maxFrame     = 1 << 20          // the longest frame that is read, in bytes
	dialLimit    = 10 * time.Second // until the connection is open
	answerLimit  = 10 * time.Second // and then until the session is proved
	writeLimit   = 5 * time.Second
	pongLimit    = 10 * time.Second       // after a ping; a connection that is silent for so long is dead
	partingLimit = 250 * time.Millisecond // for the service to answer a close
)

type frameKind int

const (
	textFrame   = frameKind(websocket.MessageText)
	binaryFrame = frameKind(websocket.MessageBinary)
)

// A wire is one connection.
type wire struct {
	host    string
	session neoapi.Session
	conn    *websocket.Conn
	socket  *socket
	buf     []byte
	busy    atomic.Bool // the reader is in its protocol, and reads nothing
	parting atomic.Bool // the feed is over: what comes is not looked at
	tasks   sync.WaitGroup
	ctx     context.Context // done when the connection has ended
	cancel  context.CancelCauseFunc
	release func() bool // from the feed's context
}

// A socket is the connection below a WebSocket, which knows whether anything comes.
type socket struct {
	io.ReadWriteCloser
	ahead    []byte // what was read of it and not asked for yet, in buf
	buf      [32 << 10]byte
	received atomic.Int64
	once     sync.Once
}

// Read reads ahead: the library asks for 4 KiB, and in a burst each read is a call of the
// system.
func (s *socket) Read(p []byte) (int, error) {
	if len(s.ahead) == 0 {
		n, err := s.ReadWriteCloser.Read(s.buf[:])
		if n == 0 {
			return 0, err
		}
		s.received.Add(int64(n))
		s.ahead = s.buf[:n]
	}
	n := copy(p, s.ahead)
	s.ahead = s.ahead[n:]
	return n, nil
}

func (s *socket) Close() (err error) {
	s.once.Do(func() { err = s.ReadWriteCloser.Close() })
	return err
}

// A tap opens WebSockets and keeps hold of the connection below.
type tap struct {
	base   http.RoundTripper
	socket *socket
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		if conn, ok := resp.Body.(io.ReadWriteCloser); ok {
			t.socket = &socket{ReadWriteCloser: conn}
			resp.Body = t.socket
		}
	}
	return resp, err
}

// dial opens a connection. Its error is a *ConnectionError, a *ProtocolError or a
// *SessionError.
func dial(ctx context.Context, c *neoapi.Client, address string, s neoapi.Session) (*wire, error) {
	limited, stop := context.WithTimeout(ctx, dialLimit)
	defer stop()
	hc := c.FeedClient()
	below := &tap{base: hc.Transport}
	hc.Transport = below
	conn, resp, err := websocket.Dial(limited, address, &websocket.DialOptions{HTTPClient: hc, CompressionMode: websocket.CompressionDisabled})
	host := "the feed's host"
	if u, bad := url.Parse(address); bad == nil {
		host = u.Host
	}
	if err != nil {
		return nil, noWire(ctx, host, resp, err, s)
	}
	conn.SetReadLimit(maxFrame)
	w := &wire{host: host, session: s, conn: conn, socket: below.socket, buf: make([]byte, 16<<10)}
	w.ctx, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	context.AfterFunc(w.ctx, func() { w.socket.Close() })
	w.tasks.Add(1)
	parted := context.AfterFunc(ctx, func() {
		defer w.tasks.Done()
		w.part()
		w.end(closed(ctx))
	})
	w.release = func() bool {
		held := parted()
		if held {
			w.tasks.Done()
		}
		return held
	}
	return w, nil
}

// noWire returns why no connection was opened.
func noWire(ctx context.Context, host string, resp *http.Response, err error, s neoapi.Session) error {
	switch e, ok := errors.AsType[*neoapi.Error](err); {
	case ctx.Err() != nil:
		return closed(ctx)
	case ok: // it has been cleaned
		return &ConnectionError{Err: e}
	case resp == nil || resp.StatusCode == http.StatusSwitchingProtocols:
		return &ProtocolError{Err: fmt.Errorf("%s opened no WebSocket: %s", host, clean(err.Error(), s))}
	}
	refused := fmt.Errorf("%s refused the connection (%d)", host, resp.StatusCode)
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized:
		return &SessionError{Err: refused}
	case status == http.StatusNotFound, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
	case status/100 == 4: // a proxy's, or about the session
		return &SessionError{Err: refused, doubtful: true}
	}
	return &ConnectionError{Err: refused}
}

// next returns the next frame. data is valid until the next call.
func (w *wire) next() (kind frameKind, data []byte, err error) {
	// With a context that can be cancelled each read would allocate: w.end ends it.
	typ, r, err := w.conn.Reader(context.Background())
	if err != nil {
		return 0, nil, w.why(err)
	}
	n := 0
	for {
		if n == len(w.buf) {
			larger := make([]byte, min(2*len(w.buf), maxFrame+1))
			copy(larger, w.buf)
			w.buf = larger
		}
		m, err := r.Read(w.buf[n:])
		n += m
		if err == io.EOF { //nolint:errorlint // the library's promise
			return frameKind(typ), w.buf[:n], nil
		}
		if err != nil {
			return 0, nil, w.why(err)
		}
	}
}

// read returns the next frame; greet alone calls it. data is valid until the next call.
func (w *wire) read(ctx context.Context) (kind frameKind, data []byte, err error) {
	stop := context.AfterFunc(ctx, func() { w.end(context.Cause(ctx)) })
	defer stop()
	return w.next()
}

// write sends a text frame within a few seconds, or ends the connection. It may be called
// from any goroutine.
func (w *wire) write(text []byte) error {
	ctx, cancel := context.WithTimeout(w.ctx, writeLimit)
	defer cancel()
	if err := w.conn.Write(ctx, websocket.MessageText, text); err != nil {
		if w.ctx.Err() == nil && ctx.Err() != nil {
			err = &ConnectionError{Err: fmt.Errorf("%s took nothing for %v", w.host, writeLimit)}
			w.end(err)
		}
		return w.why(err)
	}
	return nil
}

// end ends the connection at once; the first cause counts.
func (w *wire) end(cause error) { w.cancel(cause) }

// part takes leave of the service, and waits a moment for its answer.
func (w *wire) part() {
	w.parting.Store(true)
	stop := time.AfterFunc(partingLimit, func() { w.socket.Close() })
	defer stop.Stop()
	w.conn.Close(websocket.StatusNormalClosure, "")
}

// drop ends the connection, if it has not ended, and waits until nothing is left of it.
func (w *wire) drop() {
	if w.release() {
		w.end(errDropped)
	}
	w.tasks.Wait()
	w.conn.CloseNow()
}

var errDropped = &ConnectionError{Err: errors.New("the connection was given up")}

// why returns why a read or a write failed, as one of the four kinds, or the cause with
// which the connection was ended.
func (w *wire) why(err error) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if closing, ok := errors.AsType[websocket.CloseError](err); ok {
		said := ""
		if closing.Reason != "" {
			said = ": " + clean(closing.Reason, w.session)
		}
		return &ConnectionError{Err: fmt.Errorf("%s closed the connection (%d%s)", w.host, closing.Code, said)}
	}
	if ours(err) {
		return err
	}
	_, network := errors.AsType[net.Error](err)
	_, system := errors.AsType[syscall.Errno](err)
	if network || system || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
		return &ConnectionError{Err: fmt.Errorf("the connection to %s broke: %w", w.host, root(err))}
	}
	return &ProtocolError{Err: fmt.Errorf("%s broke the protocol of WebSockets: %s", w.host, clean(err.Error(), w.session))}
}

// root returns the innermost cause: the layers above it repeat what is known.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// ours reports whether an error is one of the four kinds, or the end of the feed.
func ours(err error) bool {
	_, connection := errors.AsType[*ConnectionError](err)
	_, protocol := errors.AsType[*ProtocolError](err)
	_, session := errors.AsType[*SessionError](err)
	_, program := errors.AsType[*ProgramError](err)
	return connection || protocol || session || program || errors.Is(err, ErrClosed)
}

// A beat is what keeps a connection alive.
type beat struct {
	text  []byte        // a frame to send, or nil
	every time.Duration // how often
	ping  time.Duration // how often to send a WebSocket ping, 0 for never
}

// keep sends beats until the connection has ended, and ends it when pings stay without
// an answer and nothing else comes.
func (w *wire) keep(b beat) {
	if b.text != nil {
		w.every(b.every, func() { w.write(b.text) })
	}
	w.every(b.ping, func() { w.tasks.Go(w.ping) }) // in a goroutine of its own: the next goes out in time
}

// every calls do again and again until the connection has ended; for no time, never.
func (w *wire) every(d time.Duration, do func()) {
	if d <= 0 {
		return
	}
	w.tasks.Go(func() {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				do()
			case <-w.ctx.Done():
				return
			}
		}
	})
}

func (w *wire) ping() {
	ctx, cancel := context.WithTimeout(w.ctx, pongLimit)
	defer cancel()
	before := w.socket.received.Load()
	if err := w.conn.Ping(ctx); err != nil && w.ctx.Err() == nil && !w.busy.Load() && w.socket.received.Load() == before {
		w.end(&ConnectionError{Err: fmt.Errorf("%s was silent for %v after a ping", w.host, pongLimit)})
	}
}

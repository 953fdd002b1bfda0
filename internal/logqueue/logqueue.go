// Package logqueue keeps a program going when nobody reads its log. A write to a pipe
// waits for as long as the pipe is full: behind a reader that hangs, every request that
// logs a line would wait forever. Here lines wait in a queue, only one goroutine
// writes, and what finds no room in time is dropped and counted.
//
// Start with [New]; [Queue.Handler] makes the handler of a log.
package logqueue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	room     = 1024                   // lines
	maxWait  = 100 * time.Millisecond // for room
	stuck    = time.Second            // a write that takes longer counts as a fault
	tellOnce = 10 * time.Second       // how often losses are reported while lines keep getting lost
	tryAgain = time.Second            // after a line that could not be written
)

// A Queue passes whole lines on to a writer that may block or fail. Each line is one
// write, in the order in which they came. A Queue is safe for concurrent use.
type Queue struct {
	to    io.Writer
	items chan item
	full  atomic.Bool   // a line has waited in vain since the last one was written
	torn  bool          // the last line was cut off; only the writing goroutine uses it
	lost  atomic.Uint64 // in all

	mu      sync.Mutex
	notice  *Handler  // formats the report of lost lines; nil: they are not reported
	untold  uint64    // lines lost since the last report
	since   time.Time // the first of them
	writing time.Time // when the present write began; zero if there is none
	err     error     // of the last write
	told    time.Time
}

// An item is a line, or the request to close written.
type item struct {
	line    []byte
	written chan struct{}
}

// New returns a queue that writes to w. Its goroutine lives as long as the program.
func New(w io.Writer) *Queue {
	q := &Queue{to: w, items: make(chan item, room)}
	go q.run()
	return q
}

// Writer returns what the queue writes to.
func (q *Queue) Writer() io.Writer { return q.to }

// Write queues one or more whole lines, which are dropped if there is no room within
// 100 ms. Once lines have been dropped, further ones do not wait until the reader
// has taken one. It never returns an error.
func (q *Queue) Write(p []byte) (int, error) {
	if !q.put(item{line: bytes.Clone(p)}) {
		q.drop()
	}
	return len(p), nil
}

// put queues an item, and reports whether there was room in time.
func (q *Queue) put(x item) bool {
	select {
	case q.items <- x:
		return true
	default:
	}
	if q.full.Load() {
		return false
	}
	late := time.NewTimer(maxWait)
	defer late.Stop()
	select {
	case q.items <- x:
		return true
	case <-late.C:
	}
	select {
	case q.items <- x: // room came at the last moment
		return true
	default:
		q.full.Store(true)
		return false
	}
}

// Flush waits until all lines so far are written, at most for a time.
func (q *Queue) Flush(within time.Duration) {
	late := time.NewTimer(within)
	defer late.Stop()
	x := item{written: make(chan struct{})}
	select {
	case q.items <- x:
	case <-late.C:
		return
	}
	select {
	case <-x.written:
	case <-late.C:
	}
}

func (q *Queue) drop() {
	q.lost.Add(1)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.untold == 0 {
		q.since = time.Now()
	}
	q.untold++
}

func (q *Queue) run() {
	for {
		var x item
		select {
		case x = <-q.items:
		case <-q.again(): // a quiet service must find out that the disk has room again
			q.report(true)
			continue
		}
		if x.line != nil && !q.write(x.line) {
			q.drop()
		}
		if len(q.items) == 0 || x.written != nil || q.toldLongAgo() {
			q.report(false)
		}
		if x.written != nil {
			close(x.written)
		}
	}
}

// write reports whether a line was written. If only a part of it was, because the disk
// is full, the next one begins on a new line.
func (q *Queue) write(line []byte) bool {
	q.mu.Lock()
	q.writing = time.Now()
	q.mu.Unlock()
	if q.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := q.to.Write(line)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing, q.err = time.Time{}, err
	if n > 0 {
		q.torn = n < len(line) && line[n-1] != '\n'
	}
	if err == nil {
		q.full.Store(false)
	}
	return err == nil
}

func (q *Queue) toldLongAgo() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Since(q.told) > tellOnce
}

// again returns when to try again to write, if lines are lost because the last one could
// not be written.
func (q *Queue) again() <-chan time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil || q.untold == 0 {
		return nil
	}
	return time.After(tryAgain)
}

// report writes how many lines were lost, if any were. After an error it does so only
// if it should try again.
func (q *Queue) report(again bool) {
	q.mu.Lock()
	n, since, notice := q.untold, q.since, q.notice
	if n == 0 || q.err != nil && !again {
		q.mu.Unlock()
		return
	}
	q.untold, q.told = 0, time.Now()
	q.mu.Unlock()
	if notice == nil {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were lost: nothing read them in time", 0)
	r.AddAttrs(slog.Uint64("lost", n), slog.Time("since", since.UTC()))
	line, err := notice.line(context.Background(), r)
	if err != nil || !q.write(line) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.untold, q.since = q.untold+n, since
	}
}

// Handler returns a handler of a log whose lines go through the queue. format makes
// the handler that formats them, such as a [slog.JSONHandler].
func (q *Queue) Handler(format func(io.Writer) slog.Handler) *Handler {
	h := &Handler{queue: q, buffer: &buffer{}}
	h.format = format(&h.buffer.Buffer)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notice = h
	return h
}

// A Handler formats the lines of a log and queues them. slog's own handlers write
// under a lock, where one line that waits for room would hold up all others.
type Handler struct {
	queue  *Queue
	format slog.Handler
	buffer *buffer // what format writes to
}

type buffer struct {
	sync.Mutex
	bytes.Buffer
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.format.Enabled(ctx, l) }

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	line, err := h.line(ctx, r)
	if err == nil && !h.queue.put(item{line: line}) {
		h.queue.drop()
	}
	return err
}

func (h *Handler) line(ctx context.Context, r slog.Record) ([]byte, error) {
	h.buffer.Lock()
	defer h.buffer.Unlock()
	h.buffer.Reset()
	err := h.format.Handle(ctx, r)
	return bytes.Clone(h.buffer.Bytes()), err
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.queue, h.format.WithAttrs(attrs), h.buffer}
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.queue, h.format.WithGroup(name), h.buffer}
}

// Lost returns how many lines were lost since the start.
func (h *Handler) Lost() uint64 { return h.queue.lost.Load() }

// Health returns why lines are being lost, or would be soon; nil if none are.
func (h *Handler) Health() error {
	q := h.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.err != nil:
		return fmt.Errorf("the log cannot be written: %w; lines lost: %d", q.err, q.untold)
	case !q.writing.IsZero() && time.Since(q.writing) > stuck:
		return fmt.Errorf("nobody has taken a line of the log since %s; lines lost: %d", q.writing.UTC().Format(time.RFC3339), q.untold)
	case q.untold > 0:
		return fmt.Errorf("the log is taken too slowly; lines lost since %s: %d", q.since.UTC().Format(time.RFC3339), q.untold)
	}
	return nil
}

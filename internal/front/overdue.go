package front

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"time"
	"weak"
)

// The door, not net/http, limits how long clients may take. net/http uses timers for
// each connection and each HTTP/2 request, and a stopped timer keeps its object alive
// until its time has come, and with it all memory of a client that has gone.

// watchEvery is how often the door checks for clients that take too long.
const watchEvery = time.Second

// timed sets the deadlines for reading a request and for writing its answer.
func (d *door) timed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor == 1:
			control, now := http.NewResponseController(w), time.Now()
			if r.ContentLength != 0 {
				_ = control.SetReadDeadline(now.Add(d.readTime)) // fails if the connection has gone
			}
			_ = control.SetWriteDeadline(now.Add(WriteTimeout))
		case r.ContentLength != 0:
			body := &timedBody{r.Body}
			it := weak.Make(body)
			defer time.AfterFunc(d.readTime, func() {
				if body := it.Value(); body != nil {
					_ = body.Close() // ends reading
				}
			}).Stop()
			r.Body = body
		}
		h.ServeHTTP(w, r)
	})
}

// A timedBody is a request's body that is closed when its time is over.
type timedBody struct{ io.ReadCloser }

// watch drops connections that keep the service waiting for too long, until the context
// ends.
func (d *door) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.dropOverdue()
		case <-ctx.Done():
			return
		}
	}
}

func (d *door) dropOverdue() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := d.waiting.Front(); e != nil; { // the longest first
		c := e.Value.(*conn)
		e = e.Next()
		waits, most := time.Since(c.since), idleTimeout
		if len(c.holds.open) > 0 || c.holds.inList { // waits for the rest of a request, or for an answer to be read
			most = WriteTimeout
		}
		switch {
		case waits < WriteTimeout:
			return
		case waits >= most:
			d.drop(c)
		}
	}
}

// goAway tells an HTTP/2 client which of its requests was the last, so that it can resend
// later ones, and closes the connection.
func (c *conn) goAway(last uint32) {
	defer func() { _ = c.raw.Close() }()
	if !c.writing.TryLock() {
		return // the client does not read
	}
	defer c.writing.Unlock()
	if c.out.n == 0 && c.out.skip == 0 { // between two frames
		frame := make([]byte, 17) // GOAWAY, eight bytes long, without error
		frame[2], frame[3] = 8, 7
		binary.BigEndian.PutUint32(frame[9:], last)
		if c.Conn.SetWriteDeadline(time.Now().Add(spared)) == nil {
			_, _ = c.Conn.Write(frame) // nothing to do if the client has gone
		}
	}
}

package feed

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"neoapi"
	"neoapi/internal/must"
)

// Everything is called at once, over cuts, refusals and another session, on real
// connections: nothing races, and nothing is left.
func TestLink_mayBeUsedFromAnyGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var connections atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, `{"stat":"Ok"}`)
			return
		}
		n := connections.Add(1)
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		if _, _, err := c.Read(context.Background()); err != nil {
			return
		}
		if n%15 == 3 {
			c.Write(context.Background(), websocket.MessageText, []byte("nk"))
			return
		}
		c.Write(context.Background(), websocket.MessageText, []byte("ok"))
		go func() {
			for c.Write(context.Background(), websocket.MessageBinary, make([]byte, 1500)) == nil {
			}
		}()
		for range 200 { // then it is cut
			if _, _, err := c.Read(context.Background()); err != nil {
				return
			}
		}
	}))
	var dials atomic.Int32 // counted here: the service may accept one late
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	client := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: "key", Rate: -1, HTTPClient: &http.Client{Transport: transport},
	}))(t)
	o := newOptions([]Option{WithKeeper(&endless{}), func(o *options) { o.haste = 1000 }})
	life := newLife(t.Context())
	p := &parrot{to: []string{srv.URL + "/realtime"}, beats: beat{text: []byte("hb"), every: time.Millisecond, ping: time.Millisecond}}
	var frames atomic.Int64
	p.onData = func(frameKind, []byte) error { frames.Add(1); return nil }
	shared := newSessions(client, o)
	var links, writers sync.WaitGroup
	p.onUp = func(w *wire) {
		for range 4 {
			writers.Go(func() {
				for w.write([]byte("subscribe")) == nil {
				}
			})
		}
	}
	for range 3 { // a feed may have several links
		l := newLink(client, o, shared, p)
		links.Add(1)
		life.start(func() {
			defer links.Done()
			if err := l.run(life.ctx); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	for connections.Load() < 30 || frames.Load() < 1000 {
		time.Sleep(time.Millisecond)
	}
	for range 4 {
		writers.Go(func() { life.close() })
	}
	writers.Wait()
	links.Wait()
	must.Do(t, life.close())
	at := dials.Load()
	srv.Close()
	transport.CloseIdleConnections()
	if dials.Load() != at {
		t.Error("it dialled after Close")
	}
	goleak.VerifyNone(t, before)
}

// endless is a source that always has another session.
type endless struct{ n atomic.Int64 }

func (e *endless) Session(context.Context) (neoapi.Session, error) {
	return session(strconv.FormatInt(e.n.Load(), 10)), nil
}

func (e *endless) Ended(neoapi.Session) { e.n.Add(1) }

package feed_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/trade"
)

// A wirecutter passes connections on, until it cuts them.
type wirecutter struct {
	net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
}

func (w *wirecutter) serve() {
	for {
		near, err := w.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		for _, pass := range [][2]net.Conn{{near, far}, {far, near}} {
			go func() {
				io.Copy(pass[0], pass[1])
				pass[0].Close()
			}()
		}
	}
}

func (w *wirecutter) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// always is a source of one session.
type always struct{ session neoapi.Session }

func (a always) Session(context.Context) (neoapi.Session, error) { return a.session, nil }
func (always) Ended(neoapi.Session)                              {}

// From a cut, with the service up, to a new picture of each of 100 instruments.
func BenchmarkMarket_afterACut(b *testing.B) {
	d := newDesk(b)
	w := &wirecutter{Listener: must.Get(net.Listen("tcp", "127.0.0.1:0"))(b), to: must.Get(url.Parse(d.srv.URL))(b).Host}
	defer w.Close()
	go w.serve()
	s, _ := d.api.Session()
	s.FeedURL, s.DataCenter = "ws://"+w.Addr().String()+"/apifeed", ""
	through := feed.WithKeeper(always{s})
	of := must.Get(d.Instruments(b.Context()))(b).Find(trade.Search{Segment: trade.NFO})[:100]
	var took []time.Duration
	for b.Loop() { // with a feed each, because one waits after several failures in a row
		m := must.Get(feed.Market(b.Context(), d.api, through, feed.Quotes(of...)))(b)
		seen := map[string]bool{}
		var began time.Time
		for u, err := range m.Updates(b.Context()) {
			switch u := u.(type) {
			case feed.Lost:
				clear(seen)
			case feed.Quote:
				seen[u.Instrument.Token] = true
			case nil:
				b.Fatal(err)
			}
			if len(seen) == len(of) && began.IsZero() {
				began = time.Now()
				w.cut()
				clear(seen)
			} else if len(seen) == len(of) {
				took = append(took, time.Since(began))
				break
			}
		}
		must.Do(b, m.Close())
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-median")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-p99")
}

package feed_test

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/trade"
)

// A waiting is a log that knows until when a feed waits.
type waiting struct {
	slog.Handler // none
	mu           sync.Mutex
	until        time.Time
}

func (*waiting) Enabled(context.Context, slog.Level) bool { return true }

func (w *waiting) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "again" {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.until = time.Now().Add(a.Value.Duration())
		}
		return true
	})
	return nil
}

// afterOutages takes the whole service away from a feed for three seconds, again and again,
// and reports how long after the wait that runs when it is back the first update comes.
// During an outage a resting order is cancelled; is picks the update.
func afterOutages(b *testing.B, open func(*neoapi.Client, trade.Instrument, feed.Option) (iter.Seq2[feed.Update, error], func() error), is func(feed.Update) bool) {
	d := newDesk(b)
	var took []time.Duration
	for b.Loop() { // with a feed each, because one waits after several failures in a row
		way := &wirecutter{Listener: must.Get(net.Listen("tcp", "127.0.0.1:0"))(b), to: strings.TrimPrefix(d.srv.URL, "http://")}
		address := way.Addr().String()
		go way.serve()
		c := must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment("http://" + address), ConsumerKey: d.srv.ConsumerKey, Rate: -1, Clock: d.srv.Now}))(b)
		s, _ := d.api.Session()
		s.FeedURL, s.OrderFeedURL, s.DataCenter = "ws://"+address+"/apifeed", "ws://"+address+"/realtime", ""
		s.Environment, s.BaseURL = "http://"+address, "http://"+address
		must.Do(b, c.Use(s))
		order := must.Get(d.Place(b.Context(), trade.Buy(d.tcs, 10).Limit(trade.MustRupees("3450")).Product(trade.CNC)))(b)
		w := &waiting{}
		updates, end := open(c, d.tcs, feed.Log(slog.New(w)))
		var ends time.Time // the wait
		first := true
		for u, err := range updates {
			must.Do(b, err)
			if first {
				first = false
				way.Close()
				way.cut()
			}
			if isLost(u) {
				must.Get(d.Cancel(b.Context(), order))(b)
				time.Sleep(3 * time.Second)
				way = &wirecutter{Listener: must.Get(net.Listen("tcp", address))(b), to: way.to}
				go way.serve()
				w.mu.Lock()
				ends = w.until
				w.mu.Unlock()
			} else if !ends.IsZero() && is(u) {
				took = append(took, time.Since(ends))
				break
			}
		}
		must.Do(b, end())
		way.Close()
		way.cut()
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-median")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "ms-most")
}

func BenchmarkMarket_afterAnOutage(b *testing.B) {
	afterOutages(b, func(c *neoapi.Client, of trade.Instrument, log feed.Option) (iter.Seq2[feed.Update, error], func() error) {
		m := must.Get(feed.Market(b.Context(), c, log, feed.Quotes(of)))(b)
		return m.Updates(b.Context()), m.Close
	}, func(u feed.Update) bool { _, is := u.(feed.Quote); return is })
}

// The update is what the outage hid: that an order was cancelled.
func BenchmarkOrders_afterAnOutage(b *testing.B) {
	afterOutages(b, func(c *neoapi.Client, _ trade.Instrument, log feed.Option) (iter.Seq2[feed.Update, error], func() error) {
		f := must.Get(feed.Orders(b.Context(), c, log))(b)
		until(b, "the feed is live", f.Live)
		return f.Updates(b.Context()), f.Close
	}, func(u feed.Update) bool {
		o, is := u.(feed.OrderUpdate)
		return is && o.State == trade.Cancelled
	})
}

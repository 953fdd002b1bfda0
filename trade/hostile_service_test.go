package trade_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// at is a client of a service on this machine.
func at(t testing.TB, url string, opts ...trade.Option) (api *trade.Client, close func()) {
	t.Helper()
	transport := &http.Transport{}
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(url), ConsumerKey: "key", AccessToken: "access", Rate: -1, HTTPClient: &http.Client{Transport: transport},
		Clock: func() time.Time { return time.Date(2031, 3, 3, 12, 0, 0, 0, trade.IST) },
	}))(t)
	must.Do(t, c.Use(neoapi.Session{Token: "token", SID: "sid", UCC: "UCC01", KType: "Trade"}))
	return trade.New(c, opts...), transport.CloseIdleConnections
}

// methods are all those of a Client that call the service.
func methods(api *trade.Client) map[string]func(context.Context) error {
	order := trade.Buy(share(), 1).Limit(rupees("3450")).Product(trade.MIS)
	known := trade.Order{Number: "261130000000001", Segment: trade.NSE, Symbol: "TCS-EQ", Product: trade.Cover, State: trade.Open, Quantity: 1}
	held := trade.Position{Instrument: share(), Product: trade.MIS, Net: 10}
	now := time.Date(2031, 3, 3, 12, 0, 0, 0, trade.IST)
	return map[string]func(context.Context) error{
		"Place": func(ctx context.Context) error { _, err := api.Place(ctx, order); return err },
		"PlaceOnce": func(ctx context.Context) error {
			_, err := api.PlaceOnce(ctx, order.Tag(trade.DayTag("a")))
			return err
		},
		"Modify": func(ctx context.Context) error {
			_, err := api.Modify(ctx, known, trade.Change{Quantity: 2})
			return err
		},
		"Cancel":    func(ctx context.Context) error { _, err := api.Cancel(ctx, known); return err },
		"Exit":      func(ctx context.Context) error { _, err := api.Exit(ctx, known); return err },
		"Await":     func(ctx context.Context) error { _, err := api.Await(ctx, known); return err },
		"Basket":    func(ctx context.Context) error { _, err := api.Basket(ctx, order, order); return err },
		"Convert":   func(ctx context.Context) error { _, err := api.Convert(ctx, held, 5, trade.CNC); return err },
		"CancelAll": func(ctx context.Context) error { _, err := api.CancelAll(ctx, trade.All); return err },
		"SquareOff": func(ctx context.Context) error { _, err := api.SquareOff(ctx, trade.All); return err },
		"Find":      func(ctx context.Context) error { _, err := api.Find(ctx, "a-0303"); return err },
		"Open":      func(ctx context.Context) error { _, err := api.Open(ctx, "a"); return err },
		"Margin":    func(ctx context.Context) error { _, err := api.Margin(ctx, order, order); return err },
		"Orders":    func(ctx context.Context) error { _, err := api.Orders(ctx); return err },
		"Order":     func(ctx context.Context) error { _, err := api.Order(ctx, "1"); return err },
		"History":   func(ctx context.Context) error { _, err := api.History(ctx, "1"); return err },
		"Trades":    func(ctx context.Context) error { _, err := api.Trades(ctx); return err },
		"Positions": func(ctx context.Context) error { _, err := api.Positions(ctx); return err },
		"Holdings":  func(ctx context.Context) error { _, err := api.Holdings(ctx); return err },
		"Limits":    func(ctx context.Context) error { _, err := api.Limits(ctx); return err },
		"Quote":     func(ctx context.Context) error { _, err := api.Quote(ctx, share()); return err },
		"Quotes":    func(ctx context.Context) error { _, err := api.Quotes(ctx, []trade.Instrument{share()}); return err },
		"Candles": func(ctx context.Context) error {
			_, err := api.Candles(ctx, share(), trade.Daily, now.AddDate(-1, 0, 0), now)
			return err
		},
		"Expiries": func(ctx context.Context) error { _, err := api.Expiries(ctx, trade.Index("NIFTY")); return err },
		"OptionChain": func(ctx context.Context) error {
			_, err := api.OptionChain(ctx, trade.Index("NIFTY"), trade.NearestExpiry)
			return err
		},
		"Instrument":  func(ctx context.Context) error { _, err := api.Instrument(ctx, trade.NSE, "TCS-EQ"); return err },
		"Instruments": func(ctx context.Context) error { _, err := api.Instruments(ctx, trade.NFO, trade.NSE); return err },
		"Check, print": func(context.Context) error {
			_ = fmt.Sprint(api.Check(context.Background(), order), api)
			return errors.New("is always done")
		},
	}
}

// Whatever a service does, every call ends with its context, from many goroutines at once,
// without a panic, a race or a goroutine that stays; and none of it is a success.
func TestClient_everyCallEndsWithItsContext(t *testing.T) { // alone, for the goroutines
	before := goleak.IgnoreCurrent()
	for name, serve := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"stat":"Ok","data":[{"nOrdNo":"1"}`))
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<12))); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		},
		"page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>maintenance")) },
		"broken gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x1f\x8b\x08oops"))
		},
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write([]byte(`{"stat":"Ok","data":[{"nOrdNo":"2611`))
		},
		"deep": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"stat":"Ok","data":` + strings.Repeat("[", 1<<20)))
		},
		"other": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"stat":"Ok","data":[[],1,"x",null,{"nOrdNo":{}}]}`))
		},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or nobody notices that the caller has gone
			serve(w, r)
		}))
		api, idle := at(t, srv.URL)
		var all sync.WaitGroup
		for method, call := range methods(api) {
			for range 2 {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
					defer cancel()
					began := time.Now()
					err := call(ctx)
					if late := time.Since(began); late > 20*time.Second {
						t.Errorf("%s, %s: took %v", name, method, late)
					}
					if err == nil {
						t.Errorf("%s, %s: no error", name, method)
					}
				})
			}
		}
		all.Wait()
		idle()
		srv.Close()
	}
	goleak.VerifyNone(t, before)
}

// A longer answer than a day's book can have is refused, and not held.
func TestReports_longerThanABookAreRefused(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		part := []byte(strings.Repeat(`{"nOrdNo":"261130000000001","ordSt":"open"},`, 1<<12))
		_, _ = w.Write([]byte(`{"stat":"Ok","data":[`))
		for range 100 << 20 / len(part) {
			n, err := w.Write(part)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte(`{}]}`))
	}))
	t.Cleanup(srv.Close)
	api, _ := at(t, srv.URL)
	if all, err := api.Orders(t.Context()); err == nil || all != nil {
		t.Errorf("%d orders, %v", len(all), err)
	}
	if n := sent.Load(); n > 60<<20 {
		t.Errorf("%d bytes were read", n)
	}
}

// raw answers calls with bytes, cut after some of them, on connections that then break.
func raw(t *testing.T, answer func(path string) (text string, cut int)) (url string) {
	t.Helper()
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, cut := answer(r.URL.Path)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		all := fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		_, _ = c.Write([]byte(all[:min(len(all), cut)]))
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String()
}

// The answers to an order and the book are cut at any byte: the order is sent once, and it
// is found or not known, and never said to be not there.
func TestPlace_answersCutAtAnyByteLoseNoOrder(t *testing.T) {
	t.Parallel()
	const answer = `{"stat":"Ok","nOrdNo":"261130000000001","stCode":200}`
	book := `{"stat":"Ok","stCode":200,"data":[` + row(`"261130000000009"`, `"other-abcdefgh"`) + "," + row(`"261130000000001"`, `"a-0303"`) + `]}`
	whole := len(book) + 110 // with the headers
	for cut := 0; cut <= whole; cut += 5 {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			var places atomic.Int64
			api, _ := at(t, raw(t, func(path string) (string, int) {
				switch {
				case strings.HasSuffix(path, "/place"):
					places.Add(1)
					return answer, cut
				case strings.HasSuffix(path, "/orders") && places.Load() > 0:
					return book, cut
				}
				return noOrders, 1 << 20
			}))
			order, err := api.PlaceOnce(t.Context(), trade.Buy(share(), 1).Market().Product(trade.MIS).Tag(trade.DayTag("a")))
			if places.Load() != 1 || err == nil && order.Number != "261130000000001" || err != nil && !errors.Is(err, trade.ErrUnknown) {
				t.Errorf("sent %d times: %s, %v", places.Load(), order.Number, err)
			}
		})
	}
}

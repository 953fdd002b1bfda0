package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// The strategy runs through a day, with ten cuts of its connections and a session that ends,
// beside a program that adds up what fills.
func TestStrategy_endsADayWithWhatTheExchangeSays(t *testing.T) {
	begin := time.Date(2031, 3, 3, 9, 15, 0, 0, trade.IST)
	srv := neoapitest.NewServer(t, neoapitest.WithTime(begin), neoapitest.WithConsumerRate(1000))
	var wires wires
	client := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, Clock: srv.Now, Rate: -1,
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: wires.dial}},
	}))(t)
	var still sync.Mutex // held while time must not jump, because a login's codes are on their way
	var login atomic.Bool
	keeper := must.Get(client.Keep(neoapi.KeepConfig{Login: neoapi.Login{
		Mobile: srv.Account.Mobile, UCC: srv.Account.UCC,
		TOTPSeed: func(context.Context) (string, error) {
			if !login.Swap(true) {
				still.Lock()
			}
			return srv.Account.TOTPSeed, nil
		},
		MPIN: func(context.Context) (string, error) { return srv.Account.MPIN, nil },
	}, OnLogin: func(neoapi.Session) { login.Store(false); still.Unlock() }}))(t)

	watch := must.Get(feed.Orders(t.Context(), client))(t)
	defer watch.Close()
	fills := make(chan feed.OrderUpdate, 10_000)
	go func() {
		for update, err := range watch.Updates(t.Context()) {
			if err != nil && !errors.Is(err, feed.ErrClosed) {
				t.Error(err)
			}
			if u, ok := update.(feed.OrderUpdate); ok && err == nil && u.Fill > 0 {
				fills <- u
			}
		}
	}()

	s := strategy{client: client, symbol: "TCS-EQ", size: 10, last: 5, end: begin.Add(6 * time.Hour)}
	done := make(chan error, 1)
	go func() { done <- s.run(t.Context()) }()
	cuts, ended := 0, false
	for minute := 1; ; minute++ {
		select {
		case err := <-done:
			must.Do(t, err)
			if cuts < 10 || !ended {
				t.Fatal("the day was over after", minute, "minutes")
			}
			compare(t, srv, fills)
			return
		case <-time.After(5 * time.Millisecond):
		}
		if srv.Now().Sub(begin) > 12*time.Hour { // a slow machine: the day must not be over before its orders are compared
			continue
		}
		still.Lock()
		srv.Advance(time.Minute)
		still.Unlock()
		if minute%30 == 0 && cuts < 10 {
			wires.cut()
			cuts++
		}
		if minute == 100 {
			srv.EndSession(t, must.Get(keeper.Session(t.Context()))(t).SID)
			ended = true
		}
	}
}

// compare compares the fills that the feed told with the exchange's orders.
func compare(t *testing.T, srv *neoapitest.Server, fills <-chan feed.OrderUpdate) {
	want, all, net := map[string]int64{}, int64(0), int64(0)
	for _, o := range srv.Orders(t, srv.Account.UCC) {
		want[o.Number] = o.Filled
		all += o.Filled
		if o.Side == "S" {
			net -= o.Filled
		} else {
			net += o.Filled
		}
	}
	if net != 0 || all == 0 {
		t.Errorf("the exchange has %d shares left of %d that were traded", net, all)
	}
	told, late := map[string]int64{}, time.After(20*time.Second)
	for sum := int64(0); sum < all; {
		select {
		case u := <-fills:
			told[u.Number] += u.Fill
			sum += u.Fill
		case <-late:
			t.Fatalf("the feed told %v, and the exchange has %v", told, want)
		}
	}
	for number, filled := range want {
		if told[number] != filled {
			t.Errorf("of order %s the feed told %d, and the exchange has %d", number, told[number], filled)
		}
	}
	t.Log(len(want), "orders,", all, "shares")
}

// wires are the connections of a client.
type wires struct {
	mu  sync.Mutex
	all []net.Conn
}

func (w *wires) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = append(w.all, c)
	}
	return c, err
}

// cut cuts all of them, without a word.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.all {
		c.Close()
	}
	w.all = nil
}

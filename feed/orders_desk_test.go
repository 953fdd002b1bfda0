package feed_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"neoapi"
	"neoapi/feed"
	"neoapi/internal/must"
	"neoapi/internal/testserver"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// An orderDesk is an account at a service, with an order feed whose connections go through
// a wire that a test can break.
type orderDesk struct {
	*trade.Client // that does not follow the feed
	srv           *neoapitest.Server
	market        neoapitest.Market
	api           *neoapi.Client
	between       *between
	tcs           trade.Instrument
}

// newOrderDesk returns a desk with a market that moves only by the test's hand.
func newOrderDesk(t testing.TB, generation int, opts ...neoapitest.Option) *orderDesk {
	t.Helper()
	srv := neoapitest.NewServer(t, append([]neoapitest.Option{neoapitest.WithConsumerRate(0)}, opts...)...)
	srv.Advance(testserver.IntoTheDay(srv.Now()))
	d := &orderDesk{srv: srv, market: srv.Market(t), between: newBetween(t, strings.TrimPrefix(srv.URL, "http://"))}
	srv.Fund(t, srv.Account.UCC, "100000000.00")
	d.market.Band("nse_cm", "TCS-EQ", "3000.00", "4000.00")
	d.market.SetPrice("nse_cm", "TCS-EQ", "3500.00")
	d.api = d.client(t, generation)
	d.Client = trade.New(d.api)
	d.tcs = must.Get(d.Instrument(t.Context(), trade.NSE, "TCS-EQ"))(t)
	d.tcs.Lower, d.tcs.Upper = trade.MustRupees("3000"), trade.MustRupees("4000")
	return d
}

// client logs in, and makes its feeds go through the wire between.
func (d *orderDesk) client(t testing.TB, generation int) *neoapi.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := must.Get(neoapi.New(neoapi.Config{
		Environment: neoapi.Environment(d.srv.URL), ConsumerKey: d.srv.ConsumerKey, ConsumerSecret: d.srv.ConsumerSecret, Rate: -1, Clock: d.srv.Now,
		HTTPClient: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}))(t)
	var s neoapi.Session
	if generation == 3 {
		must.Do(t, c.LoginTOTP(t.Context(), neoapi.TOTP{Mobile: d.srv.Account.Mobile, UCC: d.srv.Account.UCC, Code: d.srv.TOTP(t)}))
		s = must.Get(c.ValidateMPIN(t.Context(), d.srv.Account.MPIN))(t)
	} else {
		must.Do(t, c.Login(t.Context(), neoapi.Credentials{Mobile: d.srv.Account.Mobile, Password: d.srv.Account.Password}))
		s = must.Get(c.Session2FA(t.Context(), d.srv.OTP(t)))(t)
	}
	if generation == 3 { // older sessions name no feed
		s.DataCenter, s.OrderFeedURL = "", "ws://"+d.between.addr+"/realtime"
		must.Do(t, c.Use(s))
	}
	return c
}

// open opens an order feed and waits until it is live.
func (d *orderDesk) open(t testing.TB, opts ...feed.Option) *feed.OrderFeed {
	t.Helper()
	f := must.Get(feed.Orders(t.Context(), d.api, opts...))(t)
	t.Cleanup(func() { f.Close() })
	until(t, "the feed is live", f.Live)
	return f
}

// until waits for something that has to come.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// A told is what a reader of a feed has had.
type told struct {
	mu        sync.Mutex
	orders    map[string][]feed.OrderUpdate
	positions []feed.PositionUpdate
	all       []feed.Update
	err       error
	done      chan struct{}
}

// listen reads a feed until it is over.
func listen(ctx context.Context, f *feed.OrderFeed) *told {
	d := &told{orders: map[string][]feed.OrderUpdate{}, done: make(chan struct{})}
	updates, before := f.Updates(ctx), f.Readers()
	defer func() {
		for f.Readers() == before { // from here on it hears everything
			select {
			case <-d.done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	go func() {
		defer close(d.done)
		for u, err := range updates {
			d.mu.Lock()
			if d.err = err; err == nil {
				d.all = append(d.all, u)
			}
			switch u := u.(type) {
			case feed.OrderUpdate:
				d.orders[u.Number] = append(d.orders[u.Number], u)
			case feed.PositionUpdate:
				d.positions = append(d.positions, u)
			}
			d.mu.Unlock()
		}
	}()
	return d
}

// of returns what was told of an order.
func (d *told) of(number string) []feed.OrderUpdate {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.orders[number])
}

// last returns the newest that was told of an order.
func (d *told) last(number string) feed.OrderUpdate {
	all := d.of(number)
	if len(all) == 0 {
		return feed.OrderUpdate{}
	}
	return all[len(all)-1]
}

// count counts updates.
func (d *told) count(is func(feed.Update) bool) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.all {
		if is(u) {
			n++
		}
	}
	return n
}

func isGap(u feed.Update) bool  { _, is := u.(feed.Gap); return is }
func isLost(u feed.Update) bool { _, is := u.(feed.Lost); return is }

func states(updates []feed.OrderUpdate) (all []trade.State) {
	for _, u := range updates {
		all = append(all, u.State)
	}
	return all
}

// A between is the network between a client and a service: it can cut connections, stall
// them, and lose whole frames of WebSockets that the service sends.
type between struct {
	addr, to string
	l        net.Listener

	mu      sync.Mutex
	conns   map[net.Conn]bool
	lose    func(text []byte) bool // nil: nothing
	stalled chan struct{}          // closed when it is over; nil: it is not
	closed  bool                   // nobody gets through
	dials   int
}

func newBetween(t testing.TB, to string) *between {
	t.Helper()
	b := &between{to: to, l: must.Get(net.Listen("tcp", "127.0.0.1:0"))(t), conns: map[net.Conn]bool{}}
	b.addr = b.l.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := b.l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.serve(c) })
		}
	})
	t.Cleanup(func() {
		b.l.Close()
		b.stall(false)
		b.cut()
		all.Wait()
	})
	return b
}

// cut ends all connections.
func (b *between) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

// shut lets nobody through any more, or everybody.
func (b *between) shut(closed bool) {
	b.mu.Lock()
	b.closed = closed
	b.mu.Unlock()
	if closed {
		b.cut()
	}
}

// stall makes everything wait, or ends that.
func (b *between) stall(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if (b.stalled != nil) == on {
		return
	}
	if on {
		b.stalled = make(chan struct{})
		return
	}
	close(b.stalled)
	b.stalled = nil
}

// losing makes frames get lost that a function picks.
func (b *between) losing(lose func(text []byte) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = lose
}

// oneInFive picks one frame in five at random.
func oneInFive(random *rand.Rand) func([]byte) bool {
	return func([]byte) bool { return random.IntN(5) == 0 }
}

func (b *between) wait() {
	b.mu.Lock()
	stalled := b.stalled
	b.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

func (b *between) lost(text []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lose != nil && b.lose(text)
}

func (b *between) serve(client net.Conn) {
	defer client.Close()
	b.mu.Lock()
	b.dials++
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return
	}
	server, err := net.Dial("tcp", b.to)
	if err != nil {
		return
	}
	defer server.Close()
	b.mu.Lock()
	closed = b.closed // meanwhile
	if !closed {
		b.conns[client], b.conns[server] = true, true
	}
	b.mu.Unlock()
	if closed {
		return
	}
	defer func() {
		b.mu.Lock()
		delete(b.conns, client)
		delete(b.conns, server)
		b.mu.Unlock()
	}()
	go func() {
		defer server.Close()
		buf := make([]byte, 4096)
		for {
			n, err := client.Read(buf)
			b.wait()
			if _, bad := server.Write(buf[:n]); err != nil || bad != nil {
				return
			}
		}
	}()
	b.frames(client, bufio.NewReaderSize(server, 1<<16))
}

// frames passes on what a service says: an answer to an upgrade, and then frames.
func (b *between) frames(client io.Writer, server *bufio.Reader) {
	resp, err := http.ReadResponse(server, nil)
	if err != nil {
		return
	}
	b.wait()
	if resp.Write(client) != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	for {
		frame, text, err := readFrame(server)
		if err != nil {
			return
		}
		if b.wait(); frame[0]&15 == 1 && b.lost(text) {
			continue
		}
		if _, err := client.Write(frame); err != nil {
			return
		}
	}
}

// readFrame reads a frame of a service, which is not masked.
func readFrame(r *bufio.Reader) (frame, payload []byte, err error) {
	head := make([]byte, 2, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, nil, err
	}
	more := 0
	switch head[1] {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	head = head[:2+more]
	if _, err := io.ReadFull(r, head[2:]); err != nil {
		return nil, nil, err
	}
	n := uint64(head[1])
	switch more {
	case 2:
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		n = binary.BigEndian.Uint64(head[2:])
	}
	if n > 1<<20 {
		return nil, nil, errors.New("too long")
	}
	frame = append(head, make([]byte, n)...)
	_, err = io.ReadFull(r, frame[len(head):])
	return frame, frame[len(head):], err
}

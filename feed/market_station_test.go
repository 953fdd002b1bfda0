package feed

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/internal/sfeed"
	"neoapi/trade"
)

// A station is an SFeed in this process which says what no real one says. Without hooks it
// takes every session, acknowledges, and sends a touch line of each share subscribed.
type station struct {
	*service
	t testing.TB

	greet   func(c *websocket.Conn, n int) bool                  // in place of 1117; false ends the connection
	request func(c *websocket.Conn, n int, r sfeed.Request) bool // true: it has been dealt with

	mu       sync.Mutex
	conns    []*websocket.Conn
	requests []request1
	tick     int
}

type request1 struct {
	conn int // from 1
	sfeed.Request
}

// broadcast runs a test in fake time, with a station.
func broadcast(t *testing.T, f func(t *testing.T, st *station)) {
	t.Helper()
	bubble(t, func(t *testing.T, s *service) {
		st := &station{service: s, t: t}
		s.talk = st.talk
		f(t, st)
	})
}

func (st *station) talk(c *websocket.Conn, n int) {
	if _, err := st.hear(c); err != nil {
		return
	}
	st.mu.Lock()
	st.conns = append(st.conns, c)
	st.mu.Unlock()
	if st.greet == nil {
		st.say(c, answer)
	} else if !st.greet(c, n) {
		return
	}
	for {
		_, data, err := c.Read(context.Background())
		if err != nil {
			return
		}
		r, err := sfeed.ParseRequest(data)
		if err != nil {
			st.t.Errorf("a request: %v", err)
		}
		st.mu.Lock()
		st.requests = append(st.requests, request1{n, r})
		st.mu.Unlock()
		if st.request == nil || !st.request(c, n, r) {
			st.serve(c, r)
		}
	}
}

var answer = string(sfeed.Reply{Code: sfeed.ReplyAnswer, Format: sfeed.FormatBatch, Dividers: sfeed.AllDividers()}.Append(nil))

func acknowledgement(r sfeed.Request) string {
	ack := sfeed.Reply{Code: sfeed.ReplyAck, Description: sfeed.DescriptionSubscribed, Symbols: map[string]string{}}
	for _, token := range r.Tokens {
		ack.Symbols[token] = "X"
	}
	return string(ack.Append(nil))
}

// serve does what a good service does.
func (st *station) serve(c *websocket.Conn, r sfeed.Request) {
	if r.Ack {
		st.say(c, acknowledgement(r))
	}
	if r.Action == sfeed.Unsubscribe {
		return
	}
	for some := range slices.Chunk(r.Tokens, 8) {
		var frame []byte
		for _, token := range some {
			for i := range 10 {
				if token == share(i).Key() {
					st.mu.Lock()
					frame = touch(frame, i, st.tick)
					st.mu.Unlock()
				}
			}
		}
		if len(frame) > 0 {
			st.send(c, frame)
		}
	}
}

func (st *station) send(c *websocket.Conn, frame []byte) {
	_ = c.Write(context.Background(), websocket.MessageBinary, frame)
}

// conn returns the latest connection.
func (st *station) conn() *websocket.Conn {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.conns[len(st.conns)-1]
}

func (st *station) connections() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.conns)
}

// cut ends the latest connection.
func (st *station) cut() { st.conn().CloseNow() }

// asked returns what a connection was asked for, such as "subscribe 2 nse_cm|1000", each
// request on its line; tokens are sorted.
func (st *station) asked(conn int) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	var lines []string
	for _, r := range st.requests {
		if r.conn == conn {
			lines = append(lines, requested(r.Request))
		}
	}
	return strings.Join(lines, "\n")
}

func requested(r sfeed.Request) string {
	action := [...]string{"?", "subscribe", "unsubscribe", "snapshot"}[r.Action]
	topic := [...]string{"?", "minis", "touches", "depths", "fulls", "indices", "statuses"}[r.Topic]
	tokens := slices.Sorted(slices.Values(r.Tokens))
	return strings.TrimSpace(action + " " + topic + " " + strings.Join(tokens, " "))
}

// tickets returns a source of one session, which names the market feed.
func tickets() *supply {
	return &supply{sessions: []neoapi.Session{ticket("a")}, none: ErrSessionEnded}
}

func ticket(token string) neoapi.Session {
	return neoapi.Session{Token: token, SID: "sid-" + token, KType: "Trade", UCC: "TESTYA24", FeedURL: "ws://127.0.0.1:9155/apifeed"}
}

// market opens a feed, which the test closes.
func (st *station) market(opts ...Option) *MarketFeed {
	st.t.Helper()
	m := must.Get(Market(st.t.Context(), st.client, append([]Option{WithKeeper(tickets())}, opts...)...))(st.t)
	synctest.Wait()
	return m
}

// A log is what a loop over updates has read.
type log struct {
	mu  sync.Mutex
	all []Update
	err error
}

// read reads updates in a goroutine until they end.
func read(ctx context.Context, m *MarketFeed) *log {
	g := &log{}
	go func() {
		for u, err := range m.Updates(ctx) {
			g.mu.Lock()
			if err != nil {
				g.err = err
			} else {
				g.all = append(g.all, u)
			}
			g.mu.Unlock()
		}
	}()
	return g
}

// take returns what has been read since it was called last, and how the loop ended.
func (g *log) take() ([]Update, error) {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.all
	g.all = nil
	return all, g.err
}

// updateKinds returns what updates are, in short.
func updateKinds(all []Update) string {
	var names []string
	for _, u := range all {
		switch u := u.(type) {
		case Quote:
			names = append(names, "quote "+u.Instrument.Token)
		case Lost:
			names = append(names, "lost")
		case Gap:
			names = append(names, "gap")
		case Status:
			names = append(names, string(u.Segment)+" "+u.State.String())
		case Auction:
			names = append(names, "auction "+u.Instrument.Token)
		case Missing:
			names = append(names, "missing")
			for _, i := range u.Instruments {
				names = append(names, i.Token)
			}
		}
	}
	return strings.Join(names, ", ")
}

// quoteOf makes a packet of a quote.
func quoteOf(q sfeed.Quote, exchange int8, level, seq uint8) []byte {
	return q.Append(nil, sfeed.Header{Exchange: exchange, Level: level, Seq: seq})
}

func rows(all ...sfeed.Row) (r sfeed.Rows) {
	for _, row := range all {
		r = r.Append(row)
	}
	return r
}

var rupees = trade.MustRupees

// feedFrame gives a frame to an offline feed.
func feedFrame(t testing.TB, l *line, frame []byte) {
	t.Helper()
	must.Do(t, l.frame(binaryFrame, frame, time.Date(2027, time.March, 2, 5, 0, 0, 0, time.UTC)))
}

// noSession is what the trade API says of a session that has ended.
func noSession(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `{"stat":"Not_Ok","emsg":"invalid session","stCode":1003}`)
}

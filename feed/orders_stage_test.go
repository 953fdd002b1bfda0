package feed

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/trade"
)

// A stage is a service with an order feed and a book, both of which say what a test wants.
type stage struct {
	*service
	feed   *OrderFeed
	source *supply

	mu        sync.Mutex
	book      []string            // rows
	histories map[string][]string // rows, the newest first
	answer    func(path string) (text string, wait time.Duration)
	conn      *websocket.Conn
	read      map[string]int // calls, by the last part of their paths
}

// newStage returns a stage whose feed is open. first says what is sent on a connection
// once the session is taken; nil is nothing.
func newStage(t *testing.T, s *service, first func(c *websocket.Conn, n int)) *stage {
	t.Helper()
	st := &stage{service: s, histories: map[string][]string{}, read: map[string]int{}, source: &supply{sessions: []neoapi.Session{session("a")}}}
	s.call = st.serveCall
	s.talk = func(c *websocket.Conn, n int) {
		if _, err := s.hear(c); err != nil {
			return
		}
		s.say(c, `{"ak":"ok","type":"cn","task":"cn","msg":"connected"}`)
		st.mu.Lock()
		st.conn = c
		st.mu.Unlock()
		if first != nil {
			first(c, n)
		}
		s.listen(c)
	}
	return st
}

func (st *stage) open(t *testing.T, opts ...Option) *told {
	t.Helper()
	st.feed = must.Get(Orders(t.Context(), st.client, append(opts, WithKeeper(st.source))...))(t)
	return listenTo(t.Context(), st.feed)
}

func (st *stage) serveCall(w http.ResponseWriter, r *http.Request) {
	form, _ := io.ReadAll(r.Body)
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	st.mu.Lock()
	st.read[name]++
	rows := st.book
	if name == "history" {
		rows = nil
		for number, h := range st.histories {
			if strings.Contains(string(form), number) {
				rows = h
			}
		}
	} else if name != "orders" {
		rows = nil
	}
	text := `{"stat":"Not_Ok","stCode":5203,"errMsg":"No Data"}`
	if len(rows) > 0 {
		text = `{"stat":"Ok","stCode":200,"data":[` + strings.Join(rows, ",") + `]}`
	}
	if name == "config" || name == "limits" {
		text = `{"stat":"Ok","stCode":200}`
	}
	answer := st.answer
	st.mu.Unlock()
	if answer != nil {
		if other, wait := answer(name); other != "" || wait > 0 {
			select {
			case <-time.After(wait):
			case <-r.Context().Done():
				return
			}
			if other != "" {
				text = other
			}
			if text == "500" {
				w.WriteHeader(500)
			}
		}
	}
	io.WriteString(w, text)
}

// set changes what the book says.
func (st *stage) set(f func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	f()
}

// send sends a frame about an order.
func (st *stage) send(rows ...string) {
	st.mu.Lock()
	c := st.conn
	st.mu.Unlock()
	for _, row := range rows {
		st.say(c, `{"type":"order","data":`+row+`}`)
	}
}

// rowOf is a row of an order for 10 of TCS-EQ.
func rowOf(number string, state trade.State, filled int, sequence int64) string {
	average := "0.00"
	if filled > 0 {
		average = "3500.00"
	}
	return fmt.Sprintf(`{"nOrdNo":%q,"ordSt":%q,"stat":%q,"fldQty":%d,"qty":10,"avgPrc":%q,"updRecvTm":%d,"exSeg":"nse_cm","tok":"11536","trdSym":"TCS-EQ","prc":"3500.00","prcTp":"L","prod":"CNC","trnsTp":"B","rejRsn":"--"}`,
		number, state, state, filled, average, day+sequence)
}

// day is a day's first moment, in nanoseconds.
const day = 946_684_800_000_000_000

// A told is what a loop was told.
type told struct {
	mu   sync.Mutex
	all  []Update
	err  error
	at   []time.Time
	done chan struct{}
}

func listenTo(ctx context.Context, f *OrderFeed) *told {
	d := &told{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		for u, err := range f.Updates(ctx) {
			d.mu.Lock()
			if d.err = err; err == nil {
				d.all, d.at = append(d.all, u), append(d.at, time.Now())
			}
			d.mu.Unlock()
		}
	}()
	return d
}

func (d *told) orders(number string) (all []OrderUpdate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.all {
		if u, is := u.(OrderUpdate); is && u.Number == number {
			all = append(all, u)
		}
	}
	return all
}

// story is what was told of an order: states and fills.
func (d *told) story(number string) string {
	var words []string
	for _, u := range d.orders(number) {
		word := string(u.State)
		if u.Fill != 0 {
			word += fmt.Sprintf("+%d", u.Fill)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (d *told) kinds() (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.all {
		all = append(all, strings.TrimPrefix(fmt.Sprintf("%T", u), "feed."))
	}
	return all
}

// now returns the latest connection.
func (st *stage) now() *websocket.Conn {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.conn
}

// endedOnes returns the sessions that were said to have ended.
func (s *supply) endedOnes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.ended)
}

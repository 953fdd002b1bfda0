package neoapi

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"neoapi/internal/private"
)

const (
	defaultRate = 10
	// rest is a little over a second, for a service that counts strictly by its own
	// clock.
	rest = 1020 * time.Millisecond
	// transit is how long a request without an answer may take to reach the point where
	// the service counts it.
	transit = time.Second
	// glimpse is how often the files of other processes are read while waiting.
	glimpse = 50 * time.Millisecond
	// fileWait is how long to wait for a file locked by another process, which normally
	// takes microseconds; a file that could not be locked is skipped for a transit.
	fileWait = 200 * time.Millisecond
	// maxRate is the largest limit; larger rates are not limited.
	maxRate = 1000
	most    = maxRate + 24 // number of requests a window remembers
)

// A rate lets at most n requests out in any second, counting all those in its window,
// whoever sent them.
type rate struct {
	n      int // 0 for no limit
	window *window
}

// newRate returns a rate with a window of its own, or nil for no limit.
func newRate(n int) *rate {
	if n <= 0 || n > maxRate {
		return nil
	}
	return &rate{n, &window{}}
}

// Urgent makes a request that has to wait for the rate take the next free place, before
// those that wait already and are not urgent: the cancel of an order should not wait for
// reports. Urgent requests go out in the order in which they came. Those of other
// processes are not overtaken.
func Urgent() CallOption { return func(t *caller) { t.line = urgent } }

// WithRate sets a separate limit of n requests in any second, up to 1,000, for this
// http.Client or call; 0 means no limit. The requests still count towards the limit
// that all clients of the consumer share, see Config.Rate. Requests over the limit
// wait until they may go out or their context is done.
func WithRate(n int) CallOption { return func(t *caller) { t.rate = newRate(n) } }

// A window has the recent requests of one consumer to one service, by all clients of
// this process and, through its files, by other processes.
//
// A request counts from when it is sent until a rest after its answer arrives, or
// after its transit if the answer takes longer. The service has counted it somewhere
// in between, so a request sent a rest later is counted at least a second later,
// however long each takes.
type window struct {
	// The names of service and consumer, guarded by windows.
	name   string
	tokens []string // names by its access tokens

	mu    sync.Mutex
	sent  []int64       // ns since 1970 by which each request has been counted, in order
	own   []int64       // those that this process has sent, also if the files lack them
	files []rateFile    // where other processes record theirs, by path
	ahead time.Duration // how far the last Config.Clock was ahead of the machine's
	moved bool          // whether ahead is known

	lines [2]line // of those who wait: the ordinary ones, and the urgent ones, who go first
}

// A line is a queue of requests that wait for a window: one has the turn.
type line struct {
	waiting bool            // whether somebody has the turn
	queue   []chan struct{} // those waiting for it, the first one next
	news    chan struct{}   // signals an answer to whoever has the turn, if they wait for one
}

// tell signals news to whoever has the turn.
func (l *line) tell() {
	select {
	case l.news <- struct{}{}:
	default: // nobody waits, or a signal is already pending
	}
}

const (
	ordinary = 0
	urgent   = 1
)

// A rateFile is the file in which processes that share a store count their requests.
type rateFile struct {
	private.LockFile
	again time.Time // when to try again, after it could not be locked
}

// windows has the windows of this process, by service and consumer.
var windows = struct {
	sync.Mutex
	all map[string]*window
}{all: map[string]*window{}}

// maxTokens is how many access tokens are remembered for a consumer.
const maxTokens = 16

// windowOf returns the window that all clients of a consumer at a service share. The
// consumer is identified by its key, or by an access token that a client in this
// process knows to be its own.
func windowOf(place, key, token string) *window {
	windows.Lock()
	defer windows.Unlock()
	name := windowName(place, cmp.Or(key, token))
	w := windows.all[name]
	if w == nil && token != "" {
		if w = windows.all[windowName(place, token)]; w != nil {
			w.name = name // its key is the better name: other processes know it
		}
	}
	if w == nil {
		w = &window{name: name}
	}
	windows.all[name] = w
	if token != "" && key != "" {
		w.owns(windowName(place, token))
	}
	return w
}

// learn makes later clients that have only the access token count in the window.
func (w *window) learn(place, token string) {
	windows.Lock()
	defer windows.Unlock()
	w.owns(windowName(place, token))
}

func (w *window) owns(name string) {
	if windows.all[name] == w {
		return
	}
	windows.all[name] = w
	if w.tokens = append(w.tokens, name); len(w.tokens) > maxTokens {
		if windows.all[w.tokens[0]] == w {
			delete(windows.all, w.tokens[0])
		}
		w.tokens = w.tokens[1:]
	}
}

// called returns the name of service and consumer that other processes use too.
func (w *window) called() string {
	windows.Lock()
	defer windows.Unlock()
	return w.name
}

// windowName names a consumer at a service; all addresses of this machine have the same name.
func windowName(place, credential string) string {
	if u, err := url.Parse(place); err == nil && loopback(u.Hostname()) {
		port := u.Port()
		if u.Host = "127.0.0.1"; port != "" {
			u.Host += ":" + port
		}
		place = u.String()
	}
	return place + " " + fingerprint(credential)
}

// wait returns when a request may go out, or returns the context's error. The ticket
// is for answered; l is the line to wait in.
func (r *rate) wait(ctx context.Context, c *Client, l int) (ticket int64, err error) {
	w := r.window
	if r.n <= 0 {
		ticket, _ = w.takeWithin(ctx, c, 0, l)
		return ticket, ctx.Err()
	}
	if err := w.turn(ctx, l); err != nil {
		return 0, err
	}
	defer w.next(l)
	for {
		ticket, left := w.takeWithin(ctx, c, r.n, l)
		if left <= 0 {
			return ticket, ctx.Err()
		}
		if err := c.await(ctx, w.lines[l].news, left); err != nil {
			return 0, err
		}
	}
}

// await waits for d by the machine's clock, for news, or for a jump of the client's
// clock, whichever is first.
func (c *Client) await(ctx context.Context, news <-chan struct{}, d time.Duration) error {
	if c.virtual {
		d = min(d, poll)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-news:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// turn returns when it is the caller's turn in a line: first come, first served.
func (w *window) turn(ctx context.Context, of int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	l := &w.lines[of]
	if l.waiting {
		mine := make(chan struct{})
		l.queue = append(l.queue, mine)
		w.mu.Unlock()
		select {
		case <-mine:
		case <-ctx.Done():
			w.mu.Lock()
			i := slices.Index(l.queue, mine)
			if i >= 0 {
				l.queue = slices.Delete(l.queue, i, i+1)
			}
			w.mu.Unlock()
			if i < 0 { // the turn came at the same time
				w.next(of)
			}
			return ctx.Err()
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	l.waiting = true
	return nil
}

// next passes the turn of a line on.
func (w *window) next(of int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &w.lines[of]
	l.news = nil
	if l.waiting = len(l.queue) > 0; l.waiting {
		close(l.queue[0])
		l.queue = l.queue[1:]
	} else if of == urgent {
		w.lines[ordinary].tell()
	}
}

// take counts a request if there were fewer than n recent ones, or if n is 0.
// Otherwise it returns how long to wait before the next try.
func (w *window) take(c *Client, n int) (ticket int64, left time.Duration) {
	return w.takeWithin(context.Background(), c, n, ordinary)
}

// takeWithin is take that does not wait for files once ctx is done, and counts nothing in
// the ordinary line while somebody waits in the urgent one.
func (w *window) takeWithin(ctx context.Context, c *Client, n, of int) (ticket int64, left time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case n > 0 && of == ordinary && w.lines[urgent].waiting:
		left = glimpse
	case len(w.files) == 0: // its variables stay off the heap
		ticket, left = w.count(w.jumped(c), n)
	default:
		ticket, left = w.countShared(ctx, w.jumped(c), n)
	}
	if left > 0 && w.lines[of].news == nil {
		w.lines[of].news = make(chan struct{}, 1)
	}
	return ticket, left
}

func (w *window) countShared(ctx context.Context, jump time.Duration, n int) (ticket int64, left time.Duration) {
	w.shared(ctx, func() { ticket, left = w.count(jump, n) })
	return ticket, left
}

// count is take after the clock jumped ahead by jump.
func (w *window) count(jump time.Duration, n int) (ticket int64, left time.Duration) {
	now := time.Now().UnixNano()
	w.sent, w.own = recent(w.sent, jump, now), recent(w.own, jump, now)
	if n > 0 && len(w.sent) >= n {
		if left = time.Duration(w.sent[len(w.sent)-n] - (now - int64(rest))); len(w.files) > 0 {
			left = min(left, glimpse)
		}
		return 0, left
	}
	if ticket = now + int64(transit); len(w.sent) > 0 {
		ticket = max(ticket, w.sent[len(w.sent)-1]+1) // each has its own
	}
	w.sent = append(w.sent[max(0, len(w.sent)+1-most):], ticket)
	w.own = append(w.own[max(0, len(w.own)+1-most):], ticket)
	return ticket, 0
}

// recent returns the tickets that still count after the clock jumped ahead by jump.
func recent(tickets []int64, jump time.Duration, now int64) []int64 {
	if jump != 0 {
		for i := range tickets {
			tickets[i] -= int64(jump)
		}
	}
	from, to := 0, len(tickets)
	if to > 0 && tickets[0] <= now-int64(rest) {
		from, _ = slices.BinarySearch(tickets, now-int64(rest)+1)
	}
	if to > 0 && tickets[to-1] >= now+2*int64(transit) { // from before the clock was set back
		to, _ = slices.BinarySearch(tickets, now+2*int64(transit))
	}
	return tickets[from:max(from, to)]
}

// answered records that the answer to a request, or its head, has arrived.
func (w *window) answered(ticket int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shared(context.Background(), func() {
		now := time.Now().UnixNano()
		if _, found := slices.BinarySearch(w.sent, ticket); !found || now >= ticket {
			return
		}
		for taken := true; taken; {
			if _, taken = slices.BinarySearch(w.sent, now); taken {
				now++
			}
		}
		counted(w.sent, ticket, now)
		counted(w.own, ticket, now)
	})
	for i := range w.lines {
		w.lines[i].tell()
	}
}

// counted moves a ticket, if it is among tickets, to an earlier time.
func counted(tickets []int64, ticket, now int64) {
	i, found := slices.BinarySearch(tickets, ticket)
	if !found {
		return
	}
	to, _ := slices.BinarySearch(tickets, now)
	copy(tickets[to+1:i+1], tickets[to:i])
	tickets[to] = now
}

// jumped returns how far a [Config.Clock] has jumped ahead. Earlier requests are
// older by as much, because in a test the service's clock has jumped too.
func (w *window) jumped(c *Client) (jump time.Duration) {
	if !c.virtual {
		return 0
	}
	before := time.Now()
	ahead := c.now().Sub(before)
	if time.Since(before) > time.Millisecond { // we were interrupted: this measures nothing
		return 0
	}
	if w.moved && ahead-w.ahead > 2*time.Millisecond {
		jump = ahead - w.ahead
	}
	w.ahead, w.moved = ahead, true
	return jump
}

// shared runs f, which may change w.sent, with the requests of all processes: those
// in the files, and this process's own, which may be missing there if a file was
// removed or could not be written. A file that does not work, or stays locked, is
// skipped: better a request too many than none.
func (w *window) shared(ctx context.Context, f func()) {
	if len(w.files) == 0 {
		f()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fileWait)
	defer cancel()
	found := slices.Clone(w.own)
	var through func(i int)
	through = func(i int) {
		if i == len(w.files) {
			slices.Sort(found)
			w.sent = slices.Compact(found)
			f()
			return
		}
		file, read := &w.files[i], false
		if began := time.Now(); !began.Before(file.again) {
			err := file.Change(ctx, func(old []byte) []byte {
				if read = true; len(old) < 8 { // new, or removed since
					found = append(found, w.sent...)
				}
				for ; len(old) >= 8; old = old[8:] {
					found = append(found, int64(binary.BigEndian.Uint64(old)))
				}
				through(i + 1)
				text := make([]byte, 0, 8*len(w.sent))
				for _, at := range w.sent {
					text = binary.BigEndian.AppendUint64(text, uint64(at))
				}
				return text
			})
			if !read && errors.Is(err, context.DeadlineExceeded) && time.Since(began) >= fileWait {
				file.again = time.Now().Add(transit)
			}
		}
		if !read {
			found = append(found, w.sent...) // what was known about the others
			through(i + 1)
		}
	}
	through(0)
}

// join makes the window count with other processes in a file.
func (w *window) join(path string) {
	if at, err := private.Resolve(path); err == nil {
		path = at
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.files {
		if sameFile(f.Path, path) {
			return
		}
	}
	w.files = append(w.files, rateFile{LockFile: private.LockFile{Path: path}})
	slices.SortFunc(w.files, func(a, b rateFile) int { return strings.Compare(a.Path, b.Path) }) // all in one order, to prevent deadlock
}

// sameFile reports whether two paths name one file, which need not exist: a directory
// may have several names.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	one, err := os.Stat(filepath.Dir(a))
	if err != nil || filepath.Base(a) != filepath.Base(b) {
		return false
	}
	two, err := os.Stat(filepath.Dir(b))
	return err == nil && os.SameFile(one, two)
}

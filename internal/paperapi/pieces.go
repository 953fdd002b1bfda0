package paperapi

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// A report is a list of rows, of which there may be a hundred thousand. It is read from the
// exchange in pieces, and each is written out while others trade: no account's report keeps
// another's order waiting.
type report struct {
	stat string
	n    int

	// read reads the rows of a piece, with the exchange's lock held. It returns false if they
	// are no longer there. write writes one of them, counted within the piece, without it.
	read  func(from, to int) bool
	write func(r *row, i int)
}

// pieceRows is how many rows are read at once: some hundred microseconds' worth, and a
// megabyte when written out.
const pieceRows = 500

var (
	noData    = &failure{code: codeNoData, text: "No Data"}
	tooBusy   = &failure{status: http.StatusTooManyRequests, code: codeLimit, text: "as many long reports of this account are being read as there may be: read those to their ends", retry: time.Second}
	errRolled = errors.New("the day of the report is over")
)

// report makes a report a call's answer.
func (c *call) report(l *report) error {
	if l.n == 0 {
		return noData
	}
	c.rows = l
	return nil
}

// written is a report of rows that have been read already.
func written(stat string, n int, write func(*row, int)) *report {
	base := 0
	return &report{stat, n, func(from, _ int) bool { base = from; return true }, func(r *row, i int) { write(r, base+i) }}
}

// opened begins an answer of rows.
func opened(stat string) row {
	r := row(newBuffer())
	r.begin()
	r.text("stat", stat)
	r.number("stCode", 200)
	r.text("tid", "server1_1") // which clients of generation 1 read
	r.key("data")
	return append(r, '[')
}

// element adds a row.
func (r *row) element(write func(*row, int), i int) {
	r.begin()
	write(r, i)
	r.end()
	*r = append(*r, ',')
}

// closed ends an answer of rows.
func (r row) closed() []byte {
	r[len(r)-1] = ']'
	r.end()
	return r
}

// piece adds a piece of a report.
func (a *API) piece(l *report, r *row, from int) error {
	to := min(from+pieceRows, l.n)
	a.mu.Lock()
	ok := l.read(from, to)
	a.unlock()
	if !ok {
		return errRolled
	}
	for i := range to - from {
		r.element(l.write, i)
	}
	if to == l.n {
		*r = r.closed()
	}
	return nil
}

// longAnswer returns the body of a report of many pieces, which are made as they are read, and
// done when it is closed.
func (a *API) longAnswer(l *report, done func()) *answer {
	text, from := opened(l.stat), 0
	return &answer{reused: true, done: done, more: func() ([]byte, error) {
		if from >= l.n {
			return nil, nil
		}
		err := a.piece(l, &text, from)
		from += pieceRows
		made := text
		text = text[:0]
		return made, err
	}}
}

// turns bound how many long reports of an account are read at once. What one needs of
// memory is bounded by what the account's orders need.
type turns struct {
	mu sync.Mutex
	of map[string]chan struct{}
}

const (
	longReports = 2               // of an account, at once
	turnWait    = 5 * time.Second // how long another one waits
)

// take waits for a turn, and returns what ends it.
func (t *turns) take(ctx context.Context, account string) (done func(), err error) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[string]chan struct{}{}
	}
	turn := t.of[account]
	if turn == nil {
		turn = make(chan struct{}, longReports)
		t.of[account] = turn
	}
	t.mu.Unlock()
	wait := time.NewTimer(turnWait)
	defer wait.Stop()
	select {
	case turn <- struct{}{}:
		return sync.OnceFunc(func() { <-turn }), nil
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil, tooBusy
}

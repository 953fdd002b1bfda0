package feed

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"neoapi"
	"neoapi/trade"
)

// The times of reading.
const (
	reportPatience = 500 * time.Millisecond // how long a report waits for a service that does not answer
	longest        = 3 * time.Second        // and for one that does
	openPause      = 5 * time.Second        // between two looks at the book while an order is open
	idlePause      = 10 * time.Second       // while none is
	downPause      = 2 * time.Second        // while an order is open and the feed is not connected, or the service does not answer
	lossyPause     = time.Second            // after a look that found what the stream had lost
	leanPause      = 200 * time.Millisecond // after a report that lacks what the book has
	grace          = 250 * time.Millisecond // for the stream to say what the book says
	historyPause   = 200 * time.Millisecond // between two histories, after the first ones
	historyBurst   = 8
	lossyTime      = time.Minute            // how long a stream that has lost something counts as one that does
	shortestRead   = 500 * time.Millisecond // between two looks
	forgetAfter    = time.Hour              // of an order that is final, and no longer in the book
)

// reading is what is to be read. One goroutine does it.
type reading struct {
	wake    chan struct{}
	wanted  []string  // orders whose histories are to be read
	due     time.Time // of the next look at the book
	looked  time.Time // when the last one was
	failed  int       // looks in a row
	suspect []report  // rows that the stream may have lost
	judge   time.Time // when that is decided
	losing  time.Time // when the stream was last seen to have lost something
	moved   bool      // positions, by fills that were recovered
	heard   time.Time // when the stream last said something of orders or positions
	from    time.Time // when the last read of the book began, on this connection
	before  time.Time // the same of the read before the last look: what that found new is younger
	deaf    int       // looks that found what may be a change, while nothing came from the stream

	budget float64 // histories
	spent  time.Time

	odd map[string]bool // orders of which the trades have more than the book ever had; used by the reading goroutine alone
}

func (o *OrderFeed) stir() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// soon makes the next look at the book happen within d.
func (o *OrderFeed) soon(d time.Duration) {
	at := time.Now().Add(d)
	if soonest := o.looked.Add(shortestRead); at.Before(soonest) {
		at = soonest
	}
	if o.due.IsZero() || at.Before(o.due) {
		o.due = at
		o.stir()
	}
}

// doubt has the book read soon: something was sent that could not be read.
func (o *OrderFeed) doubt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.soon(leanPause)
}

// read reads what the feed needs of the service, one thing after the other.
func (o *OrderFeed) read() {
	ctx := o.life.ctx
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		work, wait := o.task()
		if work != nil {
			work(ctx)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-o.wake:
		case <-ctx.Done():
		}
	}
}

// task returns what is to be done now, or how long to wait.
func (o *OrderFeed) task() (work func(context.Context), wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	until := func(at time.Time) { wait = min(wait, max(time.Millisecond, at.Sub(now))) }
	if o.behind && o.connected {
		if !now.Before(o.due) {
			return o.reconcile, 0
		}
		until(o.due)
	}
	for len(o.wanted) > 0 {
		number := o.wanted[0]
		if t := o.orders[number]; t == nil || !t.asked || len(t.queue) == 0 { // it waits no more
			if t != nil {
				t.asked = false
			}
			o.wanted = o.wanted[1:]
			continue
		}
		if at := o.allowance(now); now.Before(at) {
			until(at)
			break
		}
		o.budget--
		o.wanted = o.wanted[1:]
		return func(ctx context.Context) { o.readHistory(ctx, number) }, 0
	}
	if len(o.suspect) > 0 {
		if !now.Before(o.judge) {
			o.sentence()
			return func(context.Context) {}, 0
		}
		until(o.judge)
	}
	if o.moved && o.failed == 0 {
		o.moved = false
		return o.readPositions, 0
	}
	if !o.behind || !o.connected {
		if o.due.IsZero() {
			o.due = time.Now().Add(o.pause())
		}
		if !now.Before(o.due) && len(o.suspect) == 0 {
			return o.look, 0
		}
		until(o.due)
	}
	return nil, wait
}

// pause is how long until the next look at the book.
func (o *OrderFeed) pause() time.Duration {
	open, lossy := o.open(), time.Since(o.losing) < lossyTime
	switch {
	case o.failed > 0:
		return min(reportPatience<<min(o.failed-1, 4), downPause)
	case open && !o.connected:
		return downPause
	case open && lossy:
		return lossyPause
	case open || lossy:
		return openPause
	}
	return idlePause
}

// allowance returns when the next history may be read.
func (o *OrderFeed) allowance(now time.Time) time.Time {
	o.budget = min(historyBurst, o.budget+float64(now.Sub(o.spent))/float64(historyPause))
	o.spent = now
	if o.budget >= 1 {
		return now
	}
	return now.Add(time.Duration((1 - o.budget) * float64(historyPause)))
}

// readBook reads the book, and before it the trades: a book that has less than they have
// lags behind, and is read again.
func (o *OrderFeed) readBook(ctx context.Context, failed int) ([]trade.Order, error) {
	trades, err := o.trade.Trades(ctx)
	if err != nil && failed < bookLooks { // else it has to do without
		return nil, err
	}
	filled := map[string]int64{}
	for i := range trades {
		filled[trades[i].OrderNumber] += trades[i].Quantity
	}
	delete(filled, "")
	for n := 0; ; n++ {
		book, err := o.trade.Orders(ctx)
		if err != nil {
			return nil, err
		}
		there := map[string]int64{}
		for i := range book {
			there[book[i].Number] = book[i].FilledQty
		}
		lags := false
		for number, quantity := range filled {
			if there[number] < quantity && !o.odd[number] {
				if lags = true; n == bookLooks {
					o.odd[number] = true
				}
			}
		}
		if !lags || n == bookLooks {
			return book, nil
		}
		if pause(ctx, grace) != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// bookLooks is how often a book that lags behind the trades is read again: then it is
// believed, and what is odd about it no longer counts.
const bookLooks = 4

// reconcile reads what happened while the feed was not connected.
func (o *OrderFeed) reconcile(ctx context.Context) {
	o.mu.Lock()
	to, failed, began := o.wire, o.failed, time.Now()
	o.mu.Unlock()
	book, err := o.readBook(ctx, failed)
	o.warn(ctx, "feed: the book could not be read", err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looked = time.Now()
	if err != nil {
		if o.wire == to { // else it is due for another connection, or for none
			o.failed++
			o.due = time.Now().Add(o.pause())
		}
		return
	}
	o.answered, o.failed, o.due, o.moved = o.looked, 0, time.Time{}, true
	if o.wire != to || to == nil { // what it has is taken all the same
		o.due = time.Now()
	}
	o.compare(book)
	if o.wire == to && to != nil {
		o.behind, o.holding, o.from = false, false, began
		o.catchUp()
	}
}

// readHistory reads the states that an order went through.
func (o *OrderFeed) readHistory(ctx context.Context, number string) {
	states, err := o.trade.History(ctx, number)
	o.warn(ctx, "feed: a history could not be read", err)
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.orders[number]
	if t == nil {
		return
	}
	if err == nil {
		o.history(t, states)
		return
	}
	t.asked = false
	if len(t.queue) > 0 && time.Since(t.since) < reportPatience/2 {
		o.ask(t, number)
	} else if len(t.queue) > 0 {
		o.settle(t, nil)
	}
}

func (o *OrderFeed) readPositions(ctx context.Context) {
	positions, err := o.trade.Positions(ctx)
	o.warn(ctx, "feed: the positions could not be read", err)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.moved = true
		o.failure()
		return
	}
	there := map[positionKey]bool{}
	for i := range positions {
		there[keyOfPosition(&positions[i])] = true
	}
	for key, p := range o.positions { // of other days
		if !there[key] && !p.Updated.IsZero() && !today(p.Updated, o.client.Now()) {
			delete(o.positions, key)
		}
	}
	for _, p := range positions {
		if own, err := trade.ParsePosition([]byte(p.Raw)); err == nil { // no part of the whole report
			p = own
		}
		o.position(p)
	}
}

// failure notes that a read failed: it changes nothing, and is tried again.
func (o *OrderFeed) failure() {
	o.failed++
	o.later(o.pause())
}

// later makes the next look happen after a pause, unless the book is due for a connection
// that was made meanwhile.
func (o *OrderFeed) later(d time.Duration) {
	if !o.behind || !o.connected {
		o.due = time.Now().Add(d)
	}
}

// warn logs an error. It calls the program's handler, so o.mu is not held.
func (o *OrderFeed) warn(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		o.opts.log.LogAttrs(ctx, slog.LevelWarn, what, slog.Any("why", err))
	}
}

// look reads the book now and then, for what the stream may have lost.
func (o *OrderFeed) look(ctx context.Context) {
	began := time.Now()
	book, err := o.trade.Orders(ctx)
	o.warn(ctx, "feed: the book could not be read", err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looked = time.Now()
	if err != nil {
		o.failure()
		return
	}
	o.answered, o.failed = o.looked, 0
	o.before, o.from = o.from, began
	o.forget(book)
	o.suspect = nil
	for _, row := range book {
		r := report{row, true}
		if t := o.orders[row.Number]; row.Number != "" && row.State != "" && (t == nil || news(&t.last, &r) || hides(&t.last, &r)) {
			o.suspect = append(o.suspect, r)
		} else if t != nil {
			t.learn(row)
		}
	}
	o.judge = time.Now().Add(grace)
	if !o.connected {
		o.judge = o.looked
	}
	o.later(max(shortestRead, o.pause()))
}

// sentence decides of what the book has, and the stream has had time to say. A connection
// on which nothing has come since before a change that it should have told is given up; if
// the book's row may have been written anew without a change, the second time.
func (o *OrderFeed) sentence() {
	lost, silent := 0, o.heard.Before(o.before)
	if !silent {
		o.deaf = 0
	}
	give := false
	slices.SortStableFunc(o.suspect, func(a, b report) int { return cmp.Compare(when(&a.Order), when(&b.Order)) })
	for _, r := range o.suspect {
		t := o.track(r.Number)
		if !news(&t.last, &r) && !hides(&t.last, &r) {
			continue
		}
		give = give || len(t.queue) == 0 && news(&t.last, &r) // else an earlier look had it
		r.Order = apart(r.Order)
		if lost++; len(t.queue) == 0 && r.State == t.last.State && t.last.Unread != "" { // the report lacked it
			o.deliver(t, r)
			continue
		}
		o.wait(t, r)
		o.ask(t, r.Number)
	}
	o.suspect = nil
	if lost > 0 && o.connected {
		o.losing = time.Now()
		if o.deaf++; silent && (give || o.deaf > 1) {
			o.wire.end(&ConnectionError{Err: errDeaf})
		}
	}
	o.later(max(shortestRead, o.pause()))
}

var errDeaf = errors.New("the connection looks well, and orders changed of which it said nothing")

// reads are the source of the session with which the feed reads. If a read finds that the
// session has ended the connection that has it is given up, which may be silent from now on.
type reads struct {
	neoapi.SessionSource
	feed *OrderFeed
}

func (r *reads) Ended(s neoapi.Session) {
	r.SessionSource.Ended(s)
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	if w := r.feed.wire; w != nil && w.session.Token == s.Token {
		w.end(&ConnectionError{Err: errors.New("a read found that the session has ended, and the new one needs a connection of its own")})
	}
}

package paperapi

import (
	"slices"
	"time"

	"neoapi/internal/paper"
	"neoapi/internal/paper/listing"
)

// A Follower gets the frames of the order feed of one account: see [API.Follow].
type Follower struct {
	api     *API
	account string
	got     func(frame []byte)
	marks   paper.Marks // of the orders, as they were when it began
	all     []paper.Position
	began   time.Time
}

// Follow calls got with a frame of the order feed for each state of an order of the
// account, and each position that has moved, in the order in which they happened and
// before the answer of the command that made them. got must not wait, call the API, or
// change the frame. [Follower.State] has what was there before.
func (a *API) Follow(account string, got func(frame []byte)) *Follower {
	a.mu.Lock()
	defer a.unlock()
	now := a.now()
	f := &Follower{api: a, account: account, got: got, began: now}
	f.marks = a.exchange.MarkOrders(now, account, time.Time{})
	f.all = a.exchange.Positions(now, account)
	a.tell()
	if len(a.followers) == 0 {
		a.exchange.Events() // nobody has waited for these
		a.followers = map[string][]*Follower{}
	}
	a.followers[account] = append(a.followers[account], f)
	return f
}

// Stop ends the calls of got: none is made after it has returned.
func (f *Follower) Stop() {
	a := f.api
	a.mu.Lock()
	defer a.unlock()
	rest := slices.DeleteFunc(a.followers[f.account], func(other *Follower) bool { return other == f })
	if a.followers[f.account] = rest; len(rest) == 0 {
		delete(a.followers, f.account)
	}
}

// State calls write with a frame for each order of the day and each position, as they were
// when Follow returned, until it fails. The exchange goes on meanwhile.
func (f *Follower) State(write func(frame []byte) error) error {
	a := f.api
	for from := 0; from < f.marks.Len(); from += pieceRows {
		for _, frame := range a.statePiece(f, from) {
			if err := write(frame); err != nil {
				return err
			}
		}
	}
	f.marks = paper.Marks{}
	today := listing.DateOf(f.began).Start()
	for i := range f.all {
		if err := write(positionFrame(&f.all[i], f.account, today)); err != nil {
			return err
		}
	}
	f.all = nil
	return nil
}

// statePiece returns the frames of some orders; none if their day is over.
func (a *API) statePiece(f *Follower, from int) (frames [][]byte) {
	a.mu.Lock()
	defer a.unlock()
	for i := from; i < min(from+pieceRows, f.marks.Len()); i++ {
		o, ok := f.marks.Order(i)
		if !ok {
			return nil
		}
		frames = append(frames, orderFrame(&o, a.described(o.Instrument)))
	}
	return frames
}

// unlock lets go of the exchange. What happened to orders and positions meanwhile goes to
// those who follow them.
func (a *API) unlock() {
	a.tell()
	a.mu.Unlock()
}

func (a *API) tell() {
	if len(a.followers) == 0 {
		return
	}
	for _, e := range a.exchange.Events() {
		followers := a.followers[e.Account]
		if len(followers) == 0 {
			continue
		}
		var frame []byte
		if e.Order != nil {
			frame = orderFrame(e.Order, a.described(e.Order.Instrument))
		} else {
			frame = positionFrame(e.Position, e.Account, listing.DateOf(a.now()).Start())
		}
		for _, f := range followers {
			f.got(frame)
		}
	}
}

func orderFrame(o *paper.Order, instrument []byte) []byte {
	r := frame("order")
	r.order(o, instrument, false)
	return r.framed()
}

func positionFrame(p *paper.Position, account string, today time.Time) []byte {
	r := frame("position")
	r.position(p, account, today, positionOfFeed)
	return r.framed()
}

// frame begins a frame of the order feed.
func frame(kind string) row {
	r := make(row, 0, 2560)
	r.begin()
	r.text("type", kind)
	r.key("data")
	r.begin()
	return r
}

// framed ends a frame.
func (r row) framed() []byte {
	r.end()
	r.end()
	return r
}

// Step brings the market up to the present if somebody follows an account, so that what it
// fills is told.
func (a *API) Step() {
	a.mu.Lock()
	defer a.unlock()
	if len(a.followers) > 0 {
		a.exchange.Run(a.now())
	}
}

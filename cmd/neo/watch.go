package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"neoapi"
	"neoapi/feed"
	"neoapi/trade"
)

type watchCmd struct {
	Orders    watchOrdersCmd    `cmd:"" help:"Watch the day's orders."`
	Positions watchPositionsCmd `cmd:"" help:"Watch the day's positions."`
	Quotes    watchQuotesCmd    `cmd:"" help:"Watch quotes of instruments."`
}

// watchFlags are those of every live table.
type watchFlags struct {
	JSON bool `name:"json" help:"Print one JSON object for each update, with times in UTC; so it is whenever the output is not a terminal."`
	tradeFlags
}

const aboutWatching = `
Until Ctrl-C, which is the normal end: exit code 0. On a terminal a table is kept up to
date; a file or another program gets a JSON object for each thing that there is, and
then for each update. A connection that was lost is made again: until then the first
line, or an object of type lost, says so, and one of type gap from when to when nothing
was known. If the session ends, and neither neo login nor a program has saved another one
of the account in its file by two seconds later, the exit code is 3.`

type watchOrdersCmd struct {
	Open bool `help:"Only orders that can still fill, and what becomes of them."`
	watchFlags
}

func (watchOrdersCmd) Help() string {
	return `Examples:
  neo watch orders
  neo watch orders --json | jq -r 'select(.fill > 0) | .symbol'
` + aboutWatching
}

func (c *watchOrdersCmd) Run(ctx context.Context, t *terminal) error {
	client, saved, err := c.session()
	if err != nil {
		return err
	}
	live, err := feed.Orders(ctx, client, feed.WithKeeper(c.sessions(saved)))
	if err != nil {
		return ofFeed(err)
	}
	w := watch[feed.OrderUpdate]{
		t: t, what: "Orders of " + saved.UCC, json: orderUpdateColumns(), columns: orderUpdateColumns(), newestFirst: true,
		key: func(u feed.OrderUpdate) string { return u.Number }, live: live.Live,
	}
	opened := map[string]bool{} // orders that could fill when they were first seen
	if w.onScreen(c.JSON) {
		orders, err := trade.New(client).Orders(ctx)
		if err != nil {
			return errors.Join(err, live.Close())
		}
		if c.Open {
			orders = open(orders)
		}
		slices.SortFunc(orders, func(a, b trade.Order) int { return strings.Compare(a.Number, b.Number) })
		for _, o := range orders {
			opened[o.Number] = !o.State.Final()
			w.put(feed.OrderUpdate{Order: o})
		}
	}
	return w.run(ctx, c.JSON, live.Updates, live.Close, func(u feed.Update) (feed.OrderUpdate, bool) {
		o, ok := u.(feed.OrderUpdate)
		known := opened[o.Number]
		opened[o.Number] = known || !o.State.Final()
		return o, ok && (!c.Open || opened[o.Number])
	})
}

type watchPositionsCmd struct{ watchFlags }

func (watchPositionsCmd) Help() string {
	return `Examples:
  neo watch positions
  neo watch positions --json | jq -r 'select(.net == 0) | .symbol'
` + aboutWatching
}

func (c *watchPositionsCmd) Run(ctx context.Context, t *terminal) error {
	client, saved, err := c.session()
	if err != nil {
		return err
	}
	live, err := feed.Orders(ctx, client, feed.WithKeeper(c.sessions(saved)))
	if err != nil {
		return ofFeed(err)
	}
	w := watch[trade.Position]{
		t: t, what: "Positions of " + saved.UCC, json: typed("position", positionColumns), columns: positionColumns, live: live.Live,
		key: func(p trade.Position) string { return string(p.Segment) + "|" + p.Token + "|" + string(p.Product) },
	}
	prices := livePrices{}
	if w.onScreen(c.JSON) {
		positions, err := trade.New(client).Positions(ctx)
		if err != nil {
			return errors.Join(err, live.Close())
		}
		prices.open(ctx, client, c.sessions(saved))
		defer prices.close()
		w.columns = prices.columns()
		for _, p := range positions {
			prices.follow(p)
			w.put(p)
		}
	}
	return w.run(ctx, c.JSON, live.Updates, live.Close, func(u feed.Update) (trade.Position, bool) {
		p, ok := u.(feed.PositionUpdate)
		if ok {
			prices.follow(p.Position)
		}
		return p.Position, ok
	})
}

// livePrices are the prices of what is held, where the session has a market feed: what a
// position is worth moves without a fill.
type livePrices struct{ market *feed.MarketFeed }

// open opens the market feed. Without one, prices are those of the reports.
func (l *livePrices) open(ctx context.Context, client *neoapi.Client, sessions neoapi.SessionSource) {
	if market, err := feed.Market(ctx, client, feed.WithKeeper(sessions)); err == nil {
		l.market = market
	}
}

func (l *livePrices) close() {
	if l.market != nil {
		_ = l.market.Close() // it is read no more
	}
}

// follow subscribes what is held.
func (l *livePrices) follow(p trade.Position) {
	if l.market != nil {
		_ = l.market.Subscribe(feed.Mini, p.Instrument) // without it the price is that of the report
	}
}

// of returns a position with its last price.
func (l *livePrices) of(p trade.Position) trade.Position {
	if l.market == nil {
		return p
	}
	if q, ok := l.market.Quote(p.Instrument); ok && q.Last.Known() {
		p.Last = q.Last
	}
	return p
}

// columns are those of positions, with these prices.
func (l *livePrices) columns() []column[trade.Position] {
	all := slices.Clone(positionColumns)
	for i, c := range all {
		all[i].value = func(p trade.Position) string { return c.value(l.of(p)) }
	}
	return all
}

type watchQuotesCmd struct {
	Symbols []string `arg:"" placeholder:"SYMBOL" help:"Trading symbols, such as TCS-EQ; BSE:TCS or nse_cm|11536 name the segment too."`
	Depth   bool     `help:"Show five bids and offers."`
	segmentFlags
	watchFlags
}

func (watchQuotesCmd) Help() string {
	return `Examples:
  neo watch quotes TCS-EQ RELIANCE-EQ
  neo watch quotes TCS-EQ --depth
  neo watch quotes TCS-EQ | jq -r 'select(.type == "quote") | .last'

It needs a session of neo login --ucc UCC, by TOTP and MPIN: others have no market feed.
` + aboutWatching
}

func (c *watchQuotesCmd) Run(ctx context.Context, t *terminal) error {
	client, saved, err := c.session()
	if err != nil {
		return err
	}
	var all []trade.Instrument
	for _, name := range c.Symbols {
		i, err := c.instrument(ctx, trade.New(client), name)
		if err != nil {
			return err
		}
		all = append(all, i)
	}
	subscribe := feed.Quotes
	if c.Depth {
		subscribe = feed.Depths
	}
	live, err := feed.Market(ctx, client, subscribe(all...), feed.WithKeeper(c.sessions(saved)))
	if err != nil {
		return ofFeed(err)
	}
	w := watch[feed.Quote]{
		t: t, what: "Quotes", json: quoteUpdateColumns(c.Depth), columns: quoteColumns,
		key: func(q feed.Quote) string { return string(q.Instrument.Segment) + "|" + q.Instrument.Token },
		// What was known before a break is gone.
		forget: func(q feed.Quote) feed.Quote { return feed.Quote{Instrument: q.Instrument} },
	}
	if c.Depth {
		w.lines = depthLines
	}
	for _, i := range all {
		w.put(feed.Quote{Instrument: i})
	}
	return w.run(ctx, c.JSON, live.Updates, live.Close, func(u feed.Update) (feed.Quote, bool) {
		q, ok := u.(feed.Quote)
		return q, ok
	})
}

// ofFeed says of a feed's error what to do at a shell, and makes it exit as it should.
func ofFeed(err error) error {
	var broken *feed.ConnectionError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, feed.ErrSessionEnded):
		return sessionEnded("watch")
	case errors.Is(err, feed.ErrNoFeed):
		return usage(errors.New("this session has no market feed: log in with neo login --ucc UCC, by TOTP and MPIN"))
	case errors.Is(err, feed.ErrTooMany):
		return usage(err)
	case errors.As(err, &broken):
		return laterError{err}
	}
	return err
}

// sessions returns the sessions of the file, one after the other, as others save them.
func (f *tradeFlags) sessions(saved savedLogin) *savedSessions {
	return &savedSessions{file: f.Session, first: saved}
}

// savedSessions are the sessions of one account in the session file: when one has ended
// there may be another one, of neo login or of a program that keeps itself logged in.
type savedSessions struct {
	file  fileFlag
	first savedLogin

	mu    sync.Mutex
	ended string // the sid of the last one that has ended
}

// A program that keeps itself logged in learns of a session's end when neo watch does, and
// saves another one a moment later: so long, and so often, its file is looked at again.
const (
	otherSessionWithin = 2 * time.Second
	lookAgain          = 50 * time.Millisecond
)

// Session implements [neoapi.SessionSource]. It waits a moment for another session if
// the one that is saved has ended.
func (s *savedSessions) Session(ctx context.Context) (neoapi.Session, error) {
	within := time.After(otherSessionWithin)
	for {
		session, err := s.saved()
		if !errors.Is(err, neoapi.ErrSessionEnded) {
			return session, err
		}
		select {
		case <-time.After(lookAgain):
		case <-within:
			return session, err
		case <-ctx.Done():
			return session, err
		}
	}
}

// saved returns the session that is in the file now.
func (s *savedSessions) saved() (neoapi.Session, error) {
	saved, _, err := s.file.load()
	var none noSession
	switch {
	case errors.As(err, &none): // after neo logout
		return neoapi.Session{}, sessionEnded("watch")
	case err != nil:
		return neoapi.Session{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended(saved.Session) || saved.SID == s.ended || saved.UCC != s.first.UCC || !sameService(saved.Environment, s.first.Environment) {
		return neoapi.Session{}, sessionEnded("watch")
	}
	return saved.Session, nil
}

// Ended implements [neoapi.SessionSource].
func (s *savedSessions) Ended(session neoapi.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = session.SID
}

// A watch shows things as they change: as a table that is drawn again and again, or as
// lines.
type watch[T any] struct {
	t           *terminal
	what        string
	json        []column[T]
	columns     []column[T] // of the table
	key         func(T) string
	newestFirst bool
	live        func() bool // reports whether the feed is connected; nil: it is once something has come
	forget      func(T) T   // what is left of a thing when the connection is lost; nil: all
	lines       func(t *terminal, things []T, widths []int, room int) ([]string, []int)

	things []T
	at     map[string]int
	came   bool       // something has come
	lost   *feed.Lost // there is no connection
	note   string     // what else is to be said
	widths []int      // of the columns, so that they do not jump
}

// put adds a thing to the table, or replaces it.
func (w *watch[T]) put(thing T) {
	if w.at == nil {
		w.at = map[string]int{}
	}
	i, known := w.at[w.key(thing)]
	if !known {
		i = len(w.things)
		w.at[w.key(thing)] = i
		w.things = append(w.things, thing)
	}
	w.things[i] = thing
}

// onScreen reports whether a table is drawn again and again: on a terminal that can move
// its cursor.
func (w *watch[T]) onScreen(asJSON bool) bool { return !asJSON && w.t.onTerminal() }

// run shows what a feed tells until it ends, or the context.
func (w *watch[T]) run(ctx context.Context, asJSON bool, updates func(context.Context) iter.Seq2[feed.Update, error], end func() error, thing func(feed.Update) (T, bool)) error {
	shown := func(u feed.Update) (err error) {
		if x, ok := thing(u); ok {
			return object(w.t, w.json, x)
		}
		if x := eventOf(u); x != nil {
			return w.t.json(x)
		}
		return nil
	}
	switch f, _ := under(w.t.out).(*os.File); {
	case w.onScreen(asJSON):
		return errors.Join(w.screen(ctx, updates, thing), ofFeed(end()))
	case !asJSON && f != nil && term.IsTerminal(int(f.Fd())): // one that cannot: a line for each
		shown = func(u feed.Update) error {
			if x, ok := thing(u); ok {
				rows, _ := cells(w.columns, []T{x})
				return line(w.t.out, rows[1])
			}
			w.tell(u)
			return line(w.t.out, []string{w.state()})
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	gone := unread(ctx, w.t.out)
	for u, err := range updates(gone) {
		if err == nil {
			err = shown(u)
		}
		switch {
		case ctx.Err() != nil: // Ctrl-C
			return ofFeed(end())
		case gone.Err() != nil:
			return errors.Join(ofFeed(end()), context.Cause(gone))
		case err != nil:
			return errors.Join(ofFeed(err), end())
		}
	}
	return ofFeed(end())
}

func line(out io.Writer, cells []string) error {
	text := ""
	for i, cell := range cells {
		if i > 0 {
			text += "  "
		}
		text += cell
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// tell remembers what a feed says of itself.
func (w *watch[T]) tell(u feed.Update) {
	switch u := u.(type) {
	case feed.Lost:
		w.lost = &u
		if w.forget != nil {
			for i := range w.things {
				w.things[i] = w.forget(w.things[i])
			}
		}
	case feed.Gap:
		w.lost = nil
		w.note = "nothing is known from " + wall(u.From) + " to " + wall(u.To)
		if w.forget == nil {
			w.note = "lost from " + wall(u.From) + " to " + wall(u.To) + "; what changed meanwhile is here"
		}
	case feed.Missing:
		w.note = "nothing comes of"
		for _, i := range u.Instruments {
			w.note += " " + printable(i.Symbol)
		}
	}
}

// state is what the first line says of the connection.
func (w *watch[T]) state() string {
	if w.lost != nil {
		why := ""
		if w.lost.Err != nil {
			why = ": " + printable(inFlags(w.lost.Err))
		}
		return "no connection since " + wall(w.lost.At) + why
	}
	if !w.connected() {
		return "connecting"
	}
	if w.note != "" {
		return "live; " + w.note
	}
	return "live"
}

// connected reports whether what is shown is up to date, as far as is known.
func (w *watch[T]) connected() bool {
	if w.live != nil {
		return w.live()
	}
	return w.came
}

// wall is a time of day in India.
func wall(at time.Time) string { return at.In(trade.IST).Format(time.TimeOnly) }

package trade

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Result is what became of one order of several.
type Result struct {
	Order  Order  // as it is now; its Number is "" if nothing was placed or cancelled
	Ticket Ticket // what was sent or, in a dry run, would be; the zero Ticket for a cancel
	Err    error
}

// String describes the result in one line.
func (r Result) String() string {
	line := r.Ticket.String()
	switch {
	case r.Ticket.instrument.Symbol == "":
		line = "cancel " + r.Order.Number + " (" + r.Order.short() + ")"
	case r.Order.Number != "":
		line += ": order " + r.Order.Number + ", " + r.Order.short()
	}
	if r.Err != nil {
		line += ": " + r.Err.Error()
	}
	return line
}

// An Only says what [Client.CancelAll] and [Client.SquareOff] are about.
type Only func(*selection)

type selection struct {
	all, intraday, dry bool
	instruments        []Instrument
	products           []Product
	prefix             string
	within             time.Duration
}

// All selects everything of the account, also what other programs and people have there.
var All Only = func(s *selection) { s.all = true }

// Intraday selects positions and orders that do not outlast the day: those under MIS.
var Intraday Only = func(s *selection) { s.intraday = true }

// DryRun sends nothing: the results are the orders that would be cancelled and placed. It
// selects nothing.
var DryRun Only = func(s *selection) { s.dry = true }

// In selects an instrument. Several of them select each.
func In(i Instrument) Only {
	return func(s *selection) { s.instruments = append(s.instruments, i) }
}

// OfProduct selects a product. Several of them select each.
func OfProduct(p Product) Only {
	return func(s *selection) { s.products = append(s.products, p) }
}

// Tagged selects the orders whose label begins with prefix and, of a position, as much as
// the trades of those orders made today.
func Tagged(prefix string) Only { return func(s *selection) { s.prefix = prefix } }

// Within sets how long to wait until everything has ended, in place of ten seconds.
func Within(d time.Duration) Only { return func(s *selection) { s.within = d } }

// ErrStillOpen is the error of a [Result] whose order has not ended in time. The order
// rests: its number and price are in the Order.
var ErrStillOpen = errors.New("the order is still open")

// ErrNothingSelected is what CancelAll and SquareOff return if nothing says what they are
// about.
var ErrNothingSelected = errors.New("nothing was sent: say which orders or positions, or that it is All of them")

func selecting(only []Only) (*selection, error) {
	s := &selection{within: 10 * time.Second}
	for _, o := range only {
		o(s)
	}
	if !s.all && !s.intraday && s.prefix == "" && len(s.instruments) == 0 && len(s.products) == 0 {
		return nil, errorf("%w", ErrNothingSelected)
	}
	return s, nil
}

// picks reports whether an instrument under a product is selected.
func (s *selection) picks(segment Segment, token, symbol string, product Product) bool {
	if s.intraday && product != MIS {
		return false
	}
	if len(s.products) > 0 && !slices.Contains(s.products, product) {
		return false
	}
	return len(s.instruments) == 0 || s.names(segment, token, symbol)
}

// names reports whether an instrument is selected by name.
func (s *selection) names(segment Segment, token, symbol string) bool {
	return slices.ContainsFunc(s.instruments, func(i Instrument) bool { return same(i.Segment, i.Token, i.Symbol, segment, token, symbol) })
}

// same reports whether two instruments are the same, by their tokens where both have one.
func same(segment Segment, token, symbol string, segment2 Segment, token2, symbol2 string) bool {
	if segment != segment2 {
		return false
	}
	if token != "" && token2 != "" {
		return token == token2
	}
	return symbol == symbol2
}

// chosen returns the orders of today that are selected, the oldest first.
func (t *Client) chosen(ctx context.Context, s *selection) ([]Order, error) {
	book, err := t.labelled(ctx, s.prefix)
	return slices.DeleteFunc(book, func(o Order) bool { return !s.picks(o.Segment, o.Token, o.Symbol, o.Product) }), err
}

// CancelAll cancels the open orders that are selected, and waits until each has ended.
// There is one result an order, and the error joins those of the results. What has filled
// meanwhile is no error. Without a selection nothing is sent: see [All].
func (t *Client) CancelAll(ctx context.Context, only ...Only) ([]Result, error) {
	s, err := selecting(only)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	orders, err := t.chosen(ctx, s)
	if err != nil {
		return nil, err
	}
	results := t.cancelled(ctx, orders, s.dry)
	return results, joined(results)
}

// cancelled cancels those of the orders that are open, all at once, and waits for their
// end.
func (t *Client) cancelled(ctx context.Context, orders []Order, dry bool) []Result {
	orders = slices.DeleteFunc(slices.Clone(orders), func(o Order) bool { return o.State.Final() })
	results := make([]Result, len(orders))
	var all sync.WaitGroup
	for i, o := range orders {
		if results[i].Order = o; dry {
			continue
		}
		all.Go(func() { results[i] = t.cancelSurely(ctx, o) })
	}
	all.Wait()
	return results
}

// cancelSurely cancels an order, again if the exchange could not do it while something
// else was under way, until it has ended.
func (t *Client) cancelSurely(ctx context.Context, o Order) Result {
	for n := 0; ; n++ {
		now, err := t.Cancel(ctx, o)
		switch {
		case now.State.Final():
			return Result{Order: now}
		case errors.Is(err, ErrAddress) || hopeless(err) || ctx.Err() != nil:
			return Result{Order: now, Err: stillOpen(now, err)}
		}
		o = now
		if t.pause(ctx, asks[min(n, len(asks)-1)]) != nil {
			return Result{Order: now, Err: stillOpen(now, err)}
		}
	}
}

func stillOpen(o Order, why error) error {
	if why == nil {
		return errorf("order %s is %s: %w", o.Number, o.short(), ErrStillOpen)
	}
	return errorf("order %s is %s: %w: %w", o.Number, o.short(), ErrStillOpen, why)
}

func joined(results []Result) error {
	var all []error
	for _, r := range results {
		all = append(all, r.Err)
	}
	return errors.Join(all...)
}

// SquareOff closes the positions that are selected. It first cancels the orders that are
// selected and rest, also where nothing is held, waits until they have ended, reads the
// positions again, and then sends market orders of each position's own product for what is
// left: so no order fills afterwards that would reverse a position, or open one. It waits
// until those have ended, ten seconds in all unless [Within] says otherwise.
//
// There is one result an order: those that were cancelled, then those that close. A market
// order may rest (see [Ticket.Market]): the result of one that has not ended in time is an
// [ErrStillOpen], and its position is not closed. With [Tagged], only orders of the label
// are cancelled, and at most as much is closed as their trades made today. Shares that
// were sold from holdings under CNC are not bought back unless [In] names them. The error
// joins those of the results. Without a selection nothing is sent: see [All].
//
// Calls of one Client run one after the other. Two programs must not square off one account
// at once: each would close what the other one closes, which reverses the position.
func (t *Client) SquareOff(ctx context.Context, only ...Only) ([]Result, error) {
	s, err := selecting(only)
	if err != nil {
		return nil, err
	}
	if bad := s.label().check(); bad != nil {
		return nil, bad
	}
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	select {
	case t.squaring <- struct{}{}:
		defer func() { <-t.squaring }()
	case <-ctx.Done():
		return nil, errorf("nothing was sent, because another SquareOff is under way: %w", ctx.Err())
	}
	open, orders, err := t.exposed(ctx, s)
	if err != nil {
		return nil, err
	}
	results := t.cancelled(ctx, orders, s.dry)
	stuck := map[string]bool{}
	for _, r := range results {
		if !r.Order.State.Final() {
			stuck[string(r.Order.Segment)+r.Order.Symbol+string(r.Order.Product)] = true
		}
	}
	if len(results) > 0 && !s.dry {
		if open, _, err = t.exposed(ctx, s); err != nil {
			return results, errors.Join(err, joined(results))
		}
	}
	var closing []Ticket
	for _, p := range open {
		if stuck[string(p.Segment)+p.Symbol+string(p.Product)] && !s.dry {
			continue // what rests could fill and reverse it
		}
		closing = append(closing, t.closing(ctx, p, s.label())...)
	}
	results = append(results, t.sent(ctx, closing, s.dry)...)
	return results, joined(results)
}

// label returns the label of the orders that close positions: the next run has to find
// those of a prefix.
func (s *selection) label() Tag {
	if s.prefix == "" {
		return Label("squareoff")
	}
	return Label(strings.TrimSuffix(s.prefix, "-"))
}

func (p *Position) is(o Order) bool {
	return same(p.Segment, p.Token, p.Symbol, o.Segment, o.Token, o.Symbol)
}

// exposed returns the positions that are selected and not flat, with the quantity that is
// to be closed as their only one, and the orders that are selected.
func (t *Client) exposed(ctx context.Context, s *selection) ([]Position, []Order, error) {
	orders, err := t.chosen(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	positions, err := t.Positions(ctx)
	if err != nil {
		return nil, nil, err
	}
	var made func(*Position) int64
	if s.prefix != "" {
		trades, err := t.Trades(ctx)
		if err != nil {
			return nil, nil, err
		}
		for i := range trades {
			if f := &trades[i]; f.OrderNumber == "" || f.Quantity <= 0 || f.Side != SideBuy && f.Side != SideSell {
				return nil, nil, errorf("nothing was sent, because a trade of order %s cannot be read: side %q, quantity %d", clip(f.OrderNumber), clip(string(f.Side)), f.Quantity)
			}
		}
		made = func(p *Position) int64 { return madeBy(orders, trades, p) }
	}
	var open []Position
	for _, p := range positions {
		if missesAny(p.Unread, "cfBuyQty", "cfSellQty", "flBuyQty", "flSellQty", "prod", "exSeg", "tok", "trdSym") {
			return nil, nil, errorf("nothing was sent, because the position in %s cannot be read: %s", p.Symbol, p.Unread)
		}
		if p.Net != 0 && slices.ContainsFunc(open, func(o Position) bool {
			return o.Product == p.Product && same(o.Segment, o.Token, o.Symbol, p.Segment, p.Token, p.Symbol)
		}) {
			return nil, nil, errorf("nothing was sent, because the service reports the position in %s under %s twice", p.Symbol, p.Product)
		}
		net := p.Net
		fromHoldings := p.Product == CNC && p.Segment.Cash() && net < 0
		if net == 0 || !s.picks(p.Segment, p.Token, p.Symbol, p.Product) || fromHoldings && !s.names(p.Segment, p.Token, p.Symbol) {
			continue
		}
		if made != nil {
			if net = within(net, made(&p)); net == 0 {
				continue
			}
		}
		p.Net = net
		open = append(open, p)
	}
	return open, orders, nil
}

// within returns as much of own as is in the same direction as net and not more.
func within(net, own int64) int64 {
	if net > 0 {
		return max(0, min(net, own))
	}
	return min(0, max(net, own))
}

// madeBy returns the net quantity that the trades of orders made in a position.
func madeBy(orders []Order, trades []Trade, p *Position) (net int64) {
	mine := map[string]bool{}
	for _, o := range orders {
		mine[o.Number] = o.Product == p.Product && p.is(o)
	}
	for _, f := range trades {
		switch {
		case !mine[f.OrderNumber]:
		case f.Side == SideSell:
			net -= f.Quantity
		default:
			net += f.Quantity
		}
	}
	return net
}

// closing returns the orders that close a position.
func (t *Client) closing(ctx context.Context, p Position, tag Tag) []Ticket {
	i := p.Instrument
	i.Lot = 1
	if master, err := t.Instruments(ctx, p.Segment); err == nil { // which has the freeze quantity
		if listed, err := master.Token(p.Segment, p.Token); err == nil {
			i.Freeze, i.Lot = listed.Freeze, listed.Lot
		}
	}
	order := Sell(i, p.Net)
	if p.Net < 0 {
		order = Buy(i, -p.Net)
	}
	order.closes = true
	return Slice(order.Market().Product(p.Product).Tag(tag))
}

// sent places orders, all at once, and waits for their end.
func (t *Client) sent(ctx context.Context, orders []Ticket, dry bool) []Result {
	results := make([]Result, len(orders))
	var all sync.WaitGroup
	for i, order := range orders {
		if results[i].Ticket = order; dry {
			results[i].Err = t.Check(ctx, order)
			continue
		}
		all.Go(func() { results[i].Order, results[i].Err = t.complete(ctx, order) })
	}
	all.Wait()
	return results
}

// complete places an order and waits until it is complete.
func (t *Client) complete(ctx context.Context, order Ticket) (Order, error) {
	placed, err := t.Place(ctx, order)
	if bad, ok := errors.AsType[*Invalid](err); ok && placed.Number != "" && (bad.Field == "price" || bad.Field == "trigger") {
		err = nil // a program that started again computes its prices anew, and the leg is there
	}
	if err != nil {
		return placed, err
	}
	now, err := t.Await(ctx, placed, Complete)
	if err != nil && !now.State.Final() {
		err = stillOpen(now, err)
	}
	return now, err
}

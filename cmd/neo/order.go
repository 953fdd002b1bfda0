package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi/trade"
)

type orderCmd struct {
	Place   orderPlaceCmd   `cmd:"" help:"Place an order."`
	Modify  orderModifyCmd  `cmd:"" help:"Change an open order."`
	Cancel  orderCancelCmd  `cmd:"" help:"Cancel open orders."`
	Show    orderShowCmd    `cmd:"" help:"Show one order."`
	List    orderListCmd    `cmd:"" help:"List the day's orders."`
	History orderHistoryCmd `cmd:"" help:"Show the states that an order went through."`
}

// sendFlags are those of commands that send something to the exchange.
type sendFlags struct {
	DryRun bool `help:"Check the order and show it, and send nothing."`
	Yes    bool `short:"y" help:"Do not ask before it is sent to a service where money is at stake."`
	JSON   bool `name:"json" help:"Print JSON, with times in UTC."`
	tradeFlags
}

// ticketFlags say what an order is, to place it or to ask for its margin.
type ticketFlags struct {
	Side     sideFlag   `arg:"" help:"buy or sell."`
	Quantity count      `arg:"" help:"Quantity in units, a multiple of the lot."`
	Symbol   string     `arg:"" help:"Trading symbol, such as TCS-EQ; BSE:TCS or nse_cm|11536 name the segment too."`
	Limit    rupeesFlag `placeholder:"PRICE" help:"A limit order at this price; with --stop, the price after the trigger."`
	Stop     rupeesFlag `placeholder:"TRIGGER" help:"A stop order with this trigger; needs --limit."`
	Product  string     `required:"" placeholder:"CNC|MIS|NRML|MTF" help:"How the position is carried: CNC delivery, MIS intraday, NRML derivatives, MTF margin trading."`
	segmentFlags
}

// ticket returns the order; without a price it is a market order.
func (c *ticketFlags) ticket(ctx context.Context, client *trade.Client) (trade.Ticket, trade.Instrument, error) {
	if c.Stop.Known() && !c.Limit.Known() {
		return trade.Ticket{}, trade.Instrument{}, usage(errors.New("--stop needs --limit PRICE: the service rejects stop orders without one"))
	}
	i, err := c.instrument(ctx, client, c.Symbol)
	if err != nil {
		return trade.Ticket{}, i, err
	}
	ticket := trade.Buy(i, int64(c.Quantity))
	if c.Side.Side == trade.SideSell {
		ticket = trade.Sell(i, int64(c.Quantity))
	}
	switch {
	case c.Stop.Known():
		ticket = ticket.Stop(c.Stop.Rupees, c.Limit.Rupees)
	case c.Limit.Known():
		ticket = ticket.Limit(c.Limit.Rupees)
	default:
		ticket = ticket.Market()
	}
	return ticket.Product(c.product()), i, nil
}

func (c *ticketFlags) product() trade.Product { return trade.Product(strings.ToUpper(c.Product)) }

type orderPlaceCmd struct {
	ticketFlags
	Market     bool          `help:"A market order, which the service sends as a limit order near the last price."`
	Validity   string        `default:"DAY" placeholder:"DAY|IOC" help:"DAY, the default, or IOC: what does not fill at once is cancelled."`
	Disclosed  count         `placeholder:"N" help:"Show the market only this much at a time."`
	Protection count         `placeholder:"PERCENT" help:"Protection of a market order; by default the service's own table."`
	After      bool          `name:"after-market" help:"An order for the next trading day, sent outside of hours."`
	Once       string        `placeholder:"LABEL" help:"Place it only if no order with this label was placed today."`
	Wait       time.Duration `placeholder:"10s" help:"Wait until it is complete or can never be. Still open after that time: exit code 4."`
	sendFlags
}

func (orderPlaceCmd) Help() string {
	return `Examples:
  neo order place buy 10 TCS-EQ --limit 3500.10 --product CNC --dry-run
  neo order place buy 10 TCS-EQ --market --product MIS --wait 10s
  neo order place sell 65 NIFTY26DEC24500PE --stop 102.50 --limit 102 --product NRML
  neo order place buy 10 TCS-EQ --limit 3500 --product CNC --once morning-leg

The order is checked against today's scrip master first: lot, tick, freeze quantity and
price band. It is sent once. If the answer is lost, neo looks for the order and says
what became of it; exit code 4 means that it could not find out. An order that the
risk check refuses at once ends with 3. A stop whose trigger has been reached already
is sent, after a warning.`
}

func (c *orderPlaceCmd) ticket(ctx context.Context, client *trade.Client) (trade.Ticket, trade.Instrument, error) {
	if c.Market == c.Limit.Known() || c.Market && c.Stop.Known() {
		return trade.Ticket{}, trade.Instrument{}, usage(errors.New("give --limit PRICE, or --market, or --stop TRIGGER with --limit PRICE"))
	}
	ticket, i, err := c.ticketFlags.ticket(ctx, client)
	ticket = ticket.Validity(c.validity()).Disclosed(int64(c.Disclosed)).Protection(int64(c.Protection))
	if c.After {
		ticket = ticket.AfterMarket()
	}
	if c.Once != "" {
		ticket = ticket.Tag(trade.DayTag(c.Once))
	}
	return ticket, i, err
}

func (c *orderPlaceCmd) validity() trade.Validity {
	return trade.Validity(strings.ToUpper(c.Validity))
}

// unsent is the order as a report would have it, had it been placed.
func (c *orderPlaceCmd) unsent(i trade.Instrument) trade.Order {
	o := trade.Order{
		Side: c.Side.Side, Symbol: i.Symbol, Segment: i.Segment, Product: c.product(), PriceType: trade.Market, Validity: c.validity(),
		Quantity: int64(c.Quantity), Price: c.Limit.Rupees, Trigger: c.Stop.Rupees, DisclosedQty: int64(c.Disclosed), Tag: c.Once,
	}
	if c.Stop.Known() {
		o.PriceType = trade.StopLimit
	} else if c.Limit.Known() {
		o.PriceType = trade.Limit
	}
	return o
}

func (c *orderPlaceCmd) Run(ctx context.Context, t *terminal) error {
	client, saved, err := c.client()
	if err != nil {
		return err
	}
	ticket, i, err := c.ticket(ctx, client)
	if err != nil {
		return err
	}
	if err := client.Check(ctx, ticket); err != nil {
		return usage(err)
	}
	if c.Stop.Known() {
		t.warnOfStop(ctx, client, c.JSON, ticket, i)
	}
	if c.DryRun {
		return showUnsent(t, c.JSON, c.unsent(i), fmt.Sprintf("send to %s: %s", i.Segment, ticket))
	}
	if err := t.consent(ctx, saved.Environment, fmt.Sprintf("%s (%s)", ticket, i.Segment), c.Yes); err != nil {
		return err
	}
	if c.Once != "" {
		return c.once(ctx, t, client, ticket)
	}
	order, err := client.Place(ctx, ticket)
	if err != nil {
		return err
	}
	return c.follow(ctx, t, client, order, orderColumns)
}

// once places an order if none of its label was, and says whether it was there already.
func (c *orderPlaceCmd) once(ctx context.Context, t *terminal, client *trade.Client, ticket trade.Ticket) error {
	before, err := client.Orders(ctx)
	if err != nil {
		return err
	}
	order, err := client.PlaceOnce(ctx, ticket)
	if err != nil {
		return err
	}
	already := slices.ContainsFunc(before, func(o trade.Order) bool { return o.Number == order.Number })
	if already {
		t.warn(c.JSON, fmt.Sprintf("an order with the label %s was there already, and nothing was placed", c.Once))
	}
	return c.follow(ctx, t, client, order, with(orderColumns, "already", already))
}

// look is how long a look beside the order may take: at the last price before it is
// placed, and at the order afterwards, because the risk check refuses at once.
const look = 2 * time.Second

// follow shows what becomes of an order that was placed.
func (c *orderPlaceCmd) follow(ctx context.Context, t *terminal, client *trade.Client, order trade.Order, columns []column[trade.Order]) error {
	within, states := look, []trade.State{trade.Complete, trade.Open, trade.TriggerPending, trade.AfterMarket}
	if c.Wait > 0 {
		within, states = c.Wait, states[:1]
	}
	soon, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	newest, err := client.Await(soon, order, states...)
	if newest.Number != "" {
		order = newest
	}
	rejected := errors.Is(err, trade.ErrRejected)
	switch {
	case ctx.Err() != nil, err == nil, rejected:
	case c.Wait == 0: // it was placed, which is what was asked for
		err = nil
	case errors.Is(err, context.DeadlineExceeded):
		err = laterError{fmt.Errorf("order %s is still open after %s", order.Number, c.Wait)}
	}
	if rejected && !c.JSON { // the error says it all
		return err
	}
	return errors.Join(showOrder(t, c.JSON, columns, order), err)
}

// warnOfStop warns of a stop order that would fire at once. It is not needed to place
// the order: without a price nothing is said.
func (t *terminal) warnOfStop(ctx context.Context, client *trade.Client, asJSON bool, ticket trade.Ticket, i trade.Instrument) {
	soon, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	quote, err := client.Quote(soon, i)
	if err == nil && ticket.FiresAt(quote.Last) {
		t.warn(asJSON, "this stop fires at once: its trigger has been reached at the last price, "+grouped(quote.Last.String()))
	}
}

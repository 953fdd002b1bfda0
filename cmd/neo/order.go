package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	JSON   bool `name:"json" help:"Print JSON."`
	tradeFlags
}

type orderPlaceCmd struct {
	Side       string        `arg:"" enum:"buy,sell" help:"buy or sell."`
	Quantity   int64         `arg:"" help:"Quantity in units, a multiple of the lot."`
	Symbol     string        `arg:"" help:"Trading symbol, such as TCS-EQ; BSE:TCS or nse_cm|11536 name the segment too."`
	Limit      rupeesFlag    `placeholder:"PRICE" help:"A limit order at this price; with --stop, the price after the trigger."`
	Market     bool          `help:"A market order, which the service sends as a limit order near the last price."`
	Stop       rupeesFlag    `placeholder:"TRIGGER" help:"A stop order with this trigger; needs --limit."`
	Product    string        `required:"" placeholder:"CNC|MIS|NRML|MTF" help:"How the position is carried: CNC delivery, MIS intraday, NRML derivatives, MTF margin trading."`
	Validity   string        `default:"DAY" enum:"DAY,IOC" help:"DAY or IOC."`
	Segment    segmentFlag   `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"The segment; by default the first that has the symbol, in this order: NSE, NFO, BSE, BFO, MCX, CDS."`
	Disclosed  int64         `placeholder:"N" help:"Show the market only this much at a time."`
	Protection int64         `placeholder:"PERCENT" help:"Protection of a market order; by default the service's own table."`
	After      bool          `name:"after-market" help:"An order for the next trading day, sent outside of hours."`
	Once       string        `placeholder:"LABEL" help:"Place it only if no order with this label was placed today."`
	Wait       time.Duration `placeholder:"10s" help:"Wait until it is complete or can never be."`
	sendFlags
}

func (orderPlaceCmd) Help() string {
	return `Examples:
  neo order place buy 10 TCS-EQ --limit 3500.05 --product CNC --dry-run
  neo order place buy 10 TCS-EQ --market --product MIS --wait 10s
  neo order place sell 65 NIFTY26DEC24500PE --stop 102.50 --limit 102 --product NRML
  neo order place buy 10 TCS-EQ --limit 3500 --product CNC --once morning-leg

The order is checked against today's scrip master first: lot, tick, freeze quantity and
price band. It is sent once. If the answer is lost, neo looks for the order and says
what became of it; exit code 4 means that it could not find out.`
}

func (c *orderPlaceCmd) ticket(ctx context.Context, client *trade.Client) (trade.Ticket, error) {
	if c.Market == c.Limit.Known() {
		return trade.Ticket{}, usage(errors.New("give --limit PRICE, or --market, or --stop TRIGGER with --limit PRICE"))
	}
	if c.Market && c.Stop.Known() {
		return trade.Ticket{}, usage(errors.New("--stop needs --limit PRICE: the service rejects stop orders without one"))
	}
	i, err := instrument(ctx, client, c.Segment.Segment, c.Symbol)
	if err != nil {
		return trade.Ticket{}, err
	}
	ticket := trade.Buy(i, c.Quantity)
	if c.Side == "sell" {
		ticket = trade.Sell(i, c.Quantity)
	}
	switch {
	case c.Market:
		ticket = ticket.Market()
	case c.Stop.Known():
		ticket = ticket.Stop(c.Stop.Rupees, c.Limit.Rupees)
	default:
		ticket = ticket.Limit(c.Limit.Rupees)
	}
	ticket = ticket.Product(trade.Product(strings.ToUpper(c.Product))).Validity(trade.Validity(c.Validity)).Disclosed(c.Disclosed).Protection(c.Protection)
	if c.After {
		ticket = ticket.AfterMarket()
	}
	if c.Once != "" {
		ticket = ticket.Tag(trade.DayTag(c.Once))
	}
	return ticket, nil
}

func (c *orderPlaceCmd) Run(ctx context.Context, t *terminal) error {
	client, saved, err := c.client()
	if err != nil {
		return err
	}
	ticket, err := c.ticket(ctx, client)
	if err != nil {
		return err
	}
	if err := client.Check(ctx, ticket); err != nil {
		return usage(err)
	}
	if c.DryRun {
		return t.tell(c.JSON, map[string]any{"order": ticket.String(), "sent": false}, "would send: "+ticket.String())
	}
	if err := t.consent(ctx, saved.Environment, ticket.String(), c.Yes); err != nil {
		return err
	}
	place := client.Place
	if c.Once != "" {
		place = client.PlaceOnce
	}
	order, err := place(ctx, ticket)
	if err != nil {
		return err
	}
	return c.wait(ctx, t, client, order)
}

// wait waits for an order if asked to, and prints it.
func (c *orderPlaceCmd) wait(ctx context.Context, t *terminal, client *trade.Client, order trade.Order) error {
	if c.Wait > 0 {
		soon, cancel := context.WithTimeout(ctx, c.Wait)
		defer cancel()
		newest, err := client.Await(soon, order, trade.Complete)
		if newest.Number != "" {
			order = newest
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			if !order.State.Final() { // whoever gives up waiting has an order all the same
				err = errors.Join(showOrder(t, c.JSON, order), err)
			}
			return err
		}
	}
	return showOrder(t, c.JSON, order)
}

type orderModifyCmd struct {
	Number    string     `arg:"" help:"The order's number."`
	Quantity  int64      `placeholder:"N" help:"The new total, the filled part included."`
	Limit     rupeesFlag `placeholder:"PRICE" help:"The new price."`
	Trigger   rupeesFlag `placeholder:"PRICE" help:"The new trigger of a stop order."`
	Market    bool       `help:"Make it a market order."`
	Disclosed int64      `placeholder:"N" help:"Show the market only this much at a time."`
	sendFlags
}

func (orderModifyCmd) Help() string {
	return `Examples:
  neo order modify 261201000000012 --limit 3501.10
  neo order modify 261201000000012 --quantity 20 --dry-run

What is not given stays as it is. The result is the order's state: a change that the
exchange refused leaves the order open, and neo says why.`
}

func (c *orderModifyCmd) Run(ctx context.Context, t *terminal) error {
	change := trade.Change{Quantity: c.Quantity, Price: c.Limit.Rupees, Trigger: c.Trigger.Rupees, Disclosed: c.Disclosed}
	if c.Market {
		change.Type = trade.Market
	}
	if change == (trade.Change{}) {
		return usage(errors.New("say what to change: --quantity, --limit, --trigger, --disclosed or --market"))
	}
	client, saved, err := c.client()
	if err != nil {
		return err
	}
	order, err := client.Order(ctx, c.Number)
	if err != nil {
		return foundOrder(err)
	}
	what := fmt.Sprintf("change order %s (%s): %s", order.Number, sentence(order), changes(change))
	if c.DryRun {
		return t.tell(c.JSON, map[string]any{"change": what, "sent": false}, "would "+what)
	}
	if err := t.consent(ctx, saved.Environment, what, c.Yes); err != nil {
		return err
	}
	if order, err = client.Modify(ctx, order, change); err != nil {
		return err
	}
	return showOrder(t, c.JSON, order)
}

// changes describes a change.
func changes(c trade.Change) string {
	var all []string
	if c.Quantity > 0 {
		all = append(all, fmt.Sprintf("quantity %d", c.Quantity))
	}
	if c.Type == trade.Market {
		all = append(all, "at the market")
	}
	if c.Price.Known() {
		all = append(all, "price "+c.Price.String())
	}
	if c.Trigger.Known() {
		all = append(all, "trigger "+c.Trigger.String())
	}
	if c.Disclosed > 0 {
		all = append(all, fmt.Sprintf("disclosed %d", c.Disclosed))
	}
	return strings.Join(all, ", ")
}

type orderCancelCmd struct {
	Numbers []string `arg:"" optional:"" placeholder:"NUMBER" help:"Numbers of orders."`
	All     bool     `help:"Cancel every open order of the account."`
	sendFlags
}

func (orderCancelCmd) Help() string {
	return `Examples:
  neo order cancel 261201000000012
  neo order cancel --all --dry-run

An order that had filled before its cancel arrived is shown as complete: that is no error.`
}

func (c *orderCancelCmd) Run(ctx context.Context, t *terminal) error {
	if (len(c.Numbers) > 0) == c.All {
		return usage(errors.New("give the numbers of orders, or --all"))
	}
	client, saved, err := c.client()
	if err != nil {
		return err
	}
	var orders []trade.Order
	if c.All {
		all, err := client.Orders(ctx)
		if err != nil {
			return err
		}
		for _, o := range all {
			if !o.State.Final() {
				orders = append(orders, o)
			}
		}
	}
	for _, number := range c.Numbers {
		o, err := client.Order(ctx, number)
		if err != nil {
			return foundOrder(err)
		}
		orders = append(orders, o)
	}
	form := listFlags{JSON: c.JSON}
	if c.DryRun || len(orders) == 0 {
		return list(t, form, orderColumns, orders)
	}
	what := fmt.Sprintf("cancel %d orders", len(orders))
	if len(orders) == 1 {
		what = "cancel order " + orders[0].Number + " (" + sentence(orders[0]) + ")"
	}
	if err := t.consent(ctx, saved.Environment, what, c.Yes); err != nil {
		return err
	}
	var failed []error
	for i, o := range orders {
		now, err := client.Cancel(ctx, o)
		if now.Number != "" {
			orders[i] = now
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("order %s: %w", o.Number, err))
		}
	}
	return errors.Join(list(t, form, orderColumns, orders), errors.Join(failed...))
}

type orderShowCmd struct {
	Number string `arg:"" help:"The order's number."`
	JSON   bool   `name:"json" help:"Print JSON."`
	tradeFlags
}

func (orderShowCmd) Help() string {
	return `Example:
  neo order show 261201000000012`
}

func (c *orderShowCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	order, err := client.Order(ctx, c.Number)
	if err != nil {
		return foundOrder(err)
	}
	return showOrder(t, c.JSON, order)
}

type orderListCmd struct {
	Open bool `help:"Only orders that can still fill."`
	listFlags
	tradeFlags
}

func (orderListCmd) Help() string {
	return `Examples:
  neo order list --open
  neo order list --csv > orders.csv`
}

func (c *orderListCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	orders, err := client.Orders(ctx)
	if err != nil {
		return err
	}
	if c.Open {
		var open []trade.Order
		for _, o := range orders {
			if !o.State.Final() {
				open = append(open, o)
			}
		}
		orders = open
	}
	return list(t, c.listFlags, orderColumns, orders)
}

type orderHistoryCmd struct {
	Number string `arg:"" help:"The order's number."`
	listFlags
	tradeFlags
}

func (orderHistoryCmd) Help() string {
	return `Example:
  neo order history 261201000000012`
}

func (c *orderHistoryCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	rows, err := client.History(ctx, c.Number)
	if err != nil {
		return foundOrder(err)
	}
	return list(t, c.listFlags, orderColumns, rows)
}

// foundOrder makes an order that does not exist wrong use.
func foundOrder(err error) error {
	if errors.Is(err, trade.ErrNotFound) {
		return usage(err)
	}
	return err
}

// showOrder prints one order: a line for people, or an object.
func showOrder(t *terminal, asJSON bool, o trade.Order) error {
	if asJSON {
		return object(t, orderColumns, o)
	}
	line := fmt.Sprintf("%s  %s: %s", o.Number, sentence(o), cmp.Or(string(o.State), "placed"))
	if o.FilledQty > 0 {
		line += fmt.Sprintf(", %d filled", o.FilledQty)
		if o.AvgPrice.Known() {
			line += " at " + grouped(o.AvgPrice.String())
		}
	}
	if o.Reason != "" {
		line += ", " + o.Reason
	}
	return t.tell(false, nil, line)
}

// sentence describes an order: "buy 10 TCS-EQ at 3,500.05, CNC".
func sentence(o trade.Order) string {
	s := fmt.Sprintf("%s %d %s", o.Side, o.Quantity, o.Symbol)
	if o.Trigger.Sign() > 0 {
		s += ", trigger " + grouped(o.Trigger.String())
	}
	if o.PriceType == trade.Market {
		s += " at the market"
	} else if o.Price.Known() {
		s += " at " + grouped(o.Price.String())
	}
	return s + ", " + string(o.Product)
}

var orderColumns = []column[trade.Order]{
	{"time", "TIME", cellTime, func(o trade.Order) string { return clock(o.Updated) }},
	{"number", "ORDER", cellText, func(o trade.Order) string { return o.Number }},
	{"side", "SIDE", cellText, func(o trade.Order) string { return o.Side.String() }},
	{"symbol", "SYMBOL", cellText, func(o trade.Order) string { return o.Symbol }},
	{"segment", "SEGMENT", cellDetail, func(o trade.Order) string { return string(o.Segment) }},
	{"product", "PRODUCT", cellDetail, func(o trade.Order) string { return string(o.Product) }},
	{"type", "TYPE", cellDetail, func(o trade.Order) string { return string(o.PriceType) }},
	{"quantity", "QTY", cellCount, func(o trade.Order) string { return number(o.Quantity) }},
	{"filled", "FILLED", cellCount, func(o trade.Order) string { return number(o.FilledQty) }},
	{"price", "PRICE", cellMoney, func(o trade.Order) string { return price(o.Price) }},
	{"trigger", "TRIGGER", cellMoney, func(o trade.Order) string { return price(o.Trigger) }},
	{"average", "AVERAGE", cellMoney, func(o trade.Order) string { return rupees(o.AvgPrice) }},
	{"state", "STATE", cellText, func(o trade.Order) string { return string(o.State) }},
	{"tag", "TAG", cellDetail, func(o trade.Order) string { return o.Tag }},
	{"reason", "REASON", cellText, func(o trade.Order) string { return o.Reason }},
}

// clock is a time of today's trading as a value of a column.
func clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.In(trade.IST).Format(time.RFC3339)
}

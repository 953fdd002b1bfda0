package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi/trade"
)

type orderShowCmd struct {
	Number string `arg:"" help:"The order's number."`
	JSON   bool   `name:"json" help:"Print JSON, with times in UTC."`
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
		return foundOrder(c.Number, err)
	}
	orders := []trade.Order{order}
	label(ctx, client, orders)
	return showOrder(t, c.JSON, orderColumns, orders[0])
}

type orderListCmd struct {
	Open bool `help:"Only orders that can still fill."`
	listFlags
	tradeFlags
}

func (orderListCmd) Help() string {
	return `Examples:
  neo order list --open
  neo order list --csv > orders.csv

A narrow terminal has no room for all columns: --json and --csv have them. Segments are
nse_cm (NSE), bse_cm (BSE), nse_fo (NFO), bse_fo (BFO), mcx_fo (MCX) and cde_fo (CDS).`
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
		orders = open(orders)
	}
	label(ctx, client, orders)
	return list(t, c.listFlags, orderColumns, orders)
}

// open returns the orders that can still fill.
func open(orders []trade.Order) []trade.Order {
	return slices.DeleteFunc(orders, func(o trade.Order) bool { return o.State.Final() })
}

// label gives open orders the tags that they were placed with, where the service has
// replaced them after a change: the history has them. Without it they stay as they are.
func label(ctx context.Context, client *trade.Client, orders []trade.Order) {
	for i, o := range orders {
		if len(o.Tag) <= longestTag || o.State.Final() {
			continue
		}
		if rows, err := client.History(ctx, o.Number); err == nil && len(rows) > 0 {
			orders[i].Tag = rows[0].Tag
		}
	}
}

// longestTag is the longest that the service takes; what it puts in its place is longer.
const longestTag = 20

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
		return foundOrder(c.Number, err)
	}
	columns := slices.Clone(orderColumns) // of one order: what changes is what counts
	for i, c := range columns {
		switch c.name {
		case "time", "quantity", "filled", "price", "state":
			columns[i].rank = 0
		case "number", "side", "symbol":
			columns[i].rank = 3
		}
	}
	return list(t, c.listFlags, columns, rows)
}

// foundOrder makes an order that does not exist wrong use.
func foundOrder(number string, err error) error {
	if errors.Is(err, trade.ErrNotFound) {
		return usage(fmt.Errorf("there is no order %s", printable(number)))
	}
	return err
}

// showOrder prints one order: a line for people, or an object.
func showOrder(t *terminal, asJSON bool, columns []column[trade.Order], o trade.Order) error {
	if asJSON {
		return object(t, columns, o)
	}
	line := fmt.Sprintf("%s  %s: %s", o.Number, sentence(o), cmp.Or(string(o.State), "placed"))
	if o.FilledQty > 0 {
		line += fmt.Sprintf(", %d filled", o.FilledQty)
		if o.AvgPrice.Known() {
			line += " at " + grouped(o.AvgPrice.String())
		}
	}
	if why := reason(o); why != "" {
		line += ", " + why
	}
	return t.tell(false, nil, line)
}

// showUnsent prints an order of a dry run.
func showUnsent(t *terminal, asJSON bool, o trade.Order, what string) error {
	if asJSON {
		return object(t, with(orderColumns, "sent", false), o)
	}
	return t.tell(false, nil, "would "+what)
}

// with returns the columns of orders and one more, for JSON.
func with(columns []column[trade.Order], name string, is bool) []column[trade.Order] {
	return append(slices.Clone(columns), column[trade.Order]{name, "", cellFlag, 0, func(trade.Order) string { return fmt.Sprint(is) }})
}

// sentence describes an order: "buy 10 TCS-EQ (nse_cm) at 3,500.10, CNC".
func sentence(o trade.Order) string {
	s := fmt.Sprintf("%s %d %s (%s)", o.Side, o.Quantity, o.Symbol, o.Segment)
	if o.Trigger.Sign() > 0 {
		s += ", trigger " + grouped(o.Trigger.String()) + ", limit"
	} else if o.Price.Sign() > 0 {
		s += " at"
	}
	if o.Price.Sign() > 0 {
		s += " " + grouped(o.Price.String())
	} else {
		s += " at the market"
	}
	return s + ", " + string(o.Product)
}

// reason is why an order ended or, of an open one, why its last change was refused.
func reason(o trade.Order) string {
	why := strings.TrimSpace(o.Reason)
	if o.Refused() == "" || o.State == trade.NotModified || o.State == trade.NotCancelled {
		return why
	}
	return "last change refused: " + why
}

var orderColumns = []column[trade.Order]{
	{"time", "TIME", cellTime, 4, func(o trade.Order) string { return clock(o.Updated) }},
	{"number", "ORDER", cellID, 0, func(o trade.Order) string { return o.Number }},
	{"side", "SIDE", cellID, 0, func(o trade.Order) string { return o.Side.String() }},
	{"symbol", "SYMBOL", cellText, 0, func(o trade.Order) string { return o.Symbol }},
	{"segment", "SEGMENT", cellText, 3, func(o trade.Order) string { return string(o.Segment) }},
	{"product", "PRODUCT", cellText, 2, func(o trade.Order) string { return string(o.Product) }},
	{"type", "TYPE", cellText, 6, func(o trade.Order) string { return string(o.PriceType) }},
	{"quantity", "QTY", cellCount, 0, func(o trade.Order) string { return number(o.Quantity) }},
	{"filled", "FILLED", cellCount, 0, func(o trade.Order) string { return number(o.FilledQty) }},
	{"price", "PRICE", cellMoney, 0, func(o trade.Order) string { return price(o.Price) }},
	{"trigger", "TRIGGER", cellMoney, 1, func(o trade.Order) string { return price(o.Trigger) }},
	{"average", "AVERAGE", cellMoney, 5, func(o trade.Order) string { return rupees(o.AvgPrice) }},
	{"state", "STATE", cellText, 0, func(o trade.Order) string { return string(o.State) }},
	{"tag", "TAG", cellTag, 7, func(o trade.Order) string { return o.Tag }},
	{"reason", "REASON", cellNote, 8, reason},
}

// clock is a time as a value of a column.
func clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

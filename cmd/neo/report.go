package main

import (
	"context"

	"neoapi/trade"
)

// reportFlags are those of commands that only read.
type reportFlags struct {
	listFlags
	tradeFlags
}

type tradesCmd struct {
	Order string `placeholder:"NUMBER" help:"The fills of this order only."`
	reportFlags
}

func (tradesCmd) Help() string {
	return `Examples:
  neo trades
  neo trades --order 261201000000012 --csv`
}

func (c *tradesCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	all, err := client.Trades(ctx)
	if err != nil {
		return err
	}
	var trades []trade.Trade
	for _, f := range all {
		if c.Order == "" || f.OrderNumber == c.Order {
			trades = append(trades, f)
		}
	}
	if c.Order != "" && len(trades) == 0 {
		if _, err := client.Order(ctx, c.Order); err != nil {
			return foundOrder(c.Order, err)
		}
	}
	return list(t, c.listFlags, []column[trade.Trade]{
		{"time", "TIME", cellTime, 1, func(f trade.Trade) string { return clock(f.At) }},
		{"order", "ORDER", cellID, 0, func(f trade.Trade) string { return f.OrderNumber }},
		{"trade", "TRADE", cellID, 4, func(f trade.Trade) string { return f.ID }},
		{"side", "SIDE", cellID, 0, func(f trade.Trade) string { return f.Side.String() }},
		{"symbol", "SYMBOL", cellText, 0, func(f trade.Trade) string { return f.Symbol }},
		{"segment", "SEGMENT", cellText, 3, func(f trade.Trade) string { return string(f.Segment) }},
		{"product", "PRODUCT", cellText, 1, func(f trade.Trade) string { return string(f.Product) }},
		{"quantity", "QTY", cellCount, 0, func(f trade.Trade) string { return number(f.Quantity) }},
		{"price", "PRICE", cellMoney, 0, func(f trade.Trade) string { return rupees(f.Price) }},
	}, trades)
}

type positionsCmd struct{ reportFlags }

func (positionsCmd) Help() string {
	return `Examples:
  neo positions
  neo positions --json | jq -r 'select(.net != 0) | .symbol'

DAY P&L compares with the previous settlement for what was carried: it is the day's
gain, not that since the position was opened.`
}

func (c *positionsCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	positions, err := client.Positions(ctx)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, positionColumns, positions)
}

var positionColumns = []column[trade.Position]{
	{"symbol", "SYMBOL", cellText, 0, func(p trade.Position) string { return p.Symbol }},
	{"segment", "SEGMENT", cellText, 3, func(p trade.Position) string { return string(p.Segment) }},
	{"product", "PRODUCT", cellText, 1, func(p trade.Position) string { return string(p.Product) }},
	{"net", "NET", cellCount, 0, func(p trade.Position) string { return number(p.Net) }},
	{"average", "AVERAGE", cellMoney, 1, func(p trade.Position) string { return p.AvgPrice.String() }},
	{"last", "LAST", cellMoney, 1, func(p trade.Position) string { return rupees(p.Last) }},
	{"dayPnL", "DAY P&L", cellGain, 0, func(p trade.Position) string { return rupees(p.DayPnL(nil)) }},
	{"bought", "BOUGHT", cellCount, 2, func(p trade.Position) string { return number(p.BuyQty) }},
	{"sold", "SOLD", cellCount, 2, func(p trade.Position) string { return number(p.SellQty) }},
}

type holdingsCmd struct{ reportFlags }

func (holdingsCmd) Help() string {
	return `Example:
  neo holdings --csv > holdings.csv`
}

func (c *holdingsCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	holdings, err := client.Holdings(ctx)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Holding]{
		{"symbol", "SYMBOL", cellText, 0, func(h trade.Holding) string { return h.Symbol }},
		{"quantity", "QTY", cellCount, 0, func(h trade.Holding) string { return number(h.Quantity) }},
		{"sellable", "SELLABLE", cellCount, 2, func(h trade.Holding) string { return number(h.Sellable) }},
		{"average", "AVERAGE", cellMoney, 1, func(h trade.Holding) string { return rupees(h.AvgPrice) }},
		{"close", "CLOSE", cellMoney, 2, func(h trade.Holding) string { return rupees(h.ClosePrice) }},
		{"value", "VALUE", cellMoney, 1, func(h trade.Holding) string { return rupees(h.MarketValue) }},
		{"gain", "GAIN", cellGain, 0, func(h trade.Holding) string { return rupees(h.MarketValue.Sub(h.Cost)) }},
	}, holdings)
}

type limitsCmd struct{ reportFlags }

func (limitsCmd) Help() string {
	return `Example:
  neo limits

Available is what new orders may use: cash and the margin of pledged shares, less what
is used.`
}

func (c *limitsCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	limits, err := client.Limits(ctx)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Limits]{
		{"available", "AVAILABLE", cellMoney, 0, func(l trade.Limits) string { return rupees(l.Available) }},
		{"cash", "CASH", cellMoney, 0, func(l trade.Limits) string { return rupees(l.Cash) }},
		{"pledged", "PLEDGED", cellMoney, 0, func(l trade.Limits) string { return rupees(l.Pledged) }},
		{"used", "USED", cellMoney, 1, func(l trade.Limits) string { return rupees(l.Used) }},
	}, []trade.Limits{limits})
}

type marginCmd struct {
	ticketFlags
	reportFlags
}

func (marginCmd) Help() string {
	return `Examples:
  neo margin sell 65 NIFTY26DEC24500PE --product NRML
  neo margin buy 10 TCS-EQ --stop 3550 --limit 3552 --product MIS

What an order would need, and what is short. Without --limit it is a market order. It
is checked like an order, and nothing is placed.`
}

func (c *marginCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	ticket, _, err := c.ticket(ctx, client)
	if err != nil {
		return err
	}
	if err := client.Check(ctx, ticket); err != nil {
		return usage(err)
	}
	margin, err := client.Margin(ctx, ticket)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Margin]{
		{"need", "NEED", cellMoney, 0, func(m trade.Margin) string { return rupees(m.Need) }},
		{"available", "AVAILABLE", cellMoney, 0, func(m trade.Margin) string { return rupees(m.Available) }},
		{"short", "SHORT", cellMoney, 0, func(m trade.Margin) string { return rupees(m.Short) }},
		{"used", "USED", cellMoney, 1, func(m trade.Margin) string { return rupees(m.Used) }},
	}, []trade.Margin{margin})
}

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
	return list(t, c.listFlags, []column[trade.Trade]{
		{"time", "TIME", cellTime, func(f trade.Trade) string { return clock(f.At) }},
		{"order", "ORDER", cellText, func(f trade.Trade) string { return f.OrderNumber }},
		{"trade", "TRADE", cellDetail, func(f trade.Trade) string { return f.ID }},
		{"side", "SIDE", cellText, func(f trade.Trade) string { return f.Side.String() }},
		{"symbol", "SYMBOL", cellText, func(f trade.Trade) string { return f.Symbol }},
		{"segment", "SEGMENT", cellDetail, func(f trade.Trade) string { return string(f.Segment) }},
		{"product", "PRODUCT", cellDetail, func(f trade.Trade) string { return string(f.Product) }},
		{"quantity", "QTY", cellCount, func(f trade.Trade) string { return number(f.Quantity) }},
		{"price", "PRICE", cellMoney, func(f trade.Trade) string { return rupees(f.Price) }},
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
	return list(t, c.listFlags, []column[trade.Position]{
		{"symbol", "SYMBOL", cellText, func(p trade.Position) string { return p.Symbol }},
		{"segment", "SEGMENT", cellDetail, func(p trade.Position) string { return string(p.Segment) }},
		{"product", "PRODUCT", cellText, func(p trade.Position) string { return string(p.Product) }},
		{"net", "NET", cellCount, func(p trade.Position) string { return number(p.Net) }},
		{"average", "AVERAGE", cellMoney, func(p trade.Position) string { return p.AvgPrice.String() }},
		{"last", "LAST", cellMoney, func(p trade.Position) string { return rupees(p.Last) }},
		{"dayPnL", "DAY P&L", cellGain, func(p trade.Position) string { return rupees(p.DayPnL(nil)) }},
		{"bought", "BOUGHT", cellCount, func(p trade.Position) string { return number(p.BuyQty) }},
		{"sold", "SOLD", cellCount, func(p trade.Position) string { return number(p.SellQty) }},
	}, positions)
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
		{"symbol", "SYMBOL", cellText, func(h trade.Holding) string { return h.Symbol }},
		{"quantity", "QTY", cellCount, func(h trade.Holding) string { return number(h.Quantity) }},
		{"sellable", "SELLABLE", cellCount, func(h trade.Holding) string { return number(h.Sellable) }},
		{"average", "AVERAGE", cellMoney, func(h trade.Holding) string { return rupees(h.AvgPrice) }},
		{"close", "CLOSE", cellMoney, func(h trade.Holding) string { return rupees(h.ClosePrice) }},
		{"value", "VALUE", cellMoney, func(h trade.Holding) string { return rupees(h.MarketValue) }},
		{"gain", "GAIN", cellGain, func(h trade.Holding) string { return rupees(h.MarketValue.Sub(h.Cost)) }},
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
		{"available", "AVAILABLE", cellMoney, func(l trade.Limits) string { return rupees(l.Available) }},
		{"cash", "CASH", cellMoney, func(l trade.Limits) string { return rupees(l.Cash) }},
		{"pledged", "PLEDGED", cellMoney, func(l trade.Limits) string { return rupees(l.Pledged) }},
		{"used", "USED", cellMoney, func(l trade.Limits) string { return rupees(l.Used) }},
	}, []trade.Limits{limits})
}

type marginCmd struct {
	Side     string      `arg:"" enum:"buy,sell" help:"buy or sell."`
	Quantity int64       `arg:"" help:"Quantity in units."`
	Symbol   string      `arg:"" help:"Trading symbol."`
	Limit    rupeesFlag  `placeholder:"PRICE" help:"At this price; by default at the market."`
	Product  string      `required:"" placeholder:"CNC|MIS|NRML|MTF" help:"How the position would be carried."`
	Segment  segmentFlag `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"The segment; by default the first that has the symbol."`
	reportFlags
}

func (marginCmd) Help() string {
	return `Example:
  neo margin sell 65 NIFTY26DEC24500PE --product NRML

What an order would need, and what is short. Nothing is placed.`
}

func (c *marginCmd) Run(ctx context.Context, t *terminal) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	order := orderPlaceCmd{Side: c.Side, Quantity: c.Quantity, Symbol: c.Symbol, Limit: c.Limit, Market: !c.Limit.Known(), Product: c.Product, Validity: "DAY", Segment: c.Segment}
	ticket, err := order.ticket(ctx, client)
	if err != nil {
		return err
	}
	margin, err := client.Margin(ctx, ticket)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Margin]{
		{"need", "NEED", cellMoney, func(m trade.Margin) string { return rupees(m.Need) }},
		{"available", "AVAILABLE", cellMoney, func(m trade.Margin) string { return rupees(m.Available) }},
		{"short", "SHORT", cellMoney, func(m trade.Margin) string { return rupees(m.Short) }},
		{"used", "USED", cellMoney, func(m trade.Margin) string { return rupees(m.Used) }},
	}, []trade.Margin{margin})
}

package main

import (
	"context"

	"neoapi/trade"
)

type quoteCmd struct {
	Symbols []string    `arg:"" placeholder:"SYMBOL" help:"Trading symbols, such as TCS-EQ."`
	Segment segmentFlag `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"Their segment; by default the first that has the symbol."`
	listFlags
	marketFlags
}

func (quoteCmd) Help() string {
	return `Examples:
  neo quote TCS-EQ RELIANCE-EQ
  neo quote BSE:TCS --json
  neo quote TCS-EQ --env http://127.0.0.1:9155 --consumer-key sandbox-consumer

No login is needed: the consumer key is enough, except at services of the first
generations.`
}

func (c *quoteCmd) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var all []trade.Instrument
	for _, name := range c.Symbols {
		i, err := instrument(ctx, client, c.Segment.Segment, name)
		if err != nil {
			return err
		}
		all = append(all, i)
	}
	quotes, err := client.Quotes(ctx, all)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Quote]{
		{"symbol", "SYMBOL", cellText, func(q trade.Quote) string { return q.Symbol }},
		{"segment", "SEGMENT", cellDetail, func(q trade.Quote) string { return string(q.Segment) }},
		{"last", "LAST", cellMoney, func(q trade.Quote) string { return rupees(q.Last) }},
		{"change", "CHANGE", cellGain, func(q trade.Quote) string { return rupees(q.Last.Sub(q.PrevClose)) }},
		{"bid", "BID", cellMoney, func(q trade.Quote) string { return rupees(best(q.Bids).Price) }},
		{"ask", "ASK", cellMoney, func(q trade.Quote) string { return rupees(best(q.Asks).Price) }},
		{"open", "OPEN", cellMoney, func(q trade.Quote) string { return rupees(q.Open) }},
		{"high", "HIGH", cellMoney, func(q trade.Quote) string { return rupees(q.High) }},
		{"low", "LOW", cellMoney, func(q trade.Quote) string { return rupees(q.Low) }},
		{"previousClose", "PREV CLOSE", cellMoney, func(q trade.Quote) string { return rupees(q.PrevClose) }},
		{"volume", "VOLUME", cellCount, func(q trade.Quote) string { return known(q.Volume) }},
		{"time", "TIME", cellTime, func(q trade.Quote) string { return clock(q.At) }},
	}, quotes)
}

// best returns the first level of a side of the book.
func best(levels []trade.Level) trade.Level {
	if len(levels) == 0 {
		return trade.Level{}
	}
	return levels[0]
}

type instrumentsCmd struct {
	Text    string      `arg:"" optional:"" help:"Part of a symbol or name."`
	Segment segmentFlag `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"Only this segment."`
	Kind    string      `placeholder:"share|index|future|call|put" help:"Only this kind."`
	Limit   int         `short:"n" default:"20" placeholder:"N" help:"At most N; 0 for all."`
	listFlags
	marketFlags
}

func (instrumentsCmd) Help() string {
	return `Examples:
  neo instruments nifty --kind call
  neo instruments --segment NFO --limit 0 --csv > nfo.csv

Searches today's scrip master, which is downloaded once a day.`
}

func (c *instrumentsCmd) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var segments []trade.Segment
	if c.Segment.Segment != "" {
		segments = append(segments, c.Segment.Segment)
	}
	master, err := client.Instruments(ctx, segments...)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Instrument]{
		{"symbol", "SYMBOL", cellText, func(i trade.Instrument) string { return i.Symbol }},
		{"segment", "SEGMENT", cellText, func(i trade.Instrument) string { return string(i.Segment) }},
		{"token", "TOKEN", cellText, func(i trade.Instrument) string { return i.Token }},
		{"kind", "KIND", cellText, func(i trade.Instrument) string { return string(i.Kind) }},
		{"name", "NAME", cellDetail, func(i trade.Instrument) string { return i.Name }},
		{"expiry", "EXPIRY", cellText, func(i trade.Instrument) string { return i.Expiry.String() }},
		{"strike", "STRIKE", cellMoney, func(i trade.Instrument) string { return rupees(i.Strike) }},
		{"lot", "LOT", cellCount, func(i trade.Instrument) string { return number(i.Lot) }},
		{"tick", "TICK", cellMoney, func(i trade.Instrument) string { return rupees(i.Tick) }},
		{"freeze", "FREEZE", cellDetail, func(i trade.Instrument) string { return number(i.Freeze) }},
		{"company", "DESCRIPTION", cellDetail, func(i trade.Instrument) string { return i.Company }},
	}, master.Find(trade.Search{Text: c.Text, Segment: c.Segment.Segment, Kind: trade.Kind(c.Kind), Limit: c.Limit}))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"neoapi/trade"
)

type quoteCmd struct {
	Symbols []string `arg:"" placeholder:"SYMBOL" help:"Trading symbols, such as TCS-EQ; BSE:TCS or nse_cm|11536 name the segment too."`
	segmentFlags
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
		i, err := c.instrument(ctx, client, name)
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
		{"symbol", "SYMBOL", cellText, 0, func(q trade.Quote) string { return q.Symbol }},
		{"segment", "SEGMENT", cellText, 1, func(q trade.Quote) string { return string(q.Segment) }},
		{"last", "LAST", cellMoney, 0, func(q trade.Quote) string { return rupees(q.Last) }},
		{"change", "CHANGE", cellGain, 1, func(q trade.Quote) string { return rupees(q.Last.Sub(q.PrevClose)) }},
		{"bid", "BID", cellMoney, 2, func(q trade.Quote) string { return rupees(best(q.Bids).Price) }},
		{"ask", "ASK", cellMoney, 2, func(q trade.Quote) string { return rupees(best(q.Asks).Price) }},
		{"open", "OPEN", cellMoney, 4, func(q trade.Quote) string { return rupees(q.Open) }},
		{"high", "HIGH", cellMoney, 4, func(q trade.Quote) string { return rupees(q.High) }},
		{"low", "LOW", cellMoney, 4, func(q trade.Quote) string { return rupees(q.Low) }},
		{"previousClose", "PREV CLOSE", cellMoney, 3, func(q trade.Quote) string { return rupees(q.PrevClose) }},
		{"volume", "VOLUME", cellCount, 3, func(q trade.Quote) string { return known(q.Volume) }},
		{"time", "TIME", cellTime, 5, func(q trade.Quote) string { return clock(q.At) }},
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
	Segment segmentFlag `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"Only this segment; tables call them nse_cm, bse_cm, nse_fo, bse_fo, mcx_fo and cde_fo."`
	Kind    string      `placeholder:"share|index|future|call|put" help:"Only this kind."`
	Limit   int         `short:"n" default:"20" placeholder:"N" help:"At most N; by default 20, and 0 for all."`
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
	kind := trade.Kind(strings.ToLower(c.Kind))
	if kinds := []trade.Kind{"", trade.Share, trade.IndexKind, trade.Future, trade.Call, trade.Put}; !slices.Contains(kinds, kind) {
		return usage(fmt.Errorf("--kind: must be share, index, future, call or put, not %s", quoted(printable(c.Kind))))
	}
	if c.Limit < 0 {
		return usage(errors.New("--limit: must be 0, for all, or more"))
	}
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
		{"symbol", "SYMBOL", cellText, 0, func(i trade.Instrument) string { return i.Symbol }},
		{"segment", "SEGMENT", cellText, 0, func(i trade.Instrument) string { return string(i.Segment) }},
		{"token", "TOKEN", cellID, 2, func(i trade.Instrument) string { return i.Token }},
		{"kind", "KIND", cellText, 1, func(i trade.Instrument) string { return string(i.Kind) }},
		{"name", "NAME", cellText, 6, func(i trade.Instrument) string { return i.Name }},
		{"expiry", "EXPIRY", cellID, 0, func(i trade.Instrument) string { return i.Expiry.String() }},
		{"strike", "STRIKE", cellMoney, 0, func(i trade.Instrument) string { return rupees(i.Strike) }},
		{"lot", "LOT", cellCount, 1, func(i trade.Instrument) string { return number(i.Lot) }},
		{"tick", "TICK", cellMoney, 2, func(i trade.Instrument) string { return rupees(i.Tick) }},
		{"freeze", "FREEZE", cellCount, 3, func(i trade.Instrument) string { return known(i.Freeze) }},
		{"company", "DESCRIPTION", cellText, 5, func(i trade.Instrument) string { return i.Company }},
	}, master.Find(trade.Search{Text: c.Text, Segment: c.Segment.Segment, Kind: kind, Limit: c.Limit}))
}

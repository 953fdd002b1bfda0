package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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
		{"volume", "VOLUME", cellCount, func(q trade.Quote) string { return number(q.Volume) }},
		{"time", "TIME", cellText, func(q trade.Quote) string { return clock(q.At) }},
	}, quotes)
}

// best returns the first level of a side of the book.
func best(levels []trade.Level) trade.Level {
	if len(levels) == 0 {
		return trade.Level{}
	}
	return levels[0]
}

// underlying is what options are of: an index unless the name is that of a share or a
// commodity.
type chainCmd struct {
	Underlying string      `arg:"" help:"What the options are of, such as NIFTY or TCS."`
	Segment    segmentFlag `placeholder:"NFO|BFO|MCX" help:"Where they are listed; by default NFO."`
	Expiry     string      `default:"nearest" placeholder:"nearest|DAY" help:"nearest, or a day such as 2026-12-29."`
	Strikes    int         `placeholder:"N" help:"Only N strikes on each side of the money."`
	Expiries   bool        `help:"List the expiries instead."`
	listFlags
	marketFlags
}

func (chainCmd) Help() string {
	return `Examples:
  neo chain NIFTY --expiry nearest --strikes 5
  neo chain NIFTY --expiries
  neo chain NIFTY --expiry 2026-12-29 --csv > chain.csv`
}

func (c *chainCmd) Run(ctx context.Context, t *terminal) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	of := trade.Underlying{Name: strings.ToUpper(c.Underlying), Segment: c.Segment.Segment}
	if of.Segment == "" {
		of.Segment = trade.NFO
	}
	if c.Expiries {
		days, err := client.Expiries(ctx, of)
		if err != nil {
			return err
		}
		return list(t, c.listFlags, []column[trade.Date]{{"expiry", "EXPIRY", cellText, trade.Date.String}}, days)
	}
	expiry := trade.NearestExpiry
	if c.Expiry != "nearest" {
		day, err := time.Parse(time.DateOnly, c.Expiry)
		if err != nil {
			return usage(fmt.Errorf("--expiry: %q is not nearest and no day such as 2026-12-29", printable(c.Expiry)))
		}
		expiry = trade.On(trade.Date{Year: day.Year(), Month: day.Month(), Day: day.Day()})
	}
	chain, err := client.OptionChain(ctx, of, expiry)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, chainColumns, nearMoney(chain, c.Strikes))
}

type candlesCmd struct {
	Symbol   string      `arg:"" help:"Trading symbol, such as TCS-EQ."`
	Interval string      `default:"1d" enum:"1m,3m,5m,10m,15m,30m,60m,1d,1w" help:"1m, 3m, 5m, 10m, 15m, 30m, 60m, 1d or 1w."`
	From     whenFlag    `default:"30d" placeholder:"7d|DAY|TIME" help:"From then on: a time ago (7d), a day in India (2026-11-02), or a time."`
	To       whenFlag    `placeholder:"DAY|TIME" help:"Until then; by default now."`
	Segment  segmentFlag `placeholder:"NSE|BSE|NFO|BFO|MCX|CDS" help:"The segment; by default the first that has the symbol."`
	listFlags
	marketFlags
}

func (candlesCmd) Help() string {
	return `Examples:
  neo candles TCS-EQ --interval 5m --from 2026-11-02 --csv > tcs.csv
  neo candles TCS-EQ --interval 1d --from 365d

A long range is fetched in the pieces that the service allows, two seconds apart. The
last candle may still be running.`
}

var intervals = map[string]trade.Interval{
	"1m": trade.OneMinute, "3m": trade.ThreeMinutes, "5m": trade.FiveMinutes, "10m": trade.TenMinutes, "15m": trade.FifteenMinutes,
	"30m": trade.HalfHour, "60m": trade.Hour, "1d": trade.Daily, "1w": trade.Weekly,
}

func (c *candlesCmd) Run(ctx context.Context, t *terminal) error {
	if c.To.IsZero() {
		c.To.Time = time.Now()
	}
	if !c.To.After(c.From.Time) {
		return usage(errors.New("--to: must be after --from; a day means its beginning, 00:00 in India"))
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	i, err := instrument(ctx, client, c.Segment.Segment, c.Symbol)
	if err != nil {
		return err
	}
	candles, err := client.Candles(ctx, i, intervals[c.Interval], c.From.Time, c.To.Time)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Candle]{
		{"start", "START", cellText, func(k trade.Candle) string { return clock(k.Start) }},
		{"open", "OPEN", cellMoney, func(k trade.Candle) string { return rupees(k.Open) }},
		{"high", "HIGH", cellMoney, func(k trade.Candle) string { return rupees(k.High) }},
		{"low", "LOW", cellMoney, func(k trade.Candle) string { return rupees(k.Low) }},
		{"close", "CLOSE", cellMoney, func(k trade.Candle) string { return rupees(k.Close) }},
		{"volume", "VOLUME", cellCount, func(k trade.Candle) string { return number(k.Volume) }},
		{"running", "", cellText, func(k trade.Candle) string {
			if k.Running {
				return "running"
			}
			return ""
		}},
	}, candles)
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

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"neoapi/trade"
)

type candlesCmd struct {
	Symbol   string      `arg:"" help:"Trading symbol, such as TCS-EQ."`
	Interval string      `default:"1d" placeholder:"1m|3m|5m|10m|15m|30m|1h|1d|1w" help:"How long a candle is."`
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

func (c *candlesCmd) Run(ctx context.Context, t *terminal) error {
	every, err := trade.ParseInterval(c.Interval)
	if err != nil {
		return usage(fmt.Errorf("--interval: %w", err))
	}
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
	candles, err := client.Candles(ctx, i, every, c.From.Time, c.To.Time)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Candle]{
		{"start", "START", cellTime, func(k trade.Candle) string { return clock(k.Start) }},
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

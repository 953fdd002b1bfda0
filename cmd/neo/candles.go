package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"neoapi/trade"
)

type candlesCmd struct {
	Symbol   string   `arg:"" help:"Trading symbol, such as TCS-EQ."`
	Interval string   `default:"1d" placeholder:"1m|3m|5m|10m|15m|30m|1h|1d|1w" help:"How long a candle is; by default 1d."`
	From     whenFlag `default:"30d" placeholder:"7d|DAY|TIME" help:"From then on; by default 30d: a time ago (7d), a day in India (2026-11-02), or a time."`
	To       whenFlag `placeholder:"DAY|TIME" help:"Until then; by default now."`
	segmentFlags
	listFlags
	marketFlags
}

func (candlesCmd) Help() string {
	return `Examples:
  neo candles TCS-EQ --interval 5m --from 2026-11-02 --csv > tcs.csv
  neo candles TCS-EQ --interval 1d --from 365d

A long range is fetched in the pieces that the service allows, two seconds apart. The
last candle may still be running. The service has them for five years back.`
}

func (c *candlesCmd) Run(ctx context.Context, t *terminal) error {
	every, err := trade.ParseInterval(c.Interval)
	if err != nil {
		return usage(fmt.Errorf("--interval: must be 1m, 3m, 5m, 10m, 15m, 30m, 1h, 1d or 1w, not %s", quoted(printable(c.Interval))))
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
	i, err := c.instrument(ctx, client, c.Symbol)
	if err != nil {
		return err
	}
	if c.From.Before(time.Now().AddDate(-5, 0, 0)) {
		t.warn(c.JSON, "the service has candles for five years back, and none before that")
	}
	candles, err := client.Candles(ctx, i, every, c.From.Time, c.To.Time)
	if err != nil {
		return err
	}
	return list(t, c.listFlags, []column[trade.Candle]{
		{"start", "START", cellStart, 0, func(k trade.Candle) string { return clock(k.Start) }},
		{"open", "OPEN", cellMoney, 0, func(k trade.Candle) string { return rupees(k.Open) }},
		{"high", "HIGH", cellMoney, 0, func(k trade.Candle) string { return rupees(k.High) }},
		{"low", "LOW", cellMoney, 0, func(k trade.Candle) string { return rupees(k.Low) }},
		{"close", "CLOSE", cellMoney, 0, func(k trade.Candle) string { return rupees(k.Close) }},
		{"volume", "VOLUME", cellCount, 1, func(k trade.Candle) string { return number(k.Volume) }},
		{"running", "running", cellFlag, 2, func(k trade.Candle) string { return fmt.Sprint(k.Running) }},
	}, candles)
}

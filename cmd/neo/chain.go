package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"neoapi/trade"
)

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


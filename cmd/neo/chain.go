package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi/trade"
)

type chainCmd struct {
	Underlying string      `arg:"" help:"What the options are of, such as NIFTY or TCS."`
	Segment    segmentFlag `placeholder:"NFO|BFO|MCX" help:"Where they are listed; by default NFO or else BFO."`
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

// nearMoney returns the rows of a chain, or only n on each side of the one at the
// money. Without a price of the underlying it returns all.
func nearMoney(chain *trade.Chain, n int) []trade.ChainRow {
	rows := slices.Collect(chain.Rows())
	atm, err := chain.ATM()
	if n <= 0 || err != nil {
		return rows
	}
	at := slices.IndexFunc(rows, func(r trade.ChainRow) bool { return r.Strike == atm.Strike })
	return rows[max(0, at-n):min(len(rows), at+n+1)]
}

var chainColumns = []column[trade.ChainRow]{
	{"call", "CALL", cellDetail, func(r trade.ChainRow) string { return r.Call.Symbol }},
	{"callOpenInterest", "OI", cellCount, func(r trade.ChainRow) string { return known(r.CallQuote.OpenInterest) }},
	{"callVolume", "VOLUME", cellCount, func(r trade.ChainRow) string { return known(r.CallQuote.Volume) }},
	{"callLast", "LAST", cellMoney, func(r trade.ChainRow) string { return rupees(r.CallQuote.Last) }},
	{"strike", "STRIKE", cellMoney, func(r trade.ChainRow) string { return rupees(r.Strike) }},
	{"putLast", "LAST", cellMoney, func(r trade.ChainRow) string { return rupees(r.PutQuote.Last) }},
	{"putVolume", "VOLUME", cellCount, func(r trade.ChainRow) string { return known(r.PutQuote.Volume) }},
	{"putOpenInterest", "OI", cellCount, func(r trade.ChainRow) string { return known(r.PutQuote.OpenInterest) }},
	{"put", "PUT", cellDetail, func(r trade.ChainRow) string { return r.Put.Symbol }},
}

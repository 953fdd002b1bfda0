package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"neoapi/trade"
)

type chainCmd struct {
	Underlying string      `arg:"" help:"What the options are of, such as NIFTY or TCS."`
	Segment    segmentFlag `placeholder:"NFO|BFO|MCX|CDS" help:"Where they are listed, which tables call nse_fo, bse_fo, mcx_fo or cde_fo; by default the first of these that has them."`
	Expiry     string      `default:"nearest" placeholder:"nearest|DAY" help:"nearest, the default, or a day such as 2026-12-29."`
	Strikes    count       `placeholder:"N" help:"Only N strikes on each side of the money; by default all."`
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
	of, days, err := c.listed(ctx, client)
	if err != nil {
		return err
	}
	if c.Expiries {
		return list(t, c.listFlags, []column[trade.Date]{{"expiry", "EXPIRY", cellID, 0, trade.Date.String}}, days)
	}
	expiry := trade.NearestExpiry
	if !strings.EqualFold(c.Expiry, "nearest") {
		day, err := time.Parse(time.DateOnly, c.Expiry)
		if err != nil {
			return usage(fmt.Errorf("--expiry: %q is not nearest and no day such as 2026-12-29", printable(c.Expiry)))
		}
		on := trade.Date{Year: day.Year(), Month: day.Month(), Day: day.Day()}
		if !slices.Contains(days, on) {
			return usage(fmt.Errorf("no options of %s expire on %s: neo chain %s --expiries lists the days", of.Name, on, quoted(printable(of.Name))))
		}
		expiry = trade.On(on)
	}
	chain, err := client.OptionChain(ctx, of, expiry)
	if err != nil {
		return err
	}
	if !c.JSON && !c.CSV {
		line := fmt.Sprintf("%s (%s), expiry %s", chain.Underlying.Name, chain.Underlying.Segment, chain.Expiry)
		if chain.Spot.Last.Known() {
			line += ", spot " + grouped(chain.Spot.Last.String())
		}
		if err := t.tell(false, nil, line); err != nil {
			return err
		}
	}
	return list(t, c.listFlags, chainColumns(chain), nearMoney(chain, int(c.Strikes)))
}

// listed returns the underlying in the segment that lists its options, and when they
// expire.
func (c *chainCmd) listed(ctx context.Context, client *trade.Client) (of trade.Underlying, days []trade.Date, err error) {
	segments := []trade.Segment{c.Segment.Segment}
	if segments[0] == "" {
		segments = []trade.Segment{"", trade.MCX, trade.CDS} // the first is NFO or BFO
	}
	for _, s := range segments {
		of = trade.Underlying{Name: strings.ToUpper(c.Underlying), Segment: s}
		if days, err = client.Expiries(ctx, of); !errors.Is(err, trade.ErrNotFound) {
			return of, days, err
		}
	}
	where := "any segment"
	if c.Segment.Segment != "" {
		where = string(c.Segment.Segment) + "; without --segment all are searched"
	}
	return of, nil, usage(fmt.Errorf("there are no options of %s in %s", printable(of.Name), where))
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
	return rows[max(0, at-min(n, at)):min(len(rows), at+min(n, len(rows))+1)]
}

func chainColumns(chain *trade.Chain) []column[trade.ChainRow] {
	atm, err := chain.ATM()
	return []column[trade.ChainRow]{
		{"call", "CALL", cellText, 1, func(r trade.ChainRow) string { return r.Call.Symbol }},
		{"callOpenInterest", "OI", cellCount, 2, func(r trade.ChainRow) string { return known(r.CallQuote.OpenInterest) }},
		{"callVolume", "VOLUME", cellCount, 3, func(r trade.ChainRow) string { return known(r.CallQuote.Volume) }},
		{"callLast", "LAST", cellMoney, 0, func(r trade.ChainRow) string { return rupees(r.CallQuote.Last) }},
		{"strike", "STRIKE", cellMoney, 0, func(r trade.ChainRow) string { return rupees(r.Strike) }},
		{"atMoney", "ATM", cellFlag, 0, func(r trade.ChainRow) string { return fmt.Sprint(err == nil && r.Strike == atm.Strike) }},
		{"putLast", "LAST", cellMoney, 0, func(r trade.ChainRow) string { return rupees(r.PutQuote.Last) }},
		{"putVolume", "VOLUME", cellCount, 3, func(r trade.ChainRow) string { return known(r.PutQuote.Volume) }},
		{"putOpenInterest", "OI", cellCount, 2, func(r trade.ChainRow) string { return known(r.PutQuote.OpenInterest) }},
		{"put", "PUT", cellText, 1, func(r trade.ChainRow) string { return r.Put.Symbol }},
		{"expiry", "", cellID, 0, func(trade.ChainRow) string { return chain.Expiry.String() }},
		{"spot", "", cellMoney, 0, func(trade.ChainRow) string { return rupees(chain.Spot.Last) }},
	}
}

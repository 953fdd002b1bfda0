package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"neoapi/feed"
	"neoapi/trade"
)

type recordCmd struct {
	File    string   `arg:"" type:"path" help:"File to write; - for standard output."`
	Symbols []string `arg:"" optional:"" placeholder:"SYMBOL" help:"Trading symbols, such as TCS-EQ; BSE:TCS or nse_cm|11536 name the segment too. Without any: what the account holds and has orders in, NIFTY and BANKNIFTY."`
	Force   bool     `help:"Replace the file if it exists."`
	segmentFlags
	tradeFlags
}

func (recordCmd) Help() string {
	return `Examples:
  neo record monday.neorec NIFTY TCS-EQ RELIANCE-EQ
  neo sandbox --market monday.neorec
  neo record - TCS-EQ | neo sandbox --market -

Records the market feed until Ctrl-C, which is the normal end: quotes with five bids
and offers and their times, in some 20 to 40 bytes each, gaps and market status. neo
sandbox --market replays the file, so that a real day becomes a test; the last example
trades on paper on one's own live feed. Prices of an exchange are for the account's
own use: a recording is not to be given to others.

It needs a session of neo login --ucc UCC, by TOTP and MPIN: others have no market feed.
A connection that was lost is made again. If the disk fails or is full, the recording
ends with exit code 1; what was written until then is whole.`
}

func (c *recordCmd) Run(ctx context.Context, t *terminal) (err error) {
	if f, ok := under(t.out).(*os.File); ok && c.File == "-" && term.IsTerminal(int(f.Fd())) {
		return usage(errors.New("a recording is nothing to read on a terminal: redirect it, or name a file"))
	}
	client, saved, err := c.session()
	if err != nil {
		return err
	}
	trades := trade.New(client)
	all, err := c.instruments(ctx, trades)
	if err != nil {
		return err
	}
	out, finish, err := c.open(t)
	if err != nil {
		return err
	}
	var quotes atomic.Int64
	live, err := feed.Market(ctx, client, feed.Depths(all...), feed.Record(out), feed.WithKeeper(c.sessions(saved)),
		feed.OnQuote(func(*feed.Quote) { quotes.Add(1) }))
	if err != nil {
		return errors.Join(ofFeed(err), finish(false))
	}
	began := client.Now()
	for u, wrong := range live.Updates(ctx) {
		if err = wrong; err != nil {
			break
		}
		if failed, ok := u.(feed.NotRecorded); ok {
			err = failed.Err
			break
		}
		c.say(t, u)
	}
	stopped := ctx.Err() != nil
	err = errors.Join(live.Close(), ofFeed(unstopped(stopped, err)), finish(true))
	t.note(fmt.Sprintf("recorded %d quotes of %s from %s to %s IST", quotes.Load(), instrumentsOf(len(all)),
		began.In(trade.IST).Format("15:04:05"), client.Now().In(trade.IST).Format("15:04:05")))
	return err
}

// unstopped returns an error if a loop was not just stopped.
func unstopped(stopped bool, err error) error {
	if stopped {
		return nil
	}
	return err
}

func instrumentsOf(n int) string {
	if n == 1 {
		return "1 instrument"
	}
	return fmt.Sprintf("%d instruments", n)
}

// say tells a person what the feed says of itself.
func (c *recordCmd) say(t *terminal, u feed.Update) {
	switch u := u.(type) {
	case feed.Lost:
		t.note(fmt.Sprintf("the connection was lost: %v", u.Err))
	case feed.Gap:
		t.note(fmt.Sprintf("nothing was recorded from %s to %s", u.From.Format("15:04:05"), u.To.Format("15:04:05")))
	case feed.Missing:
		var names []string
		for _, i := range u.Instruments {
			names = append(names, i.Symbol)
		}
		t.note("nothing has come of " + strings.Join(names, ", "))
	}
}

// instruments returns what is to be recorded.
func (c *recordCmd) instruments(ctx context.Context, client *trade.Client) (all []trade.Instrument, err error) {
	for _, name := range c.Symbols {
		i, err := c.instrument(ctx, client, name)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	if len(all) > 0 {
		return all, nil
	}
	known := map[string]bool{}
	add := func(s trade.Segment, token string) error {
		key := string(s) + "|" + token
		if known[key] || token == "" {
			return nil
		}
		known[key] = true
		master, err := client.Instruments(ctx, s)
		if err != nil {
			return err
		}
		i, err := master.Token(s, token)
		if err == nil {
			all = append(all, i)
		} else if errors.Is(err, trade.ErrNotFound) {
			err = nil // it has expired
		}
		return err
	}
	for _, name := range []string{"NIFTY", "BANKNIFTY"} {
		if i, err := c.instrument(ctx, client, name); err == nil {
			all = append(all, i)
		}
	}
	positions, err := client.Positions(ctx)
	for _, p := range positions {
		err = errors.Join(err, add(p.Segment, p.Token))
	}
	orders, wrong := client.Orders(ctx)
	err = errors.Join(err, wrong)
	for _, o := range orders {
		err = errors.Join(err, add(o.Segment, o.Token))
	}
	holdings, wrong := client.Holdings(ctx)
	err = errors.Join(err, wrong)
	for _, h := range holdings {
		err = errors.Join(err, add(h.Segment, h.Token))
	}
	return all, err
}

// open opens what is written to. finish ends it, and takes a file away in which nothing
// was recorded.
func (c *recordCmd) open(t *terminal) (w io.Writer, finish func(kept bool) error, err error) {
	if c.File == "-" {
		return t.out, func(bool) error { return nil }, nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE
	}
	f, err := os.OpenFile(c.File, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, usage(fmt.Errorf("%s exists: name another file, or give --force to replace it", printable(c.File)))
	}
	if err != nil {
		return nil, nil, err
	}
	return &replacing{File: f}, func(kept bool) error {
		err := f.Close()
		if !kept && !c.Force {
			err = errors.Join(err, os.Remove(c.File))
		}
		return err
	}, nil
}

// replacing empties a file when something is written to it, and not before: what was
// recorded there stays if nothing can be.
type replacing struct {
	*os.File
	begun bool
}

// Write implements [io.Writer].
func (r *replacing) Write(b []byte) (int, error) {
	if !r.begun {
		r.begun = true
		if info, err := r.Stat(); err == nil && info.Mode().IsRegular() {
			if err := r.Truncate(0); err != nil {
				return 0, err
			}
		}
	}
	return r.File.Write(b)
}

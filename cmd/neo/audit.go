package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

type auditCmd struct {
	dataFlag
	UCC     string    `name:"ucc" help:"Events of this account only, also after it was removed."`
	Since   sinceFlag `placeholder:"24h|DAY|TIME" help:"Events since then: a time ago (24h, 7d), a day in India (yesterday, 2026-11-23), or a time."`
	Until   whenFlag  `xor:"end" placeholder:"24h|DAY|TIME" help:"Events before then; a day means its beginning."`
	Limit   int       `short:"n" placeholder:"N" help:"The last N events only."`
	Follow  bool      `short:"f" xor:"end" help:"Print new events as they come, until Ctrl-C."`
	Columns []string  `xor:"form" placeholder:"NAME" help:"These columns only, in this order: time, action, outcome, ucc, factor, consumer, address, by, sid, requestId, account, seq."`
	Narrow  bool      `xor:"form" help:"The most important columns, in 80 characters, as on a narrow terminal."`
	JSON    bool      `name:"json" help:"Print one JSON object a line."`
}

func (auditCmd) Help() string {
	return `Examples:
  neo audit --data /var/lib/neo --since yesterday --until today
  neo audit --data /var/lib/neo --since 24h --columns time,action,ucc,by
  neo audit --data /var/lib/neo --ucc AB1234 --since 2026-11-23T09:00:00+05:30
  neo audit --data /var/lib/neo --follow --json | jq -r 'select(.outcome != "ok")'

Shows who logged in or tried to: by which factor and consumer, from where, when and
with what outcome; and which operator changed what. Oldest first. Times are Indian;
with --json they are UTC. docs/audit.md explains actions, outcomes and fields.`
}

// mostLimit is the highest --limit: that many events are in memory at once.
const mostLimit = 100_000

func (c *auditCmd) Run(ctx context.Context, t *terminal) error {
	if c.UCC != "" {
		id, err := login.ParsePasted(login.ByUCC, c.UCC)
		if err != nil {
			return usage(err)
		}
		c.UCC = string(id.Value)
	}
	switch {
	case c.Limit < 0 || c.Limit > mostLimit:
		return usage(fmt.Errorf("--limit: must be between 1 and %d", mostLimit))
	case !c.Until.IsZero() && !c.Until.After(c.Since.Time):
		return usage(errors.New("--until: must be after --since; a day means its beginning, 00:00 in India"))
	}
	columns, err := columnsOf(c.Columns)
	if err != nil {
		return usage(fmt.Errorf("--columns: %w", err))
	}
	return c.with(ctx, func(d *serve.Data) error {
		out := bufio.NewWriter(t.out)
		var show func([]login.Event) error
		switch room := width(t.out); {
		case c.JSON:
			show = func(events []login.Event) error { return eventLines(out, len(c.Columns) > 0, columns, events) }
		case c.Narrow || len(c.Columns) == 0 && room > 0 && room < wide:
			out.Reset(t.lines())
			show = eventTable(out, narrowColumns, cmp.Or(room, narrow), c.Follow)
		default:
			out.Reset(t.lines())
			show = eventTable(out, columns, 0, c.Follow)
		}
		if err := c.missing(ctx, t, d); err != nil {
			return err
		}
		err = c.read(ctx, d, func(events []login.Event) error { return errors.Join(show(events), out.Flush()) })
		if c.Follow && ctx.Err() != nil { // Ctrl-C
			return nil
		}
		return err
	})
}

// missing warns that the requested account does not exist, which need not be a
// mistake: the trail outlives accounts.
func (c *auditCmd) missing(ctx context.Context, t *terminal, d *serve.Data) error {
	if c.UCC == "" {
		return nil
	}
	a, err := d.Admin().ByUCC(ctx, c.UCC)
	var bad *login.Error
	switch {
	case errors.As(err, &bad):
		return usage(err)
	case errors.Is(err, login.ErrNotFound):
		t.note("there is no account with UCC " + a.UCC + " (any more): neo account list shows all")
		return nil
	}
	return err
}

// Reading the trail while it grows. If several processes write to one database, one
// may commit an event moments after another has committed one with a higher number,
// so events of the last overlap are read again.
const (
	auditPoll   = 500 * time.Millisecond
	auditLook   = time.Minute // an event may become readable this long after its time
	overlap     = 10 * time.Second
	overlapMost = 100_000 // events
)

// read passes the requested events to show, each once.
func (c *auditCmd) read(ctx context.Context, d *serve.Data, show func([]login.Event) error) error {
	since := time.Now().Add(-auditLook)
	if c.Since.After(since) {
		since = c.Since.Time
	}
	known := trail{seen: map[int64]bool{}}
	first := func(events []login.Event) error {
		known.fresh(events, time.Now())
		return show(events)
	}
	query := login.EventQuery{UCC: c.UCC, Since: c.Since.Time, Until: c.Until.Time}
	var err error
	if c.Limit == 0 {
		err = d.Admin().EventPages(ctx, query, first)
	} else {
		err = c.last(ctx, d, query, since, &known, first)
	}
	if err != nil || !c.Follow {
		return err
	}
	// From here on all events are read, and the account's are selected here, so that the
	// next read need not start at the account's last event.
	for {
		err := d.Admin().EventPages(ctx, login.EventQuery{Since: since, After: known.after}, func(events []login.Event) error {
			var mine []login.Event
			for _, e := range known.fresh(events, time.Now()) {
				if c.UCC == "" || c.UCC == e.UCC {
					mine = append(mine, e)
				}
			}
			return show(mine)
		})
		if err != nil {
			return err
		}
		select {
		case <-time.After(auditPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// last passes the last events of a query to show. It records in known the earlier
// events from since on, so that following the trail does not show them.
func (c *auditCmd) last(ctx context.Context, d *serve.Data, q login.EventQuery, since time.Time, known *trail, show func([]login.Event) error) error {
	if c.Follow {
		err := d.Admin().EventPages(ctx, login.EventQuery{Since: since}, func(events []login.Event) error {
			known.fresh(events, time.Now())
			return nil
		})
		if err != nil {
			return err
		}
	}
	q.N, q.Last = c.Limit, true
	events, err := d.Store.Events(ctx, q)
	if err != nil {
		return err
	}
	return show(events)
}

// A trail remembers recently read events. All events up to after have been read.
type trail struct {
	after int64
	late  []readEvent // oldest reading first
	seen  map[int64]bool
}

type readEvent struct {
	seq int64
	at  time.Time
}

// fresh returns the events, read at now, that have not been read before.
func (t *trail) fresh(events []login.Event, now time.Time) (fresh []login.Event) {
	for _, e := range events {
		if e.Seq <= t.after || t.seen[e.Seq] {
			continue
		}
		fresh = append(fresh, e)
		t.seen[e.Seq] = true
		t.late = append(t.late, readEvent{e.Seq, now})
	}
	for len(t.late) > 0 && (now.Sub(t.late[0].at) > overlap || len(t.late) > overlapMost) {
		delete(t.seen, t.late[0].seq)
		t.after = max(t.after, t.late[0].seq)
		t.late = t.late[1:]
	}
	return fresh
}

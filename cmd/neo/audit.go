package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

type auditCmd struct {
	dataFlag
	UCC    string    `name:"ucc" help:"Events of this account only, also after it was removed."`
	Since  sinceFlag `placeholder:"24h|TIME" help:"Events since then: so long ago, an RFC 3339 time, or a day in India."`
	Follow bool      `short:"f" help:"Print new events as they come, until Ctrl-C."`
	JSON   bool      `name:"json" help:"Print one JSON object a line."`
}

func (auditCmd) Help() string {
	return `Examples:
  neo audit --data /var/lib/neo --since 24h
  neo audit --data /var/lib/neo --ucc AB1234 --since 2026-11-23T09:00:00+05:30
  neo audit --data /var/lib/neo --follow --json | jq -r 'select(.outcome != "ok")'

Who logged in, or tried to: by which factor and consumer, from where, when, and
what came of it; and what an operator changed. Oldest first. Times are India's;
with --json they are UTC. docs/audit.md explains actions, outcomes and fields.`
}

// sinceFlag is an instant in the past.
type sinceFlag struct{ time.Time }

// UnmarshalText reads a duration before now, an RFC 3339 time, or a day, which
// begins at 00:00 IST.
func (s *sinceFlag) UnmarshalText(text []byte) (err error) {
	value := string(text)
	now := time.Now()
	if ago, derr := time.ParseDuration(value); derr == nil {
		s.Time = now.Add(-ago)
	} else if s.Time, err = time.ParseInLocation(time.DateOnly, value, login.IST); err != nil {
		if s.Time, err = time.Parse(time.RFC3339, value); err != nil {
			return errors.New("must be a time before now such as 24h, 2026-11-23T09:00:00+05:30 or 2026-11-23")
		}
	}
	if s.After(now) {
		return errors.New("must be in the past")
	}
	return nil
}

func (c *auditCmd) Run(ctx context.Context, t *terminal) error {
	if c.UCC != "" {
		id, err := login.ParsePasted(login.ByUCC, c.UCC)
		if err != nil {
			return usage(err)
		}
		c.UCC = string(id.Value)
	}
	return c.with(ctx, func(d *serve.Data) error {
		out := bufio.NewWriter(t.out)
		show := eventTable(out, c.Follow)
		if !c.JSON {
			out.Reset(t.lines())
		} else {
			show = func(events []login.Event) error { return eventLines(out, events) }
		}
		if err := c.missing(ctx, t, d); err != nil {
			return err
		}
		err := c.read(ctx, d, func(events []login.Event) error { return errors.Join(show(events), out.Flush()) })
		if c.Follow && ctx.Err() != nil { // Ctrl-C
			return nil
		}
		return err
	})
}

// missing tells that the account that is asked for is not there, which need not
// be a mistake: the trail outlives accounts.
func (c *auditCmd) missing(ctx context.Context, t *terminal, d *serve.Data) error {
	if c.UCC == "" {
		return nil
	}
	id, err := login.ParsePasted(login.ByUCC, c.UCC)
	if err != nil {
		return usage(err)
	}
	if _, err = d.Store.Account(ctx, id); errors.Is(err, login.ErrNotFound) {
		t.note("there is no account with UCC " + string(id.Value) + " (any more): neo account list shows all")
		return nil
	}
	return err
}

// The reading of the trail while it grows. Of several processes that write to
// one database, one may commit an event moments after another has committed one
// with a higher number: what came within overlap is read again.
const (
	auditPage   = 1000
	auditPoll   = 500 * time.Millisecond
	auditLook   = time.Minute // an event's time can be so much before the moment at which it can be read
	overlap     = 10 * time.Second
	overlapMost = 100_000 // events
)

// read hands the events that are asked for to show, each once.
func (c *auditCmd) read(ctx context.Context, d *serve.Data, show func([]login.Event) error) error {
	started := time.Now()
	known := trail{seen: map[int64]bool{}}
	err := pages(ctx, d, login.EventQuery{UCC: c.UCC, Since: c.Since.Time}, func(events []login.Event) error {
		known.fresh(events, time.Now())
		return show(events)
	})
	if err != nil || !c.Follow {
		return err
	}
	// From here on all events are read and those of the account picked here: so the
	// next reading need not begin with the account's last event.
	since := started.Add(-auditLook)
	if c.Since.After(since) {
		since = c.Since.Time
	}
	for {
		err := pages(ctx, d, login.EventQuery{Since: since, After: known.after}, func(events []login.Event) error {
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

// pages reads all events of a query, page by page.
func pages(ctx context.Context, d *serve.Data, q login.EventQuery, f func([]login.Event) error) error {
	for q.N = auditPage; ; {
		events, err := d.Store.Events(ctx, q)
		if err != nil {
			return err
		}
		if err := f(events); err != nil || len(events) < q.N {
			return err
		}
		q.After = events[len(events)-1].Seq
	}
}

// A trail remembers the events that have been read of late. All up to after have
// been.
type trail struct {
	after int64
	late  []readEvent // oldest reading first
	seen  map[int64]bool
}

type readEvent struct {
	seq int64
	at  time.Time
}

// fresh returns those of some events, read at now, that have not been read before.
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

// auditEvent is an event as --json prints it.
type auditEvent struct {
	Seq       int64        `json:"seq"`
	Time      time.Time    `json:"time"`
	Action    string       `json:"action"`
	Outcome   string       `json:"outcome"`
	UCC       string       `json:"ucc"`
	Account   string       `json:"account"`
	Factor    login.Factor `json:"factor"`
	Consumer  string       `json:"consumer"`
	Address   string       `json:"address"`
	SID       string       `json:"sid"`
	RequestID string       `json:"requestId"`
}

func shownEvent(e login.Event) auditEvent {
	return auditEvent{
		e.Seq, e.Time.UTC(), e.Action, e.Outcome, e.UCC, e.Account, e.Factor, e.Consumer, e.Address, e.SID, e.RequestID,
	}
}

// eventLines writes events as JSON, one a line.
func eventLines(w io.Writer, events []login.Event) error {
	for _, e := range events {
		line, err := json.Marshal(shownEvent(e))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, printable(string(line))); err != nil {
			return err
		}
	}
	return nil
}

var eventHeads = [...]string{"TIME", "ACTION", "OUTCOME", "UCC", "FACTOR", "CONSUMER", "ADDRESS", "SID", "REQUEST ID"}

// widest is as far as one event may push the columns of those that follow.
const widest = 40

// usual is how wide the columns are when nobody knows what will come: most of what
// comes fits.
var usual = [len(eventHeads)]int{25, 16, 10, 10, 8, 36, 15, 36, 36}

// eventTable returns a function that writes events for people. Columns are as
// wide as what has been written so far needs, and, if more is to follow, as what
// usually comes.
func eventTable(w io.Writer, follow bool) func([]login.Event) error {
	var width [len(eventHeads)]int
	if follow {
		width = usual
	}
	rows := [][len(eventHeads)]string{eventHeads}
	return func(events []login.Event) error {
		for _, e := range events {
			row := [len(eventHeads)]string{
				e.Time.In(login.IST).Format(time.RFC3339), e.Action, e.Outcome, e.UCC, string(e.Factor), e.Consumer, e.Address, e.SID, e.RequestID,
			}
			for i := range row {
				row[i] = cmp.Or(printable(row[i]), "-")
			}
			rows = append(rows, row)
		}
		for _, row := range rows {
			for i, text := range row {
				width[i] = max(width[i], min(utf8.RuneCountInString(text), widest))
			}
		}
		for _, row := range rows {
			var line strings.Builder
			for i, text := range row {
				fmt.Fprintf(&line, "%-*s  ", width[i], text)
			}
			if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
				return err
			}
		}
		rows = nil
		return nil
	}
}

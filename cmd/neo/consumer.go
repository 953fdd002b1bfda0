package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

type consumerCmd struct {
	Add    consumerAddCmd    `cmd:"" help:"Add a consumer and show its secret once."`
	List   consumerListCmd   `cmd:"" help:"List the consumers."`
	Rate   consumerRateCmd   `cmd:"" help:"Change how many requests a second a consumer may send."`
	Rotate consumerRotateCmd `cmd:"" help:"Give a consumer a new secret; the old one works for a while."`
	Allow  consumerAllowCmd  `cmd:"" help:"Set the addresses from which a consumer may send."`
	Remove consumerRemoveCmd `cmd:"" help:"Remove a consumer; its access tokens and sessions end."`
}

// rateFlag is a consumer's rate as people write it; the number is that of
// [login.Consumer].
type rateFlag int

// maxRate is above the rate of any service.
const maxRate = 1_000_000

// UnmarshalText reads a rate.
func (r *rateFlag) UnmarshalText(text []byte) error {
	switch n, err := strconv.Atoi(string(text)); {
	case string(text) == "none":
		*r = -1
	case string(text) == "default":
		*r = 0
	case err != nil || n < 1 || n > maxRate:
		return fmt.Errorf("must be a number from 1 to %d, none (no limit) or default (the service's --consumer-rate)", maxRate)
	default:
		*r = rateFlag(n)
	}
	return nil
}

// String returns what UnmarshalText reads.
func (r rateFlag) String() string {
	switch {
	case r < 0:
		return "none"
	case r == 0:
		return "default"
	}
	return strconv.Itoa(int(r))
}

type consumerAddCmd struct {
	changeFlag
	Key  string   `help:"Consumer key; generated if not given."`
	Name string   `help:"Name of the application."`
	Rate rateFlag `default:"default" placeholder:"N|none|default" help:"Requests a second: a number, none for no limit, or default for the service's --consumer-rate."`
	JSON bool     `name:"json" help:"Print JSON, the secret included."`
}

func (consumerAddCmd) Help() string {
	return `Examples:
  neo consumer add --data /var/lib/neo --name "Asha's algo"
  neo consumer add --data /var/lib/neo --name "Order router" --rate 200`
}

func (c *consumerAddCmd) Run(ctx context.Context, t *terminal) error {
	return c.making(ctx, func(d *serve.Data) error {
		added, secret, err := d.Admin().AddConsumer(ctx, c.Key, c.Name, "", int(c.Rate))
		var bad *login.Error
		switch {
		case errors.As(err, &bad):
			return usage(err)
		case errors.Is(err, login.ErrExists):
			return errors.New("another consumer has this key: nothing was added")
		case err != nil:
			return err
		}
		if c.JSON {
			err = t.json(map[string]any{"key": added.Key, "secret": string(secret), "name": added.Name, "rate": c.Rate.String()})
		} else {
			_, err = fmt.Fprintf(t.out, "consumer key:    %s\nconsumer secret: %s\nThe secret is not shown again.\n", added.Key, string(secret))
		}
		if err != nil {
			return fmt.Errorf("the consumer was added, but its secret could not be shown: remove %s and add it again: %w", added.Key, err)
		}
		return nil
	})
}

type consumerListCmd struct {
	dataFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

func (consumerListCmd) Help() string {
	return `Example:
  neo consumer list --data /var/lib/neo`
}

func (c *consumerListCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		table := tabwriter.NewWriter(t.lines(), 0, 0, 2, ' ', 0)
		if !c.JSON {
			_, _ = fmt.Fprintln(table, "KEY\tNAME\tRATE\tADDED\tALLOWED FROM")
		}
		for one, err := range d.Admin().EachConsumer(ctx) {
			if err != nil {
				return err
			}
			if c.JSON {
				err := t.json(map[string]any{
					"key": one.Key, "name": one.Name, "rate": rateFlag(one.Rate).String(), "added": one.Created, "allow": words(one.Allow),
				})
				if err != nil {
					return err
				}
				continue
			}
			writeRow(table, one.Key, one.Name, rateFlag(one.Rate).String(), one.Created.In(login.IST).Format(time.RFC3339),
				cmp.Or(one.Allow.String(), "anywhere"))
		}
		return table.Flush()
	})
}

type consumerRateCmd struct {
	changeFlag
	Key  string   `arg:"" help:"The consumer's key."`
	Rate rateFlag `arg:"" name:"rate" help:"Requests a second: a number, none for no limit, or default for the service's --consumer-rate."`
	JSON bool     `name:"json" help:"Print JSON."`
}

func (consumerRateCmd) Help() string {
	return `Examples:
  neo consumer rate --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43 200
  neo consumer rate --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43 default

A number overrides the service's --consumer-rate for this consumer, default follows
that again, and none removes the limit. There is no rate 0: to keep a consumer out,
remove it.

Running services apply it within a second. Past its rate a consumer gets 429 with
Retry-After; after a second of silence it may send a second's worth at once.`
}

func (c *consumerRateCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		if err := d.Admin().SetConsumerRate(ctx, c.Key, int(c.Rate)); err != nil {
			return unknownConsumer(err, c.Key)
		}
		return t.tell(c.JSON, map[string]any{"key": c.Key, "rate": c.Rate.String()}, fmt.Sprintf("consumer %s: rate %s", c.Key, c.Rate))
	})
}

// unknownConsumer returns err, or that the consumer does not exist.
func unknownConsumer(err error, key string) error {
	if errors.Is(err, login.ErrNotFound) {
		return fmt.Errorf("there is no consumer with key %s: neo consumer list shows all", key)
	}
	return err
}

type consumerRemoveCmd struct {
	changeFlag
	Key  string `arg:"" help:"The consumer's key."`
	Yes  bool   `help:"Confirm: this cannot be undone."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (consumerRemoveCmd) Help() string {
	return `Example:
  neo consumer remove --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43 --yes

Works while the service runs: the consumer's access tokens and sessions end
within a second.`
}

func (c *consumerRemoveCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		if _, err := d.Store.Consumer(ctx, c.Key); err != nil {
			return unknownConsumer(err, c.Key)
		}
		if !c.Yes {
			return usage(fmt.Errorf("this removes consumer %s for good: confirm with --yes", c.Key))
		}
		if err := d.Admin().RemoveConsumer(ctx, c.Key); err != nil {
			return unknownConsumer(err, c.Key)
		}
		return t.tell(c.JSON, map[string]any{"key": c.Key, "removed": true}, "consumer "+c.Key+" removed")
	})
}

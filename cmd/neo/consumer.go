package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

type consumerCmd struct {
	Add    consumerAddCmd    `cmd:"" help:"Add a consumer and show its secret, this once."`
	List   consumerListCmd   `cmd:"" help:"List the consumers."`
	Remove consumerRemoveCmd `cmd:"" help:"Remove a consumer; its access tokens and sessions end."`
}

type consumerAddCmd struct {
	dataFlag
	Key  string `help:"Consumer key; made if not given."`
	Name string `help:"What the application is called."`
}

func (consumerAddCmd) Help() string {
	return `Example:
  neo consumer add --data /var/lib/neo --name "Asha's algo"`
}

func (c *consumerAddCmd) Run(ctx context.Context, t *terminal) error {
	return c.making(ctx, func(d *serve.Data) error {
		added, secret, err := d.Admin().AddConsumer(ctx, c.Key, c.Name, "", 0)
		var bad *login.Error
		switch {
		case errors.As(err, &bad):
			return usage(err)
		case errors.Is(err, login.ErrExists):
			return errors.New("another consumer has this key: nothing was added")
		case err != nil:
			return err
		}
		_, err = fmt.Fprintf(t.out, "consumer key:    %s\nconsumer secret: %s\nThe secret is shown this once.\n", added.Key, string(secret))
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
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		if !c.JSON {
			_, _ = fmt.Fprintln(table, "KEY\tNAME\tADDED")
		}
		const page = 1000
		for after := ""; ; {
			consumers, err := d.Store.ListConsumers(ctx, after, page)
			if err != nil {
				return err
			}
			for _, one := range consumers {
				after = one.Key
				if c.JSON {
					err := json.NewEncoder(t.out).Encode(map[string]any{"key": one.Key, "name": one.Name, "added": one.Created})
					if err != nil {
						return err
					}
					continue
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", one.Key, one.Name, one.Created.Format(time.RFC3339))
			}
			if len(consumers) < page {
				return table.Flush()
			}
		}
	})
}

type consumerRemoveCmd struct {
	dataFlag
	Key string `arg:"" help:"The consumer's key."`
}

func (consumerRemoveCmd) Help() string {
	return `Example:
  neo consumer remove --data /var/lib/neo 0b6ec5a4-6f0c-4b6e-8a49-6a4bb7ac4a43

Works beside a running service: the consumer's access tokens and sessions end
within a second.`
}

func (c *consumerRemoveCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		err := d.Admin().RemoveConsumer(ctx, c.Key)
		if errors.Is(err, login.ErrNotFound) {
			return fmt.Errorf("there is no consumer with key %s: neo consumer list shows all", c.Key)
		}
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(t.out, "consumer %s removed\n", c.Key)
		return nil
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/serve"
)

type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List the signing keys."`
	Rotate keyRotateCmd `cmd:"" help:"Add a signing key that takes over after a lead."`
	Remove keyRemoveCmd `cmd:"" help:"Remove a signing key at once: its tokens are refused."`

	RotateMaster  rotateMasterCmd  `cmd:"" help:"Put a new master key in the place of the old one."`
	ForgetMasters forgetMastersCmd `cmd:"" help:"Make all master keys but the data directory's useless."`
}

type keyListCmd struct {
	dataFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

func (keyListCmd) Help() string {
	return `Example:
  neo key list --data /var/lib/neo

A key is next (published, and signs from the time shown), signs, or is old: kept
for the tokens that it has signed. Old keys go by themselves 25 hours after
another took over, or later if a session still has a token of theirs.`
}

func (c *keyListCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		keys, err := d.Admin().Keys(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(t.lines(), 0, 0, 2, ' ', 0)
		if !c.JSON {
			_, _ = fmt.Fprintln(table, "KEY\tBITS\tSTATE\tSIGNS FROM\tKEPT UNTIL")
		}
		for _, k := range keys {
			if c.JSON {
				one := map[string]any{"key": k.ID, "bits": k.Bits, "state": k.State, "created": k.Created, "signs": k.Signs}
				if !k.Until.IsZero() {
					one["until"] = k.Until
				}
				if err := t.json(one); err != nil {
					return err
				}
				continue
			}
			until := "-"
			if !k.Until.IsZero() {
				until = k.Until.In(login.IST).Format(time.RFC3339)
			}
			_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", k.ID, k.Bits, k.State, k.Signs.In(login.IST).Format(time.RFC3339), until)
		}
		return table.Flush()
	})
}

type keyRotateCmd struct {
	changeFlag
	Bits int `enum:"2048,3072" default:"2048" help:"Size of the RSA key: 2048 or 3072 (default ${default})."`
	// Twice as long as verifiers may keep a key set.
	Lead    time.Duration `default:"10m" placeholder:"TIME" help:"How long the key is published before it signs (default ${default})."`
	Another bool          `help:"Add a key although a new one has not begun to sign."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

func (keyRotateCmd) Help() string {
	return `Examples:
  neo key rotate --data /var/lib/neo
  neo key rotate --data /var/lib/neo --bits 3072

Works beside running services, on all machines at once. The new key is in
/.well-known/jwks.json at once and signs after the lead; nobody is refused if
whoever verifies tokens reads the key set again within it. They may keep it for
five minutes. While a new key waits to sign, a second one is not added.`
}

func (c *keyRotateCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		if pending, err := d.Admin().PendingKey(ctx); err == nil && !c.Another {
			return fmt.Errorf("key %s is new already, and signs from %s on: nothing was added; --another adds one all the same",
				pending.ID, pending.Signs.In(login.IST).Format(time.RFC3339))
		} else if err != nil && !errors.Is(err, login.ErrNotFound) {
			return err
		}
		k, err := d.Admin().RotateKey(ctx, c.Bits, c.Lead)
		var bad *login.Error
		if errors.As(err, &bad) {
			return usage(err)
		}
		if err != nil {
			return err
		}
		return t.tell(c.JSON, map[string]any{"key": k.ID, "signs": k.Signs.UTC()}, fmt.Sprintf("key %s signs from %s on", k.ID, k.Signs.In(login.IST).Format(time.RFC3339)))
	})
}

type keyRemoveCmd struct {
	changeFlag
	Key  string `arg:"" help:"The key's id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (keyRemoveCmd) Help() string {
	return `Example:
  neo key remove --data /var/lib/neo -- hvpH0kJEZa0UpqENqHCq14VS5E7OXtNXBG-nhRtpnkA

For a key that may be known to others. Tokens that it has signed are refused
within a second, by all services: who holds one must log in again. If it is the
key that signs, a new one takes its place first. Keys that have had their time
go by themselves. The -- is for ids that begin with a dash.`
}

func (c *keyRemoveCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		replacement, err := d.Admin().RemoveKey(ctx, c.Key)
		switch {
		case errors.Is(err, login.ErrNotFound):
			return fmt.Errorf("there is no signing key %s: neo key list shows all", c.Key)
		case errors.Is(err, login.ErrSigns):
			return fmt.Errorf("key %s has begun to sign this instant and was not removed: try again", c.Key)
		case err != nil:
			return err
		}
		said := "key " + c.Key + " removed"
		if c.JSON {
			return t.json(map[string]any{"key": c.Key, "removed": true, "replacement": replacement.ID})
		}
		if replacement.ID != "" {
			said = "key " + replacement.ID + " signs from now on\n" + said
		}
		_, err = fmt.Fprintln(t.out, said)
		return err
	})
}

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

	RotateMaster  rotateMasterCmd  `cmd:"" help:"Replace the master key."`
	ForgetMasters forgetMastersCmd `cmd:"" help:"Retire every master key except the data directory's."`
}

type keyListCmd struct {
	dataFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

func (keyListCmd) Help() string {
	return `Example:
  neo key list --data /var/lib/neo

A key is next (published, and signs from the time shown), signs, or is old (kept
for the tokens it signed). Old keys are removed automatically 25 hours after
another took over, or later if a session still has a token signed with one.`
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
	// Twice as long as verifiers may cache a key set.
	Lead    time.Duration `default:"10m" placeholder:"TIME" help:"How long the key is published before it signs (default ${default})."`
	Another bool          `help:"Add a key even if a new one has not begun to sign."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

func (keyRotateCmd) Help() string {
	return `Examples:
  neo key rotate --data /var/lib/neo
  neo key rotate --data /var/lib/neo --bits 3072

Works while services run, on all machines at once. The new key is published in
/.well-known/jwks.json at once and signs after the lead. Verifiers may cache the key
set for five minutes; no valid token is refused if they reread it within the lead.
While a new key waits to sign, a second one is not added.`
}

func (c *keyRotateCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		if pending, err := d.Admin().PendingKey(ctx); err == nil && !c.Another {
			return fmt.Errorf("key %s already waits to sign from %s on: nothing was added; --another adds one anyway",
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

For a key that may have leaked. Within a second all services refuse the tokens it
signed, and their owners must log in again. If it is the key that signs, a new one
takes its place first. Expired keys are removed automatically. The -- is for ids
that begin with a dash.`
}

func (c *keyRemoveCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		replacement, err := d.Admin().RemoveKey(ctx, c.Key)
		switch {
		case errors.Is(err, login.ErrNotFound):
			return fmt.Errorf("there is no signing key %s: neo key list shows all", c.Key)
		case errors.Is(err, login.ErrSigns):
			return fmt.Errorf("key %s has just begun to sign and was not removed: try again", c.Key)
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

package main

import (
	"context"

	"neoapi/internal/serve"
)

type rotateMasterCmd struct {
	changeFlag
	JSON bool `name:"json" help:"Print JSON."`
}

func (rotateMasterCmd) Help() string {
	return `Example:
  neo key rotate-master --data /var/lib/neo

Replaces master.key while services run; they need no restart. The data stays as it
is, and only the key to it is sealed again. Keep a copy of the new file elsewhere,
and the old one for as long as you keep backups made with it.

With --database the old key opens the database until neo key forget-masters: copy
the new file to all machines before that. Otherwise the old key is forgotten at once.

The old file does not open a database stolen later. If the old file and the database
were stolen together, what was in it is known: then change the secrets as well.`
}

func (c *rotateMasterCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		if err := d.RotateMaster(ctx); err != nil {
			return err
		}
		said := "keep a copy of it elsewhere"
		if c.Database != "" {
			said = "copy it to the other machines, and then run neo key forget-masters"
		} else if _, err := d.ForgetMasters(ctx); err != nil {
			return err
		}
		key := serve.MasterKey(c.Data)
		return t.tell(c.JSON, map[string]string{"masterKey": key}, key+" is new: "+said)
	})
}

type forgetMastersCmd struct {
	changeFlag
	JSON bool `name:"json" help:"Print JSON."`
}

func (forgetMastersCmd) Help() string {
	return `Example:
  NEO_DATABASE=postgres://neo@db.example.com/neo neo key forget-masters --data /var/lib/neo

Run it after neo key rotate-master, once all machines have the new file. From then
on only the master key in the data directory opens the database. A machine that
still has an old one keeps running, but cannot start again.`
}

func (c *forgetMastersCmd) Run(ctx context.Context, t *terminal) error {
	return c.with(ctx, func(d *serve.Data) error {
		n, err := d.ForgetMasters(ctx)
		if err != nil {
			return err
		}
		return t.tell(c.JSON, map[string]int{"forgotten": n}, some(int64(n), "old master key", "old master keys")+" forgotten")
	})
}

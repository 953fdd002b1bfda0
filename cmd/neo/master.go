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

Puts a new master.key in the place of the old one, beside running services, which
need no restart: the data stay as they are, and only the key to them is sealed
again. Keep a copy of the new file elsewhere, and the old one as long as backups
that were made with it.

With --database the old key opens the database until neo key forget-masters: copy
the new file to all machines before. Without it the old one is forgotten at once.

Whoever has the old file then reads nothing with a database that was stolen later.
Whoever had both together has what was in it: then change the secrets as well.`
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

After neo key rotate-master, when all machines have the new file: the master key in
the data directory is the only one that opens the database from then on. A machine
that still has an old one goes on, and does not start again.`
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

package main

import (
	"context"
	"errors"
	"fmt"

	"neoapi/internal/serve"
)

type backupCmd struct {
	Data string `required:"" placeholder:"DIR" help:"Data directory of the service."`
	To   string `required:"" placeholder:"FILE" help:"The copy: a new file."`
	JSON bool   `name:"json" help:"Print JSON."`
	databaseFlag
}

func (backupCmd) Help() string {
	return `Example:
  neo backup --data /var/lib/neo --to /backup/neo-2026-11-23.db

It copies the database file while the service runs. The copy holds all that was
acknowledged before the command began; it is read through, and on disk, when the
command ends with 0.

The copy does not hold the master key, without which it cannot be read: keep a
copy of master.key too, in another place than the database's.

To restore, stop the service, put the copy into the data directory as neo.db,
remove neo.db-wal and neo.db-shm if they are there, and start the service. What was
done since the copy is undone then: people who were erased are back, locks that
were set are gone. docs/operators.md tells what to do.

A PostgreSQL database is copied by pg_dump: see docs/postgresql.md.`
}

func (c *backupCmd) Run(ctx context.Context, t *terminal) error {
	if c.Database != "" {
		return usage(errors.New("the data are in PostgreSQL, which pg_dump copies: see docs/postgresql.md"))
	}
	if err := (serve.Place{Dir: c.Data}).Backup(ctx, c.To); err != nil {
		return ofStore(ofFile(err))
	}
	key := serve.MasterKey(c.Data)
	return t.tell(c.JSON, map[string]any{"copy": c.To, "masterKey": key},
		fmt.Sprintf("%s holds the database. Keep a copy of the master key, %s, in another place.", c.To, key))
}

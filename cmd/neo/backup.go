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

Copies the database file while the service runs. The copy contains everything
acknowledged before the command began. Exit code 0 means that it is on disk and was
read back in full.

The copy does not contain the master key, without which it cannot be read: keep a
copy of master.key too, apart from the database's.

To restore, stop the service, put the copy into the data directory as neo.db,
remove neo.db-wal and neo.db-shm if they exist, and start the service. That undoes
everything done since the copy: erased people are back, locks set since are gone.
docs/operators.md says what to do about it.

Copy a PostgreSQL database with pg_dump: see docs/postgresql.md.`
}

func (c *backupCmd) Run(ctx context.Context, t *terminal) error {
	if c.Database != "" {
		return usage(errors.New("the data is in PostgreSQL: copy it with pg_dump (docs/postgresql.md)"))
	}
	if err := (serve.Place{Dir: c.Data}).Backup(ctx, c.To); err != nil {
		return ofStore(ofFile(err))
	}
	key := serve.MasterKey(c.Data)
	return t.tell(c.JSON, map[string]any{"copy": c.To, "masterKey": key},
		fmt.Sprintf("The database was copied to %s. Keep a copy of the master key, %s, somewhere else.", c.To, key))
}

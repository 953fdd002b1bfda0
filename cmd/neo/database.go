package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"neoapi/internal/serve"
	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
)

// databaseFlag names the PostgreSQL database of commands that work on data.
type databaseFlag struct {
	Database string   `env:"NEO_DATABASE" placeholder:"URL" help:"PostgreSQL database, such as postgres://neo@db.example.com/neo, in place of the file neo.db."`
	LockWait lockWait `name:"lock-wait" env:"NEO_LOCK_WAIT" default:"1m" placeholder:"1m" help:"How long to wait at the start for another process that holds the data (default ${default})."`

	notify func(what string) // what is waited for
}

// AfterApply refuses a password in the flag.
func (d *databaseFlag) AfterApply(parsed *kong.Context, t *terminal) error {
	d.notify = func(what string) { t.waiting(what, asJSON(parsed)) }
	return checkDatabase(parsed, d.Database)
}

// place returns the place of data in a data directory or the database.
func (d *databaseFlag) place(dir string) serve.Place {
	return serve.Place{Dir: dir, Database: d.Database, Wait: store.Waiting{Limit: time.Duration(d.LockWait), Notify: d.notify}}
}

// lockWait is the value of --lock-wait.
type lockWait time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (w *lockWait) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return fmt.Errorf("must be a time such as 30s or 10m, not %q", text)
	}
	*w = lockWait(d)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (w lockWait) MarshalText() ([]byte, error) { return []byte(time.Duration(w).String()), nil }

// waiting reports what a command waits for before it begins.
func (t *terminal) waiting(what string, asJSON bool) {
	if !asJSON {
		t.note("waiting for " + what)
		return
	}
	line, err := json.Marshal(map[string]string{"waitingFor": what})
	if err != nil { // cannot happen: it is text
		panic(err)
	}
	_, _ = fmt.Fprintln(t.err, printable(string(line)))
}

// checkDatabase refuses a database URL with a password if it was given as a flag,
// which every user of the machine can see.
func checkDatabase(parsed *kong.Context, url string) error {
	for _, p := range parsed.Path {
		if p.Flag == nil || p.Flag.Name != "database" || p.Resolved {
			continue // not a flag: set from the environment or a file
		}
		secret, err := postgres.HasPassword(url)
		if err != nil {
			return err
		}
		if secret {
			return errors.New("--database: a password in a flag can be seen in the list of processes: " +
				"put the URL into NEO_DATABASE, or the password into PGPASSWORD or a file that PGPASSFILE names")
		}
	}
	return nil
}

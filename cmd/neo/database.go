package main

import (
	"errors"

	"github.com/alecthomas/kong"

	"neoapi/internal/store/postgres"
)

// databaseFlag names the PostgreSQL database of commands that work on data.
type databaseFlag struct {
	Database string `env:"NEO_DATABASE" placeholder:"URL" help:"PostgreSQL database, such as postgres://neo@db.example.com/neo, in place of the file neo.db."`
}

// AfterApply refuses a password in the flag.
func (d databaseFlag) AfterApply(parsed *kong.Context) error {
	return checkDatabase(parsed, d.Database)
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

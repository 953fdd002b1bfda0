package postgres_test

import (
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver that goose migrates through
	"github.com/pressly/goose/v3"

	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest"
)

func TestStore(t *testing.T) {
	// One store, emptied for each test: to make a database takes ten times as long, and
	// to open it three times.
	url := pgtest.Database(t)
	s, empty := openAt(t, url), raw(t, url)
	storetest.Run(t, func(t *testing.T) store.Store { emptied(t, empty); return s })
}

// emptied empties a database by a connection to it.
func emptied(t *testing.T, c *pgx.Conn) {
	t.Helper()
	_, err := c.Exec(t.Context(), `DELETE FROM settled; DELETE FROM accounts; DELETE FROM consumers; DELETE FROM signing_keys;
		DELETE FROM events; DELETE FROM account_states; DELETE FROM sessions; DELETE FROM allowances; DELETE FROM revocations; DELETE FROM jobs;
		DELETE FROM imports`)
	if err != nil {
		t.Fatal(err)
	}
}

// openAt opens the database at url and closes it when the test is over.
func openAt(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// raw connects to the database at url beside the store.
func raw(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func query(t *testing.T, url, sql string) {
	t.Helper()
	if _, err := raw(t, url).Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestMigrations_letTwoVersionsRunAtOnce(t *testing.T) {
	storetest.OnlyAdds(t, os.DirFS("."), "00001_start.sql")
}

func TestMigrations_keepDataOfTheVersionBeforeWorking(t *testing.T) {
	url := pgtest.Empty(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	before, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations"))
	if err == nil {
		_, err = before.UpTo(t.Context(), 4)
	}
	if err != nil {
		t.Fatal(err)
	}
	storetest.Upgrade(t, func(statement string) { t.Helper(); query(t, url, statement) },
		func(x time.Time) string { return "'" + x.Format(time.RFC3339Nano) + "'::timestamptz" },
		`INSERT INTO account_states (account, version, totp_step, failures) VALUES ('account-1', 1, 7, '')`,
		func() store.Store { return openAt(t, url) })
}

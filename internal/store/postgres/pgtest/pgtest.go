// Package pgtest gives tests a real PostgreSQL: a cluster of their own, and in it
// a fresh database for each test that asks.
//
// Start with [Database]. It starts one cluster for the whole process, which ends with
// it; the environment variable NEO_TEST_POSTGRES names the address of a running one
// to use instead, as its superuser. Tests with faults need a cluster of their own:
// [Private]. With go test -short tests that need either are skipped.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/must"
	"neoapi/internal/store/postgres"
	"neoapi/internal/testserver"
)

const adminEnv = "NEO_TEST_POSTGRES"

// shared is the cluster of this process: the address of its database postgres.
var shared = sync.OnceValues(func() (url string, err error) {
	if url := os.Getenv(adminEnv); url != "" {
		return url, nil
	}
	if own, err = New(); err != nil {
		return "", err
	}
	return own.URL("postgres"), nil
})

// own keeps the cluster of this process alive: it ends with the last reference to its
// keeper's input, here with the process.
var own *Cluster

// Database returns the address of a fresh database with the store's tables, which
// is dropped when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	admin, name := create(t)
	t.Cleanup(func() {
		if err := drop(admin, name); err != nil {
			t.Errorf("dropping a test's database: %v", err)
		}
	})
	return in(admin, name)
}

// Private starts a cluster of the test's own; settings are lines for its
// configuration. It is removed when the test ends.
func Private(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	skipShort(t)
	c, err := New(settings...)
	if errors.Is(err, errMissing) {
		missing(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Remove(); err != nil {
			t.Errorf("removing the cluster: %v", err)
		}
	})
	return c
}

// skipShort skips a test that needs PostgreSQL if -short is set.
func skipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("NOT TESTED: with -short no PostgreSQL is started")
	}
}

// missing skips a test because PostgreSQL is missing, and reports that; with CI=true
// it fails the test.
func missing(t testing.TB) {
	t.Helper()
	must.Skip(t, "%v", errMissing)
}

// template is the database from which others are copied: a copy takes a fraction of
// the time of the migrations.
const template = "neo_test_template"

// making is the lock of processes that create the template of one cluster.
const making = 7_366_010_001

// create makes a database.
func create(t testing.TB) (admin, name string) {
	t.Helper()
	skipShort(t)
	admin, err := shared()
	if errors.Is(err, errMissing) {
		missing(t)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := makeTemplate(); err != nil {
		t.Fatalf("template of the test databases: %v", err)
	}
	name = "neo_test_" + strings.ToLower(rand.Text())
	if err := do(admin, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
	return admin, name
}

func drop(admin, name string) error { return do(admin, "DROP DATABASE "+name+" WITH (FORCE)") }

// Empty is Database without the store's tables.
func Empty(t testing.TB) string {
	t.Helper()
	url := Database(t)
	if err := do(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
		t.Fatal(err)
	}
	return url
}

// in returns the address of another database of a cluster.
func in(admin, name string) string {
	u, err := url.Parse(admin)
	if err != nil {
		panic(fmt.Sprintf("%s is not the address of a database", adminEnv))
	}
	u.Path = "/" + name
	return u.String()
}

// makeTemplate makes the template if the cluster has none yet.
var makeTemplate = sync.OnceValue(func() error {
	ctx := context.Background()
	admin, _ := shared()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", making); err != nil {
		return err
	}
	var there bool
	err = conn.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_database WHERE datname = $1", template).Scan(&there)
	if err != nil || there {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	s, err := postgres.Open(ctx, in(admin, template))
	if err != nil {
		return err
	}
	return s.Close()
})

// do runs one statement for the superuser.
func do(admin, sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// chosen are the databases that belong to data directories, by directory.
var chosen = struct {
	sync.Mutex
	databases map[string]*ofDir
}{databases: map[string]*ofDir{}}

// ofDir is the database of a directory.
type ofDir struct {
	name  string
	lived bool // the directory was there
}

func init() { testserver.Database = Chosen }

// Chosen returns the database of a data directory if the tests run on PostgreSQL
// (NEO_TEST_STORE=postgres), and "" if they run on SQLite. The first call for a
// directory creates its database; once the directory is removed, a later call drops
// it.
func Chosen(t testing.TB, dir string) string {
	t.Helper()
	switch store := os.Getenv(testserver.StoreEnv); store {
	case "", "sqlite":
		return ""
	case "postgres":
	default:
		t.Fatalf("%s is %q: it may be sqlite or postgres", testserver.StoreEnv, store)
	}
	chosen.Lock()
	defer chosen.Unlock()
	admin, _ := shared()
	for d, x := range chosen.databases {
		_, err := os.Stat(d)
		if err == nil {
			x.lived = true
		} else if x.lived {
			if err := drop(admin, x.name); err != nil {
				t.Fatal(err)
			}
			delete(chosen.databases, d)
		}
	}
	if chosen.databases[dir] == nil {
		_, name := create(t)
		chosen.databases[dir] = &ofDir{name: name}
	}
	return in(admin, chosen.databases[dir].name)
}

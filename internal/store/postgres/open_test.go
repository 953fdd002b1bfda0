package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"neoapi/internal/store"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest"
)

var processes = storetest.Processes{Open: func(ctx context.Context, url string) (store.Store, error) { return postgres.Open(ctx, url) }}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // the parallel tests wait more than they compute
		panic(err)
	}
	processes.Main(m)
}

func TestProcesses(t *testing.T) { processes.Run(t, pgtest.Empty) }

func TestOpen_waitsForAMigrationAndHonoursItsContext(t *testing.T) {
	url := pgtest.Empty(t)
	other := raw(t, url)
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_lock(7366010000)`); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() { opened <- processes.OpenAndClose(url) }()
	someoneWaits(t, url)
	if s, err := postgres.Open(shortly(t), url); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opened %v with error %v, want that of the context", s, err)
	}
	select {
	case err := <-opened:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if _, err := other.Exec(t.Context(), `SELECT pg_advisory_unlock(7366010000)`); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// Of whoever holds the lock of migrations, and of whoever keeps a migration from a table.
func TestOpen_saysWhomItWaitsForAndGivesUp(t *testing.T) {
	for name, hold := range map[string]string{
		"the lock of migrations": `SELECT pg_advisory_xact_lock(7366010000)`,
		"a table":                `LOCK goose_db_version`,
	} {
		for _, through := range []string{"", "transaction"} {
			t.Run(name+" "+through, func(t *testing.T) {
				t.Parallel()
				direct := pgtest.Empty(t)
				url := direct
				if through != "" {
					url = pgtest.Bouncer(t, direct, poolers[through]...)
				}
				other := raw(t, direct+"&application_name=holder")
				tx, err := other.Begin(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if name == "a table" {
					if _, err := other.Exec(t.Context(), `COMMIT; CREATE TABLE goose_db_version (version_id bigint, is_applied boolean); BEGIN`); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := tx.Exec(t.Context(), hold); err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf(`PostgreSQL's process %d, application "holder"`, other.PgConn().PID())
				said := make(chan string, 2)
				_, err = postgres.Open(t.Context(), url, store.Waiting{Limit: store.NotifyAfter + 500*time.Millisecond, Notify: func(what string) { said <- what }})
				var held *store.HeldError
				if !errors.As(err, &held) || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want one that names %s", err, want)
				}
				close(said)
				var all []string
				for what := range said {
					all = append(all, what)
				}
				if len(all) != 1 || !strings.Contains(all[0], want) {
					t.Errorf("said were %q, want one line that names %s", all, want)
				}
			})
		}
	}
}

// No lock of a start outlives it, also behind a pooler, whose sessions do.
func TestOpen_leavesNoLock(t *testing.T) {
	for mode, settings := range poolers {
		direct := pgtest.Empty(t)
		openAt(t, pgtest.Bouncer(t, direct, settings...))
		var locks int
		err := raw(t, direct).QueryRow(t.Context(), `SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
			WHERE locktype = 'advisory' AND datname = current_database()`).Scan(&locks)
		if err != nil || locks > 0 {
			t.Errorf("%s: %d locks are left (%v)", mode, locks, err)
		}
	}
}

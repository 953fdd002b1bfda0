package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
)

// wholeLogin does what the service does to the store for a login with a one-time code, on
// a new session.
func wholeLogin(ctx context.Context, s *postgres.Store) error {
	sid := rand.Text()
	var errs []error
	_, err := s.Consumer(ctx, "consumer")
	errs = append(errs, err)
	_, err = s.Account(ctx, login.Identifier{Kind: login.ByID, Value: credential.Secret("nobody")})
	if !errors.Is(err, login.ErrNotFound) {
		errs = append(errs, err)
	}
	for _, step := range steps {
		if step.name == "End" { // a logout
			continue
		}
		if err := step.do(ctx, s, sid); err != nil {
			return errors.Join(append(errs, fmt.Errorf("%s: %w", step.name, err))...)
		}
	}
	code := login.Job{ID: sid, Kind: "of " + login.JobKind(sid), SID: sid, Account: "account of " + sid, Created: now, Expires: now.Add(time.Minute)}
	errs = append(errs, s.AddJob(ctx, code))
	jobs, err := s.ClaimJobs(ctx, login.JobClaim{Kind: code.Kind, ID: "claim", Now: now, Lease: time.Minute, N: 1})
	if err == nil && len(jobs) == 1 {
		err = s.EndJob(ctx, jobs[0], nil, nil)
	}
	return errors.Join(append(errs, err)...)
}

// limited opens a database as a role with all rights to its tables, but not their owner,
// and returns a connection of the owner's.
func limited(t *testing.T) (s *postgres.Store, owner *pgx.Conn, role string) {
	t.Helper()
	address := pgtest.Database(t)
	owner = raw(t, address)
	role = "neo_test_" + strings.ToLower(rand.Text())
	do := func(sql string) {
		t.Helper()
		if _, err := owner.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	do(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'neo'`)
	t.Cleanup(func() {
		do(`DROP OWNED BY ` + role)
		do(`DROP ROLE ` + role)
	})
	do(`GRANT ALL ON ALL TABLES IN SCHEMA public TO ` + role)
	do(`GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ` + role)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "neo")
	q := u.Query()
	q.Set("lock_timeout", "200ms")
	u.RawQuery = q.Encode()
	return withConsumer(t, openAt(t, u.String())), owner, role
}

func tables(t *testing.T, c *pgx.Conn) []string {
	t.Helper()
	rows, err := c.Query(t.Context(), `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) < 10 {
		t.Fatalf("tables %v, %v", all, err)
	}
	return all
}

// If a login fails because of a right that is missing or a table that is locked, the
// rehearsal fails, and so it does not where logins go on as ever.
func TestRehearse_failsWhereALoginWould(t *testing.T) {
	t.Parallel()
	var failed atomic.Int64
	check := func(t *testing.T, s *postgres.Store, fault string) {
		t.Helper()
		real, tried := wholeLogin(t.Context(), s), s.Rehearse(t.Context(), now)
		if real != nil && tried == nil {
			t.Errorf("%s: the rehearsal succeeds, and a login fails: %v", fault, real)
		}
		if real == nil && tried != nil {
			t.Errorf("%s: the rehearsal fails, and a login succeeds: %v", fault, tried)
		}
		if real != nil {
			failed.Add(1)
		}
	}
	t.Run("faults", func(t *testing.T) {
		t.Run("rights", func(t *testing.T) {
			t.Parallel()
			s, owner, role := limited(t)
			check(t, s, "nothing")
			for _, table := range tables(t, owner) {
				for _, right := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
					what := fmt.Sprintf("%s ON %s", right, table)
					execute(t, owner, "REVOKE "+what+" FROM "+role)
					check(t, s, "no "+what)
					execute(t, owner, "GRANT "+what+" TO "+role)
				}
			}
			check(t, s, "nothing, in the end")
		})
		for _, mode := range []string{"ACCESS EXCLUSIVE", "SHARE"} {
			t.Run(mode, func(t *testing.T) {
				t.Parallel()
				s, owner, _ := limited(t)
				for _, table := range tables(t, owner) {
					tx, err := owner.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					execute(t, owner, "LOCK TABLE "+table+" IN "+mode+" MODE")
					check(t, s, table+" is locked")
					if err := tx.Rollback(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				check(t, s, "nothing, in the end")
			})
		}
	})
	if n := failed.Load(); n < 15 {
		t.Errorf("%d faults broke a login: the test tests nothing", n)
	}
}

func execute(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

package postgres_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"neoapi/internal/login"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest/linear"
)

// roles are settings that a role can have which the store must not depend on.
var roles = []string{
	"DateStyle = 'SQL, DMY'",
	"IntervalStyle = sql_standard",
	"TimeZone = 'Asia/Kolkata'",
	"bytea_output = escape",
	"extra_float_digits = -15",
	"client_encoding = LATIN1",
	"standard_conforming_strings = off",
	"default_transaction_isolation = serializable",
	"default_transaction_read_only = on",
	"default_transaction_deferrable = on",
	"statement_timeout = '50ms'",
	"lock_timeout = '1ms'",
	"idle_in_transaction_session_timeout = '50ms'",
	"idle_session_timeout = '1s'",
	"search_path = ''",
	"search_path = nowhere",
	"synchronous_commit = off",
	"plan_cache_mode = force_custom_plan",
	"array_nulls = off",
	"transform_null_equals = on",
	"row_security = off",
	"lc_messages = 'C'",
}

// asRole returns the address of an empty database for a role of its own with settings.
func asRole(t *testing.T, settings ...string) string {
	t.Helper()
	admin := pgtest.Empty(t)
	role := strings.TrimPrefix(mustParse(t, admin).Path, "/")
	query(t, admin, "CREATE ROLE "+role+" LOGIN; ALTER SCHEMA public OWNER TO "+role)
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), admin)
		if err == nil {
			_, err = c.Exec(context.Background(), "ALTER SCHEMA public OWNER TO postgres; DROP OWNED BY "+role+"; DROP ROLE "+role)
			_ = c.Close(context.Background())
		}
		if err != nil {
			t.Error(err)
		}
	})
	for _, s := range settings {
		query(t, admin, "ALTER ROLE "+role+" "+s)
	}
	u := mustParse(t, admin)
	u.User = url.User(role)
	return u.String()
}

// bothWays are a database's address and that through PgBouncer in transaction mode.
func bothWays(t *testing.T, address string) map[string]string {
	t.Helper()
	return map[string]string{"direct": address, "pooled": pgtest.Bouncer(t, address, poolers["transaction"]...)}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// atOnce sets all that is different from what a server says by itself.
func atOnce() (all []string) {
	for _, s := range roles {
		if !strings.Contains(s, "nowhere") { // the last of a name counts
			all = append(all, "SET "+s)
		}
	}
	return all
}

func TestSettings_ofTheRoleChangeNothing(t *testing.T) {
	t.Parallel()
	keepsItsPromises(t, asRole(t, atOnce()...), false)
}

// Each by itself, of which the short form has a third: all at once are those of
// TestSettings_ofTheRoleChangeNothing.
func TestSettings_ofTheRoleDoNotStopAStart(t *testing.T) {
	t.Parallel()
	for i, setting := range roles {
		if !linear.Long() && i%4 != 0 && !strings.HasPrefix(setting, "search_path") {
			continue
		}
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			for name, address := range bothWays(t, asRole(t, "SET "+setting)) {
				s := withConsumer(t, openAt(t, address))
				take(t, s, name, steps...)
				if _, err := s.LastEvent(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := s.SigningKeys(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// What is in force where something is written, directly and through a pooler.
func TestSettings_inForceAreTheStoresOwn(t *testing.T) {
	direct := asRole(t, "SET DateStyle = 'SQL, DMY'", "SET IntervalStyle = sql_standard", "SET TimeZone = 'Asia/Kolkata'", "SET bytea_output = escape",
		"SET default_transaction_isolation = serializable", "SET default_transaction_read_only = on", "SET statement_timeout = '3min'", "SET lock_timeout = '3min'",
		"SET idle_in_transaction_session_timeout = '3min'", "SET synchronous_commit = off", "SET search_path = nowhere", "SET client_encoding = LATIN1")
	for name, address := range bothWays(t, direct) {
		t.Run(name, func(t *testing.T) {
			s := openAt(t, address)
			admin := mustParse(t, direct)
			admin.User = url.User("postgres")
			query(t, admin.String(), `CREATE OR REPLACE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				SELECT string_agg(name || ' ' || current_setting(name), ', ' ORDER BY n) INTO NEW.outcome FROM unnest(ARRAY['DateStyle', 'IntervalStyle',
					'TimeZone', 'bytea_output', 'transaction_isolation', 'transaction_read_only', 'statement_timeout', 'lock_timeout',
					'idle_in_transaction_session_timeout', 'synchronous_commit', 'search_path', 'client_encoding']) WITH ORDINALITY AS x (name, n);
				RETURN NEW; END $$;
				CREATE OR REPLACE TRIGGER seen BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION seen()`)
			if err := s.Record(t.Context(), event("seen "+name, "seen")); err != nil {
				t.Fatal(err)
			}
			all, err := s.Events(t.Context(), login.EventQuery{UCC: "seen " + name, N: 1})
			if err != nil {
				t.Fatal(err)
			}
			const want = "DateStyle ISO, MDY, IntervalStyle postgres, TimeZone UTC, bytea_output hex, transaction_isolation read committed, " +
				"transaction_read_only off, statement_timeout 11s, lock_timeout 1500ms, idle_in_transaction_session_timeout 5s, " +
				"synchronous_commit on, search_path public, client_encoding UTF8"
			if len(all) != 1 || all[0].Outcome != want {
				t.Errorf("got %+v, want\n%s", all, want)
			}
		})
	}
}

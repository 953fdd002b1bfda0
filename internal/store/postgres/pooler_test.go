package postgres_test

import (
	"fmt"
	"net/url"
	"testing"

	"neoapi/internal/store"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest"
	"neoapi/internal/store/storetest/linear"
)

// poolers are the configurations of PgBouncer that the store works behind, without a
// setting of its own: those in which it refuses what it does not know, ignores it, or
// gives each client a session.
var poolers = map[string][]string{
	"transaction": {"pool_mode = transaction", "default_pool_size = 8"},
	"ignoring": {"pool_mode = transaction", "default_pool_size = 8", "ignore_startup_parameters = IntervalStyle, bytea_output, extra_float_digits," +
		"default_transaction_isolation, default_transaction_read_only, default_transaction_deferrable, plan_cache_mode, statement_timeout," +
		"lock_timeout, idle_in_transaction_session_timeout"},
	"session": {"pool_mode = session", "default_pool_size = 60"},
}

// And so whatever the role's settings, none of which is in force by itself behind it.
func TestPooler_keepsWhatAStorePromises(t *testing.T) {
	t.Parallel()
	keepsItsPromises(t, asRole(t, atOnce()...), true)
	if linear.Long() {
		keepsItsPromises(t, asRole(t), true)
	}
}

// keepsItsPromises runs the stores' tests on an empty database.
func keepsItsPromises(t *testing.T, direct string, pooled bool) {
	t.Helper()
	address := direct
	if pooled {
		address = pgtest.Bouncer(t, direct, poolers["transaction"]...)
	}
	s := openAt(t, address)
	empty := raw(t, direct+"&search_path=public&default_transaction_read_only=off&statement_timeout=0&idle_session_timeout=0")
	storetest.Run(t, func(t *testing.T) store.Store { emptied(t, empty); return s })
}

func TestPooler_servesSeveralProcesses(t *testing.T) {
	t.Parallel()
	processes := processes
	processes.Again = true
	processes.Run(t, func(t testing.TB) string { return pgtest.Bouncer(t, pgtest.Empty(t), poolers["transaction"]...) })
}

func TestPooler_needsNoSetting(t *testing.T) {
	for mode, settings := range poolers {
		t.Run(mode, func(t *testing.T) {
			address := pgtest.Bouncer(t, pgtest.Empty(t), settings...)
			for i := range 3 { // the server's sessions are the same
				s := withConsumer(t, openAt(t, address))
				everyStep(t.Context(), s, fmt.Sprint("at once ", i))
				take(t, s, fmt.Sprint("login ", i), steps...)
			}
		})
	}
}

func TestPooler_thatCannotWorkIsRefusedInPlainWords(t *testing.T) {
	direct := pgtest.Empty(t)
	wantHint(t, pgtest.Bouncer(t, direct, "pool_mode = statement"), "pool_mode = transaction")
	wantHint(t, pgtest.Bouncer(t, direct, poolers["transaction"]...)+"&options="+url.QueryEscape("-c search_path=x"), "write each setting into the URL by its name")
}

// Settings in the URL are those of each transaction.
func TestPooler_keepsTheURLsSettings(t *testing.T) {
	direct := pgtest.Empty(t)
	query(t, direct, "CREATE SCHEMA own")
	s := withConsumer(t, openAt(t, pgtest.Bouncer(t, direct, poolers["transaction"]...)+"&search_path=own"))
	take(t, s, "login", steps...)
	query(t, direct, "SELECT FROM own.sessions")
}

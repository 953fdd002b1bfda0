package postgres_test

import (
	"fmt"
	"net/url"
	"testing"

	"neoapi/internal/store"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest"
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

func TestPooler_keepsWhatAStorePromises(t *testing.T) {
	direct := pgtest.Database(t)
	s, empty := openAt(t, pgtest.Bouncer(t, direct, poolers["transaction"]...)), raw(t, direct)
	storetest.Run(t, func(t *testing.T) store.Store { emptied(t, empty); return s })
}

func TestPooler_servesSeveralProcesses(t *testing.T) {
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

package postgres_test

import (
	"fmt"
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
			url := pgtest.Bouncer(t, pgtest.Empty(t), settings...)
			for i := range 3 { // the server's sessions are the same
				s := withConsumer(t, openAt(t, url))
				everyStep(t.Context(), s, fmt.Sprint("at once ", i))
				take(t, s, fmt.Sprint("login ", i), steps...)
			}
		})
	}
}

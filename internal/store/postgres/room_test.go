package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"neoapi/internal/store/postgres"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/internal/store/storetest/linear"
)

// Two processes for which the server has fewer connections than they could use: every
// login is made in its time, of both.
func TestRoom_isSharedByProcessesForWhichThereIsLittle(t *testing.T) {
	for _, connections := range []int{1, 2, 4} {
		if connections == 2 && !linear.Long() {
			continue
		}
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			address := asRole(t, fmt.Sprint("CONNECTION LIMIT ", connections))
			stores := []*postgres.Store{withConsumer(t, openAt(t, address)), openAt(t, address)}
			var all sync.WaitGroup
			for i, s := range stores {
				for worker := range 8 {
					all.Go(func() {
						for login := range 300 / 2 / 8 {
							sid := fmt.Sprint("login ", i, worker, login)
							for _, step := range steps {
								if err := step.do(t.Context(), s, sid); err != nil {
									t.Errorf("%s: %s: %v", sid, step.name, err)
									return
								}
							}
						}
					})
				}
			}
			all.Wait()
		})
	}
}

// A process that holds all connections, and has nothing to do, gives some to one that
// has none: it was not alone when it took them.
func TestRoom_isGivenToAProcessThatHasNone(t *testing.T) {
	address := asRole(t)
	idle := withConsumer(t, openAt(t, address))
	everyStep(t.Context(), idle, "at once ") // many connections are open
	admin := mustParse(t, address)
	role := admin.User.Username()
	admin.User = nil
	query(t, strings.Replace(admin.String(), "postgres://", "postgres://postgres@", 1), "ALTER ROLE "+role+" CONNECTION LIMIT 2")
	other := openAt(t, address)
	for i := range 20 {
		take(t, other, fmt.Sprint("login ", i), steps...)
	}
	take(t, idle, "login", steps...)
}

// The same where the server's own limit is reached, by others too.
func TestRoom_isFoundOnAServerThatIsFull(t *testing.T) {
	t.Parallel()
	c := pgtest.Private(t, "max_connections=8", "superuser_reserved_connections=3")
	query(t, c.URL("postgres"), "CREATE ROLE neo LOGIN; ALTER SCHEMA public OWNER TO neo")
	address := strings.Replace(c.URL("postgres"), "postgres@", "neo@", 1)
	for range 3 {
		raw(t, address)
	}
	stores := []*postgres.Store{withConsumer(t, openAt(t, address)), openAt(t, address), openAt(t, address)}
	var all sync.WaitGroup
	for i, s := range stores {
		for worker := range 2 {
			all.Go(func() {
				for login := range 5 {
					sid := fmt.Sprint("login ", i, worker, login)
					for _, step := range steps {
						if err := step.do(t.Context(), s, sid); err != nil {
							t.Errorf("%s: %s: %v", sid, step.name, err)
							return
						}
					}
				}
			})
		}
	}
	all.Wait()
}

func TestConnections_areNoMoreThanAllowed(t *testing.T) {
	url := pgtest.Database(t)
	for more, most := range map[string]int{"": 16, "&pool_max_conns=3": 3} {
		s, err := postgres.Open(t.Context(), url+more)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			everyStep(t.Context(), s, fmt.Sprint("login ", i))
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := s.State(t.Context(), "nobody"); err != nil {
					t.Error(err)
				}
			})
		}
		var open int
		err = raw(t, url).QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'neo'`).Scan(&open)
		if err != nil || open > most || open == 0 {
			t.Errorf("%d connections are open, want at most %d (%v)", open, most, err)
		}
		all.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

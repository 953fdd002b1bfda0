package main

import (
	"testing"

	"neoapi/internal/front"
	"neoapi/internal/serve"
)

// Whatever is configured, and however low the limit of open files: clients and
// operators together never use up what the service needs itself, the limit it asks for
// is enough, and what it says is the least lets it start.
func TestFiles_ofClientsLeaveThoseOfTheService(t *testing.T) {
	for _, place := range []serve.Place{{}, {Database: "postgres://localhost/neo?pool_max_conns=50"}} {
		for _, at := range []ruleFlags{{}, {Metrics: "127.0.0.1:0"}} {
			for _, cfg := range []serve.Config{{}, {TradeAPI: "http://localhost"}, {Couriers: "c", OMSFile: "o", Admin: "unix:s"}} {
				for _, wanted := range []int{1, 5, 100, 2048, 50_000} {
					cfg.Limits = front.Limits{Connections: wanted}
					f := filesFor(place, at, cfg)
					for limit := 0; limit < f.needed(wanted); limit += 1 + limit/50 {
						clients, operators := f.share(limit)
						if clients > wanted || limit >= f.needed(fewestAccepted) && clients < min(wanted, fewestAccepted) {
							t.Errorf("%+v with %d: %d connections", f, limit, clients)
						}
						if used := f.fixed + clients*f.perClient + f.listeners*operators; clients > 0 && used > limit || operators < 1 {
							t.Errorf("%+v with %d: %d connections and %d of operators make %d", f, limit, clients, operators, used)
						}
					}
					if clients, _ := f.share(f.needed(wanted)); clients != wanted {
						t.Errorf("%+v with the limit it needs, %d: %d connections", f, f.needed(wanted), clients)
					}
				}
			}
		}
	}
}

package main

import (
	"fmt"

	"neoapi/internal/adminapi"
	"neoapi/internal/front"
	"neoapi/internal/serve"
	"neoapi/internal/store/postgres"
)

// Every connection is an open file to the system, which limits them for each process
// (ulimit -n). Clients must not use up those that the service needs for its store, its
// couriers and its operators: if the limit is too low for --max-connections, fewer
// connections are accepted.
const (
	filesOfOwn     = 40 // the program, its listeners, a store in a file, settings that are read again
	filesOfCalls   = 64 // calls of couriers and OMS that no client waits for, idle connections
	fewestAccepted = 16 // with fewer connections it does not start
	defaultClients = 2048
)

// A files is what a service needs of the limit of open files.
type files struct {
	fixed     int
	listeners int // of operators
	perClient int // its connection, and one to the trade API or the OMS on its behalf
	clients   int // connections wanted
}

// filesFor returns what a service needs.
func filesFor(place serve.Place, at ruleFlags, cfg serve.Config) files {
	f := files{fixed: filesOfOwn, perClient: 1, clients: cfg.Limits.Connections}
	if f.clients == 0 {
		f.clients = defaultClients
	}
	if place.Database != "" {
		n, _ := postgres.Connections(place.Database) // an error is reported when it is opened
		f.fixed += n
	}
	if cfg.Couriers != "" || cfg.OMSFile != "" {
		f.fixed += filesOfCalls
	}
	if cfg.TradeAPI != "" || cfg.OMSFile != "" {
		f.perClient = 2
	}
	for _, address := range []string{at.Metrics, cfg.Admin} {
		if address != "" {
			f.listeners++
			f.fixed += front.Spares
		}
	}
	return f
}

// needed returns the limit with which all connections wanted can be accepted.
func (f files) needed(clients int) int {
	each := max(1, min(operatorsAtOnce, clients*f.perClient/4))
	return f.fixed + f.listeners*each + clients*f.perClient
}

// operatorsAtOnce is how many connections an operator's listener accepts.
const operatorsAtOnce = adminapi.AtOnce

// share divides a limit: how many connections are accepted from clients, and at each of
// the operators' listeners.
func (f files) share(limit int) (clients, operators int) {
	left := max(0, limit-f.fixed)
	operators = max(1, min(operatorsAtOnce, left/8))
	return min(f.clients, (left-f.listeners*operators)/f.perClient), operators
}

// fit limits the connections of a service to what the limit of open files allows, and
// says so.
func (f files) fit(cfg *serve.Config, limit int) (metrics int, err error) {
	clients, operators := f.share(limit)
	switch {
	case clients < min(f.clients, fewestAccepted):
		return 0, fmt.Errorf("this process may have %d files open, which is too few: the service needs %d, and %d for %d connections at once; "+
			"raise the limit (ulimit -n, or LimitNOFILE= of its unit)", limit, f.needed(fewestAccepted), f.needed(f.clients), f.clients)
	case clients < f.clients:
		cfg.Log.Warn("the limit of open files is too low for the connections wanted (--max-connections): fewer are accepted at once",
			"limit", limit, "wanted", f.clients, "accepted", clients, "limit_needed", f.needed(f.clients))
	}
	cfg.Limits.Connections, cfg.AdminConnections = clients, operators
	return operators, nil
}

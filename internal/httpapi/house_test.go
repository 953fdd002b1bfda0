package httpapi_test

import (
	"context"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/serve"
	"neoapi/internal/store"
	"neoapi/internal/store/postgres/pgtest"
	"neoapi/neoapitest"
)

// A house is a service, a caller of its demo consumer, and its data, which an operator
// has open beside it.
type house struct {
	caller
	dir   string
	admin *operator.Admin
	data  *serve.Data
}

func newHouse(t testing.TB, options ...neoapitest.Option) house {
	t.Helper()
	return houseIn(t, t.TempDir(), options...)
}

// houseIn is newHouse with data that outlive it.
func houseIn(t testing.TB, dir string, options ...neoapitest.Option) house {
	t.Helper()
	srv := neoapitest.NewServer(t, append(options, neoapitest.WithData(dir))...)
	m, data := admin(t, dir)
	return house{consumer(t, srv), dir, m, data}
}

// account returns an account as the store has it.
func (h house) account(t testing.TB, ucc string) login.Account {
	t.Helper()
	a, err := h.data.Store.Account(t.Context(), login.Identifier{Kind: login.ByUCC, Value: credential.Secret(ucc)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// demo is account of the demo account.
func (h house) demo(t testing.TB) login.Account {
	t.Helper()
	return h.account(t, h.Account.UCC)
}

// outcomes counts the events of an action by their outcomes.
func (h house) outcomes(t testing.TB, action string) map[string]int {
	t.Helper()
	return outcomes(events(t, h.data.Store, 0), action)
}

// addConsumer adds a consumer with the demo's secret.
func (h house) addConsumer(t testing.TB, key string) {
	t.Helper()
	if _, _, err := h.admin.AddConsumer(t.Context(), key, "", credential.Secret(h.ConsumerSecret), 0); err != nil {
		t.Fatal(err)
	}
}

// admin opens a running server's data directory beside it, as neo account does.
func admin(t testing.TB, dir string) (*operator.Admin, *serve.Data) {
	t.Helper()
	data, err := serve.Open(t.Context(), place(t, dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	})
	return data.Admin(), data
}

// place is where neoapitest keeps the data of a server with this data directory.
func place(t testing.TB, dir string) serve.Place {
	t.Helper()
	return serve.Place{Dir: dir, Database: pgtest.Chosen(t, dir)}
}

// openStore opens the store of a service's data directory, to read what it holds.
func openStore(t testing.TB, dir string) store.Store {
	t.Helper()
	_, data := admin(t, dir)
	return data.Store
}

// events returns the audit trail after an event.
func events(t testing.TB, store store.Store, after int64) []login.Event {
	t.Helper()
	all, err := store.Events(context.Background(), login.EventQuery{After: after, N: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// outcomes counts the events of an action by their outcomes.
func outcomes(all []login.Event, action string) map[string]int {
	n := map[string]int{}
	for _, e := range all {
		if e.Action == action {
			n[e.Outcome]++
		}
	}
	return n
}

// eventually waits until something holds, for as long as a busy machine may need.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// soon waits until try answers with a status, for as long as security.md S4 allows and
// the machine's noise needs.
func soon(t testing.TB, status int, try func() reply) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r := try()
		if r.status == status {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d, want %d: %s", r.status, status, r.body)
		}
	}
}

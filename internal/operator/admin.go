// Package operator implements what operators do: add, change, remove and erase
// accounts and consumers, rotate keys, import another system's accounts and inspect
// what is stored. It works on the store directly, with or without a running service.
//
// Start with [Admin]; [Import] is the import of a CSV file.
package operator

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/paste"
	"neoapi/internal/store"
)

// An Admin makes the changes of an operator. A running service sees each of them
// within 1 s (security.md S4).
type Admin struct {
	Store   store.Store
	Vault   *credential.Vault
	Now     func() time.Time
	By      string // who makes the changes, for the audit trail
	Address string // the address recorded in their events
}

// event returns the audit event of a change.
func (m *Admin) event(action string) login.Event {
	return login.Event{Time: m.Now(), Action: action, Outcome: "ok", Address: m.Address, By: m.By}
}

func (m *Admin) accountEvent(action string, a login.Account) login.Event {
	e := m.event(action)
	e.Account, e.UCC = a.ID, a.UCC
	return e
}

func (m *Admin) consumerEvent(action, key string) login.Event {
	e := m.event(action)
	e.Consumer = key
	return e
}

// CheckBy returns what is wrong with a name for [Admin.By], or nil.
func CheckBy(name string) error {
	if strings.TrimSpace(name) == "" {
		return login.Invalid("name", "must not be empty")
	}
	_, err := nameOf(name)
	return err
}

// nameOf checks the name of a person or an application. It is printed on terminals,
// so it must have no invisible character.
func nameOf(text string) (string, error) {
	name, err := paste.Name(text)
	switch {
	case err != nil:
		return "", login.Invalid("name", err.Error())
	case len(name) > 128:
		return "", login.Invalid("name", "must be at most 128 bytes")
	}
	return name, nil
}

// ByUCC returns the account with a typed or pasted UCC. Errors: of KindInput;
// ErrNotFound, with an account that has only its UCC, in its stored form.
func (m *Admin) ByUCC(ctx context.Context, ucc string) (login.Account, error) {
	id, err := login.ParsePasted(login.ByUCC, ucc)
	if err != nil {
		return login.Account{}, err
	}
	a, err := m.Store.Account(ctx, id)
	if errors.Is(err, login.ErrNotFound) {
		a = login.Account{UCC: string(id.Value)}
	}
	return a, err
}

// EachAccount returns all accounts in the order of their UCC, read page by page. An
// error is the last pair.
func (m *Admin) EachAccount(ctx context.Context) iter.Seq2[login.Account, error] {
	return each(ctx, m.Store.ListAccounts, func(a login.Account) string { return a.UCC })
}

// EachConsumer returns all consumers in the order of their keys, likewise.
func (m *Admin) EachConsumer(ctx context.Context) iter.Seq2[login.Consumer, error] {
	return each(ctx, m.Store.ListConsumers, func(c login.Consumer) string { return c.Key })
}

// page is how many records are read at once.
const page = 1000

// each pages through a list that continues after a key.
func each[T any](ctx context.Context, list func(ctx context.Context, after string, n int) ([]T, error), key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after := ""; ; {
			all, err := list(ctx, after, page)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, x := range all {
				if !yield(x, nil) {
					return
				}
				after = key(x)
			}
			if len(all) < page {
				return
			}
		}
	}
}

// EventPages passes all events of a query to f, page by page.
func (m *Admin) EventPages(ctx context.Context, q login.EventQuery, f func([]login.Event) error) error {
	for q.N = page; ; {
		events, err := m.Store.Events(ctx, q)
		if err != nil {
			return err
		}
		if err := f(events); err != nil || len(events) < q.N {
			return err
		}
		q.After = events[len(events)-1].Seq
	}
}

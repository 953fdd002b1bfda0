package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

var accountTests = []test{
	{"an account is found by each of its identifiers, with every field as it was stored", func(t *testing.T, s store.Store) {
		want := newAccount(1)
		full(t, want)
		add(t, s, want, newAccount(2))
		for kind, value := range map[login.IdentifierKind]string{
			login.ByID: want.ID, login.ByUCC: want.UCC, login.ByUserID: want.UserID, login.ByMobile: want.Mobile,
			login.ByPAN: string(want.PANIndex), // the service looks a PAN up by its keyed hash
		} {
			got, err := s.Account(t.Context(), named(kind, value))
			good(t, err)
			same(t, "account by "+string(kind), got, want)
		}
	}},
	{"an account without what is optional is stored as such", func(t *testing.T, s store.Store) {
		want := login.Account{ID: "id", UCC: "UCC", UserID: "user", Mobile: "+919999999999", PasswordHash: "$argon2id$"}
		add(t, s, want)
		got, err := s.Account(t.Context(), named(login.ByID, "id"))
		good(t, err)
		same(t, "account", got, want)
	}},
	{"an identifier that nobody has is not found", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		for _, id := range []login.Identifier{
			named(login.ByID, a.UCC), named(login.ByUCC, a.ID), named(login.ByUserID, a.UCC), named(login.ByMobile, a.UserID),
			named(login.ByPAN, string(a.PAN)), named(login.ByUCC, a.UCC[:5]), named(login.ByUCC, a.UCC+" "), named(login.ByUCC, "UCC%"),
			named(login.ByID, ""), named(login.ByUCC, ""), named(login.ByUserID, ""), named(login.ByMobile, ""),
		} {
			got, err := s.Account(t.Context(), id)
			refused(t, err, login.ErrNotFound)
			same(t, "account of nobody", got, login.Account{})
		}
	}},
	{"accounts without PAN do not collide, and are not found by an empty one", func(t *testing.T, s store.Store) {
		for n, index := range [][]byte{nil, nil, {}, {}} {
			a := newAccount(n)
			a.PANIndex, a.PAN = index, index
			good(t, s.AddAccount(t.Context(), a, newEvent("added", a.ID)))
		}
		_, err := s.Account(t.Context(), named(login.ByPAN, ""))
		refused(t, err, login.ErrNotFound)
	}},
	{"an account whose UCC, user id, mobile number or PAN is taken is refused by that field's name, and nothing is stored", func(t *testing.T, s store.Store) {
		taken := newAccount(1)
		add(t, s, taken)
		for i, c := range []struct {
			field string
			take  func(a *login.Account)
		}{
			{"UCC", func(a *login.Account) { a.UCC = taken.UCC }},
			{"user id", func(a *login.Account) { a.UserID = taken.UserID }},
			{"mobile number", func(a *login.Account) { a.Mobile = taken.Mobile }},
			{"PAN", func(a *login.Account) { a.PANIndex = taken.PANIndex }},
		} {
			a := newAccount(10 + i)
			c.take(&a)
			unchanged(t, s, nil, func() {
				err := s.AddAccount(t.Context(), a, newEvent("refused", a.ID))
				refused(t, err, login.ErrExists)
				if err != nil && !strings.Contains(err.Error(), (&login.ExistsError{Field: c.field}).Error()) {
					t.Errorf("got error %q for a taken %s, want it to say %q", err, c.field, &login.ExistsError{Field: c.field})
				}
			})
			_, err := s.Account(t.Context(), byID(10+i))
			refused(t, err, login.ErrNotFound)
		}
	}},
	{"an account whose id is taken is refused, and nothing is stored", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1))
		a := newAccount(2)
		a.ID = newAccount(1).ID
		unchanged(t, s, nil, func() {
			if s.AddAccount(t.Context(), a, newEvent("refused", a.ID)) == nil {
				t.Error("stored a second account under one id")
			}
		})
	}},
	{"of accounts with one UCC that are added at once one is stored, with its event", func(t *testing.T, s store.Store) {
		got := outcomes(t, together(20, func(i int) error {
			a := newAccount(i)
			a.UCC = "UCC"
			return s.AddAccount(t.Context(), a, newEvent("added", a.ID))
		}))
		same(t, "outcomes", got, map[string]int{"ok": 1, "already exists": 19})
		one, err := s.ListAccounts(t.Context(), "", 10)
		good(t, err)
		if len(one) != 1 || len(events(t, s, "")) != 1 || events(t, s, "")[0].Account != one[0].ID {
			t.Errorf("%d accounts and %d events are stored, want the one account and its event", len(one), len(events(t, s, "")))
		}
	}},

	{"a hash is replaced if it still is the old one", func(t *testing.T, s store.Store) {
		want := newAccount(1)
		add(t, s, want, newAccount(2))
		good(t, s.SetHash(t.Context(), want.ID, login.Password, want.PasswordHash, "new password hash"))
		good(t, s.SetHash(t.Context(), want.ID, login.MPIN, want.MPINHash, "new MPIN hash"))
		want.PasswordHash, want.MPINHash = "new password hash", "new MPIN hash"
		got, err := s.Account(t.Context(), byID(1))
		good(t, err)
		same(t, "account", got, want)
		other, err := s.Account(t.Context(), byID(2))
		good(t, err)
		same(t, "the other account", other, newAccount(2))
	}},
	{"a hash that has changed meanwhile is not replaced", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		unchanged(t, s, nil, func() {
			good(t, s.SetHash(t.Context(), a.ID, login.Password, "not the old hash", "new hash"))
			good(t, s.SetHash(t.Context(), a.ID, login.Password, a.MPINHash, "new hash"))
			good(t, s.SetHash(t.Context(), a.ID, login.MPIN, a.PasswordHash, "new hash"))
			good(t, s.SetHash(t.Context(), "nobody", login.Password, a.PasswordHash, "new hash"))
		})
	}},
	{"of replacements of one hash at once one is made", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		outcomes(t, together(10, func(i int) error {
			return s.SetHash(t.Context(), a.ID, login.Password, a.PasswordHash, fmt.Sprint("new hash ", i))
		}))
		got, err := s.Account(t.Context(), byID(1))
		good(t, err)
		first := got.PasswordHash
		if !strings.HasPrefix(first, "new hash ") {
			t.Fatalf("the hash is %q, want one of the new ones", first)
		}
		good(t, s.SetHash(t.Context(), a.ID, login.Password, a.PasswordHash, "too late"))
		got, err = s.Account(t.Context(), byID(1))
		good(t, err)
		same(t, "hash", got.PasswordHash, first)
	}},
	{"a factor that has no hash is refused", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		unchanged(t, s, nil, func() {
			for _, f := range []login.Factor{login.TOTP, login.OTP, "", "greeting_name"} {
				if s.SetHash(t.Context(), a.ID, f, "", "x") == nil {
					t.Errorf("factor %q was given a hash", f)
				}
			}
		})
	}},

	{"a removed account is gone, its names are free again and the event is stored", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1), newAccount(2))
		good(t, s.RemoveAccount(t.Context(), newAccount(1).ID, newEvent("removed", newAccount(1).ID)))
		_, err := s.Account(t.Context(), byID(1))
		refused(t, err, login.ErrNotFound)
		_, err = s.Account(t.Context(), byID(2))
		good(t, err)
		same(t, "events", eventNames(t, s, newAccount(1).ID), []string{"added", "removed"})
		again := newAccount(1)
		again.ID = "another id"
		good(t, s.AddAccount(t.Context(), again, newEvent("added again", again.ID)))
	}},
	{"an account that does not exist is not removed, and no event is stored", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1))
		unchanged(t, s, nil, func() {
			refused(t, s.RemoveAccount(t.Context(), "nobody", newEvent("removed", "nobody")), login.ErrNotFound)
			refused(t, s.RemoveAccount(t.Context(), "", newEvent("removed", "")), login.ErrNotFound)
		})
	}},
	{"accounts are listed in the order of their UCC, page by page", func(t *testing.T, s store.Store) {
		for _, n := range []int{5, 3, 1, 4, 2} {
			add(t, s, newAccount(n))
		}
		for _, c := range []struct {
			after string
			n     int
			want  []int
		}{
			{"", 10, []int{1, 2, 3, 4, 5}}, {"", 2, []int{1, 2}}, {"UCC002", 2, []int{3, 4}}, {"UCC004", 2, []int{5}},
			{"UCC005", 2, nil}, {"UCC", 1, []int{1}}, {"UCC0025", 1, []int{3}}, {"", 0, nil},
		} {
			got, err := s.ListAccounts(t.Context(), c.after, c.n)
			good(t, err)
			var want []login.Account
			for _, n := range c.want {
				want = append(want, newAccount(n))
			}
			same(t, fmt.Sprintf("%d accounts after %q", c.n, c.after), got, want)
		}
	}},
}

// add stores accounts, each with an event called "added".
func add(t *testing.T, s store.Store, accounts ...login.Account) {
	t.Helper()
	for _, a := range accounts {
		good(t, s.AddAccount(t.Context(), a, newEvent("added", a.ID)))
	}
}

var consumerTests = []test{
	{"a consumer is found by its key, with every field as it was stored", func(t *testing.T, s store.Store) {
		want := newConsumer("consumer-1")
		full(t, want)
		good(t, s.AddConsumer(t.Context(), want, newEvent("added", "")))
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-2"), newEvent("added too", "")))
		got, err := s.Consumer(t.Context(), "consumer-1")
		good(t, err)
		same(t, "consumer", got, want)
		same(t, "events", eventNames(t, s, ""), []string{"added", "added too"})
	}},
	{"a key that no consumer has is not found", func(t *testing.T, s store.Store) {
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		for _, key := range []string{"", "consumer", "consumer-11", "CONSUMER-1", "consumer-1 ", "consumer%"} {
			got, err := s.Consumer(t.Context(), key)
			refused(t, err, login.ErrNotFound)
			same(t, "consumer of no key", got, login.Consumer{})
		}
	}},
	{"a consumer whose key is taken is refused, and nothing is stored", func(t *testing.T, s store.Store) {
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		other := newConsumer("consumer-1")
		other.Name = "another name"
		unchanged(t, s, nil, func() {
			err := s.AddConsumer(t.Context(), other, newEvent("refused", ""))
			refused(t, err, login.ErrExists)
			if err != nil && !strings.Contains(err.Error(), "key") {
				t.Errorf("error %q does not name the key", err)
			}
		})
	}},
	{"a removed consumer is gone, its key is free again and the event is stored", func(t *testing.T, s store.Store) {
		for _, key := range []string{"consumer-1", "consumer-2"} {
			good(t, s.AddConsumer(t.Context(), newConsumer(key), newEvent("added "+key, "")))
		}
		good(t, s.RemoveConsumer(t.Context(), "consumer-1", newEvent("removed", "")))
		_, err := s.Consumer(t.Context(), "consumer-1")
		refused(t, err, login.ErrNotFound)
		_, err = s.Consumer(t.Context(), "consumer-2")
		good(t, err)
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added again", "")))
		same(t, "events", eventNames(t, s, ""), []string{"added consumer-1", "added consumer-2", "removed", "added again"})
	}},
	{"a consumer that does not exist is not removed, and no event is stored", func(t *testing.T, s store.Store) {
		unchanged(t, s, nil, func() {
			refused(t, s.RemoveConsumer(t.Context(), "nobody", newEvent("removed", "")), login.ErrNotFound)
		})
	}},
	{"consumers are listed in the order of the bytes of their keys, page by page", func(t *testing.T, s store.Store) {
		keys := []string{"b", "B", "a-1", "a", "_", "a.1", "ab", "1"}
		for _, key := range keys {
			good(t, s.AddConsumer(t.Context(), newConsumer(key), newEvent("added", "")))
		}
		slices.Sort(keys)
		var paged []string
		for after := ""; ; after = paged[len(paged)-1] {
			page, err := s.ListConsumers(t.Context(), after, 3)
			good(t, err)
			for _, c := range page {
				same(t, "consumer", c, newConsumer(c.Key))
				paged = append(paged, c.Key)
			}
			if len(page) < 3 {
				break
			}
		}
		same(t, "keys", paged, keys)
	}},
}

package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// errRefused is what a change returns that must not be stored.
var errRefused = errors.New("refused")

var changeTests = []test{
	{"a change of an account is stored with its event and raises its version, and nobody else's", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1), newAccount(2))
		want := newAccount(1)
		good(t, s.ChangeAccount(t.Context(), want.ID, newEvent("changed", want.ID), func(a *login.Account) (bool, error) {
			a.PasswordHash, a.MPINHash, a.TOTPSeed, a.Disabled = "$new", "", nil, false
			a.UCC, a.Caches = "OTHER", nil // not saved
			return false, nil
		}))
		want.PasswordHash, want.MPINHash, want.TOTPSeed, want.Disabled, want.Version = "$new", "", nil, false, want.Version+1
		changed(t, newAccount(1), want, "ID", "UCC", "UserID", "Mobile", "Reach", "PANIndex", "PAN", "GreetingName", "Caches", "Created") // are not saved
		for _, want := range []login.Account{want, newAccount(2)} {
			got, err := s.Account(t.Context(), named(login.ByID, want.ID))
			good(t, err)
			same(t, "account", got, want)
		}
		same(t, "events", eventNames(t, s, want.ID), []string{"added", "changed"})
	}},
	{"a change ends the account's sessions if it says so, in the same operation", func(t *testing.T, s store.Store) {
		a, b := newAccount(1), newAccount(2)
		add(t, s, a, b)
		x, held := trade(t, s, "trade", a.ID), open(t, s, "view", a.ID)
		claim(t, s, newClaim(held, "claim", at(0)))
		trade(t, s, "other", b.ID)
		keep := func(*login.Account) (bool, error) { return false, nil }
		good(t, s.ChangeAccount(t.Context(), a.ID, newEvent("kept", a.ID), keep))
		same(t, "session", stored(t, s, "trade"), x)
		end := func(*login.Account) (bool, error) { return true, nil }
		good(t, s.ChangeAccount(t.Context(), a.ID, newEvent("ended", a.ID), end))
		for _, sid := range []string{"trade", "view"} {
			_, err := s.Session(t.Context(), sid)
			refused(t, err, login.ErrNotFound)
		}
		refused(t, s.Complete(t.Context(), "claim", newTrade(held, at(0)), newEvent("completed", a.ID)), login.ErrClaimLost)
		stored(t, s, "other")
	}},
	{"a change that is refused, or of nobody, leaves everything as it was", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		trade(t, s, "sid", a.ID)
		unchanged(t, s, []string{"sid"}, func() {
			e := newEvent("refused", a.ID)
			refused(t, s.ChangeAccount(t.Context(), a.ID, e, func(a *login.Account) (bool, error) {
				a.PasswordHash = "$new"
				return true, errRefused
			}), errRefused)
			refused(t, s.ChangeAccount(t.Context(), "nobody", e, func(*login.Account) (bool, error) { return true, nil }), login.ErrNotFound)
			refused(t, s.SetCaches(t.Context(), "nobody", map[string]int64{"watchlist": 1}, e), login.ErrNotFound)
			refused(t, s.ChangeConsumer(t.Context(), "consumer-1", e, func(c *login.Consumer) error { c.Rate = 9; return errRefused }), errRefused)
			refused(t, s.ChangeConsumer(t.Context(), "nobody", e, func(*login.Consumer) error { return nil }), login.ErrNotFound)
		})
	}},
	{"of changes at once each works on what the one before it has left", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		a.MPINHash = ""
		add(t, s, a)
		good(t, s.AddConsumer(t.Context(), newConsumer("consumer-1"), newEvent("added", "")))
		errs := together(16, func(i int) error {
			err := s.ChangeAccount(t.Context(), a.ID, newEvent(fmt.Sprint("changed ", i), a.ID), func(a *login.Account) (bool, error) {
				a.MPINHash += "x"
				return i%2 == 0, nil
			})
			return errors.Join(err, s.ChangeConsumer(t.Context(), "consumer-1", newEvent(fmt.Sprint("consumer ", i), ""), func(c *login.Consumer) error {
				c.Rate++
				return nil
			}), s.SetCaches(t.Context(), a.ID, map[string]int64{fmt.Sprint("set", i): int64(i)}, newEvent(fmt.Sprint("caches ", i), a.ID)))
		})
		for _, err := range errs {
			good(t, err)
		}
		got, err := s.Account(t.Context(), byID(1))
		good(t, err)
		if len(got.MPINHash) != 16 || got.Version != a.Version+16 || len(got.Caches) != len(a.Caches)+16 {
			t.Errorf("left are %q, version %d, %d caches", got.MPINHash, got.Version, len(got.Caches))
		}
		c, err := s.Consumer(t.Context(), "consumer-1")
		good(t, err)
		if c.Rate != newConsumer("").Rate+16 {
			t.Errorf("the rate is %d", c.Rate)
		}
		if n := len(events(t, s, "")); n != 1+3*16+1 { // two were added
			t.Errorf("%d events", n)
		}
	}},
	{"a change keeps a hash that a login has made stronger", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		good(t, s.ChangeAccount(t.Context(), a.ID, newEvent("changed", a.ID), func(x *login.Account) (bool, error) {
			x.MPINHash = "$mpin"
			return true, nil
		}))
		good(t, s.SetHash(t.Context(), a.ID, login.Password, a.PasswordHash, "$stronger"))
		good(t, s.ChangeAccount(t.Context(), a.ID, newEvent("again", a.ID), func(x *login.Account) (bool, error) {
			x.Disabled = false
			return false, nil
		}))
		got, err := s.Account(t.Context(), byID(1))
		good(t, err)
		if got.PasswordHash != "$stronger" || got.MPINHash != "$mpin" {
			t.Errorf("left are %q and %q", got.PasswordHash, got.MPINHash)
		}
	}},
	{"caches are set one by one, and the others stay", func(t *testing.T, s store.Store) {
		a := newAccount(1)
		add(t, s, a)
		good(t, s.SetCaches(t.Context(), a.ID, map[string]int64{"watchlist": 5, "baskets": 6}, newEvent("set", a.ID)))
		got, err := s.Account(t.Context(), byID(1))
		good(t, err)
		a.Caches["watchlist"], a.Caches["baskets"] = 5, 6
		same(t, "account", got, a)
		same(t, "events", eventNames(t, s, a.ID), []string{"added", "set"})
	}},
	{"a change of a consumer is stored with its event, and nobody else's", func(t *testing.T, s store.Store) {
		for _, key := range []string{"consumer-1", "consumer-2"} {
			good(t, s.AddConsumer(t.Context(), newConsumer(key), newEvent("added "+key, "")))
		}
		want := newConsumer("consumer-1")
		want.Rate, want.SecretHash, want.OldSecretHash, want.OldSecretUntil, want.Allow = -1, []byte("new"), nil, time.Time{}, nil
		changed(t, newConsumer("consumer-1"), want, "Key", "Incarnation", "Name", "Created") // are not saved
		good(t, s.ChangeConsumer(t.Context(), "consumer-1", newEvent("changed", ""), func(c *login.Consumer) error {
			*c = want
			c.Key, c.Name = "other", "other" // not saved
			return nil
		}))
		for _, want := range []login.Consumer{want, newConsumer("consumer-2")} {
			got, err := s.Consumer(t.Context(), want.Key)
			good(t, err)
			same(t, "consumer", got, want)
		}
		same(t, "events", eventNames(t, s, ""), []string{"added consumer-1", "added consumer-2", "changed"})
	}},
	{"an account's live sessions are listed, oldest first", func(t *testing.T, s store.Store) {
		x := trade(t, s, "trade", "account-1")
		v := newView("view", "account-1")
		v.Issued = at(-time.Second)
		good(t, s.OpenView(t.Context(), v, 0, "try", newEvent("opened", "account-1")))
		gone := newView("expired", "account-1")
		gone.Expires = at(time.Minute)
		good(t, s.OpenView(t.Context(), gone, 0, "try", newEvent("opened", "account-1")))
		trade(t, s, "other", "account-2")
		got, err := s.SessionsOf(t.Context(), "account-1", at(time.Minute))
		good(t, err)
		same(t, "sessions", got, []login.Session{v, x})
		got, err = s.SessionsOf(t.Context(), "account-3", at(0))
		good(t, err)
		same(t, "sessions of nobody", got, []login.Session{})
	}},
	{"one session or all of an account are revoked with the event, claimed ones too", func(t *testing.T, s store.Store) {
		trade(t, s, "one", "account-1")
		trade(t, s, "two", "account-1")
		held := open(t, s, "view", "account-1")
		claim(t, s, newClaim(held, "claim", at(0)))
		trade(t, s, "other", "account-2")
		good(t, s.Revoke(t.Context(), "account-1", "one", newEvent("revoked one", "account-1")))
		_, err := s.Session(t.Context(), "one")
		refused(t, err, login.ErrNotFound)
		unchanged(t, s, []string{"two", "view", "other"}, func() {
			refused(t, s.Revoke(t.Context(), "account-1", "one", newEvent("again", "account-1")), login.ErrNotFound)
			refused(t, s.Revoke(t.Context(), "account-1", "other", newEvent("another's", "account-1")), login.ErrNotFound)
		})
		good(t, s.Revoke(t.Context(), "account-1", "", newEvent("revoked all", "account-1")))
		for _, sid := range []string{"two", "view"} {
			_, err := s.Session(t.Context(), sid)
			refused(t, err, login.ErrNotFound)
		}
		refused(t, s.Complete(t.Context(), "claim", newTrade(held, at(0)), newEvent("completed", "account-1")), login.ErrClaimLost)
		stored(t, s, "other")
		refused(t, s.Revoke(t.Context(), "account-1", "", newEvent("nothing left", "account-1")), login.ErrNotFound)
		names := eventNames(t, s, "account-1")
		same(t, "last events", names[len(names)-2:], []string{"revoked one", "revoked all"})
	}},
}

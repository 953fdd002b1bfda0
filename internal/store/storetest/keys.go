package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// newKey returns a signing key that signs from a time after start on.
func newKey(id string, signs time.Duration) login.SigningKey {
	return login.SigningKey{ID: id, Sealed: []byte("\x00\xffsealed " + id), Created: at(0), Signs: at(signs)}
}

// keyIDs returns the ids of the signing keys, in the order in which they are given.
func keyIDs(t *testing.T, s store.Store) (ids []string) {
	t.Helper()
	keys, err := s.SigningKeys(t.Context())
	good(t, err)
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids
}

var keyTests = []test{
	{"there is no signing key at first", func(t *testing.T, s store.Store) {
		keys, err := s.SigningKeys(t.Context())
		good(t, err)
		same(t, "keys", keys, []login.SigningKey{})
	}},
	{"the first signing key is stored with every field, and no second one as the first", func(t *testing.T, s store.Store) {
		want := login.SigningKey{ID: "key-1", Sealed: []byte("\x00\xffsealed"), Created: at(0), Signs: at(time.Second)}
		full(t, want)
		good(t, s.AddFirstSigningKey(t.Context(), want))
		good(t, s.AddFirstSigningKey(t.Context(), login.SigningKey{ID: "key-2", Sealed: []byte("other"), Created: at(1)}))
		good(t, s.AddFirstSigningKey(t.Context(), login.SigningKey{ID: "key-1", Sealed: []byte("other"), Created: at(1)}))
		keys, err := s.SigningKeys(t.Context())
		good(t, err)
		same(t, "keys", keys, []login.SigningKey{want})
	}},
	{"of 20 first signing keys at once one remains, and all see the same", func(t *testing.T, s store.Store) {
		seen := make([]string, 20)
		errs := together(20, func(i int) error {
			k := login.SigningKey{ID: fmt.Sprint("key-", i), Sealed: []byte{byte(i)}, Created: at(0)}
			if err := s.AddFirstSigningKey(t.Context(), k); err != nil {
				return err
			}
			keys, err := s.SigningKeys(t.Context())
			if err == nil && len(keys) != 1 {
				err = fmt.Errorf("there are %d keys", len(keys))
			}
			if err == nil {
				seen[i] = keys[0].ID
			}
			return err
		})
		good(t, errors.Join(errs...))
		if slices.Sort(seen); seen[0] != seen[19] {
			t.Errorf("different first keys were seen: %v", seen)
		}
	}},
	{"signing keys come in the order of their time to sign, with every field and their events", func(t *testing.T, s store.Store) {
		good(t, s.AddFirstSigningKey(t.Context(), newKey("first", 0)))
		for id, signs := range map[string]time.Duration{"third": time.Hour, "second": time.Minute} {
			good(t, s.AddSigningKey(t.Context(), newKey(id, signs), newEvent("added "+id, "")))
		}
		good(t, s.AddSigningKey(t.Context(), newKey("also third", time.Hour), newEvent("added also third", "")))
		keys, err := s.SigningKeys(t.Context())
		good(t, err)
		same(t, "keys", keys, []login.SigningKey{newKey("first", 0), newKey("second", time.Minute), newKey("third", time.Hour), newKey("also third", time.Hour)})
		if n := len(events(t, s, "")); n != 3 {
			t.Errorf("%d events of three keys", n)
		}
	}},
	{"a signing key is not added twice", func(t *testing.T, s store.Store) {
		good(t, s.AddSigningKey(t.Context(), newKey("key", 0), newEvent("added", "")))
		unchanged(t, s, nil, func() {
			if err := s.AddSigningKey(t.Context(), newKey("key", time.Hour), newEvent("again", "")); err == nil {
				t.Error("it was")
			}
		})
	}},
	{"keys that are added at once are all there", func(t *testing.T, s store.Store) {
		for _, err := range together(10, func(i int) error {
			id := fmt.Sprint("key-", i)
			return s.AddSigningKey(t.Context(), newKey(id, time.Duration(i)*time.Minute), newEvent(id, ""))
		}) {
			good(t, err)
		}
		if ids := keyIDs(t, s); len(ids) != 10 {
			t.Errorf("there are %v", ids)
		}
	}},
	{"a signing key is removed with its event, unless it signs", func(t *testing.T, s store.Store) {
		remove := func(id string, now time.Duration) error {
			e := newEvent("removed "+id, "")
			e.Time = at(now)
			return s.RemoveSigningKey(t.Context(), id, e)
		}
		for id, signs := range map[string]time.Duration{"old": 0, "now": time.Minute, "next": time.Hour} {
			good(t, s.AddSigningKey(t.Context(), newKey(id, signs), newEvent("added "+id, "")))
		}
		unchanged(t, s, nil, func() {
			refused(t, remove("now", 2*time.Minute), login.ErrSigns)
			refused(t, remove("next", time.Hour), login.ErrSigns)
			refused(t, remove("nobody", 2*time.Minute), login.ErrNotFound)
		})
		good(t, remove("next", 2*time.Minute))
		good(t, remove("old", 2*time.Minute))
		same(t, "keys", keyIDs(t, s), []string{"now"})
		if n := len(events(t, s, "")); n != 5 {
			t.Errorf("%d events", n)
		}
	}},
	{"of those who remove all signing keys at once none removes the last one that signs", func(t *testing.T, s store.Store) {
		for range rounds(5) {
			for i := range 4 {
				id := fmt.Sprint("key-", i)
				_ = s.AddSigningKey(t.Context(), newKey(id, time.Duration(i)*time.Second), newEvent(id, "")) // but the one that is left
			}
			together(4, func(i int) error {
				e := newEvent("removed", "")
				e.Time = at(time.Hour)
				return s.RemoveSigningKey(t.Context(), fmt.Sprint("key-", i), e)
			})
			if ids := keyIDs(t, s); len(ids) != 1 || ids[0] != "key-3" {
				t.Fatalf("left are %v", ids)
			}
		}
	}},
	{"a signing key is in use while an unexpired session has its token", func(t *testing.T, s store.Store) {
		in := func(key string, now time.Duration) bool {
			used, err := s.KeyInUse(t.Context(), key, at(now))
			good(t, err)
			return used
		}
		open(t, s, "view", "account-1")        // by key-1, for an hour
		x := trade(t, s, "trade", "account-2") // by key-2, for an hour
		if !in("key-1", time.Minute) || !in("key-2", time.Minute) || in("key-3", time.Minute) {
			t.Error("it is not found, or another one is")
		}
		if in("key-1", time.Hour) {
			t.Error("by an expired session")
		}
		good(t, s.End(t.Context(), "trade", x.TradeID, newEvent("ended", "account-2")))
		if in("key-2", time.Minute) {
			t.Error("by a session that has ended")
		}
	}},
}

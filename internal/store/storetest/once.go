package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

var onceTests = []test{
	{"what is settled first stays, each under its name", func(t *testing.T, s store.Store) {
		for _, value := range []string{"\x00\xff first", "second"} {
			got, err := s.PutOnce(t.Context(), "name", []byte(value))
			good(t, err)
			same(t, "settled", string(got), "\x00\xff first")
		}
		got, err := s.PutOnce(t.Context(), "another", []byte("other"))
		good(t, err)
		same(t, "settled", string(got), "other")
	}},
	{"asking what is settled settles nothing", func(t *testing.T, s store.Store) {
		for _, want := range []string{"", "value"} {
			got, err := s.PutOnce(t.Context(), "name", nil)
			good(t, err)
			same(t, "settled", string(got), want)
			if (got == nil) != (want == "") {
				t.Errorf("got %v for %q", got, want)
			}
			_, err = s.PutOnce(t.Context(), "name", []byte("value"))
			good(t, err)
		}
	}},
	{"what is settled can be listed by the beginning of its name, and forgotten", func(t *testing.T, s store.Store) {
		for _, name := range []string{"key b", "key a", "ke", "keyring", "key%"} {
			_, err := s.PutOnce(t.Context(), name, []byte("value of "+name))
			good(t, err)
		}
		names, err := s.Names(t.Context(), "key ")
		good(t, err)
		same(t, "names", names, []string{"key a", "key b"})
		good(t, s.Forget(t.Context(), "key a", newEvent("forgotten", "")))
		refused(t, s.Forget(t.Context(), "key a", newEvent("again", "")), login.ErrNotFound)
		names, err = s.Names(t.Context(), "key")
		good(t, err)
		same(t, "names", names, []string{"key b", "key%", "keyring"})
		if n := len(events(t, s, "")); n != 1 {
			t.Errorf("%d events", n)
		}
	}},
	{"of 20 that settle one name at once all get the same", func(t *testing.T, s store.Store) {
		seen := make([]string, 20)
		good(t, errors.Join(together(20, func(i int) error {
			got, err := s.PutOnce(t.Context(), "name", []byte(fmt.Sprint("value ", i)))
			seen[i] = string(got)
			return err
		})...))
		if slices.Sort(seen); seen[0] != seen[19] || seen[0] == "" {
			t.Errorf("they got %q", seen)
		}
	}},
}

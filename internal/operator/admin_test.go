package operator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/internal/store/sqlite"
)

// onStore returns the operator's side of a new store.
func onStore(t *testing.T) *operator.Admin {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir()+"/neo.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &operator.Admin{Store: s}
}

func TestAdmin_eachAccountIsThereOnceInOrder(t *testing.T) {
	t.Parallel()
	m := onStore(t)
	want := 0
	for _, more := range []int{0, 999, 1, 1, 1000} { // below a page, a page, and beyond it
		var all []login.Account
		for range more {
			want++
			all = append(all, login.Account{
				ID: fmt.Sprint(want), UCC: fmt.Sprintf("U%05d", want), UserID: fmt.Sprint("u", want), Mobile: fmt.Sprint("+91", want),
			})
		}
		file := login.Import{File: fmt.Sprint("file ", want), Offset: 1}
		err := m.Store.AddAccounts(t.Context(), login.Import{File: file.File}, all, func([]error) (login.Import, login.Event, error) { return file, login.Event{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for a, err := range m.EachAccount(t.Context()) {
			if n++; err != nil || a.UCC != fmt.Sprintf("U%05d", n) {
				t.Fatalf("number %d is %q: %v", n, a.UCC, err)
			}
		}
		if n != want {
			t.Errorf("%d accounts, want %d", n, want)
		}
	}
	for range m.EachAccount(t.Context()) {
		break // a reader may stop
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for a, err := range m.EachAccount(ended) {
		if n++; !errors.Is(err, context.Canceled) || a.UCC != "" {
			t.Errorf("got %q and error %v", a.UCC, err)
		}
	}
	if n != 1 {
		t.Errorf("the error comes %d times, want once", n)
	}
}

func TestAdmin_byUCCTakesWhatIsPastedAndNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	m := onStore(t)
	if err := m.Store.AddAccount(t.Context(), login.Account{ID: "1", UCC: "AB1234", UserID: "u", Mobile: "+91"}, login.Event{}); err != nil {
		t.Fatal(err)
	}
	if a, err := m.ByUCC(t.Context(), " ab1234\n"); err != nil || a.ID != "1" {
		t.Errorf("got %q and error %v", a.ID, err)
	}
	if a, err := m.ByUCC(t.Context(), "ab9"); !errors.Is(err, login.ErrNotFound) || a.UCC != "AB9" || a.ID != "" {
		t.Errorf("not there: got %q, %q and error %v", a.ID, a.UCC, err)
	}
	var bad *login.Error
	if _, err := m.ByUCC(t.Context(), "no-ucc"); !errors.As(err, &bad) || bad.Kind != login.KindInput {
		t.Errorf("no UCC: got error %v", err)
	}
}

package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

// importTo stores accounts as one step of an import, and returns what it was told of
// each.
func importTo(t *testing.T, s store.Store, from, to login.Import, accounts ...login.Account) (taken []error) {
	t.Helper()
	good(t, s.AddAccounts(t.Context(), from, accounts, func(told []error) (login.Import, login.Event, error) {
		taken = told
		return to, newEvent("imported", ""), nil
	}))
	return taken
}

var importTests = []test{
	{"a step of an import stores its accounts, how far it has come, and its event", func(t *testing.T, s store.Store) {
		none, err := s.Import(t.Context(), "file")
		good(t, err)
		same(t, "an import that has not begun", none, login.Import{})
		first := login.Import{File: "file", Offset: 100, Line: 3, Added: 2, Rejected: 1, Report: 50}
		full(t, first)
		importTo(t, s, login.Import{File: "file"}, first, newAccount(1), newAccount(2))
		second := login.Import{File: "file", Offset: 150, Line: 4, Added: 3, Rejected: 1, Report: 50}
		bare := login.Account{ID: "id", UCC: "UCC", UserID: "user", Mobile: "+919999999999", PasswordHash: "$2b$"}
		importTo(t, s, first, second, bare)
		got, err := s.Import(t.Context(), "file")
		good(t, err)
		same(t, "import", got, second)
		all, err := s.ListAccounts(t.Context(), "", 10)
		good(t, err)
		same(t, "accounts", all, []login.Account{bare, newAccount(1), newAccount(2)})
		same(t, "events", eventNames(t, s, ""), []string{"imported", "imported"})
	}},
	{"accounts that collide, with others or with one another, are told by their field, and the rest is stored", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1))
		all := []login.Account{newAccount(2), newAccount(3), newAccount(4), newAccount(5), newAccount(6), newAccount(7), newAccount(8), newAccount(9)}
		all[7].UCC = newAccount(2).UCC
		all[1].UCC = newAccount(1).UCC
		all[2].UserID = newAccount(2).UserID
		all[3].Mobile = newAccount(1).Mobile
		all[4].PANIndex = newAccount(2).PANIndex
		all[5].ID = newAccount(1).ID
		taken := importTo(t, s, login.Import{File: "file"}, login.Import{File: "file", Offset: 1}, all...)
		for i, want := range []string{"", "UCC", "user id", "mobile number", "PAN", "id", "", "UCC"} {
			var field *login.ExistsError
			if got := taken[i]; want == "" && got != nil || want != "" && (!errors.As(got, &field) || field.Field != want) {
				t.Errorf("account %d: %v, want %q", i, got, want)
			}
			// The account with the same UCC is told, whether it was there or came before in this step.
			if want != "" {
				there := map[string]*login.Account{newAccount(1).UCC: new(newAccount(1)), newAccount(2).UCC: new(newAccount(2))}[all[i].UCC]
				same(t, "account there", field.There, there)
			}
		}
		stored, err := s.ListAccounts(t.Context(), "", 10)
		good(t, err)
		same(t, "accounts", stored, []login.Account{newAccount(1), newAccount(2), newAccount(8)})
	}},
	{"a step that fails, or begins elsewhere than where the import is, stores nothing", func(t *testing.T, s store.Store) {
		at := login.Import{File: "file", Offset: 100, Line: 2, Added: 1}
		importTo(t, s, login.Import{File: "file"}, at, newAccount(1))
		unchanged(t, s, nil, func() {
			refused(t, s.AddAccounts(t.Context(), at, []login.Account{newAccount(2)}, func([]error) (login.Import, login.Event, error) {
				return login.Import{File: "file", Offset: 200}, newEvent("refused", ""), errRefused
			}), errRefused)
			for _, from := range []int64{0, 99, 101} {
				err := s.AddAccounts(t.Context(), login.Import{File: "file", Offset: from}, []login.Account{newAccount(2)}, func([]error) (login.Import, login.Event, error) {
					return login.Import{File: "file", Offset: 200}, newEvent("refused", ""), nil
				})
				refused(t, err, login.ErrClaimed)
			}
		})
		got, err := s.Import(t.Context(), "file")
		good(t, err)
		same(t, "import", got, at)
	}},
	{"of the same step at once one is stored", func(t *testing.T, s store.Store) {
		got := outcomes(t, together(8, func(i int) error {
			return s.AddAccounts(t.Context(), login.Import{File: "file"}, []login.Account{newAccount(i)}, func([]error) (login.Import, login.Event, error) {
				return login.Import{File: "file", Offset: 1, Added: 1}, newEvent("imported", ""), nil
			})
		}))
		same(t, "outcomes", got, map[string]int{"ok": 1, login.ErrClaimed.Error(): 7})
		all, err := s.ListAccounts(t.Context(), "", 10)
		good(t, err)
		if len(all) != 1 {
			t.Errorf("%d accounts", len(all))
		}
	}},
	{"a sample of accounts is of those that there are", func(t *testing.T, s store.Store) {
		none, err := s.SampleAccounts(t.Context(), 5)
		good(t, err)
		same(t, "accounts of an empty store", none, []login.Account{})
		add(t, s, newAccount(1), newAccount(2))
		some, err := s.SampleAccounts(t.Context(), 64)
		good(t, err)
		if len(some) == 0 || len(some) > 64 {
			t.Errorf("%d accounts", len(some))
		}
		for _, a := range some {
			if a.UCC != newAccount(1).UCC && a.UCC != newAccount(2).UCC {
				t.Errorf("a sample has account %s", a.UCC)
			}
		}
	}},
	{"an erased account leaves nothing but its event", func(t *testing.T, s store.Store) {
		a, b := newAccount(1), newAccount(2)
		add(t, s, a, b)
		for _, x := range []login.Account{a, b} {
			v := trade(t, s, "trade of "+x.UCC, x.ID)
			good(t, s.Try(t.Context(), newTry(x.ID, login.Password, "try")))
			good(t, s.AddJob(t.Context(), login.Job{ID: "code of " + x.UCC, Kind: login.JobCode, SID: v.SID, Account: x.ID, Created: at(0), Expires: at(time.Hour)}))
		}
		good(t, s.EraseAccount(t.Context(), a.ID, newEvent("erased", "")))
		_, err := s.Account(t.Context(), byID(1))
		refused(t, err, login.ErrNotFound)
		_, err = s.Session(t.Context(), "trade of "+a.UCC)
		refused(t, err, login.ErrNotFound)
		if left := failures(t, s, a.ID); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
		if codes, err := s.Jobs(t.Context(), login.JobCode); err != nil || codes.Length != 1 {
			t.Errorf("%d codes are on their way, %v", codes.Length, err)
		}
		stored(t, s, "trade of "+b.UCC)
		if left := failures(t, s, b.ID); len(left) != 1 {
			t.Errorf("of the other account %v is left", left)
		}
		unchanged(t, s, []string{"trade of " + b.UCC}, func() {
			refused(t, s.EraseAccount(t.Context(), a.ID, newEvent("again", "")), login.ErrNotFound)
		})
	}},
	{"the events of a UCC get a pseudonym, step by step, and nobody else's", func(t *testing.T, s store.Store) {
		for i := range 7 {
			good(t, s.Record(t.Context(), newEvent(fmt.Sprint("event ", i), fmt.Sprint("account-", i%2))))
		}
		changed, after := 0, int64(0)
		for {
			last, n, err := s.ForgetEvents(t.Context(), uccOf("account-0"), "ERASED", after, 2)
			good(t, err)
			if last == 0 {
				break
			}
			after, changed = last, changed+n
		}
		if changed != 4 {
			t.Errorf("%d events have changed, want 4", changed)
		}
		for i, e := range events(t, s, "") {
			want := newEvent(fmt.Sprint("event ", i), fmt.Sprint("account-", i%2))
			if i%2 == 0 {
				want.UCC, want.Account, want.Address, want.RequestID = "ERASED", "", "", ""
			}
			want.Seq = e.Seq
			same(t, "event", e, want)
		}
	}},
}

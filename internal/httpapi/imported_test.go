package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"neoapi/internal/credential"
	"neoapi/internal/login"
	"neoapi/internal/operator"
	"neoapi/neoapitest"
)

// quick is the bcrypt hash of "U*U" with cost 5: it is checked in a fraction of the
// time that ours takes.
const quick = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

// imported stores accounts with hashes of another system: I0, I1, …
func imported(t *testing.T, m *operator.Admin, n int) (all []login.Account) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("I%d", i)
		a, err := m.Imported(operator.NewImport{
			UCC: name, UserID: name, Mobile: fmt.Sprintf("97%08d", i), PasswordHash: quick,
			MPINHash: credential.Secret("$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$7qYvHzTzXhZ1BsRkmLQvWm0mIs2wQw1jNIJTmX8zm4k"),
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	err := m.Store.AddAccounts(t.Context(), login.Import{File: "file"}, all, func(taken []error) (login.Import, login.Event, error) {
		for _, err := range taken {
			if err != nil {
				t.Error(err)
			}
		}
		return login.Import{File: "file", Offset: 1}, m.ImportEvent(""), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Three accounts of four have hashes that are checked in no time, one has ours: an
// unknown name takes as long as either, as often (security.md P5).
func TestHash_kindDoesNotTellWhetherAnAccountExists(t *testing.T) {
	const accounts = 80
	dir := t.TempDir()
	m, _ := admin(t, dir)
	imported(t, m, accounts*3/4)
	hashed, err := m.Hash(operator.NewAccount{UCC: "X", UserID: "x", Mobile: "9800000000", Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range accounts / 4 {
		name := fmt.Sprint("O", n)
		if _, err := m.AddHashed(t.Context(), hashed.As("", name, name, fmt.Sprintf("+9196%08d", n), "")); err != nil {
			t.Fatal(err)
		}
	}
	c := consumer(t, neoapitest.NewServer(t, neoapitest.WithData(dir)))
	// Five standard errors; with stand-ins that all have our hash it is near 0.9.
	cannotTell(t, c, validatePath, accounts, 0.25, func(i int) (strange, common string) {
		known := fmt.Sprint("I", i/4*3+i%4)
		if i%4 == 3 {
			known = fmt.Sprint("O", i/4)
		}
		return object("userid", fmt.Sprint("N", i), "password", "wrong-password"), object("userid", known, "password", "wrong-password")
	})
}

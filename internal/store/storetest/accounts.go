package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
}

var eventTests = []test{
	{"an event is stored with every field, and is given a number", func(t *testing.T, s store.Store) {
		want := newEvent("name", "account-1")
		full(t, want, "Seq")
		good(t, s.Record(t.Context(), want))
		got := events(t, s, "")
		if len(got) != 1 || got[0].Seq <= 0 {
			t.Fatalf("got %+v, want one event with a number above 0", got)
		}
		want.Seq = got[0].Seq
		same(t, "event", got[0], want)
	}},
	{"an event of nobody, without anything but an action, is stored as such", func(t *testing.T, s store.Store) {
		good(t, s.Record(t.Context(), login.Event{Time: at(0), Action: "login"}))
		got := events(t, s, "")
		if len(got) != 1 {
			t.Fatalf("got %d events, want one", len(got))
		}
		same(t, "event", got[0], login.Event{Seq: got[0].Seq, Time: at(0), Action: "login"})
	}},
	{"events are numbered by the store in the order in which they were stored, whatever their time and number", func(t *testing.T, s store.Store) {
		for i := range 5 {
			e := newEvent(fmt.Sprint("event ", i), "account-1")
			e.Seq, e.Time = 1, at(time.Duration(-i)*time.Second)
			good(t, s.Record(t.Context(), e))
		}
		got := events(t, s, "")
		for i, e := range got {
			if e.RequestID != fmt.Sprint("event ", i) || i > 0 && e.Seq <= got[i-1].Seq {
				t.Errorf("event %d is %q with number %d", i, e.RequestID, e.Seq)
			}
		}
	}},
	{"events are read page by page, of all or of one account", func(t *testing.T, s store.Store) {
		for i := range 10 {
			good(t, s.Record(t.Context(), newEvent(fmt.Sprint(i), []string{"", "account-1", "account-2"}[i%3])))
		}
		for account, want := range map[string][]string{
			"":          {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
			"account-1": {"1", "4", "7"}, "account-2": {"2", "5", "8"}, "account": nil,
		} {
			for n := 1; n <= 4; n++ {
				var got []string
				var after int64
				for {
					page, err := s.Events(t.Context(), login.EventQuery{UCC: uccOf(account), After: after, N: n})
					good(t, err)
					if len(page) > n {
						t.Fatalf("a page of %d has %d events", n, len(page))
					}
					if len(page) == 0 {
						break
					}
					for _, e := range page {
						got = append(got, e.RequestID)
					}
					after = page[len(page)-1].Seq
				}
				same(t, fmt.Sprintf("events of %q, %d a page", account, n), got, want)
			}
		}
	}},
	{"events are read from a time on", func(t *testing.T, s store.Store) {
		for i := range 6 {
			e := newEvent(fmt.Sprint(i), []string{"account-1", "account-2"}[i%2])
			e.Time = at(time.Duration(i) * time.Second)
			good(t, s.Record(t.Context(), e))
		}
		since := func(ucc string, from time.Duration, want ...string) {
			t.Helper()
			var got []string
			page, err := s.Events(t.Context(), login.EventQuery{UCC: ucc, Since: at(from), N: 10})
			good(t, err)
			for _, e := range page {
				got = append(got, e.RequestID)
			}
			same(t, "events", got, want)
		}
		since("", 4*time.Second, "4", "5")
		since("", 4*time.Second+time.Millisecond, "5")
		since("", time.Hour)
		for i := range 1000 { // far more than a block of any index
			e := newEvent("late", "account-3")
			e.Time = at(time.Minute + time.Duration(i)*time.Second)
			good(t, s.Record(t.Context(), e))
		}
		page, err := s.Events(t.Context(), login.EventQuery{Since: at(time.Minute + 700*time.Second), N: 1000})
		good(t, err)
		if len(page) != 300 || !page[0].Time.Equal(at(time.Minute+700*time.Second)) {
			t.Errorf("got %d events, want the last 300", len(page))
		}
		since(uccOf("account-2"), time.Second+time.Millisecond, "3", "5")
	}},
	{"events are read up to a time, and the last ones of all that a query selects", func(t *testing.T, s store.Store) {
		for i := range 6 {
			e := newEvent(fmt.Sprint(i), []string{"account-1", "account-2"}[i%2])
			e.Time = at(time.Duration(i) * time.Second)
			good(t, s.Record(t.Context(), e))
		}
		for _, x := range []struct {
			q    login.EventQuery
			want []string
		}{
			{login.EventQuery{Until: at(2 * time.Second), N: 10}, []string{"0", "1"}},
			{login.EventQuery{Since: at(time.Second), Until: at(2*time.Second + time.Millisecond), N: 10}, []string{"1", "2"}},
			{login.EventQuery{Until: at(-time.Hour), N: 10}, nil},
			{login.EventQuery{Last: true, N: 2}, []string{"4", "5"}},
			{login.EventQuery{Last: true, N: 10}, []string{"0", "1", "2", "3", "4", "5"}},
			{login.EventQuery{Last: true, N: 2, UCC: uccOf("account-1"), Until: at(4 * time.Second)}, []string{"0", "2"}},
			{login.EventQuery{Last: true, N: 1, Since: at(time.Second), Until: at(5 * time.Second)}, []string{"4"}},
		} {
			var got []string
			page, err := s.Events(t.Context(), x.q)
			good(t, err)
			for _, e := range page {
				got = append(got, e.RequestID)
			}
			same(t, fmt.Sprintf("%+v", x.q), got, x.want)
		}
	}},
	{"events that are stored at once are all there, each with its own number", func(t *testing.T, s store.Store) {
		outcomes(t, together(50, func(i int) error { return s.Record(t.Context(), newEvent(fmt.Sprint(i), "account-1")) }))
		names, numbers := map[string]bool{}, map[int64]bool{}
		for _, e := range events(t, s, "account-1") {
			names[e.RequestID], numbers[e.Seq] = true, true
		}
		if len(names) != 50 || len(numbers) != 50 {
			t.Errorf("%d events with %d numbers are stored, want 50", len(names), len(numbers))
		}
	}},
	{"names that are no text are found nowhere, and are no trouble", func(t *testing.T, s store.Store) {
		add(t, s, newAccount(1))
		open(t, s, "sid", "account-1")
		for _, name := range []string{"\xff", "sid\xff", "sid\x00", "\x00", "\xed\xa0\x80"} {
			for _, kind := range []login.IdentifierKind{login.ByID, login.ByUCC, login.ByUserID, login.ByMobile, login.ByPAN} {
				_, err := s.Account(t.Context(), named(kind, name))
				refused(t, err, login.ErrNotFound)
			}
			_, err := s.Consumer(t.Context(), name)
			refused(t, err, login.ErrNotFound)
			_, err = s.Session(t.Context(), name)
			refused(t, err, login.ErrNotFound)
			_, err = s.PendingView(t.Context(), name, consumerOf(name), time.Time{}, at(0))
			refused(t, err, login.ErrNotFound)
			_, err = s.Claim(t.Context(), newClaim(newView(name, "account-1"), "claim", at(0)))
			refused(t, err, login.ErrNotFound)
			_, err = s.SetOTP(t.Context(), newCode(name, 0, at(0)))
			refused(t, err, login.ErrNotFound)
			refused(t, s.End(t.Context(), name, name, newEvent("ended", "account-1")), login.ErrNotFound)

			before := len(events(t, s, ""))
			e := newEvent(name, "account-1")
			e.SID, e.Consumer, e.Address = name, name, name
			good(t, s.Record(t.Context(), e))
			if n := len(events(t, s, "")) - before; n != 1 {
				t.Errorf("%d events are stored, want one", n)
			}
		}
	}},
}

var settleTests = []test{
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

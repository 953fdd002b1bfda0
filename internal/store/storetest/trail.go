package storetest

import (
	"fmt"
	"testing"
	"time"

	"neoapi/internal/login"
	"neoapi/internal/store"
)

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
			_, _, err = s.Claim(t.Context(), newClaim(newView(name, "account-1"), "claim", at(0)))
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

package paper

import (
	"testing"
	"time"

	"neoapi/internal/paper/listing"
)

func TestExchange_listsADayWhenSomebodyFirstAsks(t *testing.T) {
	now := time.Date(2026, 9, 21, 10, 0, 0, 0, listing.India)
	x := New(Config{Start: now})
	unlisted := func(what string) {
		t.Helper()
		if x.day != nil || x.instruments != nil || x.byKey != nil {
			t.Errorf("%s: the day is listed", what)
		}
	}
	unlisted("new")
	now = now.AddDate(0, 0, 2)
	x.Run(now)
	unlisted("two days later")
	x.Orders(now, "TEST1")
	x.Limits(now, "TEST1")
	unlisted("after a look at an empty account")
	if got, want := x.Listing(now).Date, listing.DateOf(now); got != want || len(x.instruments) == 0 {
		t.Errorf("listed are %d instruments of %s, want those of %s", len(x.instruments), got, want)
	}
	x.Run(now.AddDate(0, 0, 1))
	unlisted("the next day")
	var err error
	if x, err = Restore(Config{}, x.Begin()); err != nil {
		t.Fatal(err)
	}
	unlisted("restored")
}

package sandbox_test

import (
	"errors"
	"slices"
	"testing"

	"neoapi/internal/login"
	"neoapi/internal/paperapi"
	"neoapi/internal/paperfeed"
	"neoapi/internal/sandbox"
)

// A fault that would strike nothing is refused when it is made.
func TestFeedFault_thatWouldStrikeNoneIsRefused(t *testing.T) {
	for _, bad := range []struct {
		fault sandbox.Fault
		field string
	}{
		{sandbox.Fault{Op: "order_feed", Fault: "1120"}, "fault"},
		{sandbox.Fault{Op: "market_feed", Fault: "nk"}, "fault"},
		{sandbox.Fault{Op: "market_feed", Fault: "bare"}, "fault"},
		{sandbox.Fault{Op: "market_feed_old", Fault: "native_fallback"}, "fault"},
		{sandbox.Fault{Op: "order_feed", Fault: "10020"}, "fault"},
		{sandbox.Fault{Op: "order_feed", Fault: "stuck"}, "fault"},
		{sandbox.Fault{Op: "place", Fault: "drop"}, "fault"},
		{sandbox.Fault{Op: "login", Fault: "upgrade_hang"}, "fault"},
		{sandbox.Fault{Op: "market_feed", Fault: "lost", Symbol: "TCS-EQ"}, "symbol"},
		{sandbox.Fault{Op: "order_feed", Fault: "nk", Symbol: "TCS-EQ"}, "symbol"},
		{sandbox.Fault{Op: "order_feed", Fault: "401", Account: "TESTYA24"}, "account"},
		{sandbox.Fault{Op: "order_feed", Fault: "lost", Side: "B"}, "op"},
		{sandbox.Fault{Op: "order_feed", Fault: "lost", Tag: "x"}, "op"},
		{sandbox.Fault{Op: "order_feed", Fault: "lost", Text: "x"}, "op"},
		{sandbox.Fault{Op: "order_feed", Fault: "nk", N: 2}, "n"},
		{sandbox.Fault{Op: "order_feed", Fault: "lost", N: 5000}, "n"},
	} {
		var f sandbox.Faults
		bad.fault.Times = 1
		var e *login.Error
		if err := f.Add(bad.fault); !errors.As(err, &e) || e.Kind != login.KindInput || e.Field != bad.field {
			t.Errorf("%+v: %v, want one about %s", bad.fault, err, bad.field)
		}
	}
}

// A fault strikes every n-th frame that fits it, as often as asked.
func TestFeedFault_strikesEveryNthFrameThatFits(t *testing.T) {
	var f sandbox.Faults
	if err := f.Add(sandbox.Fault{Op: "order_feed", Fault: "lost", Account: "A", Symbol: "TCS-EQ", N: 3, Times: 2}); err != nil {
		t.Fatal(err)
	}
	var struck []int
	for i := range 20 {
		about := paperapi.Subject{Account: "A", Symbol: "TCS-EQ"}
		switch i % 4 {
		case 1:
			about.Symbol = "INFY-EQ"
		case 3:
			about.Account = "B"
		}
		for _, op := range []string{"market_feed", "order_feed"} {
			if x, ok := f.OfFeed(op, paperfeed.Frame, func() paperapi.Subject { return about }); ok {
				if op != "order_feed" || x.Name != "lost" {
					t.Errorf("%s is struck by %+v", op, x)
				}
				struck = append(struck, i)
			}
		}
	}
	if want := []int{4, 10}; !slices.Equal(struck, want) {
		t.Errorf("it struck %v, want %v", struck, want)
	}
	if left := f.Pending(); len(left) != 0 {
		t.Errorf("pending: %+v", left)
	}
}

// Every fault of feeds can be made for some feed, and is listed.
func TestFeedFaults_areAllOfSomeFeed(t *testing.T) {
	for _, name := range sandbox.FeedFaultNames() {
		made := false
		for _, op := range paperfeed.Ops() {
			var f sandbox.Faults
			made = made || f.Add(sandbox.Fault{Op: op, Fault: name, Times: 1}) == nil
		}
		if !made {
			t.Errorf("%s is of no feed", name)
		}
	}
}

package telemetry

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// The store fails if calls of one kind fail often and lately, whatever other calls do and
// however few they are; it does not for a slow one, and no longer than a few seconds.
func TestFailing_isAboutTheLastSeconds(t *testing.T) {
	start := time.Date(2026, time.March, 2, 9, 15, 0, 0, time.UTC)
	type calls struct {
		at         int // seconds after start
		op         string
		ok, failed int
	}
	for _, c := range []struct {
		name    string
		calls   []calls
		at      int
		failing string // what its error contains; "" for none
	}{
		{"nothing", nil, 0, ""},
		{"all is well", []calls{{0, "open_view", 50, 0}}, 0, ""},
		{"one fails", []calls{{0, "open_view", 0, 1}}, 0, ""},
		{"two fail, and nothing else is called", []calls{{0, "open_view", 0, 1}, {1, "open_view", 0, 1}}, 2, ""},
		{"three fail", []calls{{0, "open_view", 0, 1}, {1, "open_view", 0, 2}}, 2, "open_view: 3 of the last 3 calls failed: cause"},
		{"one kind fails among many calls of others", []calls{{0, "session", 9000, 0}, {0, "open_view", 0, 3}}, 0, "open_view: 3 of the last 3"},
		{"half fail", []calls{{0, "open_view", 5, 5}}, 0, "open_view: 5 of the last 10"},
		{"some fail", []calls{{0, "open_view", 7, 5}}, 0, ""},
		{"nobody has come since", []calls{{0, "open_view", 0, 3}}, 4, "open_view"},
		{"nobody has come since for long", []calls{{0, "open_view", 0, 3}}, 5, ""},
		{"it works again", []calls{{0, "open_view", 0, 30}, {3, "open_view", 1, 0}}, 3, ""},
		{"metrics fail", []calls{{0, "count", 0, 9}, {0, "jobs", 0, 9}, {0, "rehearse", 0, 9}}, 0, ""},
		{"an hour later", []calls{{0, "open_view", 0, 3}, {3600, "open_view", 1, 0}}, 3600, ""},
	} {
		var f failures
		for _, x := range c.calls {
			now := start.Add(time.Duration(x.at) * time.Second)
			for range x.ok {
				f.add(x.op, "ok", nil, now)
			}
			for range x.failed {
				f.add(x.op, "failed", errors.New("cause"), now)
			}
			f.add(x.op, "cancelled", errors.New("gone"), now)
		}
		err := f.failing(start.Add(time.Duration(c.at) * time.Second))
		if (err == nil) != (c.failing == "") || err != nil && !strings.Contains(err.Error(), c.failing) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.failing)
		}
	}
}

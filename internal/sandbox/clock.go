package sandbox

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"neoapi/internal/front"
	"neoapi/internal/login"
	"neoapi/internal/owner"
)

// A Clock is the machine's clock, moved. The zero value is not moved. A Clock is safe for
// concurrent use.
type Clock struct {
	moving sync.Mutex
	ahead  atomic.Int64 // in nanoseconds
	file   string       // where that is kept; "" for nowhere
}

// KeptClock returns a clock that is kept in a directory, as it was left.
func KeptClock(dir string) (*Clock, error) {
	c := &Clock{file: filepath.Join(dir, "clock")}
	text, err := os.ReadFile(c.file)
	if os.IsNotExist(err) {
		return c, nil
	}
	ahead, wrong := time.ParseDuration(string(text))
	if err != nil || wrong != nil || !settable(time.Now().Add(ahead)) {
		return nil, fmt.Errorf("%s does not say how far the sandbox's clock is ahead: remove it, and the clock is the machine's", c.file)
	}
	c.ahead.Store(int64(ahead))
	return c, nil
}

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Ahead()) }

// Ahead returns how far the clock is ahead of the machine's.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

// Advance moves the clock by a time.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Set sets the clock, which then runs on.
func (c *Clock) Set(t time.Time) { c.ahead.Store(int64(time.Until(t))) }

// Clocks can be set from 2000 to 2100.
const firstYear, lastYear = 2000, 2100

func settable(t time.Time) bool { return firstYear <= t.UTC().Year() && t.UTC().Year() <= lastYear }

// move moves the clock by what a body says, and keeps it.
func (c *Clock) move(fields map[string]any) error {
	const how = `send {"advance":"5m"} or {"set":"2031-03-03T09:20:00+05:30"}`
	for name := range fields {
		if name != "advance" && name != "set" {
			return login.Invalid(shown(name), "is not known: "+how)
		}
	}
	if len(fields) != 1 {
		return login.Invalid("body", "must have one of advance and set: "+how)
	}
	c.moving.Lock()
	defer c.moving.Unlock()
	ahead := c.Ahead()
	if text, given := fields["advance"]; given {
		s, _ := text.(string)
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return login.Invalid("advance", "must be a time such as 5m, 30s or 24h; set can also set the clock back")
		}
		if ahead += d; ahead < 0 || !settable(time.Now().Add(ahead)) {
			return login.Invalid("advance", "leads past the year 2100")
		}
	} else {
		s, _ := fields["set"].(string)
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || !settable(t) {
			return login.Invalid("set", "must be a time from 2000 to 2100, such as 2031-03-03T09:20:00+05:30")
		}
		ahead = time.Until(t)
	}
	if err := c.keep(ahead); err != nil {
		return err
	}
	c.ahead.Store(int64(ahead))
	return nil
}

// keep writes down how far the clock is ahead: data that are kept are from its time.
func (c *Clock) keep(ahead time.Duration) error {
	if c.file == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), ".clock-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = owner.Adopt(f)
	if _, werr := f.WriteString(ahead.String()); err == nil {
		err = werr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	return err
}

// clockPath is where the clocks are read and moved.
const clockPath = "/sandbox/clock"

// clockPage shows and moves the clocks.
func (s *Sandbox) clockPage(r *http.Request, fields map[string]any) (front.Answer, error) {
	if r.Method == http.MethodPost {
		if s.Clock == nil {
			return front.Answer{}, &front.Refusal{Status: http.StatusForbidden, Detail: s.FixedClock}
		}
		if err := s.Clock.move(fields); err != nil {
			return front.Answer{}, err
		}
		if err := s.Follow(r.Context()); err != nil {
			return front.Answer{}, err
		}
	}
	now := s.Now().In(login.IST)
	told := struct {
		Service string `json:"service"`
		Market  string `json:"market,omitempty"`
		Ahead   string `json:"ahead"`
	}{Service: now.Format(time.RFC3339), Ahead: "0s"}
	if s.Clock != nil {
		told.Ahead = s.Clock.Ahead().Round(time.Second).String()
	}
	if s.Paper != nil { // which catches up
		told.Market = s.Paper.Time().Format(time.RFC3339)
	}
	return success(told, nil), nil
}

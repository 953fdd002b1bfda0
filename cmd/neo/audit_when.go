package main

import (
	"cmp"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"neoapi/internal/login"
)

// whenFlag is an instant.
type whenFlag struct{ time.Time }

// UnmarshalText parses text as parseWhen does.
func (w *whenFlag) UnmarshalText(text []byte) (err error) {
	w.Time, err = parseWhen(string(text), time.Now())
	return err
}

// sinceFlag is an instant in the past.
type sinceFlag struct{ whenFlag }

// UnmarshalText parses text as parseWhen does.
func (s *sinceFlag) UnmarshalText(text []byte) error {
	if err := s.whenFlag.UnmarshalText(text); err != nil {
		return err
	}
	if s.After(time.Now()) {
		return errors.New("must be in the past")
	}
	return nil
}

var (
	someDays   = regexp.MustCompile(`^([0-9]{1,5})d$`)
	dayAndTime = regexp.MustCompile(`^(?:(today|yesterday|[0-9-]{10})(?:[ t]|$))?([0-9:]{5,8})?$`)
)

// parseWhen parses an instant as people write it: how long ago (90m, 24h, 7d), now, a
// day (today, yesterday, 2026-11-23), which begins at 00:00 in India, a time of day
// there (09:15 means today; a day may precede it), or an RFC 3339 time.
func parseWhen(text string, now time.Time) (time.Time, error) {
	text = strings.ToLower(text)
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	if m := someDays.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		return now.Add(-24 * time.Hour * time.Duration(n)), err
	}
	if at, err := time.Parse(time.RFC3339, strings.ToUpper(text)); err == nil {
		return at, nil
	}
	if m := dayAndTime.FindStringSubmatch(text); m != nil && text != "" {
		day, clock := m[1], cmp.Or(m[2], "00:00")
		switch day {
		case "", "today":
			day = now.In(login.IST).Format(time.DateOnly)
		case "yesterday":
			day = now.In(login.IST).AddDate(0, 0, -1).Format(time.DateOnly)
		}
		for _, form := range []string{"2006-01-02 15:04", time.DateTime} {
			if at, err := time.ParseInLocation(form, day+" "+clock, login.IST); err == nil {
				return at, nil
			}
		}
	}
	if text == "now" {
		return now, nil
	}
	return time.Time{}, errors.New("must be a past time such as 24h or 7d (ago), today, yesterday, 09:15 or 2026-11-23 (in India), or 2026-11-23T09:00:00+05:30")
}

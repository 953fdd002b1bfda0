package login

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Days say when the sessions of all accounts end together: at one time of each
// day in India, but for the days of a calendar. The zero value is every day at
// 00:00.
type Days struct {
	At     time.Duration            // after 00:00 IST
	Except map[string]time.Duration // by date, such as 2026-12-25: another time, or noEnd
}

// noEnd is the time of a day that does not end.
const noEnd time.Duration = -1

// maxNoEnd is how many days in a row may have no end: sessions must end.
const maxNoEnd = 14

// End returns the first end of a day that is at least that far away.
func (d Days) End(now time.Time, atLeast time.Duration) time.Time {
	t := now.Add(atLeast).In(IST)
	for day := 0; ; day++ {
		midnight := time.Date(t.Year(), t.Month(), t.Day()+day, 0, 0, 0, 0, IST)
		at, ok := d.Except[midnight.Format(time.DateOnly)]
		if !ok {
			at = d.At
		}
		if at == noEnd {
			continue
		}
		if end := midnight.Add(at); !end.Before(t) {
			return end
		}
	}
}

// ParseDayEnd reads a time of day such as 03:30.
func ParseDayEnd(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is not a time of day such as 00:00 or 03:30", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// ParseCalendar parses the exceptional days: lines of a date and a time of day, or a
// date and the word none. Empty lines and what follows # are ignored. It returns
// every problem at once, with its line.
func ParseCalendar(r io.Reader) (map[string]time.Duration, error) {
	days := map[string]time.Duration{}
	var problems []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := addDay(days, words); err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", n, err))
		}
	}
	for date := range days {
		day, _ := time.Parse(time.DateOnly, date) // checked above
		row := 0
		for ; row <= maxNoEnd; row++ {
			if at, ok := days[day.AddDate(0, 0, row).Format(time.DateOnly)]; !ok || at != noEnd {
				break
			}
		}
		if row > maxNoEnd {
			problems = append(problems, fmt.Errorf("more than %d days in a row from %s do not end: sessions must end", maxNoEnd, date))
			break
		}
	}
	return days, errors.Join(append(problems, lines.Err())...)
}

func addDay(days map[string]time.Duration, words []string) error {
	if len(words) != 2 {
		return errors.New("must be a date and a time, such as 2026-12-25 none or 2026-11-08 03:30")
	}
	date, at := words[0], noEnd
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return fmt.Errorf("%q is not a date such as 2026-12-25", date)
	}
	if _, twice := days[date]; twice {
		return fmt.Errorf("duplicate %s", date)
	}
	if words[1] != "none" {
		var err error
		if at, err = ParseDayEnd(words[1]); err != nil {
			return err
		}
	}
	days[date] = at
	return nil
}

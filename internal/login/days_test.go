package login

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// days reads a calendar and the usual end of a day.
func days(t testing.TB, at, calendar string) Days {
	t.Helper()
	var d Days
	var err error
	if d.At, err = ParseDayEnd(at); err != nil {
		t.Fatal(err)
	}
	if d.Except, err = ParseCalendar(strings.NewReader(calendar)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDays_endAtTheirTimeUnlessTheCalendarSaysOtherwise(t *testing.T) {
	d := days(t, "03:30", `
		# the exchange's holidays
		2026-12-25 none      # Christmas
		2026-12-26 none
		2028-02-29 06:00
		2026-12-31 none
		2027-01-01 none
	`)
	for _, c := range []struct{ name, now, want string }{ // in India
		{"on a usual day", "2026-11-23 10:00:00", "2026-11-24 03:30:00"},
		{"just before the end", "2026-11-24 03:29:59", "2026-11-24 03:30:00"},
		{"at the end", "2026-11-24 03:30:00", "2026-11-25 03:30:00"},
		{"in the night before", "2026-11-24 00:10:00", "2026-11-24 03:30:00"},
		{"before two days that do not end", "2026-12-24 15:00:00", "2026-12-27 03:30:00"},
		{"on a day that does not end", "2026-12-25 02:00:00", "2026-12-27 03:30:00"},
		{"over the end of a year that does not end", "2026-12-30 12:00:00", "2027-01-02 03:30:00"},
		{"before a leap day", "2028-02-28 12:00:00", "2028-02-29 06:00:00"},
		{"on a leap day, before its end", "2028-02-29 05:59:59", "2028-02-29 06:00:00"},
		{"on a leap day, after its end", "2028-02-29 06:00:00", "2028-03-01 03:30:00"},
		{"in a February without one", "2027-02-28 12:00:00", "2027-03-01 03:30:00"},
	} {
		now, _ := time.ParseInLocation(time.DateTime, c.now, IST)
		if got := d.End(now, time.Second).Format(time.DateTime); got != c.want {
			t.Errorf("%s: ends at %s, want %s", c.name, got, c.want)
		}
	}
}

// Over nine years, with leap days among them, all who log in between two ends of
// days have the same one, and it is one that the calendar has.
func TestDays_endTheSessionsOfAllAccountsTogether(t *testing.T) {
	d := days(t, "23:59", "2027-03-01 none\n2028-02-29 none\n2028-03-01 00:00\n2032-02-29 12:30\n")
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, IST), time.Date(2035, 1, 1, 0, 0, 0, 0, IST)
	var ends []time.Time
	for day := from; day.Before(to); day = day.AddDate(0, 0, 1) {
		switch day.Format(time.DateOnly) {
		case "2027-03-01", "2028-02-29":
		case "2028-03-01":
			ends = append(ends, day)
		case "2032-02-29":
			ends = append(ends, day.Add(12*time.Hour+30*time.Minute))
		default:
			ends = append(ends, day.Add(24*time.Hour-time.Minute))
		}
	}
	for i, end := range ends[1:] {
		for _, now := range []time.Time{ends[i], ends[i].Add(end.Sub(ends[i]) / 2), end.Add(-time.Second)} {
			if got := d.End(now.UTC(), time.Second); !got.Equal(end) {
				t.Fatalf("from %s: ends at %s, want %s", now, got, end)
			}
		}
	}
}

func TestCalendar_withMistakesIsRefusedWithEachLineNamed(t *testing.T) {
	_, err := ParseCalendar(strings.NewReader("2026-12-25 none\n2026-02-29 none\n2026-12-25 03:30\n2026-12-26\n2026-12-27 24:00\n2026-12-28 3:30\n"))
	for _, want := range []string{
		`line 2: "2026-02-29" is not a date`, "line 3: duplicate 2026-12-25", "line 4: must be a date and a time",
		`line 5: "24:00" is not a time of day`, `line 6: "3:30" is not a time of day`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %s", err, want)
		}
	}
	var long strings.Builder
	for day := range maxNoEnd + 1 {
		long.WriteString(time.Date(2026, 12, 25+day, 0, 0, 0, 0, IST).Format(time.DateOnly) + " none\n")
	}
	if _, err := ParseCalendar(strings.NewReader(long.String())); err == nil || !strings.Contains(err.Error(), "more than 14 days in a row from 2026-12-25 do not end") {
		t.Errorf("got %v for sessions without end", err)
	}
}

func FuzzCalendar(f *testing.F) {
	f.Add("2026-12-25 none\n2026-11-08 03:30 # Diwali\n")
	f.Fuzz(func(t *testing.T, text string) {
		except, err := ParseCalendar(strings.NewReader(text))
		if err != nil {
			return
		}
		d := Days{Except: except}
		rapid.Check(t, func(t *rapid.T) {
			now := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "now"), 0)
			if left := d.End(now, time.Second).Sub(now); left < time.Second || left > (maxNoEnd+2)*24*time.Hour {
				t.Fatalf("from %s the session lives %s", now, left)
			}
		})
	})
}

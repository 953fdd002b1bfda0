package trade

import (
	"strings"
	"time"
)

// What a report says of earlier times comes from a clock that was never set; later ones
// JSON cannot hold.
const (
	year2000 = 946_684_800
	year9999 = 253_370_764_800
)

// at reads a time. Without a zone it is India's.
func (r *row) at(column int) time.Time {
	v := r.value(column)
	if v.absent() {
		return time.Time{}
	}
	if v.kind == kindString {
		if seconds, ok := parseTime(v.text); ok {
			return unix(seconds, 0)
		}
	}
	if v.kind == kindString || v.kind == kindNumber {
		if t, ok := otherTime(v.text); ok {
			return t
		}
	}
	r.bad(column)
	return time.Time{}
}

// firstOf reads the first of several times that is there.
func (r *row) firstOf(columns ...int) time.Time {
	for _, column := range columns {
		if t := r.at(column); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// date reads a day.
func (r *row) date(column int) Date {
	v := r.value(column)
	if v.absent() {
		return Date{}
	}
	if v.kind == kindString {
		if d, ok := parseDate(v.text); ok {
			return d
		}
	}
	r.bad(column)
	return Date{}
}

// unix returns a time in India, or none if it cannot be meant.
func unix(seconds, nanoseconds int64) time.Time {
	if seconds < year2000 || seconds >= year9999 {
		return time.Time{}
	}
	return time.Unix(seconds, nanoseconds).In(IST)
}

// parseTime reads "22-Jan-2025 14:28:01", "2025/01/22 14:28:01" or "2025-01-22 14:28:01"
// as unix seconds.
func parseTime(s string) (seconds int64, ok bool) {
	if len(s) < 9 || s[len(s)-9] != ' ' {
		return 0, false
	}
	d, ok := parseDate(s[:len(s)-9])
	if !ok {
		return 0, false
	}
	clock, ok := parseClock(s[len(s)-8:])
	return days(d)*86400 + clock - istOffset, ok
}

const istOffset = 5*60*60 + 30*60

// parseClock reads "14:28:01" as seconds of a day.
func parseClock(s string) (seconds int64, ok bool) {
	if len(s) != 8 || s[2] != ':' || s[5] != ':' {
		return 0, false
	}
	hour, minute, second := two(s[0], s[1]), two(s[3], s[4]), two(s[6], s[7])
	return int64(hour*3600 + minute*60 + second), hour < 24 && minute < 60 && second < 60
}

// two is the number of two digits, or more than any part of a time.
func two(a, b byte) int {
	if a -= '0'; a > 9 {
		return 1000
	}
	if b -= '0'; b > 9 {
		return 1000
	}
	return int(a)*10 + int(b)
}

// parseDate reads "22-Jan-2025", "28 Jul, 2026", "2026/07/28" or "2026-07-28", with months
// in any case.
func parseDate(s string) (d Date, ok bool) {
	switch {
	case len(s) == 11 && s[2] == '-' && s[6] == '-':
		d = Date{two(s[7], s[8])*100 + two(s[9], s[10]), month(s[3:6]), two(s[0], s[1])}
	case len(s) == 12 && s[2] == ' ' && s[6] == ',' && s[7] == ' ':
		d = Date{two(s[8], s[9])*100 + two(s[10], s[11]), month(s[3:6]), two(s[0], s[1])}
	case len(s) == 10 && s[4] == s[7] && (s[4] == '/' || s[4] == '-'):
		d = Date{two(s[0], s[1])*100 + two(s[2], s[3]), time.Month(two(s[5], s[6])), two(s[8], s[9])}
	default:
		return Date{}, false
	}
	if d.Year > 9999 || d.Month < 1 || d.Month > 12 || d.Day < 1 || d.Day > daysIn(d.Year, d.Month) {
		return Date{}, false
	}
	return d, true
}

// month returns the month of its first three letters, or 0.
func month(s string) time.Month {
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	a, b, c := s[0]|0x20, s[1]|0x20, s[2]|0x20
	for i := 0; i < len(names); i += 3 {
		if names[i] == a && names[i+1] == b && names[i+2] == c {
			return time.Month(i/3 + 1)
		}
	}
	return 0
}

func daysIn(year int, m time.Month) int {
	switch m {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// days returns the days from 1970-01-01 to a day (Howard Hinnant's days_from_civil).
func days(d Date) int64 {
	y, m := int64(d.Year), int64(d.Month)
	if m <= 2 {
		y--
		m += 12
	}
	return y*365 + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int64(d.Day) - 1 - 719468
}

// otherTime reads RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since
// 1970, which their size tells apart.
func otherTime(s string) (t time.Time, ok bool) {
	if strings.Contains(s, "T") {
		t, err := time.Parse(time.RFC3339Nano, s)
		return unix(t.Unix(), int64(t.Nanosecond())), err == nil
	}
	v := value{text: s, kind: kindNumber}
	n, ok := v.whole()
	switch {
	case !ok || n < 0:
		return time.Time{}, false
	case n >= 1e17:
		return unix(n/1e9, n%1e9), true
	case n >= 1e14:
		return unix(n/1e6, n%1e6*1e3), true
	case n >= 1e11:
		return unix(n/1e3, n%1e3*1e6), true
	}
	return unix(n, 0), true
}

// MarshalText implements [encoding.TextMarshaler].
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: an empty text is no date.
func (d *Date) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Date{}
		return nil
	}
	parsed, ok := parseDate(string(text))
	if !ok {
		return errorf("%q is not a date such as 2026-12-29", clip(string(text)))
	}
	*d = parsed
	return nil
}

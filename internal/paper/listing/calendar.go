package listing

import (
	"slices"
	"time"
)

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return time.Weekday(((d.days()+6)%7 + 7) % 7) }

// days returns the days since 2000-01-01, a Saturday.
func (d Date) days() int {
	return int(time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Unix()/86400) - 10957
}

func lastOfMonth(year int, month time.Month) Date { return Date{year, month + 1, 1}.Add(-1) }

func calendarOf(s Segment) string {
	switch s {
	case Currency:
		return "currency"
	case MCX:
		return "commodity"
	default:
		return "equity"
	}
}

// HolidaysKnown reports whether the data has a segment's holidays of a year. A year
// without them has weekends only.
func HolidaysKnown(s Segment, year int) bool { return data().years[calendarOf(s)][year] }

// Trading reports whether the real exchange of a segment trades on a date, if only in
// the evening. The exchange on paper trades on every date unless it is told to keep the
// real days; expiries keep them always.
func Trading(s Segment, d Date) bool { return trading(calendarOf(s), d) }

func trading(calendar string, d Date) bool {
	if data().special[d] {
		return true
	}
	w := d.Weekday()
	return w != time.Saturday && w != time.Sunday && !data().holidays[calendar][d]
}

// NextTrading returns the first real trading day of a segment after a date.
func NextTrading(s Segment, d Date) Date {
	for d = d.Add(1); !Trading(s, d); {
		d = d.Add(1)
	}
	return d
}

// Hours returns when the real exchange of a segment opens and closes on a date, and
// false if it does not.
func Hours(s Segment, d Date) (opens, closes time.Time, ok bool) {
	if !Trading(s, d) {
		return opens, closes, false
	}
	var found session
	for _, h := range data().Hours {
		if slices.Contains(h.Segments, s) && !d.Before(h.From) {
			found = h
		}
	}
	if s != MCX && s != Currency {
		for _, h := range data().Special {
			if h.Date == d {
				found = h
			}
		}
	}
	clock := func(hhmm string) time.Time {
		t, _ := time.Parse("15:04", hhmm)
		return d.Start().Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
	}
	return clock(found.Open), clock(found.Close), true
}

// before returns the trading day n trading days before a date that may be none itself.
func before(calendar string, d Date, n int) Date {
	for {
		if trading(calendar, d) {
			if n == 0 {
				return d
			}
			n--
		}
		d = d.Add(-1)
	}
}

// weekday returns the weekday of expiries at a date.
func (r *expiryRule) weekday(d Date) time.Weekday { return time.Weekday(at(r.Weekdays, d)) }

// monthly returns the expiry of a month, and false if the month has none.
func (r *expiryRule) monthly(year int, month time.Month) (Date, bool) {
	if len(r.Months) > 0 && !slices.Contains(r.Months, int(month)) {
		return Date{}, false
	}
	last := lastOfMonth(year, month)
	switch {
	case len(r.Weekdays) > 0:
		d := last
		for d.Weekday() != r.weekday(last) {
			d = d.Add(-1)
		}
		return before(r.Calendar, d, 0), true
	case r.Day > 0:
		last.Day = min(last.Day, r.Day)
		return before(r.Calendar, last, 0), true
	default:
		return before(r.Calendar, before(r.Calendar, last, 0), r.BeforeLast), true
	}
}

// an expiry is a date on which contracts end.
type expiry struct {
	Date
	monthly bool // named by its month
}

// months returns the next n monthly expiries from a date on, of contracts that expire so
// many trading days before those of the rule.
func (r *expiryRule) months(from Date, n, early int) []expiry {
	var all []expiry
	for y, m := from.Year, from.Month; len(all) < n; m++ {
		if m > time.December {
			y, m = y+1, time.January
		}
		if d, ok := r.monthly(y, m); ok {
			if d = before(r.Calendar, d, early); !d.Before(from) {
				all = append(all, expiry{d, true})
			}
		}
	}
	return all
}

// weeks returns the next n expiries from a date on, monthly ones among them.
func (r *expiryRule) weeks(from Date, n int) []expiry {
	var all []expiry
	for d := from; len(all) < n; d = d.Add(1) {
		if d.Weekday() != r.weekday(d) {
			continue
		}
		e := expiry{Date: before(r.Calendar, d, 0)}
		if e.Date.Before(from) {
			continue
		}
		m, _ := r.monthly(d.Year, d.Month)
		e.monthly = m == e.Date
		all = append(all, e)
	}
	return all
}

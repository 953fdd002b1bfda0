package login

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// utc returns a time told in UTC: midnight in India is 18:30 there.
func utc(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05.999999999", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestViewSession_endsAtAMidnightInIndiaThatIsTenMinutesAway(t *testing.T) {
	for _, c := range []struct{ name, now, want string }{
		{"in the morning", "2026-08-03 03:45:00", "2026-08-03 18:30:00"},
		{"at noon", "2026-08-03 06:30:00", "2026-08-03 18:30:00"},
		{"at 23:49:59", "2026-08-03 18:19:59", "2026-08-03 18:30:00"},
		{"at 23:50 exactly", "2026-08-03 18:20:00", "2026-08-03 18:30:00"},
		{"a nanosecond after 23:50", "2026-08-03 18:20:00.000000001", "2026-08-04 18:30:00"},
		{"at 23:55", "2026-08-03 18:25:00", "2026-08-04 18:30:00"},
		{"a nanosecond before midnight", "2026-08-03 18:29:59.999999999", "2026-08-04 18:30:00"},
		{"at midnight", "2026-08-03 18:30:00", "2026-08-04 18:30:00"},
		{"just after midnight", "2026-08-03 18:30:00.000000001", "2026-08-04 18:30:00"},
		{"on the last evening of a month", "2026-08-31 18:25:00", "2026-09-01 18:30:00"},
		{"on the last evening of a year", "2026-12-31 12:00:00", "2026-12-31 18:30:00"},
		{"late on the last evening of a year", "2026-12-31 18:29:00", "2027-01-01 18:30:00"},
		{"before a leap day", "2028-02-28 18:29:00", "2028-02-29 18:30:00"},
	} {
		got := dayEnd(utc(c.now), viewAtLeast)
		if !got.Equal(utc(c.want)) {
			t.Errorf("%s: ends at %s, want %s", c.name, got.UTC(), c.want)
		}
	}
}

func TestTradeSession_ofTheDayEndsAtTheNextMidnightInIndia(t *testing.T) {
	s := &Service{opt: Options{DayEnds: true, SessionTTL: time.Hour}}
	for _, c := range []struct{ name, now, want string }{
		{"in the morning", "2026-08-03 03:45:00", "2026-08-03 18:30:00"},
		{"at 23:55", "2026-08-03 18:25:00", "2026-08-03 18:30:00"},
		{"a second before midnight", "2026-08-03 18:29:59", "2026-08-03 18:30:00"},
		{"at midnight", "2026-08-03 18:30:00", "2026-08-04 18:30:00"},
		{"just after midnight", "2026-08-03 18:30:00.000000001", "2026-08-04 18:30:00"},
	} {
		if got := s.tradeEnd(utc(c.now)); !got.Equal(utc(c.want)) {
			t.Errorf("%s: ends at %s, want %s", c.name, got.UTC(), c.want)
		}
	}
}

// A token whose exp is not after its iat is refused as invalid.
func TestTradeSession_startedInTheLastSecondEndsAfterItsStart(t *testing.T) {
	s := &Service{opt: Options{DayEnds: true}}
	now := utc("2026-08-03 18:29:59.5")
	if got := s.tradeEnd(now); got.Unix() <= now.Unix() {
		t.Errorf("starts at %s and ends at %s", now, got.UTC())
	}
}

func TestDayEnd_isAMidnightInIndiaNeitherTooNearNorTooFar(t *testing.T) {
	zones := []*time.Location{
		time.UTC, IST, time.FixedZone("", -12*3600), time.FixedZone("", 14*3600), time.FixedZone("", 5*3600+45*60),
	}
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "now"), rapid.Int64Range(0, 999999999).Draw(t, "ns"))
		now = now.In(rapid.SampledFrom(zones).Draw(t, "zone"))
		atLeast := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "at least"))
		end := dayEnd(now, atLeast)
		if (end.Unix()+19800)%86400 != 0 || end.Nanosecond() != 0 {
			t.Fatalf("%s is no midnight in India", end)
		}
		if left := end.Sub(now); left < atLeast || left >= 24*time.Hour+atLeast {
			t.Fatalf("at %s: %s away, want %s or up to a day more", now, left, atLeast)
		}
	})
}

func TestTradeSession_tokenLives3600SecondsWhateverTheFraction(t *testing.T) {
	s := &Service{opt: Options{SessionTTL: time.Hour}}
	for _, start := range []string{
		"2026-08-03 03:45:00", "2026-08-03 03:45:00.000000001", "2026-08-03 03:45:00.5", "2026-08-03 03:45:00.999999999",
		"2026-08-03 18:29:59.999999999",
	} {
		now := utc(start).In(IST)
		end := s.tradeEnd(now)
		if life := end.Unix() - now.Unix(); life != 3600 || end.Nanosecond() != 0 {
			t.Errorf("from %s: exp - iat is %d, the end %s", start, life, end)
		}
	}
}

func TestOptions_zeroAreTheSeedsRules(t *testing.T) {
	var o Options
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	want := Options{OTPDigits: 6, OTPPerHour: 10, SessionTTL: 3600 * time.Second, OMSTimeout: 3 * time.Second, Hashes: runtime.GOMAXPROCS(0)}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}
}

func TestOptions_withinTheirBoundsAreKept(t *testing.T) {
	for _, want := range []Options{
		{OTPDigits: 4, OTPPerHour: 1, SessionTTL: time.Minute, ConsumerRate: 1, OMSTimeout: time.Millisecond, Hashes: 1},
		{OTPDigits: 8, OTPPerHour: 1000, SessionTTL: 24 * time.Hour, DayEnds: true, ConsumerRate: 100, AddressRate: 30, OMSTimeout: time.Minute, Hashes: 7},
	} {
		got := want
		if err := got.fill(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v becomes %+v, %v", want, got, err)
		}
	}
}

func TestOptions_outOfBoundsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"hashes below nothing":   {Hashes: -1},
		"addresses below zero":   {AddressRate: -1},
		"three digits":           {OTPDigits: 3},
		"nine digits":            {OTPDigits: 9},
		"negative digits":        {OTPDigits: -6},
		"negative codes":         {OTPPerHour: -1},
		"a life of 59 s":         {SessionTTL: 59 * time.Second},
		"a negative life":        {SessionTTL: -time.Hour},
		"a life beyond a day":    {SessionTTL: 24*time.Hour + 1},
		"a negative rate":        {ConsumerRate: -1},
		"a negative OMS timeout": {OMSTimeout: -1},
	} {
		if err := o.fill(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one problem", name, err)
		}
	}
}

func TestOptions_problemsAreNamedAtOnce(t *testing.T) {
	o := Options{OTPDigits: 3, OTPPerHour: -2, SessionTTL: time.Second, ConsumerRate: -4, OMSTimeout: -5}
	err := o.fill()
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 5 {
		t.Errorf("%d problems named, want 5:\n%v", len(lines), err)
	}
	for i, want := range []struct{ name, value string }{
		{"OTP digits", "3"}, {"OTPs per hour", "-2"}, {"session TTL", "1s"}, {"consumer rate", "-4"}, {"OMS timeout", "-5ns"},
	} {
		if i < len(lines) && !(strings.HasPrefix(lines[i], want.name+": ") && strings.Contains(lines[i], want.value)) {
			t.Errorf("problem %d is %q, want one of %s that says %s", i+1, lines[i], want.name, want.value)
		}
	}
}

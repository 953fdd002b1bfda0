package neoapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"neoapi/internal/must"
	"neoapi/neoapitest"
)

func TestSession_endsAtMidnightInIndiaIfTheTokenDoesNotSay(t *testing.T) {
	at := func(text string) time.Time {
		return must.Get(time.Parse(time.RFC3339, text))(t)
	}
	for name, tt := range map[string]struct {
		s    Session
		want time.Time
	}{
		"the token says":         {Session{IssuedAt: at("2026-08-03T09:00:00+05:30"), ExpiresAt: at("2026-08-03T10:00:00+05:30")}, at("2026-08-03T10:00:00+05:30")},
		"in the morning":         {Session{IssuedAt: at("2026-08-03T08:45:00+05:30")}, at("2026-08-04T00:00:00+05:30")},
		"before midnight in UTC": {Session{IssuedAt: at("2026-08-03T18:29:59Z")}, at("2026-08-04T00:00:00+05:30")},
		"at midnight":            {Session{IssuedAt: at("2026-08-03T18:30:00Z")}, at("2026-08-05T00:00:00+05:30")},
		"on new year's eve":      {Session{IssuedAt: at("2026-12-31T23:00:00+05:30")}, at("2027-01-01T00:00:00+05:30")},
		"nothing is known":       {Session{}, time.Time{}},
	} {
		if got := tt.s.Ends(); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if got := Daily(8, 45)(at("2026-08-03T08:45:00+05:30"), Session{}); !got.Equal(at("2026-08-04T08:45:00+05:30")) {
		t.Errorf("after 08:45 comes %v", got)
	}
	if got := Daily(8, 45)(at("2026-08-03T03:14:59Z"), Session{}); !got.Equal(at("2026-08-03T08:45:00+05:30")) {
		t.Errorf("a second before 08:45 comes %v", got)
	}
}

// Three days of a program, on the clock of a synctest bubble; the service's clock
// is moved along.
func TestRun_keepsAProgramLoggedInForDays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		daily bool
		want  string
	}{
		"each day at 08:45": {true, strings.Repeat("login 08:45, expiring 23:55, expired 00:00, ", 3) + "login 08:45, "},
		"at each end":       {false, strings.Repeat("login 00:00, expiring 23:55, expired 00:00, ", 3) + "login 00:00, "},
	} {
		t.Run(name, func(t *testing.T) {
			srv, trail := keepServer(t, neoapitest.WithDayEnd())
			c := keepClient(t, srv)
			transport := &http.Transport{DisableKeepAlives: true}
			c.http.Transport = transport
			real := time.Now()
			// The first login is at midnight, or at 08:45, of tomorrow.
			year, month, day := real.In(ist).Date()
			world := time.Date(year, month, day+1, 0, 0, 0, 0, ist)
			if tt.daily {
				world = world.Add(8*time.Hour + 45*time.Minute)
			}
			srv.Advance(world.Sub(real)) // the service is outside of the bubble
			synctest.Test(t, func(t *testing.T) {
				bubble := time.Now()
				c.now = func() time.Time { return world.Add(time.Since(bubble)) }
				last := c.now()
				var diary strings.Builder
				note := func(what string) func(Session) {
					return func(Session) {
						fmt.Fprintf(&diary, "%s %s, ", what, c.now().In(ist).Format("15:04"))
					}
				}
				login := byPassword(srv.Account)
				password := login.Credentials
				login.Credentials = func(ctx context.Context) (Credentials, error) { // the service's clock catches up
					srv.Advance(c.now().Sub(last))
					last = c.now()
					return password(ctx)
				}
				cfg := KeepConfig{Login: login, OnLogin: note("login"), OnExpiring: note("expiring"), OnExpired: note("expired")}
				if tt.daily {
					cfg.RenewAt = Daily(8, 45)
				}
				k := keep(t, c, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour+10*time.Minute)
				defer cancel()
				if err := k.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run ended with %v", err)
				}
				if diary.String() != tt.want {
					t.Errorf("got  %s\nwant %s", diary.String(), tt.want)
				}
			})
			trail.want(t, opened, 4)
		})
	}
}

func TestRun_endsWithALoginThatFails(t *testing.T) {
	srv, trail := keepServer(t)
	login := byPassword(srv.Account)
	login.MPIN = always("000000")
	k := keep(t, keepClient(t, srv), KeepConfig{Login: login})
	if err := k.Run(t.Context()); !errors.Is(err, ErrWrongOTP) {
		t.Errorf("got %v", err)
	}
	trail.want(t, "login", 1)
}

// Who ends a wait is not told that there was no answer.
func TestRun_endedByItsContextSaysSo(t *testing.T) {
	srv, _ := keepServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	k := keep(t, keepClient(t, srv), KeepConfig{Login: byPassword(srv.Account), OnLogin: func(Session) { cancel() }})
	for range 2 { // while it runs, and from the beginning
		err := k.Run(ctx)
		if err == nil || err.Error() != "neoapi: keep: stopped waiting: context canceled" || !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNetwork) {
			t.Errorf("got %v", err)
		}
	}
}

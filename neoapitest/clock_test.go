package neoapitest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"neoapi"
	"neoapi/internal/must"
	"neoapi/neoapitest"
	"neoapi/trade"
)

// At any time a trader's program logs in by every way, saves its session, another
// restores it, the clock may be set back by an hour, and the session's end is its end.
func TestClock_sessionsAreIssuedRestoredAndEndedAtAnyTime(t *testing.T) {
	t.Parallel()
	starts := map[string]time.Time{
		"2001":                      time.Date(2001, time.September, 9, 1, 46, 40, 0, time.UTC),
		"today":                     {},
		"2099":                      time.Date(2099, time.June, 30, 12, 0, 0, 0, time.UTC),
		"the last moment of a year": time.Date(2040, time.December, 31, 18, 29, 59, 900_000_000, time.UTC), // in India
	}
	ways := map[string]func(context.Context, *neoapi.Client, *neoapitest.Server) (neoapi.Session, error){
		"password and OTP": func(ctx context.Context, c *neoapi.Client, srv *neoapitest.Server) (neoapi.Session, error) {
			if err := c.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
				return neoapi.Session{}, err
			}
			return c.Session2FA(ctx, srv.OTP(t))
		},
		"password and MPIN": func(ctx context.Context, c *neoapi.Client, srv *neoapitest.Server) (neoapi.Session, error) {
			if err := c.Login(ctx, neoapi.Credentials{Mobile: srv.Account.Mobile, Password: srv.Account.Password}); err != nil {
				return neoapi.Session{}, err
			}
			return c.Session2FA(ctx, srv.Account.MPIN)
		},
		"TOTP and MPIN": func(ctx context.Context, c *neoapi.Client, srv *neoapitest.Server) (neoapi.Session, error) {
			if err := c.LoginTOTP(ctx, neoapi.TOTP{Mobile: srv.Account.Mobile, UCC: srv.Account.UCC, Code: srv.TOTP(t)}); err != nil {
				return neoapi.Session{}, err
			}
			return c.ValidateMPIN(ctx, srv.Account.MPIN)
		},
	}
	for when, at := range starts {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			srv := neoapitest.NewServer(t, neoapitest.WithTime(at), neoapitest.WithConsumerRate(0))
			client := func() *neoapi.Client {
				t.Helper()
				return must.Get(neoapi.New(neoapi.Config{Environment: neoapi.Environment(srv.URL), ConsumerKey: srv.ConsumerKey, ConsumerSecret: srv.ConsumerSecret, Clock: srv.Now}))(t)
			}
			restored := func(s neoapi.Session) *neoapi.Client {
				t.Helper()
				saved := must.Get(s.Export())(t)
				read := must.Get(neoapi.ParseSession(saved))(t)
				c := client()
				must.Do(t, c.Restore(read))
				return c
			}
			for way, login := range ways {
				s, err := login(t.Context(), client(), srv)
				if err != nil {
					t.Errorf("%s: %v", way, err)
					continue
				}
				srv.Advance(90 * time.Minute)
				other, err := login(t.Context(), client(), srv)
				if err != nil {
					t.Errorf("%s, 90 minutes later: %v", way, err)
					continue
				}
				srv.Advance(-time.Hour)
				if _, err := trade.New(restored(other)).Orders(t.Context()); err != nil {
					t.Errorf("%s: a valid session was lost when the clock was set back: %v", way, err)
				}
				if _, err := trade.New(restored(s)).Orders(t.Context()); !errors.Is(err, neoapi.ErrSessionEnded) {
					t.Errorf("%s: a session came back when the clock was set back: %v", way, err)
				}
				if err := restored(other).Logout(t.Context()); err != nil {
					t.Errorf("%s: %v", way, err)
				}
				if _, err := trade.New(restored(other)).Orders(t.Context()); !errors.Is(err, neoapi.ErrSessionEnded) {
					t.Errorf("%s: a session works after its logout: %v", way, err)
				}
				srv.Advance(time.Minute) // the next code may be sent
			}
		})
	}
}
